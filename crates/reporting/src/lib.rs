//! Reporting: the pictures of the *deployed* model, drawn on a server that has no fonts and no screen.
//!
//! One model throughout: what a report shows is of the live release, whose id stands in it.

pub mod call_list;
pub mod canvas;
pub mod charts;
pub mod confusion_matrix;
pub mod evidence;
mod pdf;
mod report;
mod words;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use common::atomic;
use common::cli;
use common::config::Config;
use common::files::CONFUSION_MATRIX;
use common::lock::Lock;
use serde::Serialize;

/// What was drawn.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The live release.
    pub release: String,
    /// Its F1 score on the test data as they are now.
    pub f1: f64,
    /// Rows of it.
    pub n: u64,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// Scores the deployed model on the test data, draws its confusion matrix, and records the run.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "reporting", |run| {
        let deployed = scoring::Options { deployed: true, ..Default::default() };
        let score = scoring::evaluate(config, &deployed)?;
        if score.n == 0 {
            bail!("{} holds no row whose exited is known; there is nothing to draw", config.test_data.display());
        }
        let path = config.output_model.join(CONFUSION_MATRIX);
        let picture = canvas::png(confusion_matrix::SIZE, |area| confusion_matrix::draw(area, &score))?;
        let _lock = Lock::acquire(&config.output_model, "step")?;
        atomic::write(&path, &picture)?;
        run.facts.scores.push(score.scored_data(true));
        Ok(Outcome { release: score.model, f1: score.f1, n: score.n, files: vec![path] })
    })
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "release {}: F1 {} on {} test rows", self.release, self.f1, self.n)?;
        self.files.iter().try_for_each(|file| write!(f, "\n  {}", file.display()))
    }
}
