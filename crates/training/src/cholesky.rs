//! The Cholesky factor of a Hessian, from which steps, norms and a better basis are computed.
//!
//! This is not smartcore's `cholesky`, which gives no pivots, only an error if one is negative: the certificate needs the
//! smallest pivot, a scaled diagonal, norms, and the factor of a matrix with a pivot that is rounding noise.

/// Largest pivot that is considered a rounding error of a Hessian summed in doubles.
const NOISE: f64 = 1e-10;

/// The factorisation H = S⁻¹ R Rᵀ S⁻¹ of a symmetric matrix H, where S scales its diagonal to 1 and R is upper
/// triangular.
///
/// If a pivot is rounding noise, its column of R is 0 above the diagonal. `solve` and `norm` are meaningful only if
/// `is_positive_definite`.
pub struct Cholesky {
    scale: [f64; 4],
    r: [[f64; 4]; 4],
    least_pivot: f64,
}

impl Cholesky {
    /// Factorises `matrix` from its last row upwards.
    pub fn of(matrix: &[[f64; 4]; 4]) -> Self {
        let scale: [f64; 4] = std::array::from_fn(|i| 1.0 / matrix[i][i].sqrt());
        let mut r = [[0.0; 4]; 4];
        let mut least_pivot = f64::INFINITY;
        for j in (0..4).rev() {
            let rest = |i: usize, r: &[[f64; 4]; 4]| {
                matrix[i][j] * scale[i] * scale[j] - (j + 1..4).map(|k| r[i][k] * r[j][k]).sum::<f64>()
            };
            let pivot = rest(j, &r);
            // `f64::min` would lose a NaN.
            if pivot.is_nan() || pivot < least_pivot {
                least_pivot = pivot;
            }
            r[j][j] = pivot.max(NOISE).sqrt();
            if pivot > NOISE {
                for i in 0..j {
                    r[i][j] = rest(i, &r) / r[j][j];
                }
            }
        }
        Self { scale, r, least_pivot }
    }

    /// The smallest share of a column's weighted sum of squares that the columns after it leave unexplained. NaN if the
    /// matrix holds a number that is not finite or a diagonal entry that is not positive.
    pub fn least_pivot(&self) -> f64 {
        self.least_pivot
    }

    /// Whether the matrix is positive definite beyond the rounding errors of its entries.
    pub fn is_positive_definite(&self) -> bool {
        self.least_pivot > NOISE && self.scale.iter().all(|scale| scale.is_finite())
    }

    /// The upper triangular matrix M with ones on its diagonal for which M⁻¹ H M⁻ᵀ is diagonal, except for pivots that
    /// are rounding noise.
    pub fn unit_factor(&self) -> [[f64; 4]; 4] {
        std::array::from_fn(|i| std::array::from_fn(|j| self.r[i][j] / self.r[j][j] * (self.scale[j] / self.scale[i])))
    }

    /// Returns H⁻¹ v, the solution of H x = v.
    pub fn solve(&self, v: &[f64; 4]) -> [f64; 4] {
        let half = self.half(v);
        let mut x = [0.0; 4];
        for i in 0..4 {
            x[i] = (half[i] - (0..i).map(|k| self.r[k][i] * x[k]).sum::<f64>()) / self.r[i][i];
        }
        std::array::from_fn(|i| x[i] * self.scale[i])
    }

    /// Returns √(vᵀ H⁻¹ v), the norm of v.
    pub fn norm(&self, v: &[f64; 4]) -> f64 {
        self.half(v).iter().map(|half| half * half).sum::<f64>().sqrt()
    }

    /// Returns R⁻¹ S v, whose Euclidean norm is `norm(v)`.
    fn half(&self, v: &[f64; 4]) -> [f64; 4] {
        let mut y = [0.0; 4];
        for i in (0..4).rev() {
            y[i] = (v[i] * self.scale[i] - (i + 1..4).map(|k| self.r[i][k] * y[k]).sum::<f64>()) / self.r[i][i];
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATRIX: [[f64; 4]; 4] =
        [[1e12, 2e5, 3e2, 1e5], [2e5, 1.0, 1e-4, 0.1], [3e2, 1e-4, 1e-6, 1e-5], [1e5, 0.1, 1e-5, 4.0]];

    #[test]
    fn solutions_solve_even_where_the_scales_differ_widely() {
        let factor = Cholesky::of(&MATRIX);
        assert!(factor.is_positive_definite());
        for column in 0..4 {
            let unit: [f64; 4] = std::array::from_fn(|i| f64::from(u8::from(i == column)));
            let solution = factor.solve(&unit);
            for (row, wanted) in MATRIX.iter().zip(unit) {
                let size: f64 = row.iter().zip(solution).map(|(a, b)| (a * b).abs()).sum();
                let found: f64 = row.iter().zip(solution).map(|(a, b)| a * b).sum();
                assert!((found - wanted).abs() <= 1e-12 * size.max(1.0), "{found} {wanted}");
            }
            assert!((factor.norm(&unit).powi(2) / solution[column] - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_unit_factor_makes_the_matrix_diagonal() {
        let m = Cholesky::of(&MATRIX).unit_factor();
        let d: [f64; 4] = [0, 1, 2, 3].map(|k| {
            let above: f64 = (k + 1..4).map(|l: usize| m[k][l] * m[k][l] * Cholesky::of(&MATRIX).diagonal(l)).sum();
            MATRIX[k][k] - above
        });
        for i in 0..4 {
            assert_eq!(m[i][i], 1.0);
            for j in i + 1..4 {
                assert_eq!(m[j][i], 0.0);
                let product: f64 = (j..4).map(|k| m[i][k] * d[k] * m[j][k]).sum();
                assert!((product - MATRIX[i][j]).abs() <= 1e-12 * (MATRIX[i][i] * MATRIX[j][j]).sqrt(), "{i} {j}");
            }
        }
    }

    impl Cholesky {
        fn diagonal(&self, k: usize) -> f64 {
            (self.r[k][k] / self.scale[k]).powi(2)
        }
    }

    #[test]
    fn no_indefinite_or_broken_matrix_passes() {
        for matrix in [[[1.0; 4]; 4], [[0.0; 4]; 4], [[f64::NAN; 4]; 4]] {
            assert!(!Cholesky::of(&matrix).is_positive_definite());
        }
        let mut indefinite = MATRIX;
        indefinite[0][1] = 2e6;
        indefinite[1][0] = 2e6;
        assert!(!Cholesky::of(&indefinite).is_positive_definite());
    }
}
