//! Checks files that someone is about to deliver, by ingestion's rules, and writes nothing.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use common::cli;
use common::config::Config;
use common::files::{DataFile, csv_files, has_csv_suffix};
use dataset::TOLERATED_MALFORMED_SHARE;
use dataset::local::check::{Checked, CheckedFile, RowFault};
use fs_err as fs;
use serde::Serialize;

/// Maximum number of reasons that are printed for one file. JSON has more of them.
const PRINTED_REASONS: usize = 10;

/// What ingestion would make of files if they were its input.
#[derive(Debug, Serialize)]
pub struct CheckOutcome {
    /// Whether ingestion would succeed.
    pub accepted: bool,
    /// The findings in the files.
    #[serde(flatten)]
    pub checked: Checked,
    /// Faults that belong to no single file.
    pub faults: Vec<String>,
    /// Findings that ingestion tolerates, but that should be looked at.
    pub warnings: Vec<String>,
}

/// Checks the files `paths`, and the CSV files of the folders among them, with the columns of `config`. Reads all of
/// them, whatever is wrong with some.
///
/// Rows count as repeated, and clients as contradictory, among these files; nothing is compared with the files of the
/// input folder.
pub fn check(config: &Config, paths: &[PathBuf]) -> CheckOutcome {
    let mut faults = Vec::new();
    let mut files: Vec<DataFile> = Vec::new();
    for path in paths {
        match files_at(path) {
            Ok(found) => files.extend(found),
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone())));
    files.sort_by(|a, b| a.name.cmp(&b.name)); // the order in which ingestion reads them
    let checked = dataset::local::check::check(config, &files);
    let is_each_accepted = checked.files.iter().all(|file| file.accepted);
    if !files.is_empty() && is_each_accepted && checked.rows == 0 {
        faults.push(format!("none of the {} CSV files contains a row", files.len()));
    }
    let warnings = warnings(&files, &checked);
    CheckOutcome { accepted: is_each_accepted && faults.is_empty(), checked, faults, warnings }
}

/// Returns the file at `path`, or the files that ingestion would read from the folder there.
fn files_at(path: &Path) -> Result<Vec<DataFile>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return csv_files(path);
    }
    // Opening a named pipe would wait for its writer.
    if !metadata.is_file() {
        bail!("{} is neither a file nor a folder; save what it delivers as a file", path.display());
    }
    Ok(vec![DataFile::at(path)?])
}

fn warnings(files: &[DataFile], checked: &Checked) -> Vec<String> {
    let mut warnings = Vec::new();
    for file in checked.files.iter().filter(|file| file.accepted) {
        if file.quarantined > 0 {
            warnings.push(format!(
                "{} rows of {} cannot be read; ingestion sets them aside and accepts the file, because they are not more \
                 than {} % of its lines",
                file.quarantined,
                file.path,
                100.0 * TOLERATED_MALFORMED_SHARE
            ));
        }
        if file.rows == 0 {
            warnings.push(format!("{} contains no row", file.path));
        }
    }
    for file in files.iter().filter(|file| file.name.starts_with('.') || !has_csv_suffix(&file.path)) {
        warnings.push(format!(
            "{} must get another name: ingestion reads only visible files whose name ends with .csv",
            file.path.display()
        ));
    }
    for pair in files.windows(2).filter(|pair| pair[0].name == pair[1].name) {
        let [first, second] = [&pair[0].path, &pair[1].path].map(|path| path.display());
        warnings.push(format!("{first} and {second} have the same name; in one folder one would replace the other"));
    }
    warnings
}

impl cli::Outcome for CheckOutcome {
    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn is_success(&self) -> bool {
        self.accepted
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { accepted, checked, faults, .. } = self;
        let refused = checked.files.iter().filter(|file| !file.accepted).count();
        let verdict = if *accepted { "accepted" } else { "refused" };
        writeln!(f, "{verdict}: {} files checked, {refused} with a fault", checked.files.len())?;
        for fault in faults {
            writeln!(f, "  {fault}")?;
        }
        for file in &checked.files {
            write_file(f, file)?;
        }
        write!(
            f,
            "{} distinct rows; {} clients are listed both as left and as active",
            checked.rows, checked.contradictory_corporations
        )?;
        match &*checked.contradictory_examples {
            [] => Ok(()),
            examples => write!(f, ", among them {}", examples.join(", ")),
        }
    }
}

fn write_file(f: &mut fmt::Formatter, file: &CheckedFile) -> fmt::Result {
    let CheckedFile { path, fault, rows, duplicates, quarantined, reasons, missing, .. } = file;
    let missing: u64 = missing.values().sum();
    let verdict = if fault.is_none() { "accepted" } else { "refused" };
    writeln!(
        f,
        "  {path}: {verdict}, {rows} rows, {duplicates} duplicates, {quarantined} quarantined, {missing} missing values"
    )?;
    if let Some(fault) = fault {
        writeln!(f, "    {fault}")?;
    }
    for RowFault { reason, rows, lines, .. } in reasons.iter().take(PRINTED_REASONS) {
        let shown: Vec<String> = lines.iter().take(5).map(u64::to_string).collect();
        let more = if *rows > shown.len() as u64 { ", …" } else { "" };
        writeln!(f, "    line {}{more} ({rows} rows): {reason}", shown.join(", "))?;
    }
    let printed: u64 = reasons.iter().take(PRINTED_REASONS).map(|reason| reason.rows).sum();
    match quarantined - printed {
        0 => Ok(()),
        others => writeln!(f, "    {others} rows for other reasons"),
    }
}
