//! Charts of the score, the missing values and the durations over time.

use std::collections::HashMap;

use anyhow::Result;
use common::model::metrics::Confusion;
use common::production::promotion::Comparison;
use history::{Candidate, ComparisonRow, MissingRow, Operation, TimingRow};
use plotters::prelude::*;
use statistics::interval::{self, Interval};

use super::Area;
use super::plot::{At, BLUE, DASHED, DOTTED, Dash, INK, Plot, QUIET, SKY, SOLID};
use crate::evidence::Past;

/// Beyond this number of points, a line with a band replaces markers and whiskers.
const MOST_MARKERS: usize = 40;

/// Beyond this number, deployments are marked only at the upper edge, so that they do not hide the scores.
const MOST_LINES: usize = 20;

/// Maximum number of runs in a chart; the newest ones are drawn.
pub const MOST_RUNS: usize = 500;

const NOTHING: &str = "no run is recorded yet";

/// The data of the charts over time, oldest first.
pub struct Trends {
    /// F1 scores of live releases, on test data at their deployment and on new rows.
    pub scores: Vec<ScorePoint>,
    /// Percent of missing values per column.
    pub missing: Vec<MissingRow>,
    /// Durations of ingestion and training in seconds.
    pub timings: Vec<TimingRow>,
}

/// An F1 score at a time.
#[derive(Clone, Debug)]
pub struct ScorePoint {
    /// The time in UTC, in the format of the history.
    pub time: String,
    /// The F1 score itself.
    pub f1: f64,
    /// The 95 % confidence interval of the score; `None` if it is unknown.
    pub interval: Option<Interval>,
    /// F1 of the baseline "everyone exits" on the same rows; `None` if the counts are unknown.
    pub constant: Option<f64>,
    /// Whether this is the score that was recorded when a release went live.
    pub deployed: bool,
}

impl Trends {
    /// Extracts the data from the history.
    pub fn of(past: &Past) -> Self {
        let everyone = |challenger| Comparison { challenger, champion: None }.everyone_exits().f1();
        let checks = past.checks.iter().map(|check| ScorePoint {
            time: check.started.clone(),
            f1: check.confusion.f1(),
            interval: check.f1_low.zip(check.f1_high).map(|(low, high)| Interval { low, high }),
            constant: Some(everyone(check.confusion)),
            deployed: false,
        });
        // Computed only for the newest releases, because an interval takes thousands of random draws. A model that went
        // live several times is computed once.
        let shown = past.releases.len().saturating_sub(MOST_RUNS);
        let mut known: HashMap<&str, Option<Confusion>> = HashMap::new();
        let mut intervals: HashMap<&str, Option<Interval>> = HashMap::new();
        let releases = past.releases[shown..].iter().map(|row| &row.switch).map(|release| {
            let of_it = |row: &&ComparisonRow| {
                row.promotion.challenger_sha256 == release.model_sha256 && row.compared.model == Candidate::NewModel
            };
            let model = release.model_sha256.as_str();
            let counted = *known
                .entry(model)
                .or_insert_with(|| past.comparisons.iter().rfind(of_it).map(|row| row.compared.confusion));
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
        Self { scores: newest(scores), missing: newest(past.missing.clone()), timings: newest(past.timings.clone()) }
    }
}

/// Draws the F1 scores of the live releases.
pub fn f1_over_time<B: DrawingBackend>(area: &Area<B>, trends: &Trends) -> Result<()> {
    let scores = &trends.scores;
    let title = "F1 of the live model: on test data when deployed, then on new rows";
    let Some(last) = scores.len().checked_sub(1) else { return Plot::empty(area, title, NOTHING) };
    let plot = Plot::new(area, title, ("deployment or check (UTC)", "F1"), ends(last), (0.0, 1.0))?;
    plot.vertical_ticks(|value| format!("{value:.1}"))?;
    plot.labels(&times(scores.iter().map(|point| &point.time)))?;
    plot.legend(&[("F1, 95 %", BLUE, SOLID), ("everyone exits", QUIET, DASHED), ("deployed", INK, DOTTED)])?;
    let few = scores.len() <= MOST_MARKERS;
    let at = |point: usize, value: f64| (point as f64, value);
    let intervals: Vec<_> =
        scores.iter().enumerate().filter_map(|(place, point)| Some((place, point.interval?))).collect();
    if few {
        for (place, interval) in &intervals {
            plot.line(&[at(*place, interval.low), at(*place, interval.high)], SKY, 0.35, SOLID)?;
        }
    } else {
        let low = intervals.iter().map(|(place, interval)| at(*place, interval.low));
        let high = intervals.iter().rev().map(|(place, interval)| at(*place, interval.high));
        plot.shape(&low.chain(high).collect::<Vec<_>>(), SKY)?;
    }
    let deployed: Vec<usize> = (0..scores.len()).filter(|place| scores[*place].deployed).collect();
    let foot = if deployed.len() <= MOST_LINES { 0.0 } else { 0.95 };
    for place in deployed {
        plot.line(&[at(place, foot), at(place, 1.0)], INK, 0.06, DOTTED)?;
    }
    let constant: Vec<_> =
        scores.iter().enumerate().filter_map(|(place, point)| Some(at(place, point.constant?))).collect();
    plot.line(&constant, QUIET, 0.1, DASHED)?;
    if let [(x, y)] = constant[..] {
        plot.line(&[(x - 0.1, y), (x + 0.1, y)], QUIET, 0.1, DASHED)?;
    }
    let line: Vec<_> = scores.iter().enumerate().map(|(place, point)| at(place, point.f1)).collect();
    plot.line(&line, BLUE, 0.12, SOLID)?;
    if few {
        for (place, point) in scores.iter().enumerate() {
            plot.dot(at(place, point.f1), 0.3, BLUE, point.deployed)?;
        }
    }
    if let Some(point) = scores.last() {
        let side = if last == 0 { At::Right } else { At::Above };
        plot.label(
            at(last, point.interval.filter(|_| last > 0).map_or(point.f1, |i| i.high)),
            side,
            &format!("{:.4}", point.f1),
            INK,
        )?;
    }
    Ok(())
}

/// Function that returns one column's percent of missing values in a row.
type Percent = fn(&MissingRow) -> Option<f64>;

/// Draws the percent of missing values in each column of the compiled dataset.
pub fn missing_over_time<B: DrawingBackend>(area: &Area<B>, trends: &Trends) -> Result<()> {
    let rows = &trends.missing;
    let title = "Missing values in the compiled dataset";
    let Some(last) = rows.len().checked_sub(1) else { return Plot::empty(area, title, NOTHING) };
    let columns: [(&str, Percent, RGBColor, Dash); 5] = [
        ("corporation", |row| row.corporation, INK, SOLID),
        ("last month", |row| row.lastmonth_activity, BLUE, SOLID),
        ("last year", |row| row.lastyear_activity, BLUE, DASHED),
        ("employees", |row| row.number_of_employees, QUIET, DOTTED),
        ("exited", |row| row.exited, SKY, SOLID),
    ];
    let all = rows.iter().flat_map(|row| columns.iter().filter_map(|(_, value, ..)| value(row)));
    let highest = all.fold(0.0, f64::max);
    let top = if highest > 0.0 { (highest * 1.2).min(100.0) } else { 1.0 };
    let plot = Plot::new(area, title, ("run (UTC)", "missing, %"), ends(last), (0.0, top))?;
    plot.vertical_ticks(short)?;
    plot.labels(&times(rows.iter().map(|row| &row.started)))?;
    plot.legend(&columns.map(|(name, _, color, dash)| (name, color, dash)))?;
    for (_, value, color, dash) in columns {
        let points: Vec<_> =
            rows.iter().enumerate().filter_map(|(place, row)| Some((place as f64, value(row)?))).collect();
        plot.line(&points, color, 0.14, dash)?;
        if rows.len() <= MOST_MARKERS {
            points.into_iter().try_for_each(|point| plot.dot(point, 0.2, color, true))?;
        }
    }
    Ok(())
}

/// Draws the durations of ingestion and training.
pub fn seconds_over_time<B: DrawingBackend>(area: &Area<B>, trends: &Trends) -> Result<()> {
    let kinds = [(Operation::Ingestion, BLUE, SOLID), (Operation::Training, QUIET, DASHED)];
    let drawn = |row: &&TimingRow| kinds.iter().any(|(operation, ..)| *operation == row.operation);
    let rows: Vec<_> = trends.timings.iter().filter(drawn).collect();
    let title = "How long the steps take";
    let Some(last) = rows.len().checked_sub(1) else { return Plot::empty(area, title, NOTHING) };
    let longest = rows.iter().map(|row| row.seconds).fold(0.0, f64::max);
    let top = if longest > 0.0 { longest * 1.2 } else { 1.0 };
    let plot = Plot::new(area, title, ("run (UTC)", "seconds"), ends(last), (0.0, top))?;
    plot.vertical_ticks(short)?;
    plot.labels(&times(rows.iter().map(|row| &row.started)))?;
    plot.legend(&kinds.map(|(operation, color, dash)| (operation.as_str(), color, dash)))?;
    for (operation, color, dash) in kinds {
        let points: Vec<_> = (0..)
            .zip(&rows)
            .filter(|(_, row)| row.operation == operation)
            .map(|(place, row)| (f64::from(place), row.seconds))
            .collect();
        plot.line(&points, color, 0.14, dash)?;
        if rows.len() <= MOST_MARKERS {
            points.into_iter().try_for_each(|point| plot.dot(point, 0.25, color, operation == Operation::Ingestion))?;
        }
    }
    Ok(())
}

/// The last [`MOST_RUNS`] entries.
fn newest<T>(mut rows: Vec<T>) -> Vec<T> {
    rows.split_off(rows.len().saturating_sub(MOST_RUNS))
}

/// Limits of the horizontal axis for the positions 0 to `last`: at least half a position is added on each side, so that
/// a single point is in the middle.
fn ends(last: usize) -> (f64, f64) {
    let room = (last as f64 * 0.03).max(0.5);
    (-room, last as f64 + room)
}

/// Short forms of times in the history: month, day, hour and minute, or the date with its year if the times span
/// several years.
fn times<'a>(times: impl Iterator<Item = &'a String>) -> Vec<String> {
    let times: Vec<&String> = times.collect();
    let year = |time: &String| time.get(..4).unwrap_or_default().to_owned();
    let one_year = times.first().map(|time| year(time)) == times.last().map(|time| year(time));
    let shown = if one_year { 5..16 } else { 0..10 };
    times.iter().map(|time| time.get(shown.clone()).unwrap_or(time).replace('T', " ")).collect()
}

/// A number with at most four decimals and without trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
