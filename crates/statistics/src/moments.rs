//! Mean and standard deviation of values of any size.

/// Standard deviations below this may have lost digits, because squares of differences underflow.
const SMALLEST_DEVIATION: f64 = 1e-140;

/// Finite values that can be summed, wherever they are kept.
pub trait Summable {
    /// Returns the number of values.
    fn n(&self) -> u64;

    /// Returns the smallest and the largest value; `None` if there is no value.
    fn range(&self) -> Option<(f64, f64)>;

    /// Returns the sum of `term` over all values. Every call adds in the same order.
    fn sum(&self, term: impl Fn(f64) -> f64 + Sync) -> f64;
}

/// Returns the mean and the sample standard deviation (divisor n − 1; 0 for a single value); the latter is at most
/// `f64::MAX`. `None` if there is no value.
///
/// The values are summed as differences from the smallest one. Sums that overflow or underflow are computed again with
/// scaled values.
pub fn moments(values: &impl Summable) -> Option<(f64, f64)> {
    let (min, max) = values.range()?;
    let (mean, standard_deviation) = scaled_moments(values, min, 1.0);
    if mean.is_finite() && (min == max || (SMALLEST_DEVIATION..f64::INFINITY).contains(&standard_deviation)) {
        return Some((mean, standard_deviation));
    }
    // A power of two, so the scaled values are exact unless they underflow. Every difference is below 1 in size.
    let exponent = (libm::frexp(min.abs().max(max.abs())).1 + 1).max(-1000);
    let (mean, standard_deviation) = scaled_moments(values, min, libm::ldexp(1.0, -exponent));
    let rescaled = |value| libm::ldexp(value, exponent);
    Some((rescaled(mean).clamp(min, max), rescaled(standard_deviation).min(f64::MAX)))
}

/// Computes the mean and the sample standard deviation of the values multiplied by `scale`. `min` is the smallest
/// value.
fn scaled_moments(values: &impl Summable, min: f64, scale: f64) -> (f64, f64) {
    let n = values.n() as f64;
    let min = min * scale;
    let mean = min + values.sum(|value| value * scale - min) / n; // exact if all values are equal
    let squares = values.sum(|value| (value * scale - mean) * (value * scale - mean));
    (mean, if n == 1.0 { 0.0 } else { (squares / (n - 1.0)).sqrt() })
}
