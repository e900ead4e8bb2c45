//! What the steps ask of client tables, wherever the rows are: in this process (`dataset`, polars) or on a cluster
//! (`cluster`, Spark Connect).
//!
//! Two traits are the whole seam: an [`Engine`] finds, merges and opens tables, [`Clients`] is one table. Their answers are
//! sums, counts and distributions; the solver, the metrics, the model, releases, the history and the reports work on these
//! and do not know who counted. [`rules`] says what a good row is, for whoever reads one.

#![warn(missing_docs)]

pub mod basis;
pub mod likelihood;
pub mod rules;

use std::path::Path;

use anyhow::Result;
use common::checksum::Checksum;
use common::config::Threshold;
use common::files::DataFile;
use common::ingested::Ingested;
use common::metrics::Confusion;
use common::model::Model;
use common::schema::Predictors;
use serde::Serialize;
use statistics::distribution::Distribution;
use statistics::sketch::Sketch;
use utoipa::ToSchema;

use crate::basis::Basis;
use crate::likelihood::{Parameters, Sums};

/// Finds, merges and opens client tables.
pub trait Engine: Send + Sync {
    /// The CSV files of `folder`, in the order of their names.
    ///
    /// # Errors
    /// Where the folder cannot be read or holds no CSV file.
    fn files(&self, folder: &Path) -> Result<Vec<DataFile>>;

    /// The checksum of each file's content.
    fn checksums(&self, files: &[DataFile]) -> Result<Vec<Checksum>>;

    /// Merges `files`, in the order given, into one table of distinct rows, and writes what stands beside it (the
    /// quarantine) into the folder `stage` of the folder `output`. Nothing that is current changes.
    ///
    /// # Errors
    /// Names the file that cannot be used. An error too where no file has a single row: nothing never replaces something.
    fn compile(&self, files: &[DataFile], output: &Path, stage: &Path) -> Result<Ingested>;

    /// The names of the files that [`Engine::compile`] leaves in `stage`.
    fn compiled_files(&self) -> &'static [&'static str];

    /// The table that ingestion has compiled into the folder `output`.
    fn compiled(&self, output: &Path) -> Result<Box<dyn Clients>>;

    /// `files`, one table under the other, with repeated rows.
    fn read(&self, files: &[DataFile], reading: Reading) -> Result<Box<dyn Clients>>;

    /// Gives back the space of a compiled table that is no longer current, where that is not in the output folder.
    fn retire(&self, ingested: &Ingested);
}

/// A client table.
pub trait Clients: Send + Sync {
    /// Rows that could not be read and are left out.
    fn malformed(&self) -> u64;

    /// The statistics of its columns, as pandas gives them.
    fn describe(&self) -> Result<Description>;

    /// What training needs to know before the first step, and the rows that it uses.
    fn training_rows(&self) -> Result<Box<dyn TrainingRows + '_>>;

    /// Compares a model's predictions with what became of the clients.
    fn score(&self, model: &Model, threshold: Threshold) -> Result<Counts>;

    /// How often each value of each predictor occurs; beyond [`MOST_VALUES`] different ones it may be thinned.
    fn distributions(&self) -> Result<[Distribution; 3]>;

    /// The current clients as `model` judges them, in any order: all, or at least as many as `most` of the highest risk.
    fn newest(&self, model: &Model, most: usize) -> Result<Newest>;

    /// Every row of one client, oldest first.
    fn rows_of(&self, corporation: &str) -> Result<Vec<ClientRow>>;

    /// Clients whose name holds `part`, in any case: at most `most`, by name; and how many there are.
    fn search(&self, part: &str, most: usize) -> Result<(Vec<String>, usize)>;

    /// Shows every row, in order where there is one. For tables that this machine can hold, such as the test data.
    fn each(&self, visit: &mut dyn FnMut(Option<&str>, &ClientRow)) -> Result<()>;

    /// Writes every row with the probability of leaving and the prediction to `place`, whole or not at all; returns how
    /// many.
    fn write_predictions(&self, model: &Model, threshold: Threshold, place: &Path) -> Result<u64>;
}

/// The rows of a table in which nothing is missing that training needs.
pub trait TrainingRows {
    /// What is known of them.
    fn facts(&self) -> &TrainingFacts;

    /// At most `most` of them, spread over all.
    fn sample(&self, most: usize) -> Result<Sample>;

    /// The sums over all of them that one step of the solver needs, for parameters of the columns of `basis`.
    ///
    /// The gradient's relative error is that of each row's residual, also where all predictions are nearly certain.
    fn sums(&self, basis: &Basis, parameters: &Parameters) -> Result<Sums>;
}

/// So many different values of a column a distribution holds at the least, if there are that many.
pub const MOST_VALUES: u64 = 100_000;

/// What a malformed row does to the reading of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedRows {
    /// It is left out and counted, as long as they are few ([`rules::TOLERATED_MALFORMED_SHARE`]).
    LeaveOut,
    /// It fails the reading: no row may be lost, or the file is this program's own.
    Refuse,
}

/// How client files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What a malformed row does.
    pub malformed: MalformedRows,
    /// Whether every file must have the target: predicting does without.
    pub target: bool,
}

impl Reading {
    /// Test data and the like: every row counts.
    pub const WHOLE: Self = Self { malformed: MalformedRows::Refuse, target: true };
    /// New data may have their share of bad rows.
    pub const LENIENT: Self = Self { malformed: MalformedRows::LeaveOut, target: true };
    /// Clients of whom nobody may know yet whether they leave.
    pub const TO_PREDICT: Self = Self { malformed: MalformedRows::LeaveOut, target: false };
}

/// The columns that stand behind a row's own where predictions are written.
pub const PREDICTION_COLUMNS: [&str; 2] = ["probability", "prediction"];

/// What training knows before its first step.
#[derive(Clone, Debug)]
pub struct TrainingFacts {
    /// Of the table.
    pub dataset_sha256: Checksum,
    /// Rows with every predictor and the target.
    pub rows: u64,
    /// Of those, how many left.
    pub exited: u64,
    /// Rows that miss something.
    pub left_out: u64,
    /// Each predictor's median in `rows`; `None` where there is no row.
    pub medians: [Option<f64>; 3],
    /// Each predictor in *all* rows, `None` where it is always missing: new rows will have missing values as well.
    pub sketches: Option<[Sketch; 3]>,
}

/// Some rows.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// In the order of [`common::schema::PREDICTORS`].
    pub predictors: Vec<[f64; 3]>,
    /// Whether the client left, for each row.
    pub exited: Vec<bool>,
}

/// What a score counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Rows with a known `exited`.
    pub confusion: Confusion,
    /// Rows without.
    pub without_label: u64,
    /// Rows of the confusion in which a predictor was filled.
    pub filled: u64,
}

/// What is known of a client at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientRow {
    /// In the order of [`common::schema::PREDICTORS`].
    pub predictors: Predictors,
    /// Whether it left.
    pub exited: Option<bool>,
}

/// The clients that are not known to have left.
#[derive(Clone, Debug, Default)]
pub struct Newest {
    /// Those of the highest risk, or all.
    pub clients: Vec<Client>,
    /// How many there are in all.
    pub total: u64,
    /// The sum of the risks of all.
    pub risk: f64,
    /// Rows that name no corporation.
    pub without_name: u64,
}

/// A current client.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Who.
    pub corporation: String,
    /// Its newest row.
    pub predictors: Predictors,
    /// The row before.
    pub previous: Option<Predictors>,
}

/// The columns of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Every numeric column, in file order.
    pub summary: Vec<ColumnStatistics>,
    /// Every column, in file order.
    pub missing: Vec<MissingPercent>,
}

/// One numeric column's statistics; `None` where the column has too few values for one.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ColumnStatistics {
    /// The column's name.
    pub column: &'static str,
    /// Arithmetic mean of the values that are not missing.
    pub mean: Option<f64>,
    /// Median; between two middle values, their mean.
    pub median: Option<f64>,
    /// Sample standard deviation (divisor n − 1).
    pub std: Option<f64>,
    /// The most frequent value; among equally frequent ones the smallest.
    pub mode: Option<f64>,
}

/// The share of missing values in one column.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MissingPercent {
    /// The column's name.
    pub column: &'static str,
    /// From 0 to 100.
    pub percent: f64,
}

impl MissingPercent {
    /// Of `missing` of `rows`.
    pub fn of(column: &'static str, missing: u64, rows: u64) -> Self {
        Self { column, percent: 100.0 * missing as f64 / rows.max(1) as f64 }
    }
}
