//! A score with the evidence for it: whose it is, over which rows, and the counts behind the number.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::checksum::Checksum;
use crate::files::{LATEST_SCORE, SCORE_FACTS};
use crate::metrics::Confusion;

/// The F1 score of one model on one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Of the model's file.
    pub model_sha256: Checksum,
    /// The F1 score.
    pub f1: f64,
    /// Rows that were scored: those whose `exited` is known.
    pub n: u64,
    /// The four counts.
    pub confusion: Confusion,
    /// The probability from which a client counted as leaving.
    pub threshold: f64,
}

impl Score {
    /// Writes latestscore.txt, and beside it whose score it is.
    ///
    /// The plain number comes last: a run that is killed in between leaves two files that disagree, and [`Score::read`]
    /// says so, instead of a new number that passes for the old model's.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::write(&folder.join(SCORE_FACTS), serde_json::to_string_pretty(self)?.as_bytes())?;
        atomic::write(&folder.join(LATEST_SCORE), &self.number())
    }

    /// The content of latestscore.txt.
    pub fn number(&self) -> Vec<u8> {
        self.f1.to_string().into_bytes()
    }

    /// Reads the score of the model whose checksum is `model`, refusing any other's.
    pub fn read(folder: &Path, model: &Checksum) -> Result<Self> {
        let number = read(&folder.join(LATEST_SCORE))?.trim().parse::<f64>().with_context(|| {
            format!("{}: expected a plain number; run scoring again", folder.join(LATEST_SCORE).display())
        })?;
        let path = folder.join(SCORE_FACTS);
        let score: Self = serde_json::from_str(&read(&path)?)
            .with_context(|| format!("reading {}; run scoring again", path.display()))?;
        if score.model_sha256 != *model {
            bail!("{} is the score of another model; run scoring first", folder.join(LATEST_SCORE).display());
        }
        if score.f1 != number || score.confusion.f1() != score.f1 {
            bail!("{LATEST_SCORE} and {SCORE_FACTS} in {} disagree; run scoring again", folder.display());
        }
        Ok(score)
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}; run scoring first", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score() -> Score {
        let confusion = Confusion { true_positives: 1, false_positives: 1, false_negatives: 1, true_negatives: 0 };
        Score { model_sha256: Checksum::of_bytes(b"m"), f1: confusion.f1(), n: 3, confusion, threshold: 0.5 }
    }

    #[test]
    fn reads_back_to_the_last_digit_and_only_for_its_own_model() {
        let folder = tempfile::tempdir().unwrap();
        let score = Score { confusion: Confusion { true_positives: 2, ..score().confusion }, f1: 2.0 / 3.0, ..score() };
        score.write(folder.path()).unwrap();
        assert_eq!(Score::read(folder.path(), &score.model_sha256).unwrap(), score);
        // An editor ends the line.
        std::fs::write(folder.path().join(LATEST_SCORE), format!("{}\n", score.f1)).unwrap();
        assert_eq!(Score::read(folder.path(), &score.model_sha256).unwrap(), score);
        let other = Score::read(folder.path(), &Checksum::of_bytes(b"other")).unwrap_err().to_string();
        assert!(other.contains("score of another model"), "{other}");
    }

    #[test]
    fn a_number_changed_by_hand_or_by_a_killed_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        score().write(folder.path()).unwrap();
        std::fs::write(folder.path().join(LATEST_SCORE), "0.99").unwrap();
        let error = Score::read(folder.path(), &score().model_sha256).unwrap_err().to_string();
        assert!(error.contains("disagree"), "{error}");
    }
}
