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

/// Returns the starts of the Newton steps, the best one first: smartcore's fit on at most [`SAMPLE`] rows, if it finds
/// one (it finds none if the sample has one class), and then the model that uses only the share of clients that left.
///
/// Both classes must be present in `rows`.
pub fn starts(rows: &dyn TrainingRows, spread: &Spread, regularization: Regularization) -> Result<Vec<Parameters>> {
    let (summary, sample) = (rows.summary(), rows.sample(SAMPLE)?);
    let mut starts = Vec::from_iter(fit(&sample, summary.rows, spread, regularization));
    starts.push(class_share(summary));
    Ok(starts)
}

fn class_share(summary: &TrainingSummary) -> Parameters {
    let (rows, exited) = (summary.rows as f64, summary.exited as f64);
    [0.0, 0.0, 0.0, (exited / (rows - exited)).ln()]
}

fn fit(sample: &Sample, rows: u64, spread: &Spread, regularization: Regularization) -> Option<Parameters> {
    // smartcore's minimiser converges best if the predictors have similar magnitudes.
    let scale = spread.standard_deviation.map(|width| if width > 0.0 { width } else { 1.0 });
    let standardise = |row: &[f64; 3]| (0..3).map(|j| (row[j] - spread.centre[j]) / scale[j]).collect();
    let predictors: Vec<Vec<f64>> = sample.predictors.iter().map(standardise).collect();
    let target: Vec<u8> = sample.exited.iter().map(|exited| u8::from(*exited)).collect();
    // A sample has less weight against the same penalty than all rows, so the penalty is reduced in proportion.
    let alpha = target.len() as f64 / rows as f64 / regularization.c();
    let parameters = LogisticRegressionParameters::default().with_alpha(alpha);
    let fitted = LogisticRegression::fit(&DenseMatrix::from_2d_vec(&predictors).ok()?, &target, parameters).ok()?;
    let coefficients = fitted.coefficients().iter().copied().chain(fitted.intercept().iter().copied());
    let [mut start @ .., mut intercept]: Parameters = coefficients.collect::<Vec<f64>>().try_into().ok()?;
    for j in 0..3 {
        start[j] /= scale[j];
        intercept -= start[j] * spread.centre[j];
    }
    let [b1, b2, b3] = start;
    let start = [b1, b2, b3, intercept];
    start.iter().all(|value| value.is_finite()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newton::minimise;
    use crate::objective::PenalisedLikelihood;
    use crate::objective::tests::{Fabricated, fabricated};

    fn fit_sample(rows: &Fabricated, c: Regularization) -> Option<Parameters> {
        fit(&rows.sample(SAMPLE).unwrap(), rows.summary().rows, &Spread::of(rows.summary()), c)
    }

    #[test]
    fn smartcore_starts_near_the_optimum() {
        let c = Regularization::new(1.0).unwrap();
        for n in [500, 10_000] {
            let rows = fabricated(n);
            let objective = PenalisedLikelihood::new(&rows, c);
            let from = |start| minimise(&objective, &Spread::of(rows.summary()), &start).unwrap().unwrap();
            let (from_sample, from_nothing) = (from(fit_sample(&rows, c).unwrap()), from([0.0; 4]));
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
        let starts = starts(&rows, &Spread::of(rows.summary()), c).unwrap();
        assert_eq!(starts, [[0.0, 0.0, 0.0, (1.0f64 / 4999.0).ln()]]);
    }
}
