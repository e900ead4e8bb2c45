//! Where the Newton steps begin: smartcore's fit, on a sample of the rows where there are many.

use anyhow::Result;
use common::config::Regularization;
use engine::likelihood::Parameters;
use engine::{Sample, TrainingFacts, TrainingRows};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

/// Rows that smartcore sees at most, spread over all.
pub const SAMPLE: usize = 2000;

/// The parameters that smartcore finds on at most [`SAMPLE`] rows.
///
/// Where it finds none (a sample of one class, numbers that overflow), [`class_share`].
pub fn start(rows: &dyn TrainingRows, regularization: Regularization) -> Result<Parameters> {
    let (facts, sample) = (rows.facts(), rows.sample(SAMPLE)?);
    Ok(fit(&sample, facts.rows, regularization).unwrap_or_else(|| class_share(facts)))
}

/// The model that knows only how many clients exit. Both classes must be there.
pub fn class_share(facts: &TrainingFacts) -> Parameters {
    let (rows, exited) = (facts.rows as f64, facts.exited as f64);
    [0.0, 0.0, 0.0, (exited / (rows - exited)).ln()]
}

fn fit(sample: &Sample, rows: u64, regularization: Regularization) -> Option<Parameters> {
    let predictors = sample.predictors.iter().map(|row| row.to_vec()).collect();
    let target: Vec<u8> = sample.exited.iter().map(|exited| u8::from(*exited)).collect();
    // Fewer rows weigh less against the same penalty, so the penalty shrinks with them.
    let alpha = target.len() as f64 / rows as f64 / regularization.c();
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
    use crate::objective::tests::{Fabricated, fabricated};

    fn fit_sample(rows: &Fabricated, c: Regularization) -> Option<Parameters> {
        fit(&rows.sample(SAMPLE).unwrap(), rows.facts().rows, c)
    }

    #[test]
    fn smartcore_starts_near_the_optimum() {
        let c = Regularization::new(1.0).unwrap();
        for n in [500, 10_000] {
            let rows = fabricated(n);
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
        let rows = Fabricated::new(columns, target);
        let c = Regularization::new(1.0).unwrap();
        assert!(fit_sample(&rows, c).is_none());
        assert_eq!(start(&rows, c).unwrap(), [0.0, 0.0, 0.0, (1.0f64 / 4999.0).ln()]);
    }
}
