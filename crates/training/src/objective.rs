//! The penalised negative log-likelihood, its gradient and its Hessian: sums over rows plus the penalty.
//!
//! For rows xᵢ = (x₁, x₂, x₃, 1) with target yᵢ ∈ {0, 1}, parameters β = (β₁, β₂, β₃, intercept) and pᵢ = 1 / (1 +
//! exp(−xᵢ·β)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ xᵢ·β − log(1 + exp(xᵢ·β))
//! objective        f = −ℓ + (β₁² + β₂² + β₃²) / 2C          the intercept is not penalised
//! gradient         g = Σ (pᵢ − yᵢ) xᵢ  + (β₁, β₂, β₃, 0) / C
//! Hessian          H = Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ + diag(1, 1, 1, 0) / C
//! ```
//!
//! They are evaluated in a [`Basis`] x = U q with parameters γ = Uᵀβ. In this basis the gradient is U⁻¹ g and the
//! Hessian is U⁻¹ H U⁻ᵀ. scikit-learn minimises C·f, which has the same minimum (its user guide, "Logistic
//! regression").

use anyhow::Result;
use common::config::Regularization;
use dataset::TrainingRows;
use dataset::basis::Basis;
use dataset::likelihood::{Parameters, Sums};

/// A convex function of the parameters, with its first and second derivatives.
pub trait Objective {
    /// Returns the value, gradient and Hessian at the parameters `gamma` of the columns of `basis`.
    fn at(&self, basis: &Basis, gamma: &Parameters) -> Result<Evaluation>;
}

/// The value and derivatives of an objective at one point.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// Value of the objective f.
    pub value: f64,
    /// Log-likelihood ℓ, the part of f that depends on the data.
    pub log_likelihood: f64,
    /// Derivatives with respect to γ.
    pub gradient: [f64; 4],
    /// Upper bounds of the rounding errors of `gradient`.
    pub gradient_error: [f64; 4],
    /// Second derivatives with respect to γ.
    pub hessian: [[f64; 4]; 4],
}

/// The objective f over the rows of a table, whichever engine holds them.
pub struct PenalisedLikelihood<'a> {
    rows: &'a dyn TrainingRows,
    c: f64,
}

impl<'a> PenalisedLikelihood<'a> {
    /// Creates the objective over `rows`, with the inverse penalty strength C.
    pub fn new(rows: &'a dyn TrainingRows, regularization: Regularization) -> Self {
        Self { rows, c: regularization.c() }
    }
}

impl Objective for PenalisedLikelihood<'_> {
    fn at(&self, basis: &Basis, gamma: &Parameters) -> Result<Evaluation> {
        Ok(penalise(&self.rows.sums(basis, gamma)?, basis, gamma, self.c))
    }
}

/// Adds the penalty to the sums over rows, and the rounding errors of qᵢ·γ to those of the gradient.
fn penalise(sums: &Sums, basis: &Basis, gamma: &Parameters, c: f64) -> Evaluation {
    let Sums { log_likelihood, mut gradient, mut gradient_error, mut hessian } = *sums;
    // The error of qᵢ·γ is at most 4ε Σ |qᵢⱼ γⱼ|, and that of a gradient entry Σ pᵢ (1 − pᵢ) |qᵢₖ| times this. The
    // Cauchy–Schwarz inequality bounds it by the diagonal of the Hessian.
    let size: f64 = (0..4).map(|j| gamma[j] * gamma[j] * hessian[j][j]).sum();
    for k in 0..4 {
        gradient_error[k] += 8.0 * f64::EPSILON * (size * hessian[k][k]).sqrt();
    }

    let [b1, b2, b3, _] = basis.parameters(gamma);
    let value = -log_likelihood + (b1 * b1 + b2 * b2 + b3 * b3) / (2.0 * c);
    for (j, b) in [b1, b2, b3].into_iter().enumerate() {
        // A column of U⁻¹: the dependence of βⱼ on γ.
        let mut unit = [0.0; 4];
        unit[j] = 1.0;
        let column = basis.solve(&unit);
        for k in 0..4 {
            let slope = column[k] * b / c;
            gradient[k] += slope;
            gradient_error[k] += 4.0 * f64::EPSILON * slope.abs();
            for l in 0..4 {
                hessian[k][l] += column[k] * column[l] / c;
            }
        }
    }
    Evaluation { value, log_likelihood, gradient, gradient_error, hessian }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use common::files::checksum::Checksum;
    use dataset::local::likelihood::Rows;
    use dataset::{Sample, TrainingSummary};

    /// Fabricated rows in which the target depends on the predictors.
    pub(crate) fn fabricated(n: usize) -> Fabricated {
        let (columns, target) = testkit::signal(n);
        Fabricated::new(columns, target)
    }

    /// The rows of a test, held in memory.
    pub(crate) struct Fabricated {
        columns: [Vec<f64>; 3],
        target: Vec<f64>,
        summary: TrainingSummary,
    }

    impl Fabricated {
        pub(crate) fn new(columns: [Vec<f64>; 3], target: Vec<f64>) -> Self {
            let summary = TrainingSummary {
                dataset_sha256: Checksum::of_bytes(b""),
                rows: target.len() as u64,
                exited: target.iter().sum::<f64>() as u64,
                left_out: 0,
                medians: columns.each_ref().map(|column| column.get(column.len() / 2).copied()),
                sketches: None,
            };
            Self { columns, target, summary }
        }

        fn reversed(&self) -> Self {
            let reverse = |column: &Vec<f64>| column.iter().rev().copied().collect::<Vec<f64>>();
            Self::new(self.columns.each_ref().map(reverse), reverse(&self.target))
        }

        fn rows(&self) -> Rows<'_> {
            Rows { predictors: self.columns.each_ref().map(Vec::as_slice), target: &self.target }
        }
    }

    impl TrainingRows for Fabricated {
        fn summary(&self) -> &TrainingSummary {
            &self.summary
        }
        fn sample(&self, most: usize) -> Result<Sample> {
            Ok(self.rows().sample(most))
        }
        fn sums(&self, basis: &Basis, parameters: &Parameters) -> Result<Sums> {
            Ok(self.rows().sums(basis, parameters))
        }
    }

    const PARAMETERS: Parameters = [-0.02, 0.0003, 0.01, 0.4];

    #[test]
    fn the_gradient_is_the_slope_of_the_value_and_the_hessian_of_the_gradient() {
        let rows = fabricated(500);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(0.5).unwrap());
        let m = [[1.0, 0.1, 2.0, 3.0], [0.0, 1.0, 3.0, 0.25], [0.0, 0.0, 1.0, -7.0], [0.0, 0.0, 0.0, 1.0]];
        for basis in [Basis::centred([0.0; 3]), Basis::centred([60.0, 500.0, 20.0]).followed_by(&m)] {
            let here = objective.at(&basis, &PARAMETERS).unwrap();
            for i in 0..4 {
                let h = 1e-6 * PARAMETERS[i].abs();
                let moved = |sign: f64| {
                    let mut moved = PARAMETERS;
                    moved[i] += sign * h;
                    objective.at(&basis, &moved).unwrap()
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

    #[test]
    fn the_bound_of_the_gradients_error_holds() {
        // The same rows in another order differ only by rounding.
        let rows = fabricated(2000);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(1.0).unwrap());
        let basis = Basis::centred([0.0; 3]);
        let here = objective.at(&basis, &PARAMETERS).unwrap();
        let reversed = rows.reversed();
        let again =
            PenalisedLikelihood::new(&reversed, Regularization::new(1.0).unwrap()).at(&basis, &PARAMETERS).unwrap();
        assert_ne!(here.gradient, again.gradient);
        for k in 0..4 {
            let difference = (here.gradient[k] - again.gradient[k]).abs();
            assert!(difference <= here.gradient_error[k], "{here:?} {again:?}");
            assert!(here.gradient_error[k] <= 1e-9 * here.hessian[k][k].max(1.0), "{here:?}");
        }
    }
}
