//! Deployment: publishes the trained model, its score and its ingested files as the live release, or leaves production
//! unchanged.
//!
//! A set is deployed only if its parts belong together: the pickle and the score belong to the model, and the model was
//! trained on the dataset that ingestedfiles.txt describes. The release also contains the model as an MLflow model, which
//! other programs open. A rollback switches to an earlier release. A hold prevents `fullprocess` from replacing the live
//! release. Old releases are removed only on request.

mod prune;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use common::cli;
use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, IngestedFile, ListedFile, inputs};
use common::files::lock::Lock;
use common::files::{DataFile, INGESTED_FILES, LATEST_SCORE, MLFLOW_MODEL, MODEL, PICKLE};
use common::model::Model;
use common::model::mlflow;
use common::model::pickle::pickle;
use common::model::score::Score;
use common::outcomes::{DeploymentAction, DeploymentOutcome, ReleaseSummary};
use common::production::hold::Hold;
use common::production::promotion::Comparison;
use common::production::release::{Manifest, Production, Release};
use fs_err as fs;
use history::{History, Switch, UnjudgedFiles};
use jiff::Timestamp;
use serde::Serialize;

pub use crate::prune::prune;

/// Deploys the set in the model folder, and records the run in the history.
///
/// # Errors
/// Fails without changing production if a file is missing or the parts of the set do not belong together, and with
/// `unless_held` if the live release is held.
pub fn run(config: &Config, unless_held: bool) -> Result<DeploymentOutcome> {
    switch(config, DeploymentAction::Deployed, |production| {
        match Hold::read(config) {
            Ok(Some(hold)) if unless_held => bail!("{}", not_replaced(&hold)),
            Err(error) if unless_held => return Err(error),
            _ => {}
        }
        deploy(config, production)
    })
}

/// Makes release `id` live again, or without `id` the release before the live one, and records the run in the history.
pub fn roll_back(config: &Config, id: Option<&str>) -> Result<DeploymentOutcome> {
    switch(config, DeploymentAction::RolledBack, |production| production.roll_back(id))
}

/// Lists the releases, oldest first.
pub fn list(config: &Config) -> Result<DeploymentOutcome> {
    let production = Production::of(config);
    let mut outcome = outcome(config, DeploymentAction::Listed, production.current_id()?);
    for id in production.ids()? {
        match production.release(&id) {
            Ok(release) => outcome.releases.push(summary(&release)),
            Err(error) => outcome.damaged.push(format!("release {id} is damaged: {error:#}")),
        }
    }
    Ok(outcome)
}

/// Holds the live release: until the hold is released, `fullprocess` does not replace it. Needs no history.
pub fn hold(config: &Config, reason: Option<&str>) -> Result<DeploymentOutcome> {
    Hold::set(config, reason)?;
    Ok(outcome(config, DeploymentAction::Held, Production::of(config).current_id()?))
}

/// Ends the hold, if there is one.
pub fn release_hold(config: &Config) -> Result<DeploymentOutcome> {
    let mut outcome = outcome(config, DeploymentAction::HoldReleased, Production::of(config).current_id()?);
    if !Hold::release(config)? {
        outcome.weaknesses.push("there was no hold".to_owned());
    }
    (outcome.hold, outcome.damaged) = (None, Vec::new());
    Ok(outcome)
}

/// Returns an outcome with the hold, without releases. A hold that cannot be read is one of its damages.
fn outcome(config: &Config, action: DeploymentAction, live: Option<String>) -> DeploymentOutcome {
    let (hold, damaged) = match Hold::read(config) {
        Ok(hold) => (hold, Vec::new()),
        Err(error) => (None, vec![format!("{error:#}")]),
    };
    DeploymentOutcome {
        action,
        live,
        releases: Vec::new(),
        damaged,
        weaknesses: Vec::new(),
        hold,
        new_files: Vec::new(),
        pruned: None,
    }
}

fn deploy(config: &Config, production: &Production) -> Result<Release> {
    let path = config.output_model.join(MODEL);
    let (model, checksum) = Model::load(&path)?;
    let is_current = model.check_columns(&config.columns, "the config");
    is_current.with_context(|| format!("{} is not deployed; run ingestion and training again", path.display()))?;
    let score = Score::read(&config.output_model, &checksum)?;
    let ingested = Ingested::read(&config.output_folder)?;
    let read = |folder: &Path, name, step| {
        let content =
            fs::read(folder.join(name)).with_context(|| format!("{name} cannot be read; run {step} again"))?;
        anyhow::Ok((name, content))
    };
    let files = [
        read(&config.output_model, MODEL, "training")?,
        read(&config.output_model, PICKLE, "training")?,
        (LATEST_SCORE, score.number()),
        read(&config.output_folder, INGESTED_FILES, "ingestion")?,
    ];
    let [(_, model_bytes), (_, pickle_bytes), _, (_, record_bytes)] = &files;
    if model.training.dataset_sha256 != ingested.dataset_sha256 {
        bail!(
            "{MODEL} in {} was not trained on the dataset in {}; run training and scoring first",
            config.output_model.display(),
            config.output_folder.display()
        );
    }
    if *pickle_bytes != pickle(&model) {
        bail!("{PICKLE} and {MODEL} in {} contain different models; run training again", config.output_model.display());
    }
    if *record_bytes != ingested.record() {
        bail!(
            "{INGESTED_FILES} in {} does not list the ingested files; run ingestion again",
            config.output_folder.display()
        );
    }
    // The bytes read for the release must be those of the model that was checked above, even if another process writes
    // to the folder.
    if Checksum::of_bytes(model_bytes) != checksum {
        bail!("{} changed while it was read; run deployment again", config.output_model.display());
    }
    let manifest = Manifest {
        created: Timestamp::now(), // `publish` may set a later time
        program: env!("CARGO_PKG_VERSION").to_owned(),
        training_rows: model.training.rows,
        dataset_sha256: ingested.dataset_sha256,
        score,
        ingested: ingested.files,
        sha256: BTreeMap::new(),
    };
    let package = mlflow::package(&model, &checksum, manifest.score.threshold);
    let package = package.into_iter().map(|(name, content)| (format!("{MLFLOW_MODEL}/{name}"), content));
    let files: Vec<_> = files.into_iter().map(|(name, content)| (name.to_owned(), content)).chain(package).collect();
    production.publish(manifest, &files)
}

/// Switches production by calling `to`, and records which release went live.
fn switch(
    config: &Config,
    action: DeploymentAction,
    to: impl FnOnce(&Production) -> Result<Release>,
) -> Result<DeploymentOutcome> {
    history::record(config, "deployment", |run| {
        let production = Production::of(config);
        run.keep_lock(Lock::acquire(&production.lock_folder(), "deployment")?);
        run.repair =
            "production was switched, and the next fullprocess or deployment records it: do not run this again";
        run.note_unrecorded_release(&production)?;
        let release = to(&production)?;
        let how = if action == DeploymentAction::RolledBack { Switch::RolledBack } else { Switch::Deployed };
        run.went_live(&release, how, production.live_since()?)?;
        let mut outcome = outcome(config, action, Some(release.id.clone()));
        outcome.releases.push(summary(&release));
        match action {
            DeploymentAction::RolledBack => match new_files(config, &release, run.history()) {
                Ok(files) => outcome.new_files = files,
                Err(error) => outcome.weaknesses.push(format!("it is unknown which files are new to it: {error:#}")),
            },
            _ => {
                outcome.weaknesses = Comparison::alone(release.manifest.score.confusion).warnings();
            }
        }
        Ok(outcome)
    })
}

/// Returns the names of the files on which the next `fullprocess` will score `release`. Files on a cluster are those of
/// the compiled dataset.
fn new_files(config: &Config, release: &Release, history: &mut History) -> Result<Vec<String>> {
    let files: Vec<ListedFile> = match config.engine {
        None => inputs(config)?.into_iter().map(ListedFile::read).collect::<Result<_>>()?,
        Some(_) => {
            let listed = |IngestedFile { name, sha256, .. }| {
                ListedFile::new(DataFile { name, path: PathBuf::new(), batch: None }, sha256)
            };
            Ingested::read(&config.output_folder)?.files.into_iter().map(listed).collect()
        }
    };
    let UnjudgedFiles { new, held, .. } = UnjudgedFiles::of(Some(release), files, Some(history))?;
    Ok(new.into_iter().chain(held).map(|file| file.name).collect())
}

fn summary(release: &Release) -> ReleaseSummary {
    let Manifest { created, score, training_rows, ingested, .. } = &release.manifest;
    ReleaseSummary {
        id: release.id.clone(),
        created: *created,
        f1: score.f1,
        n: score.n,
        training_rows: *training_rows,
        model_sha256: score.model_sha256.clone(),
        files: ingested.iter().map(|file| file.name.clone()).collect(),
    }
}

/// Shows the outcome of this step to people.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Shown(pub DeploymentOutcome);

impl cli::Outcome for Shown {
    fn warnings(&self) -> Vec<String> {
        let DeploymentOutcome { damaged, weaknesses, hold, new_files, .. } = &self.0;
        let mut warnings = [&damaged[..], &weaknesses[..]].concat();
        if !new_files.is_empty() && hold.is_none() {
            warnings.push(
                "the next fullprocess will score this release on these files and replace it if it has drifted; deployment \
                 --hold prevents that"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// Says that a held release is not replaced, and how to end that.
fn not_replaced(hold: &Hold) -> String {
    format!("the live release is {hold} and was not replaced; deployment --release-hold ends this")
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let DeploymentOutcome { action, live, releases, hold, new_files, pruned, .. } = &self.0;
        match action {
            DeploymentAction::Held => write!(f, "{} is now held", live.as_deref().unwrap_or("production"))?,
            DeploymentAction::HoldReleased => {
                write!(f, "{} is not held any more", live.as_deref().unwrap_or("production"))?;
            }
            DeploymentAction::Deployed => write!(f, "deployed")?,
            DeploymentAction::RolledBack => write!(f, "rolled back to")?,
            DeploymentAction::Listed if releases.is_empty() => write!(f, "nothing is deployed yet")?,
            DeploymentAction::Listed => write!(f, "{} releases, oldest first", releases.len())?,
            DeploymentAction::Pruned => pruned.as_ref().map_or(Ok(()), |pruned| prune::show(pruned, f))?,
        }
        for ReleaseSummary { id, f1, n, training_rows, files, .. } in releases {
            let files = files.join(", ");
            let live = if live.as_ref() == Some(id) { "  <- live" } else { "" };
            write!(f, "\n  {id}  F1 {f1:.4} on {n} rows, trained on {training_rows} rows of {files}{live}")?;
        }
        if !new_files.is_empty() {
            write!(f, "\nnew to this release: {}", new_files.join(", "))?;
        }
        match hold {
            Some(hold) => write!(f, "\n{hold}: fullprocess does not replace it until deployment --release-hold"),
            None => Ok(()),
        }
    }
}
