//! What a column's counts are used for. Up to [`MOST_VALUES`] distinct values are all counted; otherwise only the
//! needed ones are kept, and mean and standard deviation are computed from the column.

use statistics::distribution::{Distribution, median_ranks};
use statistics::moments::{Summable, moments};
use statistics::sketch::{self, Sketch};

use super::answer::{Answer, Question};
use super::dense::DenseCounts;
use super::known::Known;
use super::number::Number;
use super::{few, sorted};
use crate::{ColumnStatistics, MOST_VALUES};

/// Number of distinct values up to which counting in a hash table is faster than sorting.
const MOST_HASHED: usize = 1 << 20;

/// Counts every distinct value.
pub fn distribution<T: Number>(known: &Known<T>) -> Distribution {
    few(known, most_hashed(known)).unwrap_or_else(|| kept(known, answer(known, &Question { ranks: None, mode: false })))
}

/// Summarises the values. `None` if no value is known.
pub fn sketch<T: Number>(known: &Known<T>) -> Option<Sketch> {
    let (distribution, moments) = match few(known, MOST_VALUES as usize) {
        Some(distribution) => {
            let moments = moments(&distribution);
            (distribution, moments)
        }
        None => {
            let ranks = sketch::ranks(known.n());
            (kept(known, answer(known, &Question { ranks: Some(&ranks), mode: false })), moments(known))
        }
    };
    let (mean, standard_deviation) = moments?;
    Sketch::of_distribution(&distribution, mean, standard_deviation)
}

/// Returns the median. `None` if no value is known.
pub fn median<T: Number>(known: &Known<T>) -> Option<f64> {
    match known.n() {
        0 => None,
        n => answer(known, &Question { ranks: Some(&median_ranks(n)), mode: false }).median(n),
    }
}

/// Computes the statistics of a column with the given name.
pub fn statistics<T: Number>(known: &Known<T>, column: String) -> ColumnStatistics {
    let n = known.n();
    let (moments, median, mode) = match few(known, most_hashed(known)) {
        Some(distribution) => {
            let is_small = distribution.values.len() <= MOST_VALUES as usize;
            let moments = if is_small { moments(&distribution) } else { moments(known) };
            (moments, distribution.median(), distribution.mode())
        }
        None => {
            let ranks = median_ranks(n);
            let question = Question { ranks: Some(&ranks), mode: true };
            let answer = answer(known, &question);
            (moments(known), answer.median(n), answer.mode())
        }
    };
    ColumnStatistics {
        column,
        mean: moments.map(|(mean, _)| mean),
        median,
        std: moments.map(|(_, standard_deviation)| standard_deviation).filter(|_| n > 1),
        mode,
    }
}

/// Returns the largest number of distinct values to be counted at once if all of them must be visited.
fn most_hashed<T: Number>(known: &Known<T>) -> usize {
    MOST_HASHED.min(few::most_counted(known)).max(MOST_VALUES as usize)
}

/// Counts every distinct value if there are at most `most`.
fn few<T: Number>(known: &Known<T>, most: usize) -> Option<Distribution> {
    let values = match DenseCounts::of(known) {
        Some(counts) => counts.few(most)?,
        None => few::few(known, most)?,
    };
    Some(Distribution { values, missing: known.missing() })
}

/// Answers a question about the values, however many are distinct.
fn answer<'q, T: Number>(known: &Known<T>, question: &'q Question) -> Answer<'q> {
    match DenseCounts::of(known) {
        Some(counts) => counts.answer(question),
        None => sorted::answer(known, question, sorted::most_collected(known)),
    }
}

/// Returns the values that an answer kept, as a distribution.
fn kept<T: Number>(known: &Known<T>, answer: Answer) -> Distribution {
    Distribution { values: answer.counts(), missing: known.missing() }
}
