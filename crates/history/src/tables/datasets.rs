//! The tables of an ingestion: `datasets`, `ingested_files` and `ingested_missing_values`. The rows of the dataset
//! themselves are in the table `clients`, see [`crate::clients`].

use anyhow::Result;
use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, IngestedFile};

use crate::columns::columns;
use crate::record::Record;
use crate::store::History;

/// The table of the dataset's rows.
pub(crate) const CLIENTS: &str = "clients";

columns! {
    /// The compiled dataset of an ingestion.
    DatasetRecord in "datasets" {
        /// SHA-256 of finaldata.csv.
        sha256: Checksum,
        /// Number of rows in finaldata.csv.
        rows: u64 => "row_count",
        /// Number of corporations that are listed both as left and as active.
        contradictory_corporations: u64,
        /// Whether the rows were written to `clients`.
        stored: bool,
    }
}

columns! {
    /// A file, or a batch of a database's rows, from which a dataset was compiled.
    IngestedFileRecord in "ingested_files" {
        /// The name of the file.
        name: String,
        /// SHA-256 of the file's content.
        sha256: Checksum,
        /// Number of rows that could be read.
        rows: u64 => "row_count",
        /// Number of rows that repeat an earlier row.
        duplicates: u64,
        /// Number of rows that could not be read.
        quarantined: u64,
        /// For a batch: which rows of which database it holds.
        source: Option<String>,
    }
}

columns! {
    /// The first ingestion of a file with its content.
    Arrival {
        /// The name of the file.
        name: String,
        /// SHA-256 of the file's content.
        sha256: Checksum,
        /// For a batch: which rows of which database it holds.
        source: Option<String>,
        /// The id of the run.
        run: i64 => "run_id",
    }
}

impl History {
    /// Returns every file with every content that was ever ingested, with the first run that ingested it. Files of an
    /// earlier run come first; those of one run are in any order.
    pub fn arrivals(&mut self) -> Result<Vec<Arrival>> {
        let query = "SELECT name, sha256, source, MIN(run_id) FROM ingested_files GROUP BY name, sha256, source
            ORDER BY MIN(run_id)";
        self.records(query, &[])
    }
}

columns! {
    /// The missing values in one column of an ingested file.
    MissingValues in "ingested_missing_values" {
        /// The name of the file.
        name: String,
        /// The name of the column.
        column: String => "column_name",
        /// Number of missing values.
        missing: u64,
    }
}

/// Returns the records of an ingestion. `stored` states whether the rows are written to `clients`.
pub(crate) fn ingestion_records(ingested: &Ingested, stored: bool) -> impl Record {
    let file = |file: &IngestedFile| IngestedFileRecord {
        name: file.name.clone(),
        sha256: file.sha256.clone(),
        rows: file.rows,
        duplicates: file.duplicates,
        quarantined: file.quarantined,
        source: file.batch.as_ref().map(ToString::to_string),
    };
    let missing = ingested.files.iter().flat_map(|file| {
        file.missing.iter().map(|(column, missing)| MissingValues {
            name: file.name.clone(),
            column: column.clone(),
            missing: *missing,
        })
    });
    let dataset = DatasetRecord {
        sha256: ingested.dataset_sha256.clone(),
        rows: ingested.rows,
        contradictory_corporations: ingested.contradictory_corporations,
        stored,
    };
    (ingested.files.iter().map(file).collect::<Vec<_>>(), (missing.collect::<Vec<_>>(), dataset))
}
