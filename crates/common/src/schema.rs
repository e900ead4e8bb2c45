//! The columns of a client table, in the one order in which every file is written.

use std::collections::BTreeMap;

/// Names of all columns, in file order.
pub const COLUMNS: [&str; 5] =
    ["corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited"];

/// Names of the predictors, in the order of a model's coefficients.
pub const PREDICTORS: [&str; 3] = ["lastmonth_activity", "lastyear_activity", "number_of_employees"];

/// Name of the text column that says which client a row is about.
pub const CORPORATION: &str = "corporation";

/// Name of the target: 1 where the client left.
pub const TARGET: &str = "exited";

/// One client's predictors, `None` where the value is missing.
pub type Predictors = [Option<f64>; 3];

/// Counts of the columns by their names.
pub fn by_column(counts: [u64; 5]) -> BTreeMap<String, u64> {
    COLUMNS.into_iter().map(str::to_owned).zip(counts).collect()
}
