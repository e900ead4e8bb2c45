//! Chart of one client's risk, row by row.

use anyhow::Result;
use plotters::prelude::*;

use crate::Area;
use crate::plot::{At, BLUE, DASHED, INK, Plot, QUIET, SOLID};
use crate::words::percent;

/// Beyond this number of points, the line has no dots.
const MOST_MARKERS: usize = 60;

/// Draws the risks of a client's rows under one model, oldest first, and the threshold.
pub fn risk_over_rows<B: DrawingBackend>(area: &Area<B>, risks: &[f64], threshold: f64) -> Result<()> {
    let title = "Risk of leaving, row by row";
    let Some(last) = risks.len().checked_sub(1) else { return Plot::empty(area, title, "there is no row") };
    let plot =
        Plot::new(area, title, ("row of the data, oldest first", "risk"), (-0.5, last as f64 + 0.5), (0.0, 1.0))?;
    plot.vertical_ticks(|value| format!("{:.0} %", 100.0 * value))?;
    plot.labels(&(1..=risks.len()).map(|row| row.to_string()).collect::<Vec<_>>())?;
    plot.legend(&[("risk", BLUE, SOLID), ("counts as leaving", QUIET, DASHED)])?;
    plot.line(&[(-0.5, threshold), (last as f64 + 0.5, threshold)], QUIET, 0.1, DASHED)?;
    let points: Vec<_> = risks.iter().enumerate().map(|(row, risk)| (row as f64, *risk)).collect();
    plot.line(&points, BLUE, 0.14, SOLID)?;
    if points.len() <= MOST_MARKERS {
        points.iter().try_for_each(|point| plot.dot(*point, 0.3, BLUE, true))?;
    }
    let side = if risks[last] > 0.5 { At::Below } else { At::Above };
    plot.label((last as f64, risks[last]), side, &percent(risks[last]), INK)
}
