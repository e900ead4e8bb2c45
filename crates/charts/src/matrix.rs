//! The confusion matrix: the predicted and the actual outcomes of the test clients.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use statistics::confusion::Confusion;

use crate::numbers::{grouped, percent};
use crate::palette::{ACCENT, INK, QUIET};
use crate::svg::{Area, Lettering, write};

/// Width of the figure in pixels.
const WIDTH: f64 = 900.0;
/// Upper left corner of the first cell.
const LEFT: f64 = 110.0;
const TOP: f64 = 150.0;
/// Width and height of a cell.
const CELL: (f64, f64) = (380.0, 196.0);
const GAP: f64 = 6.0;
/// Space that a text must leave at the edges of a cell or of the figure.
const EDGE: f64 = 18.0;

/// The share of the accent colour in a cell that contains everything; text is readable on it in light and dark colours.
const STRONGEST: f64 = 0.5;

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
    let (bold, normal, small) =
        (Lettering::new(26.4, INK).bold(), Lettering::new(24.0, INK), Lettering::new(21.6, QUIET));
    let line = |text: &str, y: f64, lettering: Lettering| {
        write(area, text, (14.0, y), lettering.left_aligned().fitted(text, WIDTH - 2.0 * EDGE))
    };
    line(&format!("Confusion matrix: F1 {:.4}, n = {}", confusion.f1(), grouped(confusion.n())), 29.0, bold)?;
    line(&format!("release {release}, threshold {threshold}"), 66.0, small)?;

    let rows = [
        ("stayed", [(true_negatives, "true negatives"), (false_positives, "false positives")]),
        ("left", [(false_negatives, "false negatives"), (true_positives, "true positives")]),
    ];
    for (row, (outcome, cells)) in rows.into_iter().enumerate() {
        let top = TOP + row as f64 * (CELL.1 + GAP);
        let center = top + CELL.1 / 2.0;
        write(area, outcome, (LEFT - 28.0, center), Lettering { upwards: true, ..normal })?;
        let total = cells[0].0 + cells[1].0;
        for (column, (count, name)) in cells.into_iter().enumerate() {
            let left = LEFT + column as f64 * (CELL.0 + GAP);
            let share = if total == 0 { 0.0 } else { count as f64 / total as f64 };
            let corners = [(left as i32, top as i32), ((left + CELL.0) as i32, (top + CELL.1) as i32)];
            let fail = |error| anyhow!("drawing a cell: {error}");
            area.draw(&Rectangle::new(corners, ACCENT.mix(STRONGEST * share).filled())).map_err(fail)?;
            area.draw(&Rectangle::new(corners, INK)).map_err(fail)?;
            let of_row = match total {
                0 => format!("no client {outcome}"),
                _ => format!("{} of the {} who {outcome}", percent(share), grouped(total)),
            };
            let cell = |text: &str, below: f64, lettering: Lettering| {
                let at = (left + CELL.0 / 2.0, center + below);
                write(area, text, at, lettering.fitted(text, CELL.0 - 2.0 * EDGE))
            };
            cell(name, -58.0, Lettering { color: INK, ..small })?;
            cell(&grouped(count), 0.0, Lettering::new(54.0, INK).bold())?;
            cell(&of_row, 58.0, Lettering { color: INK, ..small })?;
        }
    }
    write(area, "actual", (32.0, TOP + CELL.1), Lettering { upwards: true, ..normal })?;
    for (column, outcome) in ["predicted to stay", "predicted to leave"].into_iter().enumerate() {
        write(area, outcome, (LEFT + (column as f64 + 0.5) * CELL.0, TOP - 28.0), normal)?;
    }
    let rate = |of: u64, what: &str| match of {
        0 => "undefined".to_owned(),
        _ => format!("{} {what}", percent(true_positives as f64 / of as f64)),
    };
    let precision = rate(true_positives + false_positives, "of those predicted to leave have left");
    let recall = rate(true_positives + false_negatives, "of those who left were predicted to leave");
    let foot = TOP + 2.0 * CELL.1 + GAP;
    line(&format!("precision: {precision}"), foot + 36.0, Lettering { color: INK, ..small })?;
    line(&format!("recall: {recall}"), foot + 70.0, Lettering { color: INK, ..small })?;
    let files = small.shortened(&format!("test data: {}", data.join(", ")), WIDTH - 2.0 * EDGE);
    line(&files, foot + 108.0, small)
}
