//! The data of all reports, gathered once from files, the live release and the history. Gathering changes nothing, and
//! the data contain no clock time, so the same inputs give the same reports.

use std::sync::Arc;

use anyhow::{Result, bail};
use common::config::{Config, Threshold};
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::model::{Model, probability};
use common::production::release::{Production, Release};
use common::schema::Schema;
use common::values::ValueRef;
use dataset::{CategoryStatistics, Clients, ColumnStatistics, Description, Engine, Ids, MissingPercent, Reading};
use diagnostics::dependencies::{self, Dependency};
use history::{Candidate, CheckRow, ComparisonRow, EstimateRow, History, MissingRow, ReleaseRow, ShiftRow, TimingRow};
use jiff::Timestamp;
use statistics::ranking::Pair;

use crate::accounts::Accounts;
use crate::agenda::{Agenda, CallRules, Ranking};
use crate::call_list::CallList;
use crate::contacts::Contacts;
use crate::published::Published;
use crate::segments::Segments;

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
    pub pairs: Arc<Vec<Pair>>,
    /// Results of the model on the labelled test rows, by segment.
    pub segments: Segments,
    pub calls: Arc<CallList>,
    /// The calls that were recorded.
    pub contacts: Arc<Contacts>,
    /// The published lists, and what has become of their clients.
    pub published: Published,
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

/// The compiled dataset and the facts about it that are known before the rest of the evidence is gathered.
pub struct Compiled<'c> {
    /// The dataset itself, read with its ids.
    pub clients: &'c dyn Clients,
    /// Statistics of its columns.
    pub description: Description,
    /// The call list of its current clients.
    pub calls: Arc<CallList>,
    /// The calls that were recorded.
    pub contacts: Arc<Contacts>,
}

/// Rows of the history, oldest first.
#[derive(Default)]
pub struct Past {
    /// Drift checks of live releases on new rows.
    pub checks: Vec<CheckRow>,
    /// Shifts of the predictors in the rows of those checks.
    pub shifts: Vec<ShiftRow>,
    /// Estimated quality of live releases on those rows.
    pub estimates: Vec<EstimateRow>,
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
        let contacts: Contacts = history.contacts_after(0)?.into_iter().map(|(_, contact)| contact).collect();
        let description = clients.describe()?;
        let compiled = Compiled { clients: &*clients, description, calls: calls.into(), contacts: contacts.into() };
        Self::of(config, &*engine, history, release, model, compiled)
    }

    /// The same for a `release` whose `model` is already available, as is what is known of the dataset.
    pub fn of(
        config: &Config,
        engine: &dyn Engine,
        history: &mut History,
        release: Release,
        model: Model,
        compiled: Compiled,
    ) -> Result<Self> {
        let Compiled { clients, description, calls, contacts } = compiled;
        let files = engine.files(&config.test_data)?;
        let test = engine.read(&files, Reading::WHOLE.without_ids())?;
        let checksum = release.manifest.score.model_sha256.clone();
        let score = scoring::evaluate_model(&release.id, &model, checksum, &files, &*test, release.threshold()?)?;
        if score.n == 0 {
            bail!("{} contains no labelled row; add test data whose outcome is known", config.test_data.display());
        }
        let (pairs, segments) = results(&*test, &model, release.threshold()?)?;
        let ingested = Ingested::read(&config.output_folder)?;
        let (dataset, deployed) = (&ingested.dataset_sha256, release.manifest.created);
        let mut published = Published::read(history, clients, &calls, &contacts, dataset, deployed)?;
        published.has_hold_out |= config.call_holdout.share() > 0.0;
        Ok(Self {
            past: Past::read(history, &model.schema)?,
            model,
            score,
            pairs: pairs.into(),
            segments,
            calls,
            contacts,
            published,
            ingested,
            summary: description.summary,
            categories: description.categories,
            missing: description.missing,
            dependencies: dependencies::known(history)?,
            release,
        })
    }

    /// The agenda at `now`, by risk.
    pub fn agenda(&self, accounts: Option<Arc<Accounts>>, rules: CallRules, now: Timestamp) -> Agenda {
        let (list, contacts) = (self.calls.clone(), self.contacts.clone());
        Agenda::of(list, accounts, contacts, rules, Ranking::Risk, now).with_test(self.pairs.clone())
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

    /// How often the test data of that comparison have decided about a new model so far; `None` if they are not known, or
    /// if no rule has asked them.
    pub fn decisions_by_test_data(&self) -> Option<u64> {
        let test = self.comparison().first()?.promotion.test_sha256.as_ref()?;
        let decided = |row: &&ComparisonRow| {
            let is_new_model = row.compared.model == Candidate::NewModel; // one row of each comparison
            let promotion = &row.promotion;
            is_new_model && promotion.test_sha256.as_ref() == Some(test) && promotion.was_decided_by_test_data()
        };
        Some(self.past.comparisons.iter().filter(decided).count() as u64).filter(|decisions| *decisions > 0)
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

    /// The estimated quality of the live release on new rows, oldest first.
    pub fn estimates_of_live(&self) -> Vec<&EstimateRow> {
        self.past.estimates.iter().filter(|estimate| estimate.release == self.release.id).collect()
    }

    /// The predictor shifts of one check, the one with the largest change of risk first.
    pub fn shifts_of(&self, check: &CheckRow) -> Vec<&ShiftRow> {
        let mut shifts: Vec<_> = self.past.shifts.iter().filter(|shift| shift.run == check.run).collect();
        shifts.sort_by(|a, b| b.risk_change.abs().total_cmp(&a.risk_change.abs()));
        shifts
    }
}

/// Returns the predicted risk and the outcome of each labelled row of the test data.
///
/// # Errors
/// Returns an error if the test data cannot be read.
pub fn test_pairs(engine: &dyn Engine, config: &Config, model: &Model) -> Result<Vec<Pair>> {
    let files = engine.files(&config.test_data)?;
    let mut pairs = Vec::new();
    each_labelled(&*engine.read(&files, Reading::WHOLE.without_ids())?, model, |_, risk, left| {
        pairs.push((risk, left))
    })?;
    Ok(pairs)
}

/// Returns the same, and the results by segment.
fn results(test: &dyn Clients, model: &Model, threshold: Threshold) -> Result<(Vec<Pair>, Segments)> {
    let (mut pairs, mut segments) = (Vec::new(), Segments::of(model));
    each_labelled(test, model, |predictors, risk, left| {
        pairs.push((risk, left));
        segments.add(model, threshold, predictors, risk, left);
    })?;
    Ok((pairs, segments))
}

/// Calls `visit` with the predictors, the predicted risk and the outcome of each labelled row.
fn each_labelled(
    test: &dyn Clients,
    model: &Model,
    mut visit: impl FnMut(&[Option<ValueRef>], f64, bool),
) -> Result<()> {
    test.each(&mut |_, predictors, exited| {
        if let Some(left) = exited {
            visit(predictors, probability(model.log_odds(predictors.iter().copied())), left);
        }
    })
}

impl Past {
    /// Reads the newest rows on a model with the columns of `schema`.
    fn read(history: &mut History, schema: &Schema) -> Result<Self> {
        let drawn = MOST_RUNS as u32;
        Ok(Self {
            checks: history.newest(READ_RUNS)?,
            shifts: history.newest(READ_RUNS * schema.predictors().len() as u32)?,
            estimates: history.newest(READ_RUNS)?,
            comparisons: history.newest(READ_RUNS * 4)?,
            releases: history.newest(READ_RUNS)?,
            missing: history.missing(schema, drawn)?,
            timings: history.newest(drawn * 4)?,
        })
    }
}
