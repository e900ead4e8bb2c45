//! The interface between the steps and the client tables: the traits that `local` and `spark` implement.
//!
//! An [`Engine`] finds, merges and opens tables; [`Clients`] is one table. Both return sums, counts and distributions.
//! The solver, the metrics, the model, releases, the history and the reports work on these and are independent of the
//! engine that computed them.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use common::config::Threshold;
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::model::Model;
use common::model::metrics::Confusion;
use common::schema::Schema;
use common::values::{ColumnDistribution, Predictors, ValueRef};
use serde::Serialize;
use statistics::levels::{LevelCounts, LevelSummary};
use statistics::sketch::Sketch;
use utoipa::ToSchema;

use crate::basis::Basis;
use crate::design::{Category, Design};
use crate::likelihood::Sums;

/// An engine that finds, merges and opens client tables.
///
/// Every implementation passes the conformance suite in `tests/conformance`. All answers are deterministic: the same
/// input gives the same answer, whatever the number of threads or workers, except for the last bits of sums
/// (an engine on a cluster adds in an unspecified order; relative error below 1e-12).
pub trait Engine: Send + Sync {
    /// The columns of every table that this engine reads.
    fn schema(&self) -> &Schema;

    /// Returns the CSV files of `folder`, sorted by name (bytewise). Hidden files, folders and other files are skipped.
    ///
    /// # Errors
    /// Fails if the folder cannot be read or contains no CSV file. An engine on a cluster does not see empty files.
    fn files(&self, folder: &Path) -> Result<Vec<DataFile>>;

    /// Returns the SHA-256 of each file's content, in the order of `files`.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    fn checksums(&self, files: &[DataFile]) -> Result<Vec<Checksum>>;

    /// Merges `files`, in the order given, into one table of distinct rows, and writes the accompanying files (the
    /// quarantine) into the folder `stage` of the folder `output`. The current dataset is not changed.
    ///
    /// Rows are equal if all values are equal; missing equals missing. The first of equal rows is kept and the others
    /// count as duplicates of their files. The table of this process keeps the order of the rows; on a cluster rows
    /// are ordered only by file.
    ///
    /// # Errors
    /// Fails if a file cannot be used; the error names the file. Also fails if no file has a single row, because an
    /// empty result must not replace an existing dataset.
    fn compile(&self, files: &[DataFile], output: &Path, stage: &Path) -> Result<Ingested>;

    /// Returns the names of the files that [`Engine::compile`] leaves in `stage`.
    fn compiled_files(&self) -> &'static [&'static str];

    /// Opens the table that ingestion has compiled into the folder `output`.
    ///
    /// # Errors
    /// Fails if there is no such table, or if it is damaged.
    fn compiled(&self, output: &Path, ids: Ids) -> Result<Box<dyn Clients>>;

    /// Reads `files` as one table, in the order given; repeated rows are kept.
    ///
    /// # Errors
    /// Fails if a file cannot be used; the error names the file, and the line of the first row that is refused.
    fn read(&self, files: &[DataFile], reading: Reading) -> Result<Box<dyn Clients>>;

    /// Releases the storage of a compiled table that is no longer current, if it is outside the output folder.
    fn retire(&self, ingested: &Ingested);
}

/// A client table, with one row per client and time.
///
/// Every method reads the whole table once or twice. Each fails if the storage or the cluster fails, and if it is given
/// a model of other columns.
pub trait Clients: Send + Sync {
    /// Returns the number of rows that could not be read and are left out.
    fn malformed(&self) -> u64;

    /// Computes the statistics of the columns, as pandas defines them (see [`ColumnStatistics`]). Medians and modes are
    /// exact; on a cluster, only while a column has at most [`MOST_VALUES`] distinct values.
    fn describe(&self) -> Result<Description>;

    /// Returns the rows that training uses, with the values that training needs before its first step.
    ///
    /// # Errors
    /// Fails if a category has more than [`common::schema::MOST_LEVELS`] levels or the table more than
    /// [`common::schema::MOST_TERMS`] terms; the error names the column. Fails on a cluster if the table is not the
    /// compiled dataset.
    fn training_rows(&self) -> Result<Box<dyn TrainingRows + '_>>;

    /// Compares the predictions of a model with the known outcomes. A probability equal to the threshold predicts that
    /// the client leaves; a missing predictor is imputed as the model imputes it.
    fn score(&self, model: &Model, threshold: Threshold) -> Result<Counts>;

    /// Returns how often each value of each predictor occurs, in the order of the schema. An engine may thin the
    /// distribution of a number with more than [`MOST_VALUES`] distinct values.
    fn distributions(&self) -> Result<Vec<ColumnDistribution>>;

    /// Returns the current clients as `model` scores them, in any order: either all, or at least the `most` clients of
    /// the highest risk.
    ///
    /// The newest row of a client is its last row in the last file that contains it. On a cluster the order within one
    /// file is unknown; the row of the highest risk counts as the newest one there.
    fn newest(&self, model: &Model, most: usize) -> Result<Newest>;

    /// Returns every row of one client, oldest first; on a cluster rows of one file are in any order.
    fn rows_of(&self, id: &str) -> Result<Vec<ClientRow>>;

    /// Returns the positions of these rows in the table, starting at 0; `None` if the table has no order.
    fn positions_of(&self, id: &str) -> Result<Option<Vec<u64>>>;

    /// Returns the clients whose id contains `part`, ignoring case (Unicode lower case): at most `most` distinct
    /// ids in bytewise order, and the total number of distinct matches.
    fn search(&self, part: &str, most: usize) -> Result<(Vec<String>, usize)>;

    /// Returns those of these ids that the table contains.
    fn known(&self, ids: &HashSet<&str>) -> Result<HashSet<String>>;

    /// Calls `visit` with the id (`None` also if the ids were not read), the predictors and the target of every row, in
    /// the order of the table if it has one. Intended for tables that fit on this machine, such as the test data.
    fn each(&self, visit: &mut VisitRow) -> Result<()>;

    /// Writes every row with its probability of leaving and its prediction (1 or 0) to `path`, either completely or not
    /// at all. Returns the number of rows. This process writes one CSV file in the order of the table and replaces an
    /// existing one; a cluster writes a folder (CSV if the path ends in `.csv`, otherwise Parquet) in any order and
    /// refuses an existing one.
    fn write_predictions(&self, model: &Model, threshold: Threshold, path: &Path) -> Result<u64>;
}

/// A function that is called with the id, the predictors and the target of a row.
pub type VisitRow<'v> = dyn FnMut(Option<&str>, &[Option<ValueRef>], Option<bool>) + 'v;

/// The rows of a table that have every predictor and the target.
pub trait TrainingRows {
    /// Returns the columns of the regression.
    fn design(&self) -> &Design;

    /// Returns the statistics of the rows that training needs before its first step.
    fn summary(&self) -> &TrainingSummary;

    /// Returns at most `most` rows, spread over the whole table: all rows if there are no more. Which rows is
    /// reproducible but differs between engines.
    fn sample(&self, most: usize) -> Result<Sample>;

    /// Computes the sums over all rows that one step of the solver needs; `parameters` belong to the columns of
    /// `basis`.
    ///
    /// The relative error of the gradient is no larger than that of each row's residual, even if all predictions are
    /// nearly certain; [`Sums::gradient_error`] bounds the rest.
    fn sums(&self, basis: &Basis, parameters: &[f64]) -> Result<Sums>;
}

/// Number of distinct values of a column up to which a distribution is exact. Engines may thin a distribution only
/// beyond it.
pub const MOST_VALUES: u64 = 100_000;

/// How malformed rows are handled when a table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedRows {
    /// Malformed rows are left out and counted, as long as they are few (5 % of the lines of a file).
    LeaveOut,
    /// A malformed row is an error, because no row may be lost or because the file was written by this program.
    Refuse,
}

/// Options for reading client files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How malformed rows are handled.
    pub malformed: MalformedRows,
    /// Whether every file must have the target column. It is not needed for predictions.
    pub target: bool,
    /// Whether the ids are read.
    pub ids: Ids,
    /// Which label a row without one has.
    pub labels: Labels,
}

/// Whether the ids of a table are read. Without them, nothing can be asked about single clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The ids are read.
    Read,
    /// The ids are checked but not kept, which more than halves the memory of a table. Enough for training, scores and
    /// statistics.
    Skipped,
}

/// The label of a row whose target is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The row is unlabelled.
    Own,
    /// The row has the label of the same client in the last file that has one, if that file comes after the row's own;
    /// a client that such a file lists both as left and as active has left. Otherwise the row is unlabelled.
    Later,
}

impl Reading {
    /// Options for data in which every row counts, such as the test data.
    pub const WHOLE: Self =
        Self { malformed: MalformedRows::Refuse, target: true, ids: Ids::Read, labels: Labels::Own };
    /// Options for new data, which may contain some malformed rows.
    pub const LENIENT: Self =
        Self { malformed: MalformedRows::LeaveOut, target: true, ids: Ids::Read, labels: Labels::Own };
    /// Options for clients whose status may be unknown: the target column is optional.
    pub const TO_PREDICT: Self =
        Self { malformed: MalformedRows::LeaveOut, target: false, ids: Ids::Read, labels: Labels::Own };

    /// Returns the same options without the ids.
    pub fn without_ids(self) -> Self {
        Self { ids: Ids::Skipped, ..self }
    }

    /// Returns the same options, with which an unlabelled row takes the label of a later file.
    pub fn with_later_labels(self) -> Self {
        Self { labels: Labels::Later, ..self }
    }
}

/// The columns that follow the columns of the schema in a file of predictions.
pub const PREDICTION_COLUMNS: [&str; 2] = ["probability", "prediction"];

/// The statistics of the training rows that are needed before the first step.
#[derive(Clone, Debug)]
pub struct TrainingSummary {
    /// SHA-256 of the table.
    pub dataset_sha256: Checksum,
    /// Number of rows that have every predictor and the target.
    pub rows: u64,
    /// Number of these rows whose client left.
    pub exited: u64,
    /// Number of rows that are left out because a value is missing.
    pub left_out: u64,
    /// Summary of each predictor, in the order of the schema.
    pub predictors: Vec<PredictorSummary>,
}

/// What training needs to know about one predictor.
#[derive(Clone, Debug, PartialEq)]
pub enum PredictorSummary {
    /// Summary of a number.
    Number {
        /// Median of the training rows; `None` if there is no row.
        median: Option<f64>,
        /// Sketch over *all* rows, because new rows will have missing values as well; `None` if the predictor is always
        /// missing.
        sketch: Option<Sketch>,
    },
    /// Summary of a category.
    Category {
        /// The levels in the training rows, sorted bytewise.
        levels: Vec<String>,
        /// Number of training rows of each level.
        counts: Vec<u64>,
        /// Counts over *all* rows, because new rows will have missing values as well.
        summary: LevelSummary,
    },
}

impl TrainingSummary {
    /// Returns whether some of the clients left and some stayed.
    pub fn has_both_classes(&self) -> bool {
        self.exited > 0 && self.exited < self.rows
    }

    /// Returns the columns of the regression that belong to this summary. The most frequent level of a category has no
    /// indicator; the first one in the order of the levels if several are equally frequent.
    pub fn design(&self) -> Design {
        let counts = self.predictors.iter().filter_map(PredictorSummary::counts);
        let category = |counts: &[u64]| Category { levels: counts.len(), reference: most_frequent(counts) };
        let categories: Vec<Category> = counts.map(category).collect();
        Design::new(self.predictors.len() - categories.len(), categories)
    }
}

impl PredictorSummary {
    /// Number of training rows of each level; `None` for a number.
    fn counts(&self) -> Option<&[u64]> {
        match self {
            Self::Number { .. } => None,
            Self::Category { counts, .. } => Some(counts),
        }
    }
}

/// Returns the index of the largest count; the first one if several are equally large, 0 if there is none.
pub fn most_frequent(counts: &[u64]) -> usize {
    let largest = counts.iter().copied().max().unwrap_or(0);
    counts.iter().position(|count| *count == largest).unwrap_or(0)
}

/// A sample of the training rows.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The columns of the design for each row, without the constant: transformed numbers, and indicators as 0 or 1.
    pub columns: Vec<Vec<f64>>,
    /// Whether the client left, for each row.
    pub exited: Vec<bool>,
}

/// The counts of a score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Confusion matrix of the labelled rows, that is, rows whose target is known.
    pub confusion: Confusion,
    /// Number of unlabelled rows, that is, rows whose target is missing.
    pub unlabelled: u64,
    /// Number of rows in the confusion matrix in which a predictor was imputed.
    pub imputed: u64,
    /// Number of rows in the confusion matrix with a level that no training row had.
    pub unseen: u64,
}

/// One row of a client, without its id.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRow {
    /// The predictors, in the order of the schema.
    pub predictors: Predictors,
    /// Whether the client left; `None` if unknown.
    pub exited: Option<bool>,
}

/// The current clients. Excludes clients known to have left; includes those whose status is unknown.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    /// The clients of the highest risk, or all of them.
    pub clients: Vec<Client>,
    /// Total number of current clients.
    pub total: u64,
    /// Sum of the risks of all current clients, that is, the expected number that will leave.
    pub risk: f64,
    /// Number of rows without an id.
    pub without_name: u64,
}

/// A client that is not known to have left, with its newest rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// The client's id.
    pub id: String,
    /// The predictors of its newest row.
    pub predictors: Predictors,
    /// The predictors of the row before; `None` if there is only one row.
    pub previous: Option<Predictors>,
}

/// Statistics of the columns of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Statistics of every numeric column, in file order. The target counts as 1 and 0.
    pub summary: Vec<ColumnStatistics>,
    /// Statistics of every category, in file order.
    pub categories: Vec<CategoryStatistics>,
    /// Percentage of missing values of every column, in file order.
    pub missing: Vec<MissingPercent>,
}

/// Statistics of one numeric column. A statistic is `None` if the column has too few values for it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ColumnStatistics {
    /// The column's name.
    pub column: String,
    /// Arithmetic mean of the values that are not missing.
    pub mean: Option<f64>,
    /// Median of the values that are not missing; the mean of the two middle values if their number is even.
    pub median: Option<f64>,
    /// Sample standard deviation (divisor n − 1).
    pub std: Option<f64>,
    /// The most frequent value; the smallest one if several are equally frequent.
    pub mode: Option<f64>,
}

/// Statistics of one category.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CategoryStatistics {
    /// The column's name.
    pub column: String,
    /// The most frequent level; the first one in bytewise order if several are equally frequent; `None` if every value
    /// is missing.
    pub mode: Option<String>,
    /// The levels in bytewise order.
    pub levels: Vec<LevelShare>,
}

/// How often one level occurs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LevelShare {
    /// The level as it is in the data.
    pub level: String,
    /// Number of rows with this level.
    pub count: u64,
    /// Share of the rows whose value is not missing, from 0 to 1.
    pub share: f64,
}

impl CategoryStatistics {
    /// Computes the statistics of a column from the counts of its levels.
    pub fn of(column: &str, levels: &LevelCounts) -> Self {
        let share =
            |((level, share), count): ((&str, f64), &u64)| LevelShare { level: level.to_owned(), count: *count, share };
        Self {
            column: column.to_owned(),
            mode: levels.most_frequent().map(str::to_owned),
            levels: levels.shares().into_iter().zip(levels.counts.values()).map(share).collect(),
        }
    }
}

/// Percentage of missing values in one column.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MissingPercent {
    /// The column's name.
    pub column: String,
    /// The percentage, from 0 to 100.
    pub percent: f64,
}

impl MissingPercent {
    /// Computes the percentage from the number of `missing` values among `rows` rows; 0 if there is no row.
    pub fn of(column: &str, missing: u64, rows: u64) -> Self {
        Self { column: column.to_owned(), percent: 100.0 * missing as f64 / rows.max(1) as f64 }
    }
}
