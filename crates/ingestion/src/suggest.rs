//! Proposes the config key `columns` for the CSV files of a folder.
//!
//! `profile` reads the files and describes each column, `evidence` compares columns, `names` judges what the name of a
//! column and a label mean, `roles` chooses id, target and predictors. All rows are read, but only bounded statistics and a
//! sample of rows are kept.

mod evidence;
mod names;
mod profile;
mod roles;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::Result;
use common::files::csv_files;
use common::schema::Kind;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// A proposal for the config key `columns`.
#[derive(Debug, Serialize)]
pub struct Suggestion {
    /// The proposed value of the key.
    pub columns: Columns,
    /// Number of files that were read.
    pub files: usize,
    /// Number of rows that were read.
    pub rows: u64,
    /// The role of each column, with the reason.
    pub found: Vec<Finding>,
    /// What the user must look at before using the proposal.
    pub warnings: Vec<String>,
    /// What could not be decided. If it is not empty, the proposal contains a name to be replaced.
    pub undecided: Vec<String>,
}

/// A column and the reason for its role.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Name of the column.
    pub column: String,
    /// A sentence for people: role, kind and reason.
    pub reason: String,
}

/// The value of the config key `columns`.
#[derive(Debug, Serialize)]
pub struct Columns {
    id: String,
    target: Target,
    predictors: Vec<Predictor>,
    #[serde(skip_serializing_if = "Ignored::is_empty")]
    ignored: Ignored,
}

#[derive(Debug, Serialize)]
struct Target {
    name: String,
    positive: String,
    negative: String,
}

#[derive(Debug)]
struct Predictor {
    name: String,
    kind: Kind,
}

impl Serialize for Predictor {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.kind == Kind::Number {
            return self.name.serialize(serializer);
        }
        let mut object = serializer.serialize_struct("Predictor", 2)?;
        object.serialize_field("name", &self.name)?;
        object.serialize_field("kind", &self.kind.to_string())?;
        object.end()
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Ignored {
    Listed(Vec<String>),
    All(&'static str),
}

impl Ignored {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(names) if names.is_empty())
    }
}

impl Suggestion {
    /// Returns the part of config.json that holds the proposal, with braces around it.
    ///
    /// # Errors
    /// Fails only if it cannot be written as JSON.
    pub fn block(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Block<'a> {
            columns: &'a Columns,
        }
        Ok(serde_json::to_string_pretty(&Block { columns: &self.columns })?)
    }

    /// Returns the reasons, the warnings and what could not be decided, one per line.
    pub fn reasons(&self) -> Vec<String> {
        let mut lines = vec![format!("{} rows in {} files", self.rows, self.files)];
        lines.extend(self.found.iter().map(|Finding { column, reason }| format!("  \"{column}\": {reason}")));
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.extend(self.undecided.iter().map(|undecided| format!("not decided: {undecided}")));
        lines
    }
}

/// Proposes columns for the CSV files of `folder`.
///
/// # Errors
/// Fails if the folder has no CSV file, if a file cannot be read, or if the files have no row or no column in common.
pub fn suggest(folder: &Path) -> Result<Suggestion> {
    let files = csv_files(folder)?;
    let profile = profile::read(&files)?;
    roles::assign(profile, files.len())
}
