//! Counts of the values of a column. Quantiles, bins and differences between distributions need nothing else, whether
//! the values are in memory or only a query can count them.

use crate::moments::Summable;

/// The distinct values of a column in ascending order, with the number of occurrences of each.
///
/// A distribution with very many distinct values may be *thinned*: then it contains only some of the values, each with
/// a count that includes the omitted values below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Distinct values with their counts, ascending.
    pub values: Vec<(f64, u64)>,
    /// Number of missing values.
    pub missing: u64,
}

impl Distribution {
    /// Counts values in any order, in O(n log n). Values that are not finite count as missing.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut missing = 0;
        let mut sorted = Vec::new();
        for value in values {
            match value.filter(|value| value.is_finite()) {
                Some(value) => sorted.push(value),
                None => missing += 1,
            }
        }
        sorted.sort_unstable_by(f64::total_cmp);
        Self { values: sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect(), missing }
    }

    /// Returns the number of known values.
    pub fn n(&self) -> u64 {
        self.values.iter().map(|(_, count)| count).sum()
    }

    /// Returns the median: the middle value, or the mean of the two middle values. `None` if there is no value.
    pub fn median(&self) -> Option<f64> {
        let ranks = Ranks::of(self);
        let [low, high] = median_ranks(ranks.n);
        Some(ranks.at(low)?.midpoint(ranks.at(high)?))
    }

    /// Returns the most frequent value; the smallest one if several are equally frequent. `None` if there is no value.
    /// Needs a complete distribution.
    pub fn mode(&self) -> Option<f64> {
        let longest = self.values.iter().rev().max_by_key(|(_, count)| *count)?; // the last one of equal counts
        Some(longest.0)
    }

    /// Returns all values in ascending order, each as often as it occurs.
    pub(crate) fn expanded(&self) -> Vec<f64> {
        self.values.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count as usize)).collect()
    }
}

impl Summable for Distribution {
    fn n(&self) -> u64 {
        self.n()
    }

    fn range(&self) -> Option<(f64, f64)> {
        Some((self.values.first()?.0, self.values.last()?.0))
    }

    fn sum(&self, term: impl Fn(f64) -> f64 + Sync) -> f64 {
        self.values.iter().map(|(value, count)| term(*value) * *count as f64).sum()
    }
}

/// Returns the ranks, counted from 1, of the two middle ones of `n` values: the same rank twice if `n` is odd. `n` must
/// not be 0.
pub fn median_ranks(n: u64) -> [u64; 2] {
    [n.div_ceil(2), n / 2 + 1]
}

/// Returns the rank of the smallest one of `n` values that at least `numerator / denominator` of them do not exceed
/// (Hyndman & Fan 1996, definition 1).
pub(crate) fn rank(numerator: u64, denominator: u64, n: u64) -> u64 {
    (u128::from(numerator) * u128::from(n)).div_ceil(u128::from(denominator)) as u64
}

/// An index that finds the value of a rank.
pub(crate) struct Ranks<'a> {
    values: &'a [(f64, u64)],
    up_to: Vec<u64>,
    /// Number of values, with repetitions.
    pub(crate) n: u64,
}

impl<'a> Ranks<'a> {
    pub(crate) fn of(distribution: &'a Distribution) -> Self {
        let mut n = 0;
        let mut add = |(_, count): &(f64, u64)| {
            n += count;
            n
        };
        let up_to = distribution.values.iter().map(&mut add).collect();
        Self { values: &distribution.values, up_to, n }
    }

    /// Returns the value of [`rank`]. `None` if there is no value.
    pub(crate) fn occurring(&self, numerator: u64, denominator: u64) -> Option<f64> {
        self.at(rank(numerator, denominator, self.n))
    }

    /// Returns the value of `rank`, counted from 1; for rank 0 the smallest value.
    pub(crate) fn at(&self, rank: u64) -> Option<f64> {
        let index = self.up_to.partition_point(|up_to| *up_to < rank);
        self.values.get(index).map(|(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_in_order() {
        let distribution = Distribution::of([Some(2.0), None, Some(1.0), Some(2.0), Some(f64::NAN)]);
        assert_eq!(distribution, Distribution { values: vec![(1.0, 1), (2.0, 2)], missing: 2 });
        assert_eq!((distribution.n(), distribution.expanded()), (3, vec![1.0, 2.0, 2.0]));
    }

    #[test]
    fn quantiles_and_medians_as_of_sorted_values() {
        let distribution = Distribution::of([8.0, 4.0, 1.0, 2.0].map(Some));
        let quarters: Vec<_> =
            (0..=4).map(|quarters| Ranks::of(&distribution).occurring(quarters, 4).unwrap()).collect();
        assert_eq!(quarters, [1.0, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(distribution.median(), Some(3.0));
        assert_eq!((distribution.mode(), Distribution::default().mode()), (Some(1.0), None));
        assert_eq!(Distribution::of([3.0, 9.0, 5.0, 9.0, 5.0].map(Some)).mode(), Some(5.0));
        assert_eq!(Distribution::of([7.0, 7.0, 9.0].map(Some)).median(), Some(7.0));
        assert_eq!(
            (Distribution::default().median(), Ranks::of(&Distribution::default()).occurring(1, 2)),
            (None, None)
        );
    }
}
