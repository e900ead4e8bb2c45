//! Merges old batches of the input database, because each run with new rows adds a batch, and each run reads all of
//! them.
//!
//! Consecutive batches become one file if the same releases know them: a release knows a file if it was trained on it
//! or judged on it. A merged file is therefore known or new to each release as a whole, also after a rollback, and no score
//! mixes rows on which a release was trained with new ones. Batches that the live release does not know are not merged.
//!
//! ```text
//! 1. .merged.json lists the merged file and its parts
//! 2. the merged file gets its name
//! 3. ingestion.json names it instead of its parts, with the releases that know it
//! 4. the next ingestion deletes the files in .merged.json that ingestion.json does not name
//! ```
//!
//! A process that is killed in between leaves files that step 4 deletes. The parts stay until the next ingestion for
//! processes that are still reading them.

mod content;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::cli::narrate;
use common::config::Config;
use common::config::database::InputDatabase;
use common::files::batch::{Batch, Merged};
use common::files::checksum::Checksum;
use common::files::ingested::{self, Ingested};
use common::files::lock::Lock;
use common::files::{DataFile, INGESTION_RECORD, atomic};
use common::production::release::Production;
use fs_err as fs;
use history::History;
use history::source::NewBatch;

use self::content::Content;

/// Number of consecutive batches from which they are merged. A file of merged batches counts as one batch.
const MANY: usize = 50;

/// File in the folder of the batches that lists what the newest merge may leave: the merged files and their parts.
const LEFTOVERS: &str = ".merged.json";

/// Merged files that ingestion.json does not name yet.
#[derive(Default)]
pub struct Merge {
    files: Vec<MergedFile>,
    /// Ids of the releases that existed when it was found out which of them know the parts.
    releases: Vec<String>,
}

struct MergedFile {
    batch: NewBatch,
    /// Names of the parts.
    parts: Vec<String>,
}

/// A batch of the compiled dataset.
struct Part {
    file: DataFile,
    batch: Batch,
    /// Checksum in ingestion.json.
    sha256: Checksum,
    /// Indices of the releases that know it; empty if the live release does not know it.
    known_by: Vec<usize>,
}

impl Part {
    /// Whether release `id` knows the part according to its list of files and the history, which `known` combines, or to
    /// the part itself.
    fn is_known(&self, id: &str, known: &HashSet<(String, Checksum)>) -> bool {
        let merged = self.batch.merged.as_ref().filter(|merged| merged.sha256 == self.sha256);
        merged.is_some_and(|merged| merged.known_by.iter().any(|other| other == id))
            || known.contains(&(self.file.name.clone(), self.sha256.clone()))
    }

    /// Whether `next` may be merged with this part, as far as their content does not matter.
    fn is_continued_by(&self, next: &Self) -> bool {
        let consecutive = next.batch.above.as_ref() == Some(&self.batch.up_to);
        consecutive && !self.known_by.is_empty() && self.known_by == next.known_by
    }
}

/// Deletes what killed ingestions and the newest merge left in the folder of the batches; the caller must hold the lock of
/// the output folder.
pub fn clean(config: &Config) -> Result<()> {
    let folder = ingested::batches(config);
    if !fs::exists(&folder)? {
        return Ok(());
    }
    atomic::sweep(&folder)?;
    let list = folder.join(LEFTOVERS);
    // Without a description it is unknown which of the files count.
    if !fs::exists(&list)? || !fs::exists(config.output_folder.join(INGESTION_RECORD))? {
        return Ok(());
    }
    let names: Vec<String> = serde_json::from_slice(&fs::read(&list)?).with_context(|| {
        format!("reading {}, which lists old batches to be deleted; delete it to keep them", list.display())
    })?;
    let ingested = Ingested::read(&config.output_folder)?;
    let named: HashSet<&str> = ingested.files.iter().map(|file| file.name.as_str()).collect();
    for name in names.iter().filter(|name| !named.contains(name.as_str())) {
        // The list may have been edited, and only files of this folder may be deleted.
        if Path::new(name).file_name().is_none_or(|file| file != name.as_str()) {
            bail!("{} contains {name:?}, which is not the name of a batch; delete the list", list.display());
        }
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    atomic::sync_folder(&folder)?;
    Ok(fs::remove_file(&list)?)
}

/// Merges those batches among `files`, the current files of the dataset, that can be merged. Returns the files to be
/// ingested instead, and the merged ones, which still have temporary names.
///
/// # Errors
/// Fails if a part is missing or has changed since it was ingested, or if the history cannot be read.
pub fn merge(config: &Config, files: Vec<DataFile>, history: &mut History) -> Result<(Vec<DataFile>, Merge)> {
    let is_small = files.iter().filter(|file| file.batch.is_some()).count() < MANY;
    let Some(input) = config.input_database.as_ref().filter(|_| !is_small) else {
        return Ok((files, Merge::default()));
    };
    let (mut kept, mut parts) = parts(config, files)?;
    let releases = note_releases(config, &mut parts, history)?;
    let mut merge = Merge { files: Vec::new(), releases };
    // The batches come after all other files.
    for group in parts.chunk_by(Part::is_continued_by) {
        if group.len() < MANY {
            kept.extend(group.iter().map(|part| part.file.clone()));
            continue;
        }
        let read = |part| Ok((part, Content::of(part)?));
        let group: Vec<(&Part, Content)> = group.iter().map(read).collect::<Result<_>>()?;
        for alike in group.chunk_by(|(_, one), (_, next)| one.is_like(next)) {
            if alike.len() < MANY {
                kept.extend(alike.iter().map(|(part, _)| part.file.clone()));
            } else if let Some(merged) = write(config, input, alike, &merge.releases)? {
                kept.push(merged.batch.file.clone());
                merge.files.push(merged);
            }
        }
    }
    Ok((kept, merge))
}

/// Separates the batches from the other files.
fn parts(config: &Config, files: Vec<DataFile>) -> Result<(Vec<DataFile>, Vec<Part>)> {
    let described = Ingested::read(&config.output_folder)?.files.into_iter();
    let mut described: HashMap<String, Checksum> = described.map(|file| (file.name, file.sha256)).collect();
    let (mut others, mut parts) = (Vec::new(), Vec::new());
    for file in files {
        match (file.batch.clone(), described.remove(&file.name)) {
            (Some(batch), Some(sha256)) => parts.push(Part { file, batch, sha256, known_by: Vec::new() }),
            _ => others.push(file),
        }
    }
    Ok((others, parts))
}

/// Finds out which releases know each part, for the parts that the live release knows. Returns the ids of all releases.
/// Without a live release, or with a release that cannot be read, nothing is known.
fn note_releases(config: &Config, parts: &mut [Part], history: &mut History) -> Result<Vec<String>> {
    let production = Production::of(config);
    let (Ok(Some(live)), Ok(releases)) = (production.current_id(), production.ids()) else { return Ok(Vec::new()) };
    let Some(live) = releases.iter().position(|id| *id == live) else { return Ok(Vec::new()) };
    let mut known_by = vec![Vec::new(); parts.len()];
    for (index, id) in releases.iter().enumerate() {
        let release = match production.release(id) {
            Ok(release) => release,
            Err(_) if !Production::is_release(id) => continue, // a folder created by hand
            Err(error) => {
                narrate(format_args!(
                    "warning: old batches are not merged, because it is unknown which of them release {id} contains; repair or \
                     remove it: {error:#}"
                ));
                return Ok(Vec::new());
            }
        };
        let mut known = history.checked_files(id)?;
        known.extend(release.manifest.ingested.into_iter().map(|file| (file.name, file.sha256)));
        for (part, known_by) in parts.iter().zip(&mut known_by) {
            if part.is_known(id, &known) {
                known_by.push(index);
            }
        }
    }
    for (part, known_by) in parts.iter_mut().zip(known_by) {
        if known_by.contains(&live) {
            part.known_by = known_by;
        }
    }
    Ok(releases)
}

/// Writes the rows of all parts to a temporary file. `None` if there is no part.
fn write(
    config: &Config,
    input: &InputDatabase,
    parts: &[(&Part, Content)],
    releases: &[String],
) -> Result<Option<MergedFile>> {
    let [(first, _), .., (last, _)] = parts else { return Ok(None) };
    let mut batch = Batch::new(input, first.batch.above.clone(), last.batch.up_to.clone());
    let name = batch.file_name(input);
    let folder = ingested::batches(config);
    let path = folder.join(format!(".{name}.partial"));
    let sha256 = content::join(parts.iter().map(|(part, content)| (&*part.file.path, content)), &path)?;
    let known_by = first.known_by.iter().map(|index| releases[*index].clone()).collect();
    batch.merged = Some(Merged { sha256, known_by });
    let final_path = folder.join(&name);
    Ok(Some(MergedFile {
        batch: NewBatch { file: DataFile { name, path, batch: Some(batch) }, final_path },
        parts: parts.iter().map(|(part, _)| part.file.name.clone()).collect(),
    }))
}

impl Merge {
    /// Gives the merged files their names. The caller must publish the description that names them before it drops the
    /// returned lock, which prevents deployments.
    ///
    /// # Errors
    /// Fails if a release was deployed since it was found out which of them know the parts, or if a deployment is at
    /// work.
    pub fn publish(self, config: &Config) -> Result<Option<Lock>> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let production = Production::of(config);
        let lock = Lock::acquire(&production.lock_folder(), "deployment")?;
        if let Some(id) = production.ids()?.iter().find(|id| !self.releases.contains(id)) {
            bail!("release {id} was deployed during the ingestion; nothing was changed, run ingestion again");
        }
        let leftovers: Vec<&str> = self.files.iter().flat_map(MergedFile::leftovers).collect();
        atomic::write(&ingested::batches(config).join(LEFTOVERS), &serde_json::to_vec(&leftovers)?)?;
        for MergedFile { batch, .. } in self.files {
            batch.publish()?;
        }
        Ok(Some(lock))
    }
}

impl MergedFile {
    /// Returns the names of the files of which ingestion.json names only some.
    fn leftovers(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().chain([&self.batch.file.name]).map(String::as_str)
    }
}
