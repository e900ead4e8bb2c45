//! dbsetup: makes the history database, or brings it up to date, and says what is in it. Safe to repeat.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use common::cli;
use common::config::Config;
use history::History;
use serde::Serialize;

/// The database as it is now.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The SQLite file.
    pub database: PathBuf,
    /// The version of its schema.
    pub schema_version: i64,
    /// Each table and how many rows it holds.
    pub tables: Vec<TableSummary>,
}

/// One table.
#[derive(Debug, Serialize)]
pub struct TableSummary {
    /// Its name.
    pub table: &'static str,
    /// Its rows.
    pub rows: u64,
}

/// Opens the database, which makes or migrates it, and counts its rows.
pub fn run(config: &Config) -> Result<Outcome> {
    let mut history = History::open(config)?;
    let tables = history.row_counts()?.into_iter().map(|(table, rows)| TableSummary { table, rows }).collect();
    Ok(Outcome { database: history.path().to_owned(), schema_version: history.schema_version(), tables })
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} has schema version {}", self.database.display(), self.schema_version)?;
        for TableSummary { table, rows } in &self.tables {
            write!(f, "\n  {table:<22}{rows:>10} rows")?;
        }
        Ok(())
    }
}
