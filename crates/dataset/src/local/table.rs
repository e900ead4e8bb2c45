//! A client table in memory: a polars `DataFrame` with the columns of the schema, whose rows have been checked.

use std::io::Read;
use std::num::NonZero;
use std::thread::available_parallelism;

use crate::quarantine::MalformedCount;
use crate::{Ids, Labels, MalformedRows, Reading};
use anyhow::{Context, Error, Result, bail, ensure};
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::schema::Schema;
use common::values::{Value, ValueRef};
use polars::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::local::columns::{Columns, PieceColumns};
use crate::local::counting::{NumberColumn, Numbers};
use crate::local::labels::with_later_labels;
use crate::local::parallel::{Files, Input, Passed, Taken, Unchanging, WatchedFile};
use crate::local::reader::{Next, Scanner, Unreadable};
use crate::local::stage::{Stage, on_threads};
use crate::rules::Malformed;

/// A client table. The id is text, or absent if the table was read without ids. A number and the target (1 or 0) have
/// the narrowest of the types `UInt8`, `UInt16`, `Int32` and `Float64` that holds all values exactly, and a category
/// that of the indices of its levels in `levels`; a missing value is a null. Every column but the id is contiguous.
#[derive(Clone, Debug)]
pub struct Table {
    schema: Schema,
    frame: DataFrame,
    /// The levels of each category in the order of their first occurrence; empty for a number.
    levels: Vec<Vec<String>>,
    missing_ids: u64,
    malformed: u64,
    checksum: Checksum,
    threads: usize,
}

/// The values of one predictor.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Values of a number.
    Numbers(NumberColumn<'a>),
    /// Indices of the levels of a category, and the levels.
    Levels(NumberColumn<'a>, &'a [String]),
}

impl<'a> Values<'a> {
    /// Returns the value of a row; `None` if missing.
    pub fn get(self, row: usize) -> Option<ValueRef<'a>> {
        match self {
            Self::Numbers(numbers) => numbers.get(row).map(ValueRef::Number),
            Self::Levels(indices, levels) => indices.get(row).map(|index| ValueRef::Level(&levels[index as usize])),
        }
    }

    /// The numbers, or the indices of the levels.
    pub fn column(self) -> NumberColumn<'a> {
        match self {
            Self::Numbers(column) | Self::Levels(column, _) => column,
        }
    }
}

impl Table {
    /// Reads a CSV stream, with as many threads as there are processors. For tests.
    pub fn from_csv(schema: &Schema, stream: impl Read + Send, malformed: MalformedRows) -> Result<Self> {
        let threads = available_parallelism().map_or(1, NonZero::get);
        Self::from_stream(schema, Unchanging(stream), Reading { malformed, ..Reading::WHOLE }, threads)
    }

    /// Reads one input with so many threads.
    pub(super) fn from_stream(schema: &Schema, input: impl Input, reading: Reading, threads: usize) -> Result<Self> {
        let mut input = Some(input);
        let open = |_| input.take().context("the stream was read before");
        Self::read(schema, 1, open, reading, threads, |_, fault| fault)
    }

    /// Reads several CSV files as one table, in the order given.
    pub fn read_all(schema: &Schema, files: &[DataFile], reading: Reading, threads: usize) -> Result<Self> {
        ensure!(!files.is_empty(), "there is no file to read");
        let open = |file: usize| WatchedFile::open(&files[file].path);
        let named = |file: usize, fault: Error| fault.context(format!("reading {}", files[file].path.display()));
        Self::read(schema, files.len(), open, reading, threads, named)
    }

    fn read<R: Input>(
        schema: &Schema,
        files: usize,
        open: impl FnMut(usize) -> Result<R> + Send,
        reading: Reading,
        threads: usize,
        named: impl Fn(usize, Error) -> Error + Sync,
    ) -> Result<Self> {
        let source = Files::new(schema, files, reading.target, open);
        let growing = Stage::new(Growing {
            columns: Columns::new(schema, reads_ids(reading)),
            file_ends: Vec::new(),
            file_rows: 0,
            file_malformed: MalformedCount::default(),
            malformed: 0,
            checksums: Vec::new(),
            failure: None,
        });
        on_threads(threads, |panicked| {
            let (mut scanner, mut bytes) = (None, Vec::new());
            while let Some(mut piece) = source.take(bytes) {
                let rows = PieceRows::of(schema, &piece, reading, &mut scanner);
                let Some(passed) = source.pass(&piece, panicked) else { break };
                let added = growing.pass(piece.number, panicked, |table| {
                    if table.failure.is_none() {
                        let added = table.add(&mut piece, rows, passed, reading.malformed);
                        table.failure = added.err().map(|fault| named(piece.file, fault));
                    }
                    table.failure.is_none()
                });
                match added {
                    Some(true) => {}
                    Some(false) => source.stop(),
                    None => break,
                }
                bytes = piece.bytes;
            }
        });
        let Growing { columns, file_ends, malformed, checksums, failure, .. } = growing.into_inner();
        if let Some(failure) = failure {
            return Err(failure);
        }
        let joined = |all: Checksum, checksum: Checksum| Checksum::of_bytes(format!("{all}{checksum}").as_bytes());
        let checksum = checksums.into_iter().reduce(joined).context("there is no file to read")?;
        let missing_ids = columns.missing_ids;
        let (frame, levels) = columns.finish()?;
        let mut table = Self { schema: schema.clone(), frame, levels, missing_ids, malformed, checksum, threads };
        if reading.labels == Labels::Later {
            let target = &schema.target().name;
            let completed = with_later_labels(target, table.ids()?, table.target()?, &file_ends);
            table.frame.replace(target, completed)?;
        }
        if reading.ids == Ids::Skipped && reads_ids(reading) {
            table.frame.drop_in_place(schema.id())?;
        }
        Ok(table)
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

    /// Returns the first `rows` rows, which are not copied, as a table that is worked on with so many threads. Its
    /// checksum is that of the whole table.
    pub(super) fn head(&self, rows: usize, threads: usize) -> Self {
        Self { frame: self.frame.head(Some(rows)), threads, ..self.clone() }
    }

    /// Returns the number of rows that were left out because they could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Returns the threads that work on the table.
    pub(super) fn pool(&self) -> Result<ThreadPool> {
        ThreadPoolBuilder::new().num_threads(self.threads).build().context("starting threads")
    }

    /// Returns the values of each predictor, in the order of the schema.
    pub fn predictors(&self) -> Result<Vec<Values<'_>>> {
        self.schema
            .predictors()
            .iter()
            .zip(&self.levels)
            .map(|(predictor, levels)| {
                let column = self.numbers(&predictor.name)?;
                Ok(match predictor.is_category() {
                    true => Values::Levels(column, levels),
                    false => Values::Numbers(column),
                })
            })
            .collect()
    }

    /// Returns the id of each row; null where missing.
    ///
    /// # Errors
    /// Fails if the table was read without ids.
    pub fn ids(&self) -> Result<&StringChunked> {
        self.ids_if_read().context("the table was read without ids")
    }

    /// Returns the ids if the table was read with them.
    pub(super) fn ids_if_read(&self) -> Option<&StringChunked> {
        self.frame.column(self.schema.id()).ok()?.str().ok()
    }

    /// Returns the target: 1 for a client that left, 0 for one that stayed.
    pub fn target(&self) -> Result<NumberColumn<'_>> {
        self.numbers(&self.schema.target().name)
    }

    fn numbers(&self, name: &str) -> Result<NumberColumn<'_>> {
        let column = self.frame.column(name)?;
        macro_rules! numbers {
            ($column:expr, $numbers:path) => {{
                let array = $column?.downcast_as_array();
                ($numbers(array.values().as_slice()), array.validity())
            }};
        }
        let (numbers, known) = match column.dtype() {
            DataType::UInt8 => numbers!(column.u8(), Numbers::U8),
            DataType::UInt16 => numbers!(column.u16(), Numbers::U16),
            DataType::Int32 => numbers!(column.i32(), Numbers::I32),
            DataType::Float64 => numbers!(column.f64(), Numbers::F64),
            other => bail!("column {name} has the type {other}"),
        };
        Ok(NumberColumn::new(numbers, known.map(|bits| bits.as_slice().0)))
    }

    /// Returns the number of missing ids.
    pub(super) fn missing_ids(&self) -> u64 {
        self.missing_ids
    }
}

/// Whether the ids are needed, if only to find the labels of clients.
fn reads_ids(reading: Reading) -> bool {
    reading.ids == Ids::Read || reading.labels == Labels::Later
}

/// Returns the values of one row.
pub fn row_of<'a>(predictors: &[Values<'a>], row: usize) -> impl Iterator<Item = Option<ValueRef<'a>>> {
    predictors.iter().map(move |values| values.get(row))
}

/// Returns the values of one row with texts of their own.
pub fn owned_row(predictors: &[Values], row: usize) -> Vec<Option<Value>> {
    row_of(predictors, row).map(|value| value.map(ValueRef::to_owned)).collect()
}

/// The rows of one piece.
struct PieceRows {
    columns: PieceColumns,
    /// Line, number of lines and reason of each malformed row.
    malformed: Vec<(u64, u64, Malformed)>,
    unreadable: Option<Unreadable>,
}

impl PieceRows {
    fn of<'s>(schema: &'s Schema, piece: &Taken, reading: Reading, scanner: &mut Option<Scanner<'s>>) -> Self {
        let mut rows =
            Self { columns: PieceColumns::new(schema, reads_ids(reading)), malformed: Vec::new(), unreadable: None };
        let Some(scanner) = piece.scanner(schema, scanner) else { return rows };
        loop {
            match scanner.next(&piece.bytes) {
                Ok(Some(Next::Row(row))) => rows.columns.push(&row),
                Ok(Some(Next::Malformed(row))) => {
                    rows.malformed.push((row.line, row.lines, row.reason));
                    if reading.malformed == MalformedRows::Refuse {
                        return rows;
                    }
                }
                Ok(None) => return rows,
                Err(unreadable) => {
                    rows.unreadable = Some(unreadable);
                    return rows;
                }
            }
        }
    }
}

/// A table that is being read.
struct Growing<'s> {
    columns: Columns<'s>,
    /// Number of rows up to the end of each file that has been read.
    file_ends: Vec<usize>,
    /// Number of rows of the current file.
    file_rows: u64,
    file_malformed: MalformedCount,
    malformed: u64,
    checksums: Vec<Checksum>,
    /// The first fault, after which no more rows are added.
    failure: Option<Error>,
}

impl Growing<'_> {
    fn add(&mut self, piece: &mut Taken, rows: PieceRows, passed: Passed, policy: MalformedRows) -> Result<()> {
        if let Some(fault) = piece.fault.take() {
            return Err(fault);
        }
        for (line, lines, reason) in &rows.malformed {
            let line = passed.lines + line;
            if policy == MalformedRows::Refuse {
                bail!("line {line}: {reason}");
            }
            self.file_malformed.add(line, *lines, reason);
        }
        if let Some(unreadable) = rows.unreadable {
            return Err(unreadable.after(passed.lines));
        }
        self.file_rows += rows.columns.rows as u64;
        self.columns.append(rows.columns)?;
        if let Some(checksum) = passed.checksum {
            self.file_malformed.check_share(self.file_rows)?;
            self.malformed += std::mem::take(&mut self.file_malformed).rows;
            self.file_rows = 0;
            self.file_ends.push(self.columns.rows);
            self.checksums.push(checksum);
        }
        Ok(())
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
        let table = Table::read_all(&schema, &files, Reading::WHOLE, 2).unwrap();
        let level = |text: &str| Some(Value::from(text));
        let found: Vec<Option<Value>> = rows(&table).into_iter().map(|(_, mut values, _)| values.remove(1)).collect();
        assert_eq!(found, [level("x"), None, level("y"), level("x")]);
        assert!(Table::read_all(&schema, &[], Reading::WHOLE, 2).is_err());
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
