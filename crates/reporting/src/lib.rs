//! Reporting: the call list, figures and one PDF for people, all of the *deployed* model.
//!
//! `insight` gathers the data, draws the figures and words the sections; this crate writes them as files. The same
//! evidence gives the same bytes, on a server without fonts and screen too.

mod pdf;
mod report;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use common::cli;
use common::config::Config;
use common::files::atomic::AtomicFile;
use common::files::checksum::{Checksum, Hashed};
use common::files::lock::Lock;
use common::files::{CALL_LIST, CONFUSION_MATRIX, MODEL_QUALITY, REPORT, TIME_TRENDS};
use common::production::reports::ReportRecord;
use diagnostics::dependencies;
use insight::call_list::csv::write_csv;
use insight::{Agenda, CallRules, Evidence, Figures, Pictures, Ranking};
use jiff::Timestamp;
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

/// Writes all reports on the deployed model and records the run. With `ask_cargo`, also the newest versions of the
/// program's dependencies, if cargo was not asked for them within the last day.
///
/// # Errors
/// Returns an error if there is no evidence to report or a file cannot be written.
pub fn run(config: &Config, ask_cargo: bool) -> Result<Outcome> {
    history::record(config, "reporting", |run| {
        let now = Timestamp::now();
        let question = if ask_cargo { dependencies::ask_once_a_day(run.history(), now)? } else { None };
        let mut evidence = Evidence::gather(config, run.history())?;
        if let Some(question) = question {
            evidence.dependencies = question.answer(run.history())?;
            run.add(dependencies::records(&evidence.dependencies));
        }
        let reports = reports(&evidence, config, now)?;
        let _lock = Lock::acquire(&config.output_model, "step")?;
        let (mut files, mut checksums) = (Vec::new(), Vec::new());
        for Report { name, file, checksum } in reports {
            file.commit()?;
            files.push(config.output_model.join(name));
            checksums.push((name, checksum));
        }
        ReportRecord::new(&evidence.score.model, checksums).write(&config.output_model)?;
        let Evidence { score, calls, .. } = evidence;
        run.add(scoring::scored_data(&score, true));
        Ok(Outcome { release: score.model, f1: score.f1, n: score.n, calls: calls.called, files })
    })
}

/// A report that is complete but does not have its name yet.
struct Report {
    name: &'static str,
    file: AtomicFile,
    checksum: Checksum,
}

impl Report {
    fn new(
        folder: &Path,
        name: &'static str,
        write: impl FnOnce(&mut Hashed<AtomicFile>) -> Result<()>,
    ) -> Result<Self> {
        let path = folder.join(name);
        let mut file = Hashed::new(AtomicFile::create(&path)?);
        write(&mut file).with_context(|| format!("writing {}", path.display()))?;
        let (file, checksum) = file.finish();
        Ok(Self { name, file, checksum })
    }

    fn of_bytes(folder: &Path, name: &'static str, content: &[u8]) -> Result<Self> {
        Self::new(folder, name, |file| Ok(file.write_all(content)?))
    }
}

/// Makes every report; the same evidence on the same day gives the same bytes.
fn reports(evidence: &Evidence, config: &Config, now: Timestamp) -> Result<Vec<Report>> {
    let folder = &config.output_model;
    let picture = |name, svg: &str| Report::of_bytes(folder, name, &charts::png(svg)?);
    let pictures = || -> Result<_> {
        let pictures = Pictures::draw(evidence)?;
        Ok([
            picture(CONFUSION_MATRIX, &pictures.confusion_matrix)?,
            picture(TIME_TRENDS, &pictures.time_trends)?,
            picture(MODEL_QUALITY, &pictures.model_quality)?,
        ])
    };
    thread::scope(|scope| {
        let pictures = scope.spawn(pictures);
        let agenda =
            Agenda::of(evidence.calls.clone(), None, Arc::default(), CallRules::of(config), Ranking::Risk, now);
        let threads = config.threads as usize;
        let papers = [
            Report::new(folder, CALL_LIST, |file| write_csv(&evidence.calls, threads, file))?,
            Report::of_bytes(folder, REPORT, &paper(evidence, &agenda, now)?)?,
        ];
        let pictures = pictures.join().map_err(|_| anyhow!("the thread that draws the pictures panicked"))??;
        Ok(pictures.into_iter().chain(papers).collect())
    })
}

/// Makes the content of report.pdf for a time, of which only the day matters.
fn paper(evidence: &Evidence, agenda: &Agenda, now: Timestamp) -> Result<Vec<u8>> {
    let today = insight::day(now);
    let headline: Vec<String> = Vec::new();
    report::Report {
        release: &evidence.release.id,
        day: &today.strftime("%A, %-d %B %Y").to_string(),
        front: &insight::front(evidence, agenda, &headline, None, today),
        sections: &insight::sections(evidence, &Figures::draw(evidence)?),
        other_calls: insight::other_calls(agenda).as_ref(),
    }
    .pdf()
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { release, f1, n, calls, .. } = self;
        write!(f, "release {release}: F1 {f1} on {n} test rows; {calls} clients to call today")?;
        self.files.iter().try_for_each(|file| write!(f, "\n  {}", file.display()))
    }
}
