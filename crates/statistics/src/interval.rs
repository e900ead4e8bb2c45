//! How far a figure may be off by chance alone: a score that rests on forty clients is not a score that rests on a
//! million.

mod exits;

use crate::confusion::Confusion;
use serde::{Deserialize, Serialize};

pub use self::exits::{Exits, exits};
use crate::quantile;
use crate::random::Random;
use crate::special::NORMAL_97_5;

/// Tables drawn for a bootstrap interval; the ends are then off by about a twentieth of a standard deviation.
const RESAMPLES: usize = 2000;

/// From where to where a figure may be, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies in it; the ends do.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The bootstrap interval of F1: percentiles of the F1 of 2,000 tables of as many clients, drawn from `table` with
/// replacement (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, §13.3).
///
/// F1 depends on the clients through the four counts alone, so the counts are drawn (multinomially) and not the
/// clients: ten million clients take no longer than a hundred. Where the table holds no true positive, or no error, no
/// draw would hold one either, and the interval would be a point: there it is Wilson's, carried over to F1. In
/// simulations it holds the truth 94 to 95 times in 100 where TP + FP + FN is 35 or more, and between 87 and 100 times
/// where it is less.
///
/// `None` where the table holds no positive at all, so that F1 is 0 by convention alone.
pub fn f1(table: &Confusion, seed: u64) -> Option<Interval> {
    if table.has_no_positive() {
        return None;
    }
    if cannot_be_resampled(table) {
        return f1_by_wilson(table);
    }
    let mut random = Random::new(seed);
    Some(percentile(|| resampled(table, &mut random).f1()))
}

/// The interval of the F1 of `new` minus the F1 of `recorded`, for two tables of different clients: both are drawn anew
/// as for [`f1`]. Below 0 as a whole, it says that the score has fallen by more than chance explains.
///
/// Where either table cannot be drawn from, the two intervals are put together instead (Newcombe, Interval estimation
/// for the difference between independent proportions, Statistics in Medicine 17, 1998, method 10).
///
/// `None` where either holds no positive at all.
pub fn f1_difference(recorded: &Confusion, new: &Confusion, seed: u64) -> Option<Interval> {
    if cannot_be_resampled(recorded) || cannot_be_resampled(new) {
        let (old, now) = (f1(recorded, seed)?, f1(new, seed)?);
        let difference = new.f1() - recorded.f1();
        return Some(Interval {
            low: difference - (new.f1() - now.low).hypot(old.high - recorded.f1()),
            high: difference + (now.high - new.f1()).hypot(recorded.f1() - old.low),
        });
    }
    let mut random = Random::new(seed);
    Some(percentile(|| resampled(new, &mut random).f1() - resampled(recorded, &mut random).f1()))
}

/// Wilson's score interval of a proportion; right also for few trials and for none or all succeeding (Wilson 1927;
/// Brown, Cai & DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001).
///
/// `None` where there is no trial, or there are more successes than trials.
pub fn proportion(successes: u64, trials: u64) -> Option<Interval> {
    if trials == 0 || successes > trials {
        return None;
    }
    let (n, p, square) = (trials as f64, successes as f64 / trials as f64, NORMAL_97_5 * NORMAL_97_5);
    let centre = (p + square / (2.0 * n)) / (1.0 + square / n);
    let reach = NORMAL_97_5 * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt() / (1.0 + square / n);
    // Rounding must not part the ends from 0 and 1 where they are those.
    let low = if successes == 0 { 0.0 } else { centre - reach };
    let high = if successes == trials { 1.0 } else { centre + reach };
    Some(Interval { low, high })
}

/// Whether every table drawn from this one has the same F1: 0, 1, or none.
fn cannot_be_resampled(table: &Confusion) -> bool {
    table.true_positives == 0 || table.false_positives + table.false_negatives == 0
}

/// Of the true positives and the errors, be r the share of the true positives: F1 = 2r / (1 + r), which rises with r.
fn f1_by_wilson(table: &Confusion) -> Option<Interval> {
    let errors = table.false_positives + table.false_negatives;
    let share = proportion(table.true_positives, table.true_positives + errors)?;
    Some(Interval { low: 2.0 * share.low / (1.0 + share.low), high: 2.0 * share.high / (1.0 + share.high) })
}

/// The 2.5 % and 97.5 % quantiles of what `draw` gives.
fn percentile(draw: impl FnMut() -> f64) -> Interval {
    let mut drawn: Vec<f64> = std::iter::repeat_with(draw).take(RESAMPLES).collect();
    drawn.sort_unstable_by(f64::total_cmp);
    Interval { low: quantile::linear(&drawn, 25, 1000), high: quantile::linear(&drawn, 975, 1000) }
}

/// As many clients, drawn with replacement.
fn resampled(table: &Confusion, random: &mut Random) -> Confusion {
    let counts = [table.true_positives, table.false_positives, table.false_negatives, table.true_negatives];
    let [true_positives, false_positives, false_negatives, true_negatives] = random.multinomial(table.n(), counts);
    Confusion { true_positives, false_positives, false_negatives, true_negatives }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(counts: [u64; 4]) -> Confusion {
        let [true_positives, false_positives, false_negatives, true_negatives] = counts;
        Confusion { true_positives, false_positives, false_negatives, true_negatives }
    }

    /// How often the intervals of tables of `n` clients hold the truth, of F1 and of a difference that is 0, where
    /// there is an interval. The population has these shares of TP, FP, FN, TN in per cent.
    fn coverage(population: [u64; 4], n: u64, tables: u64) -> [f64; 2] {
        let truth = table(population).f1();
        let mut random = Random::new(n);
        let mut held = [Vec::new(), Vec::new()];
        for seed in 0..tables {
            let [recorded, new] = [0; 2].map(|_| table(random.multinomial(n, population)));
            held[0].extend(f1(&new, seed).map(|interval| interval.contains(truth)));
            held[1].extend(f1_difference(&recorded, &new, seed).map(|interval| interval.contains(0.0)));
        }
        held.map(|held| held.iter().filter(|held| **held).count() as f64 / held.len() as f64)
    }

    #[test]
    fn intervals_cover_what_they_promise() {
        let (usual, rare) = ([30, 14, 6, 50], [3, 2, 2, 93]);
        for (population, n) in [(usual, 30), (usual, 300), (rare, 30), (rare, 300)] {
            for share in coverage(population, n, 1000) {
                assert!((0.92..=0.985).contains(&share), "{population:?} {n}: {share}"); // 0.95 ± 0.007
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let (recorded, new) = (table([633, 281, 114, 972]), table([20, 11, 5, 40]));
        assert_eq!(f1(&new, 7), f1(&new, 7));
        assert_ne!(f1(&recorded, 7), f1(&recorded, 8));
        assert_eq!(f1_difference(&recorded, &new, 7), f1_difference(&recorded, &new, 7));
    }

    #[test]
    fn few_and_many_clients() {
        let of_five = f1(&table([2, 1, 1, 1]), 1).unwrap();
        assert_eq!((of_five.low, of_five.high), (0.0, 1.0));
        let many = table([1_000_000, 500_000, 500_000, 8_000_000]);
        let of_many = f1(&many, 1).unwrap();
        // The delta method, right for many: F1 = 2T / (2T + E) has the variance 4TE(T + E) / (2T + E)⁴.
        let (t, e) = (1e6, 1e6);
        let deviation = f64::sqrt(4.0 * t * e * (t + e) / f64::powi(2.0 * t + e, 4));
        for (end, expected) in
            [(of_many.low, many.f1() - 1.96 * deviation), (of_many.high, many.f1() + 1.96 * deviation)]
        {
            assert!((end - expected).abs() < 0.2 * deviation, "{of_many:?}");
        }
    }

    #[test]
    fn tables_that_cannot_say() {
        for nothing in [[0; 4], [0, 0, 0, 9]] {
            assert_eq!(f1(&table(nothing), 1), None);
            assert_eq!(f1_difference(&table(nothing), &table([1, 1, 1, 1]), 1), None);
            assert_eq!(f1_difference(&table([1, 1, 1, 1]), &table(nothing), 1), None);
        }
    }

    #[test]
    fn a_perfect_or_a_hopeless_table_is_not_certain() {
        let width = |counts| {
            let interval = f1(&table(counts), 1).unwrap();
            assert!(interval.contains(table(counts).f1()) && interval.low >= 0.0 && interval.high <= 1.0);
            interval.high - interval.low
        };
        assert!(width([1, 0, 0, 0]) > width([10, 0, 0, 0]) && width([10, 0, 0, 0]) > 0.1);
        assert!(width([0, 0, 1, 9]) > 0.5 && width([0, 300, 0, 9]) < 0.05);
        // One client who left unforeseen is no drift; thirty are.
        let recorded = table([633, 281, 114, 972]);
        assert!(f1_difference(&recorded, &table([0, 0, 1, 3]), 1).unwrap().contains(0.0));
        assert!(f1_difference(&recorded, &table([0, 0, 30, 3]), 1).unwrap().high < 0.0);
    }

    #[test]
    fn a_difference_has_the_sign_of_the_change_and_mirrors() {
        let (better, worse) = (table([400, 60, 60, 480]), table([250, 200, 210, 340]));
        let fallen = f1_difference(&better, &worse, 3).unwrap();
        let risen = f1_difference(&worse, &better, 3).unwrap();
        assert!(fallen.high < 0.0 && risen.low > 0.0);
        assert!((fallen.low + risen.high).abs() < 0.01 && (fallen.high + risen.low).abs() < 0.01);
        assert!(f1_difference(&better, &better, 3).unwrap().contains(0.0));
    }

    #[test]
    fn proportions_of_none_all_and_nothing() {
        assert_eq!((proportion(0, 0), proportion(3, 2)), (None, None));
        let (none, all) = (proportion(0, 1).unwrap(), proportion(1, 1).unwrap());
        assert!(none.low == 0.0 && none.high < 0.8 && all.high == 1.0 && all.low > 0.2);
        for n in [1, 2, 10, 1000, 10_000_000] {
            let half = proportion(n / 2, n).unwrap();
            assert!(half.contains((n / 2) as f64 / n as f64) && half.low >= 0.0 && half.high <= 1.0);
        }
    }
}
