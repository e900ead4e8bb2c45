//! The penalised negative log-likelihood, its gradient and its Hessian: sums over rows, and the penalty.
//!
//! For rows xᵢ = (x₁, x₂, x₃, 1) with target yᵢ ∈ {0, 1}, parameters β = (β₁, β₂, β₃, intercept) and
//! pᵢ = 1 / (1 + exp(−xᵢ·β)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ xᵢ·β − log(1 + exp(xᵢ·β))
//! objective        f = −ℓ + (β₁² + β₂² + β₃²) / 2C          the intercept is not penalised
//! gradient         g = Σ (pᵢ − yᵢ) xᵢ  + (β₁, β₂, β₃, 0) / C
//! Hessian          H = Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ + diag(1, 1, 1, 0) / C
//! ```
//!
//! scikit-learn minimises C·f, which has the same minimum (its user guide, "Logistic regression").

use anyhow::Result;
use common::config::Regularization;
use engine::TrainingRows;
use engine::likelihood::{Parameters, Sums};

/// A convex function of the parameters that can be evaluated with both derivatives.
pub trait Objective {
    /// Value, gradient and Hessian at `parameters`.
    fn at(&self, parameters: &Parameters) -> Result<Evaluation>;
}

/// An objective at one point.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// f.
    pub value: f64,
    /// ℓ, the part of f that is about the data.
    pub log_likelihood: f64,
    /// g.
    pub gradient: [f64; 4],
    /// H.
    pub hessian: [[f64; 4]; 4],
}

/// f over the rows of a table, wherever they are.
pub struct PenalisedLikelihood<'a> {
    rows: &'a dyn TrainingRows,
    c: f64,
}

impl<'a> PenalisedLikelihood<'a> {
    /// Over `rows`, with the penalty's inverse strength.
    pub fn new(rows: &'a dyn TrainingRows, regularization: Regularization) -> Self {
        Self { rows, c: regularization.c() }
    }
}

impl Objective for PenalisedLikelihood<'_> {
    fn at(&self, parameters: &Parameters) -> Result<Evaluation> {
        Ok(penalise(self.rows.sums(parameters)?, parameters, self.c))
    }
}

/// Adds the penalty to sums over rows.
pub fn penalise(sums: Sums, parameters: &Parameters, c: f64) -> Evaluation {
    let Sums { log_likelihood, mut gradient, mut hessian } = sums;
    let mut value = -log_likelihood;
    for i in 0..3 {
        value += parameters[i] * parameters[i] / (2.0 * c);
        gradient[i] += parameters[i] / c;
        hessian[i][i] += 1.0 / c;
    }
    Evaluation { value, log_likelihood, gradient, hessian }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use common::checksum::Checksum;
    use dataset::likelihood::Rows;
    use engine::{Sample, TrainingFacts};

    /// Rows with a signal.
    pub(crate) fn fabricated(n: usize) -> Fabricated {
        let (columns, target) = testkit::signal(n);
        Fabricated::new(columns, target)
    }

    /// Rows of a test.
    pub(crate) struct Fabricated {
        columns: [Vec<f64>; 3],
        target: Vec<f64>,
        facts: TrainingFacts,
    }

    impl Fabricated {
        pub(crate) fn new(columns: [Vec<f64>; 3], target: Vec<f64>) -> Self {
            let facts = TrainingFacts {
                dataset_sha256: Checksum::of_bytes(b""),
                rows: target.len() as u64,
                exited: target.iter().sum::<f64>() as u64,
                left_out: 0,
                medians: [None; 3],
                sketches: None,
            };
            Self { columns, target, facts }
        }

        fn rows(&self) -> Rows<'_> {
            Rows { predictors: self.columns.each_ref().map(Vec::as_slice), target: &self.target }
        }
    }

    impl TrainingRows for Fabricated {
        fn facts(&self) -> &TrainingFacts {
            &self.facts
        }
        fn sample(&self, most: usize) -> Result<Sample> {
            Ok(self.rows().sample(most))
        }
        fn sums(&self, parameters: &Parameters) -> Result<Sums> {
            Ok(self.rows().sums(parameters))
        }
    }

    const PARAMETERS: Parameters = [-0.02, 0.0003, 0.01, 0.4];

    #[test]
    fn the_gradient_is_the_slope_of_the_value_and_the_hessian_of_the_gradient() {
        let rows = fabricated(500);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(0.5).unwrap());
        let here = objective.at(&PARAMETERS).unwrap();
        for i in 0..4 {
            let h = 1e-6 * PARAMETERS[i].abs();
            let moved = |sign: f64| {
                let mut moved = PARAMETERS;
                moved[i] += sign * h;
                objective.at(&moved).unwrap()
            };
            let (up, down) = (moved(1.0), moved(-1.0));
            let slope = (up.value - down.value) / (2.0 * h);
            assert!((slope - here.gradient[i]).abs() <= 1e-4 * here.gradient[i].abs().max(1.0), "{i}: {slope}");
            for j in 0..4 {
                let slope = (up.gradient[j] - down.gradient[j]) / (2.0 * h);
                assert!((slope - here.hessian[i][j]).abs() <= 1e-4 * here.hessian[i][j].abs().max(1.0), "{i} {j}");
            }
        }
    }
}
