//! The confusion matrix: the predicted and the actual outcomes of the test clients.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, FontTransform, TextStyle};
use scoring::Outcome;

use crate::canvas::FONT;
use crate::words::grouped;

/// Width and height in pixels: twice what a screen needs, because plotters places letters at whole pixels.
pub const SIZE: (u32, u32) = (1800, 1580);

const LEFT: i32 = 340;
const TOP: i32 = 340;
const CELL: (i32, i32) = (660, 500);
const INK: RGBColor = RGBColor(34, 34, 34);
const QUIET: RGBColor = RGBColor(90, 90, 90);

/// Draws the four counts with their share of the row (of all who stayed, or of all who left); the shade grows with the
/// share.
pub fn draw<B: DrawingBackend>(area: &DrawingArea<B, Shift>, score: &Outcome) -> Result<()> {
    let matrix = score.confusion;
    let text = |what: &str, (x, y): (i32, i32), size: i32, color: RGBColor, style: FontStyle, turned: bool| {
        let font = FontDesc::new(FontFamily::Name(FONT), f64::from(size), style);
        let font = if turned { font.transform(FontTransform::Rotate270) } else { font };
        let centred = TextStyle::from(font).color(&color).pos(Pos::new(HPos::Center, VPos::Center));
        area.draw(&Text::new(what.to_owned(), (x, y), centred)).map_err(|error| anyhow!("drawing text: {error}"))
    };
    let middle = LEFT + CELL.0;
    let title = format!("Who was predicted to leave, and who left: F1 {:.4}, n = {}", score.f1, grouped(score.n));
    text(&title, (SIZE.0 as i32 / 2, 76), 50, INK, FontStyle::Bold, false)?;
    let release = format!("release {}, threshold {}", score.model, score.threshold.value());
    text(&release, (SIZE.0 as i32 / 2, 152), 34, QUIET, FontStyle::Normal, false)?;
    text("predicted by the model", (middle, 236), 40, INK, FontStyle::Normal, false)?;
    text("what became of the client", (120, TOP + CELL.1), 40, INK, FontStyle::Normal, true)?;

    let rows = [
        ("stayed", matrix.true_negatives, matrix.false_positives),
        ("left", matrix.false_negatives, matrix.true_positives),
    ];
    for (row, (outcome, to_stay, to_leave)) in (0..).zip(rows) {
        let center_y = TOP + row * CELL.1 + CELL.1 / 2;
        text(outcome, (LEFT - 90, center_y), 40, INK, FontStyle::Normal, true)?;
        let total = to_stay + to_leave;
        for (column, count) in (0..).zip([to_stay, to_leave]) {
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            let corner = (LEFT + column * CELL.0, TOP + row * CELL.1);
            let opposite = (corner.0 + CELL.0 - 8, corner.1 + CELL.1 - 8);
            let fail = |error| anyhow!("drawing a cell: {error}");
            area.draw(&Rectangle::new([corner, opposite], shade(share).filled())).map_err(fail)?;
            area.draw(&Rectangle::new([corner, opposite], INK)).map_err(fail)?;
            let ink = if share > 0.66 { WHITE } else { INK }; // both colours are equally readable at this shade
            let center_x = corner.0 + CELL.0 / 2;
            text(&grouped(count), (center_x, center_y - 44), 88, ink, FontStyle::Bold, false)?;
            let percent = match total {
                0 => format!("nobody {outcome}"),
                _ => format!("{:.1} % of the {} who {outcome}", 100.0 * share, grouped(total)),
            };
            text(&percent, (center_x, center_y + 72), 36, ink, FontStyle::Normal, false)?;
        }
    }
    for (column, label) in (0..).zip(["to stay", "to leave"]) {
        text(label, (LEFT + column * CELL.0 + CELL.0 / 2, TOP - 44), 40, INK, FontStyle::Normal, false)?;
    }
    let percent = |part: u64, of: u64| match of {
        0 => "– ".to_owned(), // the row is empty, so there is no share
        _ => format!("{:.1} %", 100.0 * part as f64 / of as f64),
    };
    let (found, predicted) = (matrix.true_positives, matrix.true_positives + matrix.false_positives);
    let rates = format!(
        "precision {} (of those predicted to leave, left)      recall {} (of those who left, foreseen)",
        percent(found, predicted),
        percent(found, matrix.true_positives + matrix.false_negatives)
    );
    text(&rates, (SIZE.0 as i32 / 2, TOP + 2 * CELL.1 + 76), 34, INK, FontStyle::Normal, false)?;
    let data = format!("test data: {}", shortened(&score.data.join(", ")));
    text(&data, (SIZE.0 as i32 / 2, TOP + 2 * CELL.1 + 144), 34, QUIET, FontStyle::Normal, false)
}

/// A colour from white to dark blue. Its lightness is monotone, so that it is also readable in greyscale.
fn shade(share: f64) -> RGBColor {
    let mix = |from: f64, to: f64| (from + (to - from) * share).round() as u8;
    RGBColor(mix(247.0, 8.0), mix(251.0, 69.0), mix(255.0, 148.0))
}

/// The beginning of a text that fits on one line.
fn shortened(text: &str) -> String {
    const FITS: usize = 70;
    match text.char_indices().nth(FITS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_between_characters() {
        assert_eq!(shortened("größe.csv"), "größe.csv");
        assert_eq!(shortened(&"ö".repeat(80)), format!("{}…", "ö".repeat(70)));
    }

    #[test]
    fn shades_darken_with_the_share() {
        let lightness = |share| {
            let RGBColor(r, g, b) = shade(share);
            0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
        };
        assert!((1..=10).all(|i| lightness(f64::from(i) / 10.0) < lightness(f64::from(i - 1) / 10.0)));
    }
}
