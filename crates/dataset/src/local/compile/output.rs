//! The last stage of the merge: writes what is kept and counts what was found, file by file.

use std::borrow::Cow;
use std::io::Write;
use std::str;

use anyhow::{Context, Error, Result};
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, IngestedFile};
use common::schema::Schema;

use super::batch::Batch;
use super::reasons::Reasons;
use crate::local::check::{Checked, CheckedFile};
use crate::local::parallel::{OnFault, Passed, Taken};
use crate::local::reader::MissingColumns;
use crate::quarantine::{MalformedCount, write_row};
use crate::rules::{EXAMPLES, check_any_row};

/// Number of bytes of malformed rows in one file from which their share is checked while reading, so that a file of the
/// wrong kind fails early.
const MUCH_QUARANTINE: usize = 16 * 1024 * 1024;

/// Where the rows go, and what was found so far.
pub struct Output<'a, D, Q> {
    pub schema: &'a Schema,
    pub files: &'a [DataFile],
    pub dataset: &'a mut D,
    pub quarantine: &'a mut Q,
    pub progress: &'a mut (dyn FnMut(u64) + Send),
    pub on_fault: OnFault,
    pub found: Found,
}

/// The results so far, of all files and of the file that is being read.
#[derive(Default)]
pub struct Found {
    /// The files that have been read, with their checksums.
    ended: Vec<(FileCounts, Checksum)>,
    /// The file that is being read.
    file: FileCounts,
    rows: u64,
    missing: Vec<u64>,
    read: u64,
    contradictory: u64,
    /// The bytewise smallest ids of contradictory clients, in order.
    examples: Vec<String>,
    /// The first fault, after which nothing more is written.
    failure: Option<Error>,
}

#[derive(Default)]
struct FileCounts {
    rows: u64,
    duplicates: u64,
    missing: Vec<u64>,
    malformed: MalformedCount,
    quarantined_bytes: usize,
    /// Why rows are malformed; collected only if the reading goes on after a fault.
    reasons: Reasons,
    /// Why the file cannot be used, if the reading goes on after a fault.
    fault: Option<Error>,
    /// Whether the rest of the file cannot be read.
    is_unreadable: bool,
}

/// What the other stages found out about a batch.
pub struct Decided {
    /// Which rows are kept.
    pub kept: Vec<bool>,
    /// The rows that show that their client is listed both as left and as active.
    pub contradictory: Vec<u32>,
    /// The text of the rows that are kept.
    pub text: Vec<u8>,
}

impl<D: Write, Q: Write> Output<'_, D, Q> {
    /// Writes a batch. Returns whether the reading may go on.
    pub fn pass(&mut self, piece: &mut Taken, batch: &Batch, passed: Passed, decided: &Decided) -> bool {
        if self.found.failure.is_some() {
            return false;
        }
        match (self.count(piece, batch, &passed, decided), self.on_fault) {
            (Ok(malformed), _) => self.found.failure = self.write(&decided.text, &malformed).err(),
            (Err(fault), OnFault::Stop) => {
                let path = self.files[piece.file].path.display();
                self.found.failure = Some(fault.context(path.to_string()));
            }
            (Err(fault), OnFault::GoOn) => self.found.file.fault = Some(fault),
        }
        if let Some(sha256) = passed.checksum {
            self.found.ended.push((std::mem::take(&mut self.found.file), sha256));
        }
        self.found.failure.is_none()
    }

    fn write(&mut self, rows: &[u8], malformed: &[u8]) -> Result<()> {
        self.dataset.write_all(rows).context("writing the dataset")?;
        self.quarantine.write_all(malformed).context("writing the quarantine")
    }

    /// Adds what was found in a batch. Returns its malformed rows as lines of quarantine.csv.
    fn count(&mut self, piece: &mut Taken, batch: &Batch, passed: &Passed, decided: &Decided) -> Result<Vec<u8>> {
        let Self { schema, files, progress, on_fault, found, .. } = self;
        let Found { file, .. } = found;
        if file.is_unreadable {
            return Ok(Vec::new());
        }
        if let Some(fault) = piece.fault.take() {
            return Err(fault);
        }
        let name = &files[piece.file].name;
        let mut malformed_lines = Vec::new();
        for row in &batch.malformed {
            let line = passed.lines + row.line;
            file.malformed.add(line, row.lines, &row.reason);
            let reason = row.reason.to_string();
            write_row(&mut malformed_lines, name, line, &reason, &row.text);
            if *on_fault == OnFault::GoOn {
                file.reasons.add(line, &row.reason, reason);
            }
        }
        file.quarantined_bytes += malformed_lines.len();
        let kept = decided.kept.iter().filter(|kept| **kept).count() as u64;
        file.rows += batch.rows() as u64;
        file.duplicates += batch.rows() as u64 - kept;
        found.read += batch.rows() as u64;
        found.rows += kept;
        for counts in [&mut file.missing, &mut found.missing] {
            counts.resize(schema.width(), 0);
        }
        for (row, missing) in &batch.missing {
            count_missing(&mut file.missing, *missing);
            if decided.kept[*row as usize] {
                count_missing(&mut found.missing, *missing);
            }
        }
        found.contradictory += decided.contradictory.len() as u64;
        for row in &decided.contradictory {
            add_example(&mut found.examples, batch.text(*row as usize));
        }
        progress(found.read);
        if let Some(unreadable) = &batch.unreadable {
            file.is_unreadable = true;
            return Err(unreadable.after(passed.lines));
        }
        if file.quarantined_bytes > MUCH_QUARANTINE || piece.is_last {
            file.malformed.check_share(file.rows)?;
        }
        Ok(malformed_lines)
    }
}

impl Found {
    /// Returns the description of the dataset made of `files`, whose checksum is `dataset_sha256`.
    ///
    /// # Errors
    /// Fails with the first fault, and if there is no row.
    pub fn finish(self, schema: &Schema, files: &[DataFile], dataset_sha256: Checksum) -> Result<Ingested> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        check_any_row(self.rows, self.ended.len())?;
        let ingested = files.iter().zip(self.ended).map(|(file, (counts, sha256))| IngestedFile {
            name: file.name.clone(),
            sha256,
            rows: counts.rows,
            duplicates: counts.duplicates,
            quarantined: counts.malformed.rows,
            missing: schema.by_column(&counts.missing),
            batch: file.batch.clone(),
            state: None,
        });
        Ok(Ingested {
            dataset_sha256,
            rows: self.rows,
            missing: schema.by_column(&self.missing),
            files: ingested.collect(),
            contradictory_corporations: self.contradictory,
            contradictory_examples: self.examples,
            location: None,
        })
    }

    /// Returns what was found in each of `files`.
    pub fn checked(self, schema: &Schema, files: &[DataFile]) -> Checked {
        let files = files.iter().zip(self.ended).map(|(file, (counts, _))| CheckedFile {
            path: file.path.display().to_string(),
            accepted: counts.fault.is_none(),
            fault: counts.fault.map(|fault| format!("{fault:#}")),
            rows: counts.rows,
            duplicates: counts.duplicates,
            quarantined: counts.malformed.rows,
            reasons: counts.reasons.in_order_of_lines(),
            missing: schema.by_column(&counts.missing),
        });
        Checked {
            files: files.collect(),
            rows: self.rows,
            contradictory_corporations: self.contradictory,
            contradictory_examples: self.examples,
        }
    }
}

fn count_missing(counts: &mut [u64], mut missing: MissingColumns) {
    while missing != 0 {
        counts[missing.trailing_zeros() as usize] += 1;
        missing &= missing - 1;
    }
}

/// Adds the id of a row in canonical text, so that the bytewise smallest ones remain.
fn add_example(examples: &mut Vec<String>, row: &[u8]) {
    let Some(id) = id(row) else { return };
    let position = examples.partition_point(|example| **example < *id);
    if position < EXAMPLES {
        examples.truncate(EXAMPLES - 1);
        examples.insert(position, id.into_owned());
    }
}

/// Returns the id of a row in canonical text, without quotes.
fn id(row: &[u8]) -> Option<Cow<'_, str>> {
    if row.starts_with(b"\"") {
        let record = csv::ReaderBuilder::new().has_headers(false).from_reader(row).records().next()?.ok()?;
        return record.get(0).map(|id| Cow::Owned(id.to_owned()));
    }
    let id = row.split(|byte| *byte == b',').next()?;
    str::from_utf8(id).ok().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_ids_are_kept_whatever_their_order() {
        let ids: Vec<String> = (0..100).map(|i| format!("c{:02}", i * 37 % 100)).collect();
        let mut examples = Vec::new();
        for id in &ids {
            add_example(&mut examples, format!("{id},1,2,3,0\n").as_bytes());
        }
        add_example(&mut examples, b"\"c, \"\"05\"\"\",1,2,3,0\n");
        let expected: Vec<String> = (0..9).map(|i| format!("c{i:02}")).collect();
        assert_eq!((examples[0].as_str(), &examples[1..]), ("c, \"05\"", &expected[..]));
    }
}
