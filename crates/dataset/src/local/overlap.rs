//! Rows and clients of the test data that are also in the compiled dataset.
//!
//! The test data become sets of fingerprints. The dataset is then read once, by several threads, and never held in
//! memory.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Error, Result, anyhow};
use common::files::DataFile;
use common::model::leaks::Overlap;
use common::schema::Schema;
use xxhash_rust::xxh3::xxh3_128;

use crate::local::parallel::{Files, Taken, WatchedFile};
use crate::local::reader::{Next, Row, Scanner};
use crate::local::stage::on_threads;
use crate::row::write_canonical;

/// Hash of a row's canonical text, or of an id. Of ten million rows and a million test rows, two different ones have
/// the same hash with a probability below 10⁻²⁵.
type Fingerprint = u128;

type Fingerprints = HashSet<Fingerprint, BuildHasherDefault<FirstBits>>;

/// Takes the first bits of a fingerprint as its hash, because they are uniform already.
#[derive(Default)]
struct FirstBits(u64);

impl Hasher for FirstBits {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = (fingerprint >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The labelled rows of the test data.
#[derive(Default)]
struct TestRows {
    /// Number of rows of each fingerprint.
    rows: HashMap<Fingerprint, u64, BuildHasherDefault<FirstBits>>,
    clients: Fingerprints,
}

/// What of the test data has been found.
#[derive(Default)]
struct Found {
    rows: Fingerprints,
    clients: Fingerprints,
    example: Option<String>,
}

/// Counts what of the labelled rows of `files` is also in the dataset at `path`.
pub fn overlap(schema: &Schema, path: &Path, files: &[DataFile], threads: usize) -> Result<Overlap> {
    let mut test = TestRows::default();
    let of_threads = read(
        schema,
        files.len(),
        |file| files[file].path.as_path(),
        threads,
        |test: &mut TestRows, row, fingerprint| {
            if row.exited.is_some() {
                *test.rows.entry(fingerprint).or_default() += 1;
                test.clients.extend(row.id.map(|id| xxh3_128(id.as_bytes())));
            }
        },
    )?;
    for part in of_threads {
        part.rows.into_iter().for_each(|(fingerprint, count)| *test.rows.entry(fingerprint).or_default() += count);
        test.clients.extend(part.clients);
    }
    let of_threads = read(
        schema,
        1,
        |_| path,
        threads,
        |found: &mut Found, row, fingerprint| {
            if test.rows.contains_key(&fingerprint) {
                found.rows.insert(fingerprint);
                found.note_example(row.id);
            }
            let client = row.id.map(|id| xxh3_128(id.as_bytes()));
            found.clients.extend(client.filter(|client| test.clients.contains(client)));
        },
    );
    let of_threads = of_threads.context("run ingestion again")?;
    let mut found = Found::default();
    for part in of_threads {
        found.rows.extend(part.rows);
        found.clients.extend(part.clients);
        found.note_example(part.example.as_deref());
    }
    let rows = found.rows.iter().filter_map(|fingerprint| test.rows.get(fingerprint)).sum();
    Ok(Overlap { rows, clients: found.clients.len() as u64, example: found.example })
}

impl Found {
    /// Keeps the id that is the first in bytewise order.
    fn note_example(&mut self, id: Option<&str>) {
        if let Some(id) = id.filter(|id| self.example.as_deref().is_none_or(|example| *id < example)) {
            self.example = Some(id.to_owned());
        }
    }
}

/// Calls `visit` with every row of so many files and its fingerprint. Every thread collects into a value of its own; the
/// values are returned.
fn read<'p, T: Default + Send>(
    schema: &Schema,
    files: usize,
    path: impl Fn(usize) -> &'p Path + Sync,
    threads: usize,
    visit: impl Fn(&mut T, &Row, Fingerprint) + Sync,
) -> Result<Vec<T>> {
    let source = Files::new(schema, files, true, |file| WatchedFile::open(path(file)));
    let (collected, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
    on_threads(threads, |_| {
        let (mut scanner, mut bytes, mut text, mut own) = (None, Vec::new(), Vec::new(), T::default());
        while let Some(mut piece) = source.take(bytes) {
            if let Err(error) = read_piece(schema, &mut piece, &mut scanner, &mut text, |row, fingerprint| {
                visit(&mut own, row, fingerprint);
            }) {
                source.stop();
                let error = error.context(format!("reading {}", path(piece.file).display()));
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            bytes = piece.bytes;
        }
        collected.lock().unwrap_or_else(PoisonError::into_inner).push(own);
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(collected.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Visits the rows of a piece. `text` is memory that may be used for the canonical text of a row.
fn read_piece<'s>(
    schema: &'s Schema,
    piece: &mut Taken,
    scanner: &mut Option<Scanner<'s>>,
    text: &mut Vec<u8>,
    mut visit: impl FnMut(&Row, Fingerprint),
) -> Result<(), Error> {
    if let Some(fault) = piece.fault.take() {
        return Err(fault);
    }
    let Some(scanner) = piece.scanner(schema, scanner) else { return Ok(()) };
    loop {
        match scanner.next(&piece.bytes) {
            Ok(Some(Next::Row(row))) => {
                let canonical = match row.canonical {
                    Some(canonical) => canonical,
                    None => {
                        text.clear();
                        write_canonical(text, schema, row.id, row.predictors(), row.exited);
                        text.as_slice()
                    }
                };
                visit(&row, xxh3_128(canonical));
            }
            Ok(Some(Next::Malformed(malformed))) => return Err(anyhow!("malformed row: {}", malformed.reason)),
            Ok(None) => return Ok(()),
            // The rows were checked when the file was ingested or scored.
            Err(_) => return Err(anyhow!("the file has changed since it was read before; run again")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::table::tests::HEADER;

    fn counted(dataset: &str, test: &[&str], threads: usize) -> Result<Overlap> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("finaldata.csv");
        std::fs::write(&path, format!("{HEADER}{dataset}"))?;
        let files: Vec<DataFile> = test
            .iter()
            .enumerate()
            .map(|(i, rows)| {
                let path = folder.path().join(format!("test{i}.csv"));
                std::fs::write(&path, format!("{HEADER}{rows}"))?;
                DataFile::at(&path)
            })
            .collect::<Result<_>>()?;
        overlap(&Schema::default(), &path, &files, threads)
    }

    #[test]
    fn equal_rows_and_known_clients_are_counted_in_any_spelling() {
        let dataset = "b,1,2,3,0\na,1,2,3,0\nc,,5,6,1\n,7,7,7,0\nd,1,1,1,\n";
        let test = ["a,1.0, 2,3,0\na,1,2,3,0\nb,1,2,3,1\nx,1,2,3,0\n", "c,NA,5,6,1\n,7,7,7,0\nd,1,1,1,\nd,9,9,9,\n"];
        for threads in [1, 3] {
            let found = counted(dataset, &test, threads).unwrap();
            // Twice a, c, and the row without an id; the clients a, b and c. The rows of d are not scored.
            assert_eq!(found, Overlap { rows: 4, clients: 3, example: Some("a".to_owned()) });
        }
        assert_eq!(counted(dataset, &["x,1,2,3,0\n"], 2).unwrap(), Overlap::default());
        assert_eq!(counted(dataset, &[",7,7,7,0\n"], 2).unwrap(), Overlap { rows: 1, ..Overlap::default() });
    }

    #[test]
    fn many_pieces_and_threads_give_the_same_counts() {
        let row = |i: u32| format!("client {i},{i},{},3,{}\n", i % 7, i % 2);
        let dataset: String = (0..40_000).map(row).collect();
        let test: String = (39_000..41_000).map(row).chain((0..500).map(|i| format!("client {i},1,1,1,0\n"))).collect();
        let expected = Overlap { rows: 1000, clients: 1500, example: Some("client 39000".to_owned()) };
        for threads in [1, 2, 5] {
            assert_eq!(counted(&dataset, &[&test], threads).unwrap(), expected);
        }
    }

    #[test]
    fn a_malformed_row_is_an_error_that_names_the_file() {
        let error = format!("{:#}", counted("a,1,2,3,0\n", &["a,x,2,3,0\n"], 2).unwrap_err());
        assert!(error.contains("test0.csv") && error.contains("lastmonth_activity is not a number"), "{error}");
        let error = format!("{:#}", counted("a,1,2,3\n", &["a,1,2,3,0\n"], 2).unwrap_err());
        assert!(error.contains("run ingestion again") && error.contains("finaldata.csv"), "{error}");
    }
}
