//! The order in which the input files arrived.

use std::collections::{BTreeSet, HashMap, HashSet};

use common::files::DataFile;
use common::files::ingested::ListedFile;
use history::Arrival;

use crate::display::listed;

/// Files in the order of their arrival.
pub struct Ordered {
    pub files: Vec<ListedFile>,
    /// Sentences about the order, and about files of the history that are not among these.
    pub notes: Vec<String>,
}

/// Sorts `files`, which are in the order in which ingestion reads them, by the run that first ingested each with its
/// content. Files of one run stay in their order; those that no run has ingested come last. `arrivals` is `None` without
/// a history.
pub fn by_arrival(files: Vec<ListedFile>, arrivals: Option<&[Arrival]>) -> Ordered {
    let Some(arrivals) = arrivals else {
        return Ordered {
            files,
            notes: vec!["there is no history, so the files are in the order of their names".to_owned()],
        };
    };
    let runs: HashMap<_, _> = arrivals.iter().map(|arrival| ((&arrival.name, &arrival.sha256), arrival.run)).collect();
    let run_of = |file: &ListedFile| runs.get(&(&file.name, &file.sha256)).copied();
    let mut notes = Vec::new();
    let unknown: Vec<&str> =
        files.iter().filter(|file| run_of(file).is_none()).map(|file| file.name.as_str()).collect();
    if !unknown.is_empty() {
        notes.push(format!(
            "the history does not know {} with the present content: played last, in the order of the names",
            listed(&unknown)
        ));
    }
    let present: HashSet<_> = files.iter().map(|file| (&file.name, &file.sha256)).collect();
    let lost = arrivals.iter().filter(|arrival| !present.contains(&(&arrival.name, &arrival.sha256)));
    let lost: BTreeSet<&str> = lost.map(|arrival| arrival.name.as_str()).collect();
    let names: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let (changed, gone): (Vec<&str>, Vec<&str>) = lost.into_iter().partition(|name| names.contains(name));
    for (names, what) in [
        (changed, "had another content before, which cannot be played"),
        (gone, "cannot be played: no longer in the input folder"),
    ] {
        if !names.is_empty() {
            notes.push(format!("{} {what}", listed(&names)));
        }
    }
    let arrived: Vec<i64> = files.iter().map(|file| run_of(file).unwrap_or(i64::MAX)).collect();
    let mut files: Vec<(i64, ListedFile)> = arrived.into_iter().zip(files).collect();
    files.sort_by_key(|(run, _)| *run); // stable
    Ordered { files: files.into_iter().map(|(_, file)| file).collect(), notes }
}

/// Returns `arrivals` as if the batches among them had always been divided into the files that they are in now: ingestion
/// merges old batches, and such a file counts as arrived when its last rows had. `files` are the present files, of which
/// `inputs` says which are batches.
pub fn with_merged(mut arrivals: Vec<Arrival>, files: &[ListedFile], inputs: &[DataFile]) -> Vec<Arrival> {
    let batches: HashMap<_, _> =
        inputs.iter().filter_map(|file| Some((file.name.as_str(), file.batch.as_ref()?))).collect();
    let Some(any) = batches.values().next() else { return arrivals };
    // All present batches are of one source. Batches of another are no longer read.
    let is_batch =
        |arrival: &mut Arrival| arrival.source.as_deref().is_some_and(|text| any.watermark_in(text).is_some());
    let earlier: Vec<Arrival> = arrivals.extract_if(.., is_batch).collect();
    let mut runs: HashMap<&str, i64> = HashMap::new();
    for arrival in &earlier {
        if let Some(watermark) = arrival.source.as_deref().and_then(|text| any.watermark_in(text)) {
            let run = runs.entry(watermark).or_insert(arrival.run);
            *run = arrival.run.min(*run);
        }
    }
    let arrived = files.iter().filter_map(|ListedFile { name, sha256, .. }| {
        let watermark = batches.get(name.as_str())?.up_to.to_string();
        let run = *runs.get(watermark.as_str())?;
        Some(Arrival { name: name.clone(), sha256: sha256.clone(), source: None, run })
    });
    arrivals.extend(arrived.collect::<Vec<_>>());
    arrivals
}

#[cfg(test)]
mod tests {
    use common::files::batch::{Batch, Watermark};
    use common::files::checksum::Checksum;

    use super::*;

    fn file(name: &str, content: &str) -> ListedFile {
        let sha256 = Checksum::of_bytes(content.as_bytes());
        ListedFile { name: name.to_owned(), path: format!("/in/{name}").into(), sha256, known_by: Vec::new() }
    }

    fn arrival(name: &str, content: &str, run: i64) -> Arrival {
        Arrival { name: name.to_owned(), sha256: Checksum::of_bytes(content.as_bytes()), source: None, run }
    }

    fn batch(above: Option<i64>, up_to: i64) -> Batch {
        Batch {
            database: "crm.sqlite".into(),
            rows: "activity".into(),
            column: "id".into(),
            above: above.map(Watermark::Integer),
            up_to: Watermark::Integer(up_to),
            merged: None,
        }
    }

    fn ordered(files: &[(&str, &str)], arrivals: Option<&[Arrival]>) -> (Vec<String>, Vec<String>) {
        let Ordered { files, notes } =
            by_arrival(files.iter().map(|(name, content)| file(name, content)).collect(), arrivals);
        (files.into_iter().map(|file| file.name).collect(), notes)
    }

    #[test]
    fn the_first_run_with_the_present_content_counts_and_names_break_ties() {
        let files = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
        let arrivals = [
            arrival("d", "4", 1),
            arrival("c", "3", 1),
            arrival("a", "0", 1),
            arrival("b", "2", 5),
            arrival("a", "1", 9),
        ];
        let (names, notes) = ordered(&files, Some(&arrivals));
        assert_eq!(names, ["c", "d", "b", "a"]);
        assert_eq!(notes, ["a had another content before, which cannot be played"]);
    }

    #[test]
    fn merged_batches_arrived_with_their_last_rows_and_their_parts_are_not_lost() {
        let of =
            |batch: Batch, name: &str, run| Arrival { source: Some(batch.to_string()), ..arrival(name, name, run) };
        let another = Batch { rows: "another".into(), ..batch(None, 20) };
        let arrivals = vec![
            arrival("late.csv", "", 3),
            of(another, "another", 1),
            of(batch(None, 10), "first", 1),
            of(batch(Some(10), 20), "second", 2),
            of(batch(Some(20), 30), "third", 4),
            of(batch(None, 20), "merged", 5),
        ];
        let merged = |name: &str, batch| DataFile { name: name.into(), path: "".into(), batch };
        let inputs = [
            merged("late.csv", None),
            merged("merged", Some(batch(None, 20))),
            merged("third", Some(batch(Some(20), 30))),
            merged("new", Some(batch(Some(30), 40))),
        ];
        let files =
            || [file("late.csv", ""), file("merged", "merged"), file("third", "third"), file("new", "new")].to_vec();
        let arrivals = with_merged(arrivals, &files(), &inputs);
        let Ordered { files: ordered, notes } = by_arrival(files(), Some(&arrivals));
        let names: Vec<_> = ordered.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["merged", "late.csv", "third", "new"]);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("does not know new with"), "{notes:?}");
        assert!(notes[1].starts_with("another cannot be played"), "{notes:?}");
    }

    #[test]
    fn unknown_files_come_last_and_lost_ones_are_named() {
        let files = [("a", "new"), ("b", "2"), ("c", "3")];
        let mut arrivals = vec![arrival("a", "old", 1), arrival("c", "3", 2)];
        arrivals.extend((10..22).map(|n| arrival(&format!("gone{n}"), "", 1)));
        let (names, notes) = ordered(&files, Some(&arrivals));
        assert_eq!(names, ["c", "a", "b"]);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].contains("does not know a, b with the present content"), "{notes:?}");
        assert!(notes[1].starts_with("a had another content"), "{notes:?}");
        let gone = "gone10, gone11, gone12, gone13, gone14, gone15, gone16, gone17, gone18, gone19 and 2 others cannot";
        assert!(notes[2].starts_with(gone), "{notes:?}");
    }

    #[test]
    fn without_a_history_names_are_the_order() {
        let (names, notes) = ordered(&[("a", "1"), ("b", "2")], None);
        assert_eq!((names, notes.len()), (vec!["a".to_owned(), "b".to_owned()], 1));
    }
}
