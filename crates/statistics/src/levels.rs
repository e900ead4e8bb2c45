//! Counts of the levels of a category.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often each level of a category occurs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelCounts {
    /// Number of rows of each level.
    pub counts: BTreeMap<String, u64>,
    /// Number of missing values.
    pub missing: u64,
}

/// Summary of a category's values in the training dataset, stored with the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelSummary {
    /// Number of rows of each learned level.
    pub counts: Vec<u64>,
    /// Number of rows with another level.
    pub unseen: u64,
    /// Number of missing values.
    pub missing: u64,
}

impl LevelSummary {
    /// Whether it has as many counts as there are levels.
    pub fn is_sound(&self, levels: usize) -> bool {
        self.counts.len() == levels
    }
    /// Counts new rows.
    pub fn tally(&self, levels: &[String], new: &LevelCounts) -> Vec<u64> {
        let mut t: Vec<u64> = levels.iter().map(|l| new.counts.get(l).copied().unwrap_or(0)).collect();
        let known: u64 = t.iter().sum();
        t.push(new.counts.values().sum::<u64>() - known);
        t.push(new.missing);
        t
    }
    /// Counts of training.
    pub fn training_tally(&self) -> Vec<u64> {
        self.counts.iter().copied().chain([self.unseen, self.missing]).collect()
    }
}
