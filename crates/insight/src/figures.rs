//! The figures of the live model. Their data come from the evidence, over time from the history.

use std::collections::HashMap;

use anyhow::Result;
use charts::{Matrix, ScorePoint, TimeSeries, Trend, Trends};
use common::files::checksum::Checksum;
use common::production::promotion::Comparison;
use common::schema::Schema;
use history::{Candidate, CheckRow, MissingRow, Operation, ReleaseRow};
use statistics::confusion::Confusion;
use statistics::interval;

use crate::evidence::{Evidence, MOST_RUNS, Past};
use crate::wording::{f1_of, interval_of};

/// Maximum number of columns in the figure of missing values, which has five kinds of lines.
const MOST_COLUMNS: usize = 5;

/// Maximum number of characters of a column's label in the legend of that figure.
const LONGEST_LABEL: usize = 24;

/// The figures as SVG; the PDF and the web page show the same drawings.
pub struct Figures {
    /// The quality on the test data: confusion matrix, leavers reached by calls, ROC curve, precision and recall,
    /// calibration and risk distribution.
    pub quality: [String; 6],
    /// The charts over time, each with its figure; `None` while it would have a single point.
    pub trends: Vec<(Trend, Option<String>)>,
}

impl Figures {
    /// Draws the figures.
    ///
    /// # Errors
    /// Returns an error if a figure cannot be drawn.
    pub fn draw(evidence: &Evidence) -> Result<Self> {
        let trends = trends(&evidence.past, &evidence.model.schema);
        let figure = |trend| Ok((trend, charts::trend(trend, &trends)?));
        Ok(Self {
            quality: charts::quality_figures(&matrix(evidence), &evidence.pairs)?,
            trends: Trend::ALL.into_iter().map(figure).collect::<Result<_>>()?,
        })
    }
}

/// The same figures put together, as SVG of the pictures that are files of their own.
pub struct Pictures {
    /// Predicted and actual outcomes on the test data.
    pub confusion_matrix: String,
    /// All figures of [`Figures::quality`].
    pub model_quality: String,
    /// All figures of [`Figures::trends`].
    pub time_trends: String,
}

impl Pictures {
    /// Draws the pictures.
    ///
    /// # Errors
    /// Returns an error if a picture cannot be drawn.
    pub fn draw(evidence: &Evidence) -> Result<Self> {
        let matrix = matrix(evidence);
        Ok(Self {
            confusion_matrix: charts::confusion_matrix(&matrix)?,
            model_quality: charts::model_quality(&matrix, &evidence.pairs)?,
            time_trends: charts::time_trends(&trends(&evidence.past, &evidence.model.schema))?,
        })
    }
}

fn matrix(evidence: &Evidence) -> Matrix<'_> {
    let score = &evidence.score;
    Matrix { confusion: score.confusion, release: &score.model, threshold: score.threshold.value(), data: &score.data }
}

fn trends(past: &Past, schema: &Schema) -> Trends {
    let mut scores: Vec<_> = past.checks.iter().filter_map(check_point).chain(release_points(past)).collect();
    scores.sort_by(|a, b| a.time.cmp(&b.time));
    Trends {
        scores: scores.split_off(scores.len().saturating_sub(MOST_RUNS)),
        missing: missing(&past.missing, schema),
        seconds: seconds(past),
    }
}

/// The score of a check; `None` if there was nothing to measure it by.
fn check_point(check: &CheckRow) -> Option<ScorePoint> {
    Some(ScorePoint {
        time: check.started.clone(),
        f1: f1_of(check)?,
        interval: interval_of(check),
        baseline: Some(everyone_exits(&check.confusion)),
        deployed: false,
    })
}

/// The recorded scores of the releases. The interval and the baseline are known if the release's model was compared.
fn release_points(past: &Past) -> impl Iterator<Item = ScorePoint> {
    let new_models = past.comparisons.iter().filter(|row| row.compared.model == Candidate::NewModel);
    let counts: HashMap<&Checksum, &Confusion> =
        new_models.map(|row| (&row.promotion.challenger_sha256, &row.compared.confusion)).collect();
    past.releases.iter().map(move |ReleaseRow { switch, .. }| {
        let counts = counts.get(&switch.model_sha256).copied();
        ScorePoint {
            time: switch.live_from.clone(),
            f1: switch.f1,
            interval: counts.and_then(interval::f1),
            baseline: counts.map(everyone_exits),
            deployed: true,
        }
    })
}

/// The newest rows on missing values, as one line per column that ever had one; of many columns only those with the most
/// missing values.
fn missing(rows: &[MissingRow], schema: &Schema) -> TimeSeries {
    let percents = |column: usize| rows.iter().map(move |row| row.percent.get(column).copied().flatten());
    let largest = |column: usize| percents(column).flatten().fold(0.0, f64::max);
    let mut columns: Vec<(usize, &str)> =
        schema.columns().enumerate().filter(|(column, _)| largest(*column) > 0.0).collect();
    if columns.len() > MOST_COLUMNS {
        columns.sort_by(|a, b| largest(b.0).total_cmp(&largest(a.0)));
        columns.truncate(MOST_COLUMNS);
    }
    let line = |(column, name): (usize, &str)| {
        let known = percents(column).enumerate().filter_map(|(index, percent)| Some((index, percent?)));
        (beginning(schema.label(name)), known.collect())
    };
    let lines = columns.into_iter().map(line).collect();
    TimeSeries { times: rows.iter().map(|row| row.started.clone()).collect(), lines }
}

/// The beginning of a label that fits into the legend.
fn beginning(label: &str) -> String {
    match label.char_indices().nth(LONGEST_LABEL) {
        None => label.to_owned(),
        Some((end, _)) => format!("{}…", &label[..end]),
    }
}

/// The newest durations of ingestion and training. A training belongs to the run of the ingestion before it.
fn seconds(past: &Past) -> TimeSeries {
    let (mut times, mut ingestion, mut training) = (Vec::new(), Vec::new(), Vec::new());
    let newest = past.timings.iter().filter(|row| matches!(row.operation, Operation::Ingestion | Operation::Training));
    let rows: Vec<_> = newest.collect();
    for row in &rows[rows.len().saturating_sub(MOST_RUNS)..] {
        let line = if row.operation == Operation::Ingestion { &mut ingestion } else { &mut training };
        let last = times.len().checked_sub(1);
        let is_new = row.operation == Operation::Ingestion
            || last.is_none_or(|last| line.last().is_some_and(|(index, _)| *index == last));
        if is_new {
            times.push(row.started.clone());
        }
        line.push((times.len().saturating_sub(1), row.seconds));
    }
    let lines = vec![(Operation::Ingestion.to_string(), ingestion), (Operation::Training.to_string(), training)];
    TimeSeries { times, lines }
}

/// F1 of the baseline "everyone exits" on the rows of these counts.
fn everyone_exits(counts: &Confusion) -> f64 {
    Comparison { challenger: *counts, champion: None }.everyone_exits().f1()
}

#[cfg(test)]
mod tests {
    use common::config::DriftTest;
    use history::{DriftCheck, DriftVerdict};

    use super::*;
    use crate::wording;

    fn check(confusion: Confusion, verdict: DriftVerdict, drifted: bool) -> CheckRow {
        let record = DriftCheck {
            release: "R1".to_owned(),
            data: vec!["a.csv".to_owned(), "b.csv".to_owned()],
            confusion,
            f1_low: Some(0.0),
            f1_high: Some(0.5),
            recorded_f1: 0.8,
            test: DriftTest::Raw,
            verdict,
            drifted,
        };
        CheckRow { run: 1, started: "2026-11-30T11:50:00.000000Z".to_owned(), record }
    }

    #[test]
    fn a_check_that_could_not_be_judged_has_no_score_in_figures_tables_and_sentences() {
        let confusion = Confusion { false_positives: 10, true_negatives: 30, ..Confusion::default() };
        let unjudged = check(confusion, DriftVerdict::CannotBeJudged, false);
        let judged = check(Confusion { true_positives: 30, ..confusion }, DriftVerdict::Drifted, true);
        let past = Past { checks: vec![unjudged.clone(), judged.clone()], ..Past::default() };
        let scores = trends(&past, &Schema::default()).scores;
        assert_eq!(scores.iter().map(|point| point.f1).collect::<Vec<_>>(), [60.0 / 70.0]);
        assert!(scores[0].interval.is_some() && interval_of(&unjudged).is_none());
        assert_eq!(
            wording::check(&unjudged),
            "It cannot be judged: 0 of 40 labelled new rows left, which is too few to judge the model. Pending until more \
             labels arrive: a.csv, b.csv."
        );
        assert_eq!(wording::check_in_short(&unjudged), "cannot be judged: 0 of 40 labelled new rows left");
        assert_eq!(wording::decision(&unjudged), "none");
        assert_eq!(wording::check_in_short(&judged), "drift found on 70 new rows");
        // Earlier versions of the program called such a check drift.
        let before = check(confusion, DriftVerdict::CannotBeJudged, true);
        let words = wording::check(&before);
        assert!(
            words.starts_with("Only 0 of 40 labelled new rows left") && words.ends_with("decided: drift."),
            "{words}"
        );
    }
}
