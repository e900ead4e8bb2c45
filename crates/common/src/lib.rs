//! The code that all steps share: the checked configuration, the model and its two encodings, the metrics, the layout
//! of production, files that are written completely or not at all, and the locks.
//!
//! `common` does not link polars, the SQL driver or the web server, so a step that needs only this crate starts in a
//! few milliseconds.

#![warn(missing_docs)]

pub mod api;
pub mod cli;
pub mod config;
pub mod files;
pub mod model;
pub mod outcomes;
pub mod production;
pub mod schema;
pub mod values;
