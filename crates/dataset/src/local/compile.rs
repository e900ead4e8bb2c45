//! Merges CSV files into one table of distinct rows, in one pass, without holding their text in memory.
//!
//! Every thread takes a piece of a file, makes a [`Batch`] of it, which has the rows in canonical text with their
//! fingerprints, and passes the stages of [`Merge`] with it. The sets of fingerprints are divided into [`SHARDS`]
//! parts, so that batches pass different parts at the same time, but each part in their order: the first of equal rows
//! is kept.
//!
//! A row is looked up among those of its client, of which [`Merge::clients`] has the first [`MOST_ROWS`] distinct ones.
//! All others, and those without an id, are in [`Merge::rows`]. So a distinct row needs 20 bytes in one of them, up to 80
//! if later files mostly repeat earlier rows, and nothing else grows with the data.
//!
//! Rows are equal if all values are equal, where missing equals missing, as in pandas' `drop_duplicates`. They are
//! compared by 126 bits of fingerprints (XXH3 with a new random seed in every run, so that a file cannot be constructed
//! to cause collisions), of which rows of the same client share 62. Among 10^9 rows the probability that a distinct row
//! is lost is below 10^-9. Two clients are taken for one with a probability of 10^-3 among 10^8 clients; then the
//! number of contradictory clients may be wrong by one.

mod batch;
mod output;
mod reasons;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

use anyhow::Result;
use common::files::DataFile;
use common::files::checksum::{Checksum, Hasher};
use common::files::ingested::Ingested;
use common::schema::Schema;

use self::batch::{Batch, LEFT, STAYED};
use self::output::{Decided, Found, Output};
use crate::local::check::Checked;
#[cfg(doc)]
use crate::local::fingerprints::MOST_ROWS;
use crate::local::fingerprints::{Fingerprints, GROUP, Lookup, ReadSoFar, key};
use crate::local::parallel::{Files, OnFault, Passed, Taken, WatchedFile};
use crate::local::stage::{Panicked, Stage, on_threads};
use crate::quarantine::QUARANTINE_HEADER;

/// Number of parts of a set of fingerprints. The highest 4 bits of a fingerprint choose its part.
const SHARDS: usize = 16;

/// Merges `files` with the columns of `schema`, in the order given, with so many `threads`. Writes the distinct rows to
/// `dataset` and the unreadable rows to `quarantine`, both with a header. `progress` is called from time to time with the
/// number of rows read so far.
///
/// # Errors
/// Fails if a file cannot be read, its header or encoding is wrong, too many of its rows are malformed, or it changes
/// while it is read; the error names the file. Also fails if no file has a single row, because an empty result must not
/// replace an existing dataset.
pub fn compile(
    schema: &Schema,
    files: &[DataFile],
    threads: usize,
    dataset: &mut (impl Write + Send),
    quarantine: &mut (impl Write + Send),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Ingested> {
    let header = format!("{}\n", schema.header());
    dataset.write_all(header.as_bytes())?;
    quarantine.write_all(QUARANTINE_HEADER)?;
    let mut checksum = Hasher::default();
    checksum.update(header.as_bytes());
    let output =
        Output { schema, files, dataset, quarantine, progress, on_fault: OnFault::Stop, found: Found::default() };
    let (found, checksum) = merge(threads, checksum, output);
    found.finish(schema, files, checksum)
}

/// Reads `files` as [`compile`] does, but writes nothing and goes on after a file that cannot be used. Returns what was
/// found in each file, and whether [`compile`] would use it.
pub fn check(schema: &Schema, files: &[DataFile], threads: usize, progress: &mut (dyn FnMut(u64) + Send)) -> Checked {
    let (dataset, quarantine) = (&mut io::sink(), &mut io::sink());
    let output =
        Output { schema, files, dataset, quarantine, progress, on_fault: OnFault::GoOn, found: Found::default() };
    merge(threads, Hasher::default(), output).0.checked(schema, files)
}

/// Merges the files of `output` with so many `threads`. Returns what was found, and the checksum of what was written,
/// which begins with `checksum`.
fn merge<D: Write + Send, Q: Write + Send>(
    threads: usize,
    checksum: Hasher,
    output: Output<'_, D, Q>,
) -> (Found, Checksum) {
    let Output { schema, files, on_fault, .. } = output;
    let seed = RandomState::new().hash_one(0);
    let source = Files::new(schema, files.len(), true, |file| WatchedFile::open(&files[file].path)).on_fault(on_fault);
    let merge = Merge {
        bytes: files.iter().filter_map(|file| file.path.metadata().ok()).map(|metadata| metadata.len()).sum(),
        rows: stages(),
        clients: stages(),
        checksum: Stage::new(checksum),
        output: Stage::new(output),
    };
    on_threads(threads, |panicked| {
        // Memory that is used for one piece after the other.
        let (mut scanner, mut bytes, mut batch, mut keys) = (None, Vec::new(), Batch::default(), Sharded::default());
        while let Some(mut piece) = source.take(bytes) {
            batch.read(schema, &piece, seed, &mut scanner);
            let passed = source.pass(&piece, panicked);
            match passed.and_then(|passed| merge.pass(&mut piece, &batch, passed, &mut keys, panicked)) {
                Some(true) => {}
                Some(false) => source.stop(),
                None => break,
            }
            bytes = piece.bytes;
        }
    });
    (merge.output.into_inner().found, merge.checksum.into_inner().finish())
}

/// The stages that a batch passes.
struct Merge<'a, D, Q> {
    /// Approximate size of the whole input.
    bytes: u64,
    /// The first rows of every client.
    clients: [Stage<Fingerprints>; SHARDS],
    /// Further rows of clients with many rows, and rows without an id.
    rows: [Stage<Fingerprints>; SHARDS],
    checksum: Stage<Hasher>,
    output: Stage<Output<'a, D, Q>>,
}

fn stages() -> [Stage<Fingerprints>; SHARDS] {
    std::array::from_fn(|_| Stage::new(Fingerprints::new()))
}

impl<D: Write, Q: Write> Merge<'_, D, Q> {
    /// Passes all stages with a batch, after `source` has been passed. Returns whether no fault has been found so far;
    /// `None` if another thread has panicked.
    fn pass(
        &self,
        piece: &mut Taken,
        batch: &Batch,
        passed: Passed,
        keys: &mut Sharded,
        panicked: &Panicked,
    ) -> Option<bool> {
        let number = piece.number;
        let so_far = ReadSoFar { read: piece.read, bytes: self.bytes };
        let Batch { fingerprints, clients, .. } = batch;
        let mut kept = vec![true; batch.rows()];
        let mut others: Vec<u32> = (0..batch.rows() as u32).filter(|row| clients[*row as usize] == 0).collect();
        let mut contradictory = Vec::new();
        let with_client = (0..batch.rows() as u32).filter(|row| clients[*row as usize] != 0);
        keys.take(with_client, |row| key(clients[row], fingerprints[row] as u64));
        for (shard, stage) in self.clients.iter().enumerate() {
            stage.pass(number, panicked, |set| {
                keys.update(shard, set, so_far, |row, lookup, state| {
                    match lookup {
                        Lookup::New => {}
                        Lookup::Known => kept[row as usize] = false,
                        Lookup::Full => others.push(row),
                    }
                    let before = *state;
                    *state |= (clients[row as usize] & 0b11) as u8;
                    if before != *state && *state == STAYED | LEFT {
                        contradictory.push(row);
                    }
                });
            })?;
        }
        contradictory.sort_unstable();
        // Equal rows must be looked up in their order.
        others.sort_unstable();
        keys.take(others.iter().copied(), |row| key((fingerprints[row] >> 64) as u64, fingerprints[row] as u64));
        for (shard, stage) in self.rows.iter().enumerate() {
            stage.pass(number, panicked, |set| {
                keys.update(shard, set, so_far, |row, lookup, _| kept[row as usize] = lookup == Lookup::New);
            })?;
        }
        let decided = Decided { text: batch.text_of(&kept), kept, contradictory };
        self.checksum.pass(number, panicked, |checksum| checksum.update(&decided.text))?;
        self.output.pass(number, panicked, |output| output.pass(piece, batch, passed, &decided))
    }
}

/// Keys by shard, in the order of their rows.
#[derive(Default)]
struct Sharded {
    keys: Vec<(u128, u32)>,
    /// Where the keys of each shard end.
    ends: [usize; SHARDS],
}

impl Sharded {
    /// Replaces the keys by those of `rows`.
    fn take(&mut self, rows: impl Iterator<Item = u32> + Clone, key: impl Fn(usize) -> u128) {
        let shard = |key: u128| (key >> 124) as usize;
        let Self { keys, ends } = self;
        *ends = [0; SHARDS];
        for row in rows.clone() {
            ends[shard(key(row as usize))] += 1;
        }
        // The starts of the shards, which become their ends while the keys are distributed.
        let mut total = 0;
        for end in ends.iter_mut() {
            (*end, total) = (total, total + *end);
        }
        keys.resize(total, (0, 0));
        for row in rows {
            let key = key(row as usize);
            let end = &mut ends[shard(key)];
            keys[*end] = (key, row);
            *end += 1;
        }
    }

    /// Looks up the keys of a shard in `set`; `visit` gets the row of each.
    fn update(
        &self,
        shard: usize,
        set: &mut Fingerprints,
        so_far: ReadSoFar,
        mut visit: impl FnMut(u32, Lookup, &mut u8),
    ) {
        let start = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        for keys in self.keys[start..self.ends[shard]].chunks(GROUP) {
            let mut group = [0; GROUP];
            group.iter_mut().zip(keys).for_each(|(to, (key, _))| *to = *key);
            set.update(&group[..keys.len()], so_far, |position, lookup, state| visit(keys[position].1, lookup, state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::pieces::PIECE;
    use crate::local::table::tests::HEADER;
    use anyhow::Context;

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
        let with = |threads| {
            let (mut dataset, mut quarantine) = (Vec::new(), Vec::new());
            let facts = compile(&Schema::default(), &files, threads, &mut dataset, &mut quarantine, &mut |_| {});
            facts.map(|facts| (dataset, quarantine, facts)).map_err(|error| format!("{error:#}"))
        };
        let found = with(3);
        assert_eq!(with(1), found);
        let (dataset, quarantine, facts) = found.map_err(anyhow::Error::msg)?;
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
        let facts = compile(
            &Schema::default(),
            &[DataFile::at(&path).unwrap()],
            2,
            &mut Vec::new(),
            &mut quarantine,
            &mut |_| {},
        )
        .unwrap();
        assert_eq!(facts.files[0].quarantined, 1000);
        assert!(quarantine.0 < PIECE + 2000, "{} bytes were held", quarantine.0);
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
    fn rows_that_repeat_over_pieces_and_files_are_found() {
        let file = |from: u32| (from..from + 200_000).map(|i| format!("c{i},{i},2,3,0\n")).collect::<String>();
        let files = [file(0), file(100_000), file(0), file(400_000)];
        let (dataset, _, facts) = compiled(&files.each_ref().map(String::as_str)).unwrap();
        assert_eq!(facts.rows, 500_000);
        assert_eq!(facts.files.iter().map(|f| f.duplicates).collect::<Vec<_>>(), [0, 100_000, 200_000, 0]);
        let expected = (0..300_000).chain(400_000..600_000).map(|i| format!("c{i},{i},2,3,0\n"));
        assert_eq!(dataset, expected.collect::<String>());
    }

    #[test]
    fn clients_with_many_rows_and_rows_without_an_id_are_merged_like_others() {
        let row = |client: &str, i: usize| format!("{client},{i},2,3,{}\n", i % 2);
        let other = |i: usize| format!("c{i},1,2,3,0\n");
        let distinct: String = (0..20).flat_map(|i| [row("many", i), row("", i), other(i)]).collect();
        // Each row three times in each file, far from each other.
        let filler: String = (0..30_000).map(|i| format!("f{i},1,2,3,0\n")).collect();
        let file = format!("{distinct}{filler}{distinct}{distinct}");
        let (dataset, _, facts) = compiled(&[&file, &file]).unwrap();
        assert_eq!(dataset, format!("{distinct}{filler}"));
        assert_eq!(facts.files.iter().map(|file| file.duplicates).collect::<Vec<_>>(), [120, 30_180]);
        assert_eq!((facts.contradictory_corporations, facts.contradictory_examples), (1, vec!["many".to_owned()]));
    }
}
