//! The table `checked_files`: files that a release need not be checked against again.

use std::collections::HashSet;

use anyhow::Result;
use common::files::checksum::Checksum;
use common::files::ingested::ListedFile;
use common::production::release::Release;

use crate::columns::columns;
use crate::store::History;

columns! {
    /// A file that a release was checked against. The result is the decision of the same run: `no_drift` if the release
    /// was found good, `kept` if it had drifted and the new model was no better.
    CheckedFile in "checked_files" {
        /// The release's id.
        release: String => "release_id",
        /// The file's name.
        name: String,
        /// SHA-256 of the file's content.
        sha256: Checksum,
    }
}

impl CheckedFile {
    /// Returns the record of a file that `release` was checked against.
    pub fn new(file: &ListedFile, release: &Release) -> Self {
        Self { release: release.id.clone(), name: file.name.clone(), sha256: file.sha256.clone() }
    }
}

impl History {
    /// Returns name and checksum of every file that a release was checked against.
    pub fn checked_files(&mut self, release: &str) -> Result<HashSet<(String, Checksum)>> {
        let query = "SELECT name, sha256 FROM checked_files WHERE release_id = ?";
        let files: Vec<(String, String)> = self.fetch(query, &[release.into()])?;
        files.into_iter().map(|(name, sha256)| Ok((name, sha256.parse()?))).collect()
    }
}
