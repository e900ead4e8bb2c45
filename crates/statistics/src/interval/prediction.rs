//! The number of successes in future trials, predicted from past trials (beta-binomial distribution).

use serde::{Deserialize, Serialize};

use crate::special::{convolution, probabilities};

/// Past and future trials with the same unknown probability of success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trials {
    /// Number of past trials that succeeded.
    pub successes: u64,
    /// Number of past trials.
    pub past: u64,
    /// Number of future trials.
    pub future: u64,
}

/// A prediction of a number of successes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Expected number of successes.
    pub expected: f64,
    /// Lower end of the 95 % interval: the 2.5 % quantile of the number.
    pub low: u64,
    /// Upper end of the 95 % interval: the 97.5 % quantile of the number.
    pub high: u64,
}

/// Predicts the number of successes in the future trials of all `bands` together; the trials of each band have one unknown
/// probability of success.
///
/// With Jeffreys' prior, the probability of a band has the distribution Beta(successes + ½, past − successes + ½), and its
/// future number a beta-binomial distribution (Gelman et al., Bayesian Data Analysis, 3rd ed. 2013, §2.4; Brown, Cai &
/// DasGupta, Interval estimation for a binomial proportion, Statistical Science 16, 2001, for the prior). Both the chance in
/// the past and that in the future are in the interval, so it is wide after few trials; after none, it says nearly nothing.
/// If the future trials have different probabilities with the same mean, the number varies less, and the interval covers
/// more often.
///
/// Takes time in proportion to the square of the future trials; with one band, to their number. `None` if a band has more
/// successes than past trials.
pub fn predict(bands: &[Trials]) -> Option<Prediction> {
    let (mut expected, mut distribution) = (0.0, vec![1.0]);
    for band in bands {
        let a = band.successes as f64 + 0.5;
        let b = band.past.checked_sub(band.successes)? as f64 + 0.5;
        let mean = band.future as f64 * a / (a + b);
        // P(k + 1) / P(k).
        let ratio = |k: u64| {
            let (rest, next) = ((band.future - k) as f64, (k + 1) as f64);
            rest / next * (k as f64 + a) / (rest - 1.0 + b)
        };
        expected += mean;
        distribution = convolution(&distribution, &probabilities(0, mean as u64, band.future, ratio));
    }
    let mut below = 0.0;
    for probability in &mut distribution {
        below += *probability;
        *probability = below;
    }
    let most = distribution.len() - 1;
    let [low, high] = [0.025, 0.975].map(|share| distribution.partition_point(|below| *below < share).min(most) as u64);
    Some(Prediction { expected, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn predict_one(successes: u64, past: u64, future: u64) -> Option<Prediction> {
        predict(&[Trials { successes, past, future }])
    }

    #[test]
    fn after_many_trials_the_future_is_binomial_and_after_none_anything() {
        // 0.3 ± 1.96 √(0.3 · 0.7 / 1000).
        let known = predict_one(300_000_000, 1_000_000_000, 1000).unwrap();
        assert!((known.expected - 300.0).abs() < 1e-3 && (known.low, known.high) == (272, 329), "{known:?}");
        assert_eq!(predict_one(0, 0, 20), Some(Prediction { expected: 10.0, low: 0, high: 20 }));
        assert_eq!(predict_one(7, 10, 0), Some(Prediction { expected: 0.0, low: 0, high: 0 }));
        assert_eq!(predict_one(3, 2, 5), None);
    }

    #[test]
    fn intervals_mirror_and_narrow() {
        for (successes, trials, future) in [(0, 1, 3), (2, 3, 10), (86, 100, 50), (5, 2000, 400), (99, 100, 7)] {
            let (one, other) =
                (predict_one(successes, trials, future), predict_one(trials - successes, trials, future));
            let (one, other) = (one.unwrap(), other.unwrap());
            assert!((one.expected + other.expected - future as f64).abs() < 1e-9);
            // Quantiles are the smallest number with enough below it, so mirrored ones may differ by one.
            assert!((one.low + other.high).abs_diff(future) <= 1 && (one.high + other.low).abs_diff(future) <= 1);
            assert!(one.low as f64 <= one.expected && one.expected <= one.high as f64 && one.high <= future);
            let more = predict_one(10 * successes, 10 * trials, future).unwrap();
            assert!(more.high - more.low <= one.high - one.low, "{one:?} {more:?}");
        }
    }

    #[test]
    fn the_interval_covers_the_future_for_every_probability() {
        let mut random = Random::new(3);
        for (trials, future) in [(1, 10), (5, 50), (20, 10), (100, 50), (1000, 50)] {
            for p in [0.05, 0.3, 0.5, 0.8, 0.97] {
                let mut draw = |n: u64| (0..n).filter(|_| random.uniform() < p).count() as u64;
                let covered = (0..2000).filter(|_| {
                    let Prediction { low, high, .. } = predict_one(draw(trials), trials, future).unwrap();
                    (low..=high).contains(&draw(future))
                });
                let covered = covered.count();
                assert!(covered >= 1860, "{trials} trials, {future} to come, {p}: {covered} of 2000");
            }
        }
    }

    #[test]
    fn bands_add_up() {
        let bands =
            [(86, 100, 50), (3, 40, 20), (0, 0, 2)].map(|(successes, past, future)| Trials { successes, past, future });
        let together = predict(&bands).unwrap();
        let alone: Vec<Prediction> = bands.iter().map(|band| predict(&[*band]).unwrap()).collect();
        assert!((together.expected - alone.iter().map(|band| band.expected).sum::<f64>()).abs() < 1e-12);
        // The sum varies less than if all bands were low or high together, and more than any band.
        let (low, high): (u64, u64) = alone.iter().fold((0, 0), |(low, high), band| (low + band.low, high + band.high));
        assert!(together.low > low && together.high < high, "{together:?} {alone:?}");
        assert!(together.high - together.low > alone[0].high - alone[0].low);
        assert_eq!(predict(&[]), Some(Prediction { expected: 0.0, low: 0, high: 0 }));
    }

    #[test]
    fn a_million_future_trials() {
        let prediction = predict_one(50, 1000, 1_000_000).unwrap();
        assert!((prediction.expected - 1e6 * 50.5 / 1001.0).abs() < 1e-6);
        assert!(
            (37_000..39_000).contains(&prediction.low) && (64_000..66_500).contains(&prediction.high),
            "{prediction:?}"
        );
    }
}
