//! The confusion matrix: the predicted and the actual outcomes of the test clients.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use statistics::confusion::Confusion;

use crate::numbers::{grouped, percent};
use crate::svg::{Area, INK, Lettering, QUIET, write};

/// Width and height in pixels.
pub const SIZE: (u32, u32) = (1800, 1580);

const LEFT: f64 = 340.0;
const TOP: f64 = 340.0;
const CELL: (f64, f64) = (660.0, 500.0);

/// The counts and what they refer to.
pub struct Matrix<'a> {
    /// Counts of the test rows by predicted and actual outcome.
    pub confusion: Confusion,
    /// Id of the release that predicted.
    pub release: &'a str,
    /// The risk from which a client is predicted to leave.
    pub threshold: f64,
    /// Names of the files of the test data.
    pub data: &'a [String],
}

/// Draws the four counts with their share of the row (of all who stayed, or of all who left); the shade grows with the
/// share.
pub fn draw(area: &Area, matrix: &Matrix) -> Result<()> {
    let Matrix { confusion, release, threshold, data } = matrix;
    let Confusion { true_positives, false_positives, false_negatives, true_negatives } = *confusion;
    let middle = f64::from(SIZE.0) / 2.0;
    let label = Lettering::new(40.0, INK);
    let upwards = Lettering { upwards: true, ..label };
    let title = format!("Confusion matrix: F1 {:.4}, n = {}", confusion.f1(), grouped(confusion.n()));
    write(area, &title, (middle, 76.0), Lettering { bold: true, ..Lettering::new(50.0, INK) })?;
    let subtitle = format!("release {release}, threshold {threshold}");
    write(area, &subtitle, (middle, 152.0), Lettering::new(34.0, QUIET))?;
    write(area, "predicted", (LEFT + CELL.0, 228.0), label)?;
    write(area, "actual", (120.0, TOP + CELL.1), upwards)?;

    let rows = [
        ("stayed", [(true_negatives, "true negatives"), (false_positives, "false positives")]),
        ("left", [(false_negatives, "false negatives"), (true_positives, "true positives")]),
    ];
    for (row, (outcome, cells)) in rows.into_iter().enumerate() {
        let top = TOP + row as f64 * CELL.1;
        write(area, outcome, (LEFT - 90.0, top + CELL.1 / 2.0), upwards)?;
        let total = cells[0].0 + cells[1].0;
        for (column, (count, name)) in cells.into_iter().enumerate() {
            let left = LEFT + column as f64 * CELL.0;
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            let corners = [(left as i32, top as i32), ((left + CELL.0) as i32 - 8, (top + CELL.1) as i32 - 8)];
            let fail = |error| anyhow!("drawing a cell: {error}");
            area.draw(&Rectangle::new(corners, shade(share).filled())).map_err(fail)?;
            area.draw(&Rectangle::new(corners, INK)).map_err(fail)?;
            let ink = if share > 0.66 { WHITE } else { INK }; // both colours are equally readable at this shade
            let center = |below: f64| (left + CELL.0 / 2.0, top + CELL.1 / 2.0 + below);
            let of_row = match total {
                0 => format!("no client {outcome}"),
                _ => format!("{} of the {} who {outcome}", percent(share), grouped(total)),
            };
            write(area, name, center(-105.0), Lettering::new(36.0, ink))?;
            write(area, &grouped(count), center(-5.0), Lettering { bold: true, ..Lettering::new(88.0, ink) })?;
            write(area, &of_row, center(105.0), Lettering::new(36.0, ink))?;
        }
    }
    for (column, outcome) in ["to stay", "to leave"].into_iter().enumerate() {
        write(area, outcome, (LEFT + (column as f64 + 0.5) * CELL.0, TOP - 44.0), label)?;
    }
    let rate = |of: u64, what: &str| match of {
        0 => "undefined".to_owned(),
        _ => format!("{} {what}", percent(true_positives as f64 / of as f64)),
    };
    let precision = rate(true_positives + false_positives, "of those predicted to leave have left");
    let recall = rate(true_positives + false_negatives, "of those who left were predicted to leave");
    let notes = [
        (format!("precision: {precision}"), INK),
        (format!("recall: {recall}"), INK),
        (format!("test data: {}", shortened(&data.join(", "))), QUIET),
    ];
    notes.iter().zip([60.0, 112.0, 172.0]).try_for_each(|((note, color), below)| {
        write(area, note, (middle, TOP + 2.0 * CELL.1 + below), Lettering::new(34.0, *color))
    })
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
