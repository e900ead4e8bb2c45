//! Records: the results of a step, as rows of tables, and the same rows when they are read back.

use std::ops::Deref;

use crate::columns::{Column, Columns, Field, columns_of, values_of};
use crate::value::Value;

/// A record that is one row of a table.
pub trait Table: Columns {
    /// The name of the table.
    const TABLE: &'static str;
    /// The order of the rows in a listing.
    const ORDER: &'static str;
    /// The order in which the newest rows are found by an index, from its end.
    const NEWEST_FIRST: &'static str;
}

/// A result of a step: rows of one or more tables.
pub trait Record {
    /// Appends the rows of this result.
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
    /// The record that the run has added.
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
        i64::add_columns(Column { key: "run".into(), ..Column::new("run_id", "The run's id.") }, columns);
        String::add_columns(Column::new("started", "Start of the run (UTC, RFC 3339)."), columns);
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

/// Rows that can be listed.
pub trait Listed: Columns {
    /// Returns the query of the newest rows, oldest first. Its placeholder is the maximum number of rows. It must read
    /// from the end of an index, so that it costs the same after ten runs as after a million.
    fn newest() -> String;
}

impl<T: Table> Listed for Recorded<T> {
    fn newest() -> String {
        newest_of::<Self, T>("")
    }
}

/// Number of newest rows among which [`newest_with`] looks, so that it costs the same after ten runs as after a million.
const RECENT: u32 = 1000;

/// Returns the query of the newest row of the table `T` that meets a condition, if it is one of the newest 1,000.
pub(crate) fn newest_with<T: Table>(condition: &str) -> String {
    let columns: Vec<_> = columns_of::<Recorded<T>>().iter().map(|column| column.name).collect();
    let (columns, table, newest_first) = (columns.join(", "), T::TABLE, T::NEWEST_FIRST);
    format!(
        "SELECT {columns} FROM (SELECT * FROM (SELECT * FROM {table} ORDER BY {newest_first} LIMIT {RECENT}) AS recent
            WHERE {condition} ORDER BY {newest_first} LIMIT 1) AS newest
        JOIN (SELECT id, started FROM runs) AS runs ON runs.id = run_id"
    )
}

/// Returns the query of the newest rows of the table `T`. `join` adds the columns of another table.
pub(crate) fn newest_of<Row: Columns, T: Table>(join: &str) -> String {
    let columns: Vec<_> = columns_of::<Row>().iter().map(|column| column.name).collect();
    let (columns, table, newest_first, order) = (columns.join(", "), T::TABLE, T::NEWEST_FIRST, T::ORDER);
    format!(
        "SELECT {columns} FROM (SELECT * FROM {table} ORDER BY {newest_first} LIMIT ?) AS newest {join}
        JOIN (SELECT id, started FROM runs) AS runs ON runs.id = run_id
        ORDER BY {order}"
    )
}
