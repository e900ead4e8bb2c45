//! Confusion counts of a binary classifier, and the F1 score, precision and recall computed from them.

use std::ops;

use serde::{Deserialize, Serialize};

/// The four counts of a binary classifier. A "positive" is a client that left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Clients that left and were predicted to leave.
    pub true_positives: u64,
    /// Clients that stayed but were predicted to leave.
    pub false_positives: u64,
    /// Clients that left but were predicted to stay.
    pub false_negatives: u64,
    /// Clients that stayed and were predicted to stay.
    pub true_negatives: u64,
}

impl Confusion {
    /// Adds one client to the counts.
    pub fn add(&mut self, predicted: bool, actual: bool) {
        match (predicted, actual) {
            (true, true) => self.true_positives += 1,
            (true, false) => self.false_positives += 1,
            (false, true) => self.false_negatives += 1,
            (false, false) => self.true_negatives += 1,
        }
    }

    /// Returns the number of clients counted.
    pub fn n(&self) -> u64 {
        self.true_positives + self.false_positives + self.false_negatives + self.true_negatives
    }

    /// Returns the number of clients that left.
    pub fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Returns the number of clients whose prediction is wrong.
    pub fn errors(&self) -> u64 {
        self.false_positives + self.false_negatives
    }

    /// Returns F1, the harmonic mean of precision and recall: 2TP / (2TP + FP + FN). It is 0 if there is no positive at
    /// all, as in scikit-learn's `f1_score` (van Rijsbergen, Information Retrieval, 1979, ch. 7).
    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }

    /// Returns the precision TP / (TP + FP): the share of the clients predicted to leave that left. It is 0 if no
    /// client was predicted to leave.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Returns the recall TP / (TP + FN): the share of the clients that left that were predicted to leave. It is 0 if
    /// no client left.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Whether neither the data nor the predictions contain a positive, so that F1 is 0 only by convention.
    pub fn has_no_positive(&self) -> bool {
        self.true_positives + self.false_positives + self.false_negatives == 0
    }
}

/// The counts of both tables together.
impl ops::Add for Confusion {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            true_positives: self.true_positives + other.true_positives,
            false_positives: self.false_positives + other.false_positives,
            false_negatives: self.false_negatives + other.false_negatives,
            true_negatives: self.true_negatives + other.true_negatives,
        }
    }
}

/// The counts of a table without those of a part of it.
impl ops::Sub for Confusion {
    type Output = Self;

    fn sub(self, part: Self) -> Self {
        Self {
            true_positives: self.true_positives - part.true_positives,
            false_positives: self.false_positives - part.false_positives,
            false_negatives: self.false_negatives - part.false_negatives,
            true_negatives: self.true_negatives - part.true_negatives,
        }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion(true_positives: u64, false_positives: u64, false_negatives: u64, true_negatives: u64) -> Confusion {
        Confusion { true_positives, false_positives, false_negatives, true_negatives }
    }

    #[test]
    fn counts_and_rates() {
        let mut counted = Confusion::default();
        for (predicted, actual) in [(true, true), (true, true), (true, false), (false, true), (false, false)] {
            counted.add(predicted, actual);
        }
        assert_eq!(counted, confusion(2, 1, 1, 1));
        assert_eq!((counted.n(), counted.f1()), (5, 4.0 / 6.0));
        assert_eq!((counted.precision(), counted.recall()), (2.0 / 3.0, 2.0 / 3.0));
    }

    #[test]
    fn a_table_is_the_sum_of_its_parts() {
        let (whole, part) = (confusion(5, 6, 7, 8), confusion(1, 2, 3, 4));
        assert_eq!(whole - part, confusion(4, 4, 4, 4));
        assert_eq!(whole - part + part, whole);
    }

    #[test]
    fn zero_divisions_are_zero_as_in_scikit_learn() {
        for degenerate in [confusion(0, 0, 0, 0), confusion(0, 0, 0, 7), confusion(0, 3, 0, 1), confusion(0, 0, 3, 1)] {
            assert_eq!(degenerate.f1(), 0.0);
        }
        assert_eq!(confusion(0, 0, 3, 1).precision(), 0.0);
        assert_eq!(confusion(0, 3, 0, 1).recall(), 0.0);
        assert!(confusion(0, 0, 0, 7).has_no_positive());
        assert!(!confusion(0, 0, 1, 7).has_no_positive());
    }
}
