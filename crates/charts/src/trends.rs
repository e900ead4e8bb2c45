//! Charts of the score, the missing values and the durations over time.

use anyhow::Result;
use plotters::style::RGBColor;
use statistics::interval::Interval;

use crate::palette::{ACCENT, BAND, INK, QUIET};
use crate::plot::{Axis, DASHED, DOTTED, Dash, Frame, MOST_MARKERS, Plot, SOLID, Sign};
use crate::svg::Area;
use crate::times::time_axis;

/// Beyond this number, deployments are marked only at the upper edge, so that they do not hide the scores.
const MOST_LINES: usize = 20;

/// The data of the charts over time, oldest first. All times are texts in the format `2026-11-25T03:01:45.906Z`, in UTC.
/// Beyond a few hundred runs, the points merge.
pub struct Trends {
    /// F1 scores of live releases, on test data at their deployment and on new rows that could be judged.
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

impl TimeSeries {
    /// Whether a line has more than one point.
    fn is_line(&self) -> bool {
        self.lines.iter().any(|(_, points)| points.len() > 1)
    }
}

/// A chart over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// The F1 scores of the live releases.
    F1,
    /// The percent of missing values in each column of the compiled dataset.
    Missing,
    /// The durations of ingestion and training.
    Seconds,
}

impl Trend {
    /// All charts, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::F1, Self::Missing, Self::Seconds];

    /// What the chart shows.
    pub fn title(self) -> &'static str {
        match self {
            Self::F1 => "F1 of the live model",
            Self::Missing => "Missing values in the compiled dataset",
            Self::Seconds => "Duration of ingestion and training",
        }
    }

    /// Whether there is more than a single point to draw.
    pub fn is_line(self, trends: &Trends) -> bool {
        match self {
            Self::F1 => trends.scores.len() > 1,
            Self::Missing => trends.missing.is_line(),
            Self::Seconds => trends.seconds.is_line(),
        }
    }
}

/// Draws a chart; a text in its place if there are fewer than two points.
pub fn draw(area: &Area, trend: Trend, trends: &Trends) -> Result<()> {
    if !trend.is_line(trends) {
        return Plot::empty(area, trend.title(), "There are fewer than two values, so there is no chart yet.");
    }
    match trend {
        Trend::F1 => f1(area, &trends.scores),
        Trend::Missing => series(area, trend.title(), "missing, %", &trends.missing, 100.0),
        Trend::Seconds => series(area, trend.title(), "seconds", &trends.seconds, f64::INFINITY),
    }
}

fn f1(area: &Area, scores: &[ScorePoint]) -> Result<()> {
    let newest = scores.last().map_or(0.0, |point| point.f1);
    let few = scores.len() <= MOST_MARKERS;
    let (name, labels) = time_axis("deployment or drift check", scores.iter().map(|point| point.time.as_str()));
    let baseline = ("everyone exits", QUIET, Sign::Line(DASHED));
    let interval = ("95 % interval", BAND, Sign::Area);
    let deployment = ("deployment", INK, Sign::Line(DOTTED));
    let frame = Frame {
        title: &format!("{}, newest value {newest:.4}", Trend::F1.title()),
        x: Axis::of_labels(&name, labels),
        y: Axis::of_numbers("F1", (0.0, 1.0), |value| format!("{value:.1}")),
        legend: &match few {
            true => vec![
                ("on test data when deployed", ACCENT, Sign::Dot(true)),
                ("on new rows", ACCENT, Sign::Dot(false)),
                interval,
                baseline,
            ],
            false => vec![("F1", ACCENT, Sign::Line(SOLID)), interval, baseline, deployment],
        },
    };
    let plot = Plot::new(area, &frame)?;
    let points = || scores.iter().enumerate().map(|(index, point)| (index as f64, point));
    let intervals: Vec<_> = points().filter_map(|(x, point)| Some((x, point.interval?))).collect();
    if few {
        for (x, interval) in &intervals {
            plot.line(&[(*x, interval.low), (*x, interval.high)], BAND, 0.4, SOLID)?;
        }
    } else {
        let low = intervals.iter().map(|(x, interval)| (*x, interval.low));
        let high = intervals.iter().rev().map(|(x, interval)| (*x, interval.high));
        plot.shape(&low.chain(high).collect::<Vec<_>>(), BAND)?;
        let deployed: Vec<f64> = points().filter(|(_, point)| point.deployed).map(|(x, _)| x).collect();
        let foot = if deployed.len() <= MOST_LINES { 0.0 } else { 0.95 };
        deployed.iter().try_for_each(|x| plot.line(&[(*x, foot), (*x, 1.0)], INK, 0.06, DOTTED))?;
    }
    let baseline: Vec<_> = points().filter_map(|(x, point)| Some((x, point.baseline?))).collect();
    plot.line(&baseline, QUIET, 0.1, DASHED)?;
    plot.line(&points().map(|(x, point)| (x, point.f1)).collect::<Vec<_>>(), ACCENT, 0.12, SOLID)?;
    match few {
        true => points().try_for_each(|(x, point)| plot.dot((x, point.f1), 0.32, ACCENT, point.deployed)),
        false => Ok(()),
    }
}

fn series(area: &Area, title: &str, unit: &str, series: &TimeSeries, limit: f64) -> Result<()> {
    const STYLES: [(RGBColor, Dash); 5] =
        [(ACCENT, SOLID), (QUIET, DASHED), (INK, DOTTED), (ACCENT, DASHED), (BAND, SOLID)];
    let values = series.lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
    let highest = values.fold(0.0, f64::max);
    let top = if highest > 0.0 { (highest * 1.2).min(limit) } else { 1.0 };
    let styled = || series.lines.iter().zip(STYLES);
    let (name, labels) = time_axis("run", series.times.iter().map(String::as_str));
    let legend: Vec<_> = styled().map(|((name, _), (color, dash))| (name.as_str(), color, Sign::Line(dash))).collect();
    let frame = Frame {
        title,
        x: Axis::of_labels(&name, labels),
        y: Axis::of_numbers(unit, (0.0, top), short),
        legend: &legend,
    };
    let plot = Plot::new(area, &frame)?;
    for ((_, points), (color, dash)) in styled() {
        let points: Vec<_> = points.iter().map(|(index, value)| (*index as f64, *value)).collect();
        plot.line(&points, color, 0.14, dash)?;
        if series.times.len() <= MOST_MARKERS {
            points.into_iter().try_for_each(|point| plot.dot(point, 0.24, color, dash == SOLID))?;
        }
    }
    Ok(())
}

/// A number with at most four decimals and without trailing zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
