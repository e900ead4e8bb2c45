//! Reporting: the call list, figures and one PDF for people, all of the *deployed* model.
//!
//! `insight` gathers the data, draws the figures and words the sections; this crate writes them as files. On the same day,
//! the same inputs give the same bytes, on a server without fonts and screen too.

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
use history::{History, PublishedListRow};
use insight::call_list::csv::write_csv;
use insight::{Accounts, Agenda, CallRules, Changes, Evidence, Figures, Pictures};
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

/// Writes all reports on the deployed model, and records the run and the call list. With `ask_cargo`, also the newest
/// versions of the program's dependencies, if cargo was not asked for them within the last day.
///
/// # Errors
/// Returns an error if there is no evidence to report or a file cannot be written.
pub fn run(config: &Config, ask_cargo: bool) -> Result<Outcome> {
    run_at(config, ask_cargo, Timestamp::now())
}

/// The same with the calls of the day of `now`.
///
/// # Errors
/// Those of [`run`].
pub fn run_at(config: &Config, ask_cargo: bool, now: Timestamp) -> Result<Outcome> {
    history::record(config, "reporting", |run| {
        let question = if ask_cargo { dependencies::ask_once_a_day(run.history(), now)? } else { None };
        let mut evidence = Evidence::gather(config, run.history())?;
        if let Some(question) = question {
            evidence.dependencies = question.answer(run.history())?;
            run.add(dependencies::records(&evidence.dependencies));
        }
        let agenda = agenda(&evidence, config, now);
        let (list, clients) = insight::list_to_record(&agenda, &evidence.ingested.dataset_sha256);
        evidence.published.leave_out(&list);
        let changes = changes(&evidence, &agenda, run.history())?;
        let paper = Paper { evidence: &evidence, agenda: &agenda, changes, now };
        let reports = paper.reports(config)?;
        let _lock = Lock::acquire(&config.output_model, "step")?;
        let (mut files, mut checksums) = (Vec::new(), Vec::new());
        for Report { name, file, checksum } in reports {
            file.commit()?;
            files.push(config.output_model.join(name));
            checksums.push((name, checksum));
        }
        ReportRecord::new(&evidence.score.model, now, checksums).write(&config.output_model)?;
        let newest = run.history().newest::<PublishedListRow>(1)?;
        if newest.first().is_none_or(|newest| newest.sha256 != list.sha256) {
            run.add((list, clients));
        }
        let score = evidence.score;
        run.add(scoring::scored_data(&score, true));
        Ok(Outcome { release: score.model, f1: score.f1, n: score.n, calls: agenda.today().count(), files })
    })
}

/// The agenda that is published. Accounts that cannot be read do not take the list away: it says that they are missing.
fn agenda(evidence: &Evidence, config: &Config, now: Timestamp) -> Agenda {
    let read = config.accounts.as_ref().map(|path| Accounts::read(path, evidence.model.schema.id()));
    let (accounts, warning) = match read.transpose() {
        Ok(accounts) => (accounts.map(Arc::new), None),
        Err(error) => (None, Some(Accounts::missing(&error))),
    };
    if let Some(warning) = &warning {
        cli::narrate(format_args!("warning: {warning}"));
    }
    evidence.agenda(accounts, CallRules::of(config), now).with_warnings(warning.into_iter().collect())
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

/// Compares today's calls with the list that was published before them; `None` if there is none.
fn changes(evidence: &Evidence, agenda: &Agenda, history: &mut History) -> Result<Option<Changes>> {
    let Some(before) = evidence.published.lists.first() else { return Ok(None) };
    let clients = history.clients_of_list(before.list.run)?;
    Ok(Some(Changes::between(&before.list, &clients, agenda, &evidence.ingested.dataset_sha256)))
}

/// All that is reported: the same contents on the same day give the same bytes.
struct Paper<'a> {
    evidence: &'a Evidence,
    agenda: &'a Agenda,
    changes: Option<Changes>,
    now: Timestamp,
}

impl Paper<'_> {
    /// Makes the files of all reports, which do not have their names yet.
    fn reports(&self, config: &Config) -> Result<Vec<Report>> {
        let folder = &config.output_model;
        let picture = |name, svg: &str| Report::of_bytes(folder, name, &charts::png(svg)?);
        let pictures = || -> Result<_> {
            let pictures = Pictures::draw(self.evidence)?;
            Ok([
                picture(CONFUSION_MATRIX, &pictures.confusion_matrix)?,
                picture(TIME_TRENDS, &pictures.time_trends)?,
                picture(MODEL_QUALITY, &pictures.model_quality)?,
            ])
        };
        thread::scope(|scope| {
            let pictures = scope.spawn(pictures);
            let (agenda, threads) = (self.agenda, config.threads as usize);
            let papers = [
                Report::new(folder, CALL_LIST, |file| write_csv(agenda, &agenda.entries, threads, file))?,
                Report::of_bytes(folder, REPORT, &self.pdf()?)?,
            ];
            let pictures = pictures.join().map_err(|_| anyhow!("the thread that draws the pictures panicked"))??;
            Ok(pictures.into_iter().chain(papers).collect())
        })
    }

    fn pdf(&self) -> Result<Vec<u8>> {
        let today = insight::day(self.now);
        report::Contents {
            release: &self.evidence.release.id,
            day: &today.strftime("%A, %-d %B %Y").to_string(),
            front: &insight::front(self.evidence, self.agenda, self.changes.as_ref(), today),
            sections: &insight::sections(self.evidence, &Figures::draw(self.evidence)?),
            other_calls: insight::other_calls(self.agenda).as_ref(),
        }
        .pdf()
    }
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { release, f1, n, calls, .. } = self;
        write!(f, "release {release}: F1 {f1} on {n} test rows; {calls} clients to call today")?;
        self.files.iter().try_for_each(|file| write!(f, "\n  {}", file.display()))
    }
}
