//! Production: the releases, and which of them is live. The one place that knows how production is laid out.
//!
//! ```text
//! production_deployment/releases/<id>/    the three contract files, the model as every step loads it, manifest.json
//! production_deployment/current           -> releases/<id>
//! production_deployment/trainedmodel.pkl  -> current/trainedmodel.pkl, and so on
//! ```
//!
//! An id begins with the time of its deployment, so ids sort by age.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, bail};
use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::config::{Config, Threshold};
use crate::files::{INGESTED_FILES, LATEST_SCORE, MODEL, PICKLE};
use crate::ingested::IngestedFile;
use crate::model::Model;
use crate::score::Score;
use crate::versioned::VersionedFolder;

const MANIFEST: &str = "manifest.json";

/// The beginning of an id: the time of the deployment in UTC, to the millisecond.
const ID_TIME: &str = "%Y%m%dT%H%M%S%3fZ";

/// The files of a release, beside its manifest.
pub const RELEASE_FILES: [&str; 4] = [MODEL, PICKLE, LATEST_SCORE, INGESTED_FILES];

/// What a release is made of and where it came from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// When it was deployed, UTC.
    pub created: Timestamp,
    /// The program's version.
    pub program: String,
    /// Rows that the model was trained on.
    pub training_rows: u64,
    /// Of the finaldata.csv that the model was trained on.
    pub dataset_sha256: Checksum,
    /// The score that later scores are compared with.
    pub score: Score,
    /// The ingested files, in order.
    pub ingested: Vec<IngestedFile>,
    /// Of every file of the release but this one.
    pub sha256: BTreeMap<String, Checksum>,
}

/// One release, on disk.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its id, unique in this production folder.
    pub id: String,
    /// Where it stands.
    pub folder: PathBuf,
    /// What it is.
    pub manifest: Manifest,
}

impl Release {
    /// Checks every file against the manifest.
    pub fn verify(&self) -> Result<()> {
        for name in RELEASE_FILES {
            let path = self.folder.join(name);
            let expected = self.manifest.sha256.get(name);
            if expected != Some(&Checksum::of_file(&path)?) {
                bail!(
                    "{} is not as it was deployed; roll back to another release with deployment --rollback",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// The probability from which its clients count as leaving: the one that its recorded score was taken with.
    pub fn threshold(&self) -> Result<Threshold> {
        let recorded = self.manifest.score.threshold;
        Threshold::new(recorded).with_context(|| format!("release {} has the threshold {recorded}", self.id))
    }

    /// Loads its model.
    pub fn model(&self) -> Result<Model> {
        let (model, checksum) = Model::load(&self.folder.join(MODEL))?;
        if self.manifest.sha256.get(MODEL) != Some(&checksum) {
            bail!("{} is not the model that was deployed", self.folder.join(MODEL).display());
        }
        Ok(model)
    }
}

/// The state of the live release, as its files show it.
#[derive(Debug)]
pub enum Health {
    /// Nothing has been deployed yet.
    Empty,
    /// It can be used.
    Intact(Box<Release>),
    /// It cannot be used.
    Damaged {
        /// The release's id; `None` where the link to it is lost.
        id: Option<String>,
        /// The damage that was found first.
        error: Error,
    },
}

/// Whether an error says that a release is damaged, and not that its files cannot be read at the moment.
fn is_damage(error: &Error) -> bool {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, NotFound}; // the first where a file stands for a link
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    matches!(kind, None | Some(InvalidInput | IsADirectory | NotADirectory | NotFound))
}

/// The production folder.
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

    /// The id of the live release, `None` before the first deployment. Costs one system call.
    pub fn current_id(&self) -> Result<Option<String>> {
        self.folder.current()
    }

    /// The live release, `None` before the first deployment.
    pub fn current(&self) -> Result<Option<Release>> {
        self.current_id()?.map(|id| self.release(&id)).transpose()
    }

    /// The live release; before the first deployment an error that says what to run.
    pub fn live(&self) -> Result<Release> {
        self.current()?.with_context(|| self.nothing())
    }

    /// Examines the live release: whether its files are as they were deployed, its model can be loaded, and the public names
    /// lead to it.
    ///
    /// # Errors
    /// Where the files cannot be read for a reason that says nothing about them, such as a permission or a failing disk.
    pub fn examine(&self) -> Result<Health> {
        let examine = |id: &str| {
            let release = self.intact(id)?;
            match RELEASE_FILES.into_iter().find(|file| !self.folder.is_linked(file)) {
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

    /// The newest intact release that is not newer than `id`, or of all where that is `None`: the one to go back to where
    /// the live one is damaged.
    pub fn newest_intact(&self, id: Option<&str>) -> Result<Option<Release>> {
        let ids = self.ids()?.into_iter().rev();
        Ok(ids.filter(|other| id.is_none_or(|id| other.as_str() <= id)).find_map(|id| self.intact(&id).ok()))
    }

    /// Release `id`, whose files are as they were deployed and whose model can be loaded.
    fn intact(&self, id: &str) -> Result<Release> {
        let release = self.release(id)?;
        release.verify()?;
        release.model()?;
        release.threshold()?;
        Ok(release)
    }

    /// When production was switched to the live release.
    pub fn live_since(&self) -> Result<Timestamp> {
        Ok(Timestamp::try_from(self.folder.current_since()?)?)
    }

    fn nothing(&self) -> String {
        format!(
            "nothing is deployed in {} yet; run fullprocess, or training, scoring and deployment",
            self.root.display()
        )
    }

    /// Release `id`.
    pub fn release(&self, id: &str) -> Result<Release> {
        let folder = self.folder.version(id);
        let path = folder.join(MANIFEST);
        let text = fs::read(&path)?;
        let manifest = serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))?;
        Ok(Release { id: id.to_owned(), folder, manifest })
    }

    /// The ids of all releases, oldest first.
    pub fn ids(&self) -> Result<Vec<String>> {
        self.folder.ids()
    }

    /// Where a deployment takes its lock.
    pub fn lock_folder(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// Makes a release of `files` (name and content; all of [`RELEASE_FILES`]) and switches production to it.
    ///
    /// Its time of creation is now, or just after the newest release where the clock says less: ids stay in order. The
    /// times are taken from the ids, which need no file that may be damaged.
    pub fn publish(&self, mut manifest: Manifest, files: &[(&str, Vec<u8>)]) -> Result<Release> {
        let now = Timestamp::now();
        manifest.created = match self.folder.ids()?.iter().filter_map(|id| time_of(id)).max() {
            Some(newest) => {
                let next = newest.checked_add(jiff::SignedDuration::from_millis(1));
                next.context("no later release id is possible: the clock was far in the future once")?.max(now)
            }
            None => now,
        };
        let stage = self.folder.stage()?;
        let write = |name: &str, bytes: &[u8]| fs::write(stage.path().join(name), bytes);
        for (name, bytes) in files {
            write(name, bytes)?;
            manifest.sha256.insert((*name).to_owned(), Checksum::of_bytes(bytes));
        }
        write(MANIFEST, &serde_json::to_vec_pretty(&manifest)?)?;
        let id = format!("{}-{}", manifest.created.strftime(ID_TIME), manifest.score.model_sha256.short());
        let id = stage.publish(&id, &RELEASE_FILES)?;
        Ok(Release { folder: self.folder.version(&id), id, manifest })
    }

    /// Switches production to release `id`, else to the one deployed before the live one; returns what is live now.
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
                // Only its id is asked, so that a damaged release can be left.
                let live = self.current_id()?.with_context(|| self.nothing())?;
                ids.iter().rfind(|id| **id < live).with_context(|| format!("no release is older than {live}"))?
            }
        };
        let release = self.intact(target)?;
        self.folder.switch(target)?;
        self.folder.link(&RELEASE_FILES)?;
        Ok(release)
    }
}

/// The time in a release's id, `None` in the name of a folder that somebody has made by hand.
fn time_of(id: &str) -> Option<Timestamp> {
    let (time, _) = id.split_once('-')?;
    jiff::civil::DateTime::strptime(ID_TIME, time).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|t| t.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;

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
            production.publish(manifest, &RELEASE_FILES.map(|name| (name, Vec::new()))).map(|release| release.id)
        };
        // A release of a time when the clock was ahead; nothing of it can be read.
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
