//! Charts of the score, the missing values and the durations over time.

use anyhow::Result;
use plotters::style::RGBColor;
use statistics::interval::Interval;

use crate::plot::{At, BLUE, DASHED, DOTTED, Dash, MOST_MARKERS, Plot, SKY, SOLID};
use crate::svg::{Area, INK, QUIET};

/// Beyond this number, deployments are marked only at the upper edge, so that they do not hide the scores.
const MOST_LINES: usize = 20;

const NO_RUN: &str = "no run is recorded yet";

/// The data of the charts over time, oldest first. All times are texts in the format `2026-11-25T03:01:45.906Z`, in UTC.
/// Beyond a few hundred runs, the points merge.
pub struct Trends {
    /// F1 scores of live releases, on test data at their deployment and on new rows.
    pub scores: Vec<ScorePoint>,
    /// Percent of missing values per column, from 0 to 100.
    pub missing: TimeSeries,
    /// Durations of ingestion and training in seconds.
    pub seconds: TimeSeries,
}

/// An F1 score at a time.
#[derive(Clone, Debug)]
pub struct ScorePoint {
    /// When the score was computed.
    pub time: String,
    /// The F1 score itself.
    pub f1: f64,
    /// The 95 % confidence interval of the score; `None` if it is unknown.
    pub interval: Option<Interval>,
    /// F1 of the baseline "everyone exits" on the same rows; `None` if the counts are unknown.
    pub baseline: Option<f64>,
    /// Whether this is the score that was recorded when a release went live.
    pub deployed: bool,
}

/// Several quantities over the same times.
#[derive(Debug, Default)]
pub struct TimeSeries {
    /// When the quantities were measured.
    pub times: Vec<String>,
    /// Name of each quantity, and its known values with their indices in `times`. At most five are drawn.
    pub lines: Vec<(String, Vec<(usize, f64)>)>,
}

/// Draws the F1 scores of the live releases.
pub fn f1_over_time(area: &Area, trends: &Trends) -> Result<()> {
    let scores = &trends.scores;
    let title = "F1 of the live model: on test data when deployed, then on new rows";
    let Some(last) = scores.len().checked_sub(1) else { return Plot::empty(area, title, NO_RUN) };
    let plot = Plot::new(area, title, ("deployment or drift check (UTC)", "F1"), ends(last), (0.0, 1.0))?;
    plot.vertical_ticks(|value| format!("{value:.1}"))?;
    plot.labels(&short_times(scores.iter().map(|point| &point.time)))?;
    plot.legend(&[("F1, 95 %", BLUE, SOLID), ("everyone exits", QUIET, DASHED), ("deployed", INK, DOTTED)])?;
    let few = scores.len() <= MOST_MARKERS;
    let points = || scores.iter().enumerate().map(|(index, point)| (index as f64, point));
    let intervals: Vec<_> = points().filter_map(|(x, point)| Some((x, point.interval?))).collect();
    if few {
        for (x, interval) in &intervals {
            plot.line(&[(*x, interval.low), (*x, interval.high)], SKY, 0.35, SOLID)?;
        }
    } else {
        let low = intervals.iter().map(|(x, interval)| (*x, interval.low));
        let high = intervals.iter().rev().map(|(x, interval)| (*x, interval.high));
        plot.shape(&low.chain(high).collect::<Vec<_>>(), SKY)?;
    }
    let deployed: Vec<f64> = points().filter(|(_, point)| point.deployed).map(|(x, _)| x).collect();
    let foot = if deployed.len() <= MOST_LINES { 0.0 } else { 0.95 };
    deployed.iter().try_for_each(|x| plot.line(&[(*x, foot), (*x, 1.0)], INK, 0.06, DOTTED))?;
    let baseline: Vec<_> = points().filter_map(|(x, point)| Some((x, point.baseline?))).collect();
    plot.line(&baseline, QUIET, 0.1, DASHED)?;
    if let [(x, y)] = baseline[..] {
        plot.line(&[(x - 0.1, y), (x + 0.1, y)], QUIET, 0.1, DASHED)?;
    }
    plot.line(&points().map(|(x, point)| (x, point.f1)).collect::<Vec<_>>(), BLUE, 0.12, SOLID)?;
    if few {
        points().try_for_each(|(x, point)| plot.dot((x, point.f1), 0.3, BLUE, point.deployed))?;
    }
    let newest = &scores[last];
    let (side, y) = match newest.interval {
        Some(interval) if last > 0 => (At::Above, interval.high),
        _ => (At::Right, newest.f1),
    };
    plot.label((last as f64, y), side, &format!("{:.4}", newest.f1), INK)
}

/// Draws the percent of missing values in each column of the compiled dataset.
pub fn missing_over_time(area: &Area, trends: &Trends) -> Result<()> {
    over_time(area, "Missing values in the compiled dataset", "missing, %", &trends.missing, 100.0)
}

/// Draws the durations of ingestion and training.
pub fn seconds_over_time(area: &Area, trends: &Trends) -> Result<()> {
    over_time(area, "Duration of ingestion and training", "seconds", &trends.seconds, f64::INFINITY)
}

fn over_time(area: &Area, title: &str, unit: &str, series: &TimeSeries, limit: f64) -> Result<()> {
    const STYLES: [(RGBColor, Dash); 5] = [(BLUE, SOLID), (QUIET, DASHED), (INK, DOTTED), (BLUE, DASHED), (SKY, SOLID)];
    let Some(last) = series.times.len().checked_sub(1) else { return Plot::empty(area, title, NO_RUN) };
    let values = series.lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
    let highest = values.fold(0.0, f64::max);
    let top = if highest > 0.0 { (highest * 1.2).min(limit) } else { 1.0 };
    let plot = Plot::new(area, title, ("run (UTC)", unit), ends(last), (0.0, top))?;
    plot.vertical_ticks(short)?;
    plot.labels(&short_times(series.times.iter()))?;
    let styled = || series.lines.iter().zip(STYLES);
    plot.legend(&styled().map(|((name, _), (color, dash))| (name.as_str(), color, dash)).collect::<Vec<_>>())?;
    for ((_, points), (color, dash)) in styled() {
        let points: Vec<_> = points.iter().map(|(index, value)| (*index as f64, *value)).collect();
        plot.line(&points, color, 0.14, dash)?;
        if series.times.len() <= MOST_MARKERS {
            points.into_iter().try_for_each(|point| plot.dot(point, 0.22, color, dash == SOLID))?;
        }
    }
    Ok(())
}

/// Limits of the horizontal axis for the positions 0 to `last`: at least half a position is added on each side, so that
/// a single point is in the middle.
fn ends(last: usize) -> (f64, f64) {
    let room = (last as f64 * 0.03).max(0.5);
    (-room, last as f64 + room)
}

/// Short forms of times: month, day, hour and minute, or the date with its year if the times span several years.
fn short_times<'a>(times: impl Iterator<Item = &'a String>) -> Vec<String> {
    let times: Vec<&String> = times.collect();
    let year = |time: &&String| time.get(..4).map(str::to_owned);
    let shown = if times.first().map(year) == times.last().map(year) { 5..16 } else { 0..10 };
    times.iter().map(|time| time.get(shown.clone()).unwrap_or(time).replace('T', " ")).collect()
}

/// A number with at most four decimals and without trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
