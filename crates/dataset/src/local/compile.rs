//! Merges CSV files into one table of distinct rows, in one pass, without holding their text in memory.
//!
//! Each file is read by its own thread, with at most `READERS` threads at a time. A thread sends batches of rows in
//! canonical text together with their fingerprints. One thread receives the batches in file order, keeps the first of
//! equal rows and writes it. Malformed rows are sent in the same batches.
//!
//! Memory grows with the data in two ways: the fingerprints of distinct rows need 20 to 39 bytes per row, and those of
//! distinct corporations 30 to 57 bytes each. A hash table has a power of two of slots of 17 bytes and is at most 7/8
//! full; the table of rows is reserved once, that of corporations is copied as it grows. These figures are measured
//! peaks of the process beyond the 20 MB that it needs for any data.
//!
//! Rows are equal if all values are equal, where missing equals missing, as in pandas' `drop_duplicates`. They are
//! compared by 128-bit fingerprints (XXH3 with a new random seed in every run, so that a file cannot be constructed to
//! cause collisions). Among 10^9 rows the probability of a collision is below 10^-20.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::io::Write;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::quarantine::{MalformedCount, QUARANTINE_HEADER, write_row};
use crate::rules::{EXAMPLES, check_any_row};
use anyhow::{Context, Result, bail};
use common::files::DataFile;
use common::files::checksum::{self, Checksum};
use common::files::ingested::{Ingested, IngestedFile};
use common::schema::Schema;
use fs_err::File;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::local::reader::{MalformedRow, MissingColumns, Next, Row, RowReader};
use crate::row::write_canonical;

const READERS: usize = 2;
/// Size of a batch's text, in bytes: large enough to make passing it between threads cheap, small enough to stay in the
/// cache.
const BATCH_BYTES: usize = 128 * 1024;
/// Maximum number of batches of one file in the queue.
const QUEUE_LENGTH: usize = 16;
/// Number of bytes of malformed rows in one file from which their share is checked while reading, so that a file of the
/// wrong kind fails early.
const MUCH_QUARANTINE: usize = 16 * 1024 * 1024;

/// Merges `files` with the columns of `schema`, in the order given. Writes the distinct rows to `dataset` and the unreadable rows to `quarantine`,
/// both with a header. `progress` is called from time to time with the number of rows read so far.
///
/// # Errors
/// Fails if a file cannot be read, its header or encoding is wrong, too many of its rows are malformed, or it changes
/// while it is read; the error names the file. Also fails if no file has a single row, because an empty result must not
/// replace an existing dataset.
pub fn compile(
    schema: &Schema,
    files: &[DataFile],
    dataset: &mut impl Write,
    quarantine: &mut impl Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Ingested> {
    let seed = RandomState::new().hash_one(0);
    let bytes = files.iter().filter_map(|file| file.path.metadata().ok()).map(|metadata| metadata.len()).sum();
    let mut merge = Merge::new(schema, dataset, bytes)?;
    quarantine.write_all(QUARANTINE_HEADER)?;
    let (senders, receivers): (Vec<_>, Vec<_>) = files.iter().map(|_| sync_channel(QUEUE_LENGTH)).unzip();
    let queue = Mutex::new(files.iter().zip(senders));

    let merged = thread::scope(|scope| -> Result<Vec<IngestedFile>> {
        for _ in 0..READERS.min(files.len()) {
            scope.spawn(|| {
                let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((file, sender)) = take() {
                    let outcome = read(schema, file, seed, &sender).with_context(|| file.path.display().to_string());
                    // Fails only if the merging thread has stopped, in which case the result is not needed.
                    let _ = sender.send(Message::End(Box::new(outcome)));
                }
            });
        }
        // Dropped at the first error, which makes the readers stop.
        let receivers = receivers;
        files.iter().zip(&receivers).map(|(file, batches)| merge.file(file, batches, quarantine, progress)).collect()
    })?;
    merge.finish(merged)
}

/// A message from a reading thread.
enum Message {
    Batch(Batch),
    End(Box<Result<FileEnd>>),
}

/// Some rows of one file.
#[derive(Default)]
struct Batch {
    /// The rows in canonical text, one after the other.
    text: Vec<u8>,
    rows: Vec<BatchRow>,
    /// The malformed rows among them, as lines of quarantine.csv.
    quarantine: Vec<u8>,
}

/// One row of a batch. Small, because all rows pass from a reading thread to the merging thread.
struct BatchRow {
    /// Start and end of the row's text in [`Batch::text`], which is a few megabytes at most.
    start: u32,
    end: u32,
    fingerprint: u128,
    /// The client's fingerprint; 0 if `exited` is `None`.
    client: u128,
    /// Whether the client left; `None` if that or the id is missing.
    exited: Option<bool>,
    missing: MissingColumns,
}

impl BatchRow {
    fn text(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The results for a file that has been read completely.
struct FileEnd {
    sha256: Checksum,
    rows: u64,
    quarantined: u64,
    missing: Vec<u64>,
}

/// Reads one file to its end and sends its rows.
fn read(schema: &Schema, file: &DataFile, seed: u64, sender: &SyncSender<Message>) -> Result<FileEnd> {
    let handle = File::open(&file.path)?;
    let before = handle.metadata()?;
    let mut reader = RowReader::new(schema, &handle)?;
    let mut batch = Batch::default();
    let mut end =
        FileEnd { sha256: Checksum::of_bytes(b""), rows: 0, quarantined: 0, missing: vec![0; schema.width()] };
    let mut malformed = MalformedCount::default();
    let mut quarantined_bytes = 0;
    while let Some(next) = reader.read_next()? {
        match next {
            Next::Row(row) => {
                end.rows += 1;
                let missing = batch.push(schema, &row, seed);
                count_missing(&mut end.missing, missing);
            }
            Next::Malformed(row) => {
                malformed.add(row.line, row.lines, &row.reason);
                quarantined_bytes += batch.set_aside(&file.name, &row);
                if quarantined_bytes > MUCH_QUARANTINE {
                    malformed.check_share(end.rows)?;
                }
            }
        }
        if batch.text.len() + batch.quarantine.len() >= BATCH_BYTES
            && sender.send(Message::Batch(std::mem::take(&mut batch))).is_err()
        {
            bail!("stopped, because another file failed");
        }
    }
    malformed.check_share(end.rows)?;
    end.quarantined = malformed.rows;
    let after = handle.metadata()?;
    if (before.len(), before.modified()?) != (after.len(), after.modified()?) {
        bail!("the file changed while it was read; run again when its writer has finished");
    }
    end.sha256 = reader.checksum();
    let _ = sender.send(Message::Batch(batch)); // may fail like the end message
    Ok(end)
}

impl Batch {
    /// Adds a row; returns which of its columns are missing.
    fn push(&mut self, schema: &Schema, row: &Row, seed: u64) -> MissingColumns {
        let start = self.text.len();
        write_canonical(&mut self.text, schema, row.id, row.predictors(), row.exited);
        let end = self.text.len();
        let exit = row.id.zip(row.exited);
        self.rows.push(BatchRow {
            start: start as u32,
            end: end as u32,
            fingerprint: xxh3_128_with_seed(&self.text[start..end], seed),
            client: exit.map_or(0, |(id, _)| xxh3_128_with_seed(id.as_bytes(), seed)),
            exited: exit.map(|(_, exited)| exited),
            missing: row.missing,
        });
        row.missing
    }

    /// Adds a malformed row; returns its size in the quarantine, in bytes.
    fn set_aside(&mut self, file_name: &str, row: &MalformedRow) -> usize {
        let before = self.quarantine.len();
        write_row(&mut self.quarantine, file_name, row.line, &row.reason.to_string(), row.text);
        self.quarantine.len() - before
    }
}

/// Returns the id of a row in canonical text, without quotes.
fn first_field(row: &[u8]) -> Option<String> {
    let record = csv::ReaderBuilder::new().has_headers(false).from_reader(row).records().next()?.ok()?;
    record.get(0).map(str::to_owned)
}

fn count_missing(counts: &mut [u64], mut missing: MissingColumns) {
    while missing != 0 {
        counts[missing.trailing_zeros() as usize] += 1;
        missing &= missing - 1;
    }
}

/// The state of the merging thread: all files so far, as one table.
struct Merge<'a, W> {
    schema: &'a Schema,
    out: &'a mut W,
    bytes: u64,
    checksum: checksum::Hasher,
    rows: u64,
    missing: Vec<u64>,
    read: u64,
    seen: FingerprintSet,
    stayed: FingerprintSet,
    left: FingerprintSet,
    contradictory: FingerprintSet,
    examples: Vec<String>,
}

impl<'a, W: Write> Merge<'a, W> {
    /// Creates a merge that writes to `out`; `bytes` is the approximate size of the whole input.
    fn new(schema: &'a Schema, out: &'a mut W, bytes: u64) -> Result<Self> {
        let mut merge = Self {
            schema,
            out,
            bytes,
            checksum: checksum::Hasher::default(),
            rows: 0,
            missing: vec![0; schema.width()],
            read: 0,
            seen: FingerprintSet::default(),
            stayed: FingerprintSet::default(),
            left: FingerprintSet::default(),
            contradictory: FingerprintSet::default(),
            examples: Vec::new(),
        };
        merge.write(format!("{}\n", schema.header()).as_bytes())?;
        Ok(merge)
    }

    /// Receives all batches of one file.
    fn file(
        &mut self,
        file: &DataFile,
        batches: &Receiver<Message>,
        quarantine: &mut impl Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IngestedFile> {
        let mut duplicates = 0;
        loop {
            match batches.recv() {
                Ok(Message::Batch(batch)) => {
                    duplicates += self.batch(&batch)?;
                    quarantine.write_all(&batch.quarantine)?;
                    self.read += batch.rows.len() as u64;
                    progress(self.read);
                }
                Ok(Message::End(end)) => {
                    let end = (*end)?;
                    return Ok(IngestedFile {
                        name: file.name.clone(),
                        sha256: end.sha256,
                        rows: end.rows,
                        duplicates,
                        quarantined: end.quarantined,
                        missing: self.schema.by_column(&end.missing),
                        batch: file.batch.clone(),
                        state: None,
                    });
                }
                Err(_) => bail!("{}: the reader thread exited unexpectedly", file.path.display()),
            }
        }
    }

    /// Writes the new rows, in runs as long as possible; returns the number of duplicates.
    fn batch(&mut self, batch: &Batch) -> Result<u64> {
        if self.seen.is_empty() {
            // Reserves room for all rows at the start, estimated from the size of the first ones, because growing would
            // double the memory. If the allocation fails, the table grows on demand.
            let _ = self.seen.try_reserve(self.bytes as usize / batch.text.len().max(1) * batch.rows.len());
        }
        let (mut run_start, mut row_start, mut duplicates) = (0, 0, 0);
        for row in &batch.rows {
            if self.seen.insert(row.fingerprint) {
                count_missing(&mut self.missing, row.missing);
                self.note_exit(batch, row);
            } else {
                duplicates += 1;
                self.write(&batch.text[run_start..row_start])?;
                run_start = row.text().end;
            }
            row_start = row.text().end;
        }
        self.write(&batch.text[run_start..])?;
        self.rows += batch.rows.len() as u64 - duplicates;
        Ok(duplicates)
    }

    fn note_exit(&mut self, batch: &Batch, row: &BatchRow) {
        let (corporation, Some(exited)) = (row.client, row.exited) else { return };
        let (same, opposite) = if exited { (&mut self.left, &self.stayed) } else { (&mut self.stayed, &self.left) };
        let first = same.insert(corporation);
        let contradictory = first && opposite.contains(&corporation) && self.contradictory.insert(corporation);
        if contradictory && self.examples.len() < EXAMPLES {
            self.examples.extend(first_field(&batch.text[row.text()]));
        }
    }

    fn write(&mut self, text: &[u8]) -> Result<()> {
        self.checksum.update(text);
        Ok(self.out.write_all(text)?)
    }

    fn finish(self, files: Vec<IngestedFile>) -> Result<Ingested> {
        check_any_row(self.rows, files.len())?;
        Ok(Ingested {
            dataset_sha256: self.checksum.finish(),
            rows: self.rows,
            missing: self.schema.by_column(&self.missing),
            files,
            contradictory_corporations: self.contradictory.len() as u64,
            contradictory_examples: self.examples,
            location: None,
        })
    }
}

type FingerprintSet = HashSet<u128, BuildHasherDefault<Fingerprint>>;

/// A hasher that returns the fingerprint itself, because a fingerprint already is a hash.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::table::tests::HEADER;

    /// Compiles files of the given rows; returns the dataset and the quarantine without their headers, and the results
    /// of the ingestion.
    fn compiled(files: &[&str]) -> Result<(String, String, Ingested)> {
        let folder = tempfile::tempdir()?;
        let files: Vec<DataFile> = files
            .iter()
            .enumerate()
            .map(|(i, rows)| {
                let path = folder.path().join(format!("dataset{i}.csv"));
                std::fs::write(&path, format!("{HEADER}{rows}"))?;
                DataFile::at(&path)
            })
            .collect::<Result<_>>()?;
        let (mut dataset, mut quarantine) = (Vec::new(), Vec::new());
        let facts = compile(&Schema::default(), &files, &mut dataset, &mut quarantine, &mut |_| {})?;
        assert_eq!(facts.dataset_sha256, Checksum::of_bytes(&dataset));
        let dataset = String::from_utf8(dataset)?;
        let quarantine = String::from_utf8(quarantine)?;
        let quarantine = quarantine.strip_prefix("file,line,reason,row\n").context("the quarantine has no header")?;
        Ok((dataset.strip_prefix(HEADER).context("no header")?.to_owned(), quarantine.to_owned(), facts))
    }

    #[test]
    fn the_first_of_equal_rows_is_kept_in_file_order() {
        let (dataset, _, facts) =
            compiled(&["b,1,2,3,0\na,1,2,3,0\nb,1,2,3,0\n", "c,1,2,3,0\na,1.0, 2,3,0\nb,1,2,3,1\n"]).unwrap();
        assert_eq!(dataset, "b,1,2,3,0\na,1,2,3,0\nc,1,2,3,0\nb,1,2,3,1\n");
        assert_eq!(facts.rows, 4);
        assert_eq!(facts.files.iter().map(|f| (f.rows, f.duplicates)).collect::<Vec<_>>(), [(3, 1), (3, 1)]);
    }

    #[test]
    fn missing_equals_missing_and_is_counted_by_column() {
        let (dataset, _, facts) = compiled(&["a,,2,3,0\na,NA,2,3,0\n,1,2,3,\n"]).unwrap();
        assert_eq!(dataset, "a,,2,3,0\n,1,2,3,\n");
        let missing = &facts.files[0].missing;
        assert_eq!((missing["lastmonth_activity"], missing["corporation"], missing["exited"]), (2, 1, 1));
        assert_eq!((facts.missing["lastmonth_activity"], facts.missing["exited"]), (1, 1));
    }

    #[test]
    fn malformed_rows_stand_in_the_quarantine_as_they_stood() {
        let good = "a,1,2,3,0\n".repeat(39);
        let (_, quarantine, facts) = compiled(&[&format!("{good}\"x,\"\"y\",oops,2,3,0\nb,1,2\n")]).unwrap();
        assert_eq!(
            quarantine,
            "dataset0.csv,41,lastmonth_activity is not a number,\"\"\"x,\"\"\"\"y\"\",oops,2,3,0\"\n\
             dataset0.csv,42,3 fields where the header has 5,\"b,1,2\"\n"
        );
        assert_eq!((facts.files[0].rows, facts.files[0].quarantined), (39, 2));
    }

    #[test]
    fn malformed_rows_are_handed_on_and_not_collected() {
        struct LargestWrite(usize);
        impl Write for LargestWrite {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0 = self.0.max(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dataset.csv");
        let some = format!("{}{},oops,2,3,0\n", "a,1,2,3,0\n".repeat(20), "b".repeat(1000));
        std::fs::write(&path, format!("{HEADER}{}", some.repeat(1000))).unwrap();
        let mut quarantine = LargestWrite(0);
        let facts =
            compile(&Schema::default(), &[DataFile::at(&path).unwrap()], &mut Vec::new(), &mut quarantine, &mut |_| {})
                .unwrap();
        assert_eq!(facts.files[0].quarantined, 1000);
        assert!(quarantine.0 < BATCH_BYTES + 2000, "{} bytes were held", quarantine.0);
    }

    #[test]
    fn an_unclosed_quote_cannot_hide_many_rows_behind_one() {
        let rows = "a,1,2,3,0\n".repeat(100);
        let error = compiled(&[&format!("{rows}\"b,1,2,3,0\n{rows}")]).unwrap_err();
        assert!(format!("{error:#}").contains("of 201 lines cannot be read"), "{error:#}");
    }

    #[test]
    fn contradictions_are_counted_once_a_corporation() {
        let rows = "\"a, \"\"x\"\"\",1,2,3,0\n\"a, \"\"x\"\"\",2,2,3,1\n\"a, \"\"x\"\"\",3,2,3,0\nb,1,2,3,1\nb,2,2,3,1\nc,1,2,3,\nc,2,2,3,1\n,1,2,3,0\n,1,2,3,1\n";
        let (_, _, facts) = compiled(&[rows]).unwrap();
        assert_eq!(facts.contradictory_corporations, 1);
        assert_eq!(facts.contradictory_examples, ["a, \"x\""]);
    }

    #[test]
    fn a_bad_file_fails_the_whole_and_is_named() {
        for (bad, expected) in
            [("a,1\n", "1 of 1 lines cannot be read"), ("a,1,2,3,0\nb,\"1,2,3,0\n", "cannot be read")]
        {
            let error = format!("{:#}", compiled(&["a,1,2,3,0\n", bad]).unwrap_err());
            assert!(error.contains("dataset1.csv") && error.contains(expected), "{error}");
        }
        let error = compiled(&["", ""]).unwrap_err().to_string();
        assert!(error.contains("none of the 2 CSV files contains a row"), "{error}");
    }

    #[test]
    fn more_batches_than_may_wait_and_more_files_than_readers() {
        let file = |from: u32| (from..from + 200_000).map(|i| format!("c{i},{i},2,3,0\n")).collect::<String>();
        let files = [file(0), file(100_000), file(0), file(400_000)];
        let (dataset, _, facts) = compiled(&files.each_ref().map(String::as_str)).unwrap();
        assert_eq!(facts.rows, 500_000);
        assert_eq!(facts.files.iter().map(|f| f.duplicates).collect::<Vec<_>>(), [0, 100_000, 200_000, 0]);
        let expected = (0..300_000).chain(400_000..600_000).map(|i| format!("c{i},{i},2,3,0\n"));
        assert_eq!(dataset, expected.collect::<String>());
    }
}
