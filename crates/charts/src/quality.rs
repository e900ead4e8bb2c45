//! Charts that show how well the model ranks the test rows and how reliable its probabilities are.

use anyhow::Result;
use plotters::prelude::*;
use statistics::interval::proportion;
use statistics::ranking::{CalibrationBin, Pair, Ranking, brier, calibration as bins};

use crate::Area;
use crate::plot::{At, BLUE, DASHED, INK, PALE, Plot, QUIET, SKY, SOLID};
use crate::words::{grouped, percent};

/// Number of groups of clients with similar risk in the calibration chart.
const GROUPS: usize = 10;

/// Number of bars in the risk distribution.
const BARS: usize = 20;

const ONE_CLASS: &str = "only one outcome among the test rows: nothing to rank";

/// The labelled test rows with the model's predictions.
pub struct Quality {
    ranking: Option<Ranking>,
    bins: Vec<CalibrationBin>,
    brier: f64,
    risks: Vec<f64>,
    threshold: f64,
    /// False positive rate, recall and precision at the threshold.
    chosen: (f64, f64, f64),
    /// The share of rows whose client left.
    base: f64,
}

impl Quality {
    /// Evaluates pairs of risk and outcome at `threshold`.
    pub fn new(pairs: &[Pair], threshold: f64) -> Self {
        let count = |wanted: fn(&Pair) -> bool| pairs.iter().filter(|pair| wanted(pair)).count() as f64;
        let left = count(|(_, left)| *left);
        let called =
            |outcome| pairs.iter().filter(|(risk, left)| *risk >= threshold && *left == outcome).count() as f64;
        let (found, wrongly) = (called(true), called(false));
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        Self {
            ranking: Ranking::new(pairs),
            bins: bins(pairs, GROUPS).unwrap_or_default(),
            brier: brier(pairs).unwrap_or(0.0),
            risks: pairs.iter().map(|(risk, _)| *risk).collect(),
            threshold,
            chosen: (share(wrongly, pairs.len() as f64 - left), share(found, left), share(found, found + wrongly)),
            base: share(left, pairs.len() as f64),
        }
    }

    /// The area under the ROC curve; `None` if all rows have the same outcome.
    pub fn auc(&self) -> Option<f64> {
        self.ranking.as_ref().map(Ranking::auc)
    }
}

/// Draws the ROC curve (receiver operating characteristic).
pub fn roc<B: DrawingBackend>(area: &Area<B>, quality: &Quality) -> Result<()> {
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, "ROC", ONE_CLASS) };
    let title = format!("ROC: AUC {:.4}", ranking.auc());
    let names = ("called of those who stayed", "called of those who left");
    let plot = Plot::new(area, &title, names, (0.0, 1.0), (0.0, 1.0))?;
    percents(&plot)?;
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], QUIET, 0.08, DASHED)?;
    plot.label((0.62, 0.5), At::Right, "by chance", QUIET)?;
    let points: Vec<_> =
        ranking.roc().iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
    plot.line(&points, BLUE, 0.16, SOLID)?;
    plot.dot((quality.chosen.0, quality.chosen.1), 0.35, INK, false)?;
    // Below and to the right of the point, where the curve does not run.
    plot.label((quality.chosen.0 + 0.02, quality.chosen.1 - 0.06), At::Right, &threshold(quality), INK)
}

/// Draws precision against recall.
pub fn precision_recall<B: DrawingBackend>(area: &Area<B>, quality: &Quality) -> Result<()> {
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, "Precision and recall", ONE_CLASS) };
    let title = format!("Average precision {:.4}", ranking.average_precision());
    let names = ("recall: found of those who left", "precision: left of those called");
    let plot = Plot::new(area, &title, names, (0.0, 1.0), (0.0, 1.0))?;
    percents(&plot)?;
    plot.line(&[(0.0, quality.base), (1.0, quality.base)], QUIET, 0.08, DASHED)?;
    let everyone = format!("everyone called: {}", percent(quality.base));
    plot.label((0.3, quality.base), if quality.base > 0.1 { At::Below } else { At::Above }, &everyone, QUIET)?;
    // Between two thresholds, precision is constant until recall rises.
    let mut steps = Vec::new();
    for pair in ranking.precision_recall().windows(2) {
        steps.extend([(pair[0].recall, pair[1].precision), (pair[1].recall, pair[1].precision)]);
    }
    plot.line(&steps, BLUE, 0.16, SOLID)?;
    plot.dot((quality.chosen.1, quality.chosen.2), 0.35, INK, false)?;
    plot.label((quality.chosen.1 - 0.32, quality.chosen.2 - 0.09), At::Right, &threshold(quality), INK)
}

/// Draws the observed share of exits against the predicted risk.
pub fn calibration<B: DrawingBackend>(area: &Area<B>, quality: &Quality) -> Result<()> {
    let title = format!("Calibration: Brier score {:.4}", quality.brier);
    let names = ("predicted: mean risk of a group of clients", "observed: left of them");
    let plot = Plot::new(area, &title, names, (0.0, 1.0), (0.0, 1.0))?;
    percents(&plot)?;
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], QUIET, 0.08, DASHED)?;
    plot.legend(&[("groups", BLUE, SOLID), ("95 %", INK, SOLID), ("perfect", QUIET, DASHED)])?;
    for bin in &quality.bins {
        if let Some(interval) = proportion(bin.left, bin.clients) {
            plot.line(&[(bin.predicted, interval.low), (bin.predicted, interval.high)], INK, 0.08, SOLID)?;
        }
    }
    let points: Vec<_> = quality.bins.iter().map(|bin| (bin.predicted, bin.observed)).collect();
    plot.line(&points, BLUE, 0.1, SOLID)?;
    points.into_iter().try_for_each(|point| plot.dot(point, 0.3, BLUE, true))
}

/// Draws the distribution of the test rows' risks.
pub fn risk_distribution<B: DrawingBackend>(area: &Area<B>, quality: &Quality) -> Result<()> {
    let mut bars = [0u64; BARS];
    for risk in &quality.risks {
        bars[((risk * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let above = quality.risks.iter().filter(|risk| **risk >= quality.threshold).count();
    let (n, share) = (quality.risks.len(), above as f64 / quality.risks.len().max(1) as f64);
    let title = format!("Risk: {} of {} test rows from the threshold on", percent(share), grouped(n as u64));
    let highest = bars.iter().copied().max().unwrap_or(0).max(1) as f64;
    let names = ("risk of leaving", "test rows");
    let plot = Plot::new(area, &title, names, (0.0, 1.0), (0.0, highest * 1.15))?;
    // Only whole numbers of clients.
    plot.vertical_ticks(|value| if value.fract() == 0.0 { grouped(value as u64) } else { String::new() })?;
    plot.horizontal_ticks(whole_percent)?;
    for (place, count) in bars.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let ends = (place as f64 / BARS as f64, (place + 1) as f64 / BARS as f64);
        let color = if ends.0 + 1e-9 >= quality.threshold { BLUE } else { SKY };
        plot.bar(ends, count as f64, color)?;
    }
    plot.line(&[(quality.threshold, 0.0), (quality.threshold, highest * 1.15)], INK, 0.12, DASHED)?;
    plot.label((quality.threshold, highest * 1.1), At::Right, &threshold(quality), INK)
}

fn percents<B: DrawingBackend>(plot: &Plot<B>) -> Result<()> {
    plot.vertical_ticks(whole_percent)?;
    plot.horizontal_ticks(whole_percent)?;
    plot.line(&[(1.0, 0.0), (1.0, 1.0)], PALE, 0.05, SOLID)
}

fn whole_percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn threshold(quality: &Quality) -> String {
    format!("threshold {}", quality.threshold)
}
