//! Figures as SVG, and PNG made from the same SVG. Plain numbers go in, a text or bytes come out.
//!
//! All text uses a font that is embedded in the program, so a server without fonts and screen draws the same bytes. All
//! figures are readable in greyscale: elements also differ in shape, dash pattern or lightness. On a web page, [`themed`]
//! lets the style sheet choose the colours.

mod client;
pub mod font;
mod matrix;
pub mod numbers;
mod palette;
mod plot;
mod quality;
mod svg;
mod times;
mod trends;

use anyhow::Result;
use statistics::ranking::Pair;

pub use self::matrix::Matrix;
pub use self::palette::themed;
use self::quality::Quality;
use self::svg::{Area, svg};
pub use self::svg::{Tree, png, tree};
pub use self::trends::{ScorePoint, TimeSeries, Trend, Trends};

/// Width and height in pixels of a figure that needs half the width of a page.
const HALF: (u32, u32) = (900, 700);
/// Width and height in pixels of a figure over time.
const LONG: (u32, u32) = (1400, 440);

/// Draws the confusion matrix with precision and recall: 900 × 700 pixels.
pub fn confusion_matrix(matrix: &Matrix) -> Result<String> {
    svg(HALF, |area| matrix::draw(area, matrix))
}

/// The figures of the model's quality that follow the confusion matrix.
const QUALITY: [fn(&Area, &Quality) -> Result<()>; 5] =
    [quality::reached, quality::roc, quality::precision_recall, quality::calibration, quality::risk_distribution];

/// Draws the confusion matrix, the leavers reached by calls, the ROC curve, precision and recall, the calibration and the
/// risk distribution: 900 × 700 pixels each. `pairs` are the predicted risk and the outcome of each test row.
pub fn quality_figures(matrix: &Matrix, pairs: &[Pair]) -> Result<[String; 6]> {
    let quality = Quality::new(pairs, matrix.threshold);
    let [reached, roc, precision_recall, calibration, distribution] =
        QUALITY.map(|draw| svg(HALF, |area| draw(area, &quality)));
    Ok([confusion_matrix(matrix)?, reached?, roc?, precision_recall?, calibration?, distribution?])
}

/// Draws the same six figures in three rows of two: 1800 × 2100 pixels.
pub fn model_quality(matrix: &Matrix, pairs: &[Pair]) -> Result<String> {
    let quality = Quality::new(pairs, matrix.threshold);
    svg((2 * HALF.0, 3 * HALF.1), |area| {
        let mut areas = area.split_evenly((3, 2)).into_iter();
        areas.by_ref().take(1).try_for_each(|area| matrix::draw(&area, matrix))?;
        QUALITY.iter().zip(areas).try_for_each(|(draw, area)| draw(&area, &quality))
    })
}

/// Draws the score, the missing values and the durations over time, one below the other: 1400 × 1320 pixels. A text
/// takes the place of a chart that would have a single point.
pub fn time_trends(trends: &Trends) -> Result<String> {
    svg((LONG.0, 3 * LONG.1), |area| {
        let areas = area.split_evenly((Trend::ALL.len(), 1));
        Trend::ALL.into_iter().zip(areas).try_for_each(|(trend, area)| trends::draw(&area, trend, trends))
    })
}

/// Draws one of these charts: 1400 × 440 pixels; `None` if it would have a single point.
pub fn trend(trend: Trend, trends: &Trends) -> Result<Option<String>> {
    trend.is_line(trends).then(|| svg(LONG, |area| trends::draw(area, trend, trends))).transpose()
}

/// Draws the risks of a client's rows under one model, oldest first, and the threshold: 1400 × 440 pixels. Each row has a
/// label, such as its date or its file. `None` if there are fewer than two rows.
pub fn client_risks(rows: &[(String, f64)], threshold: f64) -> Result<Option<String>> {
    (rows.len() > 1).then(|| svg(LONG, |area| client::risk_over_rows(area, rows, threshold))).transpose()
}
