//! The log-likelihood of a logistic regression and its derivatives: sums over rows.
//!
//! For rows qᵢ = (q₁, q₂, q₃, 1) in a [`Basis`](crate::basis::Basis) with target yᵢ ∈ {0, 1}, parameters γ and
//! pᵢ = 1 / (1 + exp(−qᵢ·γ)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ qᵢ·γ − log(1 + exp(qᵢ·γ))
//! −∂ℓ/∂γ             = Σ (pᵢ − yᵢ) qᵢ
//! −∂²ℓ/∂γ²           = Σ pᵢ (1 − pᵢ) qᵢ qᵢᵀ
//! ```

/// The coefficients of three columns and the intercept.
pub type Parameters = [f64; 4];

/// The sums of one Newton step at one γ, without the penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// ℓ.
    pub log_likelihood: f64,
    /// Σ (pᵢ − yᵢ) qᵢ.
    pub gradient: [f64; 4],
    /// Upper bounds of the rounding errors of `gradient` that summation and the columns q cause; errors of qᵢ·γ excluded.
    pub gradient_error: [f64; 4],
    /// Σ pᵢ (1 − pᵢ) qᵢ qᵢᵀ, symmetric.
    pub hessian: [[f64; 4]; 4],
}

impl Sums {
    /// Sums of ℓ, the gradient and its error, and the upper half of the Hessian row by row: (1,1), (1,2), … (4,4).
    pub fn new(log_likelihood: f64, gradient: [f64; 4], gradient_error: [f64; 4], upper: [f64; 10]) -> Self {
        let s = upper;
        Self {
            log_likelihood,
            gradient,
            gradient_error,
            hessian: [
                [s[0], s[1], s[2], s[3]],
                [s[1], s[4], s[5], s[6]],
                [s[2], s[5], s[7], s[8]],
                [s[3], s[6], s[8], s[9]],
            ],
        }
    }
}
