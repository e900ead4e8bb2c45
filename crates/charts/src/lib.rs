//! The charts of the reports. One function draws each chart on any surface: the same code makes the PNG files and the
//! vector graphics of the PDF. All charts are readable in greyscale: elements also differ in shape, dash pattern or
//! lightness.

pub mod canvas;
mod client;
pub mod confusion_matrix;
mod plot;
mod quality;
mod trends;
pub mod words;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

pub use self::client::risk_over_rows;
pub use self::quality::{Quality, calibration, precision_recall, risk_distribution, roc};
pub use self::trends::{MOST_RUNS, ScorePoint, Trends, f1_over_time, missing_over_time, seconds_over_time};

/// Width and height of timetrends.png in pixels.
pub const TIME_TRENDS_SIZE: (u32, u32) = (1800, 1980);

/// Width and height of modelquality.png in pixels.
pub const MODEL_QUALITY_SIZE: (u32, u32) = (1800, 1400);

/// Width and height of a figure that spans the whole width of a page.
const WIDE: (u32, u32) = (800, 300);

/// Width and height of one of two figures side by side.
const HALF: (u32, u32) = (420, 350);

/// Width and height of a figure on a web page; its letters have about the same size as the page's text.
const SCREEN: (u32, u32) = (640, 300);

/// The surface on which a chart is drawn.
pub type Area<Backend> = DrawingArea<Backend, Shift>;

/// Draws the score, the missing values and the durations over time, one below the other.
pub fn time_trends<B: DrawingBackend>(area: &Area<B>, trends: &Trends) -> Result<()> {
    let [first, second, third] = &area.split_evenly((3, 1))[..] else { return Err(anyhow!("the sheet has no parts")) };
    f1_over_time(first, trends)?;
    missing_over_time(second, trends)?;
    seconds_over_time(third, trends)
}

/// Draws the ROC curve, precision and recall, the calibration and the risk distribution in two rows of two.
pub fn model_quality<B: DrawingBackend>(area: &Area<B>, quality: &Quality) -> Result<()> {
    let [first, second, third, fourth] = &area.split_evenly((2, 2))[..] else {
        return Err(anyhow!("the sheet has no parts"));
    };
    roc(first, quality)?;
    precision_recall(second, quality)?;
    calibration(third, quality)?;
    risk_distribution(fourth, quality)
}

/// Draws a chart as an SVG for the whole width of a page.
pub fn wide(draw: impl FnOnce(&Area<SVGBackend<'_>>) -> Result<()>) -> Result<String> {
    canvas::svg(WIDE, draw)
}

/// Draws a chart as an SVG for a web page; two fit side by side on a wide screen.
pub fn screen(draw: impl FnOnce(&Area<SVGBackend<'_>>) -> Result<()>) -> Result<String> {
    canvas::svg(SCREEN, draw)
}

/// Draws a chart as an SVG for half the width of a page.
pub fn half(draw: impl FnOnce(&Area<SVGBackend<'_>>) -> Result<()>) -> Result<String> {
    canvas::svg(HALF, draw)
}

#[cfg(test)]
mod tests;
