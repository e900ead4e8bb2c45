//! The log-likelihood of a logistic regression and its derivatives, as sums over rows.
//!
//! For rows qᵢ = (q₁, q₂, q₃, 1) in a [`Basis`](crate::basis::Basis) with target yᵢ ∈ {0, 1}, parameters γ and pᵢ = 1 /
//! (1 + exp(−qᵢ·γ)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ qᵢ·γ − log(1 + exp(qᵢ·γ))
//! −∂ℓ/∂γ             = Σ (pᵢ − yᵢ) qᵢ
//! −∂²ℓ/∂γ²           = Σ pᵢ (1 − pᵢ) qᵢ qᵢᵀ
//! ```

/// The coefficients of three columns, followed by the intercept.
pub type Parameters = [f64; 4];

/// The sums of one Newton step at one γ, without the penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// The log-likelihood ℓ.
    pub log_likelihood: f64,
    /// The negative gradient of ℓ, Σ (pᵢ − yᵢ) qᵢ.
    pub gradient: [f64; 4],
    /// Upper bounds of the errors of `gradient` that are caused by rounding in the summation and in the columns q;
    /// errors of qᵢ·γ are not included.
    pub gradient_error: [f64; 4],
    /// The negative Hessian of ℓ, Σ pᵢ (1 − pᵢ) qᵢ qᵢᵀ; symmetric.
    pub hessian: [[f64; 4]; 4],
}

impl Sums {
    /// Creates the sums from ℓ, the gradient, its error bounds, and the upper half of the Hessian row by row: (1,1),
    /// (1,2), … (4,4).
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
