//! Charts that show how well the model ranks the test rows and how reliable its probabilities are.

use anyhow::Result;
use plotters::style::RGBColor;
use statistics::confusion::Confusion;
use statistics::interval::proportion;
use statistics::ranking::{self, Pair, Ranking, brier};

use crate::numbers::{grouped, percent, whole_percent};
use crate::palette::{ACCENT, BAND, GRID, INK, QUIET};
use crate::plot::{Axis, DASHED, Frame, Plot, SOLID, Sign};
use crate::svg::Area;

/// Number of groups of clients with similar risk in the calibration chart.
const GROUPS: usize = 10;

/// Number of bars in the risk distribution.
const BARS: usize = 20;

const ONE_CLASS: &str = "all test rows have the same outcome";

/// The predicted risk and the outcome of each labelled test row.
pub struct Quality<'a> {
    pairs: &'a [Pair],
    ranking: Option<Ranking>,
    risk_of_threshold: f64,
    /// The name of the point that belongs to the threshold.
    threshold: String,
    /// Counts at the threshold.
    confusion: Confusion,
}

/// The entry of the legend for the model's curve.
const MODEL: (&str, RGBColor, Sign) = ("model", ACCENT, Sign::Line(SOLID));

impl<'a> Quality<'a> {
    /// Evaluates pairs of risk and outcome at `threshold`.
    pub fn new(pairs: &'a [Pair], threshold: f64) -> Self {
        let mut confusion = Confusion::default();
        pairs.iter().for_each(|(risk, left)| confusion.add(*risk >= threshold, *left));
        Self {
            pairs,
            ranking: Ranking::new(pairs),
            risk_of_threshold: threshold,
            threshold: format!("threshold {threshold}"),
            confusion,
        }
    }

    fn false_positive_rate(&self) -> f64 {
        let Confusion { false_positives, true_negatives, .. } = self.confusion;
        false_positives as f64 / (false_positives + true_negatives).max(1) as f64
    }
}

/// Draws the ROC curve (receiver operating characteristic).
pub fn roc(area: &Area, quality: &Quality) -> Result<()> {
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, "ROC curve", ONE_CLASS) };
    let title = format!("ROC curve: AUC {:.4}", ranking.auc());
    let names = ("false positive rate", "true positive rate");
    let legend = [MODEL, ("chance level", QUIET, Sign::Line(DASHED)), ring(&quality.threshold)];
    let plot = share_plot(area, &title, names, [(0.0, 0.0), (1.0, 1.0)], &legend)?;
    let points: Vec<_> =
        ranking.roc().iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
    plot.line(&points, ACCENT, 0.18, SOLID)?;
    plot.dot((quality.false_positive_rate(), quality.confusion.recall()), 0.38, INK, false)
}

/// Draws the share of all leavers that are reached by calling clients in the order of their risk.
pub fn reached(area: &Area, quality: &Quality) -> Result<()> {
    const TITLE: &str = "Leavers reached by calls in the order of risk";
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, TITLE, ONE_CLASS) };
    let clients = quality.pairs.len() as f64;
    let left = quality.pairs.iter().filter(|(_, left)| *left).count() as f64;
    let called = |positive: f64, negative: f64| (positive * left + negative * (clients - left)) / clients;
    let names = ("share of the clients called", "share of the leavers reached");
    let legend = [MODEL, ("at random", QUIET, Sign::Line(DASHED)), ring(&quality.threshold)];
    let plot = share_plot(area, TITLE, names, [(0.0, 0.0), (1.0, 1.0)], &legend)?;
    let points = ranking.roc().into_iter().map(|point| {
        let rate = point.true_positive_rate;
        (called(rate, point.false_positive_rate), rate)
    });
    plot.line(&points.collect::<Vec<_>>(), ACCENT, 0.18, SOLID)?;
    let recall = quality.confusion.recall();
    plot.dot((called(recall, quality.false_positive_rate()), recall), 0.38, INK, false)
}

/// Draws precision against recall.
pub fn precision_recall(area: &Area, quality: &Quality) -> Result<()> {
    let Some(ranking) = &quality.ranking else { return Plot::empty(area, "Precision and recall", ONE_CLASS) };
    let title = format!("Precision and recall: average precision {:.4}", ranking.average_precision());
    let Confusion { true_positives, false_negatives, .. } = quality.confusion;
    let base = (true_positives + false_negatives) as f64 / quality.pairs.len().max(1) as f64;
    let chance = format!("chance level {}", percent(base));
    let legend = [MODEL, (chance.as_str(), QUIET, Sign::Line(DASHED)), ring(&quality.threshold)];
    let plot = share_plot(area, &title, ("recall", "precision"), [(0.0, base), (1.0, base)], &legend)?;
    // Between two thresholds, precision is constant until recall rises.
    let mut steps = Vec::new();
    for pair in ranking.precision_recall().windows(2) {
        steps.extend([(pair[0].recall, pair[1].precision), (pair[1].recall, pair[1].precision)]);
    }
    plot.line(&steps, ACCENT, 0.18, SOLID)?;
    plot.dot((quality.confusion.recall(), quality.confusion.precision()), 0.38, INK, false)
}

/// Draws the observed share of exits against the predicted risk.
pub fn calibration(area: &Area, quality: &Quality) -> Result<()> {
    let bins = ranking::calibration(quality.pairs, GROUPS).unwrap_or_default();
    let title = format!("Calibration: Brier score {:.4}", brier(quality.pairs).unwrap_or(0.0));
    let names = ("mean predicted risk of a group of clients", "share of the group that left");
    let legend = [
        ("groups", ACCENT, Sign::Dot(true)),
        ("95 % interval", INK, Sign::Line(SOLID)),
        ("perfect", QUIET, Sign::Line(DASHED)),
    ];
    let plot = share_plot(area, &title, names, [(0.0, 0.0), (1.0, 1.0)], &legend)?;
    for bin in &bins {
        if let Some(interval) = proportion(bin.left, bin.clients) {
            plot.line(&[(bin.predicted, interval.low), (bin.predicted, interval.high)], INK, 0.09, SOLID)?;
        }
    }
    let points: Vec<_> = bins.iter().map(|bin| (bin.predicted, bin.observed)).collect();
    plot.line(&points, ACCENT, 0.1, SOLID)?;
    points.into_iter().try_for_each(|point| plot.dot(point, 0.3, ACCENT, true))
}

/// Draws the distribution of the test rows' risks.
pub fn risk_distribution(area: &Area, quality: &Quality) -> Result<()> {
    let Quality { pairs, risk_of_threshold: threshold, .. } = quality;
    let mut bars = [0u64; BARS];
    for (risk, _) in *pairs {
        bars[((risk * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let top = bars.iter().copied().max().unwrap_or(0).max(1) as f64 * 1.1;
    let Confusion { true_positives, false_positives, .. } = quality.confusion;
    let share = (true_positives + false_positives) as f64 / pairs.len().max(1) as f64;
    // Only whole numbers of clients.
    let clients = |value: f64| if value.fract() == 0.0 { grouped(value as u64) } else { String::new() };
    let frame = Frame {
        title: &format!("Predicted risk of the {} test rows", grouped(pairs.len() as u64)),
        x: Axis::of_numbers("risk of leaving", (0.0, 1.0), whole_percent),
        y: Axis::of_numbers("test rows", (0.0, top), clients),
        legend: &[(
            &format!("{}, reached by {} of the rows", quality.threshold, percent(share)),
            INK,
            Sign::Line(DASHED),
        )],
    };
    let plot = Plot::new(area, &frame)?;
    for (index, count) in bars.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        let ends = (index as f64 / BARS as f64, (index + 1) as f64 / BARS as f64);
        let color = if ends.0 + 1e-9 >= *threshold { ACCENT } else { BAND };
        plot.bar(ends, count as f64, color)?;
    }
    plot.line(&[(*threshold, 0.0), (*threshold, top)], INK, 0.12, DASHED)
}

/// The entry of the legend for the point at the threshold.
fn ring(name: &str) -> (&str, RGBColor, Sign) {
    (name, INK, Sign::Dot(false))
}

/// A chart of two shares, with percentages along both axes and a baseline.
fn share_plot<'a>(
    area: &Area<'a>,
    title: &str,
    names: (&str, &str),
    baseline: [(f64, f64); 2],
    legend: &[(&str, RGBColor, Sign)],
) -> Result<Plot<'a>> {
    let share = |name| Axis::of_numbers(name, (0.0, 1.0), whole_percent);
    let plot = Plot::new(area, &Frame { title, x: share(names.0), y: share(names.1), legend })?;
    plot.line(&[(1.0, 0.0), (1.0, 1.0)], GRID, 0.05, SOLID)?;
    plot.line(&baseline, QUIET, 0.1, DASHED)?;
    Ok(plot)
}
