//! Counts of the levels of a category. Shares, the most frequent level and the comparison of new clients with the
//! training data need nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Largest number of values that a summary may contain: whole numbers up to it are exact as `f64`.
const LARGEST_TOTAL: u64 = 1 << 53;

/// The number of occurrences of each level of a category.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelCounts {
    /// Number of occurrences of each level, in the sorted order of the levels.
    pub counts: BTreeMap<String, u64>,
    /// Number of missing values.
    pub missing: u64,
}

impl LevelCounts {
    /// Counts one more value; `None` is a missing value.
    pub fn add(&mut self, level: Option<&str>) {
        match level {
            None => self.missing += 1,
            Some(level) => match self.counts.get_mut(level) {
                Some(count) => *count += 1,
                None => {
                    self.counts.insert(level.to_owned(), 1);
                }
            },
        }
    }

    /// Returns the number of known values.
    pub fn n(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Returns the most frequent level (the mode); among equally frequent levels the first in sorted order. `None` if no
    /// value is known.
    pub fn most_frequent(&self) -> Option<&str> {
        let occurring = self.counts.iter().rev().filter(|(_, count)| **count > 0);
        occurring.max_by_key(|(_, count)| **count).map(|(level, _)| level.as_str())
    }

    /// Returns each level with its share of the known values, in sorted order. Empty if no value is known.
    pub fn shares(&self) -> Vec<(&str, f64)> {
        let n = self.n();
        if n == 0 {
            return Vec::new();
        }
        self.counts.iter().map(|(level, count)| (level.as_str(), *count as f64 / n as f64)).collect()
    }
}

/// A summary of a category's values in the training dataset, stored with the model. The learned levels themselves are
/// part of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelSummary {
    /// Number of occurrences of each learned level, in the order of the levels.
    pub counts: Vec<u64>,
    /// Number of known values that are no learned level, because they occur only in incomplete rows.
    pub unseen: u64,
    /// Number of missing values.
    pub missing: u64,
}

impl LevelSummary {
    /// Summarises the values of the training dataset, of which `levels` were learned.
    pub fn of(levels: &[String], training: &LevelCounts) -> Self {
        let (counts, unseen) = by_level(levels, training);
        Self { counts, unseen, missing: training.missing }
    }

    /// Whether there is a count for each of `levels` learned levels, at least one value, and no more than 2⁵³ values. Used
    /// to check a summary that was read from a file.
    pub fn is_sound(&self, levels: usize) -> bool {
        let total = self.training_tally().iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        self.counts.len() == levels && total.is_some_and(|total| (1..=LARGEST_TOTAL).contains(&total))
    }

    /// Counts new values in the form of [`Self::training_tally`]. `levels` are the learned levels, in the order of
    /// [`Self::counts`].
    pub fn tally(&self, levels: &[String], new: &LevelCounts) -> Vec<u64> {
        let (mut counts, unseen) = by_level(levels, new);
        counts.extend([unseen, new.missing]);
        counts
    }

    /// Returns the counts of the training values: one per level, then the unseen, then the missing values.
    pub fn training_tally(&self) -> Vec<u64> {
        self.counts.iter().copied().chain([self.unseen, self.missing]).collect()
    }
}

/// Returns the number of occurrences of each of `levels`, which are distinct, and of all other levels together.
fn by_level(levels: &[String], values: &LevelCounts) -> (Vec<u64>, u64) {
    let counts: Vec<u64> = levels.iter().map(|level| values.counts.get(level).copied().unwrap_or(0)).collect();
    let unseen = values.n().saturating_sub(counts.iter().sum());
    (counts, unseen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::{Method, chi_square, stability_of_counts};

    fn counted(values: &[Option<&str>]) -> LevelCounts {
        let mut counts = LevelCounts::default();
        values.iter().for_each(|value| counts.add(*value));
        counts
    }

    fn names(levels: &[&str]) -> Vec<String> {
        levels.iter().map(|level| (*level).to_owned()).collect()
    }

    #[test]
    fn levels_are_counted_and_the_first_of_equals_is_the_mode() {
        let counts = counted(&[Some("b"), None, Some("a"), Some("b"), Some("a"), Some("c"), Some("")]);
        assert_eq!((counts.n(), counts.missing, counts.most_frequent()), (6, 1, Some("a")));
        let third = 1.0 / 3.0;
        assert_eq!(counts.shares(), [("", 1.0 / 6.0), ("a", third), ("b", third), ("c", 1.0 / 6.0)]);
        let none = counted(&[None, None]);
        assert_eq!((none.n(), none.missing, none.most_frequent(), none.shares()), (0, 2, None, vec![]));
        let zero = LevelCounts { counts: [("a".to_owned(), 0)].into(), missing: 0 };
        assert_eq!((zero.most_frequent(), zero.shares()), (None, vec![]));
    }

    #[test]
    fn a_tally_follows_the_order_of_the_levels() {
        let levels = names(&["month", "year"]);
        let summary =
            LevelSummary::of(&levels, &counted(&[Some("year"), Some("month"), Some("year"), Some("x"), None]));
        assert_eq!(summary, LevelSummary { counts: vec![1, 2], unseen: 1, missing: 1 });
        assert_eq!(summary.training_tally(), [1, 2, 1, 1]);
        let new = counted(&[Some("decade"), Some("year"), None, None, Some("week")]);
        assert_eq!(summary.tally(&levels, &new), [0, 1, 2, 2]);
        assert_eq!(summary.tally(&levels, &LevelCounts::default()), [0; 4]);
    }

    #[test]
    fn a_summary_with_other_levels_or_impossible_counts_is_not_sound() {
        let summary = |counts: &[u64], unseen, missing| LevelSummary { counts: counts.to_vec(), unseen, missing };
        assert!(
            summary(&[3, 4], 0, 0).is_sound(2) && summary(&[0], 0, 9).is_sound(1) && summary(&[], 0, 9).is_sound(0)
        );
        assert!(summary(&[LARGEST_TOTAL - 3], 1, 2).is_sound(1));
        assert!(!summary(&[LARGEST_TOTAL - 2], 1, 2).is_sound(1));
        assert!(!summary(&[3, 4], 0, 0).is_sound(3) && !summary(&[0, 0], 0, 0).is_sound(2));
        assert!(!summary(&[u64::MAX, 1], 0, 0).is_sound(2) && !summary(&[u64::MAX], 1, 0).is_sound(1));
        assert!(!summary(&[1], 0, u64::MAX).is_sound(1));
    }

    #[test]
    fn reads_back() {
        let summary = LevelSummary { counts: vec![7, 0, 1_000_000_000_000], unseen: 2, missing: 3 };
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<LevelSummary>(&json).unwrap(), summary);
    }

    #[test]
    fn new_levels_and_missing_values_are_shifts() {
        let levels = names(&["a", "b"]);
        let summary = LevelSummary { counts: vec![300, 200], unseen: 0, missing: 0 };
        for value in [Some("new"), None] {
            let tally = summary.tally(&levels, &counted(&[value; 20]));
            let index = stability_of_counts(&summary.training_tally(), &tally, 1).unwrap();
            let test = chi_square(&summary.training_tally(), &tally, 1).unwrap();
            assert_eq!((index.method, test.method), (Method::Permutation, Method::Permutation));
            assert_eq!((index.p_value, test.p_value, test.distance), (1.0 / 2001.0, 1.0 / 2001.0, 1.0));
        }
        let none = summary.tally(&levels, &LevelCounts::default());
        assert_eq!(chi_square(&summary.training_tally(), &none, 1), None);
        assert_eq!(stability_of_counts(&summary.training_tally(), &none, 1), None);
    }
}
