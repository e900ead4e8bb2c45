//! A score together with its evidence: the model, the number of rows and the confusion counts.

use std::path::Path;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use statistics::calibration::Calibration;

use crate::files::atomic;
use crate::files::checksum::Checksum;
use crate::files::{LATEST_SCORE, SCORE_RECORD};
use crate::model::leaks::Leaks;
use crate::model::metrics::Confusion;

/// The F1 score of one model on one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// SHA-256 of the model file.
    pub model_sha256: Checksum,
    /// F1 score, from 0 to 1.
    pub f1: f64,
    /// Number of rows that were scored: those whose `exited` is known.
    pub n: u64,
    /// Confusion counts from which the score was computed.
    pub confusion: Confusion,
    /// Probability from which a client was predicted to leave.
    pub threshold: f64,
    /// What the model's probabilities meant on these rows; `None` in a record of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Signs that the score is too good; none in scores of earlier versions of this program.
    #[serde(flatten)]
    pub leaks: Leaks,
}

impl Score {
    /// Writes latestscore.txt, and beside it latestscore.json, which names the model that was scored.
    ///
    /// The plain number is written last. If a run is killed between the two writes, the files disagree and
    /// [`Score::read`] reports it. In the other order, the new number could be taken for the score of the old model.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::write(&folder.join(SCORE_RECORD), serde_json::to_string_pretty(self)?.as_bytes())?;
        atomic::write(&folder.join(LATEST_SCORE), &self.number())
    }

    /// Returns the content of latestscore.txt.
    pub fn number(&self) -> Vec<u8> {
        self.f1.to_string().into_bytes()
    }

    /// Reads the score of the model whose checksum is `model`.
    ///
    /// # Errors
    /// Fails if the files are missing, are invalid, disagree, or hold the score of another model.
    pub fn read(folder: &Path, model: &Checksum) -> Result<Self> {
        let number = read(&folder.join(LATEST_SCORE))?.trim().parse::<f64>().with_context(|| {
            format!("{}: expected a plain number; run scoring again", folder.join(LATEST_SCORE).display())
        })?;
        let path = folder.join(SCORE_RECORD);
        let score: Self = serde_json::from_str(&read(&path)?)
            .with_context(|| format!("reading {}; run scoring again", path.display()))?;
        if score.model_sha256 != *model {
            bail!("{} is the score of another model; run scoring first", folder.join(LATEST_SCORE).display());
        }
        if score.f1 != number || score.confusion.f1() != score.f1 {
            bail!("{LATEST_SCORE} and {SCORE_RECORD} in {} disagree; run scoring again", folder.display());
        }
        Ok(score)
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).context("reading the score (run scoring first if there is none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score() -> Score {
        let confusion = Confusion { true_positives: 1, false_positives: 1, false_negatives: 1, true_negatives: 0 };
        Score {
            model_sha256: Checksum::of_bytes(b"m"),
            f1: confusion.f1(),
            n: 3,
            confusion,
            threshold: 0.5,
            calibration: None,
            leaks: Leaks::default(),
        }
    }

    #[test]
    fn reads_back_to_the_last_digit_and_only_for_its_own_model() {
        let folder = tempfile::tempdir().unwrap();
        let score = Score { confusion: Confusion { true_positives: 2, ..score().confusion }, f1: 2.0 / 3.0, ..score() };
        score.write(folder.path()).unwrap();
        assert_eq!(Score::read(folder.path(), &score.model_sha256).unwrap(), score);
        let pairs: Vec<(f64, bool)> = (0..40).map(|row| (f64::from(row) / 7.0 - 3.0, row % 3 == 0)).collect();
        let calibrated = Score { calibration: Calibration::fit(&pairs), ..score.clone() };
        calibrated.write(folder.path()).unwrap();
        assert_eq!(Score::read(folder.path(), &score.model_sha256).unwrap(), calibrated);
        // An editor appends a line break.
        fs::write(folder.path().join(LATEST_SCORE), format!("{}\n", score.f1)).unwrap();
        assert_eq!(Score::read(folder.path(), &score.model_sha256).unwrap(), calibrated);
        let other = Score::read(folder.path(), &Checksum::of_bytes(b"other")).unwrap_err().to_string();
        assert!(other.contains("score of another model"), "{other}");
    }

    #[test]
    fn a_number_changed_by_hand_or_by_a_killed_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        score().write(folder.path()).unwrap();
        fs::write(folder.path().join(LATEST_SCORE), "0.99").unwrap();
        let error = Score::read(folder.path(), &score().model_sha256).unwrap_err().to_string();
        assert!(error.contains("disagree"), "{error}");
    }
}
