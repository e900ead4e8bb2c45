//! Confidence intervals: how far a figure may be off by chance alone. A score computed from forty clients is much less
//! certain than one computed from a million.

mod exits;
mod groups;
mod prediction;

use crate::confusion::Confusion;
use serde::{Deserialize, Serialize};

pub(crate) use self::exits::p_value_of_exits;
pub use self::exits::{Exits, exits};
pub use self::groups::f1_difference_by_group;
pub use self::prediction::{Prediction, Trials, predict};
use crate::special::NORMAL_97_5;

/// A 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies in the interval, including its ends.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Returns the interval of F1 for a table of clients that were drawn independently from one population.
///
/// Let r = TP / (TP + FP + FN) be the share of the true positives among true positives and errors. Then F1 = 2r / (1 +
/// r) increases with r. Given the number of these clients, TP is binomially distributed, so Wilson's interval of r,
/// transformed by this formula, is an interval of F1. Its coverage, computed exactly, is 94.9 % to 97 % for the tables
/// of this module's tests, which have 3 to 1,000 clients that are not true negatives and an F1 from 0.5 to 0.998.
///
/// `None` if the table contains no positive at all, so that F1 is 0 only by convention.
pub fn f1(table: &Confusion) -> Option<Interval> {
    let share = proportion(table.true_positives, table.true_positives + table.errors())?;
    Some(f1_of_share(share))
}

/// Returns the interval of F1 that belongs to an interval of the share of the true positives among true positives and
/// errors.
pub(crate) fn f1_of_share(share: Interval) -> Interval {
    let f1_of = |share: f64| 2.0 * share / (1.0 + share);
    Interval { low: f1_of(share.low), high: f1_of(share.high) }
}

/// Returns the interval of the F1 of `new` minus the F1 of `recorded`, for two tables of different clients. It combines
/// the two intervals of [`f1`] (Newcombe, Interval estimation for the difference between independent proportions,
/// Statistics in Medicine 17, 1998, method 10; Zou & Donner, Statistics in Medicine 27, 2008, for functions of
/// proportions). If the whole interval is below 0, the score has fallen by more than chance explains.
///
/// `None` if either table contains no positive at all.
pub fn f1_difference(recorded: &Confusion, new: &Confusion) -> Option<Interval> {
    let (old, now) = (f1(recorded)?, f1(new)?);
    let difference = new.f1() - recorded.f1();
    Some(Interval {
        low: difference - (new.f1() - now.low).hypot(old.high - recorded.f1()),
        high: difference + (now.high - new.f1()).hypot(recorded.f1() - old.low),
    })
}

/// Returns Wilson's score interval of a proportion. It is also valid for few trials, and if none or all of them succeed
/// (Wilson 1927; Brown, Cai & DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001).
///
/// `None` if there is no trial, or there are more successes than trials.
pub fn proportion(successes: u64, trials: u64) -> Option<Interval> {
    proportion_at(NORMAL_97_5, successes, trials)
}

/// The same interval for another confidence level: it extends by `errors` standard errors to either side.
pub(crate) fn proportion_at(errors: f64, successes: u64, trials: u64) -> Option<Interval> {
    let is_proportion = trials > 0 && successes <= trials;
    is_proportion.then(|| wilson(errors, successes as f64 / trials as f64, trials as f64))
}

/// Returns the same interval of a `rate` among `n` trials, more than 0, which need not be a whole number.
pub(crate) fn wilson(errors: f64, rate: f64, n: f64) -> Interval {
    let square = errors * errors;
    let centre = (rate + square / (2.0 * n)) / (1.0 + square / n);
    let margin = errors * (rate * (1.0 - rate) / n + square / (4.0 * n * n)).max(0.0).sqrt() / (1.0 + square / n);
    // If none or all trials succeed, the end of the interval is exactly 0 or 1; rounding must not change this.
    Interval { low: (centre - margin).clamp(0.0, rate), high: (centre + margin).clamp(rate, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn table(counts: [u64; 4]) -> Confusion {
        let [true_positives, false_positives, false_negatives, true_negatives] = counts;
        Confusion { true_positives, false_positives, false_negatives, true_negatives }
    }

    /// Tables with the proportions of the tested populations.
    const POPULATIONS: [([u64; 4], u64); 10] = [
        ([200, 5, 5, 790], 1000),
        ([10, 1, 1, 988], 1000),
        ([30, 14, 6, 50], 30),
        ([30, 14, 6, 50], 300),
        ([3, 2, 2, 93], 30),
        ([3, 2, 2, 93], 300),
        ([633, 281, 114, 972], 2000),
        ([98, 1, 1, 900], 1000),
        ([400, 1, 1, 598], 1000),
        ([40, 0, 1, 60], 101),
    ];

    /// Returns the probability of every number of successes from 0 to `trials`.
    fn binomial(trials: u64, p: f64) -> Vec<f64> {
        let ln_factorial = |n: u64| (1..=n).map(|i| (i as f64).ln()).sum::<f64>();
        let ln_choose = |k: u64| ln_factorial(trials) - ln_factorial(k) - ln_factorial(trials - k);
        (0..=trials).map(|k| (ln_choose(k) + k as f64 * p.ln() + (trials - k) as f64 * (1.0 - p).ln()).exp()).collect()
    }

    #[test]
    fn an_interval_covers_what_it_promises() {
        for (population, n) in POPULATIONS {
            let population = table(population);
            let counted = population.true_positives + population.errors();
            let share = population.true_positives as f64 / counted as f64;
            let (mut covered, mut known) = (0.0, 0.0);
            for (trials, probability) in binomial(n, counted as f64 / population.n() as f64).into_iter().enumerate() {
                if probability < 1e-6 || trials == 0 {
                    continue;
                }
                known += probability;
                for (successes, given) in binomial(trials as u64, share).into_iter().enumerate() {
                    let drawn = table([successes as u64, (trials - successes) as u64, 0, 0]);
                    if f1(&drawn).unwrap().contains(population.f1()) {
                        covered += probability * given;
                    }
                }
            }
            assert!((0.949..0.978).contains(&(covered / known)), "{population:?} {n}: {}", covered / known);
        }
    }

    #[test]
    fn a_difference_covers_what_it_promises() {
        let mut random = Random::new(1);
        for (population, n) in POPULATIONS {
            let mut draw = || {
                let mut counts = [0; 4];
                for _ in 0..n {
                    let mut client = random.below(population.iter().sum());
                    let cell = population.iter().position(|count| {
                        let here = client < *count;
                        client -= if here { 0 } else { *count };
                        here
                    });
                    counts[cell.unwrap()] += 1;
                }
                table(counts)
            };
            let held: Vec<bool> = (0..1500)
                .filter_map(|_| f1_difference(&draw(), &draw()).map(|interval| interval.contains(0.0)))
                .collect();
            let share = held.iter().filter(|held| **held).count() as f64 / held.len() as f64;
            // 0.95 ± 0.0056; the range is wider because an F1 near 1 leaves few different tables.
            assert!((0.93..=0.997).contains(&share), "{population:?} {n}: {share}");
        }
    }

    #[test]
    fn few_and_many_clients() {
        let of_five = f1(&table([2, 1, 1, 1])).unwrap();
        assert!(of_five.low > 0.2 && of_five.low < 0.3 && of_five.high > 0.9 && of_five.high < 0.95, "{of_five:?}");
        let many = table([1_000_000, 500_000, 500_000, 8_000_000]);
        let of_many = f1(&many).unwrap();
        // The delta method, valid for many clients: the variance of F1 = 2T / (2T + E) is 4TE(T + E) / (2T + E)⁴.
        let (t, e) = (1e6, 1e6);
        let standard_deviation = f64::sqrt(4.0 * t * e * (t + e) / f64::powi(2.0 * t + e, 4));
        for (end, expected) in [
            (of_many.low, many.f1() - 1.96 * standard_deviation),
            (of_many.high, many.f1() + 1.96 * standard_deviation),
        ] {
            assert!((end - expected).abs() < 0.2 * standard_deviation, "{of_many:?}");
        }
    }

    #[test]
    fn tables_without_a_positive_have_no_interval() {
        for nothing in [[0; 4], [0, 0, 0, 9]] {
            assert_eq!(f1(&table(nothing)), None);
            assert_eq!(f1_difference(&table(nothing), &table([1, 1, 1, 1])), None);
            assert_eq!(f1_difference(&table([1, 1, 1, 1]), &table(nothing)), None);
        }
    }

    #[test]
    fn a_perfect_or_a_hopeless_table_is_not_certain() {
        let width = |counts| {
            let interval = f1(&table(counts)).unwrap();
            assert!(interval.contains(table(counts).f1()) && interval.low >= 0.0 && interval.high <= 1.0);
            interval.high - interval.low
        };
        assert!(width([1, 0, 0, 0]) > width([10, 0, 0, 0]) && width([10, 0, 0, 0]) > 0.1);
        assert!(width([0, 0, 1, 9]) > 0.5 && width([0, 300, 0, 9]) < 0.05);
        // One false negative is not drift; thirty are.
        let recorded = table([633, 281, 114, 972]);
        assert!(f1_difference(&recorded, &table([0, 0, 1, 3])).unwrap().contains(0.0));
        assert!(f1_difference(&recorded, &table([0, 0, 30, 3])).unwrap().high < 0.0);
    }

    #[test]
    fn a_difference_has_the_sign_of_the_change_and_mirrors() {
        let (better, worse) = (table([400, 60, 60, 480]), table([250, 200, 210, 340]));
        let fallen = f1_difference(&better, &worse).unwrap();
        let risen = f1_difference(&worse, &better).unwrap();
        assert!(fallen.high < 0.0 && risen.low > 0.0);
        assert!((fallen.low + risen.high).abs() < 0.01 && (fallen.high + risen.low).abs() < 0.01);
        assert!(f1_difference(&better, &better).unwrap().contains(0.0));
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
