//! Chart of one client's risk, row by row.

use anyhow::Result;

use crate::numbers::{percent, whole_percent};
use crate::palette::{ACCENT, QUIET};
use crate::plot::{Axis, DASHED, Frame, MOST_MARKERS, Plot, SOLID, Sign};
use crate::svg::Area;

/// Draws the risks of a client's rows under one model, oldest first, with a label for each row, and the threshold.
pub fn risk_over_rows(area: &Area, rows: &[(String, f64)], threshold: f64) -> Result<()> {
    let newest = rows.last().map_or(0.0, |(_, risk)| *risk);
    let frame = Frame {
        title: &format!("Risk of leaving, {} by the newest row", percent(newest)),
        x: Axis::of_labels("rows of the data, oldest first", rows.iter().map(|(label, _)| label.clone()).collect()),
        y: Axis::of_numbers("risk", (0.0, 1.0), whole_percent),
        legend: &[("risk", ACCENT, Sign::Line(SOLID)), ("threshold", QUIET, Sign::Line(DASHED))],
    };
    let ends = frame.x.limits();
    let plot = Plot::new(area, &frame)?;
    plot.line(&[(ends.0, threshold), (ends.1, threshold)], QUIET, 0.1, DASHED)?;
    let points: Vec<_> = rows.iter().enumerate().map(|(row, (_, risk))| (row as f64, *risk)).collect();
    plot.line(&points, ACCENT, 0.14, SOLID)?;
    if points.len() <= MOST_MARKERS {
        points.iter().try_for_each(|point| plot.dot(*point, 0.3, ACCENT, true))?;
    }
    Ok(())
}
