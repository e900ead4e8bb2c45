//! Repairs at the start of a run: checks the live release, and whether the compiled dataset exists.

use anyhow::{Error, Result};
use common::config::Config;
use common::files::FINAL_DATA;
use common::files::ingested::Ingested;
use common::production::release::{Health, Production, Release};
use history::History;

/// What has to be done before the live release can be used.
pub enum Plan {
    /// Nothing is deployed yet.
    Bootstrap,
    /// Nothing: the live release is intact.
    Keep(Release),
    /// Production returns to the newest intact release. That is the live release itself if only links are damaged.
    GoBack {
        /// The newest intact release.
        to: Release,
        /// The damage to the live release.
        error: Error,
    },
    /// No earlier release is intact: a new model is trained and deployed.
    TrainAnew {
        /// The damage to the live release.
        error: Error,
    },
}

/// Checks production and decides. If the link to the live release is lost, the `history` identifies that release.
pub fn plan(config: &Config, history: Option<&mut History>) -> Result<Plan> {
    let production = Production::of(config);
    let (from, error) = match production.examine()? {
        Health::Empty => return Ok(Plan::Bootstrap),
        Health::Intact(release) => return Ok(Plan::Keep(*release)),
        Health::Damaged { id, error } => (id, error),
    };
    let recorded = match (&from, history) {
        (None, Some(history)) => history.last_live()?,
        _ => None,
    };
    Ok(match production.newest_intact(from.as_deref().or(recorded.as_deref()))? {
        Some(to) => Plan::GoBack { to, error },
        None => Plan::TrainAnew { error },
    })
}

impl Plan {
    /// Returns a sentence that describes the damage and the repair; `None` if nothing has to be repaired.
    pub fn repair(&self) -> Option<String> {
        match self {
            Self::Bootstrap | Self::Keep(_) => None,
            Self::GoBack { to, error, .. } => {
                Some(format!("the live release cannot be used ({error:#}); production is set to {}", to.id))
            }
            Self::TrainAnew { error } => Some(format!(
                "the live release cannot be used ({error:#}) and no earlier one is intact; a new model is trained and deployed"
            )),
        }
    }

    /// Returns the release that is live after the plan has been carried out; `None` if no release can be kept.
    pub fn into_live(self) -> Option<Release> {
        match self {
            Self::Keep(release) | Self::GoBack { to: release, .. } => Some(release),
            Self::Bootstrap | Self::TrainAnew { .. } => None,
        }
    }
}

/// Returns a sentence about the loss of the compiled dataset; `None` if it exists. Ingestion creates it again from the
/// same files.
pub fn lost_dataset(config: &Config) -> Option<String> {
    let there = Ingested::read(&config.output_folder)
        .is_ok_and(|ingested| ingested.location.is_some() || config.output_folder.join(FINAL_DATA).exists());
    (!there).then(|| {
        format!("the compiled dataset in {} is lost; its files are ingested again", config.output_folder.display())
    })
}
