//! Quantiles of sorted values. The share is a fraction of two integers, so rounding of the share cannot move a quantile
//! that falls exactly on a value to the neighbouring value.

/// Interpolates linearly between the two nearest values, like numpy's default (Hyndman & Fan 1996, definition 7).
///
/// `sorted` must be ascending, and `numerator` at most `denominator`. NaN for an empty slice.
pub(crate) fn linear(sorted: &[f64], numerator: usize, denominator: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = numerator * last;
    let (below, rest) = (position / denominator, position % denominator);
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (rest as f64 / denominator as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_values_in_proportion() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0, 1, 2, 3, 4].map(|quarters| linear(&sorted, quarters, 4)), [1.0, 1.75, 3.0, 5.0, 8.0]);
        assert_eq!(linear(&[7.0], 1, 4), 7.0);
        assert!(linear(&[], 1, 2).is_nan());
    }

    #[test]
    fn equal_values_have_no_other_quantile() {
        let sorted = [0.7; 9];
        assert!((0..=100).all(|percent| linear(&sorted, percent, 100) == 0.7));
    }
}
