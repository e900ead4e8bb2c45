//! Files: their names, how they are found, checked and written, and what ingestion records about them.

pub mod atomic;
pub mod batch;
pub mod checksum;
pub mod ingested;
mod listing;
pub mod lock;
pub(crate) mod names;
pub mod versioned;

pub use listing::{DataFile, csv_files, csv_files_if_any, has_csv_suffix};
pub use names::*;
