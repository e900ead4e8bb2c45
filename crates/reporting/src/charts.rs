//! The charts of the reports. Each is drawn by one function on any surface: the same code makes the PNG files and the
//! vectors of the PDF. All read in grey: what differs, differs in shape, dash or lightness too.

mod client;
mod plot;
mod quality;
mod trends;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::canvas;

pub use self::client::risk_over_rows;
pub use self::quality::{Quality, calibration, precision_recall, risk_distribution, roc};
pub use self::trends::{MOST_RUNS, Trends, f1_over_time, missing_over_time, seconds_over_time};

/// Width and height of timetrends.png in pixels.
pub const TIME_TRENDS_SIZE: (u32, u32) = (1800, 1980);

/// Width and height of modelquality.png in pixels.
pub const MODEL_QUALITY_SIZE: (u32, u32) = (1800, 1400);

/// Width and height of a figure over the whole width of a page.
const WIDE: (u32, u32) = (800, 300);

/// Width and height of one of two figures side by side.
const HALF: (u32, u32) = (420, 350);

/// Width and height of one on a screen; the letters have about the size of the page's.
const SCREEN: (u32, u32) = (640, 300);

/// The surface of a chart.
pub type Area<Backend> = DrawingArea<Backend, Shift>;

/// The score, the missing values and the seconds over time, one under the other.
pub fn time_trends<B: DrawingBackend>(area: &Area<B>, trends: &Trends) -> Result<()> {
    let [first, second, third] = &area.split_evenly((3, 1))[..] else { return Err(anyhow!("the sheet has no parts")) };
    f1_over_time(first, trends)?;
    missing_over_time(second, trends)?;
    seconds_over_time(third, trends)
}

/// How well the model ranks, how far its probabilities can be believed, and whom it would call: two by two.
pub fn model_quality<B: DrawingBackend>(area: &Area<B>, quality: &Quality) -> Result<()> {
    let [first, second, third, fourth] = &area.split_evenly((2, 2))[..] else {
        return Err(anyhow!("the sheet has no parts"));
    };
    roc(first, quality)?;
    precision_recall(second, quality)?;
    calibration(third, quality)?;
    risk_distribution(fourth, quality)
}

/// A chart as an SVG for the whole width of a page.
pub fn wide(draw: impl FnOnce(&Area<SVGBackend<'_>>) -> Result<()>) -> Result<String> {
    canvas::svg(WIDE, draw)
}

/// A chart as an SVG for a screen, two of them side by side on a wide one.
pub fn screen(draw: impl FnOnce(&Area<SVGBackend<'_>>) -> Result<()>) -> Result<String> {
    canvas::svg(SCREEN, draw)
}

/// A chart as an SVG for half the width of a page.
pub fn half(draw: impl FnOnce(&Area<SVGBackend<'_>>) -> Result<()>) -> Result<String> {
    canvas::svg(HALF, draw)
}

#[cfg(test)]
mod tests;
