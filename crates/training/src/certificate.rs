//! Bounds of the distance between a point and the minimum.

use dataset::basis::Basis;
use dataset::design::Design;
use nalgebra::{DMatrix, DVector};

use crate::cholesky::Cholesky;
use crate::newton::Spread;
use crate::objective::Evaluation;

/// Largest error of the log-odds, per standard deviation of a predictor, that is too small to show in any prediction.
const NEGLIGIBLE: f64 = 1e-13;

/// The bounds at one point. They include the rounding errors of the sums over rows.
pub struct Certificate {
    /// Size of the next Newton step, in standard errors or relative to a coefficient, whichever is larger.
    pub step: f64,
    pub gradient_norm: f64,
    pub newton_decrement: f64,
    pub relative_error: f64,
    /// Square roots of the diagonal of the inverse Hessian, for each term and the intercept.
    pub standard_errors: Vec<f64>,
    /// Coefficient of each term.
    pub coefficients: Vec<f64>,
    pub intercept: f64,
}

impl Certificate {
    pub fn of(basis: &Basis, gamma: &[f64], here: &Evaluation, factor: &Cholesky, spread: &Spread) -> Self {
        let (gradient, error) = (&here.gradient, &here.gradient_error);
        let design = basis.design();
        let (coefficients, intercept) = basis.terms(gamma);
        let parameters: Vec<f64> = coefficients.iter().copied().chain([intercept]).collect();
        // The parameters are stored as doubles, which changes each by up to half a unit in its last digit.
        let rounding =
            DVector::from_iterator(parameters.len(), parameters.iter().map(|parameter| last_digit(*parameter)));
        let columns = of_columns(basis);
        let hessian = hessian_of_terms(design, &columns, here);
        let of_error: f64 = (0..error.len()).map(|k| error[k] * factor.norm(&unit(error.len(), k))).sum();
        let of_rounding: f64 = (0..rounding.len()).map(|j| rounding[j] * hessian[(j, j)].sqrt()).sum();
        let entries = (&columns * gradient).abs() + columns.abs() * error + hessian.abs() * &rounding;
        let mut certificate = Self {
            step: factor.norm(gradient),
            gradient_norm: entries.max(),
            newton_decrement: factor.norm(gradient) + of_error + of_rounding,
            relative_error: 0.0,
            standard_errors: Vec::with_capacity(parameters.len()),
            coefficients,
            intercept,
        };
        let dependence = basis.inverse() * of_parameters(design);
        for (j, parameter) in parameters.iter().enumerate() {
            // The effect of the step and of the gradient's errors on the term's coefficient.
            let direction = dependence.column(j).clone_owned();
            certificate.standard_errors.push(factor.norm(&direction));
            let influence = factor.solve(&direction);
            let step = influence.dot(gradient).abs();
            let error = step + influence.abs().dot(error) + rounding[j];
            let standard_deviation = spread.standard_deviation.get(j).copied().unwrap_or(1.0);
            if error * standard_deviation > NEGLIGIBLE {
                certificate.step = certificate.step.max(step / parameter.abs());
                certificate.relative_error = certificate.relative_error.max((error / parameter.abs()).min(1.0));
            }
        }
        certificate
    }
}

/// Whether the gradient consists only of rounding errors, so that a further step is not known to come nearer.
pub fn is_rounding(gamma: &[f64], here: &Evaluation) -> bool {
    // The gradient cannot be nearer to 0 than its own errors and the last digits of γ allow.
    let last_digits = DVector::from_iterator(gamma.len(), gamma.iter().map(|gamma| last_digit(*gamma)));
    let of_gamma = here.hessian.abs() * last_digits;
    let limits = here.gradient_error.iter().zip(&of_gamma).map(|(error, of_gamma)| 2.0 * (error + of_gamma));
    here.gradient.iter().zip(limits).all(|(entry, limit)| entry.abs() <= limit)
}

fn last_digit(parameter: f64) -> f64 {
    f64::EPSILON / 2.0 * parameter.abs()
}

/// Returns the matrix F of the terms x = F q, and the constant as the last row.
fn of_columns(basis: &Basis) -> DMatrix<f64> {
    let design = basis.design();
    let mut rows = DMatrix::zeros(design.terms() + 1, design.width());
    for (j, upper) in basis.upper().iter().enumerate() {
        rows.row_mut(j).copy_from_slice(upper);
    }
    let mut term = design.numbers();
    for (index, category) in design.categories().iter().enumerate() {
        for level in 0..category.levels {
            match design.indicator(index, level) {
                Some(column) => rows[(term, column)] = 1.0,
                None => {
                    rows[(term, design.constant())] = 1.0;
                    design.indicators(index).for_each(|column| rows[(term, column)] = -1.0);
                }
            }
            term += 1;
        }
    }
    rows[(term, design.constant())] = 1.0;
    rows
}

/// Returns the matrix A of the coefficients and the intercept as functions Aᵀθ of the parameters of the columns x.
fn of_parameters(design: &Design) -> DMatrix<f64> {
    let mut columns = DMatrix::zeros(design.width(), design.terms() + 1);
    (0..design.numbers()).for_each(|j| columns[(j, j)] = 1.0);
    let intercept = design.terms();
    columns[(design.constant(), intercept)] = 1.0;
    let mut term = design.numbers();
    for (index, category) in design.categories().iter().enumerate() {
        let share = 1.0 / category.levels as f64;
        for level in 0..category.levels {
            design.indicators(index).for_each(|column| columns[(column, term)] = -share);
            if let Some(column) = design.indicator(index, level) {
                columns[(column, term)] += 1.0;
            }
            term += 1;
        }
        design.indicators(index).for_each(|column| columns[(column, intercept)] = share);
    }
    columns
}

/// Returns the Hessian with respect to the coefficients of the terms and the intercept, F H Fᵀ. The penalty in H is the
/// least one for given differences between levels; that of arbitrary coefficients has a larger second derivative.
fn hessian_of_terms(design: &Design, columns: &DMatrix<f64>, here: &Evaluation) -> DMatrix<f64> {
    let mut hessian = columns * &here.hessian * columns.transpose();
    let mut first = design.numbers();
    for category in design.categories() {
        let block = (first, first);
        let size = (category.levels, category.levels);
        hessian.view_mut(block, size).add_scalar_mut(here.penalty / category.levels as f64);
        first += category.levels;
    }
    hessian
}

fn unit(width: usize, j: usize) -> DVector<f64> {
    DVector::from_fn(width, |i, _| f64::from(u8::from(i == j)))
}
