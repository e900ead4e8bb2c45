//! A summary of the predictors' training values, stored with the model. It is detailed enough to notice that new
//! clients differ, small enough to be part of the model file, and contains no client's row.

use serde::{Deserialize, Serialize};

use crate::distribution::{Distribution, Ranks, rank};
use crate::moments::moments;

/// Number of parts of equal count into which the training values are divided.
const PARTS: u64 = 10;

/// Largest number of training values that are all kept. If there are more, as many quantiles replace them.
const LARGEST_EXACT: u64 = 200;

/// Denominator of the shares. The quantiles kept are those of the odd shares 1/400, 3/400, …; the deciles are multiples
/// of 1/400 too.
pub const SHARES: u64 = 2 * LARGEST_EXACT;

/// Returns the ranks, counted from 1 and ascending, whose values a thinned distribution of `n` values must contain to
/// give the same sketch as the complete one: the smallest value, those at all multiples of 1/[`SHARES`], and the
/// largest.
pub fn ranks(n: u64) -> Vec<u64> {
    let shares = (1..=SHARES).map(|share| rank(share, SHARES, n));
    let mut ranks: Vec<u64> = std::iter::once(1).chain(shares).take_while(|rank| *rank <= n).collect();
    ranks.dedup();
    ranks
}

/// A summary of one predictor's training values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// Number of known values.
    pub n: u64,
    /// Number of missing values.
    pub missing: u64,
    /// Arithmetic mean of the known values.
    pub mean: f64,
    /// Sample standard deviation (divisor n − 1); 0 for a single value.
    pub standard_deviation: f64,
    /// Smallest of the known values.
    pub min: f64,
    /// Largest of the known values.
    pub max: f64,
    /// Upper ends of the bins, ascending. Bin k holds the values above edge k − 1 up to and including edge k; the last
    /// bin holds the values above all edges.
    pub edges: Vec<f64>,
    /// Number of training values in each bin; there is one more bin than there are edges.
    pub counts: Vec<u64>,
    /// All values in ascending order if there are at most 200, otherwise the 200 quantiles at the shares 1/400, 3/400,
    /// …, 399/400.
    pub quantiles: Vec<f64>,
}

impl Sketch {
    /// Summarises a predictor's training values, in any order, in O(n log n). `None` if no value is known.
    ///
    /// The edges are the distinct deciles, taken from the values that occur, so a value that fills several tenths has
    /// one bin. If the lowest value is itself an edge (as for a constant predictor), there is a bin below it that is
    /// empty for the training values and holds only lower new values. The bin above the last edge has the same purpose
    /// if the highest value is an edge. There are at most 10 edges.
    ///
    /// Mean and standard deviation are correct for values of any size, because sums that overflow or underflow are
    /// computed again with scaled values. Only a standard deviation above `f64::MAX` is stored as `f64::MAX`.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let distribution = Distribution::of(values);
        let (mean, standard_deviation) = moments(&distribution)?;
        Self::of_distribution(&distribution, mean, standard_deviation)
    }

    /// Summarises counted values whose mean and sample standard deviation are known. The result is exact for a thinned
    /// distribution too, provided that it contains the values at all multiples of 1/[`SHARES`].
    ///
    /// If the mean or the standard deviation is not finite, because an engine's sums overflowed, both are computed from
    /// the distribution.
    pub fn of_distribution(distribution: &Distribution, mean: f64, standard_deviation: f64) -> Option<Self> {
        let (&(min, _), &(max, _)) = (distribution.values.first()?, distribution.values.last()?);
        let (mean, standard_deviation) = match mean.is_finite() && standard_deviation.is_finite() {
            true => (mean, standard_deviation),
            false => moments(distribution)?,
        };
        let ranks = Ranks::of(distribution);
        let n = ranks.n;
        let mut edges = (1..PARTS).map(|part| ranks.occurring(part, PARTS)).collect::<Option<Vec<f64>>>()?;
        edges.dedup();
        if edges[0] == min && min > f64::MIN {
            edges.insert(0, min.next_down());
        }
        let mut sketch = Self {
            n,
            missing: distribution.missing,
            mean,
            standard_deviation,
            min,
            max,
            counts: vec![0; edges.len() + 1],
            edges,
            quantiles: match n <= LARGEST_EXACT {
                true => distribution.expanded(),
                false => (1..SHARES).step_by(2).map(|share| ranks.occurring(share, SHARES)).collect::<Option<_>>()?,
            },
        };
        for (value, count) in &distribution.values {
            let bin = sketch.bin(*value);
            sketch.counts[bin] += count;
        }
        Some(sketch)
    }

    /// Counts `values` by bin; the last entry is the number of missing values.
    pub fn tally(&self, values: &Distribution) -> Vec<u64> {
        let mut counts = vec![0; self.edges.len() + 2];
        for (value, count) in &values.values {
            counts[self.bin(*value)] += count;
        }
        counts[self.edges.len() + 1] = values.missing;
        counts
    }

    /// Returns the counts of the training values in the form of [`Self::tally`].
    pub fn training_tally(&self) -> Vec<u64> {
        self.counts.iter().copied().chain([self.missing]).collect()
    }

    /// Returns the largest difference between the distribution function of [`Self::quantiles`] and that of the training
    /// values: 0 if all values were kept, otherwise 1/400.
    pub fn resolution(&self) -> f64 {
        if self.quantiles.len() as u64 == self.n { 0.0 } else { 1.0 / SHARES as f64 }
    }

    /// Whether the numbers are consistent with each other, as those of [`Sketch::of`] are. Used to check a sketch that
    /// was read from a file.
    pub fn is_sound(&self) -> bool {
        let Self { n, mean, standard_deviation, min, max, edges, counts, quantiles, .. } = self;
        let finite = |numbers: &[f64]| numbers.iter().all(|number| number.is_finite());
        let counted = counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        finite(&[*mean, *standard_deviation, *min, *max])
            && *standard_deviation >= 0.0
            && min <= max
            && !edges.is_empty()
            && finite(edges)
            && edges.windows(2).all(|pair| pair[0] < pair[1])
            && counts.len() == edges.len() + 1
            && (*n > 0 && counted == Some(*n))
            && quantiles.len() as u64 == (*n).min(LARGEST_EXACT)
            && finite(quantiles)
            && quantiles.is_sorted()
    }

    fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|edge| *edge < value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn of(values: &[f64]) -> Sketch {
        Sketch::of(values.iter().map(|value| Some(*value))).unwrap()
    }

    #[test]
    fn bins_of_distinct_values_are_tenths() {
        let sketch = of(&(0..1000).rev().map(f64::from).collect::<Vec<_>>());
        assert_eq!(sketch.edges, [99.0, 199.0, 299.0, 399.0, 499.0, 599.0, 699.0, 799.0, 899.0]);
        assert_eq!(sketch.counts, [100; 10]);
        assert_eq!((sketch.n, sketch.min, sketch.max, sketch.mean), (1000, 0.0, 999.0, 499.5));
        assert_eq!(
            sketch.tally(&Distribution::of([Some(-5.0), Some(99.0), Some(99.5), None, Some(5e9)])),
            [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]
        );
    }

    #[test]
    fn a_constant_has_bins_to_either_side() {
        let sketch = of(&[0.7; 30]);
        assert_eq!((sketch.counts.as_slice(), sketch.edges.len()), ([0, 30, 0].as_slice(), 2));
        assert_eq!((sketch.mean, sketch.standard_deviation), (0.7, 0.0));
        assert_eq!(sketch.tally(&Distribution::of([0.6, 0.7, 0.7, 0.8].map(Some))), [1, 2, 1, 0]);
    }

    #[test]
    fn heavy_ties_have_one_bin_each() {
        let mut values = vec![0.0; 700];
        values.extend((1..=300).map(f64::from));
        let sketch = of(&values);
        assert_eq!(sketch.counts, [0, 700, 100, 100, 100]);
        assert!(sketch.edges[0] < 0.0 && sketch.edges[1..] == [0.0, 100.0, 200.0]);
        let binary = of(&[0.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!((binary.counts.as_slice(), binary.edges[1..].to_vec()), ([0, 3, 2, 0].as_slice(), vec![0.0, 1.0]));
    }

    #[test]
    fn nothing_one_and_missing() {
        assert_eq!((Sketch::of([]), Sketch::of([None, Some(f64::NAN)])), (None, None));
        let one = Sketch::of([None, Some(4.0), Some(f64::INFINITY)]).unwrap();
        assert_eq!((one.n, one.missing, one.mean, one.standard_deviation), (1, 2, 4.0, 0.0));
        assert_eq!(one.training_tally(), [0, 1, 0, 2]);
    }

    #[test]
    fn whatever_the_values_every_one_is_counted_and_the_quantiles_are_near() {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let n = 1 + random.below(2000);
            let levels = [1, 2, 5, 30, 400, 1 << 40][seed as usize % 6];
            let mut values: Vec<f64> = (0..n).map(|_| random.below(levels) as f64).collect();
            let sketch = of(&values);
            assert_eq!(sketch.counts.iter().sum::<u64>(), n);
            assert_eq!(sketch.counts.len(), sketch.edges.len() + 1);
            assert!(sketch.edges.len() <= 10 && sketch.edges.windows(2).all(|w| w[0] < w[1]));
            assert!(sketch.quantiles.len() <= 200 && sketch.quantiles.is_sorted());
            assert!(sketch.is_sound());
            values.sort_unstable_by(f64::total_cmp);
            let share = |sorted: &[f64], x: f64| sorted.partition_point(|v| *v <= x) as f64 / sorted.len() as f64;
            for x in &values {
                let off = (share(&sketch.quantiles, *x) - share(&values, *x)).abs();
                assert!(off <= sketch.resolution() + 1e-12, "{n} {levels}: {off}");
            }
        }
    }

    #[test]
    fn negative_fractional_huge_and_tiny_values() {
        let base: Vec<f64> = (0..300).map(|i| f64::from(i * 37 % 300) / 7.0 - 20.0).collect();
        let sketch = of(&base);
        for exponent in [-1000, -600, 0, 490, 600, 1010] {
            let scaled = |value: f64| libm::ldexp(value, exponent);
            let found = of(&base.iter().map(|value| scaled(*value)).collect::<Vec<_>>());
            assert!(found.is_sound(), "{exponent}: {found:?}");
            let near = |ours: f64, exact: f64| (ours / scaled(exact) - 1.0).abs() < 1e-9;
            assert!(near(found.mean, sketch.mean), "{exponent}: {found:?}");
            assert!(near(found.standard_deviation, sketch.standard_deviation), "{exponent}: {found:?}");
            assert_eq!(found.counts, sketch.counts);
        }
    }

    #[test]
    fn the_largest_values_have_a_sound_sketch() {
        let (low, high) = (f64::MIN, f64::MAX);
        for values in [vec![low], vec![high; 3], vec![low, high], vec![low, 0.0, high], vec![1e300, -1e300, 5.5]] {
            let sketch = of(&values);
            assert!(sketch.is_sound(), "{sketch:?}");
            assert!((sketch.min..=sketch.max).contains(&sketch.mean));
            assert_eq!(sketch.counts.iter().sum::<u64>(), values.len() as u64);
        }
        assert_eq!((of(&[low, high]).mean, of(&[low, high]).standard_deviation), (0.0, f64::MAX));
        let subnormal = of(&[-5e-324, 0.0, 5e-324]);
        assert!(subnormal.is_sound() && subnormal.standard_deviation > 0.0, "{subnormal:?}");
        let distribution = Distribution::of([-1e300, 1e300].map(Some));
        assert_eq!(distribution.median(), Some(0.0));
        let overflowed = Sketch::of_distribution(&distribution, f64::NAN, f64::INFINITY).unwrap();
        assert_eq!(overflowed, of(&[-1e300, 1e300]));
    }

    #[test]
    fn the_values_of_its_ranks_give_the_same_sketch() {
        assert_eq!((ranks(0), ranks(1), ranks(3)), (vec![], vec![1], vec![1, 2, 3]));
        let mut random = Random::new(5);
        for levels in [300, 1200, 5000, 1 << 40] {
            let values: Vec<_> = (0..30_000).map(|_| Some(random.below(levels) as f64)).collect();
            let all = Distribution::of(values);
            let ranks = ranks(all.n());
            let mut thinned = Distribution { missing: all.missing, ..Distribution::default() };
            let (mut up_to, mut omitted) = (0, 0);
            for (value, count) in &all.values {
                let before = up_to;
                up_to += count;
                omitted += count;
                if ranks.iter().any(|rank| before < *rank && *rank <= up_to) {
                    thinned.values.push((*value, omitted));
                    omitted = 0;
                }
            }
            assert!(thinned.values.len() <= 401);
            let (mean, standard_deviation) = moments(&all).unwrap();
            let sketch = |of: &Distribution| Sketch::of_distribution(of, mean, standard_deviation);
            assert_eq!(sketch(&thinned), sketch(&all));
        }
    }

    #[test]
    fn reads_back_to_the_last_bit() {
        for values in [vec![0.0; 5], vec![0.1, 0.2, 0.3], (0..5000).map(|i| f64::from(i).sqrt()).collect()] {
            let json = serde_json::to_string(&of(&values)).unwrap();
            assert!(json.len() < 8000);
            assert_eq!(serde_json::from_str::<Sketch>(&json).unwrap(), of(&values));
        }
    }

    #[test]
    fn a_million_values() {
        let mut random = Random::new(1);
        let sketch = Sketch::of((0..1_000_000).map(|_| Some(random.uniform()))).unwrap();
        assert!(sketch.counts.iter().all(|count| *count == 100_000));
        assert!((sketch.mean - 0.5).abs() < 0.002 && (sketch.standard_deviation - 12f64.sqrt().recip()).abs() < 0.001);
    }
}
