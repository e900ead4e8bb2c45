//! The code that all steps share: the checked configuration, the model and its two encodings, the metrics, the layout
//! of production, files that are written completely or not at all, and the locks.
//!
//! `common` does not link polars, the SQL driver or the web server, so a step that needs only this crate starts in a
//! few milliseconds.

#![warn(missing_docs)]

pub mod atomic;
pub mod checksum;
pub mod cli;
pub mod config;
pub mod database;
pub mod engine;
pub mod files;
pub mod ingested;
pub mod lock;
pub mod model;
pub mod pickle;
pub mod promotion;
pub mod release;
pub mod reports;
pub mod schema;
pub mod score;
pub mod service;
pub mod shift;
pub mod versioned;

/// The metrics of a set of predictions, re-exported.
pub use statistics::confusion as metrics;
