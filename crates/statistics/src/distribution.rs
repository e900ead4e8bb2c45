//! How often each value of a column occurs: all that quantiles, bins and distances between distributions need, whether the
//! values are at hand or only a query can count them.

/// The values of one column, ascending, with how often each occurs.
///
/// Of a column with very many different values a distribution may be *thinned*: then only some values stand in it, each
/// with the count of those that were left out below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Each value with its count, ascending.
    pub values: Vec<(f64, u64)>,
    /// Values that are missing.
    pub missing: u64,
}

impl Distribution {
    /// Of values in any order, in O(n log n). What is not finite counts as missing.
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

    /// Values that are known.
    pub fn n(&self) -> u64 {
        self.values.iter().map(|(_, count)| count).sum()
    }

    /// The median; between two middle values, their mean. `None` where there is no value.
    pub fn median(&self) -> Option<f64> {
        let ranks = Ranks::of(self);
        let (low, high) = (ranks.at(ranks.n.div_ceil(2))?, ranks.at(ranks.n / 2 + 1)?);
        Some(low + (high - low) / 2.0)
    }

    /// All values in order, each as often as it occurs.
    pub fn expanded(&self) -> Vec<f64> {
        self.values.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count as usize)).collect()
    }
}

/// Finds the value of a rank.
pub(crate) struct Ranks<'a> {
    values: &'a [(f64, u64)],
    up_to: Vec<u64>,
    /// How many values there are.
    pub(crate) n: u64,
}

impl<'a> Ranks<'a> {
    pub(crate) fn of(distribution: &'a Distribution) -> Self {
        let mut n = 0;
        let up_to = distribution
            .values
            .iter()
            .map(|(_, count)| {
                n += count;
                n
            })
            .collect();
        Self { values: &distribution.values, up_to, n }
    }

    /// The smallest value that at least `numerator / denominator` of the values do not exceed (Hyndman & Fan 1996,
    /// definition 1); `None` where there is no value.
    pub(crate) fn occurring(&self, numerator: u64, denominator: u64) -> Option<f64> {
        self.at((u128::from(numerator) * u128::from(self.n)).div_ceil(u128::from(denominator)) as u64)
    }

    /// The value of `rank`, from 1; the smallest for rank 0.
    pub(crate) fn at(&self, rank: u64) -> Option<f64> {
        let place = self.up_to.partition_point(|up_to| *up_to < rank);
        self.values.get(place).map(|(value, _)| *value)
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
        assert_eq!(Distribution::of([7.0, 7.0, 9.0].map(Some)).median(), Some(7.0));
        assert_eq!(
            (Distribution::default().median(), Ranks::of(&Distribution::default()).occurring(1, 2)),
            (None, None)
        );
    }
}
