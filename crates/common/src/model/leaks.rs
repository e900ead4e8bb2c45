//! Signs that the score on the test data is too good, because training has seen what the test asks.

use serde::{Deserialize, Serialize};

use crate::files::checksum::Checksum;

/// A single predictor with a larger area under the ROC curve than this, in either direction, is named.
pub const SEPARATES: f64 = 0.98;

/// Number of clients that left, and of clients that stayed, from which on a predictor is examined. Ten against ten
/// clients are separated by chance in 1 of 90,000 cases.
pub const FEWEST_TO_SEPARATE: u64 = 10;

/// Signs of a leak, found when the trained model was scored on the test data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leaks {
    /// What of the test data is also in the training data; `None` if it was not compared, because the compiled dataset
    /// is not the one that the model was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// The predictors that alone separate the clients that left from those that stayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub separating: Vec<Separating>,
}

/// What of the scored rows is also in the compiled dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// Number of test rows that the compiled dataset contains with all values equal.
    pub rows: u64,
    /// Number of clients of the test rows that the compiled dataset contains, with these or other values.
    pub clients: u64,
    /// Id of a client with an equal row, the first in bytewise order; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// A predictor that alone separates the clients that left from those that stayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Separating {
    /// The predictor's name.
    pub predictor: String,
    /// Area under its ROC curve on the test data, at least 0.5; ties count half.
    pub auc: f64,
}

impl Leaks {
    /// Returns a warning for each sign. `rows` is the number of rows that were scored.
    pub fn warnings(&self, rows: u64) -> Vec<String> {
        let overlap = self.overlap.as_ref().and_then(|overlap| overlap.warning(rows));
        let separating = self.separating.iter().map(|Separating { predictor, auc }| {
            format!(
                "the predictor {predictor} alone separates the clients that left from those that stayed (AUC {auc:.4} on the \
                 test data), which is probably a leak from the future: make sure that its value is known before a client leaves, or \
                 put the column into \"ignored\""
            )
        });
        overlap.into_iter().chain(separating).collect()
    }
}

impl Overlap {
    /// Describes the overlap and what to do about it; `None` if there is none.
    pub fn warning(&self, rows: u64) -> Option<String> {
        let Self { rows: equal, clients, example } = self;
        match (equal, clients) {
            (0, 0) => None,
            (0, _) => Some(format!(
                "{clients} clients of the test data are also in the training data, with other values: this is a weaker leak \
                 than equal rows, but the score may be too good for clients that are not in the training data"
            )),
            _ => Some(format!(
                "{equal} of {rows} test rows are also in the training data with all values equal{}, so the score is too good: \
                 remove them from the test data or from the input files",
                example.as_ref().map(|id| format!(", for example that of {id}")).unwrap_or_default()
            )),
        }
    }
}

/// Returns a checksum of the content of the test data, whatever the names and the order of its files.
pub fn checksum_of_test_data(mut files: Vec<Checksum>) -> Checksum {
    files.sort_unstable();
    Checksum::of_bytes(files.iter().map(|file| format!("{file}\n")).collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_has_one_sentence() {
        let leaks = |rows, clients, separating: &[(&str, f64)]| Leaks {
            overlap: Some(Overlap { rows, clients, example: (rows > 0).then(|| "acme".to_owned()) }),
            separating: separating
                .iter()
                .map(|(predictor, auc)| Separating { predictor: (*predictor).to_owned(), auc: *auc })
                .collect(),
        };
        assert_eq!(Leaks::default().warnings(9), [""; 0]);
        assert_eq!(leaks(0, 0, &[]).warnings(9), [""; 0]);
        let weaker = leaks(0, 7, &[]).warnings(9);
        assert!(weaker.len() == 1 && weaker[0].starts_with("7 clients") && weaker[0].contains("weaker"), "{weaker:?}");
        let all = leaks(3, 7, &[("closed_on", 0.99999)]).warnings(9);
        assert!(all.len() == 2 && all[1].contains("closed_on") && all[1].contains("AUC 1.0000"), "{all:?}");
        assert!(all[0].contains("3 of 9 test rows") && all[0].contains("for example that of acme"), "{all:?}");
    }

    #[test]
    fn the_content_of_the_test_data_has_one_checksum() {
        let [a, b] = [b"a", b"b"].map(|bytes| Checksum::of_bytes(bytes));
        let of = |files: &[&Checksum]| checksum_of_test_data(files.iter().map(|file| (*file).clone()).collect());
        assert_eq!(of(&[&a, &b]), of(&[&b, &a]));
        assert!(of(&[&a]) != of(&[&a, &a]) && of(&[&a]) != of(&[&b]));
    }
}
