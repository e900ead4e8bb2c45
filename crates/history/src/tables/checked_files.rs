//! The table `checked_files`: files that a release need not be checked against again.

use anyhow::Result;
use common::files::checksum::Checksum;

use crate::columns::{columns, values_of};
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

impl History {
    /// Returns whether a release was checked against a file of this name and content.
    pub fn was_checked(&mut self, file: &CheckedFile) -> Result<bool> {
        let query = "SELECT COUNT(*) FROM checked_files WHERE release_id = ? AND name = ? AND sha256 = ?";
        Ok(self.fetch::<(i64,)>(query, &values_of(file))?.first().is_some_and(|(count,)| *count > 0))
    }
}
