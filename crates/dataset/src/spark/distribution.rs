//! Counts how often each value of a column occurs, on the cluster.

use std::collections::BTreeMap;

use crate::MOST_VALUES;
use anyhow::{Context, Result};
use statistics::distribution::Distribution;
use statistics::sketch::SHARES;

use crate::spark::connection::Connection;
use crate::spark::sql::{Cells, union_all};

/// Number of shares to which a distribution is thinned. It is a multiple of the shares of a sketch, so the sketch's
/// quantiles stay exact.
const KEPT_SHARES: u64 = MOST_VALUES.next_multiple_of(SHARES);

/// A column to be counted.
pub struct Column {
    /// An SQL expression of type DOUBLE whose values are counted.
    pub value: String,
    /// An SQL condition that selects the rows.
    pub condition: String,
}

/// The counts of one column.
#[derive(Clone, Debug, Default)]
pub struct ValueCounts {
    /// The distribution of the values. `missing` is 0, because the caller knows the number of rows.
    pub distribution: Distribution,
    /// The most frequent value; the smallest one if several are equally frequent.
    pub mode: Option<f64>,
}

/// Counts `columns` of the rows of `relation` in one query. The size of the result does not grow with the number of
/// rows.
///
/// Values are grouped and numbered by their cumulative counts. If there are very many distinct values, only those at
/// which a new share of all values begins are returned, together with the first value, the two middle ones and the most
/// frequent one.
pub fn count(connection: &Connection, what: &str, relation: &str, columns: &[Column]) -> Result<Vec<ValueCounts>> {
    let groups: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, Column { value, condition })| {
            format!(
                "SELECT {i} AS i, {value} AS v, count(*) AS n FROM {relation} WHERE {condition} AND {value} IS NOT NULL \
                 GROUP BY {value}"
            )
        })
        .collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let cumulated = format!(
        "SELECT i, v, n, sum(n) OVER (PARTITION BY i ORDER BY v) AS upto, sum(n) OVER (PARTITION BY i) AS everything, \
         row_number() OVER (PARTITION BY i ORDER BY n DESC, v) AS frequency_rank FROM ({})",
        union_all(&groups)
    );
    let share = |rank: &str| format!("({KEPT_SHARES} * ({rank})) DIV everything");
    let query = format!(
        "SELECT i, v, upto, frequency_rank FROM ({cumulated}) WHERE {} > {} OR upto = n OR frequency_rank = 1 \
         OR (upto - n < everything DIV 2 + 1 AND upto >= everything DIV 2 + 1) ORDER BY i, v",
        share("upto"),
        share("upto - n"),
    );
    let mut counted = vec![ValueCounts::default(); columns.len()];
    let mut before = vec![0; columns.len()];
    connection.each(what, query, |row| {
        let mut cells = Cells::of(&row);
        let (i, value, up_to, frequency_rank) = (cells.count() as usize, cells.sum(), cells.count(), cells.count());
        if let (Some(counted), Some(before)) = (counted.get_mut(i), before.get_mut(i)) {
            counted.distribution.values.push((value, up_to - *before));
            *before = up_to;
            if frequency_rank == 1 {
                counted.mode = Some(value);
            }
        }
        Ok(())
    })?;
    Ok(counted)
}

/// Counts the rows of each level of `columns` in one query.
pub fn count_levels(
    connection: &Connection,
    what: &str,
    relation: &str,
    columns: &[String],
) -> Result<Vec<BTreeMap<String, u64>>> {
    let mut counted = vec![BTreeMap::new(); columns.len()];
    if columns.is_empty() {
        return Ok(counted);
    }
    let groups = columns.iter().enumerate().map(|(i, column)| {
        format!("SELECT {i} AS i, {column} AS level, count(*) AS n FROM {relation} WHERE {column} IS NOT NULL GROUP BY {column}")
    });
    connection.each(what, union_all(&groups.collect::<Vec<_>>()), |row| {
        let mut cells = Cells::of(&row);
        let (i, level) = (cells.count() as usize, cells.text().context("a level without a name")?);
        if let Some(counted) = counted.get_mut(i) {
            counted.insert(level, cells.count());
        }
        Ok(())
    })?;
    Ok(counted)
}

/// Returns a [`Column`] that counts a column by its name in every row.
pub fn every(column: &str) -> Column {
    Column { value: format!("CAST({column} AS DOUBLE)"), condition: "true".to_owned() }
}

/// Mean and sample standard deviation of each column, with the numbers of rows and of known values.
pub struct Moments {
    /// Number of readable rows.
    pub rows: u64,
    /// For each column: number of known values, mean, sample standard deviation.
    pub columns: Vec<(u64, Option<f64>, Option<f64>)>,
    /// The values of the additional sums, in the order requested.
    pub others: Vec<f64>,
}

/// Computes the moments of `columns`, and the additional sums `others`.
pub fn moments(
    connection: &Connection,
    what: &str,
    relation: &str,
    columns: &[String],
    others: &[String],
) -> Result<Moments> {
    let asked: Vec<String> = columns
        .iter()
        .map(|c| format!("count({c}), avg(CAST({c} AS DOUBLE)), stddev_samp(CAST({c} AS DOUBLE))"))
        .chain(others.iter().cloned())
        .collect();
    let row = connection.row(what, format!("SELECT sum(readable), {} FROM {relation}", asked.join(", ")))?;
    let mut cells = Cells::of(&row);
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    Ok(Moments {
        rows: cells.count(),
        columns: columns.iter().map(|_| (cells.count(), finite(cells.number()), finite(cells.number()))).collect(),
        others: others.iter().map(|_| cells.sum()).collect(),
    })
}

/// Returns an SQL expression for the sum of `term` over the rows that satisfy `condition`.
pub fn sum_where(condition: &str, term: &str) -> String {
    format!("sum(CASE WHEN {condition} THEN {term} END)")
}
