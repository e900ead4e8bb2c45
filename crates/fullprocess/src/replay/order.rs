//! The order in which the input files arrived.

use std::collections::{BTreeSet, HashMap, HashSet};

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

#[cfg(test)]
mod tests {
    use common::files::checksum::Checksum;

    use super::*;

    fn file(name: &str, content: &str) -> ListedFile {
        let sha256 = Checksum::of_bytes(content.as_bytes());
        ListedFile { name: name.to_owned(), path: format!("/in/{name}").into(), sha256 }
    }

    fn arrival(name: &str, content: &str, run: i64) -> Arrival {
        Arrival { name: name.to_owned(), sha256: Checksum::of_bytes(content.as_bytes()), run }
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
