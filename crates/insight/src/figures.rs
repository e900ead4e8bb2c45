//! The figures of the live model. Their data come from the evidence, over time from the history.

use std::collections::HashMap;

use anyhow::Result;
use charts::{Matrix, ScorePoint, TimeSeries, Trends};
use common::production::promotion::Comparison;
use history::listing::{CheckRow, ComparisonRow, MissingRow};
use statistics::confusion::Confusion;
use statistics::interval::{self, Interval};

use crate::evidence::{Evidence, MOST_RUNS, Past, interval_of};
use crate::wording::label;

/// The figures as SVG; the PNG files, the PDF and the web page show the same drawings.
pub struct Figures {
    /// Predicted and actual outcomes on the test data.
    pub confusion_matrix: String,
    /// ROC curve, precision and recall, calibration and risk distribution on the test data.
    pub model_quality: String,
    /// F1, missing values and durations over time.
    pub time_trends: String,
}

impl Figures {
    pub fn draw(evidence: &Evidence) -> Result<Self> {
        let score = &evidence.score;
        let threshold = score.threshold.value();
        let matrix = Matrix { confusion: score.confusion, release: &score.model, threshold, data: &score.data };
        Ok(Self {
            confusion_matrix: charts::confusion_matrix(&matrix)?,
            model_quality: charts::model_quality(&evidence.pairs, threshold)?,
            time_trends: charts::time_trends(&trends(&evidence.past))?,
        })
    }
}

fn trends(past: &Past) -> Trends {
    let mut scores: Vec<_> = past.checks.iter().map(check_point).chain(release_points(past)).collect();
    scores.sort_by(|a, b| a.time.cmp(&b.time));
    Trends {
        scores: scores.split_off(scores.len().saturating_sub(MOST_RUNS)),
        missing: missing(&past.missing),
        seconds: seconds(past),
    }
}

fn check_point(check: &CheckRow) -> ScorePoint {
    let counts = [check.true_positives, check.false_positives, check.false_negatives, check.true_negatives];
    ScorePoint {
        time: check.started.clone(),
        f1: check.f1,
        interval: interval_of(check),
        baseline: Some(everyone_exits(&confusion(counts))),
        deployed: false,
    }
}

/// The recorded scores of the newest releases. Only of these, because an interval takes thousands of random draws; that
/// of a model that went live several times is computed once.
fn release_points(past: &Past) -> impl Iterator<Item = ScorePoint> {
    let counts = |model: &str| {
        let of_model = |row: &&ComparisonRow| row.model_sha256 == model && row.contestant == "new model";
        let row = past.comparisons.iter().rfind(of_model)?;
        Some(confusion([row.true_positives, row.false_positives, row.false_negatives, row.true_negatives]))
    };
    let mut known: HashMap<&str, (Option<Interval>, Option<f64>)> = HashMap::new();
    past.releases[past.releases.len().saturating_sub(MOST_RUNS)..].iter().map(move |release| {
        let model = release.model_sha256.as_str();
        let (interval, baseline) = *known.entry(model).or_insert_with(|| {
            let counts = counts(model);
            (counts.and_then(|counts| interval::f1(&counts)), counts.map(|counts| everyone_exits(&counts)))
        });
        ScorePoint { time: release.live_from.clone(), f1: release.f1, interval, baseline, deployed: true }
    })
}

/// The newest rows on missing values, as one line per column.
fn missing(rows: &[MissingRow]) -> TimeSeries {
    type Percent = fn(&MissingRow) -> Option<f64>;
    let columns: [(&str, Percent); 5] = [
        ("corporation", |row| row.corporation),
        ("lastmonth_activity", |row| row.lastmonth_activity),
        ("lastyear_activity", |row| row.lastyear_activity),
        ("number_of_employees", |row| row.number_of_employees),
        ("exited", |row| row.exited),
    ];
    let line = |(column, percent): (&str, Percent)| {
        let known = rows.iter().enumerate().filter_map(|(index, row)| Some((index, percent(row)?)));
        (label(column).to_owned(), known.collect())
    };
    TimeSeries { times: rows.iter().map(|row| row.started.clone()).collect(), lines: columns.map(line).into() }
}

/// The newest durations of ingestion and training.
fn seconds(past: &Past) -> TimeSeries {
    let kinds = ["ingestion", "training"];
    let rows: Vec<_> = past.timings.iter().filter(|row| kinds.contains(&row.what.as_str())).collect();
    let rows = &rows[rows.len().saturating_sub(MOST_RUNS)..];
    let line = |kind: &str| {
        let of_kind = rows.iter().enumerate().filter(|(_, row)| row.what == kind);
        (kind.to_owned(), of_kind.map(|(index, row)| (index, row.seconds)).collect())
    };
    TimeSeries { times: rows.iter().map(|row| row.started.clone()).collect(), lines: kinds.map(line).into() }
}

fn confusion(counts: [i64; 4]) -> Confusion {
    let [true_positives, false_positives, false_negatives, true_negatives] = counts.map(|count| count as u64);
    Confusion { true_positives, false_positives, false_negatives, true_negatives }
}

/// F1 of the baseline "everyone exits" on the rows of these counts.
fn everyone_exits(counts: &Confusion) -> f64 {
    Comparison { challenger: *counts, champion: None }.everyone_exits().f1()
}
