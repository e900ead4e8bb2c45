//! Newton's method with step-halving on a convex function of four parameters (Boyd & Vandenberghe, Convex Optimization,
//! 2004, §9.5). For the logistic likelihood this is iteratively reweighted least squares.

use anyhow::{Context, Result, bail};

use engine::likelihood::Parameters;

use crate::objective::Objective;

/// The end is reached when the optimum is nearer than this, in standard errors.
const TOLERANCE: f64 = 1e-10;
/// Where rounding lets no step come that near, this is near enough: far below any digit that matters.
const ACCEPTABLE: f64 = 1e-7;
const MOST_STEPS: u32 = 100;
const MOST_HALVINGS: u32 = 40;

/// The minimum and its certificate.
#[derive(Clone, Copy, Debug)]
pub struct Optimum {
    /// β₁, β₂, β₃, intercept.
    pub parameters: Parameters,
    /// The square roots of the diagonal of H⁻¹: the asymptotic standard errors (Fisher information; with the penalty as
    /// in le Cessie & van Houwelingen, Ridge estimators in logistic regression, Applied Statistics 41, 1992).
    pub standard_errors: [f64; 4],
    /// ℓ at the minimum.
    pub log_likelihood: f64,
    /// The largest absolute entry of the gradient at the minimum.
    pub gradient_norm: f64,
    /// √(gᵀH⁻¹g): how far the exact minimum is, in standard errors.
    pub newton_decrement: f64,
    /// Steps taken.
    pub steps: u32,
}

/// Minimises `objective` from `start`.
///
/// # Errors
/// Where the Hessian is singular, no step lowers the value, or the steps are too many: then there is no model.
pub fn minimise(objective: &impl Objective, start: Parameters) -> Result<Optimum> {
    let mut parameters = start;
    let mut here = objective.at(&parameters)?;
    let mut last_decrement = f64::INFINITY;
    for steps in 0..=MOST_STEPS {
        let inverse = inverse(&here.hessian).context("no convergence: the predictors do not determine a model")?;
        let direction = inverse.map(|row| -dot(&row, &here.gradient));
        let newton_decrement = (-dot(&direction, &here.gradient)).max(0.0).sqrt();
        let stalled = newton_decrement > last_decrement / 2.0;
        last_decrement = newton_decrement;
        if newton_decrement <= TOLERANCE || (newton_decrement <= ACCEPTABLE && stalled) {
            return Ok(Optimum {
                parameters,
                standard_errors: std::array::from_fn(|i| inverse[i][i].sqrt()),
                log_likelihood: here.log_likelihood,
                gradient_norm: here.gradient.iter().fold(0.0, |norm, g| f64::max(norm, g.abs())),
                newton_decrement,
                steps,
            });
        }
        let mut scale = 1.0;
        let mut halvings = 0;
        loop {
            let trial = std::array::from_fn(|i| parameters[i] + scale * direction[i]);
            let there = objective.at(&trial)?;
            // Near the minimum the value cannot show progress any more, but the full step is right.
            let rounding = 1e-12 * here.value.abs();
            if there.value <= here.value + rounding && there.value.is_finite() {
                (parameters, here) = (trial, there);
                break;
            }
            halvings += 1;
            if halvings > MOST_HALVINGS {
                bail!("no convergence: no step from {parameters:?} lowers the objective");
            }
            scale /= 2.0;
        }
    }
    bail!("no convergence after {MOST_STEPS} Newton steps")
}

/// The inverse of a symmetric positive definite matrix, `None` where it is not one.
///
/// The diagonal is scaled to 1 first, so that predictors of very different size cost no digits; then Cholesky.
fn inverse(matrix: &[[f64; 4]; 4]) -> Option<[[f64; 4]; 4]> {
    let scale: [f64; 4] = std::array::from_fn(|i| 1.0 / matrix[i][i].sqrt());
    if !scale.iter().all(|s| s.is_finite()) {
        return None;
    }
    let mut l = [[0.0; 4]; 4];
    for i in 0..4 {
        for j in 0..=i {
            let rest = matrix[i][j] * scale[i] * scale[j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            l[i][j] = if i == j { rest.sqrt() } else { rest / l[j][j] };
        }
        if l[i][i].is_nan() || l[i][i] <= 1e-8 {
            return None;
        }
    }
    // The inverse is symmetric, so its columns are its rows.
    let mut inverse: [[f64; 4]; 4] = std::array::from_fn(|column| unit_solution(&l, column));
    for i in 0..4 {
        for j in 0..4 {
            inverse[i][j] *= scale[i] * scale[j];
        }
    }
    Some(inverse)
}

/// Solves L Lᵀ x = e, the unit vector of `column`: L y = e first, then Lᵀ x = y.
fn unit_solution(l: &[[f64; 4]; 4], column: usize) -> [f64; 4] {
    let mut y = [0.0; 4];
    for i in 0..4 {
        let unit = f64::from(u8::from(i == column));
        y[i] = (unit - (0..i).map(|k| l[i][k] * y[k]).sum::<f64>()) / l[i][i];
    }
    let mut x = [0.0; 4];
    for i in (0..4).rev() {
        x[i] = (y[i] - (i + 1..4).map(|k| l[k][i] * x[k]).sum::<f64>()) / l[i][i];
    }
    x
}

fn dot(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::tests::{Fabricated, fabricated};
    use crate::objective::{Evaluation, PenalisedLikelihood};
    use crate::start::start;
    use common::config::Regularization;
    use std::cell::Cell;

    #[test]
    fn the_inverse_is_one_even_where_the_scales_differ_widely() {
        let matrix = [[1e12, 2e5, 3e2, 1e5], [2e5, 1.0, 1e-4, 0.1], [3e2, 1e-4, 1e-6, 1e-5], [1e5, 0.1, 1e-5, 4.0]];
        let inverse = inverse(&matrix).unwrap();
        for (i, row) in matrix.iter().enumerate() {
            for (j, column) in inverse.iter().enumerate() {
                let size: f64 = row.iter().zip(column).map(|(a, b)| (a * b).abs()).sum();
                let error = dot(row, column) - f64::from(u8::from(i == j));
                assert!(error.abs() <= 1e-12 * size.max(1.0), "{i} {j} {error}");
            }
        }
        assert!(super::inverse(&[[1.0; 4]; 4]).is_none());
        assert!(super::inverse(&[[0.0; 4]; 4]).is_none());
    }

    #[test]
    fn every_start_ends_at_the_same_optimum() {
        let rows = fabricated(3000);
        let objective = PenalisedLikelihood::new(&rows, Regularization::new(1.0).unwrap());
        let reference = minimise(&objective, [0.0; 4]).unwrap();
        assert!(reference.newton_decrement <= ACCEPTABLE && reference.steps < 12, "{reference:?}");
        for start in [[0.01, 0.001, -0.02, 3.0], [-0.1, 0.0, 0.1, -20.0]] {
            let optimum = minimise(&objective, start).unwrap();
            for (a, b) in optimum.parameters.iter().zip(reference.parameters) {
                assert!((a - b).abs() <= 1e-9 * b.abs(), "{optimum:?} {reference:?}");
            }
        }
    }

    #[test]
    fn separable_data_have_a_finite_optimum_thanks_to_the_penalty() {
        let columns = [(0..40).map(f64::from).collect(), vec![1.0; 40], vec![0.0; 40]];
        let target: Vec<f64> = (0..40).map(|i| f64::from(i >= 20)).collect();
        let rows = Fabricated::new(columns, target);
        let optimum = minimise(&PenalisedLikelihood::new(&rows, Regularization::new(1.0).unwrap()), [0.0; 4]).unwrap();
        assert!(optimum.parameters[0] > 0.0 && optimum.parameters[0].is_finite(), "{optimum:?}");
        assert_eq!(optimum.parameters[2], 0.0);
    }

    #[test]
    fn the_rows_are_asked_once_at_the_start_and_once_for_each_step() {
        struct Counting<'a>(PenalisedLikelihood<'a>, Cell<u32>);
        impl Objective for Counting<'_> {
            fn at(&self, parameters: &Parameters) -> Result<Evaluation> {
                self.1.set(self.1.get() + 1);
                self.0.at(parameters)
            }
        }
        let rows = fabricated(3000);
        let c = Regularization::new(1.0).unwrap();
        let counting = Counting(PenalisedLikelihood::new(&rows, c), Cell::new(0));
        let optimum = minimise(&counting, start(&rows, c).unwrap()).unwrap();
        assert_eq!(counting.1.get(), optimum.steps + 1);
    }

    #[test]
    fn no_minimum_is_an_error_and_not_a_model() {
        struct Falling;
        impl Objective for Falling {
            fn at(&self, parameters: &Parameters) -> Result<Evaluation> {
                let unit = std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
                let value = -parameters[0];
                Ok(Evaluation { value, log_likelihood: -value, gradient: [-1.0, 0.0, 0.0, 0.0], hessian: unit })
            }
        }
        let error = minimise(&Falling, [0.0; 4]).unwrap_err().to_string();
        assert!(error.contains("no convergence after 100"), "{error}");
    }
}
