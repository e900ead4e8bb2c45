//! The names that the contract fixes, and which files of a folder count as data.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::ingested::Batch;

/// The compiled dataset.
pub const FINAL_DATA: &str = "finaldata.csv";
/// The names of the ingested files, at once a Python list and JSON.
pub const INGESTED_FILES: &str = "ingestedfiles.txt";
/// The rows that could not be read.
pub const QUARANTINE: &str = "quarantine.csv";
/// What ingestion found, file by file; stands in the same set as the three above.
pub const INGESTION_FACTS: &str = "ingestion.json";
/// The folder, beside those four, of the rows that were taken from a database.
pub const BATCHES: &str = "batches";
/// The model that every step loads.
pub const MODEL: &str = "trainedmodel.bin";
/// The same model as a Python pickle.
pub const PICKLE: &str = "trainedmodel.pkl";
/// The F1 score, a plain number.
pub const LATEST_SCORE: &str = "latestscore.txt";
/// The same score with the model and the data that it belongs to.
pub const SCORE_FACTS: &str = "latestscore.json";
/// The confusion matrix of the deployed model.
pub const CONFUSION_MATRIX: &str = "confusionmatrix.png";
/// The score, the missing values and the seconds over time.
pub const TIME_TRENDS: &str = "timetrends.png";
/// How well the deployed model ranks, and how far its probabilities can be believed.
pub const MODEL_QUALITY: &str = "modelquality.png";
/// Whom to call.
pub const CALL_LIST: &str = "calllist.csv";
/// All of it on paper.
pub const REPORT: &str = "report.pdf";
/// Which release the five reports above are of.
pub const REPORT_FACTS: &str = "reports.json";
/// Every endpoint's answer.
pub const API_RETURNS: &str = "apireturns.txt";

/// A data file: its name in its folder, and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// The file's name, as ingestedfiles.txt records it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Which rows of a database it holds, where it came from one.
    pub batch: Option<Batch>,
}

impl DataFile {
    /// The file at `path`, under its own name.
    pub fn at(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name in UTF-8; rename it", path.display()))?;
        Ok(Self { name: name.to_owned(), path: path.to_owned(), batch: None })
    }
}

/// Whether a configured place is an address on storage that a cluster shares (`s3a://bucket/folder`) and not a path here.
pub fn is_address(place: &Path) -> bool {
    place.to_str().is_some_and(|place| place.contains("://"))
}

/// The CSV files of `folder`, in the order of their names. Hidden files, folders and all other files are passed over.
///
/// # Errors
/// Where the folder cannot be read, holds no CSV, or holds one whose name is not UTF-8.
pub fn csv_files(folder: &Path) -> Result<Vec<DataFile>> {
    let files = csv_files_if_any(folder)?;
    if files.is_empty() {
        bail!("{} holds no CSV file; put at least one *.csv there, or correct the config", folder.display());
    }
    Ok(files)
}

/// As [`csv_files`], where there may be none.
pub fn csv_files_if_any(folder: &Path) -> Result<Vec<DataFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && has_csv_suffix(&path) {
            // A link that leads nowhere, or a share that is away, is no reason to do without the file in silence.
            let metadata =
                fs::metadata(&path).with_context(|| format!("reading {}; mend or remove it", path.display()))?;
            if metadata.is_file() {
                files.push(DataFile::at(&path)?);
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Whether a path ends in `.csv`, in any case.
pub fn has_csv_suffix(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("csv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_csv_files_count_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "A.CSV", ".hidden.csv", "notes.txt", "csv", "a.csv.bak"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("folder.csv")).unwrap();
        let names: Vec<_> = csv_files(folder.path()).unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["A.CSV", "b.csv"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "").unwrap();
        std::os::unix::fs::symlink("/no/such/file", folder.path().join("b.csv")).unwrap();
        let error = csv_files(folder.path()).unwrap_err().to_string();
        assert!(error.contains("b.csv"), "{error}");
    }

    #[test]
    fn no_csv_is_an_error_that_names_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = csv_files(folder.path()).unwrap_err().to_string();
        assert!(error.contains(folder.path().to_str().unwrap()) && error.contains("no CSV file"), "{error}");
    }
}
