//! Repairs at the start of a run: the live release is examined, and the compiled dataset looked for.

use anyhow::{Error, Result};
use common::config::Config;
use common::files::FINAL_DATA;
use common::ingested::Ingested;
use common::release::{Health, Production, Release};
use history::History;

/// What has to be done before the live release can be asked.
pub enum Plan {
    /// Nothing is deployed yet.
    Bootstrap,
    /// Nothing: the live release is intact.
    Keep(Release),
    /// Production goes back to the newest intact release, which is the live one itself where only links are damaged.
    GoBack {
        /// The intact release.
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

/// Examines production and decides. Where the link to the live release is lost, the `history` tells which one it was.
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
    /// A sentence on the damage and the repair; `None` where there is nothing to repair.
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

    /// The release that is live once the plan is carried out; `None` where there is none to keep.
    pub fn into_live(self) -> Option<Release> {
        match self {
            Self::Keep(release) | Self::GoBack { to: release, .. } => Some(release),
            Self::Bootstrap | Self::TrainAnew { .. } => None,
        }
    }
}

/// A sentence on the loss of the compiled dataset; `None` where it exists. Ingestion makes it again from the same files.
pub fn lost_dataset(config: &Config) -> Option<String> {
    let there = Ingested::read(&config.output_folder)
        .is_ok_and(|ingested| ingested.location.is_some() || config.output_folder.join(FINAL_DATA).exists());
    (!there).then(|| {
        format!("the compiled dataset in {} is lost; its files are ingested again", config.output_folder.display())
    })
}
