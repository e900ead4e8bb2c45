//! Explanations of a logistic regression: the effect of a predictor, each predictor's contribution to a client's
//! log-odds, and the change that would bring a client below the threshold.

use std::ops::RangeInclusive;

use crate::interval::Interval;
use crate::special::NORMAL_97_5;

/// Largest number up to which every integer has an exact `f64`: 2⁵³.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// The factor by which the odds of leaving change if a predictor rises by `unit` and the others stay the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OddsRatio {
    /// The factor exp(coefficient · unit); 1 means no effect.
    pub ratio: f64,
    /// Wald's 95 % interval, exp((coefficient ± 1.96 standard errors) · unit).
    pub interval: Interval,
}

/// Returns the odds ratio of a coefficient of a logistic regression (Hosmer & Lemeshow, Applied Logistic Regression,
/// 3rd ed. 2013, §3.4). `coefficient` and `standard_error` are log-odds per unit of the predictor; `unit`, the rise of
/// the predictor, must not be negative.
pub fn odds_ratio(coefficient: f64, standard_error: f64, unit: f64) -> OddsRatio {
    let margin = NORMAL_97_5 * standard_error;
    let interval = Interval { low: ((coefficient - margin) * unit).exp(), high: ((coefficient + margin) * unit).exp() };
    OddsRatio { ratio: (coefficient * unit).exp(), interval }
}

/// Returns a unit for typical changes of a predictor: of the powers of ten with an exponent in `exponents`, the one nearest
/// to its standard deviation by ratio; 1 if the standard deviation is 0 or unknown.
pub fn sensible_unit(standard_deviation: f64, exponents: RangeInclusive<i32>) -> f64 {
    match standard_deviation.log10().round() {
        exponent if exponent.is_finite() => 10f64.powi((exponent as i32).clamp(*exponents.start(), *exponents.end())),
        _ => 1.0,
    }
}

/// The values among which [`value_below`] searches: the multiples of 1 / `per_unit` from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Number of values per unit, a power of ten; 1 for whole numbers.
    pub per_unit: f64,
    /// Smallest value of the grid.
    pub low: f64,
    /// Largest value of the grid.
    pub high: f64,
}

impl Grid {
    /// The counts, from 0 to 2⁵³.
    pub const COUNTS: Self = Self { per_unit: 1.0, low: 0.0, high: LARGEST_COUNT };

    /// Returns a grid for numbers from `low` to `high`: of decimals that are at least a hundred times as fine as
    /// `standard_deviation`, and of whole numbers if they are fine enough.
    pub fn of_numbers(standard_deviation: f64, low: f64, high: f64) -> Self {
        let digits = (2.0 - standard_deviation.log10().floor()).clamp(0.0, 15.0);
        let per_unit = if digits.is_nan() { 1.0 } else { 10f64.powi(digits as i32) };
        Self { per_unit, low, high }
    }
}

/// Returns the value of `grid` nearest to `now` at which one predictor brings the probability below `threshold` if the
/// others stay the same; `now` itself if the probability is below it already.
///
/// `probability` returns the client's probability of leaving for a value of that predictor. It must be monotonic with
/// the sign of `coefficient`. It is evaluated both at the answer and at the value before it, so the one is below the
/// threshold and the other is not, whatever the rounding. A client is predicted to leave if the probability is at least
/// the threshold; below it, the client is predicted to stay.
///
/// `None` if no value of the grid brings the probability below the threshold, or if `now` is outside the grid.
pub fn value_below(
    now: f64,
    coefficient: f64,
    threshold: f64,
    grid: Grid,
    probability: impl Fn(f64) -> f64,
) -> Option<f64> {
    if probability(now) < threshold {
        return Some(now);
    }
    let Grid { per_unit, low, high } = grid;
    // Positions on the grid are whole numbers, so that the values are exact decimals.
    let is_below = |position: f64| probability(position / per_unit) < threshold;
    let position = now * per_unit;
    // `far` is below the threshold. `near` is not, or lies on the wrong side of `now`. The answer lies between them.
    let (mut near, mut far) = if coefficient > 0.0 {
        (position.floor() + 1.0, (low * per_unit).ceil())
    } else if coefficient < 0.0 {
        (position.ceil() - 1.0, (high * per_unit).floor())
    } else {
        return None;
    };
    if !(low..=high).contains(&now) || far.abs() > LARGEST_COUNT || !is_below(far) {
        return None;
    }
    while (far - near).abs() > 1.0 {
        let middle = ((near + far) / 2.0).floor();
        if is_below(middle) { far = middle } else { near = middle }
    }
    Some(far / per_unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const COEFFICIENTS: [f64; 3] = [-0.0998, 0.0111, 0.0034];
    const INTERCEPT: f64 = -0.4919;

    fn log_odds(x: &[f64; 3]) -> f64 {
        COEFFICIENTS.iter().zip(x).map(|(b, x)| b * x).sum::<f64>() + INTERCEPT
    }

    fn client(random: &mut Random) -> [f64; 3] {
        [random.below(400) as f64, random.below(2000) as f64, random.below(1000) as f64]
    }

    #[test]
    fn ratios_multiply_and_no_effect_is_one() {
        let (one, ten) = (odds_ratio(0.0111, 0.0003, 1.0), odds_ratio(0.0111, 0.0003, 10.0));
        assert!(
            (one.ratio.powi(10) - ten.ratio).abs() < 1e-12
                && (one.interval.low.powi(10) - ten.interval.low).abs() < 1e-12
        );
        assert_eq!(odds_ratio(0.0, 0.0, 10.0).interval, Interval { low: 1.0, high: 1.0 });
        let falling = odds_ratio(-0.1, 0.02, 1.0);
        assert!(
            falling.interval.low < falling.ratio
                && falling.ratio < falling.interval.high
                && falling.interval.high < 1.0
        );
    }

    #[test]
    fn units_have_the_magnitude_of_the_standard_deviation() {
        let deviations = [0.0, f64::NAN, 0.2, 3.1, 3.2, 87.6, 316.0, 317.0, 5e9];
        let units = deviations.map(|deviation| sensible_unit(deviation, 0..=3));
        assert_eq!(units, [1.0, 1.0, 1.0, 1.0, 10.0, 100.0, 100.0, 1000.0, 1000.0]);
        assert_eq!([0.2, 5e9].map(|deviation| sensible_unit(deviation, -9..=12)), [0.1, 1e10]);
    }

    #[test]
    fn the_nearest_whole_value_and_not_the_one_before_is_below_the_threshold() {
        let mut random = Random::new(2);
        let mut answers = 0;
        for round in 0..3000 {
            let (x, j) = (client(&mut random), round % 3);
            let x = if round % 2 == 0 { x } else { x.map(|x| x + 0.5) }; // an imputed median may be half a count
            let threshold = 0.01 + 0.98 * random.uniform();
            let probability = |value: f64| {
                let mut changed = x;
                changed[j] = value;
                1.0 / (1.0 + (-log_odds(&changed)).exp())
            };
            let lowest_possible = if COEFFICIENTS[j] > 0.0 { 0.0 } else { 1e9 };
            let Some(answer) = value_below(x[j], COEFFICIENTS[j], threshold, Grid::COUNTS, probability) else {
                assert!(probability(lowest_possible) >= threshold);
                continue;
            };
            assert!(answer >= 0.0 && probability(answer) < threshold);
            if answer != x[j] {
                answers += 1;
                let before = answer + COEFFICIENTS[j].signum();
                let beyond_now = (before - x[j]) * COEFFICIENTS[j] > 0.0;
                assert!(answer.fract() == 0.0 && (beyond_now || probability(before) >= threshold));
            }
        }
        assert!(answers > 500, "{answers}");
    }

    #[test]
    fn no_value_helps() {
        let logistic = |z: f64| 1.0 / (1.0 + (-z).exp());
        assert_eq!(value_below(5.0, 0.0, 0.5, Grid::COUNTS, |_| 0.9), None);
        assert_eq!(value_below(5.0, f64::NAN, 0.5, Grid::COUNTS, |_| 0.9), None);
        assert_eq!(value_below(5.0, 1.0, 0.5, Grid::COUNTS, |x| logistic(x + 1.0)), None); // would need −1
        assert_eq!(value_below(0.0, 1.0, 0.5, Grid::COUNTS, logistic), None); // 0.5 at 0, which is not below
        assert_eq!(value_below(5.0, -1e-20, 0.5, Grid::COUNTS, |x| logistic(3.0 - 1e-20 * x)), None);
        assert_eq!(value_below(5.0, -1.0, 0.0, Grid::COUNTS, |x| logistic(-x)), None);
        assert_eq!(value_below(5.0, 1.0, 0.5, Grid::COUNTS, |x| logistic(x - 4.0)), Some(3.0)); // at 4 it is exactly the threshold
        assert_eq!(value_below(5.0, -1.0, 0.5, Grid::COUNTS, |x| logistic(9.0 - x)), Some(10.0));
        assert_eq!(value_below(2.5, 1.0, 0.5, Grid::COUNTS, |x| logistic(x - 2.25)), Some(2.0));
        assert_eq!(value_below(2.5, 1.0, 0.5, Grid::COUNTS, |x| logistic(x - 9.0)), Some(2.5)); // already below the threshold
    }

    #[test]
    fn numbers_are_changed_in_decimals_within_their_range() {
        let logistic = |z: f64| 1.0 / (1.0 + (-z).exp());
        let grid = Grid::of_numbers(30.0, -50.0, 120.0);
        assert_eq!(grid.per_unit, 10.0);
        let below =
            |coefficient, probability: &dyn Fn(f64) -> f64| value_below(3.33, coefficient, 0.5, grid, probability);
        assert_eq!(below(1.0, &|x| logistic(x + 7.04)), Some(-7.1));
        assert_eq!(below(1.0, &|x| logistic(x + 60.0)), None);
        assert_eq!(below(-1.0, &|x| logistic(99.95 - x)), Some(100.0));
        assert_eq!(below(-1.0, &|x| logistic(120.0 - x)), None);
        assert_eq!(value_below(-51.0, 1.0, 0.5, grid, |_| 0.9), None);
        assert_eq!(
            [0.0, f64::NAN, 1e9, 0.004].map(|sd| Grid::of_numbers(sd, 0.0, 1.0).per_unit),
            [1e15, 1.0, 1.0, 1e5]
        );
    }
}
