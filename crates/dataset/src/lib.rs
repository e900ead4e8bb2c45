//! Client tables: finding, reading, checking, merging and describing them. This is the only crate that depends on polars
//! and on the client of Spark Connect.
//!
//! `engine` contains the traits through which the steps use client tables. `rules` defines a valid file and a valid
//! row, `quarantine` counts and lists the rows that are not, [`row`] parses values. There are two engines: [`local`]
//! works in this process (polars), `spark` on a cluster (Spark Connect, cargo feature `cluster`). [`design`],
//! [`basis`] and [`likelihood`] are the columns and the sums of a step of training's solver.

#![warn(missing_docs)]

pub mod basis;
pub mod design;
mod engine;
pub mod likelihood;
pub mod local;
mod pack;
mod quarantine;
pub mod row;
mod rules;
#[cfg(feature = "cluster")]
pub mod spark;
mod terms;

use anyhow::Result;
use common::config::Config;
use common::schema::Schema;

pub use engine::*;
pub use quarantine::TOLERATED_MALFORMED_SHARE;
pub use rules::{LONGEST_TEXT, UnknownColumn};

/// Opens the engine that `config` names, or the engine of this process if it names none, for tables with the columns that
/// `config` names.
///
/// # Errors
/// Fails if the cluster cannot be reached, or if this program was built without the feature `cluster`.
pub fn open(config: &Config) -> Result<Box<dyn Engine>> {
    open_for(config, &config.columns)
}

/// Opens the engine like [`open`], for tables with the columns of `schema`, such as those of the live release.
///
/// # Errors
/// Fails like [`open`].
pub fn open_for(config: &Config, schema: &Schema) -> Result<Box<dyn Engine>> {
    match &config.engine {
        None => Ok(Box::new(local::Local::with_threads(schema, config.threads as usize))),
        #[cfg(feature = "cluster")]
        Some(cluster) => spark::connect(config, cluster, schema),
        #[cfg(not(feature = "cluster"))]
        Some(cluster) => anyhow::bail!(
            "key \"engine\" in {}: {} needs a program that was built with the feature \"cluster\"; install protoc and \
             run cargo build --release --features cluster, or remove the key",
            config.file.display(),
            cluster.address
        ),
    }
}
