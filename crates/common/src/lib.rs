//! What every step shares and no step owns: the checked configuration, the model and its two encodings, the metrics,
//! the layout of production, files that are written whole or not at all, and the locks.
//!
//! `common` knows neither polars, nor the SQL driver, nor the web server; a step that needs only this crate starts in
//! a few milliseconds.

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

/// What a set of predictions is worth.
pub use statistics::confusion as metrics;
