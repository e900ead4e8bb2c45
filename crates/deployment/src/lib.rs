//! Deployment: the trained model, its score and its ingested files become the live release, or stay what they are.
//!
//! A set is deployed only when its parts belong together: the pickle is the model's, the score is the model's, and the
//! model was trained on the dataset that ingestedfiles.txt describes. Rolling back is a switch to an earlier release.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::checksum::Checksum;
use common::cli;
use common::config::Config;
use common::files::{INGESTED_FILES, LATEST_SCORE, MODEL, PICKLE};
use common::ingested::Ingested;
use common::lock::Lock;
use common::model::Model;
use common::pickle::pickle;
use common::promotion::Contest;
use common::release::{Manifest, Production, Release};
use common::score::Score;
use fs_err as fs;
use history::Switch;
use jiff::Timestamp;
use serde::Serialize;

/// What became of production.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// What was done.
    pub action: Action,
    /// The live release, `None` where nothing is deployed yet.
    pub live: Option<String>,
    /// The live release alone after a deployment or a rollback, all of them in a list; oldest first.
    pub releases: Vec<ReleaseSummary>,
    /// What is wrong with the releases that a list cannot show.
    pub damaged: Vec<String>,
    /// What speaks against the score of a model that was deployed.
    pub weaknesses: Vec<String>,
}

/// What deployment was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A new release went live.
    Deployed,
    /// An earlier release went live again.
    RolledBack,
    /// Nothing changed.
    Listed,
}

/// A release in a few words.
#[derive(Debug, Serialize)]
pub struct ReleaseSummary {
    /// Its id.
    pub id: String,
    /// When it was deployed.
    pub created: Timestamp,
    /// Its recorded F1 score.
    pub f1: f64,
    /// Rows that its score rests on.
    pub n: u64,
    /// Rows that its model was trained on.
    pub training_rows: u64,
    /// Of its model.
    pub model_sha256: Checksum,
    /// The names of its ingested files.
    pub files: Vec<String>,
}

/// Deploys the set that stands in the model folder, and records it.
pub fn run(config: &Config) -> Result<Outcome> {
    switch(config, Action::Deployed, |production| deploy(config, production))
}

/// Makes `id` live again, else the release before the live one, and records it.
pub fn roll_back(config: &Config, id: Option<&str>) -> Result<Outcome> {
    switch(config, Action::RolledBack, |production| production.roll_back(id))
}

/// Says which releases there are.
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
    // What was read for the release must be what was checked above, whoever else writes there.
    if Checksum::of_bytes(model_bytes) != checksum {
        bail!("{} changed while it was read; run deployment again", config.output_model.display());
    }
    let manifest = Manifest {
        created: Timestamp::now(), // production may move it on
        program: env!("CARGO_PKG_VERSION").to_owned(),
        training_rows: model.training.rows,
        dataset_sha256: ingested.dataset_sha256,
        score,
        ingested: ingested.files,
        sha256: BTreeMap::new(),
    };
    production.publish(manifest, &files)
}

/// Has `to` switch production, and records what went live.
fn switch(config: &Config, action: Action, to: impl FnOnce(&Production) -> Result<Release>) -> Result<Outcome> {
    history::record(config, "deployment", |run| {
        let production = Production::of(config);
        run.hold(Lock::acquire(&production.lock_folder(), "deployment")?);
        run.repair =
            "production was switched, and the next fullprocess or deployment records it: do not run this again";
        run.note_unrecorded_release(&production)?;
        let release = to(&production)?;
        let how = if action == Action::RolledBack { Switch::RolledBack } else { Switch::Deployed };
        run.went_live(&release, how, production.live_since()?)?;
        let releases = vec![ReleaseSummary::of(&release)];
        let weaknesses = match action {
            Action::Deployed => Contest { challenger: release.manifest.score.confusion, champion: None }.warnings(),
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
