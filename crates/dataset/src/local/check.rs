//! Checks files that are not delivered yet, by the rules of ingestion.

use std::collections::BTreeMap;

use common::cli::Progress;
use common::config::Config;
use common::files::DataFile;
use serde::Serialize;

use crate::local::compile;

/// Maximum number of different reasons that are listed for one file.
pub const MOST_REASONS: usize = 100;

/// Maximum number of lines that are listed for one reason.
pub const MOST_LINES: usize = 20;

/// The findings in files that were read by ingestion's rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The files in the order in which they were read.
    pub files: Vec<CheckedFile>,
    /// Number of distinct rows in all files.
    pub rows: u64,
    /// Number of clients that are listed both as having left and as having stayed.
    pub contradictory_corporations: u64,
    /// The ten of these clients whose ids come first in bytewise order, in this order.
    pub contradictory_examples: Vec<String>,
}

/// The findings in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckedFile {
    /// Path of the file.
    pub path: String,
    /// Whether ingestion would use the file.
    pub accepted: bool,
    /// Why it would not.
    pub fault: Option<String>,
    /// Number of rows that can be read, up to a fault that ends the reading.
    pub rows: u64,
    /// Number of these rows that repeat an earlier row exactly, in this file or in a file read before it.
    pub duplicates: u64,
    /// Number of rows that cannot be read.
    pub quarantined: u64,
    /// Why they cannot be read, ordered by the first line: at most [`MOST_REASONS`] different reasons.
    pub reasons: Vec<RowFault>,
    /// Number of missing values among the rows that can be read, by column.
    pub missing: BTreeMap<String, u64>,
}

/// A reason why rows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowFault {
    /// Column whose field is wrong; `None` if the fault is not in one field.
    pub column: Option<String>,
    /// The reason in the words of quarantine.csv.
    pub reason: String,
    /// Number of rows that cannot be read for this reason.
    pub rows: u64,
    /// The lines on which the first [`MOST_LINES`] of these rows begin, counted from 1.
    pub lines: Vec<u64>,
}

/// Reads `files` by the rules of ingestion with the columns of `config`, in the order given, and writes nothing. A file
/// that cannot be used does not end the reading. The memory is that of an ingestion, whatever is wrong.
///
/// Files are read in this process, also if `config` names an engine.
pub fn check(config: &Config, files: &[DataFile]) -> Checked {
    let progress = Progress::new("rows read");
    compile::check(&config.columns, files, config.threads as usize, &mut move |rows| progress.show(rows))
}
