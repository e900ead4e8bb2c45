//! Production: the releases, and the link to the live one. Only this module knows the layout of production.
//!
//! ```text
//! production_deployment/releases/<id>/         the three contract files, the model that every step loads, manifest.json
//! production_deployment/releases/<id>/model/   the model as an MLflow model, with the model as ONNX
//! production_deployment/current                -> releases/<id>
//! production_deployment/trainedmodel.pkl       -> current/trainedmodel.pkl, and so on
//! production_deployment/model                  -> current/model
//! ```
//!
//! Releases of earlier versions of this program have no folder `model`, and the link is not there while one of them is
//! live.
//!
//! An id begins with the time of the deployment, so ids sort by age.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, bail};
use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Config, Threshold};
use crate::files::checksum::Checksum;
use crate::files::ingested::{IngestedFile, ListedFile};
use crate::files::versioned::VersionedFolder;
use crate::files::{INGESTED_FILES, LATEST_SCORE, MLFLOW_MODEL, MODEL, PICKLE};
use crate::model::Model;
use crate::model::score::Score;

const MANIFEST: &str = "manifest.json";

/// Format of the beginning of an id: the time of the deployment in UTC, to the millisecond.
const ID_TIME: &str = "%Y%m%dT%H%M%S%3fZ";

/// The files that every release has, in addition to its manifest.
pub const RELEASE_FILES: [&str; 4] = [MODEL, PICKLE, LATEST_SCORE, INGESTED_FILES];

/// The content and the origin of a release.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Time of the deployment, in UTC.
    pub created: Timestamp,
    /// Version of the program that deployed the release.
    pub program: String,
    /// Number of rows on which the model was trained.
    pub training_rows: u64,
    /// SHA-256 of the finaldata.csv on which the model was trained.
    pub dataset_sha256: Checksum,
    /// The recorded score, with which later scores are compared.
    pub score: Score,
    /// The ingested files, in the order of ingestion.
    pub ingested: Vec<IngestedFile>,
    /// SHA-256 of every file of the release except this manifest, by its path in the release.
    pub sha256: BTreeMap<String, Checksum>,
}

/// A release on the disk.
#[derive(Clone, Debug)]
pub struct Release {
    /// Id of the release, unique in this production folder.
    pub id: String,
    /// Folder of the release.
    pub folder: PathBuf,
    /// Manifest of the release.
    pub manifest: Manifest,
}

impl Release {
    /// Checks all files against the manifest.
    ///
    /// # Errors
    /// Fails if a file cannot be read or does not have the recorded checksum.
    pub fn verify(&self) -> Result<()> {
        let recorded = self.manifest.sha256.keys().map(String::as_str);
        for name in recorded.chain(RELEASE_FILES) {
            let path = self.folder.join(name);
            let expected = self.manifest.sha256.get(name);
            if expected != Some(&Checksum::of_file(&path)?) {
                bail!(
                    "{} has changed since its deployment; roll back to another release with deployment --rollback",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// Returns the names that link to the files of the release while it is live.
    fn public_names(&self) -> Vec<&'static str> {
        let folder = format!("{MLFLOW_MODEL}/");
        let has_folder = self.manifest.sha256.keys().any(|path| path.starts_with(&folder));
        RELEASE_FILES.into_iter().chain(has_folder.then_some(MLFLOW_MODEL)).collect()
    }

    /// Whether the model was trained on a file of this name and content.
    pub fn contains(&self, file: &ListedFile) -> bool {
        self.manifest.ingested.iter().any(|known| known.name == file.name && known.sha256 == file.sha256)
    }

    /// The probability from which clients are predicted to leave: the threshold with which the recorded score was
    /// computed.
    pub fn threshold(&self) -> Result<Threshold> {
        let recorded = self.manifest.score.threshold;
        Threshold::new(recorded).with_context(|| format!("release {} has the threshold {recorded}", self.id))
    }

    /// Loads the model of the release.
    ///
    /// # Errors
    /// Fails if the file cannot be read or does not have the recorded checksum.
    pub fn model(&self) -> Result<Model> {
        let (model, checksum) = Model::load(&self.folder.join(MODEL))?;
        if self.manifest.sha256.get(MODEL) != Some(&checksum) {
            bail!("{} has changed since its deployment", self.folder.join(MODEL).display());
        }
        Ok(model)
    }
}

/// The state of the live release, as its files show it.
#[derive(Debug)]
pub enum Health {
    /// Nothing has been deployed yet.
    Empty,
    /// The live release can be used.
    Intact(Box<Release>),
    /// The live release cannot be used.
    Damaged {
        /// Id of the release; `None` if the link to it is lost.
        id: Option<String>,
        /// The first damage that was found.
        error: Error,
    },
}

/// Whether an error means that a release is damaged, and not that its files cannot be read at the moment.
fn is_damage(error: &Error) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound}; // InvalidInput: a file instead of a link
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    matches!(kind, None | Some(InvalidInput | IsADirectory | NotADirectory | NotFound))
}

/// The production folder with its releases.
#[derive(Clone, Debug)]
pub struct Production {
    root: PathBuf,
    folder: VersionedFolder,
}

impl Production {
    /// The production folder that `config` names.
    pub fn of(config: &Config) -> Self {
        Self { root: config.production.clone(), folder: VersionedFolder::new(&config.production, "releases") }
    }

    /// Returns the id of the live release; `None` before the first deployment. Costs one system call.
    pub fn current_id(&self) -> Result<Option<String>> {
        self.folder.current()
    }

    /// Returns the live release; `None` before the first deployment.
    pub fn current(&self) -> Result<Option<Release>> {
        self.current_id()?.map(|id| self.release(&id)).transpose()
    }

    /// Returns the live release.
    ///
    /// # Errors
    /// Fails before the first deployment; the error says which steps to run.
    pub fn live(&self) -> Result<Release> {
        self.current()?.with_context(|| self.nothing())
    }

    /// Examines the live release: whether its files are as they were deployed, whether its model can be loaded, and
    /// whether the public names link to it.
    ///
    /// # Errors
    /// Fails if the files cannot be read for a reason that says nothing about their content, such as missing permission
    /// or a failing disk.
    pub fn examine(&self) -> Result<Health> {
        let examine = |id: &str| {
            let release = self.intact(id)?;
            match release.public_names().into_iter().find(|file| !self.folder.is_linked(file)) {
                Some(file) => bail!("{} does not link to the live release", self.root.join(file).display()),
                None => Ok(release),
            }
        };
        let (id, examined) = match self.current_id() {
            Ok(Some(id)) => (Some(id.clone()), examine(&id)),
            Ok(None) if self.ids()?.is_empty() => return Ok(Health::Empty),
            Ok(None) => (None, Err(anyhow!("{} has releases, but no link to a live one", self.root.display()))),
            Err(error) => (None, Err(error)),
        };
        match examined {
            Ok(release) => Ok(Health::Intact(Box::new(release))),
            Err(error) if is_damage(&error) => Ok(Health::Damaged { id, error }),
            Err(error) => Err(error.context("examining the live release")),
        }
    }

    /// Returns the newest intact release that is not newer than `id`, or the newest of all if `id` is `None`: the
    /// release to go back to if the live one is damaged.
    pub fn newest_intact(&self, id: Option<&str>) -> Result<Option<Release>> {
        let ids = self.ids()?.into_iter().rev();
        Ok(ids.filter(|other| id.is_none_or(|id| other.as_str() <= id)).find_map(|id| self.intact(&id).ok()))
    }

    /// Returns release `id`, after checking that its files are as they were deployed and that its model can be loaded.
    fn intact(&self, id: &str) -> Result<Release> {
        let release = self.release(id)?;
        release.verify()?;
        release.model()?;
        release.threshold()?;
        Ok(release)
    }

    /// Returns the time at which production was switched to the live release.
    pub fn live_since(&self) -> Result<Timestamp> {
        Ok(Timestamp::try_from(self.folder.current_since()?)?)
    }

    fn nothing(&self) -> String {
        format!(
            "nothing is deployed in {} yet; run fullprocess, or training, scoring and deployment",
            self.root.display()
        )
    }

    /// Returns release `id`, with its manifest read but its files not checked.
    pub fn release(&self, id: &str) -> Result<Release> {
        let folder = self.folder.version(id);
        let path = folder.join(MANIFEST);
        let text = fs::read(&path)?;
        let manifest = serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
        Ok(Release { id: id.to_owned(), folder, manifest })
    }

    /// Returns the ids of all releases, oldest first.
    pub fn ids(&self) -> Result<Vec<String>> {
        self.folder.ids()
    }

    /// Returns the id of the newest release before release `id`, which a rollback from `id` makes live.
    pub fn before(&self, id: &str) -> Result<Option<String>> {
        Ok(self.ids()?.into_iter().rfind(|other| other.as_str() < id))
    }

    /// Whether `id` has the form of a release's id. Other folders were created by hand.
    pub fn is_release(id: &str) -> bool {
        time_of(id).is_some()
    }

    /// Removes release `id`, which must not be live. Call it only while holding the lock.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.folder.remove(id)
    }

    /// Removes what killed writers left. Call it only while holding the lock.
    pub fn sweep(&self) -> Result<()> {
        self.folder.sweep()
    }

    /// The folder that a deployment locks.
    pub fn lock_folder(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// Creates a release from `files` (path in the release and content; all of [`RELEASE_FILES`], and those of the folder
    /// [`MLFLOW_MODEL`]) and switches production to it.
    ///
    /// The creation time is now, or one millisecond after the newest release if the clock is behind that, so ids stay
    /// in order. The time of the newest release is taken from its id, which does not depend on files that may be
    /// damaged.
    pub fn publish(&self, mut manifest: Manifest, files: &[(String, Vec<u8>)]) -> Result<Release> {
        let now = Timestamp::now();
        manifest.created = match self.folder.ids()?.iter().filter_map(|id| time_of(id)).max() {
            Some(newest) => {
                let next = newest.checked_add(jiff::SignedDuration::from_millis(1));
                next.context("no later release id is possible: the time of the newest release is the latest that an id can express")?.max(now)
            }
            None => now,
        };
        let stage = self.folder.stage()?;
        fs::create_dir(stage.path().join(MLFLOW_MODEL))?;
        for (path, bytes) in files {
            fs::write(stage.path().join(path), bytes)?;
            manifest.sha256.insert(path.clone(), Checksum::of_bytes(bytes));
        }
        fs::write(stage.path().join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
        let id = format!("{}-{}", manifest.created.strftime(ID_TIME), manifest.score.model_sha256.short());
        let mut release = Release { folder: self.folder.version(&id), id, manifest };
        release.id = stage.publish(&release.id, &release.public_names())?;
        release.folder = self.folder.version(&release.id);
        Ok(release)
    }

    /// Switches production to release `id`, or without `id` to the release before the live one. Returns the release
    /// that is now live.
    pub fn roll_back(&self, id: Option<&str>) -> Result<Release> {
        let ids = self.ids()?;
        if ids.is_empty() {
            bail!(self.nothing());
        }
        let target = match id {
            Some(id) => ids.iter().find(|known| *known == id).with_context(|| {
                format!("there is no release \"{id}\" in {}; deployment --list shows them", self.root.display())
            })?,
            None => {
                // Only the id of the live release is needed, so a damaged release can be left.
                let live = self.current_id()?.with_context(|| self.nothing())?;
                &self.before(&live)?.with_context(|| format!("no release is older than {live}"))?
            }
        };
        let release = self.intact(target)?;
        self.folder.switch(target)?;
        self.folder.relink(&release.public_names())?;
        Ok(release)
    }
}

/// Returns the time in a release's id; `None` if the name is not an id, for example that of a folder created by hand.
fn time_of(id: &str) -> Option<Timestamp> {
    let (time, _) = id.split_once('-')?;
    jiff::civil::DateTime::strptime(ID_TIME, time).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|t| t.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::metrics::Confusion;

    #[test]
    fn ids_rise_when_the_clock_goes_back_and_the_newest_manifest_is_damaged() {
        let root = tempfile::tempdir().unwrap();
        let production =
            Production { root: root.path().to_owned(), folder: VersionedFolder::new(root.path(), "releases") };
        let publish = || {
            let checksum = Checksum::of_bytes(b"m");
            let score = Score {
                model_sha256: checksum.clone(),
                f1: 0.0,
                n: 0,
                confusion: Confusion::default(),
                threshold: 0.5,
                calibration: None,
                leaks: Default::default(),
            };
            let manifest = Manifest {
                created: Timestamp::UNIX_EPOCH,
                program: String::new(),
                training_rows: 0,
                dataset_sha256: checksum,
                score,
                ingested: Vec::new(),
                sha256: BTreeMap::new(),
            };
            production
                .publish(manifest, &RELEASE_FILES.map(|name| (name.to_owned(), Vec::new())))
                .map(|release| release.id)
        };
        // A release from a time when the clock was ahead; its files cannot be read.
        let newest = "21991231T235959999Z-0123456789ab";
        for name in [newest, "notes"] {
            fs::create_dir_all(root.path().join("releases").join(name)).unwrap();
        }
        let ids = [publish().unwrap(), publish().unwrap()];
        assert!(ids[0].starts_with("22000101T000000000Z-") && ids[1].starts_with("22000101T000000001Z-"), "{ids:?}");
        assert_eq!(production.current_id().unwrap().as_ref(), Some(&ids[1]));
        assert_eq!(production.ids().unwrap(), [newest, &ids[0], &ids[1], "notes"]);

        let last = "99991230T220000999Z-0123456789ab";
        fs::create_dir(root.path().join("releases").join(last)).unwrap();
        assert!(publish().unwrap_err().to_string().contains("no later release id"));
    }
}
