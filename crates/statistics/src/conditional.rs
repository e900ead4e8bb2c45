//! What a part of an individual's values would be expected to be, given the other values: the conditional expectation of a
//! multivariate normal distribution, which is the linear regression of the part on the others.

use std::ops::Range;

/// Share of its variance that is added to each column as noise, so that columns that determine each other do not make
/// the expectations depend on rounding.
const NOISE: f64 = 1e-3;

/// The correlations of standardised columns, which belong to parts (a number is a part of one column, a category one of as
/// many columns as it has indicators).
#[derive(Clone, Debug, PartialEq)]
pub struct Conditional {
    /// The inverse P of the matrix of correlations, row by row.
    precision: Vec<f64>,
    parts: Vec<Part>,
}

/// The columns of a part, and the inverse of their block of P.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    columns: Range<usize>,
    covariance: Vec<f64>,
}

impl Conditional {
    /// Prepares the expectations for parts of so many columns each, from the `correlation` of any two columns. Takes time in
    /// proportion to the cube of the number of columns. `None` if the correlations are contradictory.
    pub fn new(columns: &[usize], correlation: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let width = columns.iter().sum();
        let entry = |i, j| if i == j { 1.0 + NOISE } else { correlation(i, j) };
        let precision = inverse(width, entry)?;
        let mut next = 0;
        let part = |columns: &usize| {
            let range = next..next + columns;
            next = range.end;
            // A part's deviation from its expectation has the covariance P_aa⁻¹.
            let covariance = inverse(*columns, |i, j| precision[(range.start + i) * width + range.start + j])?;
            Some(Part { columns: range, covariance })
        };
        let parts = columns.iter().map(part).collect::<Option<_>>()?;
        Some(Self { precision, parts })
    }

    /// Returns each part's deviation from what the other parts of the standardised values `z` let expect: for part a of the
    /// columns, z_a − E(z_a | others) = P_aa⁻¹ (P z)_a (Lauritzen, Graphical Models, 1996, appendix C). `z` has one entry per
    /// column.
    pub fn deviations(&self, z: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64> = self.precision.chunks(z.len().max(1)).map(|row| dot(row, z)).collect();
        let deviation = |part: &Part| {
            let scaled = &scaled[part.columns.clone()];
            part.covariance.chunks(scaled.len().max(1)).map(|row| dot(row, scaled)).collect::<Vec<f64>>()
        };
        self.parts.iter().flat_map(deviation).collect()
    }

    /// Returns the standard deviation of a part's first column given the other parts, from 0 (they determine it) to 1 (they
    /// say nothing about it). `None` if there is no such part, or if it has no column.
    pub fn unexplained(&self, part: usize) -> Option<f64> {
        Some(self.parts.get(part)?.covariance.first()?.sqrt().min(1.0))
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(x, y)| x * y).sum()
}

/// Returns the inverse of a symmetric positive definite matrix, row by row, by Gauss–Jordan elimination, which needs no
/// pivoting for such a matrix. `None` if the matrix is not positive definite.
fn inverse(width: usize, entry: impl Fn(usize, usize) -> f64) -> Option<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = (0..width).map(|i| (0..width).map(|j| entry(i, j)).collect()).collect();
    for k in 0..width {
        let pivot = rows[k][k];
        if pivot.is_nan() || pivot <= 1e-9 {
            return None;
        }
        // The row and the column k of the result replace those of the matrix.
        rows[k][k] = 1.0;
        rows[k].iter_mut().for_each(|entry| *entry /= pivot);
        let pivot_row = rows[k].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = std::mem::take(&mut row[k]);
            row.iter_mut().zip(&pivot_row).for_each(|(entry, pivot)| *entry -= factor * pivot);
        }
    }
    Some(rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn close(ours: &[f64], known: &[f64], tolerance: f64) {
        let is_close = |(ours, known): (&f64, &f64)| (ours - known).abs() < tolerance;
        assert!(ours.len() == known.len() && ours.iter().zip(known).all(is_close), "{ours:?}, known {known:?}");
    }

    #[test]
    fn two_columns_explain_each_other_as_far_as_they_are_correlated() {
        let with = |r: f64| Conditional::new(&[1, 1], move |_, _| r).unwrap();
        close(&with(0.0).deviations(&[2.0, -1.0]), &[2.0, -1.0], 1e-12);
        close(&with(0.8).deviations(&[2.0, -1.0]), &[2.0 + 0.8, -1.0 - 1.6], 4e-3);
        close(&with(1.0).deviations(&[2.0, 2.0]), &[0.0, 0.0], 4e-3);
        assert!((with(0.6).unexplained(0).unwrap() - 0.8).abs() < 2e-3);
        assert!(with(1.0).unexplained(1).unwrap() < 0.05 && with(0.0).unexplained(0) == Some(1.0));
        assert_eq!(with(0.0).unexplained(2), None);
    }

    #[test]
    fn a_part_of_several_columns_is_explained_by_the_other_parts_only() {
        // The columns of part 1 determine each other, and are independent of part 0.
        let correlation = |i: usize, j: usize| if i.min(j) == 0 { 0.0 } else { -0.9 };
        let conditional = Conditional::new(&[1, 2], correlation).unwrap();
        close(&conditional.deviations(&[1.0, 2.0, -2.0]), &[1.0, 2.0, -2.0], 1e-9);
    }

    #[test]
    fn deviations_are_the_residuals_of_least_squares() {
        // Correlations of random columns with common causes; residuals of the first on the others are uncorrelated with them.
        let mut random = Random::new(5);
        let (n, width) = (400, 4);
        let rows: Vec<[f64; 4]> = (0..n)
            .map(|_| {
                let [a, b, c, d] = [0; 4].map(|_| random.uniform() - 0.5);
                [a + b, b + 0.5 * c, c - a, d + a]
            })
            .collect();
        let mean = |j: usize| rows.iter().map(|row| row[j]).sum::<f64>() / n as f64;
        let means: Vec<f64> = (0..width).map(mean).collect();
        let covariance =
            |i: usize, j: usize| rows.iter().map(|row| (row[i] - means[i]) * (row[j] - means[j])).sum::<f64>();
        let deviation: Vec<f64> = (0..width).map(|j| covariance(j, j).sqrt()).collect();
        let correlation = |i: usize, j: usize| covariance(i, j) / deviation[i] / deviation[j];
        let conditional = Conditional::new(&[1; 4], correlation).unwrap();
        let standardised =
            |row: &[f64; 4]| -> Vec<f64> { (0..width).map(|j| (row[j] - means[j]) / deviation[j]).collect() };
        for j in 1..width {
            let product = |row: &[f64; 4]| conditional.deviations(&standardised(row))[0] * standardised(row)[j];
            let product: f64 = rows.iter().map(product).sum();
            assert!(product.abs() < 0.01, "{j}: {product}"); // 0 without the noise
        }
    }

    #[test]
    fn contradictions_and_nothing() {
        assert_eq!(Conditional::new(&[1, 1], |_, _| 1.5), None);
        let r = |i: usize, j: usize| if (i, j) == (0, 2) || (i, j) == (2, 0) { -0.9 } else { 0.9 };
        assert_eq!(Conditional::new(&[1, 1, 1], r), None);
        assert!(Conditional::new(&[], |_, _| 0.0).unwrap().deviations(&[]).is_empty());
        assert_eq!(Conditional::new(&[1, 0], |_, _| 0.0).unwrap().unexplained(1), None);
    }
}
