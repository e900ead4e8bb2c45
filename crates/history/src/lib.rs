//! The history of the system: every run with its results, and the compiled dataset, in SQLite, PostgreSQL or MySQL.
//! This is the only crate that depends on the SQL driver.
//!
//! A step wraps its work in [`record`] and adds its results to the [`Run`]. The database is opened before the work, so
//! that an unreachable server or a file that cannot be written stops a step before it changes anything. The run and its
//! records are written after the work, in one transaction. The history is append-only. [`History`] reads it back;
//! [`source`] reads client rows from other databases.
//!
//! The modules build on each other in this order: `columns` stores typed values, `record` makes rows of them, each
//! module of `tables` declares the records of a table, `run` writes them, and [`listing`] lists them.

#![warn(missing_docs)]

mod client_table;
mod clients;
mod columns;
mod connection;
mod contacts;
mod error;
pub mod listing;
mod migrations;
mod record;
mod run;
mod schema;
pub mod source;
mod sqlite_file;
mod store;
mod tables;
mod value;

pub use contacts::{Added, CallOutcome, Contact, ContactRow, NotRecorded};
pub use record::Recorded;
pub use run::{PROCESS_VARIABLE, Run, Start, record};
pub use schema::VERSION as SCHEMA_VERSION;
pub use store::{History, State};
pub use tables::checked_files::CheckedFile;
pub use tables::datasets::Arrival;
pub use tables::decisions::{Decision, DecisionRecord};
pub use tables::dependencies::DependencyVersions;
pub use tables::drift::{CheckRow, DriftCheck, DriftVerdict, ShiftRow};
pub use tables::lists::{ListedClient, ListedClientRow, PublishedList, PublishedListRow};
pub use tables::models::model_records;
pub use tables::pending_files::{PendingFile, PendingRow, UnjudgedFiles, Waiting};
pub use tables::promotions::{Candidate, ComparedModel, ComparisonRow, PromotionDecision, compared_models};
pub use tables::releases::{ReleaseRow, Switch, WentLive};
pub use tables::runs::{RunOutcome, RunRow};
pub use tables::scores::{ScoreRow, ScoredData};
pub use tables::statistics::{CategoryLevel, MissingPercentage, MissingRow, SummaryStatistics};
pub use tables::timings::{Operation, StepTiming, TimingRow};

#[cfg(test)]
mod tests;
