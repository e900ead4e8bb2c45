//! The result of ingestion for the later steps: the files from which the compiled dataset was made, and what was found
//! in them.
//!
//! Rows of a database become files too: each time there are new rows, ingestion stores them as a batch, a CSV file in
//! the output folder that never changes again. From then on, a batch is treated like any other file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;
use crate::files::batch::{Batch, Watermark};
use crate::files::checksum::Checksum;
use crate::files::listing::{DataFile, csv_files, csv_files_if_any};
use crate::files::names::{BATCHES, INGESTION_RECORD};

/// One input file of the compiled dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestedFile {
    /// Name of the file in the input folder.
    pub name: String,
    /// SHA-256 of the file's bytes as they were read.
    pub sha256: Checksum,
    /// Number of rows that could be read.
    pub rows: u64,
    /// Number of these rows that repeat an earlier row exactly, in this file or in a file read before it.
    pub duplicates: u64,
    /// Number of rows that could not be read.
    pub quarantined: u64,
    /// Number of missing values among the rows that could be read, by column.
    pub missing: BTreeMap<String, u64>,
    /// Rows of a database that the file holds; `None` if they did not come from a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// Length and modification time of the file, if an engine listed it. While they stay the same, the content counts
    /// as unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// An input file of the compiled dataset, as an engine lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Name of the file in the input folder.
    pub name: String,
    /// Path of the file; on shared storage an address.
    pub path: PathBuf,
    /// SHA-256 of the file's content.
    pub sha256: Checksum,
    /// Ids of the releases that know the file, because it consists of batches that they know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_by: Vec<String>,
}

impl ListedFile {
    /// Returns a file with the checksum of its content.
    pub fn new(file: DataFile, sha256: Checksum) -> Self {
        let merged = file.batch.and_then(|batch| batch.merged).filter(|merged| merged.sha256 == sha256);
        let known_by = merged.map_or_else(Vec::new, |merged| merged.known_by);
        Self { name: file.name, path: file.path, sha256, known_by }
    }

    /// Returns a file on a local disk, with the checksum of its present content.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn read(file: DataFile) -> Result<Self> {
        let sha256 = Checksum::of_file(&file.path)?;
        Ok(Self::new(file, sha256))
    }
}

/// Returns all files that currently belong to the compiled dataset: those of the input folder, then the batches that
/// ingestion has already read from the input database.
///
/// # Errors
/// Fails like [`csv_files`], except that with an input database a folder without a CSV file is not an error. Fails also
/// if the file of a batch is missing.
pub fn inputs(config: &Config) -> Result<Vec<DataFile>> {
    let Some(input) = &config.input_database else { return csv_files(&config.input_folder) };
    let mut files = csv_files_if_any(&config.input_folder)?;
    if fs::exists(config.output_folder.join(INGESTION_RECORD))? {
        let batches = Ingested::read(&config.output_folder)?.files.into_iter().filter_map(|file| {
            let batch = file.batch.filter(|batch| batch.is_from(input))?;
            Some(DataFile { path: batches(config).join(&file.name), name: file.name, batch: Some(batch) })
        });
        files.extend(batches);
    }
    if let Some(missing) = files.iter().find(|file| file.batch.is_some() && !file.path.exists()) {
        bail!(
            "{} is missing; restore it, or delete {} to read all rows of the input database again",
            missing.path.display(),
            config.output_folder.join(INGESTION_RECORD).display()
        );
    }
    Ok(files)
}

/// Returns the folder of the batches.
pub fn batches(config: &Config) -> PathBuf {
    config.output_folder.join(BATCHES)
}

/// Returns the current watermark: the highest value seen so far of the growing column. `files` is the result of [`inputs`];
/// `None` if it has no batch.
pub fn watermark(files: &[DataFile]) -> Option<&Watermark> {
    files.iter().rev().find_map(|file| file.batch.as_ref()).map(|batch| &batch.up_to)
}

/// The description of a compiled dataset. It contains only values that stay the same when the same files are ingested
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingested {
    /// SHA-256 of finaldata.csv.
    pub dataset_sha256: Checksum,
    /// Number of rows of finaldata.csv.
    pub rows: u64,
    /// Number of missing values of finaldata.csv, by column.
    pub missing: BTreeMap<String, u64>,
    /// The input files in the order in which they were read.
    pub files: Vec<IngestedFile>,
    /// Number of corporations that are listed both as having left and as having stayed.
    pub contradictory_corporations: u64,
    /// The ten of these corporations whose names come first in bytewise order, in this order.
    pub contradictory_examples: Vec<String>,
    /// Address of the compiled dataset, if it is not in the folder of this description but on storage that a cluster
    /// shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl Ingested {
    /// Reads the description beside the compiled dataset in `output_folder`.
    pub fn read(output_folder: &Path) -> Result<Self> {
        let path = output_folder.join(INGESTION_RECORD);
        let text =
            fs::read(&path).context("reading the compiled dataset's record (run ingestion first if there is none)")?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}; run ingestion again", path.display()))
    }

    /// Returns the content of ingestedfiles.txt.
    pub fn record(&self) -> Vec<u8> {
        let names: Vec<_> = self.files.iter().map(|file| file.name.as_str()).collect();
        record_of_names(&names).into_bytes()
    }
}

/// Formats names so that both Python's `ast.literal_eval` and a JSON parser can read them: `["a.csv", "b.csv"]`.
pub fn record_of_names(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| Value::from(*name).to_string()).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::batch::Merged;

    #[test]
    fn a_merged_batch_with_another_content_is_known_to_no_release() {
        let sha256 = Checksum::of_bytes(b"merged");
        let merged = Merged { sha256: sha256.clone(), known_by: vec!["release".into()] };
        let file = |merged| {
            let (database, rows, column) = ("crm.sqlite".into(), "activity".into(), "id".into());
            let batch = Batch { database, rows, column, above: None, up_to: Watermark::Integer(9), merged };
            DataFile { name: "batch.csv".into(), path: "batch.csv".into(), batch: Some(batch) }
        };
        assert_eq!(ListedFile::new(file(Some(merged.clone())), sha256.clone()).known_by, ["release"]);
        assert_eq!(ListedFile::new(file(Some(merged)), Checksum::of_bytes(b"edited")).known_by, [""; 0]);
        assert_eq!(ListedFile::new(file(None), sha256).known_by, [""; 0]);
    }

    #[test]
    fn a_record_reads_back_whatever_the_names() {
        let names = ["dataset1.csv", "o'neil \"x\".csv", "größe\\.csv"];
        assert_eq!(serde_json::from_str::<Vec<String>>(&record_of_names(&names)).unwrap(), names);
        assert_eq!(record_of_names(&names[..1]), "[\"dataset1.csv\"]");
        assert_eq!(record_of_names(&[]), "[]");
    }
}
