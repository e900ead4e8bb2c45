//! Client tables: read, check, merge, de-duplicate, describe. The only crate that names polars.
//!
//! [`row`] says what a good row is; [`reader`] finds the rows of a CSV stream and tells good from bad; everything else
//! stands on these two, so a file means the same to ingestion, training, scoring and the service. [`compile`] merges
//! files in one pass and never holds a table; [`Table`] is a table in memory, a polars `DataFrame` with checked columns.
//! [`embedded`] is the engine that all of it makes.

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

/// The engine that `config` names; without a name this process.
pub fn engine(config: &Config) -> Result<Box<dyn Engine>> {
    #[cfg(feature = "cluster")]
    if let Some(place) = &config.engine {
        return cluster::connect(config, place);
    }
    let _ = config;
    Ok(Box::new(embedded::Embedded))
}
