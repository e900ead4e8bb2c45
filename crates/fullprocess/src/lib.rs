//! The full process, which cron runs: new data? → ingest → drift? → retrain → compare → deploy → report.
//!
//! `process` does this in order. What a run does is decided in one pure function, `decision::decide`, which the dry run
//! uses too. The steps are the sibling binaries, run one after the other as subprocesses (`steps`). If a step fails or
//! is killed, production is unchanged, and the next run processes the same files again.

mod child;
mod decision;
mod display;
mod new_files;
mod outcome;
mod receivers;
mod records;
pub mod replay;
mod state;
mod steps;

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, bail};
use common::cli::narrate;
use common::config::service::Bind;
use common::config::{Config, DriftTest};
use common::files::atomic::Scratch;
use common::files::lock::Lock;
use common::outcomes::ScoringOutcome;
use common::production::drift::Check;
use common::production::hold::Hold;
use common::production::last_run::LastRun;
use common::production::promotion::Comparison;
use common::production::release::Release;
use history::{History, Run, Start, UnjudgedFiles};
use jiff::Timestamp;

use crate::decision::{Action, Decision, LiveRelease, decide};
pub use crate::outcome::Outcome;
use crate::receivers::Receivers;
use crate::state::State;
use crate::steps::Steps;

/// Time limit for connecting to a running app.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Maximum number of past scores that define the usual range.
const PAST_SCORES: u32 = 100;

/// Runs the full process; with `dry_run`, only determines what a run would do.
pub fn run(config: &Config, dry_run: bool) -> Result<Outcome> {
    if dry_run {
        return preview(config);
    }
    let lock = Lock::acquire(&config.production, "fullprocess")?;
    let started = Timestamp::now();
    let (mut receivers, result) = match Receivers::start(config) {
        Ok(receivers) => (receivers, process_and_record(config)),
        Err(error) => (Receivers::default(), Err(error)),
    };
    let ended = note_end(config, started, &result, &mut receivers);
    drop(lock);
    receivers.finish(&ended);
    result
}

/// Makes a real run and records it in the history.
fn process_and_record(config: &Config) -> Result<Outcome> {
    history::record(config, "fullprocess", |run| {
        let outcome = process(config, run)?;
        records::decision(run, config, &outcome)?;
        Ok(outcome)
    })
}

/// Writes how the run has ended to the model folder, with the messages about what has changed since the run before.
/// A failure to do so is a warning, because the work itself is done.
fn note_end(config: &Config, started: Timestamp, result: &Result<Outcome>, receivers: &mut Receivers) -> LastRun {
    let warn = |error| narrate(format_args!("warning: {error:#}"));
    let previous = LastRun::read(config).unwrap_or_else(|error| {
        warn(error.context("what the run before has left is not known"));
        None
    });
    let line = match result {
        Ok(outcome) => outcome.to_string(),
        Err(error) => format!("{error:#}"),
    };
    let ended = LastRun::ended(started, result.is_ok(), line, previous.as_ref());
    receivers.store(previous.as_ref(), &ended, result.as_ref().ok());
    if let Err(error) = ended.write(config) {
        warn(error);
    }
    ended
}

/// Makes a real run, and records the drift check and the comparison in the history.
fn process(config: &Config, run: &mut Run) -> Result<Outcome> {
    let steps = Steps::of(config, Some(run.begin_process()))?;

    // Is the live release intact? Otherwise go back to an earlier one.
    let state = State::examine(config, Some(run.history()))?;
    state.repairs.iter().for_each(|repair| narrate(format_args!("warning: {repair}")));
    let release = state.release.as_ref();
    if let (LiveRelease::Restored, Some(release)) = (state.live, release) {
        steps.roll_back(&release.id)?;
    }

    // New data? Ingest them.
    let files = new_files::ingest(config, &steps, &state, run.history())?;

    // Drift?
    let start = Start::now();
    let checked = check_drift(config, &steps, &state, &files, Some(run.history()))?;
    if let (Some(release), Some(checked)) = (release, &checked) {
        records::drift_check(run, start, config, release, checked)?;
    }

    // Decide and act.
    let judgement = checked.as_ref().map(|(_, check)| check.judgement);
    let (decision, action) = decide(state.facts(config, judgement));
    let mut outcome = Outcome::new(decision, config, &state, &files, checked, false);
    outcome.deployed = state.live == LiveRelease::Restored;
    match action {
        Action::Nothing => {}
        Action::Report => steps.report()?,
        Action::ReportAndCallApi => report_and_call_api(config, &steps)?,
        Action::Train => {
            // A model with other columns cannot be compared on the same rows.
            let champion = release.filter(|_| state.columns_change.is_none());
            let (promoted, warnings) = train_and_compare(config, &steps, champion, run)?;
            outcome.promotion_warnings = warnings;
            let replaces = matches!(decision, Decision::Redeployed | Decision::ColumnsChanged);
            outcome.hold = Hold::read(config)?.filter(|_| replaces); // it may have been set during the training
            if !promoted {
                outcome.outcome = Decision::Kept;
                steps.report()?;
            } else if outcome.hold.is_some() {
                outcome.hold_back(&files);
                steps.report()?;
            } else {
                outcome.live = steps.deploy(replaces)?.live;
                outcome.deployed = true;
                report_and_call_api(config, &steps)?;
            }
        }
    }
    if let Some(release) = release {
        records::files(run, release, &files, outcome.outcome, judgement);
    }
    Ok(outcome)
}

/// The dry run: determines what [`process`] would do and changes nothing.
fn preview(config: &Config) -> Result<Outcome> {
    let scratch = Scratch::new()?;
    let steps = Steps::of(config, None)?;
    let files = new_files::after_ingestion(config, &steps, &scratch)?;
    let mut history = History::open_existing(config)?;
    let state = State::examine(config, history.as_mut())?;
    let files = new_files::since(&state, files, history.as_mut())?;
    let checked = match state.live {
        LiveRelease::Intact => check_drift(config, &steps, &state, &files, history.as_mut())?,
        _ => None, // the release is not live yet, so it cannot be scored
    };
    if let Some(history) = history {
        history.end_with_process(); // a normal close would merge the write-ahead log into the file
    }
    let (decision, _) = decide(state.facts(config, checked.as_ref().map(|(_, check)| check.judgement)));
    Ok(Outcome::new(decision, config, &state, &files, checked, true))
}

/// Scores the live release on the rows of the new files and of those that could not be judged without them, and tests
/// whether it has drifted. `None` if no file is new, or if the columns have changed.
fn check_drift(
    config: &Config,
    steps: &Steps,
    state: &State,
    files: &UnjudgedFiles,
    history: Option<&mut History>,
) -> Result<Option<(ScoringOutcome, Check)>> {
    let can_be_checked = !files.new.is_empty() && state.columns_change.is_none();
    let Some(release) = state.release.as_ref().filter(|_| can_be_checked) else { return Ok(None) };
    let judged: Vec<_> = files.judged_together().collect();
    let score = steps.score_deployed(&judged, !files.pending.is_empty())?;
    if score.model != release.id {
        bail!("the live release was switched from {} to {} during the check; run again", release.id, score.model);
    }
    let past = match (config.drift_test, history) {
        (DriftTest::History, Some(history)) => history.past_scores(PAST_SCORES)?,
        _ => Vec::new(),
    };
    let check = config.drift_rule().check(&release.manifest.score, &score.confusion, &past);
    Ok(Some((score, check)))
}

/// Trains a model on the compiled dataset and compares it with the `champion` on the test data. Returns whether it is
/// promoted, and the warnings about it.
fn train_and_compare(
    config: &Config,
    steps: &Steps,
    champion: Option<&Release>,
    run: &mut Run,
) -> Result<(bool, Vec<String>)> {
    steps.train()?;
    let start = Start::now();
    let ScoringOutcome { model_sha256, test_sha256, against, confusion, .. } =
        steps.score_trained(champion.is_some())?;
    let comparison = match (champion, against) {
        (Some(release), Some(against)) if against.release != release.id => {
            bail!(
                "the live release was switched from {} to {} during the comparison; run again",
                release.id,
                against.release
            )
        }
        (Some(_), Some(against)) => Comparison::paired(against.paired),
        (Some(release), None) => {
            bail!("scoring has not compared the new model with {}; build the whole workspace", release.id)
        }
        (None, _) => Comparison::alone(confusion),
    };
    records::promotion(run, start, config, champion, (model_sha256, test_sha256), comparison)
}

/// Creates the reports of the live release and calls the API of the running app, or of one started for this purpose.
fn report_and_call_api(config: &Config, steps: &Steps) -> Result<()> {
    steps.report()?;
    let address = config.bind.iter().find_map(Bind::address);
    if let Some(address) = address.filter(|address| TcpStream::connect_timeout(address, CONNECT_LIMIT).is_ok()) {
        match steps.call_api(None) {
            Ok(()) => return Ok(()),
            Err(error) => {
                narrate(format_args!("warning: the running app at {address} could not be used: {error:#}"));
            }
        }
    }
    let app = steps.start_app()?;
    steps.call_api(Some(app.url()))
}
