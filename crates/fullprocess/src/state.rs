//! The state in which a run finds production, the compiled dataset and the reports.

use anyhow::Result;
use common::config::Config;
use common::files::ingested::Ingested;
use common::files::{API_RETURNS, FINAL_DATA};
use common::production::drift::Judgement;
use common::production::hold::Hold;
use common::production::release::{Health, Production, Release};
use common::production::reports::ReportRecord;
use history::History;
use serde::Deserialize;

use crate::decision::{Facts, LiveRelease};

/// The state of production and of the compiled dataset at the start of a run.
pub struct State {
    pub live: LiveRelease,
    /// The release that is live or, if it is damaged, the one that becomes live instead; `None` if there is neither.
    pub release: Option<Release>,
    /// The difference between the columns of the config and those of the release; `None` if they are the same or there is
    /// no release.
    pub columns_change: Option<String>,
    /// The hold on the live release; `None` if it may be replaced.
    pub hold: Option<Hold>,
    /// Whether the compiled dataset is lost. Ingestion creates it again from the same files.
    pub dataset_lost: bool,
    /// Sentences that describe what is damaged or lost and how the run repairs it.
    pub repairs: Vec<String>,
}

impl State {
    /// Examines production and the compiled dataset. If the link to the live release is lost, the `history` identifies
    /// that release.
    ///
    /// # Errors
    /// Fails if the release cannot be examined, or if it is unknown whether it is held.
    pub fn examine(config: &Config, history: Option<&mut History>) -> Result<Self> {
        let mut repairs = Vec::new();
        let hold = Hold::read(config)?;
        let production = Production::of(config);
        let (live, release) = match production.examine()? {
            Health::Empty => (LiveRelease::NeverDeployed, None),
            Health::Intact(release) => (LiveRelease::Intact, Some(*release)),
            Health::Damaged { id, error } => {
                let id = match history {
                    Some(history) if id.is_none() => history.last_live()?,
                    _ => id,
                };
                let release = production.newest_intact(id.as_deref())?;
                let repair = match &release {
                    Some(release) => format!("; production is set to {}", release.id),
                    None => " and no earlier one is intact; a new model is trained and deployed".to_owned(),
                };
                repairs.push(format!("the live release cannot be used ({error:#}){repair}"));
                (if release.is_some() { LiveRelease::Restored } else { LiveRelease::Unusable }, release)
            }
        };
        let dataset_lost = release.is_some() && !has_dataset(config);
        if dataset_lost {
            let folder = config.output_folder.display();
            repairs.push(format!("the compiled dataset in {folder} is lost; its files are ingested again"));
        }
        let columns_change = match &release {
            Some(release) => config.columns.difference(&release.model()?.schema),
            None => None,
        };
        Ok(Self { live, release, columns_change, hold, dataset_lost, repairs })
    }

    /// Whether the run must leave everything as it is, because the live release is held and cannot read new data.
    pub fn is_frozen(&self) -> bool {
        self.columns_change.is_some() && self.hold.is_some()
    }

    /// Returns the facts for the decision. `judgement` is the result of the drift test, if it was made.
    pub fn facts(&self, config: &Config, judgement: Option<Judgement>) -> Facts {
        Facts {
            live: self.live,
            columns_changed: self.columns_change.is_some(),
            dataset_lost: self.dataset_lost,
            held: self.hold.is_some(),
            judgement,
            reports_current: judgement.is_none() && self.reports_are_current(config),
        }
    }

    /// Returns whether the reports and the API's answers belong to the release.
    fn reports_are_current(&self, config: &Config) -> bool {
        #[derive(Deserialize)]
        struct ApiReturns {
            release: String,
        }
        let Some(release) = &self.release else { return false };
        let text = std::fs::read(config.output_model.join(API_RETURNS)).unwrap_or_default();
        let returns = serde_json::from_slice::<ApiReturns>(&text);
        returns.is_ok_and(|returns| returns.release == release.id)
            && ReportRecord::are_of(&release.id, &config.output_model)
    }
}

fn has_dataset(config: &Config) -> bool {
    Ingested::read(&config.output_folder)
        .is_ok_and(|ingested| ingested.location.is_some() || config.output_folder.join(FINAL_DATA).exists())
}
