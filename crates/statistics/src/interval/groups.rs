//! The difference between two scores that were counted on the same groups of rows, such as the files of a history.

use std::f64::consts::{FRAC_PI_2, PI};

use crate::confusion::Confusion;
use crate::interval::Interval;

/// Returns the interval of the F1 of the first counts minus the F1 of the second ones, each added up over all groups.
/// The groups are the sample: what is common to the rows of one group, such as a week with an unusual market, makes the
/// interval wider. It is the delete-one jackknife with Student's t (Miller, The jackknife: a review, Biometrika 61,
/// 1974; Efron & Tibshirani, An Introduction to the Bootstrap, 1993, §11.5), so it needs no assumption about how rows of
/// one group depend on each other. Groups count as independent.
///
/// `None` if there are fewer than two groups.
pub fn f1_difference_by_group(groups: &[(Confusion, Confusion)]) -> Option<Interval> {
    let n = groups.len();
    if n < 2 {
        return None;
    }
    let mut total = (Confusion::default(), Confusion::default());
    for (first, second) in groups {
        total = (total.0 + *first, total.1 + *second);
    }
    let difference = total.0.f1() - total.1.f1();
    let without: Vec<f64> =
        groups.iter().map(|(first, second)| (total.0 - *first).f1() - (total.1 - *second).f1()).collect();
    let mean = without.iter().sum::<f64>() / n as f64;
    let squares: f64 = without.iter().map(|left_out| (left_out - mean).powi(2)).sum();
    let margin = student_97_5(n - 1) * (squares * (n - 1) as f64 / n as f64).sqrt();
    Some(Interval { low: difference - margin, high: difference + margin })
}

/// Returns the 97.5 % quantile of Student's t distribution with at least one degree of freedom.
fn student_97_5(degrees: usize) -> f64 {
    // The probability rises with the angle, so its inverse is found by bisection.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        *if student_within(middle, degrees) < 0.95 { &mut low } else { &mut high } = middle;
    }
    (degrees as f64).sqrt() * low.tan()
}

/// Returns P(|t| ≤ √ν tan `angle`) for ν degrees of freedom (Abramowitz & Stegun, Handbook of Mathematical Functions,
/// 26.7.3 and 26.7.4).
fn student_within(angle: f64, degrees: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    let (mut term, mut sum) = (if is_odd { cosine } else { 1.0 }, 0.0);
    for k in (if is_odd { 1 } else { 0 }..=degrees.saturating_sub(2)).step_by(2) {
        sum += term;
        term *= (k + 1) as f64 / (k + 2) as f64 * cosine * cosine;
    }
    match is_odd {
        true => 2.0 / PI * (angle + sine * sum),
        false => sine * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn quantiles_of_student_are_those_of_scipy() {
        let expected = [
            (1, 12.706204736174707),
            (2, 4.302652729749462),
            (3, 3.182446305283708),
            (6, 2.446911851144979),
            (7, 2.364624251592784),
            (30, 2.042272456301238),
            (199, 1.971956544251753),
        ];
        for (degrees, quantile) in expected {
            assert!((student_97_5(degrees) - quantile).abs() < 1e-9, "{degrees}: {}", student_97_5(degrees));
        }
    }

    fn drawn(random: &mut Random, rows: u64, [hit, error]: [u64; 2]) -> Confusion {
        let mut table = Confusion::default();
        for _ in 0..rows {
            match random.below(100) {
                client if client < hit => table.true_positives += 1,
                client if client < hit + error => table.false_negatives += 1,
                _ => table.true_negatives += 1,
            }
        }
        table
    }

    #[test]
    fn intervals_cover_a_difference_of_groups_that_vary() {
        let mut random = Random::new(5);
        let mut covered = 0;
        for _ in 0..1000 {
            let groups: Vec<_> = (0..12)
                .map(|_| {
                    // What makes a group hard makes it hard for both.
                    let hard = random.below(10);
                    let first = drawn(&mut random, 200, [20 - hard, 10 + hard]);
                    (first, drawn(&mut random, 200, [20 - hard, 10 + hard]))
                })
                .collect();
            covered += u32::from(f1_difference_by_group(&groups).unwrap().contains(0.0));
        }
        assert!((930..975).contains(&covered), "{covered}");
    }

    #[test]
    fn one_group_that_differs_is_no_evidence_and_most_are() {
        let (good, poor) = (
            Confusion { true_positives: 80, false_negatives: 20, ..Confusion::default() },
            Confusion { true_positives: 40, false_negatives: 60, ..Confusion::default() },
        );
        let groups = |differ: usize| -> Vec<_> {
            (0..10).map(|group| (good, if group < differ { poor } else { good })).collect()
        };
        assert!(f1_difference_by_group(&groups(1)).unwrap().contains(0.0));
        assert!(f1_difference_by_group(&groups(7)).unwrap().low > 0.0);
        assert_eq!(f1_difference_by_group(&groups(0)), Some(Interval { low: 0.0, high: 0.0 }));
        assert_eq!(f1_difference_by_group(&groups(0)[..1]), None);
        assert_eq!(f1_difference_by_group(&[(Confusion::default(), good)]), None);
    }
}
