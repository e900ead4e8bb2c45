//! The columns of a client table, in the order in which every file is written.

use std::collections::BTreeMap;

/// Names of all columns, in file order.
pub const COLUMNS: [&str; 5] =
    ["corporation", "lastmonth_activity", "lastyear_activity", "number_of_employees", "exited"];

/// Names of the predictors, in the order of a model's coefficients.
pub const PREDICTORS: [&str; 3] = ["lastmonth_activity", "lastyear_activity", "number_of_employees"];

/// Name of the text column with the client's name.
pub const CORPORATION: &str = "corporation";

/// Name of the target column: 1 if the client left, 0 if it stayed.
pub const TARGET: &str = "exited";

/// One client's predictors; `None` for a missing value.
pub type Predictors = [Option<f64>; 3];

/// Maps each column's name to its count; `counts` is in the order of [`COLUMNS`].
pub fn by_column(counts: [u64; 5]) -> BTreeMap<String, u64> {
    COLUMNS.into_iter().map(str::to_owned).zip(counts).collect()
}
