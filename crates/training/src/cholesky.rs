//! The Cholesky factor of a Hessian, from which steps, norms and a better basis are computed.
//!
//! The loop is not nalgebra's `Cholesky`, which gives no pivots, only an error if one is negative: the certificate needs
//! the pivots, a scaled diagonal, and the factor of a matrix with a pivot that is rounding noise.

use nalgebra::{DMatrix, DVector};

/// Largest pivot that is considered a rounding error of a Hessian summed in doubles.
const NOISE: f64 = 1e-10;
/// The same for an indicator. The basis cannot improve its pivot, but its column consists of zeros and ones.
const NOISE_OF_INDICATORS: f64 = 1e-14;

/// The factorisation H = S⁻¹ Tᵀ T S⁻¹ of a symmetric matrix H, where S scales its diagonal to 1 and T is lower
/// triangular.
///
/// If a pivot is rounding noise, its row of T is 0 to the left of the diagonal. `solve` and `norm` are meaningful only
/// if `is_positive_definite`.
pub struct Cholesky {
    scale: DVector<f64>,
    /// The transpose of the usual upper triangular factor, so that the loop reads consecutive numbers.
    t: DMatrix<f64>,
    numbers: usize,
    least_pivot: f64,
    is_positive_definite: bool,
    is_finite: bool,
}

impl Cholesky {
    /// Factorises `matrix` from its last row upwards. The first `numbers` rows belong to numbers. `penalty` contains a
    /// lower bound of each pivot before scaling, 0 if none is known; it replaces a pivot of an indicator that is noise.
    pub fn of(matrix: &DMatrix<f64>, numbers: usize, penalty: &[f64]) -> Self {
        let n = matrix.nrows();
        let scale = matrix.diagonal().map(|entry| 1.0 / entry.sqrt());
        let mut t = DMatrix::zeros(n, n);
        let mut least_pivot = f64::INFINITY;
        let mut is_finite = scale.iter().all(|scale| scale.is_finite());
        let mut is_positive_definite = true;
        for j in (0..n).rev() {
            let mut pivot = rest(matrix, &scale, &t, j, j);
            let floor = penalty[j] * scale[j] * scale[j];
            let noise = if floor > 0.0 { NOISE_OF_INDICATORS } else { NOISE };
            let is_noise = pivot <= noise;
            if is_noise && floor > 0.0 {
                pivot = floor;
            }
            // `f64::min` would lose a NaN.
            if j < numbers && (pivot.is_nan() || pivot < least_pivot) {
                least_pivot = pivot;
            }
            is_finite &= pivot.is_finite();
            is_positive_definite &= !is_noise || floor > 0.0;
            t[(j, j)] = if is_noise && floor == 0.0 { pivot.max(NOISE).sqrt() } else { pivot.sqrt() };
            if !is_noise {
                for i in 0..j {
                    t[(j, i)] = rest(matrix, &scale, &t, i, j) / t[(j, j)];
                }
            }
        }
        is_positive_definite &= is_finite;
        Self { scale, t, numbers, least_pivot, is_positive_definite, is_finite }
    }

    /// The smallest share of a number's weighted sum of squares that the columns after it leave unexplained. NaN if
    /// it cannot be computed; infinite if there are no numbers.
    pub fn least_pivot(&self) -> f64 {
        self.least_pivot
    }

    /// Whether all entries of the matrix are finite and those on its diagonal positive.
    pub fn is_finite(&self) -> bool {
        self.is_finite
    }

    /// Whether the matrix is positive definite beyond the rounding errors of its entries.
    pub fn is_positive_definite(&self) -> bool {
        self.is_positive_definite
    }

    /// Returns the rows for numbers of a matrix M, whose other rows are those of the identity. M is upper triangular
    /// with ones on its diagonal. In M⁻¹ H M⁻ᵀ, the numbers' rows are 0 outside the diagonal, except for pivots that
    /// are rounding noise.
    pub fn unit_factor(&self) -> Vec<Vec<f64>> {
        let n = self.t.nrows();
        let unit = |i: usize, j: usize| self.t[(j, i)] / self.t[(j, j)] * (self.scale[j] / self.scale[i]);
        let row = |i: usize| {
            let mut row: Vec<f64> = (0..n).map(|j| unit(i, j)).collect();
            // The factor changes the columns after the numbers, too: undo it, from the first one to the last.
            for k in self.numbers..n {
                if row[k] != 0.0 {
                    for j in k + 1..n {
                        row[j] -= row[k] * unit(k, j);
                    }
                }
            }
            row
        };
        (0..self.numbers).map(row).collect()
    }

    /// Returns H⁻¹ v, the solution of H x = v.
    pub fn solve(&self, v: &DVector<f64>) -> DVector<f64> {
        self.t.solve_lower_triangular_unchecked(&self.half(v)).component_mul(&self.scale)
    }

    /// Returns √(vᵀ H⁻¹ v), the norm of v.
    pub fn norm(&self, v: &DVector<f64>) -> f64 {
        self.half(v).norm()
    }

    /// Returns R⁻¹ S v, whose Euclidean norm is `norm(v)`.
    fn half(&self, v: &DVector<f64>) -> DVector<f64> {
        self.t.tr_solve_lower_triangular_unchecked(&v.component_mul(&self.scale))
    }
}

/// Returns what the rows after `j` leave of an entry of the scaled matrix.
fn rest(matrix: &DMatrix<f64>, scale: &DVector<f64>, t: &DMatrix<f64>, i: usize, j: usize) -> f64 {
    let after = |column: usize| &t.as_slice()[column * t.nrows() + j + 1..(column + 1) * t.nrows()];
    let explained: f64 = after(i).iter().zip(after(j)).map(|(a, b)| a * b).sum();
    matrix[(i, j)] * scale[i] * scale[j] - explained
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: usize = 3;

    fn matrix() -> DMatrix<f64> {
        DMatrix::from_row_slice(
            4,
            4,
            &[1e12, 2e5, 3e2, 1e5, 2e5, 1.0, 1e-4, 0.1, 3e2, 1e-4, 1e-6, 1e-5, 1e5, 0.1, 1e-5, 4.0],
        )
    }

    fn factor(matrix: &DMatrix<f64>) -> Cholesky {
        Cholesky::of(matrix, NUMBERS, &vec![0.0; matrix.nrows()])
    }

    #[test]
    fn solutions_solve_even_where_the_scales_differ_widely() {
        let (matrix, factor) = (matrix(), factor(&matrix()));
        assert!(factor.is_positive_definite());
        for column in 0..4 {
            let unit = DVector::from_fn(4, |i, _| f64::from(u8::from(i == column)));
            let solution = factor.solve(&unit);
            for (row, wanted) in matrix.row_iter().zip(&unit) {
                let size: f64 = row.iter().zip(&solution).map(|(a, b)| (a * b).abs()).sum();
                let found: f64 = row.iter().zip(&solution).map(|(a, b)| a * b).sum();
                assert!((found - wanted).abs() <= 1e-12 * size.max(1.0), "{found} {wanted}");
            }
            assert!((factor.norm(&unit).powi(2) / solution[column] - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_unit_factor_separates_the_numbers_from_all_columns_after_them() {
        // Two numbers, followed by two columns that stay as they are.
        let matrix = matrix();
        let rows = Cholesky::of(&matrix, 2, &[0.0; 4]).unit_factor();
        let m = DMatrix::from_fn(4, 4, |i, j| rows.get(i).map_or(f64::from(u8::from(i == j)), |row| row[j]));
        let inverse = m.try_inverse().unwrap();
        let separated = &inverse * &matrix * inverse.transpose();
        for i in 0..2 {
            assert_eq!(rows[i][i], 1.0);
            assert!(rows[i][..i].iter().all(|entry| *entry == 0.0));
            for j in i + 1..4 {
                let size = (matrix[(i, i)] * matrix[(j, j)]).sqrt();
                assert!(separated[(i, j)].abs() <= 1e-11 * size, "{i} {j}: {separated}");
            }
        }
        assert_eq!(separated[(2, 3)], matrix[(2, 3)]);
    }

    #[test]
    fn no_indefinite_or_broken_matrix_passes() {
        for entry in [1.0, 0.0, f64::NAN] {
            assert!(!factor(&DMatrix::from_element(4, 4, entry)).is_positive_definite());
        }
        let mut indefinite = matrix();
        indefinite[(0, 1)] = 2e6;
        indefinite[(1, 0)] = 2e6;
        assert!(!factor(&indefinite).is_positive_definite());
    }

    #[test]
    fn the_penalty_replaces_a_pivot_of_an_indicator_that_is_noise() {
        // Two equal indicators and the constant.
        let matrix = DMatrix::from_row_slice(3, 3, &[3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 9.0]);
        let factor = Cholesky::of(&matrix, 0, &[1e-20, 1e-20, 0.0]);
        assert!(factor.is_positive_definite());
        assert!((factor.norm(&DVector::from_vec(vec![1.0, 0.0, 0.0])) / 1e10 - 1.0).abs() < 1e-12);
        assert!(!Cholesky::of(&matrix, 0, &[0.0; 3]).is_positive_definite());
    }
}
