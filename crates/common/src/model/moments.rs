//! How the predictors vary together in the training rows, so that a client's value can be compared with what clients of
//! otherwise similar values have.

use serde::{Deserialize, Serialize};

use super::effect::Effect;

/// Means, standard deviations and correlations of the columns of the regression over the training rows.
///
/// The columns are in the order of the schema: the transformed value of a number; of a category one indicator (0 or 1) for
/// each level except the most frequent one. [`Effect::columns`] is their number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Mean of each column.
    pub means: Vec<f64>,
    /// Standard deviation of each column (divisor n); 0 for a constant one.
    pub standard_deviations: Vec<f64>,
    /// The correlations below the diagonal, row by row: of columns 1 and 0, 2 and 0, 2 and 1, … They are 0 for a constant
    /// column. Six digits are enough for sentences and keep the model file small.
    pub correlations: Vec<f32>,
}

impl Moments {
    /// Returns the moments from sums over `rows` rows: `sum` of a column, and `product` of the values of two columns.
    /// `None` if they are not finite, because the numbers are too large.
    pub fn of_sums(
        columns: usize,
        rows: f64,
        sum: impl Fn(usize) -> f64,
        product: impl Fn(usize, usize) -> f64,
    ) -> Option<Self> {
        /// A variance below this share of the mean square is rounding.
        const ROUNDING: f64 = 1e-12;
        let means: Vec<f64> = (0..columns).map(|i| sum(i) / rows).collect();
        let covariance = |i: usize, j: usize| product(i, j) / rows - means[i] * means[j];
        let deviation = |i: usize| match covariance(i, i) {
            variance if variance <= ROUNDING * product(i, i) / rows => 0.0,
            variance => variance.sqrt(),
        };
        let standard_deviations: Vec<f64> = (0..columns).map(deviation).collect();
        let correlation = |i: usize, j: usize| match standard_deviations[i] * standard_deviations[j] {
            0.0 => 0.0,
            scale => (covariance(i, j) / scale).clamp(-1.0, 1.0) as f32,
        };
        let correlations =
            (0..columns).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| correlation(i, j)).collect();
        let moments = Self { means, standard_deviations, correlations };
        moments.is_finite().then_some(moments)
    }

    /// Returns the same moments with so much added to each mean.
    pub fn shifted(mut self, offsets: &[f64]) -> Self {
        self.means.iter_mut().zip(offsets).for_each(|(mean, offset)| *mean += offset);
        self
    }

    /// The correlation of two columns.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        let (above, below) = (i.max(j), i.min(j));
        if above == below { 1.0 } else { f64::from(self.correlations[above * (above - 1) / 2 + below]) }
    }

    /// Whether the numbers belong to `effects` and are consistent with each other. Used to check a model that was read from
    /// a file.
    pub(super) fn is_sound(&self, effects: &[Effect]) -> bool {
        let columns: usize = effects.iter().map(Effect::columns).sum();
        self.means.len() == columns
            && self.standard_deviations.len() == columns
            && self.correlations.len() == columns * columns.saturating_sub(1) / 2
            && self.is_finite()
            && self.standard_deviations.iter().all(|deviation| *deviation >= 0.0)
            && self.correlations.iter().all(|correlation| correlation.abs() <= 1.0)
    }

    fn is_finite(&self) -> bool {
        self.means.iter().chain(&self.standard_deviations).all(|number| number.is_finite())
            && self.correlations.iter().all(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(columns: &[[f64; 4]]) -> Option<Moments> {
        let sum = |i: usize| columns[i].iter().sum();
        let product = |i: usize, j: usize| columns[i].iter().zip(&columns[j]).map(|(x, y)| x * y).sum();
        Moments::of_sums(columns.len(), 4.0, sum, product)
    }

    #[test]
    fn moments_of_four_rows() {
        let moments = of(&[[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 1.0, 0.0], [8.0, 6.0, 4.0, 2.0], [5.0; 4]]).unwrap();
        assert_eq!(moments.means, [2.5, 0.5, 5.0, 5.0]);
        let known = [1.25f64.sqrt(), 0.5, 5.0f64.sqrt(), 0.0];
        assert!(moments.standard_deviations.iter().zip(known).all(|(ours, known)| (ours - known).abs() < 1e-12));
        assert_eq!(moments.correlations, [0.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!([(0, 2), (2, 0), (1, 1), (3, 0)].map(|(i, j)| moments.correlation(i, j)), [-1.0, -1.0, 1.0, 0.0]);
        assert_eq!(moments.clone().shifted(&[1.0, 0.0, -5.0, 0.5]).means, [3.5, 0.5, 0.0, 5.5]);
    }

    #[test]
    fn numbers_too_large_have_no_moments() {
        assert_eq!(of(&[[1e200, 1.0, 2.0, 3.0]]), None);
        assert!(of(&[]).unwrap().means.is_empty());
    }
}
