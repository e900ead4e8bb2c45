//! Charts that show how well the model ranks the test rows and how reliable its probabilities are.

use anyhow::Result;
use statistics::confusion::Confusion;
use statistics::interval::proportion;
use statistics::ranking::{self, Pair, Ranking, brier};

use crate::numbers::{grouped, percent, whole_percent};
use crate::plot::{At, BLUE, DASHED, PALE, Plot, SKY, SOLID};
use crate::svg::{Area, INK, QUIET};

/// Number of groups of clients with similar risk in the calibration chart.
const GROUPS: usize = 10;

/// Number of bars in the risk distribution.
const BARS: usize = 20;

const ONE_CLASS: &str = "all test rows have the same outcome";

/// The predicted risk and the outcome of each labelled test row.
pub struct Quality<'a> {
    pairs: &'a [Pair],
    ranking: Option<Ranking>,
    threshold: f64,
    /// Counts at the threshold.
    confusion: Confusion,
}

impl<'a> Quality<'a> {
    /// Evaluates pairs of risk and outcome at `threshold`.
    pub fn new(pairs: &'a [Pair], threshold: f64) -> Self {
        let mut confusion = Confusion::default();
        pairs.iter().for_each(|(risk, left)| confusion.add(*risk >= threshold, *left));
        Self { pairs, ranking: Ranking::new(pairs), threshold, confusion }
    }

    /// The label of the point that belongs to the threshold.
    fn threshold(&self) -> String {
        format!("threshold {}", self.threshold)
    }
}

/// Draws the ROC curve (receiver operating characteristic).
pub fn roc(area: &Area, quality: &Quality) -> Result<()> {
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, "ROC curve", ONE_CLASS) };
    let title = format!("ROC curve: AUC {:.4}", ranking.auc());
    let names = ("false positive rate", "true positive rate");
    let plot = share_plot(area, &title, names, [(0.0, 0.0), (1.0, 1.0)])?;
    plot.label((0.62, 0.5), At::Right, "chance level", QUIET)?;
    let points: Vec<_> =
        ranking.roc().iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
    plot.line(&points, BLUE, 0.16, SOLID)?;
    let Confusion { false_positives, true_negatives, .. } = quality.confusion;
    let rate = false_positives as f64 / (false_positives + true_negatives).max(1) as f64;
    let chosen = (rate, quality.confusion.recall());
    plot.dot(chosen, 0.35, INK, false)?;
    // Below and to the right of the point, where the curve does not run.
    plot.label((chosen.0 + 0.02, chosen.1 - 0.06), At::Right, &quality.threshold(), INK)
}

/// Draws precision against recall.
pub fn precision_recall(area: &Area, quality: &Quality) -> Result<()> {
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, "Precision and recall", ONE_CLASS) };
    let title = format!("Precision and recall: average precision {:.4}", ranking.average_precision());
    let Confusion { true_positives, false_negatives, .. } = quality.confusion;
    let base = (true_positives + false_negatives) as f64 / quality.pairs.len().max(1) as f64;
    let plot = share_plot(area, &title, ("recall", "precision"), [(0.0, base), (1.0, base)])?;
    let side = if base > 0.1 { At::Below } else { At::Above };
    plot.label((0.3, base), side, &format!("chance level {}", percent(base)), QUIET)?;
    // Between two thresholds, precision is constant until recall rises.
    let mut steps = Vec::new();
    for pair in ranking.precision_recall().windows(2) {
        steps.extend([(pair[0].recall, pair[1].precision), (pair[1].recall, pair[1].precision)]);
    }
    plot.line(&steps, BLUE, 0.16, SOLID)?;
    let chosen = (quality.confusion.recall(), quality.confusion.precision());
    plot.dot(chosen, 0.35, INK, false)?;
    plot.label((chosen.0 - 0.32, chosen.1 - 0.09), At::Right, &quality.threshold(), INK)
}

/// Draws the observed share of exits against the predicted risk.
pub fn calibration(area: &Area, quality: &Quality) -> Result<()> {
    let bins = ranking::calibration(quality.pairs, GROUPS).unwrap_or_default();
    let title = format!("Calibration: Brier score {:.4}", brier(quality.pairs).unwrap_or(0.0));
    let names = ("mean predicted risk of a group of clients", "share of the group that left");
    let plot = share_plot(area, &title, names, [(0.0, 0.0), (1.0, 1.0)])?;
    plot.legend(&[("groups", BLUE, SOLID), ("95 %", INK, SOLID), ("perfect", QUIET, DASHED)])?;
    for bin in &bins {
        if let Some(interval) = proportion(bin.left, bin.clients) {
            plot.line(&[(bin.predicted, interval.low), (bin.predicted, interval.high)], INK, 0.08, SOLID)?;
        }
    }
    let points: Vec<_> = bins.iter().map(|bin| (bin.predicted, bin.observed)).collect();
    plot.line(&points, BLUE, 0.1, SOLID)?;
    points.into_iter().try_for_each(|point| plot.dot(point, 0.3, BLUE, true))
}

/// Draws the distribution of the test rows' risks.
pub fn risk_distribution(area: &Area, quality: &Quality) -> Result<()> {
    let Quality { pairs, threshold, .. } = quality;
    let mut bars = [0u64; BARS];
    for (risk, _) in *pairs {
        bars[((risk * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let top = bars.iter().copied().max().unwrap_or(0).max(1) as f64 * 1.1;
    let title = format!("Predicted risk of the {} test rows", grouped(pairs.len() as u64));
    let plot = Plot::new(area, &title, ("risk of leaving", "test rows"), (0.0, 1.0), (0.0, top))?;
    // Only whole numbers of clients.
    plot.vertical_ticks(|value| if value.fract() == 0.0 { grouped(value as u64) } else { String::new() })?;
    plot.horizontal_ticks(whole_percent)?;
    for (index, count) in bars.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let ends = (index as f64 / BARS as f64, (index + 1) as f64 / BARS as f64);
        let color = if ends.0 + 1e-9 >= *threshold { BLUE } else { SKY };
        plot.bar(ends, count as f64, color)?;
    }
    plot.line(&[(*threshold, 0.0), (*threshold, top)], INK, 0.12, DASHED)?;
    let Confusion { true_positives, false_positives, .. } = quality.confusion;
    let share = (true_positives + false_positives) as f64 / pairs.len().max(1) as f64;
    let label = format!("{}, reached by {} of the rows", quality.threshold(), percent(share));
    plot.legend(&[(&label, INK, DASHED)])
}

/// A chart of two shares, with percentages along both axes and a baseline.
fn share_plot<'a>(area: &Area<'a>, title: &str, names: (&str, &str), baseline: [(f64, f64); 2]) -> Result<Plot<'a>> {
    let plot = Plot::new(area, title, names, (0.0, 1.0), (0.0, 1.0))?;
    plot.vertical_ticks(whole_percent)?;
    plot.horizontal_ticks(whole_percent)?;
    plot.line(&[(1.0, 0.0), (1.0, 1.0)], PALE, 0.05, SOLID)?;
    plot.line(&baseline, QUIET, 0.08, DASHED)?;
    Ok(plot)
}
