//! Tests whether a score is unusually low compared with the model's earlier scores. The single score at deployment
//! cannot show this; a history can.

use crate::quantile;

/// Smallest number of past scores from which a standard deviation and quartiles are meaningful.
const FEWEST: usize = 5;

/// Lower limits of the scores that a history of scores leads one to expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// First quartile of the past scores, interpolated linearly like numpy's default.
    pub first_quartile: f64,
    /// Third quartile of the past scores, interpolated in the same way.
    pub third_quartile: f64,
    /// Mean minus two sample standard deviations (divisor n − 1). An outlier in the history lowers this limit.
    pub two_standard_deviations: f64,
    /// First quartile minus 1.5 interquartile ranges (Tukey, Exploratory Data Analysis, 1977, §2D). A few outliers in
    /// the history do not move this limit.
    pub fence: f64,
}

impl Limits {
    /// Computes the limits from past scores in any order. `None` if fewer than five of them are finite.
    pub fn of(history: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = history.iter().copied().filter(|score| score.is_finite()).collect();
        if sorted.len() < FEWEST {
            return None;
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len() as f64;
        // Computed from the differences to one of the scores: if all scores are equal, the mean is exactly that score.
        // Otherwise rounding could put the score below the mean.
        let mean = sorted[0] + sorted.iter().map(|score| score - sorted[0]).sum::<f64>() / n;
        let squares: f64 = sorted.iter().map(|score| (score - mean) * (score - mean)).sum();
        let standard_deviation = (squares / (n - 1.0)).sqrt();
        let [first_quartile, third_quartile] = [1, 3].map(|quarters| quantile::linear(&sorted, quarters, 4));
        Some(Self {
            first_quartile,
            third_quartile,
            two_standard_deviations: mean - 2.0 * standard_deviation,
            fence: first_quartile - 1.5 * (third_quartile - first_quartile),
        })
    }

    /// Whether `score` is below either limit.
    pub fn is_below(&self, score: f64) -> bool {
        score < self.two_standard_deviations || score < self.fence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_scores_have_no_limits() {
        assert_eq!((Limits::of(&[]), Limits::of(&[0.7; 4])), (None, None));
        assert_eq!(Limits::of(&[0.7, 0.7, 0.7, 0.7, f64::NAN]), None);
        assert!(Limits::of(&[0.7; 5]).is_some());
    }

    #[test]
    fn equal_scores_are_not_below_themselves() {
        for score in [0.1, 0.3, 0.7, 0.7621914509331728] {
            for n in 5..50 {
                let limits = Limits::of(&vec![score; n]).unwrap();
                assert!(!limits.is_below(score) && limits.is_below(score - 1e-9), "{score} {n}");
            }
        }
    }

    #[test]
    fn each_limit_finds_other_scores() {
        let steady = Limits::of(&[0.75, 0.76, 0.77, 0.76, 0.75, 0.77]).unwrap();
        assert!(0.70 < steady.two_standard_deviations && 0.70 < steady.fence && !steady.is_below(0.755));
        // One bad score in the history increases the standard deviation but does not move the fence.
        let once_bad = Limits::of(&[0.75, 0.76, 0.77, 0.76, 0.75, 0.77, 0.40]).unwrap();
        assert!(once_bad.two_standard_deviations < 0.70 && 0.70 < once_bad.fence && once_bad.is_below(0.70));
        // Scores in two groups widen the interquartile range and so lower the fence.
        let two_groups = Limits::of(&[0.5, 0.5, 0.5, 0.8, 0.8, 0.8]).unwrap();
        assert!(0.3 < two_groups.two_standard_deviations && two_groups.fence < 0.3 && two_groups.is_below(0.3));
    }

    #[test]
    fn the_order_of_the_history_does_not_matter() {
        assert_eq!(Limits::of(&[0.5, 0.9, 0.7, 0.6, 0.8]), Limits::of(&[0.9, 0.8, 0.7, 0.6, 0.5]));
    }
}
