//! The tables `missing_percentages` and `summary_statistics`: the columns of the compiled dataset.

use crate::columns::columns;
use crate::record::Listed;

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
    /// Percentage of missing values in the compiled dataset.
    MissingRow {
        /// The id of the run that counted them.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// Percentage missing in `corporation`, from 0 to 100.
        corporation: Option<f64>,
        /// Percentage missing in `lastmonth_activity`, from 0 to 100.
        lastmonth_activity: Option<f64>,
        /// Percentage missing in `lastyear_activity`, from 0 to 100.
        lastyear_activity: Option<f64>,
        /// Percentage missing in `number_of_employees`, from 0 to 100.
        number_of_employees: Option<f64>,
        /// Percentage missing in `exited`, from 0 to 100.
        exited: Option<f64>,
    }
}

impl Listed for MissingRow {
    fn newest() -> String {
        "SELECT runs.id, runs.started,
            MAX(CASE WHEN column_name = 'corporation' THEN percent END),
            MAX(CASE WHEN column_name = 'lastmonth_activity' THEN percent END),
            MAX(CASE WHEN column_name = 'lastyear_activity' THEN percent END),
            MAX(CASE WHEN column_name = 'number_of_employees' THEN percent END),
            MAX(CASE WHEN column_name = 'exited' THEN percent END)
        FROM (SELECT DISTINCT run_id FROM missing_percentages ORDER BY run_id DESC LIMIT ?) AS newest
        JOIN missing_percentages ON missing_percentages.run_id = newest.run_id
        JOIN runs ON runs.id = newest.run_id
        GROUP BY runs.id, runs.started
        ORDER BY runs.id"
            .to_owned()
    }
}
