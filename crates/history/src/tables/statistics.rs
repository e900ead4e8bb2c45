//! The tables `missing_percentages`, `summary_statistics` and `category_levels`: the columns of the compiled dataset.

use anyhow::Result;
use common::schema::Schema;

use crate::columns::{Column, Columns, columns, schema_of};
use crate::listing::ListingRow;
use crate::store::History;
use crate::value::Value;

columns! {
    /// Missing values in one column of the compiled dataset.
    MissingPercentage in "missing_percentages" {
        /// The name of the column.
        column: String => "column_name",
        /// Percentage of missing values, from 0 to 100.
        percent: f64,
    }
}

columns! {
    /// Statistics of one numeric column of the compiled dataset; `None` if the column has no such value.
    SummaryStatistics in "summary_statistics" {
        /// The name of the column.
        column: String => "column_name",
        /// Mean of the known values.
        mean: Option<f64>,
        /// Median of the known values.
        median: Option<f64>,
        /// The sample standard deviation.
        std: Option<f64>,
        /// Mode of the known values.
        mode: Option<f64>,
    }
}

columns! {
    /// How often one level of a category occurs in the compiled dataset.
    CategoryLevel in "category_levels" {
        /// The name of the column.
        column: String => "column_name",
        /// The level as it is in the data.
        level: String,
        /// Number of rows with this level.
        rows: u64 => "row_count",
        /// Share of the rows whose value is not missing, from 0 to 1.
        share: f64,
    }
}

/// Percentages of missing values in the compiled dataset, by column.
#[derive(Clone, Debug, PartialEq)]
pub struct MissingRow {
    /// The id of the run that counted them.
    pub run: i64,
    /// Start of the run (UTC, RFC 3339).
    pub started: String,
    /// Percentage missing in each of the requested columns, from 0 to 100; `None` if the dataset did not have the column.
    pub percent: Vec<Option<f64>>,
}

impl MissingRow {
    /// Describes the JSON object of a row of the listing of these columns, for the description of the API.
    pub fn api_schema(clients: &Schema) -> utoipa::openapi::Schema {
        schema_of(Self::columns(clients), "Percentage of missing values in the compiled dataset.")
    }
}

impl ListingRow for MissingRow {
    fn columns(clients: &Schema) -> Vec<Column> {
        let mut columns = Vec::new();
        i64::add_columns(Column::new("run", "The id of the run that counted them."), &mut columns);
        String::add_columns(Column::new("started", "Start of the run (UTC, RFC 3339)."), &mut columns);
        for name in clients.columns() {
            let is_taken = columns[..2].iter().any(|column| column.key == name);
            let key = if is_taken { clients.free_name(name).into_owned() } else { name.to_owned() };
            let description = format!("Percentage missing in `{name}`, from 0 to 100.");
            let column = Column { key: key.into(), description: description.into(), ..Column::new("percent", "") };
            Option::<f64>::add_columns(column, &mut columns);
        }
        columns
    }

    fn query(clients: &Schema) -> String {
        format!(
            "SELECT runs.id, runs.started{}
            FROM (SELECT DISTINCT run_id FROM missing_percentages ORDER BY run_id DESC LIMIT ?) AS newest
            JOIN missing_percentages ON missing_percentages.run_id = newest.run_id
            JOIN runs ON runs.id = newest.run_id
            GROUP BY runs.id, runs.started
            ORDER BY runs.id",
            ", MAX(CASE WHEN column_name = ? THEN percent END)".repeat(clients.width())
        )
    }

    fn newest_values(history: &mut History, clients: &Schema, last: u32) -> Result<Vec<Vec<Value>>> {
        let kinds: Vec<_> = Self::columns(clients).iter().map(|column| column.kind).collect();
        let values: Vec<_> = clients.columns().map(Value::from).chain([i64::from(last).into()]).collect();
        history.rows(&Self::query(clients), &values, &kinds)
    }
}

impl History {
    /// Returns the newest `last` records of missing values, oldest first, with the percentage of each column of
    /// `clients` in this order.
    pub fn missing(&mut self, clients: &Schema, last: u32) -> Result<Vec<MissingRow>> {
        let row = |values: Vec<Value>| {
            let mut values = values.into_iter();
            let (run, started) = (i64::read(&mut values)?, String::read(&mut values)?);
            let percent = (0..clients.width()).map(|_| Option::<f64>::read(&mut values)).collect::<Result<_>>()?;
            Ok(MissingRow { run, started, percent })
        };
        MissingRow::newest_values(self, clients, last)?.into_iter().map(row).collect()
    }
}
