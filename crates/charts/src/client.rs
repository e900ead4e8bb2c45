//! Chart of one client's risk, row by row.

use anyhow::Result;

use crate::numbers::{percent, whole_percent};
use crate::plot::{At, BLUE, DASHED, MOST_MARKERS, Plot, SOLID};
use crate::svg::{Area, INK, QUIET};

/// Draws the risks of a client's rows under one model, oldest first, and the threshold.
pub fn risk_over_rows(area: &Area, risks: &[f64], threshold: f64) -> Result<()> {
    let title = "Risk of leaving, row by row";
    let Some(last) = risks.len().checked_sub(1) else { return Plot::empty(area, title, "there is no row") };
    let ends = (-0.5, last as f64 + 0.5);
    let plot = Plot::new(area, title, ("row of the data, oldest first", "risk"), ends, (0.0, 1.0))?;
    plot.vertical_ticks(whole_percent)?;
    plot.labels(&(1..=risks.len()).map(|row| row.to_string()).collect::<Vec<_>>())?;
    plot.legend(&[("risk", BLUE, SOLID), ("threshold", QUIET, DASHED)])?;
    plot.line(&[(ends.0, threshold), (ends.1, threshold)], QUIET, 0.1, DASHED)?;
    let points: Vec<_> = risks.iter().enumerate().map(|(row, risk)| (row as f64, *risk)).collect();
    plot.line(&points, BLUE, 0.14, SOLID)?;
    if points.len() <= MOST_MARKERS {
        points.iter().try_for_each(|point| plot.dot(*point, 0.3, BLUE, true))?;
    }
    let side = if risks[last] > 0.5 { At::Below } else { At::Above };
    plot.label((last as f64, risks[last]), side, &percent(risks[last]), INK)
}
