//! The Cholesky factorisation of a small matrix.

use super::{TERMS, Terms};

/// The lower triangular factor L of a symmetric positive definite matrix L Lᵀ.
pub struct Cholesky([Terms; TERMS]);

impl Cholesky {
    /// Factorises `matrix`; `None` if it is not positive definite or not finite.
    pub fn of(matrix: &[Terms; TERMS]) -> Option<Self> {
        let mut factor = [[0.0; TERMS]; TERMS];
        for i in 0..TERMS {
            for j in 0..=i {
                let rest = matrix[i][j] - (0..j).map(|k| factor[i][k] * factor[j][k]).sum::<f64>();
                factor[i][j] = if i == j { rest.sqrt() } else { rest / factor[j][j] };
            }
            if !(factor[i][i] > 0.0 && factor[i][i].is_finite()) {
                return None;
            }
        }
        Some(Self(factor))
    }

    /// Solves L Lᵀ x = `right`.
    pub fn solve(&self, right: Terms) -> Terms {
        let Self(factor) = self;
        let mut x = right;
        for i in 0..TERMS {
            x[i] = (x[i] - (0..i).map(|k| factor[i][k] * x[k]).sum::<f64>()) / factor[i][i];
        }
        for i in (0..TERMS).rev() {
            x[i] = (x[i] - (i + 1..TERMS).map(|k| factor[k][i] * x[k]).sum::<f64>()) / factor[i][i];
        }
        x
    }

    /// Returns the inverse of the matrix.
    pub fn inverse(&self) -> [Terms; TERMS] {
        let mut unit = [[0.0; TERMS]; TERMS];
        for (i, row) in unit.iter_mut().enumerate() {
            row[i] = 1.0;
        }
        unit.map(|column| self.solve(column)) // the inverse is symmetric, so its columns are its rows
    }
}
