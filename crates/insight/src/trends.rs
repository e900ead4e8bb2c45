//! The data of the charts over time, from the history.

use std::collections::HashMap;

use charts::{MOST_RUNS, ScorePoint, Trends};
use common::model::metrics::Confusion;
use common::production::promotion::Comparison;
use history::listing::ComparisonRow;
use statistics::interval::{self, Interval};

use crate::evidence::Past;

/// Extracts the data from the history.
pub fn of(past: &Past) -> Trends {
    let counts = |row: [i64; 4]| {
        let [true_positives, false_positives, false_negatives, true_negatives] = row.map(|count| count as u64);
        Confusion { true_positives, false_positives, false_negatives, true_negatives }
    };
    let everyone = |challenger| Comparison { challenger, champion: None }.everyone_exits().f1();
    let checks = past.checks.iter().map(|check| ScorePoint {
        time: check.started.clone(),
        f1: check.f1,
        interval: check.f1_low.zip(check.f1_high).map(|(low, high)| Interval { low, high }),
        constant: Some(everyone(counts([
            check.true_positives,
            check.false_positives,
            check.false_negatives,
            check.true_negatives,
        ]))),
        deployed: false,
    });
    // Computed only for the newest releases, because an interval takes thousands of random draws. A model that went
    // live several times is computed once.
    let shown = past.releases.len().saturating_sub(MOST_RUNS);
    let mut known: HashMap<&str, Option<Confusion>> = HashMap::new();
    let mut intervals: HashMap<&str, Option<Interval>> = HashMap::new();
    let releases = past.releases[shown..].iter().map(|release| {
        let of_it = |row: &&ComparisonRow| row.model_sha256 == release.model_sha256 && row.contestant == "new model";
        let model = release.model_sha256.as_str();
        let counted = *known.entry(model).or_insert_with(|| {
            past.comparisons
                .iter()
                .rfind(of_it)
                .map(|row| counts([row.true_positives, row.false_positives, row.false_negatives, row.true_negatives]))
        });
        ScorePoint {
            time: release.live_from.clone(),
            f1: release.f1,
            interval: *intervals.entry(model).or_insert_with(|| counted.and_then(|counts| interval::f1(&counts))),
            constant: counted.map(everyone),
            deployed: true,
        }
    });
    let mut scores: Vec<_> = checks.chain(releases).collect();
    scores.sort_by(|a, b| a.time.cmp(&b.time));
    Trends { scores: newest(scores), missing: newest(past.missing.clone()), timings: newest(past.timings.clone()) }
}

/// The last [`MOST_RUNS`] entries.
fn newest<T>(mut rows: Vec<T>) -> Vec<T> {
    rows.split_off(rows.len().saturating_sub(MOST_RUNS))
}
