//! The full process, which cron runs. It looks for new data and checks the deployed model for drift. If the model has
//! drifted, a new model is trained, deployed, reported and served; otherwise production is left unchanged.
//!
//! Its steps are the sibling binaries. They run one after the other as subprocesses ([`child`]) and return their
//! outcomes as JSON. If a step fails or is killed, production is unchanged, and the next run processes the same files
//! again.

pub mod child;
pub mod drift;
pub mod new_files;
mod outcome;
mod repair;

use std::ffi::OsString;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cli::narrate;
use common::config::service::Bind;
use common::config::{Config, DriftTest};
use common::files::API_RETURNS;
use common::files::atomic::Scratch;
use common::files::checksum::Checksum;
use common::files::ingested::{ListedFile, inputs, watermark};
use common::files::lock::Lock;
use common::model::metrics::Confusion;
use common::model::shift::PredictorShift;
use common::production::promotion::Comparison;
use common::production::release::{Production, Release};
use common::production::reports::ReportFacts;
use history::{DecisionRecord, DriftCheck, History, PromotionDecision, Run, Start, compared_models, source};
use serde::Deserialize;
use serde_json::Value;

use crate::child::{Server, Steps};
use crate::drift::Check;
use crate::outcome::outcome;
pub use crate::outcome::{Decision, Outcome};
use crate::repair::{Plan, lost_dataset};

/// Time limit for connecting to a running app.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Runs the full process; with `dry_run`, only determines what a run would do.
pub fn run(config: &Config, dry_run: bool) -> Result<Outcome> {
    if dry_run {
        return plan(config);
    }
    let _lock = Lock::acquire(&config.production, "fullprocess")?;
    history::record(config, "fullprocess", |run| process(config, run))
}

fn process(config: &Config, run: &mut Run) -> Result<Outcome> {
    let steps = Steps::of(config, Some(run.begin_process()))?;
    let outcome = decide_and_act(config, &steps, run)?;
    run.note_unrecorded_release(&Production::of(config))?;
    run.add(DecisionRecord { decision: outcome.outcome, reason: outcome.to_string(), live: outcome.live.clone() });
    Ok(outcome)
}

fn decide_and_act(config: &Config, steps: &Steps, run: &mut Run) -> Result<Outcome> {
    let mut repairs = Vec::new();
    let outcome = renew_where_needed(config, steps, run, &mut repairs)?;
    Ok(Outcome { repairs, ..outcome })
}

fn renew_where_needed(config: &Config, steps: &Steps, run: &mut Run, repairs: &mut Vec<String>) -> Result<Outcome> {
    let mut note = |repair: String| {
        narrate(format_args!("warning: {repair}"));
        repairs.push(repair);
    };
    let plan = repair::plan(config, Some(run.history()))?;
    if let Some(repair) = plan.repair() {
        note(repair);
    }
    if let Plan::GoBack { to, .. } = &plan {
        steps.run("deployment", &["--rollback".into(), to.id.clone().into()])?;
    }
    let first = match plan {
        Plan::Bootstrap => Decision::Bootstrapped,
        _ => Decision::Repaired,
    };
    let Some(release) = plan.into_live() else {
        steps.run("ingestion", &[])?;
        let new = new_files::listed(config, steps)?;
        let Renewal { comparison, live } = renew(config, steps, None, run)?;
        return Ok(Outcome { promotion_warnings: comparison.warnings(), ..outcome(first, &new, live, None, None) });
    };
    let lost = lost_dataset(config);
    if let Some(repair) = &lost {
        note(repair.clone());
    }
    let repaired = !repairs.is_empty();
    let new_rows = match &config.input_database {
        Some(input) => source::has_new(input, watermark(&inputs(config)?))?,
        None => false,
    };
    let mut new = new_files::since(&release, new_files::listed(config, steps)?, Some(run.history()))?;
    if new_rows || lost.is_some() || !new.is_empty() {
        steps.run("ingestion", &[])?;
    }
    if new_rows {
        new = new_files::since(&release, new_files::listed(config, steps)?, Some(run.history()))?; // now in a file
    }
    if new.is_empty() {
        let current = lost.is_none() && reports_are_of(config, &release.id);
        if !current {
            report(config, steps)?;
        }
        let decision = without_new_files(repaired, current);
        return Ok(outcome(decision, &new, Some(release.id.clone()), Some(&release), None));
    }
    let start = Start::now();
    let score = score_new(steps, &release, &new, false)?;
    let check = check_drift(config, &release, &score, Some(run.history()))?;
    let drift_check = DriftCheck {
        release: release.id.clone(),
        data: new.iter().map(|file| file.name.clone()).collect(),
        confusion: score.confusion,
        f1_low: check.interval.map(|interval| interval.low),
        f1_high: check.interval.map(|interval| interval.high),
        recorded_f1: release.manifest.score.f1,
        verdict: check.verdict,
        test: config.drift_test,
        drifted: check.drifted,
    };
    // Recorded immediately, because the report of this run shows it.
    run.record_now("drift check", start, (drift_check, score.shifts.clone()))?;
    let checked = || new.iter().map(|file| new_files::checked_by(file, &release)).collect::<Vec<_>>();
    if !check.drifted {
        steps.run("reporting", &[])?; // there are new clients to call
        run.add(checked());
        return Ok(outcome(Decision::NoDrift, &new, Some(release.id.clone()), Some(&release), Some((score, check))));
    }
    let Renewal { comparison, live } = renew(config, steps, Some(&release), run)?;
    let decision = match live {
        Some(_) => Decision::Redeployed,
        None => {
            run.add(checked()); // otherwise the next run would train the same model again
            Decision::Kept
        }
    };
    let live = live.or_else(|| Some(release.id.clone()));
    Ok(Outcome {
        promotion_warnings: comparison.warnings(),
        ..outcome(decision, &new, live, Some(&release), Some((score, check)))
    })
}

fn without_new_files(repaired: bool, reports_are_current: bool) -> Decision {
    match (repaired, reports_are_current) {
        (true, _) => Decision::Repaired,
        (false, true) => Decision::NothingToDo,
        (false, false) => Decision::Reported,
    }
}

/// Determines what [`process`] would do, without leaving a trace.
fn plan(config: &Config) -> Result<Outcome> {
    let scratch = Scratch::new()?;
    let steps = Steps::of(config, None)?;
    let mut files = new_files::listed(config, &steps)?;
    if let Some(input) = &config.input_database {
        let new = source::read_new(input, watermark(&inputs(config)?), scratch.path())?;
        files.extend(new_files::hashed(new.batch.map(|batch| batch.file).into_iter().collect())?);
    }
    let mut history = History::open_existing(config)?;
    let plan = repair::plan(config, history.as_mut())?;
    let mut repairs: Vec<_> = plan.repair().into_iter().collect();
    let planned = match plan {
        Plan::Bootstrap => outcome(Decision::Bootstrapped, &files, None, None, None),
        Plan::TrainAnew { .. } => outcome(Decision::Repaired, &files, None, None, None),
        // The release that would become live can only be scored once it is live.
        Plan::GoBack { to, .. } => outcome(Decision::Repaired, &[], Some(to.id), None, None),
        Plan::Keep(release) => {
            let lost = lost_dataset(config);
            let new = new_files::since(&release, files, history.as_mut())?;
            let live = Some(release.id.clone());
            let planned = if new.is_empty() {
                let current = reports_are_of(config, &release.id);
                outcome(without_new_files(lost.is_some(), current), &new, live, Some(&release), None)
            } else {
                let score = score_new(&steps, &release, &new, true)?;
                let check = check_drift(config, &release, &score, history.as_mut())?;
                let decision = if check.drifted { Decision::Redeployed } else { Decision::NoDrift };
                outcome(decision, &new, live, Some(&release), Some((score, check)))
            };
            repairs.extend(lost);
            planned
        }
    };
    if let Some(history) = history {
        history.end_with_process(); // a normal close would merge the log into the file
    }
    let planned = Outcome { repairs, ..planned };
    Ok(Outcome { dry_run: true, ..planned })
}

/// The fields of scoring's outcome that the decision needs.
#[derive(Clone, Debug, Deserialize)]
struct NewScore {
    f1: f64,
    n: u64,
    confusion: Confusion,
    #[serde(default)]
    shifts: Vec<PredictorShift>,
}

/// Maximum number of past scores that define the usual range.
const PAST_SCORES: u32 = 100;

/// Compares the live model's score on new rows with the recorded score, using the test that `config` names.
fn check_drift(config: &Config, release: &Release, new: &NewScore, history: Option<&mut History>) -> Result<Check> {
    let past = match (config.drift_test, history) {
        (DriftTest::History, Some(history)) => history.past_scores(PAST_SCORES)?,
        _ => Vec::new(),
    };
    Ok(drift::check(config.drift_test, &release.manifest.score, &new.confusion, &past))
}

/// Scores the live model on the rows of the new files only.
fn score_new(steps: &Steps, release: &Release, new: &[ListedFile], dry_run: bool) -> Result<NewScore> {
    let mut arguments = vec![OsString::from("--deployed")];
    if dry_run {
        arguments.push("--dry-run".into());
    }
    arguments.push("--data".into());
    arguments.extend(new.iter().map(|file| file.path.clone().into_os_string()));
    let score = steps.run("scoring", &arguments)?;
    if score.get("model").and_then(Value::as_str) != Some(&release.id) {
        bail!("production was switched from {} while it was checked; run again", release.id);
    }
    serde_json::from_value(score).context("reading the outcome of scoring")
}

/// The result of training a new model.
struct Renewal {
    comparison: Comparison,
    /// The id of the new release; `None` if the rule keeps the deployed model.
    live: Option<String>,
}

/// Trains a model on the compiled dataset and, if the rule prefers it to `champion`, deploys, reports and serves it.
fn renew(config: &Config, steps: &Steps, champion: Option<&Release>, run: &mut Run) -> Result<Renewal> {
    /// The fields of scoring's outcome that the decision needs.
    #[derive(Deserialize)]
    struct TestScore {
        model_sha256: Checksum,
        confusion: Confusion,
    }
    let score = |arguments: &[OsString]| -> Result<TestScore> {
        serde_json::from_value(steps.run("scoring", arguments)?).context("reading the outcome of scoring")
    };
    steps.run("training", &[])?;
    let start = Start::now();
    let challenger = score(&[])?;
    let champion_score = champion.map(|_| score(&["--deployed".into()])).transpose()?;
    let comparison =
        Comparison { challenger: challenger.confusion, champion: champion_score.map(|champion| champion.confusion) };
    if comparison.champion.is_some_and(|champion| !comparison.is_of_the_same_rows(&champion)) {
        bail!("the test data in {} changed while they were scored; run again", config.test_data.display());
    }
    let promoted = comparison.promotes(config.promotion);
    let promotion = PromotionDecision {
        challenger_sha256: challenger.model_sha256,
        champion: champion.map(|release| release.id.clone()),
        rule: config.promotion,
        promoted,
        warnings: comparison.warnings(),
    };
    run.record_now("promotion", start, (promotion, compared_models(&comparison)))?;
    if !promoted {
        steps.run("reporting", &[])?;
        return Ok(Renewal { comparison, live: None });
    }
    let deployed = steps.run("deployment", &[])?;
    let live = deployed.get("live").and_then(Value::as_str).context("deployment did not say what is live")?.to_owned();
    report(config, steps)?;
    Ok(Renewal { comparison, live: Some(live) })
}

/// Creates the reports of the live release and calls the API of the running app, or of one started for this purpose.
fn report(config: &Config, steps: &Steps) -> Result<()> {
    steps.run("reporting", &[])?;
    let address = config.bind.iter().find_map(Bind::address);
    if let Some(address) = address.filter(|address| TcpStream::connect_timeout(address, CONNECT_LIMIT).is_ok()) {
        match steps.run("apicalls", &[]) {
            Ok(_) => return Ok(()),
            Err(error) => {
                narrate(format_args!("warning: the running app at {address} could not be used: {error:#}"));
            }
        }
    }
    let server = Server::start(config)?;
    steps.run("apicalls", &["--url".into(), server.url().into()])?;
    Ok(())
}

/// Returns whether the reports and the API's answers belong to this release.
fn reports_are_of(config: &Config, release: &str) -> bool {
    #[derive(Deserialize)]
    struct Returns {
        release: String,
    }
    let text = std::fs::read(config.output_model.join(API_RETURNS)).unwrap_or_default();
    let returns: Option<Returns> = serde_json::from_slice(&text).ok();
    returns.is_some_and(|returns| returns.release == release) && ReportFacts::are_of(release, &config.output_model)
}
