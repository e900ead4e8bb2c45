//! Client tables: read, check, merge, de-duplicate, describe. The only crate that names polars.
//!
//! [`row`] says what a good row is; [`reader`] finds the rows of a CSV stream and tells good from bad; everything else
//! stands on these two, so a file means the same to ingestion, training, scoring and the service. [`compile`] merges
//! files in one pass and never holds a table; [`Table`] is a table in memory, a polars `DataFrame` with checked columns.

pub mod compile;
pub mod describe;
pub mod reader;
pub mod row;
pub mod table;

pub use table::Table;

/// The share of malformed rows in one file up to which they are set aside and the rest is used.
pub const TOLERATED_MALFORMED_SHARE: f64 = 0.05;
