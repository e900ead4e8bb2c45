//! The rows that cannot be read: what quarantine.csv contains, and how many of them a file may have.

use anyhow::{Result, bail};
use common::values::write_csv_text;

use crate::rules::Malformed;

/// Maximum share of malformed rows in one file. Up to it, they are set aside and the other rows are used.
pub const TOLERATED_MALFORMED_SHARE: f64 = 0.05;

/// The header of quarantine.csv.
pub const QUARANTINE_HEADER: &[u8] = b"file,line,reason,row\n";

/// Appends a malformed row as a line of quarantine.csv.
pub fn write_row(out: &mut Vec<u8>, file: &str, line: u64, reason: &str, row: &str) {
    write_csv_text(out, file);
    out.extend_from_slice(format!(",{line},").as_bytes());
    write_csv_text(out, reason);
    out.push(b',');
    write_csv_text(out, row);
    out.push(b'\n');
}

/// Counts the malformed rows of one file. They are reported as rows, but their share is computed in lines, because an
/// unclosed quote merges many lines into one row.
#[derive(Debug, Default)]
pub struct MalformedCount {
    /// Number of malformed rows so far, regardless of how many lines each spans.
    pub rows: u64,
    lines: u64,
    first: Option<String>,
}

impl MalformedCount {
    /// Counts a malformed row that begins on line `line`, counted from 1, and spans `lines` lines.
    pub fn add(&mut self, line: u64, lines: u64, reason: &Malformed) {
        self.rows += 1;
        self.lines += lines;
        self.first.get_or_insert_with(|| format!("line {line}: {reason}"));
    }

    /// Checks the share of malformed lines in a file with `readable` valid rows.
    ///
    /// # Errors
    /// Fails if the share is above [`TOLERATED_MALFORMED_SHARE`].
    pub fn check_share(&self, readable: u64) -> Result<()> {
        check_malformed_share(self.lines, readable, self.first.as_deref())
    }
}

/// Checks the share of malformed lines; `first` is shown in the error as an example.
///
/// # Errors
/// Fails if the share is above [`TOLERATED_MALFORMED_SHARE`].
pub fn check_malformed_share(malformed: u64, readable: u64, first: Option<&str>) -> Result<()> {
    if malformed as f64 > TOLERATED_MALFORMED_SHARE * (malformed + readable) as f64 {
        bail!(
            "{malformed} of {} lines cannot be read, more than {} %; is the file half-copied or of another kind? The first: {}",
            malformed + readable,
            TOLERATED_MALFORMED_SHARE * 100.0,
            first.unwrap_or("unknown")
        );
    }
    Ok(())
}
