//! How often each value of a column occurs, counted where the rows are.

use anyhow::Result;
use engine::MOST_VALUES;
use statistics::distribution::Distribution;
use statistics::sketch::SHARES;

use crate::connection::Connection;
use crate::sql::Cells;

/// Into how many shares a distribution is thinned; every share of a sketch is one of them, so its quantiles stay exact.
const KEPT_SHARES: u64 = MOST_VALUES.next_multiple_of(SHARES);

/// A column to be counted.
pub struct Column {
    /// What is counted, as a DOUBLE.
    pub value: String,
    /// In which rows.
    pub condition: String,
}

/// A counted column.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Its values; `missing` is 0, because who asks knows how many rows there are.
    pub distribution: Distribution,
    /// The most frequent value; among equally frequent ones the smallest.
    pub mode: Option<f64>,
}

/// Counts `columns` of the rows of `relation` in one query. What comes back does not grow with the rows.
///
/// Values are grouped and numbered by their cumulated counts. Of very many different ones those come back at which a new
/// share of all values is reached, and besides the first, the two in the middle and the most frequent.
pub fn count(connection: &Connection, what: &str, relation: &str, columns: &[Column]) -> Result<Vec<Counted>> {
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
    let cumulated = format!(
        "SELECT i, v, n, sum(n) OVER (PARTITION BY i ORDER BY v) AS upto, sum(n) OVER (PARTITION BY i) AS everything, \
         row_number() OVER (PARTITION BY i ORDER BY n DESC, v) AS place FROM ({})",
        groups.join(" UNION ALL ")
    );
    let share = |rank: &str| format!("({KEPT_SHARES} * ({rank})) DIV everything");
    let query = format!(
        "SELECT i, v, upto, place FROM ({cumulated}) WHERE {} > {} OR upto = n OR place = 1 \
         OR (upto - n < everything DIV 2 + 1 AND upto >= everything DIV 2 + 1) ORDER BY i, v",
        share("upto"),
        share("upto - n"),
    );
    let mut counted = vec![Counted::default(); columns.len()];
    let mut before = vec![0; columns.len()];
    connection.each(what, query, |row| {
        let mut cells = Cells::of(&row);
        let (i, value, up_to, place) = (cells.count() as usize, cells.sum(), cells.count(), cells.count());
        if let (Some(counted), Some(before)) = (counted.get_mut(i), before.get_mut(i)) {
            counted.distribution.values.push((value, up_to - *before));
            *before = up_to;
            if place == 1 {
                counted.mode = Some(value);
            }
        }
        Ok(())
    })?;
    Ok(counted)
}

/// A column's name as something to be counted in every row.
pub fn every(column: &str) -> Column {
    Column { value: format!("CAST({column} AS DOUBLE)"), condition: "true".to_owned() }
}

/// Mean and sample standard deviation of each column, and how many rows and known values there are.
pub struct Moments {
    /// All rows.
    pub rows: u64,
    /// Of each column: known values, mean, standard deviation.
    pub columns: Vec<(u64, Option<f64>, Option<f64>)>,
    /// What else was asked.
    pub others: Vec<f64>,
}

/// Asks for the moments of `columns`, and for `others`, which are sums.
pub fn moments(
    connection: &Connection,
    what: &str,
    relation: &str,
    columns: &[&str],
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

/// The sums of terms over the rows that a condition names.
pub fn sum_where(condition: &str, term: &str) -> String {
    format!("sum(CASE WHEN {condition} THEN {term} END)")
}
