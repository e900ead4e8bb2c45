//! The data of all reports, gathered once from files, the live release and the history. Gathering changes nothing, and
//! the data contain no clock time, so the same inputs give the same reports.

use std::sync::Arc;

use anyhow::{Result, bail};
use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::model::{Model, probability};
use common::production::release::{Production, Release};
use common::schema::Schema;
use dataset::{CategoryStatistics, ColumnStatistics, Description, Engine, Ids, MissingPercent, Reading};
use diagnostics::dependencies::{self, Dependency};
use history::{CheckRow, ComparisonRow, History, MissingRow, ReleaseRow, ShiftRow, TimingRow};
use statistics::ranking::Pair;

use crate::call_list::CallList;

/// Maximum number of runs in a figure; the newest ones are drawn.
pub const MOST_RUNS: usize = 500;

/// Number of checks and releases that are read. It exceeds the number that is drawn, so that it includes the events
/// that led to the live release.
const READ_RUNS: u32 = 2000;

/// The data of the reports.
pub struct Evidence {
    pub release: Release,
    /// The live release's model.
    pub model: Model,
    /// Score of the model on the current test data.
    pub score: scoring::Outcome,
    /// Predicted risk and outcome of each labelled test row.
    pub pairs: Vec<Pair>,
    pub calls: Arc<CallList>,
    /// The record of the files in the compiled dataset.
    pub ingested: Ingested,
    /// Statistics of the compiled dataset's numeric columns.
    pub summary: Vec<ColumnStatistics>,
    /// Statistics of the compiled dataset's categories.
    pub categories: Vec<CategoryStatistics>,
    /// Percent of missing values in the compiled dataset.
    pub missing: Vec<MissingPercent>,
    /// The program's dependencies with their newest known versions.
    pub dependencies: Vec<Dependency>,
    /// Earlier runs from the history.
    pub past: Past,
}

/// Rows of the history, oldest first.
#[derive(Default)]
pub struct Past {
    /// Drift checks of live releases on new rows.
    pub checks: Vec<CheckRow>,
    /// Shifts of the predictors in the rows of those checks.
    pub shifts: Vec<ShiftRow>,
    /// Results of champion, challenger and constant baselines in each comparison.
    pub comparisons: Vec<ComparisonRow>,
    /// Releases that went live.
    pub releases: Vec<ReleaseRow>,
    /// Percent of missing values per column.
    pub missing: Vec<MissingRow>,
    /// Durations of ingestion and training in seconds.
    pub timings: Vec<TimingRow>,
}

impl Evidence {
    /// Gathers the data. `history` is only read; it does not yet contain the records of the current run.
    ///
    /// # Errors
    /// Returns an error if nothing is deployed, the test data contain no labelled row, or nothing was ingested.
    pub fn gather(config: &Config, history: &mut History) -> Result<Self> {
        let release = Production::of(config).live()?;
        let (model, threshold) = (release.model()?, release.threshold()?);
        let engine = dataset::open_for(config, &model.schema)?;
        let clients = engine.compiled(&config.output_folder, Ids::Read)?;
        let calls = CallList::of(&*clients, &release.id, &model, threshold, config.call_capacity as usize)?;
        Self::of(config, &*engine, history, release, model, clients.describe()?, calls.into())
    }

    /// The same for a `release` whose `model`, `description` of the compiled dataset and `calls` are already available.
    pub fn of(
        config: &Config,
        engine: &dyn Engine,
        history: &mut History,
        release: Release,
        model: Model,
        description: Description,
        calls: Arc<CallList>,
    ) -> Result<Self> {
        let files = engine.files(&config.test_data)?;
        let test = engine.read(&files, Reading::WHOLE.without_ids())?;
        let checksum = release.manifest.score.model_sha256.clone();
        let score = scoring::evaluate_model(&release.id, &model, checksum, &files, &*test, release.threshold()?)?;
        if score.n == 0 {
            bail!("{} contains no labelled row; add test data whose outcome is known", config.test_data.display());
        }
        let mut pairs = Vec::new();
        test.each(&mut |_, predictors, exited| {
            let risk = || probability(model.log_odds(predictors.iter().copied()));
            pairs.extend(exited.map(|exited| (risk(), exited)));
        })?;
        Ok(Self {
            past: Past::read(history, &model.schema)?,
            model,
            score,
            pairs,
            calls,
            ingested: Ingested::read(&config.output_folder)?,
            summary: description.summary,
            categories: description.categories,
            missing: description.missing,
            dependencies: dependencies::known(history)?,
            release,
        })
    }

    /// SHA-256 of the file that the model was trained on.
    pub fn training_data(&self) -> &Checksum {
        &self.model.training.dataset_sha256
    }

    /// Whether the compiled dataset has changed since the live model was trained.
    pub fn has_newer_data(&self) -> bool {
        *self.training_data() != self.ingested.dataset_sha256
    }

    /// The comparison in which the live model was promoted, best F1 first; empty if it was deployed by hand.
    pub fn comparison(&self) -> Vec<&ComparisonRow> {
        let of_live =
            |row: &&ComparisonRow| row.promotion.challenger_sha256 == self.score.model_sha256 && row.promotion.promoted;
        let last = self.past.comparisons.iter().rfind(of_live).map(|row| row.run);
        let mut rows: Vec<_> = self.past.comparisons.iter().filter(|row| Some(row.run) == last).collect();
        rows.sort_by(|a, b| b.compared.confusion.f1().total_cmp(&a.compared.confusion.f1()));
        rows
    }

    /// The check of the previous release that found drift and led to the live release; `None` if there is none.
    pub fn check_that_led_here(&self) -> Option<&CheckRow> {
        let run = self.comparison().first()?.run;
        self.past.checks.iter().rfind(|check| check.run < run && check.drifted)
    }

    /// The checks of the live release.
    pub fn checks_of_live(&self) -> Vec<&CheckRow> {
        self.past.checks.iter().filter(|check| check.release == self.release.id).collect()
    }

    /// The predictor shifts of one check, the one with the largest change of risk first.
    pub fn shifts_of(&self, check: &CheckRow) -> Vec<&ShiftRow> {
        let mut shifts: Vec<_> = self.past.shifts.iter().filter(|shift| shift.run == check.run).collect();
        shifts.sort_by(|a, b| b.risk_change.abs().total_cmp(&a.risk_change.abs()));
        shifts
    }
}

impl Past {
    /// Reads the newest rows on a model with the columns of `schema`.
    fn read(history: &mut History, schema: &Schema) -> Result<Self> {
        let drawn = MOST_RUNS as u32;
        Ok(Self {
            checks: history.newest(READ_RUNS)?,
            shifts: history.newest(READ_RUNS * schema.predictors().len() as u32)?,
            comparisons: history.newest(READ_RUNS * 4)?,
            releases: history.newest(READ_RUNS)?,
            missing: history.missing(schema, drawn)?,
            timings: history.newest(drawn * 4)?,
        })
    }
}
