//! Predictions of many models on the same rows: one bit for each row, so that any two models can be compared by counting
//! bits.

use anyhow::Result;
use common::config::Threshold;
use common::model::metrics::Confusion;
use common::model::{Model, probability};
use statistics::paired::{Joint, Predicted};

use crate::local::Table;
use crate::local::engine::ScoredRows;

/// The rows that a model predicts to leave: bit i % 64 of word i / 64.
pub struct Predictions(Vec<u64>);

/// The known outcomes of the rows of a table. Unlabelled rows are not counted.
pub struct KnownOutcomes {
    left: Vec<u64>,
    stayed: Vec<u64>,
}

impl Predictions {
    /// Predicts the rows of `table`, exactly as [`crate::Clients::score`] does.
    ///
    /// # Errors
    /// Fails if the table is damaged.
    pub fn of(table: &Table, model: &Model, threshold: Threshold) -> Result<Self> {
        let scored = ScoredRows::of(table, model)?;
        let leaves = scored.log_odds.iter().map(|log_odds| probability(*log_odds) >= threshold.value());
        Ok(Self(bitmap(leaves)))
    }
}

impl KnownOutcomes {
    /// Returns the labels of `table`.
    ///
    /// # Errors
    /// Fails if the table is damaged.
    pub fn of(table: &Table) -> Result<Self> {
        let target = table.target()?;
        let of_class = |class| bitmap(target.iter().map(|exited| exited == Some(class)));
        Ok(Self { left: of_class(1.0), stayed: of_class(0.0) })
    }

    /// Returns the number of clients that left.
    pub fn left(&self) -> u64 {
        ones(self.left.iter().copied())
    }

    /// Returns the counts of a model.
    pub fn confusion(&self, predicted: &Predictions) -> Confusion {
        let leaves = &predicted.0;
        let [left, stayed] = [&self.left, &self.stayed].map(|class| ones(class.iter().copied()));
        let true_positives = ones(self.left.iter().zip(leaves).map(|(left, leaves)| left & leaves));
        let false_positives = ones(self.stayed.iter().zip(leaves).map(|(stayed, leaves)| stayed & leaves));
        Confusion {
            true_positives,
            false_positives,
            false_negatives: left - true_positives,
            true_negatives: stayed - false_positives,
        }
    }

    /// Returns the joint counts of two models.
    pub fn joint(&self, challenger: &Predictions, champion: &Predictions) -> Joint {
        let of_class = |class: &[u64]| {
            let words = || class.iter().zip(&challenger.0).zip(&champion.0);
            let both = ones(words().map(|((class, challenger), champion)| class & challenger & champion));
            let of_challenger = ones(words().map(|((class, challenger), _)| class & challenger));
            let of_champion = ones(words().map(|((class, _), champion)| class & champion));
            Predicted {
                both,
                only_challenger: of_challenger - both,
                only_champion: of_champion - both,
                neither: ones(class.iter().copied()) + both - of_challenger - of_champion,
            }
        };
        Joint { left: of_class(&self.left), stayed: of_class(&self.stayed) }
    }
}

fn bitmap(rows: impl Iterator<Item = bool>) -> Vec<u64> {
    let mut words = Vec::with_capacity(rows.size_hint().0.div_ceil(64));
    for (row, is_set) in rows.enumerate() {
        if row % 64 == 0 {
            words.push(0);
        }
        if let Some(word) = words.last_mut() {
            *word |= u64::from(is_set) << (row % 64);
        }
    }
    words
}

fn ones(words: impl Iterator<Item = u64>) -> u64 {
    words.map(|word| u64::from(word.count_ones())).sum()
}
