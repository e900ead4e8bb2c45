//! Reporting: what people read. Pictures, the call list and one PDF, of the *deployed* model, drawn on a server that has
//! no fonts and no screen.
//!
//! [`evidence`] gathers everything once; all else reads it: [`charts`] and [`confusion_matrix`] draw, [`call_list`] says
//! whom to call and why, `report` lays out the PDF over the pages of `pdf`. One model throughout: what a report shows is
//! of the live release, whose id stands in it.

pub mod call_list;
pub mod canvas;
pub mod charts;
pub mod confusion_matrix;
pub mod evidence;
mod pdf;
mod report;
pub mod words;

use std::fmt;
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, anyhow};
use common::atomic;
use common::cli;
use common::config::Config;
use common::files::{CALL_LIST, CONFUSION_MATRIX, MODEL_QUALITY, REPORT, TIME_TRENDS};
use common::lock::Lock;
use common::reports::ReportFacts;
use serde::Serialize;

use crate::charts::{MODEL_QUALITY_SIZE, Quality, TIME_TRENDS_SIZE, Trends};
use crate::evidence::Evidence;

/// What was drawn.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The live release.
    pub release: String,
    /// Its F1 score on the test data as they are now.
    pub f1: f64,
    /// Rows of it.
    pub n: u64,
    /// How many clients are to be called today.
    pub calls: usize,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// Reports on the deployed model: draws, lists, prints, and records the run.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "reporting", |run| {
        let evidence = Evidence::gather(config, run.history())?;
        let reports = reports(&evidence)?;
        let _lock = Lock::acquire(&config.output_model, "step")?;
        let mut files = Vec::new();
        for (name, content) in &reports {
            let path = config.output_model.join(name);
            atomic::write(&path, content)?;
            files.push(path);
        }
        let contents = reports.iter().map(|(name, content)| (*name, content.as_slice()));
        ReportFacts::new(&evidence.score.model, contents).write(&config.output_model)?;
        let Evidence { score, calls, .. } = evidence;
        run.facts.scores.push(score.scored_data(true));
        Ok(Outcome { release: score.model, f1: score.f1, n: score.n, calls: calls.called, files })
    })
}

/// Every report's name and content; the same evidence gives the same bytes.
pub fn reports(evidence: &Evidence) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let score = &evidence.score;
    let pictures = || -> Result<_> {
        let quality = Quality::new(&evidence.pairs, score.threshold.value());
        let trends = Trends::of(&evidence.past);
        Ok([
            (CONFUSION_MATRIX, canvas::png(confusion_matrix::SIZE, |area| confusion_matrix::draw(area, score))?),
            (TIME_TRENDS, canvas::png(TIME_TRENDS_SIZE, |area| charts::time_trends(area, &trends))?),
            (MODEL_QUALITY, canvas::png(MODEL_QUALITY_SIZE, |area| charts::model_quality(area, &quality))?),
        ])
    };
    thread::scope(|scope| {
        let pictures = scope.spawn(pictures);
        let papers = [(CALL_LIST, call_list::csv::csv(&evidence.calls)?), (REPORT, report::pdf(evidence)?)];
        let pictures = pictures.join().map_err(|_| anyhow!("drawing the pictures has failed"))??;
        Ok(pictures.into_iter().chain(papers).collect())
    })
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { release, f1, n, calls, .. } = self;
        write!(f, "release {release}: F1 {f1} on {n} test rows; {calls} clients to call today")?;
        self.files.iter().try_for_each(|file| write!(f, "\n  {}", file.display()))
    }
}
