//! The engine of this process, with polars.
//!
//! [`reader`] finds the rows of CSV text and separates valid from malformed rows. Everything else is built on it, so a
//! file has the same meaning for ingestion, training, scoring and the service. `pieces` and `parallel` let several
//! threads read one file; `stage` keeps their pieces in order. `compile` merges files in one pass and never holds a
//! whole table, and [`check`] reads files by its rules without writing; [`Table`] is a table in memory, a polars `DataFrame` with checked columns; `labels` completes its target. `engine`
//! combines them. [`arrivals`] and [`predicted`] answer what a replay asks: what was known after each file, and what many
//! models predict.

pub mod arrivals;
pub mod check;
mod columns;
mod compile;
mod counting;
mod describe;
mod early_sync;
mod engine;
mod fingerprints;
mod labels;
pub mod likelihood;
mod numbers;
mod overlap;
mod parallel;
mod pieces;
pub mod predicted;
pub mod reader;
mod record;
mod stage;
mod table;
mod training;

pub use engine::Local;
pub use table::Table;
