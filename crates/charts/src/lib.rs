//! Figures as SVG, and PNG made from the same SVG. Plain numbers go in, a text or bytes come out.
//!
//! All text uses a font that is embedded in the program, so a server without fonts and screen draws the same bytes. All
//! figures are readable in greyscale: elements also differ in shape, dash pattern or lightness.

mod client;
mod matrix;
pub mod numbers;
mod plot;
mod quality;
mod svg;
mod trends;

use anyhow::Result;
use statistics::ranking::Pair;

pub use self::matrix::Matrix;
pub use self::svg::{Tree, png, tree};
pub use self::trends::{ScorePoint, TimeSeries, Trends};
use self::{quality::Quality, svg::svg};

/// Draws the confusion matrix with precision and recall: 1800 × 1580 pixels.
pub fn confusion_matrix(matrix: &Matrix) -> Result<String> {
    svg(matrix::SIZE, |area| matrix::draw(area, matrix))
}

/// Draws the ROC curve, precision and recall, the calibration and the risk distribution in two rows of two: 1800 × 1400
/// pixels. `pairs` are the predicted risk and the outcome of each test row.
pub fn model_quality(pairs: &[Pair], threshold: f64) -> Result<String> {
    let quality = Quality::new(pairs, threshold);
    svg((1800, 1400), |area| {
        let charts = [quality::roc, quality::precision_recall, quality::calibration, quality::risk_distribution];
        charts.iter().zip(area.split_evenly((2, 2))).try_for_each(|(draw, area)| draw(&area, &quality))
    })
}

/// Draws the score, the missing values and the durations over time, one below the other: 1800 × 1980 pixels.
pub fn time_trends(trends: &Trends) -> Result<String> {
    svg((1800, 1980), |area| {
        let charts = [trends::f1_over_time, trends::missing_over_time, trends::seconds_over_time];
        charts.iter().zip(area.split_evenly((3, 1))).try_for_each(|(draw, area)| draw(&area, trends))
    })
}

/// Draws the risks of a client's rows under one model, oldest first, and the threshold: 1280 × 600 pixels.
pub fn client_risks(risks: &[f64], threshold: f64) -> Result<String> {
    svg((1280, 600), |area| client::risk_over_rows(area, risks, threshold))
}
