//! Correction for several tests at once: with twenty predictors tested at 5 %, each comparison would raise one false
//! alarm on average.

/// Applies Holm's correction. If every adjusted p-value is compared with the same level, the probability of any false
/// alarm is at most that level, whatever the dependence of the tests (Holm, A simple sequentially rejective multiple
/// test procedure, Scand. J. Statist. 6, 1979).
///
/// `p_values` are from 0 to 1; NaN counts as 1. The result has the same order.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let known: Vec<f64> = p_values.iter().map(|p| if p.is_nan() { 1.0 } else { *p }).collect();
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.sort_by(|i, j| known[*i].total_cmp(&known[*j]));
    let mut adjusted = vec![1.0; known.len()];
    let mut largest: f64 = 0.0;
    for (rank, i) in order.into_iter().enumerate() {
        largest = largest.max((known.len() - rank) as f64 * known[i]).min(1.0);
        adjusted[i] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn keeps_the_order_and_lies_between_the_p_value_and_bonferroni() {
        let mut random = Random::new(1);
        for round in 0..200 {
            let p: Vec<f64> = (0..round % 9).map(|_| random.uniform().powi(3)).collect();
            let adjusted = holm(&p);
            for i in 0..p.len() {
                assert!(adjusted[i] >= p[i] && adjusted[i] <= (p[i] * p.len() as f64).min(1.0));
                assert!((0..p.len()).all(|j| p[i] > p[j] || adjusted[i] <= adjusted[j]));
            }
        }
    }

    #[test]
    fn none_one_equal_and_no_number() {
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[0.03]), [0.03]);
        assert_eq!(holm(&[0.5, 0.5, 0.5]), [1.0; 3]);
        assert_eq!(holm(&[0.01, f64::NAN]), [0.02, 1.0]);
        assert_eq!(holm(&[-f64::NAN, 0.01]), [1.0, 0.02]);
    }

    #[test]
    fn false_alarms_stay_below_the_level() {
        let mut random = Random::new(2);
        let alarms = (0..10_000).filter(|_| holm(&[0; 3].map(|_| random.uniform())).iter().any(|p| *p <= 0.05)).count();
        assert!((420..=560).contains(&alarms), "{alarms}"); // 1 − (1 − 0.05/3)³ = 4.9 %
    }
}
