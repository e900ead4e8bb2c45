//! Random draws with a seed: the same seed gives the same values in every build and version.
//!
//! `rand_xoshiro` implements published generators, whose numbers are fixed. The draws below are written here, because
//! `rand` and `rand_distr` may change theirs with any minor version. `rand_distr` 0.6 also needs about twice as long for a
//! hypergeometric number.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::special::ln_choose;

/// The generator xoshiro256++ (Blackman & Vigna, Scrambled linear pseudorandom number generators, ACM Trans. Math. Softw.
/// 47, 2021).
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    /// Creates a generator. Neighbouring seeds give unrelated numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Draws a uniform number from (0, 1), excluding both ends.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Draws an integer from 0 to `n` − 1. The bias is below n / 2⁶⁴.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// Draws the number of marked items among `draws` items drawn without replacement from `total` items, of which
    /// `marked` are marked. Neither may exceed `total`.
    pub(crate) fn hypergeometric(&mut self, total: u64, marked: u64, draws: u64) -> u64 {
        const FEW: u64 = 32; // so many take as long as inversion
        if marked == 1 {
            return u64::from(self.below(total) < draws); // for speed; the general case gives the same
        }
        let (fewer, more) = (marked.min(draws), marked.max(draws)); // the distribution is symmetric in these two
        match fewer {
            0..=FEW => (0..fewer).fold(0, |hits, drawn| hits + u64::from(self.below(total - drawn) < more - hits)),
            _ => self.hypergeometric_by_inversion(total, more, fewer),
        }
    }

    /// Draws like [`Self::hypergeometric`], from the most probable number outwards, so the number of steps is a few
    /// standard deviations, whatever the counts.
    fn hypergeometric_by_inversion(&mut self, total: u64, more: u64, fewer: u64) -> u64 {
        let others = total - more;
        let (lowest, highest) = (fewer.saturating_sub(others), fewer);
        if lowest == highest {
            return highest;
        }
        let mode = ((u128::from(fewer) + 1) * (u128::from(more) + 1) / (u128::from(total) + 2)) as u64;
        let mode = mode.clamp(lowest, highest);
        // The ratio p(k + 1) / p(k).
        let ratio =
            |k: u64| ((more - k) as f64 * (fewer - k) as f64) / ((k + 1) as f64 * (others + k + 1 - fewer) as f64);
        let p = (ln_choose(more, mode) + ln_choose(others, fewer - mode) - ln_choose(total, fewer)).exp();
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
    fn a_seed_always_gives_the_same_numbers() {
        // From another implementation of the reference code of SplitMix64, for the seed, and of xoshiro256++.
        let mut random = Random::new(1);
        assert_eq!(
            [0; 3].map(|_| random.0.next_u64()),
            [14971601782005023387, 13781649495232077965, 1847458086238483744]
        );
    }

    #[test]
    fn hypergeometric_draws_have_hypergeometric_probabilities() {
        for (total, marked, draws) in [
            (10u64, 4u64, 3u64),
            (10, 9, 8),
            (1000, 30, 400),
            (1000, 40, 990),
            (5000, 2500, 300),
            (1_000_000, 9, 900_000),
            (1_000_000, 900_000, 90),
        ] {
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
        assert_ne!(Random::new(0).below(1 << 60), Random::new(1).below(1 << 60));
    }
}
