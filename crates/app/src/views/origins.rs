//! From which file each row of the compiled dataset comes.

use common::files::ingested::Ingested;

/// The files of the compiled dataset, in its order.
pub struct Origins(Vec<File>);

struct File {
    name: String,
    /// Number of rows of the dataset up to the end of this file.
    end: u64,
}

impl Origins {
    /// The files as ingestion recorded them. `None` if the rows of the files do not add up to those of the dataset.
    pub fn of(ingested: Ingested) -> Option<Self> {
        let mut end = 0;
        let file = |file: common::files::ingested::IngestedFile| {
            end += file.rows.saturating_sub(file.duplicates);
            File { name: file.name, end }
        };
        let files: Vec<File> = ingested.files.into_iter().map(file).collect();
        (end == ingested.rows).then_some(Self(files))
    }

    /// The name of the file from which the row at a position comes, starting at 0; `None` if there is no such row.
    pub fn file(&self, row: u64) -> Option<&str> {
        let index = self.0.partition_point(|file| file.end <= row);
        self.0.get(index).map(|file| file.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_the_file_in_which_it_occurs_first() {
        let files = [("a.csv", 2), ("empty.csv", 2), ("b.csv", 5)];
        let origins = Origins(files.map(|(name, end)| File { name: name.to_owned(), end }).into());
        let names = [0, 1, 2, 4, 5].map(|row| origins.file(row));
        assert_eq!(names, [Some("a.csv"), Some("a.csv"), Some("b.csv"), Some("b.csv"), None]);
    }
}
