//! A client table in memory: a polars `DataFrame` with the columns of the schema, whose rows have been checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::quarantine::MalformedCount;
use crate::{MalformedRows, Reading};
use anyhow::{Context, Result, bail, ensure};
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::schema::{Predictor, Schema};
use common::values::{Value, ValueRef};
use polars::prelude::*;

use crate::local::reader::{Next, Row, RowReader};

/// A client table. The id is text, a number and the target (1 or 0) are `Float64`, and a category is `UInt32`, the index
/// of its level in `levels`; a missing value is a null. Every column is contiguous.
#[derive(Clone, Debug)]
pub struct Table {
    schema: Schema,
    frame: DataFrame,
    /// The levels of each category in the order of their first occurrence; empty for a number.
    levels: Vec<Vec<String>>,
    malformed: u64,
    checksum: Checksum,
}

/// The values of one predictor.
#[derive(Clone, Copy)]
pub enum Values<'a> {
    /// Values of a number.
    Numbers(&'a Float64Chunked),
    /// Indices of the levels of a category, and the levels.
    Levels(&'a UInt32Chunked, &'a [String]),
}

impl<'a> Values<'a> {
    /// Returns the value of a row; `None` if missing.
    pub fn get(self, row: usize) -> Option<ValueRef<'a>> {
        match self {
            Self::Numbers(numbers) => numbers.get(row).map(ValueRef::Number),
            Self::Levels(indices, levels) => indices.get(row).map(|index| ValueRef::Level(&levels[index as usize])),
        }
    }

    /// Returns the number of missing values.
    pub fn missing(self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.null_count(),
            Self::Levels(indices, _) => indices.null_count(),
        }
    }
}

impl Table {
    /// Reads a CSV stream.
    pub fn from_csv(schema: &Schema, stream: impl Read, malformed: MalformedRows) -> Result<Self> {
        let mut columns = Columns::new(schema);
        let checksum = columns.read(RowReader::new(schema, stream)?, malformed)?;
        columns.finish(checksum)
    }

    /// Reads several CSV files as one table, in the order given.
    pub fn read_all(schema: &Schema, files: &[DataFile], reading: Reading) -> Result<Self> {
        ensure!(!files.is_empty(), "there is no file to read");
        let mut columns = Columns::new(schema);
        let mut all: Option<Checksum> = None;
        for file in files {
            let checksum =
                columns.read_file(&file.path, reading).with_context(|| format!("reading {}", file.path.display()))?;
            all = Some(match all {
                None => checksum,
                Some(all) => Checksum::of_bytes(format!("{all}{checksum}").as_bytes()),
            });
        }
        columns.finish(all.context("there is no file to read")?)
    }

    /// The columns of the table.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the SHA-256 of the bytes that the table was read from.
    pub fn checksum(&self) -> &Checksum {
        &self.checksum
    }

    /// Returns the number of rows that could be read.
    pub fn height(&self) -> usize {
        self.frame.height()
    }

    /// Returns the number of rows that were left out because they could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Returns the rows in which no predictor and no target is missing.
    pub fn complete(&self) -> Result<Self> {
        let needed: Vec<&str> = self.schema.columns().skip(1).collect();
        let mut frame = self.frame.drop_nulls(Some(&needed))?;
        frame.rechunk_mut();
        let Self { schema, levels, malformed, checksum, .. } = self;
        Ok(Self {
            schema: schema.clone(),
            frame,
            levels: levels.clone(),
            malformed: *malformed,
            checksum: checksum.clone(),
        })
    }

    /// Returns the values of each predictor, in the order of the schema.
    pub fn predictors(&self) -> Result<Vec<Values<'_>>> {
        self.schema
            .predictors()
            .iter()
            .zip(&self.levels)
            .map(|(predictor, levels)| {
                let column = self.frame.column(&predictor.name)?;
                Ok(match predictor.is_category() {
                    true => Values::Levels(column.u32()?, levels),
                    false => Values::Numbers(column.f64()?),
                })
            })
            .collect()
    }

    /// Returns the id of each row; null where missing.
    pub fn ids(&self) -> Result<&StringChunked> {
        Ok(self.frame.column(self.schema.id())?.str()?)
    }

    /// Returns the target: 1 for a client that left, 0 for one that stayed.
    pub fn target(&self) -> Result<&Float64Chunked> {
        Ok(self.frame.column(&self.schema.target().name)?.f64()?)
    }

    /// Returns the underlying frame, for statistics.
    pub(super) fn frame(&self) -> &DataFrame {
        &self.frame
    }
}

/// Returns the values of one row.
pub fn row_of<'a>(predictors: &[Values<'a>], row: usize) -> impl Iterator<Item = Option<ValueRef<'a>>> {
    predictors.iter().map(move |values| values.get(row))
}

/// Returns the values of one row with texts of their own.
pub fn owned_row(predictors: &[Values], row: usize) -> Vec<Option<Value>> {
    row_of(predictors, row).map(|value| value.map(ValueRef::to_owned)).collect()
}

/// The columns of a table that is being read.
struct Columns<'s> {
    schema: &'s Schema,
    ids: StringChunkedBuilder,
    predictors: Vec<ColumnBuilder>,
    target: PrimitiveChunkedBuilder<Float64Type>,
    rows: u64,
    malformed: u64,
}

/// A predictor that is being read.
enum ColumnBuilder {
    Numbers(PrimitiveChunkedBuilder<Float64Type>),
    Levels(PrimitiveChunkedBuilder<UInt32Type>, Dictionary),
}

/// The levels of a category, numbered in the order of their first occurrence.
#[derive(Default)]
struct Dictionary {
    levels: Vec<String>,
    indices: HashMap<String, u32>,
}

impl Dictionary {
    /// Number of levels that are compared one by one, which is faster than hashing for few short texts.
    const COMPARED: usize = 8;

    fn index(&mut self, level: &str) -> u32 {
        if let Some(index) = self.levels.iter().take(Self::COMPARED).position(|known| known == level) {
            return index as u32;
        }
        if let Some(index) = self.indices.get(level) {
            return *index;
        }
        let index = self.levels.len() as u32;
        self.levels.push(level.to_owned());
        self.indices.insert(level.to_owned(), index);
        index
    }
}

impl<'s> Columns<'s> {
    fn new(schema: &'s Schema) -> Self {
        let builder = |predictor: &Predictor| {
            let name = PlSmallStr::from_str(&predictor.name);
            match predictor.is_category() {
                true => ColumnBuilder::Levels(PrimitiveChunkedBuilder::new(name, 0), Dictionary::default()),
                false => ColumnBuilder::Numbers(PrimitiveChunkedBuilder::new(name, 0)),
            }
        };
        Self {
            schema,
            ids: StringChunkedBuilder::new(schema.id().into(), 0),
            predictors: schema.predictors().iter().map(builder).collect(),
            target: PrimitiveChunkedBuilder::new(PlSmallStr::from_str(&schema.target().name), 0),
            rows: 0,
            malformed: 0,
        }
    }

    /// Reads the file at `path`; returns its checksum.
    fn read_file(&mut self, path: &Path, reading: Reading) -> Result<Checksum> {
        let file = File::open(path)?;
        let reader = match reading.target {
            true => RowReader::new(self.schema, file)?,
            false => RowReader::for_prediction(self.schema, file)?,
        };
        self.read(reader, reading.malformed)
    }

    /// Appends the rows of one stream; returns its checksum.
    fn read(&mut self, mut reader: RowReader<impl Read>, policy: MalformedRows) -> Result<Checksum> {
        let mut malformed = MalformedCount::default();
        let before = self.rows;
        while let Some(next) = reader.read_next()? {
            match next {
                Next::Row(row) => self.push(&row),
                Next::Malformed(row) if policy == MalformedRows::Refuse => bail!("line {}: {}", row.line, row.reason),
                Next::Malformed(row) => malformed.add(row.line, row.lines, &row.reason),
            }
        }
        malformed.check_share(self.rows - before)?;
        self.malformed += malformed.rows;
        Ok(reader.checksum())
    }

    fn push(&mut self, row: &Row) {
        self.rows += 1;
        self.ids.append_option(row.id);
        for (column, value) in self.predictors.iter_mut().zip(row.predictors()) {
            match column {
                ColumnBuilder::Numbers(numbers) => numbers.append_option(value.and_then(ValueRef::number)),
                ColumnBuilder::Levels(indices, dictionary) => {
                    indices.append_option(value.and_then(ValueRef::level).map(|level| dictionary.index(level)));
                }
            }
        }
        self.target.append_option(row.exited.map(f64::from));
    }

    fn finish(self, checksum: Checksum) -> Result<Table> {
        let mut columns = vec![self.ids.finish().into_column()];
        let mut levels = Vec::new();
        for column in self.predictors {
            let (column, of_column) = match column {
                ColumnBuilder::Numbers(numbers) => (numbers.finish().into_column(), Vec::new()),
                ColumnBuilder::Levels(indices, dictionary) => (indices.finish().into_column(), dictionary.levels),
            };
            columns.push(column);
            levels.push(of_column);
        }
        columns.push(self.target.finish().into_column());
        let frame = DataFrame::new(self.rows as usize, columns)?;
        Ok(Table { schema: self.schema.clone(), frame, levels, malformed: self.malformed, checksum })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use common::values::Value;

    pub(crate) const HEADER: &str = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n";

    pub(crate) fn table(rows: &str) -> Table {
        Table::from_csv(&Schema::default(), format!("{HEADER}{rows}").as_bytes(), MalformedRows::Refuse).unwrap()
    }

    /// A schema with names that need quotes everywhere, a number and a category.
    pub(crate) fn schema() -> Schema {
        let text = r#"{"id": "key", "target": {"name": "gone", "positive": "yes", "negative": "no"},
            "predictors": ["a \"b\", c", {"name": "SELECT", "kind": "category"}], "ignored": ["skipped"]}"#;
        common::config::schema_of_json(text).unwrap()
    }

    type ReadRow = (Option<String>, Vec<Option<Value>>, Option<f64>);

    fn rows(table: &Table) -> Vec<ReadRow> {
        let predictors = table.predictors().unwrap();
        let (ids, target) = (table.ids().unwrap(), table.target().unwrap());
        (0..table.height())
            .map(|row| (ids.get(row).map(str::to_owned), owned_row(&predictors, row), target.get(row)))
            .collect()
    }

    #[test]
    fn what_is_read_comes_back_row_by_row() {
        assert_eq!(
            rows(&table("a,1,2,3,0\n,,2.5,,\n")),
            [
                (Some("a".to_owned()), vec![Some(1.0.into()), Some(2.0.into()), Some(3.0.into())], Some(0.0)),
                (None, vec![None, Some(2.5.into()), None], None),
            ]
        );
    }

    #[test]
    fn levels_are_numbered_across_files() {
        let schema = schema();
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<DataFile> = [("a", "k,1,x,no\nl,,,\n"), ("b", "m,2,y,yes\nn,3,x,no\n")]
            .into_iter()
            .map(|(name, rows)| {
                let path = folder.path().join(name);
                std::fs::write(&path, format!("{}\n{rows}", schema.header())).unwrap();
                DataFile::at(&path).unwrap()
            })
            .collect();
        let table = Table::read_all(&schema, &files, Reading::WHOLE).unwrap();
        let level = |text: &str| Some(Value::from(text));
        let found: Vec<Option<Value>> = rows(&table).into_iter().map(|(_, mut values, _)| values.remove(1)).collect();
        assert_eq!(found, [level("x"), None, level("y"), level("x")]);
        assert_eq!(table.complete().unwrap().height(), 3);
        assert!(Table::read_all(&schema, &[], Reading::WHOLE).is_err());
    }

    #[test]
    fn more_levels_than_are_compared_keep_their_indices() {
        let mut dictionary = Dictionary::default();
        for _ in 0..2 {
            for index in 0..50 {
                assert_eq!(dictionary.index(&format!("level {index}")), index);
            }
        }
    }

    #[test]
    fn complete_rows_miss_neither_predictor_nor_target() {
        let complete = table("a,1,2,3,0\n,4,5,6,1\nc,,2,3,1\nd,1,2,3,\n").complete().unwrap();
        let first: Vec<_> = rows(&complete).into_iter().map(|(_, values, _)| values[0].clone()).collect();
        assert_eq!(first, [Some(1.0.into()), Some(4.0.into())]);
        assert_eq!(complete.target().unwrap().cont_slice().unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn up_to_five_percent_malformed_rows_are_left_out_and_counted() {
        let csv = |good: usize| format!("{HEADER}{}bad,x,2,3,0\n", "a,1,2,3,0\n".repeat(good));
        let read = |good, policy| Table::from_csv(&Schema::default(), csv(good).as_bytes(), policy);
        let table = read(19, MalformedRows::LeaveOut).unwrap();
        assert_eq!((table.height(), table.malformed()), (19, 1));
        // A row that spans three lines counts as one row, but as three lines in the share.
        let over_lines = |good: usize| format!("{HEADER}{}\"b\n\n\",1,2,3,0\n", "a,1,2,3,0\n".repeat(good));
        let table = Table::from_csv(&Schema::default(), over_lines(57).as_bytes(), MalformedRows::LeaveOut).unwrap();
        assert_eq!((table.height(), table.malformed()), (57, 1));
        assert!(Table::from_csv(&Schema::default(), over_lines(56).as_bytes(), MalformedRows::LeaveOut).is_err());
        let error = read(18, MalformedRows::LeaveOut).unwrap_err().to_string();
        assert!(error.contains("1 of 19 lines") && error.contains("line 20: lastmonth_activity"), "{error}");
        let refused = read(19, MalformedRows::Refuse).unwrap_err().to_string();
        assert_eq!(refused, "line 21: lastmonth_activity is not a number");
    }
}
