//! Records: the results of a step, as rows of tables, and the same rows when they are read back.

use std::ops::Deref;

use serde::{Serialize, Serializer};

use crate::columns::{Column, Columns, Field, columns_of, serialize_row, values_of};
use crate::value::Value;

/// A record that is one row of a table.
pub trait Table: Columns {
    /// The name of the table.
    const TABLE: &'static str;
}

/// A result of a step: rows of one or more tables.
pub trait Record {
    /// Appends the rows.
    fn add_to(&self, rows: &mut Vec<TableRows>);
}

impl<T: Table> Record for T {
    fn add_to(&self, rows: &mut Vec<TableRows>) {
        rows.push(TableRows::of(std::slice::from_ref(self)));
    }
}

impl<T: Table> Record for Vec<T> {
    fn add_to(&self, rows: &mut Vec<TableRows>) {
        rows.push(TableRows::of(self));
    }
}

impl<A: Record, B: Record> Record for (A, B) {
    fn add_to(&self, rows: &mut Vec<TableRows>) {
        self.0.add_to(rows);
        self.1.add_to(rows);
    }
}

/// Rows of one table, without the id of their run.
pub struct TableRows {
    pub(crate) table: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl TableRows {
    pub(crate) fn of<T: Table>(records: &[T]) -> Self {
        let columns = columns_of::<T>().into_iter().map(|column| column.name).collect();
        Self { table: T::TABLE, columns, rows: records.iter().map(values_of).collect() }
    }
}

/// A record that was read from the history, with the run that it belongs to. The fields of the record can be used
/// directly.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<T> {
    /// The run's id.
    pub run: i64,
    /// Start of the run (UTC, RFC 3339).
    pub started: String,
    /// The record itself.
    pub record: T,
}

impl<T> Deref for Recorded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.record
    }
}

impl<T: Columns> Columns for Recorded<T> {
    fn add_columns(column: Column, columns: &mut Vec<Column>) {
        let run = Column { key: "run", name: "run_id", description: "The run's id.", ..column };
        i64::add_columns(run, columns);
        let description = "Start of the run (UTC, RFC 3339).";
        String::add_columns(Column { key: "started", name: "started", description, ..column }, columns);
        T::add_columns(column, columns);
    }

    fn add_values(&self, values: &mut Vec<Value>) {
        values.extend([self.run.to_value(), self.started.to_value()]);
        self.record.add_values(values);
    }

    fn read(values: &mut impl Iterator<Item = Value>) -> anyhow::Result<Self> {
        Ok(Self { run: i64::read(values)?, started: String::read(values)?, record: T::read(values)? })
    }
}

impl<T: Columns> Serialize for Recorded<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize_row(&columns_of::<Self>(), &values_of(self), to)
    }
}

/// Rows that can be listed.
pub trait Listed: Columns {
    /// Returns the query of the newest rows, oldest first. Its placeholder is the maximum number of rows. It must read
    /// from the end of an index, so that it costs the same after ten runs as after a million.
    fn newest() -> String;
}

/// Returns the query of the newest rows of `table`, in the order of their runs and then of the column `then`. With
/// `indexed_by_both`, the index of the table has both columns. `join` adds the columns of another table.
pub(crate) fn newest_of<T: Columns>(table: &str, then: Option<&str>, indexed_by_both: bool, join: &str) -> String {
    let columns: Vec<_> = columns_of::<T>().iter().map(|column| column.name).collect();
    let columns = columns.join(", ");
    let order = then.map(|then| format!(", {then}")).unwrap_or_default();
    let newest = if indexed_by_both { format!("{order} DESC") } else { String::new() };
    format!(
        "SELECT {columns} FROM (SELECT * FROM {table} ORDER BY run_id DESC{newest} LIMIT ?) AS newest {join}
        JOIN (SELECT id, started FROM runs) AS runs ON runs.id = run_id
        ORDER BY run_id{order}"
    )
}
