//! The log-likelihood of a logistic regression and its derivatives: sums over rows.
//!
//! For rows xᵢ = (x₁, x₂, x₃, 1) with target yᵢ ∈ {0, 1}, parameters β = (β₁, β₂, β₃, intercept) and
//! pᵢ = 1 / (1 + exp(−xᵢ·β)) (McCullagh & Nelder, Generalized Linear Models, 2nd ed. 1989, §4.4):
//!
//! ```text
//! log-likelihood   ℓ = Σ yᵢ xᵢ·β − log(1 + exp(xᵢ·β))
//! −∂ℓ/∂β             = Σ (pᵢ − yᵢ) xᵢ
//! −∂²ℓ/∂β²           = Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ
//! ```

/// β₁, β₂, β₃, intercept.
pub type Parameters = [f64; 4];

/// What a Newton step needs to know of the rows: f, g and H at one β, without the penalty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// ℓ.
    pub log_likelihood: f64,
    /// Σ (pᵢ − yᵢ) xᵢ.
    pub gradient: [f64; 4],
    /// Σ pᵢ (1 − pᵢ) xᵢ xᵢᵀ, symmetric.
    pub hessian: [[f64; 4]; 4],
}

impl Sums {
    /// From ℓ, the four sums of the gradient, and the upper half of the Hessian row by row: (1,1), (1,2), … (4,4).
    pub fn new(log_likelihood: f64, gradient: [f64; 4], upper: [f64; 10]) -> Self {
        let s = upper;
        Self {
            log_likelihood,
            gradient,
            hessian: [
                [s[0], s[1], s[2], s[3]],
                [s[1], s[4], s[5], s[6]],
                [s[2], s[5], s[7], s[8]],
                [s[3], s[6], s[8], s[9]],
            ],
        }
    }
}
