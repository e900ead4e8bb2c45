//! Creates the history database or migrates it, and reports its content. Running it repeatedly is safe.
//!
//! It also reads the history: the newest runs, scores, timings, missing values, releases, checks, comparisons,
//! contacts and published lists, and the release that was live at a given time.

use std::fmt;

use anyhow::{Context, Result, bail};
use common::cli;
use common::config::Config;
use history::listing::{Listing, ListingKind};
use history::{History, ReleaseRow, State, WentLive};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Serialize;

/// A request to the database.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// Create or migrate the database, and report its content.
    SetUp,
    /// Only report whether that is needed.
    Check,
    /// List the newest rows of one kind; the number is their maximum.
    History(ListingKind, u32),
    /// Report the release that was live at a time.
    At(Timestamp),
}

/// The answer to a request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// The answer to [`Request::SetUp`] and, without tables, to [`Request::Check`].
    Database(Database),
    /// The answer to [`Request::History`].
    History(Listing),
    /// The answer to [`Request::At`].
    At(At),
}

/// The current state of the database.
#[derive(Debug, Serialize)]
pub struct Database {
    /// The SQLite file, or the server's URL without user and password.
    pub database: String,
    /// The version of its schema.
    pub schema_version: i64,
    /// All tables with their number of rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableSummary>,
}

/// The size of one table.
#[derive(Debug, Serialize)]
pub struct TableSummary {
    /// The name of the table.
    pub table: &'static str,
    /// Number of rows in the table.
    pub rows: u64,
}

/// The release that was live at a given time.
#[derive(Debug, Serialize)]
pub struct At {
    /// The time that was requested.
    pub at: Timestamp,
    /// The release; `None` if nothing was live yet.
    pub release: Option<ReleaseRow>,
}

/// Answers one request.
///
/// # Errors
/// Fails if the database cannot be used, and for [`Request::Check`] also if its schema does not have the program's
/// version; the error names the database.
pub fn run(config: &Config, request: Request) -> Result<Outcome> {
    Ok(match request {
        Request::SetUp => {
            let mut history = History::set_up(config)?;
            let tables = history.row_counts()?.into_iter().map(|(table, rows)| TableSummary { table, rows }).collect();
            Outcome::Database(Database::of(config, tables))
        }
        Request::Check => match History::state(config)? {
            State::Current => Outcome::Database(Database::of(config, Vec::new())),
            State::Behind(version) => bail!(
                "{} has schema version {version}, this program needs {}; run dbsetup",
                config.database,
                history::SCHEMA_VERSION
            ),
            State::Missing => bail!("{} holds no history yet; run dbsetup", config.database),
        },
        Request::History(kind, last) => Outcome::History(existing(config)?.listing(kind, &config.columns, last)?),
        Request::At(time) => Outcome::At(At { at: time, release: existing(config)?.live_at(time)? }),
    })
}

fn existing(config: &Config) -> Result<History> {
    History::open_existing(config)?.with_context(|| format!("{} holds no history yet; run dbsetup", config.database))
}

/// Parses a time with an offset, or in UTC if it has none; a date without a time means its midnight.
pub fn parse_time(text: &str) -> Result<Timestamp> {
    let utc = |time: civil::DateTime| time.to_zoned(TimeZone::UTC).map(|time| time.timestamp());
    let time = text.parse::<Timestamp>().or_else(|_| text.parse::<civil::DateTime>().and_then(utc));
    time.map_err(|_| {
        anyhow::anyhow!("expected a time such as 2026-11-23, 2026-11-23T03:10 (UTC) or 2026-11-23T03:10+01:00")
    })
}

impl Database {
    fn of(config: &Config, tables: Vec<TableSummary>) -> Self {
        Self { database: config.database.to_string(), schema_version: history::SCHEMA_VERSION, tables }
    }
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Database(database) => {
                write!(f, "{} has schema version {}", database.database, database.schema_version)?;
                let row = |TableSummary { table, rows }: &_| write!(f, "\n  {table:<26}{rows:>10} rows");
                database.tables.iter().try_for_each(row)
            }
            Self::History(listing) => {
                let (columns, rows) = listing.table();
                write_table(f, &columns, &rows)
            }
            Self::At(At { at, release: None }) => write!(f, "nothing was live at {at}"),
            Self::At(At { at, release: Some(release) }) => {
                let ReleaseRow { switch, live_until, run } = release;
                let WentLive { release, action, live_from, f1, n, .. } = switch;
                write!(f, "at {at}: {release}, {action} in run {run}, live from {live_from} ")?;
                match live_until {
                    Some(until) => write!(f, "until {until}")?,
                    None => write!(f, "on")?,
                }
                write!(f, "; F1 {f1:.4} on {n} rows")
            }
        }
    }
}

/// Writes a table whose columns are as wide as their widest cell.
fn write_table(f: &mut fmt::Formatter, columns: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, name)| rows.iter().map(|row| row[index].chars().count()).chain([name.len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    write!(f, "{}", line(&mut columns.iter().copied()))?;
    rows.iter().try_for_each(|row| write!(f, "\n{}", line(&mut row.iter().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_utc_unless_it_says_otherwise() {
        for (text, time) in [
            ("2026-11-23", "2026-11-23T00:00:00Z"),
            ("2026-11-23T03:10", "2026-11-23T03:10:00Z"),
            ("2026-11-23 03:10:30.5", "2026-11-23T03:10:30.5Z"),
            ("2026-11-23T03:10:00+01:00", "2026-11-23T02:10:00Z"),
            ("2026-11-23T03:10:00Z", "2026-11-23T03:10:00Z"),
        ] {
            assert_eq!(parse_time(text).unwrap().to_string(), time, "{text}");
        }
        for text in ["", "yesterday", "2026-13-01", "03:10"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
