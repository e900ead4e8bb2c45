//! A client table in memory: a polars `DataFrame` with the columns of the schema, whose rows have been checked.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::quarantine::MalformedCount;
use crate::{MalformedRows, Reading};
use anyhow::{Context, Result, bail};
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::model::schema::{COLUMNS, CORPORATION, PREDICTORS, TARGET};
use polars::prelude::*;

use crate::local::reader::{Next, RowReader};
use crate::row::Row;

/// A client table. `corporation` is text, every other column `Float64`; a missing value is a null.
#[derive(Clone, Debug)]
pub struct Table {
    frame: DataFrame,
    malformed: u64,
    checksum: Checksum,
}

impl Table {
    /// Reads the CSV file at `path`.
    pub fn read(path: &Path, reading: Reading) -> Result<Self> {
        let read = || {
            let file = File::open(path)?;
            let reader = if reading.target { RowReader::new(file)? } else { RowReader::for_prediction(file)? };
            Self::from_rows(reader, reading.malformed)
        };
        read().with_context(|| format!("reading {}", path.display()))
    }

    /// Reads a CSV stream.
    pub fn from_csv(stream: impl Read, malformed: MalformedRows) -> Result<Self> {
        Self::from_rows(RowReader::new(stream)?, malformed)
    }

    fn from_rows(mut reader: RowReader<impl Read>, policy: MalformedRows) -> Result<Self> {
        let mut columns = Columns::new();
        let mut malformed = MalformedCount::default();
        while let Some(next) = reader.read_next()? {
            match next {
                Next::Row(row) => columns.push(&row),
                Next::Malformed(row) if policy == MalformedRows::Refuse => bail!("line {}: {}", row.line, row.reason),
                Next::Malformed(row) => malformed.add(row.line, row.lines, &row.reason),
            }
        }
        let frame = columns.finish()?;
        malformed.check_share(frame.height() as u64)?;
        Ok(Self { frame, malformed: malformed.rows, checksum: reader.checksum() })
    }

    /// Reads several CSV files as one table, in the order given.
    pub fn read_all(files: &[DataFile], reading: Reading) -> Result<Self> {
        let mut tables = files.iter().map(|file| Self::read(&file.path, reading));
        let mut all = tables.next().context("there is no file to read")??;
        for table in tables {
            let table = table?;
            all.frame.vstack_mut(&table.frame)?;
            all.malformed += table.malformed;
            all.checksum = Checksum::of_bytes(format!("{}{}", all.checksum, table.checksum).as_bytes());
        }
        Ok(all)
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

    /// Returns the rows in which no predictor and no target is missing, with contiguous columns.
    pub fn complete(&self) -> Result<Self> {
        let needed: Vec<String> = PREDICTORS.iter().chain([&TARGET]).map(|name| (*name).to_owned()).collect();
        let mut frame = self.frame.drop_nulls(Some(&needed))?;
        frame.rechunk_mut();
        Ok(Self { frame, malformed: self.malformed, checksum: self.checksum.clone() })
    }

    /// Returns the values of a numeric column without nulls, as in the result of [`Table::complete`].
    pub fn values(&self, column: &str) -> Result<&[f64]> {
        Ok(self.frame.column(column)?.f64()?.cont_slice()?)
    }

    /// Returns the values of a numeric column, in order; `None` where missing.
    pub fn column(&self, column: &str) -> Result<impl Iterator<Item = Option<f64>>> {
        Ok(self.frame.column(column)?.f64()?.iter())
    }

    /// Returns the rows, in order.
    pub fn rows(&self) -> Result<impl Iterator<Item = Row<'_>>> {
        let names = self.frame.column(CORPORATION)?.str()?;
        let [lastmonth, lastyear, employees] = PREDICTORS.map(|name| self.frame.column(name).and_then(|c| c.f64()));
        let (lastmonth, lastyear, employees) = (lastmonth?, lastyear?, employees?);
        let exited = self.frame.column(TARGET)?.f64()?;
        Ok(names.iter().zip(lastmonth.iter()).zip(lastyear.iter()).zip(employees.iter()).zip(exited.iter()).map(
            |((((corporation, lastmonth), lastyear), employees), exited)| Row {
                corporation,
                predictors: [lastmonth, lastyear, employees],
                exited: exited.map(|value| value == 1.0),
            },
        ))
    }

    /// Returns the underlying frame, for statistics.
    pub(crate) fn frame(&self) -> &DataFrame {
        &self.frame
    }
}

/// The columns of a table that is being read.
struct Columns {
    names: StringChunkedBuilder,
    numbers: [PrimitiveChunkedBuilder<Float64Type>; 4],
}

impl Columns {
    fn new() -> Self {
        let number = |name: &'static str| PrimitiveChunkedBuilder::new(name.into(), 0);
        Self {
            names: StringChunkedBuilder::new(CORPORATION.into(), 0),
            numbers: [number(COLUMNS[1]), number(COLUMNS[2]), number(COLUMNS[3]), number(COLUMNS[4])],
        }
    }

    fn push(&mut self, row: &Row) {
        self.names.append_option(row.corporation);
        let [predictors @ .., exited] = &mut self.numbers;
        for (column, value) in predictors.iter_mut().zip(row.predictors) {
            column.append_option(value);
        }
        exited.append_option(row.exited.map(f64::from));
    }

    fn finish(self) -> Result<DataFrame> {
        let mut columns = vec![self.names.finish().into_column()];
        columns.extend(self.numbers.map(|column| column.finish().into_column()));
        let height = columns[0].len();
        Ok(DataFrame::new(height, columns)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const HEADER: &str = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n";

    pub(crate) fn table(rows: &str) -> Table {
        Table::from_csv(format!("{HEADER}{rows}").as_bytes(), MalformedRows::Refuse).unwrap()
    }

    #[test]
    fn what_is_read_comes_back_row_by_row() {
        let table = table("a,1,2,3,0\n,,2.5,,\n");
        let rows: Vec<_> = table.rows().unwrap().collect();
        assert_eq!(
            rows,
            [
                Row { corporation: Some("a"), predictors: [Some(1.0), Some(2.0), Some(3.0)], exited: Some(false) },
                Row { corporation: None, predictors: [None, Some(2.5), None], exited: None },
            ]
        );
    }

    #[test]
    fn complete_rows_miss_neither_predictor_nor_target() {
        let complete = table("a,1,2,3,0\n,4,5,6,1\nc,,2,3,1\nd,1,2,3,\n").complete().unwrap();
        assert_eq!(complete.values(PREDICTORS[0]).unwrap(), [1.0, 4.0]);
        assert_eq!(complete.values(TARGET).unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn up_to_five_percent_malformed_rows_are_left_out_and_counted() {
        let csv = |good: usize| format!("{HEADER}{}bad,x,2,3,0\n", "a,1,2,3,0\n".repeat(good));
        let read = |good, policy| Table::from_csv(csv(good).as_bytes(), policy);
        let table = read(19, MalformedRows::LeaveOut).unwrap();
        assert_eq!((table.height(), table.malformed()), (19, 1));
        // A row that spans three lines counts as one row, but as three lines in the share.
        let over_lines = |good: usize| format!("{HEADER}{}\"b\n\n\",1,2,3,0\n", "a,1,2,3,0\n".repeat(good));
        let table = Table::from_csv(over_lines(57).as_bytes(), MalformedRows::LeaveOut).unwrap();
        assert_eq!((table.height(), table.malformed()), (57, 1));
        assert!(Table::from_csv(over_lines(56).as_bytes(), MalformedRows::LeaveOut).is_err());
        let error = read(18, MalformedRows::LeaveOut).unwrap_err().to_string();
        assert!(error.contains("1 of 19 lines") && error.contains("line 20: lastmonth_activity"), "{error}");
        let refused = read(19, MalformedRows::Refuse).unwrap_err().to_string();
        assert_eq!(refused, "line 21: lastmonth_activity is not a number");
    }

    #[test]
    fn files_stand_one_under_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<DataFile> = ["a", "b"]
            .into_iter()
            .map(|name| {
                let path = folder.path().join(name);
                std::fs::write(&path, format!("{HEADER}{name},1,2,3,0\n")).unwrap();
                DataFile::at(&path).unwrap()
            })
            .collect();
        let both = Table::read_all(&files, Reading::WHOLE).unwrap();
        assert_eq!(both.rows().unwrap().map(|row| row.corporation.unwrap().to_owned()).collect::<Vec<_>>(), ["a", "b"]);
        assert!(Table::read_all(&[], Reading::WHOLE).is_err());
    }
}
