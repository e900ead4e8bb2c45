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
use common::production::promotion::Comparison;
use common::production::release::{Manifest, Production, Release};
use fs_err as fs;
use history::Switch;
use jiff::Timestamp;
use serde::Serialize;

/// The result of a deployment, a rollback or a list.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Action that was carried out.
    pub action: Action,
    /// Id of the live release; `None` if nothing is deployed yet.
    pub live: Option<String>,
    /// After a deployment or a rollback, the live release; in a list, all releases, oldest first.
    pub releases: Vec<ReleaseSummary>,
    /// Errors of the releases that cannot be listed because they are damaged.
    pub damaged: Vec<String>,
    /// Warnings about the score of the deployed model.
    pub weaknesses: Vec<String>,
}

/// The action of a run of deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A new release went live.
    Deployed,
    /// An earlier release went live again.
    RolledBack,
    /// The releases were listed and nothing was changed.
    Listed,
}

/// Summary of a release for lists.
#[derive(Debug, Serialize)]
pub struct ReleaseSummary {
    /// Id of the release.
    pub id: String,
    /// Time of the deployment.
    pub created: Timestamp,
    /// Recorded F1 score of the model.
    pub f1: f64,
    /// Number of rows on which the model was scored.
    pub n: u64,
    /// Number of rows on which the model was trained.
    pub training_rows: u64,
    /// SHA-256 of the model file.
    pub model_sha256: Checksum,
    /// Names of the ingested files.
    pub files: Vec<String>,
}

/// Deploys the set in the model folder, and records the run in the history.
///
/// # Errors
/// Fails without changing production if a file is missing or the parts of the set do not belong together.
pub fn run(config: &Config) -> Result<Outcome> {
    switch(config, Action::Deployed, |production| deploy(config, production))
}

/// Makes release `id` live again, or without `id` the release before the live one, and records the run in the history.
pub fn roll_back(config: &Config, id: Option<&str>) -> Result<Outcome> {
    switch(config, Action::RolledBack, |production| production.roll_back(id))
}

/// Lists the releases, oldest first.
pub fn list(config: &Config) -> Result<Outcome> {
    let production = Production::of(config);
    let (mut releases, mut damaged) = (Vec::new(), Vec::new());
    for id in production.ids()? {
        match production.release(&id) {
            Ok(release) => releases.push(ReleaseSummary::of(&release)),
            Err(error) => damaged.push(format!("release {id} is damaged: {error:#}")),
        }
    }
    Ok(Outcome { action: Action::Listed, live: production.current_id()?, releases, damaged, weaknesses: Vec::new() })
}

fn deploy(config: &Config, production: &Production) -> Result<Release> {
    let (model, checksum) = Model::load(&config.output_model.join(MODEL))?;
    let score = Score::read(&config.output_model, &checksum)?;
    let ingested = Ingested::read(&config.output_folder)?;
    let read = |folder: &Path, name, step: &str| -> Result<(&str, Vec<u8>)> {
        let path = folder.join(name);
        let content = fs::read(&path).with_context(|| format!("reading {}; run {step} again", path.display()))?;
        Ok((name, content))
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
            "{MODEL} in {} was trained on other data than {} holds; run training and scoring first",
            config.output_model.display(),
            config.output_folder.display()
        );
    }
    if *pickle_bytes != pickle(&model) {
        bail!("{PICKLE} and {MODEL} in {} are not the same model; run training again", config.output_model.display());
    }
    if *record_bytes != ingested.record() {
        bail!(
            "{INGESTED_FILES} in {} is not what ingestion wrote; run ingestion again",
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
fn switch(config: &Config, action: Action, to: impl FnOnce(&Production) -> Result<Release>) -> Result<Outcome> {
    history::record(config, "deployment", |run| {
        let production = Production::of(config);
        run.keep_lock(Lock::acquire(&production.lock_folder(), "deployment")?);
        run.repair =
            "production was switched, and the next fullprocess or deployment records it: do not run this again";
        run.note_unrecorded_release(&production)?;
        let release = to(&production)?;
        let how = if action == Action::RolledBack { Switch::RolledBack } else { Switch::Deployed };
        run.went_live(&release, how, production.live_since()?)?;
        let releases = vec![ReleaseSummary::of(&release)];
        let weaknesses = match action {
            Action::Deployed => Comparison { challenger: release.manifest.score.confusion, champion: None }.warnings(),
            _ => Vec::new(),
        };
        Ok(Outcome { action, live: Some(release.id), releases, damaged: Vec::new(), weaknesses })
    })
}

impl ReleaseSummary {
    fn of(release: &Release) -> Self {
        let Manifest { created, score, training_rows, ingested, .. } = &release.manifest;
        Self {
            id: release.id.clone(),
            created: *created,
            f1: score.f1,
            n: score.n,
            training_rows: *training_rows,
            model_sha256: score.model_sha256.clone(),
            files: ingested.iter().map(|file| file.name.clone()).collect(),
        }
    }
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        [&self.damaged[..], &self.weaknesses[..]].concat()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.action {
            Action::Deployed => write!(f, "deployed")?,
            Action::RolledBack => write!(f, "rolled back to")?,
            Action::Listed if self.releases.is_empty() => write!(f, "nothing is deployed yet")?,
            Action::Listed => write!(f, "{} releases, oldest first", self.releases.len())?,
        }
        for release in &self.releases {
            let live = if self.live.as_ref() == Some(&release.id) { "  <- live" } else { "" };
            let files = release.files.join(", ");
            write!(
                f,
                "\n  {}  F1 {:.4} on {} rows, trained on {} rows of {files}{live}",
                release.id, release.f1, release.n, release.training_rows
            )?;
        }
        Ok(())
    }
}
