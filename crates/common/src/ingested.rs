//! The result of ingestion for the later steps: the files from which the compiled dataset was made, and what was found
//! in them.
//!
//! Rows of a database become files too: each time there are new rows, ingestion stores them as a batch, a CSV file in
//! the output folder that never changes again. From then on, a batch is treated like any other file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checksum::Checksum;
use crate::config::Config;
use crate::database::{InputDatabase, InputRows};
use crate::files::{BATCHES, DataFile, INGESTION_FACTS, csv_files, csv_files_if_any};

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
}

/// Rows that were read from a database together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Address of the database, without user and password.
    pub database: String,
    /// Name of the table, or text of the query.
    pub rows: String,
    /// Name of the growing column.
    pub column: String,
    /// Watermark before the batch; `None` in the first batch.
    pub above: Option<Mark>,
    /// Watermark after the batch: the highest value of the column in these rows.
    pub up_to: Mark,
}

/// A watermark: a value of the growing column. Rows with a higher value are new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "RawMark")]
pub enum Mark {
    /// An integer value of the column.
    Integer(i64),
    /// A time or another text that contains only the characters allowed by [`Mark::text`].
    Text(String),
}

/// A watermark as read from a file, before it is checked: the file may have been edited.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawMark {
    Integer(i64),
    Text(String),
}

impl TryFrom<RawMark> for Mark {
    type Error = &'static str;

    fn try_from(raw: RawMark) -> Result<Self, Self::Error> {
        match raw {
            RawMark::Integer(number) => Ok(Self::Integer(number)),
            RawMark::Text(text) => Self::text(&text).ok_or("a mark holds a letter that no mark has"),
        }
    }
}

impl Mark {
    /// Creates a watermark from a text; `None` if the text is empty, longer than 100 bytes, or contains other
    /// characters than ASCII letters, digits and those used to write times. The allowed characters need no quoting in
    /// an SQL statement or a file name.
    pub fn text(text: &str) -> Option<Self> {
        let harmless = |letter: char| letter.is_ascii_alphanumeric() || " :.+-_".contains(letter);
        (!text.is_empty() && text.len() <= 100 && text.chars().all(harmless)).then(|| Self::Text(text.to_owned()))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { database, rows, column, above, up_to } = self;
        match above {
            Some(above) => write!(f, "{database}, {rows}: {column} above {above} up to {up_to}"),
            None => write!(f, "{database}, {rows}: {column} up to {up_to}"),
        }
    }
}

impl Batch {
    /// Creates the batch of the rows of `input` above one watermark, up to and including another.
    pub fn new(input: &InputDatabase, above: Option<Mark>, up_to: Mark) -> Self {
        let rows = match &input.rows {
            InputRows::Table(rows) | InputRows::Query(rows) => rows.clone(),
        };
        Self { database: input.url.to_string(), rows, column: input.column.clone(), above, up_to }
    }

    /// Returns a name for the batch's file. No other batch has the same name.
    pub fn file_name(&self, input: &InputDatabase) -> String {
        let Self { database, rows, column, above, up_to } = self;
        let identity = Checksum::of_bytes(format!("{database}\n{rows}\n{column}\n{above:?}\n{up_to}").as_bytes());
        format!("database.{}.{column}.{up_to}.{}.csv", input.name(), &identity.short()[..6])
    }

    fn is_from(&self, input: &InputDatabase) -> bool {
        *self == Self::new(input, self.above.clone(), self.up_to.clone())
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
    if fs::exists(config.output_folder.join(INGESTION_FACTS))? {
        let batches = Ingested::read(&config.output_folder)?.files.into_iter().filter_map(|file| {
            let batch = file.batch.filter(|batch| batch.is_from(input))?;
            Some(DataFile { path: batches(config).join(&file.name), name: file.name, batch: Some(batch) })
        });
        files.extend(batches);
    }
    if let Some(gone) = files.iter().find(|file| file.batch.is_some() && !file.path.exists()) {
        bail!(
            "{} is gone; put it back, or remove {} to take all rows of the input database again",
            gone.path.display(),
            config.output_folder.join(INGESTION_FACTS).display()
        );
    }
    Ok(files)
}

/// The folder of the batches.
pub fn batches(config: &Config) -> PathBuf {
    config.output_folder.join(BATCHES)
}

/// The current watermark: the highest value seen so far of the growing column. `files` is the result of [`inputs`];
/// `None` if it has no batch.
pub fn high_water_mark(files: &[DataFile]) -> Option<&Mark> {
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
    /// The first few of these corporations, by name.
    pub contradictory_examples: Vec<String>,
    /// Address of the compiled dataset, if it is not in the folder of this description but on storage that a cluster
    /// shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl Ingested {
    /// Reads the description beside the compiled dataset in `output_folder`.
    pub fn read(output_folder: &Path) -> Result<Self> {
        let path = output_folder.join(INGESTION_FACTS);
        let text = std::fs::read(&path).with_context(|| format!("reading {}; run ingestion first", path.display()))?;
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

    #[test]
    fn a_record_reads_back_whatever_the_names() {
        let names = ["dataset1.csv", "o'neil \"x\".csv", "größe\\.csv"];
        assert_eq!(serde_json::from_str::<Vec<String>>(&record_of_names(&names)).unwrap(), names);
        assert_eq!(record_of_names(&names[..1]), "[\"dataset1.csv\"]");
        assert_eq!(record_of_names(&[]), "[]");
    }

    #[test]
    fn a_mark_holds_nothing_that_could_end_a_text_in_a_statement_or_leave_a_folder() {
        for text in ["2026-11-23 09:00:00.5+00", "01JDC0K8", "a_b"] {
            assert_eq!(Mark::text(text).unwrap().to_string(), text);
        }
        for text in ["", "o'neil", "a/b", "a\\b", "a\"b", "a;b", "größe", "a\0"] {
            assert_eq!(Mark::text(text), None, "{text}");
        }
        assert_eq!(serde_json::to_string(&[Mark::Integer(-3), Mark::Text("3".into())]).unwrap(), "[-3,\"3\"]");
        assert_eq!(serde_json::from_str::<Mark>("-3").unwrap(), Mark::Integer(-3));
        assert_eq!(serde_json::from_str::<Mark>("\"a\"").unwrap(), Mark::Text("a".into()));
        assert!(serde_json::from_str::<Mark>("\"' OR 1 --\"").is_err());
    }
}
