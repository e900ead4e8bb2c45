//! Coordinates in which a logistic regression is well-conditioned, whatever the units of the predictors.
//!
//! The solver does not work on the predictors x = (x₁, x₂, x₃, 1) but on columns q with x = U q, where U is an upper
//! triangular matrix with ones on its diagonal:
//!
//! ```text
//! q₄ = 1
//! q₃ = x₃ − U₃₄                        centred
//! q₂ = x₂ − U₂₄ − U₂₃ q₃               centred, without what q₃ explains
//! q₁ = x₁ − U₁₄ − U₁₂ q₂ − U₁₃ q₃
//! ```
//!
//! The parameters are transformed accordingly: β·x = γ·q for γ = Uᵀβ. U is part of the definition of q, so its entries
//! need not be accurate: every choice of U has the same optimum, and a good choice preserves the digits that nearly
//! collinear predictors would cancel.

use twofloat::TwoFloat;

use crate::likelihood::Parameters;

/// The matrix U that defines the columns q (see the module documentation).
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    upper: [[f64; 4]; 4],
}

impl Basis {
    /// Returns the basis of the predictors minus their `centre`.
    pub fn centred(centre: [f64; 3]) -> Self {
        let mut upper = identity();
        for (row, centre) in upper.iter_mut().zip(centre) {
            row[3] = centre;
        }
        Self { upper }
    }

    /// Returns U, row by row.
    pub fn upper(&self) -> &[[f64; 4]; 4] {
        &self.upper
    }

    /// Returns the centres U₁₄, U₂₄, U₃₄.
    pub fn centre(&self) -> [f64; 3] {
        std::array::from_fn(|k| self.upper[k][3])
    }

    /// Returns whether the columns are only centred predictors, without mixing them.
    pub fn is_only_centred(&self) -> bool {
        let [first, second, ..] = &self.upper;
        first[1] == 0.0 && first[2] == 0.0 && second[2] == 0.0
    }

    /// Returns the basis of the columns q' with q = M q', where `m` is upper triangular with ones on its diagonal.
    pub fn followed_by(&self, m: &[[f64; 4]; 4]) -> Self {
        // The sum is empty below the diagonal, and the entry is exactly 1 on it.
        let entry = |i: usize, j: usize| sum((i..=j).map(|k| TwoFloat::new_mul(self.upper[i][k], m[k][j])));
        Self { upper: std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j))) }
    }

    /// Returns the columns of a row and, for each column, the magnitude of the terms it was computed from. The columns
    /// are computed in pairs of doubles, so the error of a column is at most its last bit plus 2⁻¹⁰⁰ of that magnitude.
    pub fn columns(&self, x: [f64; 3]) -> ([f64; 3], [f64; 3]) {
        let [u1, u2, u3, _] = &self.upper;
        let [c1, c2, q3] =
            [(x[0], u1[3]), (x[1], u2[3]), (x[2], u3[3])].map(|(x, centre)| TwoFloat::new_sub(x, centre));
        let q2 = c2 - q3 * u2[2];
        let q1 = c1 - q2 * u1[1] - q3 * u1[2];
        let size3 = q3.hi().abs();
        let size2 = c2.hi().abs() + u2[2].abs() * size3;
        let size1 = c1.hi().abs() + u1[1].abs() * size2 + u1[2].abs() * size3;
        ([q1.hi(), q2.hi(), q3.hi()], [size1, size2, size3])
    }

    /// Returns the parameters β of the predictors that correspond to the parameters `gamma` of the columns.
    pub fn parameters(&self, gamma: &Parameters) -> Parameters {
        let mut beta = [TwoFloat::from(0.0); 4];
        for j in 0..4 {
            beta[j] = (0..j).fold(gamma[j].into(), |rest, k| rest - beta[k] * self.upper[k][j]);
        }
        beta.map(|beta| beta.hi())
    }

    /// Returns the parameters γ of the columns that correspond to the parameters `beta` of the predictors.
    pub fn of_parameters(&self, beta: &Parameters) -> Parameters {
        std::array::from_fn(|j| sum((0..=j).map(|k| TwoFloat::new_mul(beta[k], self.upper[k][j]))))
    }

    /// Solves U x = v, that is, returns U⁻¹ v.
    pub fn solve(&self, v: &[f64; 4]) -> [f64; 4] {
        let mut q = [TwoFloat::from(0.0); 4];
        for i in (0..4).rev() {
            q[i] = (i + 1..4).fold(v[i].into(), |rest, j| rest - q[j] * self.upper[i][j]);
        }
        q.map(|q| q.hi())
    }
}

fn sum(terms: impl Iterator<Item = TwoFloat>) -> f64 {
    terms.fold(TwoFloat::from(0.0), |sum, term| sum + term).hi()
}

fn identity() -> [[f64; 4]; 4] {
    std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oblique() -> Basis {
        let m = [[1.0, 0.5, -2.0, 3.0], [0.0, 1.0, 1e9, 0.25], [0.0, 0.0, 1.0, -7.0], [0.0, 0.0, 0.0, 1.0]];
        Basis::centred([10.0, 1e9, 3.0]).followed_by(&m)
    }

    #[test]
    fn rows_and_parameters_change_together() {
        let basis = oblique();
        let (x, beta) = ([12.0, 7e8, 4.0], [0.5, -1e-9, 0.25, 1.0]);
        let (q, gamma) = (basis.columns(x).0, basis.of_parameters(&beta));
        let log_odds: f64 = x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>() + beta[3];
        let same = q.iter().zip(gamma).map(|(q, g)| q * g).sum::<f64>() + gamma[3];
        assert!((log_odds - same).abs() < 1e-6, "{log_odds} {same}");
        for (back, b) in basis.parameters(&gamma).iter().zip(beta) {
            assert!((back - b).abs() <= 1e-7 * b.abs(), "{back} {b}"); // 10⁹ times the rounding error of γ
        }
        let solved = basis.solve(&[x[0], x[1], x[2], 1.0]);
        assert_eq!(&solved[..3], &q);
    }

    #[test]
    fn a_column_that_nearly_cancels_keeps_its_digits() {
        // x₂ = 2 x₃ + 1, where x₃ has ten digits and a fraction: rounding the product to a double would lose the 1.
        let mut m = identity();
        m[1][2] = 2.0;
        let basis = Basis::centred([0.0; 3]).followed_by(&m);
        let x3 = 8_388_607.0 + 2.0f64.powi(-30);
        assert_eq!(basis.columns([0.0, 2.0 * x3 + 1.0, x3]).0[1], 2.0 * x3 + 1.0 - 2.0 * x3);
        let third = 1.0 / 3.0;
        m[1][2] = third;
        let basis = Basis::centred([0.0; 3]).followed_by(&m);
        // 3e15 · fl(1/3) = 1e15 − 1/18014398509481984 · 3e15, exactly.
        assert_eq!(basis.columns([0.0, 1e15, 3e15]).0[1], 1e15 * 2.0f64.powi(-54));
    }

    #[test]
    fn only_centred_says_so() {
        assert!(Basis::centred([1.0, 2.0, 3.0]).is_only_centred());
        assert!(!oblique().is_only_centred());
        assert_eq!(Basis::centred([1.0, 2.0, 3.0]).columns([1.0, 4.0, 3.5]).0, [0.0, 2.0, 0.5]);
    }
}
