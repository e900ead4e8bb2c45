//! The starts of the Newton steps: smartcore's fit on all rows, or on a sample if there are many.

use anyhow::Result;
use common::config::Regularization;
use dataset::likelihood::Parameters;
use dataset::{Sample, TrainingRows, TrainingSummary};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

use crate::newton::Spread;

/// Largest number of rows that smartcore fits; they are spread over all rows.
const SAMPLE: usize = 2000;
/// Largest number of entries of the sample, so that a start with hundreds of columns takes no longer than the steps.
const ENTRIES: usize = 110_000;

/// Returns the starts of the Newton steps, the best one first: smartcore's fit on at most [`SAMPLE`] rows, if it finds
/// one (it finds none if the sample has one class), and then the model that uses only the share of clients that left.
///
/// Both classes must be present in `rows`.
pub fn starts(rows: &dyn TrainingRows, spread: &Spread, regularization: Regularization) -> Result<Vec<Parameters>> {
    let (summary, sample) = (rows.summary(), rows.sample(SAMPLE.min(ENTRIES / rows.design().width()))?);
    let mut starts = Vec::from_iter(fit(&sample, summary.rows, spread, regularization));
    starts.push(class_share(summary, rows.design().width()));
    Ok(starts)
}

fn class_share(summary: &TrainingSummary, width: usize) -> Parameters {
    let (rows, exited) = (summary.rows as f64, summary.exited as f64);
    let mut start = vec![0.0; width];
    start[width - 1] = (exited / (rows - exited)).ln();
    start
}

fn fit(sample: &Sample, rows: u64, spread: &Spread, regularization: Regularization) -> Option<Parameters> {
    // smartcore's minimiser converges best if the columns have similar magnitudes.
    let scale: Vec<f64> =
        spread.standard_deviation.iter().map(|width| if *width > 0.0 { *width } else { 1.0 }).collect();
    let standardise = |row: &Vec<f64>| {
        let mut row = row.clone();
        for ((value, centre), scale) in row.iter_mut().zip(&spread.centre).zip(&scale) {
            *value = (*value - centre) / scale;
        }
        row
    };
    let columns: Vec<Vec<f64>> = sample.columns.iter().map(standardise).collect();
    let target: Vec<u8> = sample.exited.iter().map(|exited| u8::from(*exited)).collect();
    // A sample has less weight against the same penalty than all rows, so the penalty is reduced in proportion.
    let alpha = target.len() as f64 / rows as f64 / regularization.c();
    let parameters = LogisticRegressionParameters::default().with_alpha(alpha);
    let fitted = LogisticRegression::fit(&DenseMatrix::from_2d_vec(&columns).ok()?, &target, parameters).ok()?;
    let mut start: Parameters = fitted.coefficients().iter().copied().collect();
    let mut intercept = *fitted.intercept().iter().next()?;
    for ((coefficient, scale), centre) in start.iter_mut().zip(&scale).zip(&spread.centre) {
        *coefficient /= scale;
        intercept -= *coefficient * centre;
    }
    start.push(intercept);
    start.iter().all(|value| value.is_finite()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newton::minimise;
    use crate::objective::PenalisedLikelihood;
    use crate::objective::tests::{Fabricated, fabricated};

    fn fit_sample(rows: &Fabricated, c: Regularization) -> Option<Parameters> {
        fit(&rows.sample(SAMPLE).unwrap(), rows.summary().rows, &rows.spread(), c)
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
}
