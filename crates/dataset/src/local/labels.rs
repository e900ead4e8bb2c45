//! Labels that arrive later: an unlabelled row takes the newest label of the same client in a later file.

use std::collections::HashMap;

use polars::prelude::*;
use polars_core::utils::arrow::bitmap::Bitmap;

use crate::local::counting::NumberColumn;

/// Returns the target in which every unlabelled row has the label of the same client in the last file that has one, if
/// that file comes after the row's own. A client that such a file lists both as left and as active has left.
/// `file_ends` holds the number of rows up to the end of each file.
pub fn with_later_labels(
    name: &str,
    ids: &StringChunked,
    target: NumberColumn,
    file_ends: &[usize],
) -> polars::prelude::Column {
    let mut labels: Vec<Option<bool>> = target.iter().map(|exited| exited.map(|exited| exited == 1.0)).collect();
    // Only the clients of unlabelled rows are kept, each with its newest label and the file that has it.
    let mut newest: HashMap<&str, Option<(usize, bool)>> = HashMap::new();
    newest.extend(ids.iter().zip(&labels).filter(|(_, label)| label.is_none()).filter_map(|(id, _)| Some((id?, None))));
    let mut file = 0;
    for (row, (id, label)) in ids.iter().zip(&labels).enumerate() {
        file = file_of(row, file, file_ends);
        if let (Some(left), Some(newest)) = (*label, id.and_then(|id| newest.get_mut(id))) {
            *newest = Some(match *newest {
                Some((of, left_too)) if of == file => (file, left || left_too),
                _ => (file, left),
            });
        }
    }
    let mut file = 0;
    for (row, (id, label)) in ids.iter().zip(&mut labels).enumerate() {
        file = file_of(row, file, file_ends);
        if let (None, Some(Some((of, left)))) = (*label, id.and_then(|id| newest.get(id)))
            && *of > file
        {
            *label = Some(*left);
        }
    }
    let known: Bitmap = labels.iter().map(Option::is_some).collect();
    let labels: Vec<u8> = labels.into_iter().map(|left| u8::from(left == Some(true))).collect();
    UInt8Chunked::from_vec_validity(PlSmallStr::from_str(name), labels, Some(known)).into_column()
}

/// Returns the index of the file that holds `row`, which is not before `file`.
fn file_of(row: usize, file: usize, file_ends: &[usize]) -> usize {
    file + file_ends[file..].iter().take_while(|end| **end <= row).count()
}

#[cfg(test)]
mod tests {
    use common::files::DataFile;

    use crate::local::table::Table;
    use crate::local::table::tests::schema;
    use crate::{Clients, Reading};

    /// Returns the target of each row of files with these rows.
    fn targets(files: &[&str]) -> String {
        let schema = schema();
        let folder = tempfile::tempdir().unwrap();
        let file = |(index, rows): (usize, &&str)| {
            let path = folder.path().join(format!("{index}.csv"));
            std::fs::write(&path, format!("{}\n{rows}", schema.header())).unwrap();
            DataFile::at(&path).unwrap()
        };
        let files: Vec<DataFile> = files.iter().enumerate().map(file).collect();
        let reading = Reading::LENIENT.without_ids().with_later_labels();
        let table = Table::read_all(&schema, &files, reading, 2).unwrap();
        assert!(table.ids().is_err(), "the ids are kept");
        let mut targets = String::new();
        table
            .each(&mut |_, _, exited| targets.push(exited.map_or('?', |exited| if exited { '1' } else { '0' })))
            .unwrap();
        targets
    }

    #[test]
    fn an_unlabelled_row_takes_the_newest_label_of_a_later_file() {
        let none = "a,1,x,\nb,1,x,no\nc,1,x,\n,1,x,\n";
        assert_eq!(targets(&[none]), "?0??");
        assert_eq!(targets(&[none, "c,2,x,yes\na,2,x,no\nd,1,x,\n"]), "001?10?");
        // The newest label counts; a row of the same file or of an earlier one gives none.
        assert_eq!(targets(&[none, "a,1,x,yes\n", "a,1,x,no\n"]), "00??10");
        assert_eq!(targets(&["a,1,x,yes\n", none, "c,1,x,no\nc,1,x,\n"]), "1?00?0?");
        assert_eq!(targets(&["a,1,x,\na,1,x,yes\n", "b,1,x,\n"]), "?1?");
        // Contradictory labels within a file, and empty files.
        assert_eq!(targets(&[none, "", "a,1,x,yes\na,1,x,no\nc,1,x,no\nc,1,x,yes\n", ""]), "101?1001");
        assert_eq!(targets(&["", ""]), "");
    }
}
