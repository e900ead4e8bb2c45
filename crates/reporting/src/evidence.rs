//! Everything that the reports tell, gathered once: files, the live release, and what the history remembers. Reading
//! changes nothing, and what is gathered holds no clock, so the same inputs give the same reports.

use std::sync::Arc;

use anyhow::{Result, bail};
use common::checksum::Checksum;
use common::config::Config;
use common::ingested::Ingested;
use common::model::Model;
use common::release::{Production, Release};
use diagnostics::dependencies::{self, Dependency};
use engine::{ColumnStatistics, Description, Engine, MissingPercent, Reading};
use history::History;
use history::listing::{CheckRow, ContestRow, MissingRow, ReleaseRow, Rows, ShiftRow, TimingRow, What};
use statistics::ranking::Pair;

use crate::call_list::CallList;
use crate::charts::MOST_RUNS;

/// How many checks and releases are read: more than are drawn, so that what led to the live release is among them.
const READ_RUNS: u32 = 2000;

/// What the reports tell.
pub struct Evidence {
    /// The live release.
    pub release: Release,
    /// Its model.
    pub model: Model,
    /// Its score on the test data as they are now.
    pub score: scoring::Outcome,
    /// Risk and outcome of each test row whose `exited` is known.
    pub pairs: Vec<Pair>,
    /// Whom to call.
    pub calls: Arc<CallList>,
    /// The compiled dataset's files.
    pub ingested: Ingested,
    /// Its numeric columns.
    pub summary: Vec<ColumnStatistics>,
    /// Its missing values.
    pub missing: Vec<MissingPercent>,
    /// The program's parts, with what is known of their newest versions.
    pub dependencies: Vec<Dependency>,
    /// What the history remembers.
    pub past: Past,
}

/// What the history remembers, oldest first.
#[derive(Default)]
pub struct Past {
    /// Live releases on new rows.
    pub checks: Vec<CheckRow>,
    /// How far the predictors of those rows had moved.
    pub shifts: Vec<ShiftRow>,
    /// Champion, challenger and constants.
    pub contests: Vec<ContestRow>,
    /// What went live.
    pub releases: Vec<ReleaseRow>,
    /// Percent of missing values.
    pub missing: Vec<MissingRow>,
    /// Seconds of ingestion and training.
    pub timings: Vec<TimingRow>,
}

impl Evidence {
    /// Gathers it. `history` is read; what this very run will record is not in it.
    ///
    /// # Errors
    /// Where nothing is deployed, the test data hold no labelled row, or nothing was ingested.
    pub fn gather(config: &Config, history: &mut History) -> Result<Self> {
        let release = Production::of(config).live()?;
        let (model, threshold) = (release.model()?, release.threshold()?);
        let engine = dataset::engine(config)?;
        let clients = engine.compiled(&config.output_folder)?;
        let calls = CallList::of(&*clients, &release.id, &model, threshold, config.call_capacity as usize)?;
        Self::of(config, &*engine, history, release, model, clients.describe()?, calls.into())
    }

    /// The same for a `release` whose `model`, the `description` of the compiled data and `calls` are at hand.
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
        let test = engine.read(&files, Reading::WHOLE)?;
        let checksum = release.manifest.score.model_sha256.clone();
        let score = scoring::evaluate_model(&release.id, &model, checksum, &files, &*test, release.threshold()?)?;
        if score.n == 0 {
            bail!("{} holds no row whose exited is known; there is nothing to draw", config.test_data.display());
        }
        let mut pairs = Vec::new();
        test.each(&mut |_, row| pairs.extend(row.exited.map(|exited| (model.probability(&row.predictors), exited))))?;
        Ok(Self {
            model,
            score,
            pairs,
            calls,
            ingested: Ingested::read(&config.output_folder)?,
            summary: description.summary,
            missing: description.missing,
            dependencies: dependencies::known(history)?,
            past: Past::read(history)?,
            release,
        })
    }

    /// Of the file that the model was trained on.
    pub fn training_data(&self) -> &Checksum {
        &self.model.training.dataset_sha256
    }

    /// Whether rows have come since the live model was trained.
    pub fn has_newer_data(&self) -> bool {
        *self.training_data() != self.ingested.dataset_sha256
    }

    /// The contest that the live model went through, best first; empty where it was deployed by hand.
    pub fn contest(&self) -> Vec<&ContestRow> {
        let of_live = |row: &&ContestRow| row.model_sha256 == self.score.model_sha256.as_str() && row.promoted == 1;
        let last = self.past.contests.iter().rfind(of_live).map(|row| row.run);
        let mut rows: Vec<_> = self.past.contests.iter().filter(|row| Some(row.run) == last).collect();
        rows.sort_by(|a, b| b.f1.total_cmp(&a.f1));
        rows
    }

    /// The check that ended with the live release, of the release before it.
    pub fn check_that_led_here(&self) -> Option<&CheckRow> {
        let run = self.contest().first()?.run;
        self.past.checks.iter().rfind(|check| check.run < run && check.drifted == 1)
    }

    /// The checks of the live release since it is live.
    pub fn checks_of_live(&self) -> Vec<&CheckRow> {
        self.past.checks.iter().filter(|check| check.release == self.release.id).collect()
    }

    /// The predictors of one check, the one that moved the risk most first.
    pub fn shifts_of(&self, check: &CheckRow) -> Vec<&ShiftRow> {
        let mut shifts: Vec<_> = self.past.shifts.iter().filter(|shift| shift.run == check.run).collect();
        shifts.sort_by(|a, b| b.risk_change.abs().total_cmp(&a.risk_change.abs()));
        shifts
    }
}

impl Past {
    fn read(history: &mut History) -> Result<Self> {
        let mut past = Self::default();
        let drawn = MOST_RUNS as u32;
        for (what, rows) in [
            (What::Checks, READ_RUNS),
            (What::Shifts, READ_RUNS * 3),
            (What::Contests, READ_RUNS * 4),
            (What::Releases, READ_RUNS),
            (What::Missing, drawn),
            (What::Timings, drawn * 4),
        ] {
            match history.listing(what, rows)?.rows {
                Rows::Checks(rows) => past.checks = rows,
                Rows::Shifts(rows) => past.shifts = rows,
                Rows::Contests(rows) => past.contests = rows,
                Rows::Releases(rows) => past.releases = rows,
                Rows::Missing(rows) => past.missing = rows,
                Rows::Timings(rows) => past.timings = rows,
                Rows::Runs(_) | Rows::Scores(_) => {}
            }
        }
        Ok(past)
    }
}
