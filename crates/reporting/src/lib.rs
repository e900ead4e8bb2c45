//! Reporting: charts, the call list and one PDF for people, all of the *deployed* model. Drawing works on a server
//! without fonts and without a screen.
//!
//! [`evidence`] gathers all data once, and the other modules read it: [`charts`] and [`confusion_matrix`] draw,
//! [`call_list`] says whom to call and why, and `report` lays out the PDF with `pdf`. All reports refer to a single
//! model: that of the live release, whose id each report names.

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
use common::cli;
use common::config::Config;
use common::files::atomic;
use common::files::lock::Lock;
use common::files::{CALL_LIST, CONFUSION_MATRIX, MODEL_QUALITY, REPORT, TIME_TRENDS};
use common::production::reports::ReportFacts;
use serde::Serialize;

use crate::charts::{MODEL_QUALITY_SIZE, Quality, TIME_TRENDS_SIZE, Trends};
use crate::evidence::Evidence;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Id of the live release.
    pub release: String,
    /// F1 score on the current test data.
    pub f1: f64,
    /// Number of labelled test rows.
    pub n: u64,
    /// Number of clients to call today.
    pub calls: usize,
    /// Paths of the written files.
    pub files: Vec<PathBuf>,
}

/// Writes all reports on the deployed model and records the run.
///
/// # Errors
/// Returns an error if there is no evidence to report or a file cannot be written.
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
        run.add(score.scored_data(true));
        Ok(Outcome { release: score.model, f1: score.f1, n: score.n, calls: calls.called, files })
    })
}

/// Returns the name and content of every report; the same evidence gives the same bytes.
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
