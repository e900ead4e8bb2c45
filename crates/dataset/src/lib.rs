//! Client tables: reading, checking, merging, removing duplicates, describing. This is the only crate that depends on
//! polars.
//!
//! [`row`] defines a valid row; [`reader`] finds the rows of a CSV stream and separates valid from malformed rows.
//! Everything else is built on these two, so a file has the same meaning for ingestion, training, scoring and the
//! service. [`compile`] merges files in one pass and never holds a whole table; [`Table`] is a table in memory, a
//! polars `DataFrame` with checked columns. [`embedded`] combines them into an engine.

#![warn(missing_docs)]

pub mod compile;
pub mod describe;
pub mod embedded;
pub mod likelihood;
pub mod reader;
pub mod row;
pub mod table;

use anyhow::Result;
use common::config::Config;
use engine::Engine;

pub use table::Table;

/// Returns the engine that `config` names, or the engine of this process if it names none.
///
/// # Errors
/// Fails if the cluster cannot be reached.
pub fn engine(config: &Config) -> Result<Box<dyn Engine>> {
    #[cfg(feature = "cluster")]
    if let Some(place) = &config.engine {
        return cluster::connect(config, place);
    }
    let _ = config;
    Ok(Box::new(embedded::Embedded))
}
