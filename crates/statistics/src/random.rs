//! The random numbers of this crate: a seeded generator, and draws of counts whose cost does not grow with the number
//! of clients counted.

use crate::special::ln_choose;

/// The generator SplitMix64 (Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014). Its
/// period is 2⁶⁴, far more than any function here draws.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Creates a generator. Neighbouring seeds give unrelated numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: mixed(seed) }
    }

    /// Draws a uniform number from (0, 1), excluding both ends.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Draws an integer from 0 to `n` − 1. The bias is below n / 2⁶⁴.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Draws the number of marked items among `draws` items drawn without replacement from `total` items, of which
    /// `marked` are marked. Neither may exceed `total`. Uses inversion from the most probable number outwards, so the
    /// number of steps is a few standard deviations.
    pub(crate) fn hypergeometric(&mut self, total: u64, marked: u64, draws: u64) -> u64 {
        let unmarked = total - marked;
        let (lowest, highest) = (draws.saturating_sub(unmarked), marked.min(draws));
        let mode = ((u128::from(draws) + 1) * (u128::from(marked) + 1) / (u128::from(total) + 2)) as u64;
        let mode = mode.clamp(lowest, highest);
        // The ratio p(k + 1) / p(k).
        let ratio =
            |k: u64| ((marked - k) as f64 * (draws - k) as f64) / ((k + 1) as f64 * (unmarked + k + 1 - draws) as f64);
        let p = (ln_choose(marked, mode) + ln_choose(unmarked, draws - mode) - ln_choose(total, draws)).exp();
        let mut left = self.uniform() - p;
        let (mut up, mut p_up, mut down, mut p_down) = (mode, p, mode, p);
        while left > 0.0 && (up < highest || down > lowest) {
            if up < highest {
                p_up *= ratio(up);
                up += 1;
                left -= p_up;
                if left <= 0.0 {
                    return up;
                }
            }
            if down > lowest {
                down -= 1;
                p_down /= ratio(down);
                left -= p_down;
                if left <= 0.0 {
                    return down;
                }
            }
        }
        mode
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }
}

fn mixed(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::chi_square_survival;

    const DRAWS: usize = 200_000;

    /// Returns the p-value of Pearson's test that the draws have the given probabilities. Rare values are pooled.
    fn fit(mut draw: impl FnMut() -> u64, ln_probability: impl Fn(u64) -> f64, highest: u64) -> f64 {
        let mut counts = vec![0.0; highest as usize + 1];
        for _ in 0..DRAWS {
            counts[draw() as usize] += 1.0;
        }
        let (mut statistic, mut cells, mut expected, mut observed) = (0.0, 0, 0.0, 0.0);
        for (k, count) in counts.iter().enumerate() {
            expected += DRAWS as f64 * ln_probability(k as u64).exp();
            observed += count;
            if expected >= 20.0 {
                statistic += (observed - expected) * (observed - expected) / expected;
                (cells, expected, observed) = (cells + 1, 0.0, 0.0);
            }
        }
        chi_square_survival(statistic, cells - 1)
    }

    #[test]
    fn the_published_sequence() {
        // The first outputs for this state, from https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
        let mut random = Random { state: 1_234_567 };
        assert_eq!([0; 3].map(|_| random.next()), [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn hypergeometric_draws_have_hypergeometric_probabilities() {
        for (total, marked, draws) in
            [(10u64, 4u64, 3u64), (10, 9, 8), (1000, 30, 400), (5000, 2500, 300), (1_000_000, 9, 900_000)]
        {
            let mut random = Random::new(total);
            let ln_probability = |k: u64| match (marked.checked_sub(k), draws.checked_sub(k)) {
                (Some(_), Some(rest)) if rest <= total - marked => {
                    ln_choose(marked, k) + ln_choose(total - marked, rest) - ln_choose(total, draws)
                }
                _ => f64::NEG_INFINITY,
            };
            let p_value = fit(|| random.hypergeometric(total, marked, draws), ln_probability, marked.min(draws));
            assert!(p_value > 0.001, "{total} {marked} {draws}: {p_value}");
        }
        let mut random = Random::new(1);
        assert_eq!([(0, 0, 0), (7, 0, 7), (7, 7, 3)].map(|(n, k, m)| random.hypergeometric(n, k, m)), [0, 0, 3]);
    }

    #[test]
    fn whole_numbers_are_uniform_and_seeds_differ() {
        let mut random = Random::new(3);
        let p_value = fit(|| random.below(7), |_| -f64::ln(7.0), 6);
        assert!(p_value > 0.001, "{p_value}");
        assert_ne!(Random::new(0).next(), Random::new(1).next());
        assert_eq!(Random::new(5).next(), Random::new(5).next());
    }
}
