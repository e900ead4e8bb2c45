//! What ingestion hands to the later steps: which files the compiled dataset was made of, and what was found in them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checksum::Checksum;
use crate::files::INGESTION_FACTS;

/// One file's share in the compiled dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestedFile {
    /// The file's name in the input folder.
    pub name: String,
    /// Of the file's bytes as they were read.
    pub sha256: Checksum,
    /// Rows that could be read.
    pub rows: u64,
    /// Of those, exact repetitions of an earlier row, in this file or in one before it.
    pub duplicates: u64,
    /// Rows that could not be read.
    pub quarantined: u64,
    /// Missing values among the rows that could be read, by column.
    pub missing: BTreeMap<String, u64>,
}

/// A compiled dataset, described. Holds nothing that changes when the same files are ingested again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// Of finaldata.csv.
    pub dataset_sha256: Checksum,
    /// Rows of finaldata.csv.
    pub rows: u64,
    /// Missing values of finaldata.csv, by column.
    pub missing: BTreeMap<String, u64>,
    /// In the order in which they were read.
    pub files: Vec<IngestedFile>,
    /// How many corporations stand in the dataset both as having left and as having stayed.
    pub contradictory_corporations: u64,
    /// The first few of them, by name.
    pub contradictory_examples: Vec<String>,
}

impl Ingested {
    /// Reads the description that stands beside the compiled dataset in `output_folder`.
    pub fn read(output_folder: &Path) -> Result<Self> {
        let path = output_folder.join(INGESTION_FACTS);
        let text = std::fs::read(&path).with_context(|| format!("reading {}; run ingestion first", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}; run ingestion again", path.display()))
    }

    /// The content of ingestedfiles.txt.
    pub fn record(&self) -> Vec<u8> {
        let names: Vec<_> = self.files.iter().map(|file| file.name.as_str()).collect();
        record_of_names(&names).into_bytes()
    }
}

/// Writes names so that both Python's `ast.literal_eval` and a JSON parser read them back: `["a.csv", "b.csv"]`.
pub fn record_of_names(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| Value::from(*name).to_string()).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_whatever_the_names() {
        let names = ["dataset1.csv", "o'neil \"x\".csv", "größe\\.csv"];
        assert_eq!(serde_json::from_str::<Vec<String>>(&record_of_names(&names)).unwrap(), names);
        assert_eq!(record_of_names(&names[..1]), "[\"dataset1.csv\"]");
        assert_eq!(record_of_names(&[]), "[]");
    }
}
