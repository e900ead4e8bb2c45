//! What the sample of rows tells about two columns.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Fewest rows from which a relation between two columns is concluded.
const FEWEST: usize = 50;
/// Fewest rows of each label from which a leak is concluded.
const FEWEST_OF_LABEL: usize = 20;

type Sample = [Vec<Option<String>>];

/// Returns for each column the index of an earlier column that holds the same values or a one-to-one recoding of them.
pub(super) fn duplicates(sample: &Sample, width: usize) -> Vec<Option<usize>> {
    let mut seen = HashMap::new();
    (0..width)
        .map(|j| {
            let values: Vec<String> = sample.iter().map(|row| normalised(row[j].as_deref())).collect();
            let mut first = HashMap::new();
            let codes: Vec<usize> =
                values.iter().enumerate().map(|(i, value)| *first.entry(value.as_str()).or_insert(i)).collect();
            if first.len() < 2 || values.len() < 2 {
                return None;
            }
            // Two columns whose values are nearly all different are recodings of each other by chance.
            let recoded = values.len() >= FEWEST && first.len() * 2 <= values.len();
            let mut hasher = DefaultHasher::new();
            if recoded {
                codes.hash(&mut hasher)
            } else {
                values.hash(&mut hasher)
            };
            let hash = (recoded, hasher.finish());
            let earlier = seen.get(&hash).copied();
            seen.entry(hash).or_insert(j);
            earlier
        })
        .collect()
}

/// Returns a text that is the same for all spellings of a number.
fn normalised(value: Option<&str>) -> String {
    let value = value.unwrap_or_default();
    value.trim_ascii().parse::<f64>().map_or_else(|_| value.to_owned(), |number| number.to_string())
}

/// The relation of one column to the target.
pub(super) struct Relation {
    /// Area under the ROC curve of the column alone, at least 0.5.
    pub(super) auc: f64,
    /// A level whose clients all left, with the number of these rows.
    pub(super) decisive: Option<(String, usize)>,
}

/// Compares a column with the target; `None` if the sample has too few rows of a label.
pub(super) fn relation(sample: &Sample, j: usize, target: usize, positive: &str, is_number: bool) -> Option<Relation> {
    let rows = sample.iter().filter_map(|row| {
        let label = row[target].as_deref()?;
        Some((row[j].as_deref(), label.trim_ascii() == positive))
    });
    let rows: Vec<(Option<&str>, bool)> = rows.collect();
    let left = rows.iter().filter(|(_, left)| *left).count();
    if left < FEWEST_OF_LABEL || rows.len() - left < FEWEST_OF_LABEL {
        return None;
    }
    if is_number {
        let number = |value: Option<&str>| value?.trim_ascii().parse::<f64>().ok();
        let scored = rows.iter().filter_map(|(value, left)| Some((number(*value)?, *left))).collect();
        return Some(Relation { auc: auc(scored)?, decisive: None });
    }
    let mut levels: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (value, left) in &rows {
        let (all, of_left) = levels.entry(value.unwrap_or_default()).or_default();
        *all += 1;
        *of_left += usize::from(*left);
    }
    let rate = |value: Option<&str>| {
        levels.get(value.unwrap_or_default()).map_or(0.0, |(all, left)| *left as f64 / *all as f64)
    };
    let scored = rows.iter().map(|(value, left)| (rate(*value), *left)).collect();
    let is_decisive = |(_, (all, left)): &(&&str, &(usize, usize))| all == left && *all >= FEWEST_OF_LABEL;
    let decisive = levels.iter().find(is_decisive).map(|(level, (all, _))| ((*level).to_owned(), *all));
    Some(Relation { auc: auc(scored)?, decisive })
}

/// Returns the area under the ROC curve, at least 0.5; `None` if a label has no row.
fn auc(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let left = scored.iter().filter(|(_, left)| *left).count() as f64;
    let stayed = scored.len() as f64 - left;
    if left == 0.0 || stayed == 0.0 {
        return None;
    }
    let (mut below, mut pairs) = (0.0, 0.0);
    for ties in scored.chunk_by(|a, b| a.0 == b.0) {
        let of_left = ties.iter().filter(|(_, left)| *left).count() as f64;
        let of_stayed = ties.len() as f64 - of_left;
        pairs += of_left * (below + of_stayed / 2.0);
        below += of_stayed;
    }
    let auc = pairs / (left * stayed);
    Some(auc.max(1.0 - auc))
}

/// Smallest ratio of the largest number to the median for which a logarithm is proposed.
const WIDE: f64 = 50.0;

/// Whether a column of non-negative numbers spans orders of magnitude and its logarithm is nearly symmetric.
pub(super) fn suits_log1p(sample: &Sample, j: usize) -> bool {
    let numbers = sample.iter().filter_map(|row| row[j].as_deref()?.trim_ascii().parse::<f64>().ok());
    let mut numbers: Vec<f64> = numbers.filter(|number| number.is_finite()).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.len() >= FEWEST
        && numbers[0] >= 0.0
        && numbers[numbers.len() - 1] + 1.0 >= WIDE * (numbers[numbers.len() / 2] + 1.0)
        && skewness(&numbers) > 3.0
        && skewness(&numbers.iter().map(|number| number.ln_1p()).collect::<Vec<_>>()).abs() < 1.0
}

fn skewness(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let moment = |power: i32| numbers.iter().map(|number| (number - mean).powi(power)).sum::<f64>() / count;
    moment(3) / moment(2).powf(1.5)
}
