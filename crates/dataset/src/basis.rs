//! Coordinates in which a logistic regression is well-conditioned, whatever the units of the predictors.
//!
//! The solver does not work on the columns x of a [`Design`] but on columns q with x = U q, where U is an upper
//! triangular matrix with ones on its diagonal. Only numbers are changed: the rows of U for the indicators and the
//! constant are those of the identity. With three numbers and no category:
//!
//! ```text
//! q₄ = 1
//! q₃ = x₃ − U₃₄                        centred
//! q₂ = x₂ − U₂₄ − U₂₃ q₃               centred, without what q₃ explains
//! q₁ = x₁ − U₁₄ − U₁₂ q₂ − U₁₃ q₃
//! ```
//!
//! The parameters are transformed accordingly: θ·x = γ·q for γ = Uᵀθ. U is part of the definition of q, so its entries
//! need not be accurate: every choice of U has the same optimum, and a good choice preserves the digits that nearly
//! collinear predictors would cancel.

use nalgebra::DMatrix;
use twofloat::TwoFloat;

use crate::design::Design;
use crate::likelihood::Parameters;

/// The matrix U that defines the columns q (see the module documentation).
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    design: Design,
    /// The rows of U for the numbers.
    upper: Vec<Vec<f64>>,
}

/// Memory for one row of [`Basis::columns`].
#[derive(Default)]
pub struct Scratch {
    exact: Vec<TwoFloat>,
    sizes: Vec<f64>,
    indicators: Vec<usize>,
}

impl Basis {
    /// Returns the basis of the columns of `design` in which the numbers are taken minus their `centre`.
    pub fn centred(design: &Design, centre: &[f64]) -> Self {
        let row = |(j, centre): (usize, &f64)| {
            let mut row = vec![0.0; design.width()];
            row[j] = 1.0;
            row[design.constant()] = *centre;
            row
        };
        Self { design: design.clone(), upper: centre.iter().enumerate().map(row).collect() }
    }

    /// Returns the columns that the basis transforms.
    pub fn design(&self) -> &Design {
        &self.design
    }

    /// Returns the rows of U for the numbers.
    pub fn upper(&self) -> &[Vec<f64>] {
        &self.upper
    }

    /// Returns what is subtracted from each number, whatever the other columns are.
    pub fn centre(&self) -> Vec<f64> {
        self.upper.iter().map(|row| row[self.design.constant()]).collect()
    }

    /// Returns whether the columns are only centred numbers and indicators, without mixing them.
    pub fn is_only_centred(&self) -> bool {
        let constant = self.design.constant();
        self.upper.iter().enumerate().all(|(j, row)| row[j + 1..constant].iter().all(|entry| *entry == 0.0))
    }

    /// Returns the basis of the columns q' with q = M q', where `m` holds the rows of M for the numbers. M is upper
    /// triangular with ones on its diagonal, and its other rows are those of the identity.
    pub fn followed_by(&self, m: &[Vec<f64>]) -> Self {
        let (numbers, width) = (self.design.numbers(), self.design.width());
        let entry = |i: usize, j: usize| {
            // The row of M for an indicator or the constant adds the entry of U itself.
            let own = if j < numbers { TwoFloat::from(0.0) } else { self.upper[i][j].into() };
            let terms = (i..numbers.min(j + 1)).map(|k| TwoFloat::new_mul(self.upper[i][k], m[k][j]));
            terms.fold(own, |sum, term| sum + term).hi()
        };
        let row = |i| (0..width).map(|j| if j < i { 0.0 } else { entry(i, j) }).collect();
        Self { design: self.design.clone(), upper: (0..numbers).map(row).collect() }
    }

    /// Calls `column` with the index of each numeric column of a row, its value q, and the magnitude of the terms it was
    /// computed from. `numbers` and `levels` return the number and the level of a predictor by its index.
    ///
    /// The columns are computed in pairs of doubles, so the error of a column is at most its last bit plus 2⁻¹⁰⁰ of that
    /// magnitude, times the number of terms.
    pub fn columns(
        &self,
        numbers: impl Fn(usize) -> f64,
        levels: impl Fn(usize) -> usize,
        scratch: &mut Scratch,
        mut column: impl FnMut(usize, f64, f64),
    ) {
        let (count, constant) = (self.design.numbers(), self.design.constant());
        let Scratch { exact, sizes, indicators } = scratch;
        exact.resize(count, TwoFloat::from(0.0));
        sizes.resize(count, 0.0);
        indicators.clear();
        let categories = 0..self.design.categories().len();
        indicators.extend(categories.filter_map(|category| self.design.indicator(category, levels(category))));
        for j in (0..count).rev() {
            let row = &self.upper[j];
            let mut q = TwoFloat::new_sub(numbers(j), row[constant]);
            let mut size = q.hi().abs();
            for indicator in indicators.iter().filter(|indicator| row[**indicator] != 0.0) {
                q -= row[*indicator];
                size += row[*indicator].abs();
            }
            for k in j + 1..count {
                if row[k] != 0.0 {
                    q -= exact[k] * row[k];
                    size += row[k].abs() * sizes[k];
                }
            }
            exact[j] = q;
            sizes[j] = size;
            column(j, q.hi(), size);
        }
    }

    /// Returns the parameters θ of the columns x that correspond to the parameters `gamma` of the columns q.
    pub fn parameters(&self, gamma: &[f64]) -> Parameters {
        self.exact_parameters(gamma).into_iter().map(|theta| theta.hi()).collect()
    }

    /// Returns the coefficients of the terms that correspond to the parameters `gamma` of the columns q, and the
    /// intercept.
    ///
    /// The coefficients of the levels of a category add up to 0. This choice has the smallest sum of squares among all
    /// that give the same predictions.
    pub fn terms(&self, gamma: &[f64]) -> (Vec<f64>, f64) {
        let theta = self.exact_parameters(gamma);
        let mut intercept = theta[self.design.constant()];
        let mut terms: Vec<f64> = theta[..self.design.numbers()].iter().map(|theta| theta.hi()).collect();
        for (index, category) in self.design.categories().iter().enumerate() {
            let sum = self.design.indicators(index).fold(TwoFloat::from(0.0), |sum, column| sum + theta[column]);
            let mean = sum / category.levels as f64;
            intercept += mean;
            let relative = |level| match self.design.indicator(index, level) {
                Some(column) => (theta[column] - mean).hi(),
                None => (-mean).hi(),
            };
            terms.extend((0..category.levels).map(relative));
        }
        (terms, intercept.hi())
    }

    fn exact_parameters(&self, gamma: &[f64]) -> Vec<TwoFloat> {
        let numbers = self.design.numbers();
        let mut theta: Vec<TwoFloat> = Vec::with_capacity(gamma.len());
        for (j, gamma) in gamma.iter().enumerate() {
            let before = 0..j.min(numbers);
            let rest = before.fold(TwoFloat::from(*gamma), |rest, k| match self.upper[k][j] {
                0.0 => rest,
                entry => rest - theta[k] * entry,
            });
            theta.push(rest);
        }
        theta
    }

    /// Returns the parameters γ of the columns q that correspond to the parameters `theta` of the columns x.
    pub fn of_parameters(&self, theta: &[f64]) -> Parameters {
        let numbers = self.design.numbers();
        let entry = |j: usize| {
            let own = if j < numbers { TwoFloat::from(0.0) } else { theta[j].into() };
            let terms = (0..numbers.min(j + 1)).map(|k| TwoFloat::new_mul(theta[k], self.upper[k][j]));
            terms.fold(own, |sum, term| sum + term).hi()
        };
        (0..theta.len()).map(entry).collect()
    }

    /// Solves U x = v, that is, returns U⁻¹ v.
    pub fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut q: Vec<TwoFloat> = v.iter().map(|v| TwoFloat::from(*v)).collect();
        for i in (0..self.design.numbers()).rev() {
            q[i] =
                (i + 1..v.len()).filter(|j| v[*j] != 0.0 || *j < self.design.numbers()).fold(v[i].into(), |rest, j| {
                    match self.upper[i][j] {
                        0.0 => rest,
                        entry => rest - q[j] * entry,
                    }
                });
        }
        q.into_iter().map(|q| q.hi()).collect()
    }

    /// Returns the inverse U⁻¹ of the whole matrix.
    pub fn inverse(&self) -> DMatrix<f64> {
        let width = self.design.width();
        let mut inverse = DMatrix::zeros(width, width);
        let mut unit = vec![0.0; width];
        for (j, mut column) in inverse.column_iter_mut().enumerate() {
            unit[j] = 1.0;
            column.copy_from_slice(&self.solve(&unit));
            unit[j] = 0.0;
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::Category;

    fn design() -> Design {
        Design::new(3, vec![Category { levels: 3, reference: 1 }])
    }

    fn oblique() -> Basis {
        let m = [
            vec![1.0, 0.5, -2.0, 0.25, 8.0, 3.0],
            vec![0.0, 1.0, 1e9, 3.0, -1.0, 0.25],
            vec![0.0, 0.0, 1.0, -0.5, 2.0, -7.0],
        ];
        Basis::centred(&design(), &[10.0, 1e9, 3.0]).followed_by(&m)
    }

    fn numeric_columns(basis: &Basis, numbers: [f64; 3], level: usize) -> Vec<f64> {
        let mut columns = vec![0.0; 3];
        basis.columns(|j| numbers[j], |_| level, &mut Scratch::default(), |j, q, _| columns[j] = q);
        columns
    }

    #[test]
    fn rows_and_parameters_change_together() {
        let basis = oblique();
        let theta = [0.5, -1e-9, 0.25, 2.0, -3.0, 1.0];
        let gamma = basis.of_parameters(&theta);
        for (back, b) in basis.parameters(&gamma).iter().zip(theta) {
            assert!((back - b).abs() <= 1e-7 * b.abs(), "{back} {b}"); // 10⁹ times the rounding error of γ
        }
        let numbers = [12.0, 7e8, 4.0];
        for (level, indicators) in [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]].into_iter().enumerate() {
            let rest = indicators.iter().copied().chain([1.0]);
            let x: Vec<f64> = numbers.into_iter().chain(rest.clone()).collect();
            let q: Vec<f64> = numeric_columns(&basis, numbers, level).into_iter().chain(rest).collect();
            assert_eq!(basis.solve(&x), q);
            let log_odds: f64 = x.iter().zip(theta).map(|(x, b)| x * b).sum();
            let same: f64 = q.iter().zip(&gamma).map(|(q, g)| q * g).sum();
            assert!((log_odds - same).abs() < 1e-5, "{log_odds} {same}");
        }
    }

    #[test]
    fn a_column_that_nearly_cancels_keeps_its_digits() {
        // x₂ = 2 x₃ + 1, where x₃ has ten digits and a fraction: rounding the product to a double would lose the 1.
        let with = |factor| {
            let m = [
                vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                vec![0.0, 1.0, factor, 0.0, 0.0, 0.0],
                vec![0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
            ];
            Basis::centred(&design(), &[0.0; 3]).followed_by(&m)
        };
        let x3 = 8_388_607.0 + 2.0f64.powi(-30);
        let columns = numeric_columns(&with(2.0), [0.0, 2.0 * x3 + 1.0, x3], 0);
        assert_eq!(columns[1], 2.0 * x3 + 1.0 - 2.0 * x3);
        // 3e15 · fl(1/3) = 1e15 − 1/18014398509481984 · 3e15, exactly.
        let columns = numeric_columns(&with(1.0 / 3.0), [0.0, 1e15, 3e15], 0);
        assert_eq!(columns[1], 1e15 * 2.0f64.powi(-54));
    }

    #[test]
    fn only_centred_says_so() {
        let centred = Basis::centred(&design(), &[1.0, 2.0, 3.0]);
        assert!(centred.is_only_centred());
        assert!(!oblique().is_only_centred());
        assert_eq!(numeric_columns(&centred, [1.0, 4.0, 3.5], 2), [0.0, 2.0, 0.5]);
        assert_eq!(centred.centre(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_coefficients_of_a_category_add_up_to_zero_and_predict_the_same() {
        let basis = Basis::centred(&design(), &[0.0; 3]);
        let (terms, intercept) = basis.terms(&[0.5, 0.25, 0.125, 2.0, -3.5, 1.0]);
        assert_eq!(terms, [0.5, 0.25, 0.125, 2.5, 0.5, -3.0]);
        assert_eq!(intercept, 0.5);
    }
}
