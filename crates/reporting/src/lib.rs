//! Reporting: the call list, figures and one PDF for people, all of the *deployed* model.
//!
//! `insight` gathers the data, draws the figures and words the sections; this crate writes them as files. The same
//! evidence gives the same bytes, on a server without fonts and screen too.

mod pdf;
mod report;

use std::fmt;
use std::path::PathBuf;
use std::thread;

use anyhow::{Result, anyhow};
use common::cli;
use common::config::Config;
use common::files::atomic;
use common::files::lock::Lock;
use common::files::{CALL_LIST, CONFUSION_MATRIX, MODEL_QUALITY, REPORT, TIME_TRENDS};
use common::production::reports::ReportRecord;
use insight::call_list::csv::csv;
use insight::{Evidence, Figures};
use serde::Serialize;

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
        ReportRecord::new(&evidence.score.model, contents).write(&config.output_model)?;
        let Evidence { score, calls, .. } = evidence;
        run.add(scoring::scored_data(&score, true));
        Ok(Outcome { release: score.model, f1: score.f1, n: score.n, calls: calls.called, files })
    })
}

/// Returns the name and content of every report; the same evidence gives the same bytes.
fn reports(evidence: &Evidence) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let figures = Figures::draw(evidence)?;
    let pictures = || -> Result<_> {
        Ok([
            (CONFUSION_MATRIX, charts::png(&figures.confusion_matrix)?),
            (TIME_TRENDS, charts::png(&figures.time_trends)?),
            (MODEL_QUALITY, charts::png(&figures.model_quality)?),
        ])
    };
    thread::scope(|scope| {
        let pictures = scope.spawn(pictures);
        let (calls, sections) = (insight::calls(&evidence.calls), insight::sections(evidence, &figures));
        let papers =
            [(CALL_LIST, csv(&evidence.calls)?), (REPORT, report::pdf(&evidence.release.id, &calls, &sections)?)];
        let pictures = pictures.join().map_err(|_| anyhow!("the thread that draws the pictures panicked"))??;
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
