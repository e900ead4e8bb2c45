//! The calibration of a model on labelled rows, from which the quality on unlabelled rows is estimated later.

use anyhow::Result;
use common::model::Model;
use dataset::Clients;
use statistics::calibration::Calibration;

/// Number of rows from which only about every second one is kept. With so many, the calibration adds nothing visible to the
/// uncertainty of an estimate.
const MOST_PAIRS: usize = 200_000;

/// Fits the calibration of `model` to the labelled rows of `clients`; `None` if there is none.
pub fn fit(clients: &dyn Clients, model: &Model) -> Result<Option<Calibration>> {
    let mut sample = Sample::default();
    clients.each(&mut |_, predictors, exited| {
        if let Some(exited) = exited {
            sample.add(|| (model.log_odds(predictors.iter().copied()), exited));
        }
    })?;
    let pairs: Vec<(f64, bool)> = sample.kept.into_iter().map(|(_, pair)| pair).collect();
    Ok(Calibration::fit(&pairs))
}

/// All rows as long as they are few, otherwise some that are chosen at random with a fixed seed. Rows at equal distances
/// would not do, because a file may have a period.
#[derive(Default)]
struct Sample {
    /// The rows that are kept, each with its random number.
    kept: Vec<(u64, (f64, bool))>,
    /// Number of rows that were added, kept or not.
    added: u64,
    /// A row is kept if its random number ends with so many zero bits.
    halvings: u32,
}

impl Sample {
    fn add(&mut self, pair: impl FnOnce() -> (f64, bool)) {
        let random = random(self.added);
        self.added += 1;
        if random.trailing_zeros() >= self.halvings {
            self.kept.push((random, pair()));
        }
        if self.kept.len() == MOST_PAIRS {
            self.halvings += 1;
            self.kept.retain(|(random, _)| random.trailing_zeros() >= self.halvings);
        }
    }
}

/// The random number of a row, by the generator SplitMix64 (Steele, Lea & Flood, Fast splittable pseudorandom number
/// generators, OOPSLA 2014).
fn random(row: u64) -> u64 {
    let mut z = (row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_represents_rows_that_have_a_period() {
        for rows in [0, 1, MOST_PAIRS - 1, MOST_PAIRS, 5 * MOST_PAIRS] {
            let mut sample = Sample::default();
            (0..rows).for_each(|row| sample.add(|| (row as f64, row % 4 == 0)));
            let kept = sample.kept.len();
            match rows < MOST_PAIRS {
                true => assert_eq!(kept, rows),
                false => assert!((MOST_PAIRS * 2 / 5..MOST_PAIRS).contains(&kept), "{rows}: {kept}"),
            }
            let left = sample.kept.iter().filter(|(_, (_, left))| *left).count();
            assert!(kept < 2 || (left as f64 / kept as f64 - 0.25).abs() < 0.005, "{rows}: {left} of {kept}");
            assert!(sample.kept.is_sorted_by(|a, b| a.1.0 < b.1.0));
        }
    }
}
