//! Deployment: publishes the trained model, its score and its ingested files as the live release, or leaves production
//! unchanged.
//!
//! A set is deployed only if its parts belong together: the pickle and the score belong to the model, and the model was
//! trained on the dataset that ingestedfiles.txt describes. A rollback switches to an earlier release.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::cli;
use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::files::lock::Lock;
use common::files::{INGESTED_FILES, LATEST_SCORE, MODEL, PICKLE};
use common::model::Model;
use common::model::pickle::pickle;
use common::model::score::Score;
use common::outcomes::{DeploymentAction, DeploymentOutcome, ReleaseSummary};
use common::production::promotion::Comparison;
use common::production::release::{Manifest, Production, Release};
use fs_err as fs;
use history::Switch;
use jiff::Timestamp;
use serde::Serialize;

/// Deploys the set in the model folder, and records the run in the history.
///
/// # Errors
/// Fails without changing production if a file is missing or the parts of the set do not belong together.
pub fn run(config: &Config) -> Result<DeploymentOutcome> {
    switch(config, DeploymentAction::Deployed, |production| deploy(config, production))
}

/// Makes release `id` live again, or without `id` the release before the live one, and records the run in the history.
pub fn roll_back(config: &Config, id: Option<&str>) -> Result<DeploymentOutcome> {
    switch(config, DeploymentAction::RolledBack, |production| production.roll_back(id))
}

/// Lists the releases, oldest first.
pub fn list(config: &Config) -> Result<DeploymentOutcome> {
    let production = Production::of(config);
    let (mut releases, mut damaged) = (Vec::new(), Vec::new());
    for id in production.ids()? {
        match production.release(&id) {
            Ok(release) => releases.push(summary(&release)),
            Err(error) => damaged.push(format!("release {id} is damaged: {error:#}")),
        }
    }
    Ok(DeploymentOutcome {
        action: DeploymentAction::Listed,
        live: production.current_id()?,
        releases,
        damaged,
        weaknesses: Vec::new(),
    })
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
        let releases = vec![summary(&release)];
        let weaknesses = match action {
            DeploymentAction::Deployed => {
                Comparison { challenger: release.manifest.score.confusion, champion: None }.warnings()
            }
            _ => Vec::new(),
        };
        Ok(DeploymentOutcome { action, live: Some(release.id), releases, damaged: Vec::new(), weaknesses })
    })
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
        [&self.0.damaged[..], &self.0.weaknesses[..]].concat()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let DeploymentOutcome { action, live, releases, .. } = &self.0;
        match action {
            DeploymentAction::Deployed => write!(f, "deployed")?,
            DeploymentAction::RolledBack => write!(f, "rolled back to")?,
            DeploymentAction::Listed if releases.is_empty() => write!(f, "nothing is deployed yet")?,
            DeploymentAction::Listed => write!(f, "{} releases, oldest first", releases.len())?,
        }
        for ReleaseSummary { id, f1, n, training_rows, files, .. } in releases {
            let files = files.join(", ");
            let live = if live.as_ref() == Some(id) { "  <- live" } else { "" };
            write!(f, "\n  {id}  F1 {f1:.4} on {n} rows, trained on {training_rows} rows of {files}{live}")?;
        }
        Ok(())
    }
}
