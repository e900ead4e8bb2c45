//! Diagnostics: predictions of the deployed model, statistics of the data, durations of the steps, and versions of the
//! dependencies.
//!
//! Diagnostics change no data, model, score or release; durations are measured in a scratch folder.

pub mod dependencies;
pub mod predictions;
mod timing;

use std::fmt;

use anyhow::Result;
use common::cli;
use common::config::Config;
use common::production::release::Production;
use dataset::{CategoryStatistics, ColumnStatistics, Ids, LevelShare, MissingPercent, Reading};
use history::{CategoryLevel, History, MissingPercentage, Operation, StepTiming, SummaryStatistics};
use serde::Serialize;
use utoipa::ToSchema;

use crate::dependencies::Dependency;
use crate::predictions::Predictions;
use crate::timing::Timing;

/// State of the data, the steps and the dependencies.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Durations of the steps in a trial run, in seconds.
    pub timing_seconds: Timing,
    /// Percentage of missing values in every column of the compiled dataset.
    pub missing_percent: Vec<MissingPercent>,
    /// All direct dependencies, with their current and newest versions.
    pub dependencies: Vec<Dependency>,
}

/// The complete result of the step.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Predictions of the deployed model for the test data; `None` before the first deployment.
    pub predictions: Option<Predictions>,
    /// Statistics of all numeric columns of the compiled dataset.
    pub summary_statistics: Vec<ColumnStatistics>,
    /// Statistics of all categories of the compiled dataset; absent if it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub category_statistics: Vec<CategoryStatistics>,
    /// Durations, missing values and dependencies.
    #[serde(flatten)]
    pub health: Health,
}

/// Runs all diagnostics. Records timings, missing values and the newest versions that the registry returned in the
/// history.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "diagnostics", |run| {
        let engine = dataset::open(config)?;
        let description = engine.compiled(&config.output_folder, Ids::Skipped)?.describe()?;
        let predictions = match Production::of(config).current()? {
            None => None,
            Some(release) => {
                let model = release.model()?;
                let engine = dataset::open_for(config, &model.schema)?;
                let clients = engine.read(&engine.files(&config.test_data)?, Reading::WHOLE)?;
                Some(predictions::predict(&release.id, &model, &*clients, release.threshold()?)?)
            }
        };
        let health = health(config, description.missing, Some(run.history()))?;
        let Health { timing_seconds, missing_percent, dependencies } = &health;
        run.add(vec![
            StepTiming { operation: Operation::TrialIngestion, seconds: timing_seconds.ingestion },
            StepTiming { operation: Operation::TrialTraining, seconds: timing_seconds.training },
        ]);
        let percent = |m: &MissingPercent| MissingPercentage { column: m.column.to_owned(), percent: m.percent };
        run.add(missing_percent.iter().map(percent).collect::<Vec<_>>());
        run.add(dependencies::records(dependencies));
        let summary_statistics = description.summary;
        let statistics = |s: &ColumnStatistics| SummaryStatistics {
            column: s.column.to_owned(),
            mean: s.mean,
            median: s.median,
            std: s.std,
            mode: s.mode,
        };
        run.add(summary_statistics.iter().map(statistics).collect::<Vec<_>>());
        let category_statistics = description.categories;
        let levels = category_statistics.iter().flat_map(|category| {
            category.levels.iter().map(|level| CategoryLevel {
                column: category.column.clone(),
                level: level.level.clone(),
                rows: level.count,
                share: level.share,
            })
        });
        run.add(levels.collect::<Vec<_>>());
        Ok(Outcome { predictions, summary_statistics, category_statistics, health })
    })
}

/// Returns timings, the `missing` values of the compiled dataset, and dependencies, with the versions that the
/// `history` knows. Writes nothing.
pub fn health(config: &Config, missing: Vec<MissingPercent>, mut history: Option<&mut History>) -> Result<Health> {
    Ok(Health {
        timing_seconds: timing::measure(config, history.as_deref_mut())?,
        missing_percent: missing,
        dependencies: dependencies::table(history)?,
    })
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let unknown = self.health.dependencies.iter().any(|dependency| dependency.latest().is_none());
        let warnings = [
            (self.predictions.is_none(), "nothing is deployed yet, so there are no predictions"),
            (unknown, "the newest version of some dependencies is unknown; cargo must be installed and online"),
        ];
        warnings.into_iter().filter(|(applies, _)| *applies).map(|(_, text)| text.to_owned()).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(Predictions { model, predictions, .. }) = &self.predictions {
            let leaving = predictions.iter().filter(|prediction| **prediction == 1).count();
            writeln!(f, "release {model} predicts that {leaving} of {} test clients leave", predictions.len())?;
        }
        let longest = self.health.missing_percent.iter().map(|missing| missing.column.chars().count()).max();
        let width = longest.unwrap_or(0).max(20) + 2;
        writeln!(f, "{:<width$}{:>14}{:>14}{:>14}{:>14}{:>10}", "", "mean", "median", "std", "mode", "% NA")?;
        for missing in &self.health.missing_percent {
            let statistics = self.summary_statistics.iter().find(|statistics| statistics.column == missing.column);
            let numbers = statistics.map_or([None; 4], |s| [s.mean, s.median, s.std, s.mode]);
            let [mean, median, std, mode] =
                numbers.map(|number| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}")));
            let MissingPercent { column, percent } = missing;
            writeln!(f, "{column:<width$}{mean:>14}{median:>14}{std:>14}{mode:>14}{percent:>10.2}")?;
        }
        for CategoryStatistics { column, levels, .. } in &self.category_statistics {
            let share = |level: &LevelShare| format!("{} {:.2} %", level.level, 100.0 * level.share);
            writeln!(f, "{column}: {}", levels.iter().map(share).collect::<Vec<_>>().join(", "))?;
        }
        let Timing { ingestion, training } = self.health.timing_seconds;
        writeln!(f, "ingestion takes {ingestion:.4} s, training {training:.4} s")?;
        write!(f, "{:<16}{:>12}{:>12}  last known", "dependency", "current", "latest")?;
        for Dependency { name, current, latest, last_known } in &self.health.dependencies {
            write!(f, "\n{name:<16}{current:>12}{latest:>12}")?;
            if let Some(known) = last_known {
                write!(f, "  {} on {}", known.version, known.seen)?;
            }
        }
        Ok(())
    }
}
