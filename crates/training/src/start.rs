//! Where the Newton steps begin: smartcore's fit, on a sample of the rows where there are many.

use common::config::Regularization;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

use crate::objective::{Parameters, Rows};

/// Rows that smartcore sees at most, evenly spaced over all.
pub const SAMPLE: usize = 2000;

/// The parameters that smartcore finds on at most [`SAMPLE`] rows.
///
/// Where it finds none (a sample of one class, numbers that overflow), [`class_share`].
pub fn start(rows: &Rows, regularization: Regularization) -> Parameters {
    fit_sample(rows, regularization).unwrap_or_else(|| class_share(rows))
}

/// The model that knows only how many clients exit. Both classes must be there.
pub fn class_share(rows: &Rows) -> Parameters {
    let exited = rows.target.iter().sum::<f64>();
    [0.0, 0.0, 0.0, (exited / (rows.len() as f64 - exited)).ln()]
}

fn fit_sample(rows: &Rows, regularization: Regularization) -> Option<Parameters> {
    let sampled: Vec<usize> = (0..rows.len().min(SAMPLE)).map(|i| i * rows.len() / rows.len().min(SAMPLE)).collect();
    let predictors = sampled.iter().map(|i| rows.predictors.iter().map(|column| column[*i]).collect()).collect();
    let target: Vec<u8> = sampled.iter().map(|i| u8::from(rows.target[*i] == 1.0)).collect();
    // Fewer rows weigh less against the same penalty, so the penalty shrinks with them.
    let alpha = sampled.len() as f64 / rows.len() as f64 / regularization.c();
    let parameters = LogisticRegressionParameters::default().with_alpha(alpha);
    let fitted = LogisticRegression::fit(&DenseMatrix::from_2d_vec(&predictors).ok()?, &target, parameters).ok()?;
    let coefficients = fitted.coefficients().iter().copied().chain(fitted.intercept().iter().copied());
    let start: Parameters = coefficients.collect::<Vec<f64>>().try_into().ok()?;
    start.iter().all(|value| value.is_finite()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::newton::minimise;
    use crate::objective::PenalisedLikelihood;
    use crate::objective::tests::{fabricated, rows};

    #[test]
    fn smartcore_starts_near_the_optimum() {
        let c = Regularization::new(1.0).unwrap();
        for n in [500, 10_000] {
            let (columns, target) = fabricated(n);
            let rows = rows(&columns, &target);
            let objective = PenalisedLikelihood::new(&rows, c);
            let from_sample = minimise(&objective, fit_sample(&rows, c).unwrap()).unwrap();
            let from_nothing = minimise(&objective, [0.0; 4]).unwrap();
            assert!(from_sample.steps < from_nothing.steps, "{from_sample:?} {from_nothing:?}");
        }
    }

    #[test]
    fn a_sample_of_one_class_still_gives_a_start() {
        let columns = [vec![1.0; 5000], vec![2.0; 5000], vec![3.0; 5000]];
        let mut target = vec![0.0; 5000];
        target[1] = 1.0; // between two sampled rows
        let rows = rows(&columns, &target);
        let c = Regularization::new(1.0).unwrap();
        assert!(fit_sample(&rows, c).is_none());
        assert_eq!(start(&rows, c), [0.0, 0.0, 0.0, (1.0f64 / 4999.0).ln()]);
    }
}
