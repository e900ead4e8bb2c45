//! The rules by which a file of a folder counts as data.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fs_err as fs;

use crate::files::batch::Batch;

/// A data file: its name and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Name of the file, as ingestedfiles.txt records it.
    pub name: String,
    /// Path of the file; on shared storage an address.
    pub path: PathBuf,
    /// Rows of a database that the file holds; `None` if they did not come from a database.
    pub batch: Option<Batch>,
}

impl DataFile {
    /// Returns the file at `path`, with its own name.
    ///
    /// # Errors
    /// Fails if the path has no file name or the name is not valid UTF-8.
    pub fn at(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.with_context(|| format!("the name of {} is not valid UTF-8; rename the file", path.display()))?;
        Ok(Self { name: name.to_owned(), path: path.to_owned(), batch: None })
    }
}

/// Returns the CSV files of `folder`, sorted by name. Hidden files, folders and all other files are ignored.
///
/// # Errors
/// Fails if the folder cannot be read, holds no CSV file, or holds one whose name is not valid UTF-8.
pub fn csv_files(folder: &Path) -> Result<Vec<DataFile>> {
    let files = csv_files_if_any(folder)?;
    if files.is_empty() {
        bail!("{} holds no CSV file; add at least one *.csv file or correct the config", folder.display());
    }
    Ok(files)
}

/// Like [`csv_files`], but a folder without a CSV file is not an error.
pub fn csv_files_if_any(folder: &Path) -> Result<Vec<DataFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && has_csv_suffix(&path) {
            // A dangling link or an unavailable share must not silently drop the file.
            let metadata =
                fs::metadata(&path).with_context(|| format!("reading {}; repair or remove it", path.display()))?;
            if metadata.is_file() {
                files.push(DataFile::at(&path)?);
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Whether a path ends in `.csv`, in upper or lower case.
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
