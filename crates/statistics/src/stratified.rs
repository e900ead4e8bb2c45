//! The comparison of two groups within strata of similar individuals: the difference of their rates, and whether chance
//! alone explains it.

use crate::interval::{Interval, wilson};
use crate::special::{NORMAL_97_5, convolution, probabilities};

/// Events in one group of a stratum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Number of individuals with the event.
    pub events: u64,
    /// Number of individuals in the group.
    pub of: u64,
}

/// A stratum: the events in the first and in the second group.
pub type Stratum = [Events; 2];

/// The difference between the rates of two groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateDifference {
    /// Rate of the first group minus that of the second one, within strata.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub interval: Interval,
    /// Two-sided exact p-value of the hypothesis that individuals of a stratum have the event as often in either group.
    pub p_value: f64,
}

/// Compares the rates of two groups within `strata`; a stratum in which one group is empty contributes nothing.
///
/// The difference Σ wₕ (p₁ₕ − p₂ₕ) has the weights of Mantel and Haenszel, wₕ ∝ n₁ₕ n₂ₕ / (n₁ₕ + n₂ₕ) (Greenland & Robins,
/// Estimation of a common effect parameter from sparse follow-up data, Biometrics 41, 1985). Its interval combines
/// Wilson's intervals of the two weighted rates as Newcombe's method 10 does (Yan & Su, Stratified Wilson and Newcombe
/// confidence intervals for multiple binomial proportions, Stat. Biopharm. Res. 2, 2010). Wilson's interval of a weighted
/// rate is that of a simple rate with the effective number of individuals n* = P (1 − P) / Σ wₕ² Pₕ (1 − Pₕ) / nₕ. There, Pₕ
/// is the rate of the stratum in both groups together, each with half an event and half a non-event added, and P its
/// weighted mean, so no rate of 0 or 1 looks certain.
///
/// The p-value is twice the smaller tail probability of the first group's events, given the events and sizes of all strata:
/// the conditional test of Mantel and Haenszel with its exact distribution (Cox & Snell, Analysis of Binary Data, 2nd ed.
/// 1989, §2.4). It is valid for any number of individuals. It takes time in proportion to the square of the events at most.
///
/// `None` if no stratum has individuals of both groups, or if a group has more events than individuals.
pub fn rate_difference(strata: &[Stratum]) -> Option<RateDifference> {
    if strata.iter().flatten().any(|group| group.events > group.of) {
        return None;
    }
    let strata: Vec<Stratum> =
        strata.iter().filter(|groups| groups.iter().all(|group| group.of > 0)).copied().collect();
    let weight = |[first, second]: &Stratum| first.of as f64 * second.of as f64 / (first.of + second.of) as f64;
    let total: f64 = strata.iter().map(weight).sum();
    if total == 0.0 {
        return None;
    }
    let weighted = |value: &dyn Fn(&Stratum) -> f64| strata.iter().map(|s| weight(s) / total * value(s)).sum::<f64>();
    let pooled = |[first, second]: &Stratum| {
        ((first.events + second.events) as f64 + 1.0) / ((first.of + second.of) as f64 + 2.0)
    };
    let mean = weighted(&pooled);
    let rate_of = |group: usize| {
        let rate = weighted(&|stratum| stratum[group].events as f64 / stratum[group].of as f64);
        let variance = |stratum: &Stratum| {
            weight(stratum) / total * pooled(stratum) * (1.0 - pooled(stratum)) / stratum[group].of as f64
        };
        (rate, wilson(NORMAL_97_5, rate, mean * (1.0 - mean) / weighted(&variance)))
    };
    let ((first, of_first), (second, of_second)) = (rate_of(0), rate_of(1));
    let difference = first - second;
    Some(RateDifference {
        difference,
        interval: Interval {
            low: difference - (first - of_first.low).hypot(of_second.high - second),
            high: difference + (of_first.high - first).hypot(second - of_second.low),
        },
        p_value: p_value(&strata),
    })
}

/// Returns the exact p-value of [`rate_difference`]. Without an effect, the events of the first group have a hypergeometric
/// distribution in each stratum, and their sum the convolution of these.
fn p_value(strata: &[Stratum]) -> f64 {
    let (lower, upper) = tails(strata);
    (2.0 * lower.min(upper)).min(1.0)
}

/// Returns the exact probabilities, without an effect, that the first group has as few or fewer events than observed, and as
/// many or more.
pub(crate) fn tails(strata: &[Stratum]) -> (f64, f64) {
    let mut distribution = vec![1.0];
    let mut observed = 0; // events beyond the smallest possible number
    for [first, second] in strata {
        let (events, others) = (first.events + second.events, first.of + second.of - first.events - second.events);
        let (lowest, highest) = (first.of.saturating_sub(others), events.min(first.of));
        let expected = (u128::from(first.of) * u128::from(events) / u128::from(first.of + second.of)) as u64;
        // P(k + 1) / P(k). It is taken below `highest` only, so no difference is negative.
        let ratio = |k: u64| {
            (events - k) as f64 * (first.of - k) as f64 / ((k + 1) as f64 * (others + k + 1 - first.of) as f64)
        };
        distribution = convolution(&distribution, &probabilities(lowest, expected, highest, ratio));
        observed += (first.events - lowest) as usize;
    }
    (distribution[..=observed].iter().sum(), distribution[observed..].iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn stratum(counts: [u64; 4]) -> Stratum {
        let [a, n, b, m] = counts;
        [Events { events: a, of: n }, Events { events: b, of: m }]
    }

    #[test]
    fn one_stratum_is_a_simple_difference() {
        let found = rate_difference(&[stratum([56, 70, 48, 80])]).unwrap();
        assert!((found.difference - 0.2).abs() < 1e-12);
        // Newcombe 1998, table II, method 10, for 56/70 and 48/80: 0.0524 to 0.3339.
        assert!(
            (found.interval.low - 0.0524).abs() < 0.005 && (found.interval.high - 0.3339).abs() < 0.005,
            "{found:?}"
        );
        // An empty group and an empty stratum say nothing.
        let same = rate_difference(&[stratum([56, 70, 48, 80]), stratum([3, 9, 0, 0]), stratum([0; 4])]);
        assert_eq!(same, Some(found));
    }

    #[test]
    fn swapped_groups_mirror() {
        let mut random = Random::new(1);
        for _ in 0..200 {
            let mut draw = || {
                let (n, m) = (1 + random.below(30), 1 + random.below(9));
                stratum([random.below(n + 1), n, random.below(m + 1), m])
            };
            let strata = [draw(), draw(), draw()];
            let swapped = strata.map(|[first, second]| [second, first]);
            let (one, other) = (rate_difference(&strata).unwrap(), rate_difference(&swapped).unwrap());
            assert!((one.difference + other.difference).abs() < 1e-12);
            assert!((one.interval.low + other.interval.high).abs() < 1e-12);
            assert!((one.p_value - other.p_value).abs() < 1e-9 && (0.0..=1.0).contains(&one.p_value));
            assert!(one.interval.contains(one.difference) && one.interval.low >= -1.0 && one.interval.high <= 1.0);
        }
    }

    #[test]
    fn rates_of_none_and_all_are_not_certain() {
        let nobody = rate_difference(&[stratum([0, 40, 0, 3]), stratum([0, 60, 0, 5])]).unwrap();
        assert_eq!((nobody.difference, nobody.p_value), (0.0, 1.0));
        assert!(nobody.interval.low < -0.2 && nobody.interval.high > 0.01, "{nobody:?}");
        let opposite = rate_difference(&[stratum([0, 40, 3, 3])]).unwrap();
        assert!(
            opposite.difference == -1.0 && opposite.interval.high < 0.0 && opposite.p_value < 0.001,
            "{opposite:?}"
        );
    }

    #[test]
    fn nothing_to_compare() {
        for strata in [vec![], vec![stratum([1, 2, 0, 0])], vec![stratum([3, 2, 1, 4])]] {
            assert_eq!(rate_difference(&strata), None, "{strata:?}");
        }
    }

    #[test]
    fn the_exact_test_keeps_its_level() {
        let mut random = Random::new(9);
        for sizes in [[8, 2], [60, 6], [400, 40]] {
            let rejected = (0..4000).filter(|_| {
                let mut draw =
                    |n: u64, p: f64| Events { events: (0..n).filter(|_| random.uniform() < p).count() as u64, of: n };
                let strata = [0.05, 0.3, 0.7].map(|p| sizes.map(|n| draw(n, p)));
                rate_difference(&strata).is_some_and(|found| found.p_value <= 0.05)
            });
            let rejected = rejected.count();
            assert!(rejected <= 230, "{sizes:?}: {rejected} of 4000"); // 200 ± 2 standard deviations at most
        }
    }

    #[test]
    fn many_clients() {
        let found = rate_difference(&[stratum([2000, 5000, 900, 1500]), stratum([40, 100_000, 30, 30_000])]).unwrap();
        assert!(found.p_value < 1e-12 && found.interval.high < 0.0, "{found:?}");
    }
}
