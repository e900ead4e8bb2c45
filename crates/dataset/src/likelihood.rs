//! The log-likelihood of a logistic regression and its derivatives, as sums over rows.
//!
//! For rows qᵢ, whose last column is 1, in a [`Basis`](crate::basis::Basis) with target yᵢ ∈ {0, 1}, parameters γ and
//! pᵢ = 1 / (1 + exp(−qᵢ·γ)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ qᵢ·γ − log(1 + exp(qᵢ·γ))
//! −∂ℓ/∂γ             = Σ (pᵢ − yᵢ) qᵢ
//! −∂²ℓ/∂γ²           = Σ pᵢ (1 − pᵢ) qᵢ qᵢᵀ
//! ```

use nalgebra::DMatrix;

/// The coefficients of the columns of a [`Design`](crate::design::Design); the last one is the intercept.
pub type Parameters = Vec<f64>;

/// The sums of one Newton step at one γ, without the penalty.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// The log-likelihood ℓ.
    pub log_likelihood: f64,
    /// The negative gradient of ℓ, Σ (pᵢ − yᵢ) qᵢ.
    pub gradient: Vec<f64>,
    /// Upper bounds of the errors of `gradient` that are caused by rounding in the summation and in the columns q;
    /// errors of qᵢ·γ are not included.
    pub gradient_error: Vec<f64>,
    /// The negative Hessian of ℓ, Σ pᵢ (1 − pᵢ) qᵢ qᵢᵀ; symmetric.
    pub hessian: DMatrix<f64>,
}

impl Sums {
    /// Returns the sums over no rows, for so many columns.
    pub fn zero(width: usize) -> Self {
        Self {
            log_likelihood: 0.0,
            gradient: vec![0.0; width],
            gradient_error: vec![0.0; width],
            hessian: DMatrix::zeros(width, width),
        }
    }
}
