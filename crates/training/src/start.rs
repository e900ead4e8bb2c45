//! The starts of the Newton steps: smartcore's fit on all rows, or on a sample if there are many.
//!
//! A few rows may have a value far from all others, such as 2^53 for a number that is missing. Newton's method needs a
//! step for each unit of such a row's log-odds, which may be 25 units from those of a poor start. So the fit of the
//! sample limits its values, and a coefficient that a far value contradicts starts near 0, where that row balances the
//! others.

use anyhow::Result;
use common::config::Regularization;
use common::model::probability;
use dataset::basis::Basis;
use dataset::likelihood::Parameters;
use dataset::{Sample, TrainingRows, TrainingSummary};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

use crate::newton::Spread;
use crate::objective::{Objective, PenalisedLikelihood};

/// Largest number of rows that smartcore fits; they are spread over all rows.
const SAMPLE: usize = 2000;
/// Largest number of entries of the sample, so that a start with hundreds of columns takes no longer than the steps.
const ENTRIES: usize = 110_000;
/// Limit of the sample's values, in standard deviations of a normal distribution with the same middle.
const LIMIT: f64 = 10.0;
/// Log-odds that no ordinary row has: a single value that adds more is either a strong argument for the coefficient or
/// contradicts it.
const FAR: f64 = 100.0;
/// How much lower than at the minimum the log-odds of a far row are guessed at first, so that its slope is larger than
/// the error of the other rows' slope.
const LESS: f64 = 4.0;

/// Returns the starts of the Newton steps, the best one first: smartcore's fit on at most [`SAMPLE`] rows, if it finds
/// one (it finds none if the sample has one class), and then the model that uses only the share of clients that left.
///
/// Both classes must be present in `rows`.
pub fn starts(rows: &dyn TrainingRows, spread: &Spread, regularization: Regularization) -> Result<Vec<Parameters>> {
    let (summary, sample) = (rows.summary(), rows.sample(SAMPLE.min(ENTRIES / rows.design().width()))?);
    let sample = Standardised::of(&sample, summary.rows, spread, regularization);
    let mut starts = Vec::new();
    if let Some((start, _)) = sample.fit(&[]) {
        starts.push(uncontradicted(start, &sample, rows, regularization)?);
    }
    starts.push(class_share(summary, rows.design().width()));
    Ok(starts)
}

fn class_share(summary: &TrainingSummary, width: usize) -> Parameters {
    let (rows, exited) = (summary.rows as f64, summary.exited as f64);
    let mut start = vec![0.0; width];
    start[width - 1] = (exited / (rows - exited)).ln();
    start
}

/// Fits the sample again without the numbers whose coefficients in `start` are contradicted by a far value. Whether one
/// is, only all rows can tell, because the sample need not contain the value.
fn uncontradicted(
    mut start: Parameters,
    sample: &Standardised,
    rows: &dyn TrainingRows,
    regularization: Regularization,
) -> Result<Parameters> {
    let objective = PenalisedLikelihood::new(rows, regularization);
    let basis = Basis::centred(rows.design(), &sample.spread.centre);
    let at = |start: &Parameters| objective.at(&basis, &basis.of_parameters(start));
    let mut contradicted: Vec<usize> = Vec::new();
    for (j, farthest) in sample.spread.farthest.iter().enumerate() {
        if (start[j] * farthest).abs() > FAR {
            let without = [contradicted.as_slice(), &[j]].concat();
            let Some((mut other, slopes)) = sample.fit(&without) else { continue };
            let there = at(&other)?;
            if there.value < at(&start)?.value {
                for (j, slope) in without.iter().zip(slopes) {
                    // All rows have the slope of the sample, and the far row, whose slope falls by e per unit of its
                    // log-odds, the rest. Beyond the minimum the rest is lost in the sample's error.
                    let ratio = ((there.gradient[*j] - slope) / slope).abs().max(0.5);
                    let change = ratio.ln() * slope.signum() / sample.spread.farthest[*j].abs();
                    other[*j] += change;
                    *other.last_mut().unwrap_or(&mut 0.0) -= change * sample.spread.centre[*j];
                }
                (start, contradicted) = (other, without);
            }
        }
    }
    Ok(start)
}

/// A sample whose numbers are centred, scaled and limited.
struct Standardised<'a> {
    rows: Vec<Vec<f64>>,
    exited: Vec<u8>,
    /// What each number was divided by.
    scale: Vec<f64>,
    spread: &'a Spread,
    /// Number of rows for which one row of the sample stands.
    weight: f64,
    regularization: Regularization,
}

impl<'a> Standardised<'a> {
    fn of(sample: &Sample, rows: u64, spread: &'a Spread, regularization: Regularization) -> Self {
        let column = |j: usize| sample.columns.iter().map(|row| row[j]).collect();
        let scale: Vec<f64> =
            (0..spread.centre.len()).map(|j| scale(column(j), spread.standard_deviation[j])).collect();
        let standardise = |row: &Vec<f64>| {
            let mut row = row.clone();
            for ((value, centre), scale) in row.iter_mut().zip(&spread.centre).zip(&scale) {
                *value = ((*value - centre) / scale).clamp(-LIMIT, LIMIT);
            }
            row
        };
        Self {
            rows: sample.columns.iter().map(standardise).collect(),
            exited: sample.exited.iter().map(|exited| u8::from(*exited)).collect(),
            scale,
            spread,
            weight: rows as f64 / sample.columns.len() as f64,
            regularization,
        }
    }

    /// Fits the sample without the numbers in `contradicted`. Returns the start and, for each of these numbers, the slope
    /// Σ (pᵢ − yᵢ) xᵢ of all rows but the far one. The number's coefficient is a little smaller than the one with which
    /// the far row balances this slope.
    fn fit(&self, contradicted: &[usize]) -> Option<(Parameters, Vec<f64>)> {
        let mut rows = self.rows.clone();
        for row in &mut rows {
            contradicted.iter().for_each(|j| row[*j] = 0.0);
        }
        // A sample has less weight against the same penalty than all rows, so the penalty is reduced in proportion.
        let alpha = 1.0 / (self.weight * self.regularization.c());
        let parameters = LogisticRegressionParameters::default().with_alpha(alpha);
        let fitted = LogisticRegression::fit(&DenseMatrix::from_2d_vec(&rows).ok()?, &self.exited, parameters).ok()?;
        let coefficients: Vec<f64> = fitted.coefficients().iter().copied().collect();
        let intercept = *fitted.intercept().iter().next()?;

        let mut start: Parameters = coefficients.clone();
        start.iter_mut().zip(&self.scale).for_each(|(coefficient, scale)| *coefficient /= scale);
        let of_row = |row: &Vec<f64>| intercept + row.iter().zip(&coefficients).map(|(x, beta)| x * beta).sum::<f64>();
        let log_odds: Vec<f64> = rows.iter().map(of_row).collect();
        let slopes: Vec<f64> = contradicted.iter().map(|j| self.slope(*j, &log_odds)).collect();
        for (j, slope) in contradicted.iter().zip(&slopes) {
            // The slope of the far row is x e⁻ᶻ if its log-odds are z in favour of its class.
            let farthest = self.spread.farthest[*j].abs();
            start[*j] = ((farthest / slope.abs()).ln() - LESS).max(0.0).copysign(*slope) / farthest;
        }
        let centres = start.iter().zip(&self.spread.centre).map(|(coefficient, centre)| coefficient * centre);
        start.push(intercept - centres.sum::<f64>());
        start.iter().all(|value| value.is_finite()).then_some((start, slopes))
    }

    /// Returns the slope of number j over all rows, as the sample suggests it, without the far values.
    fn slope(&self, j: usize, log_odds: &[f64]) -> f64 {
        let rows = self.rows.iter().zip(log_odds).zip(&self.exited).filter(|((row, _), _)| row[j].abs() < LIMIT);
        let slope = |((row, log_odds), exited): ((&Vec<f64>, &f64), &u8)| {
            row[j] * (probability(*log_odds) - f64::from(*exited))
        };
        self.weight * self.scale[j] * rows.map(slope).sum::<f64>()
    }
}

/// Returns the standard deviation of a normal distribution whose middle 90 % are as wide as those of `values`. If these
/// are all equal, returns `otherwise`, or 1 if that is 0.
fn scale(mut values: Vec<f64>, otherwise: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values.get((share * values.len() as f64) as usize).copied().unwrap_or(0.0);
    let width = at(0.95) - at(0.05);
    [width / 3.29, otherwise, 1.0].into_iter().find(|scale| *scale > 0.0).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newton::minimise;
    use crate::objective::tests::{Fabricated, fabricated};

    fn fit_sample(rows: &Fabricated, c: Regularization) -> Option<Parameters> {
        Standardised::of(&rows.sample(SAMPLE).unwrap(), rows.summary().rows, &rows.spread(), c)
            .fit(&[])
            .map(|(start, _)| start)
    }

    #[test]
    fn smartcore_starts_near_the_optimum() {
        let c = Regularization::new(1.0).unwrap();
        for n in [500, 10_000] {
            let rows = fabricated(n);
            let objective = PenalisedLikelihood::new(&rows, c);
            let from =
                |start: Parameters| minimise(&objective, rows.design(), &rows.spread(), &start).unwrap().unwrap();
            let (from_sample, from_nothing) = (from(fit_sample(&rows, c).unwrap()), from(vec![0.0; 4]));
            assert!(from_sample.steps < from_nothing.steps, "{from_sample:?} {from_nothing:?}");
        }
    }

    #[test]
    fn a_sample_of_one_class_still_gives_a_start() {
        let columns = [vec![1.0; 5000], vec![2.0; 5000], vec![3.0; 5000]];
        let mut target = vec![0.0; 5000];
        target[1] = 1.0; // between two sampled rows
        let rows = Fabricated::new(columns, target);
        let c = Regularization::new(1.0).unwrap();
        assert!(fit_sample(&rows, c).is_none());
        let starts = starts(&rows, &rows.spread(), c).unwrap();
        assert_eq!(starts, [[0.0, 0.0, 0.0, (1.0f64 / 4999.0).ln()]]);
    }

    #[test]
    fn one_value_far_from_all_others_costs_few_steps() {
        let c = Regularization::new(1.0).unwrap();
        let (columns, weak) = testkit::signal(10_000);
        let strong: Vec<f64> = (0..10_000).map(|row| f64::from((columns[0][row] < 120.0) != (row % 21 == 0))).collect();
        for (target, column) in [(&weak, 0), (&weak, 1), (&weak, 2), (&strong, 0)] {
            // Row 100 is in the sample, the others are not.
            for (row, exited) in [100, 101, 102, 103].into_iter().flat_map(|row| [(row, 0.0), (row, 1.0)]) {
                let (mut columns, mut target) = (columns.clone(), target.clone());
                (columns[column][row], target[row]) = (2f64.powi(53) - 1.0, exited);
                let rows = Fabricated::new(columns, target);
                let (objective, spread) = (PenalisedLikelihood::new(&rows, c), rows.spread());
                let start = starts(&rows, &spread, c).unwrap().remove(0);
                let optimum = minimise(&objective, rows.design(), &spread, &start).unwrap().unwrap();
                assert!(optimum.steps <= 6, "column {column}, row {row}, exited {exited}: {optimum:?}");
            }
        }
    }
}
