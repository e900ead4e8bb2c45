//! The table `pending_files`: files that wait for their judgement.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use common::files::checksum::Checksum;
use common::files::ingested::ListedFile;
use common::production::release::Release;

use crate::columns::{columns, columns_of, text_enum};
use crate::record::Recorded;
use crate::store::History;

columns! {
    /// A file on which a release was scored without a judgement that counts, or such a file that is gone. The newest row
    /// of a release, a name and a checksum is valid until the file is in `checked_files`.
    PendingFile in "pending_files" then "name" {
        /// The release's id.
        release: String => "release_id",
        /// The file's name.
        name: String,
        /// SHA-256 of the file's content.
        sha256: Checksum,
        /// Why the file waits: `cannot be judged` or `held`; `gone` if it was deleted or has another content.
        state: Waiting,
    }
}

text_enum! {
    /// Why a file waits for its judgement.
    Waiting {
        /// Too few of its clients are known to have left. It is judged together with the next new file.
        CannotBeJudged = "cannot be judged",
        /// The release has drifted on it, but is held. It is judged again after the end of the hold.
        Held = "held",
        /// It no longer waits, because it was deleted or has another content.
        Gone = "gone",
    }
}

/// A file that waits for its judgement, or no longer does, with its run.
pub type PendingRow = Recorded<PendingFile>;

/// The files that a release was not trained on and that have not been judged.
#[derive(Debug, Default)]
pub struct UnjudgedFiles {
    /// Files that the release has not been scored on.
    pub new: Vec<ListedFile>,
    /// Files that could not be judged yet, those that came first first.
    pub pending: Vec<ListedFile>,
    /// Files on which the release has drifted while it was held.
    pub held: Vec<ListedFile>,
    /// Records of files that waited and are not among the files any more.
    pub gone: Vec<PendingFile>,
}

impl UnjudgedFiles {
    /// Finds those of `files` that `release` was not trained on and, according to the history, not judged on. Without a
    /// release or a history, all of the former are new. A file of merged batches names itself the releases that know it.
    pub fn of(release: Option<&Release>, files: Vec<ListedFile>, history: Option<&mut History>) -> Result<Self> {
        let Some(release) = release else { return Ok(Self { new: files, ..Self::default() }) };
        let is_known = |file: &ListedFile| file.known_by.contains(&release.id) || release.contains(file);
        let mut unknown: Vec<ListedFile> = files.into_iter().filter(|file| !is_known(file)).collect();
        let Some(history) = history else { return Ok(Self { new: unknown, ..Self::default() }) };
        let records = history.pending_files(&release.id)?;
        if unknown.is_empty() && records.is_empty() {
            return Ok(Self::default());
        }
        let checked = history.checked_files(&release.id)?;
        unknown.retain(|file| !checked.contains(&key(&file.name, &file.sha256)));
        let mut unjudged = Self::default();
        let mut files: HashMap<_, _> = unknown.iter().map(|file| (key(&file.name, &file.sha256), file)).collect();
        for record in waiting(records, &checked) {
            match files.remove(&key(&record.name, &record.sha256)) {
                Some(file) if record.state == Waiting::Held => unjudged.held.push(file.clone()),
                Some(file) => unjudged.pending.push(file.clone()),
                None => unjudged.gone.push(PendingFile { state: Waiting::Gone, ..record }),
            }
        }
        let is_new: HashSet<_> = files.into_keys().collect();
        unjudged.new = unknown.into_iter().filter(|file| is_new.contains(&key(&file.name, &file.sha256))).collect();
        Ok(unjudged)
    }

    /// Returns the files that are judged together if there is a new one: the pending ones, then the new ones, so that the
    /// former may take labels from the latter.
    pub fn judged_together(&self) -> impl Iterator<Item = &ListedFile> {
        self.pending.iter().chain(&self.new)
    }
}

/// Returns what identifies a file.
fn key(name: &str, sha256: &Checksum) -> (String, Checksum) {
    (name.to_owned(), sha256.clone())
}

impl PendingFile {
    /// Returns the record of a file that waits for its judgement by `release`.
    pub fn new(file: &ListedFile, release: &Release, state: Waiting) -> Self {
        Self { release: release.id.clone(), name: file.name.clone(), sha256: file.sha256.clone(), state }
    }
}

/// Returns the newest record of each file that still waits, in the order of the first ones. `checked` are the files that
/// the same release was checked against.
fn waiting(records: Vec<PendingFile>, checked: &HashSet<(String, Checksum)>) -> Vec<PendingFile> {
    let mut indices = HashMap::new();
    let mut newest: Vec<PendingFile> = Vec::new();
    for record in records {
        let file = key(&record.name, &record.sha256);
        if checked.contains(&file) {
            continue;
        }
        let index = *indices.entry(file).or_insert(newest.len());
        match newest.get_mut(index) {
            Some(earlier) => *earlier = record,
            None => newest.push(record),
        }
    }
    newest.retain(|record| record.state != Waiting::Gone);
    newest
}

impl History {
    /// Returns the files that wait for their judgement by a release, those that came first first. Files that were
    /// deleted since the newest run are among them.
    pub fn waiting_files(&mut self, release: &str) -> Result<Vec<PendingFile>> {
        let records = self.pending_files(release)?;
        match records.is_empty() {
            true => Ok(records),
            false => Ok(waiting(records, &self.checked_files(release)?)),
        }
    }

    /// Returns all records of a release, oldest first.
    fn pending_files(&mut self, release: &str) -> Result<Vec<PendingFile>> {
        let columns: Vec<_> = columns_of::<PendingFile>().iter().map(|column| column.name).collect();
        let query =
            format!("SELECT {} FROM pending_files WHERE release_id = ? ORDER BY run_id, name", columns.join(", "));
        self.records(&query, &[release.into()])
    }
}
