//! The comparison of the trained model with the deployed one on the same rows.

use anyhow::{Result, bail};
use common::config::{Config, Threshold};
use common::model::{Model, probability};
use common::outcomes::Against;
use common::production::promotion::Paired;
use common::production::release::Production;
use dataset::Clients;
use statistics::paired::{Joint, Top};

/// Compares `challenger` with the live release on the labelled rows of `clients`. The release keeps its own threshold.
///
/// # Errors
/// Fails if nothing is deployed, or if the live model has other columns.
pub fn against_deployed(
    config: &Config,
    challenger: &Model,
    threshold: Threshold,
    clients: &dyn Clients,
) -> Result<Against> {
    let release = Production::of(config).live()?;
    let (champion, champion_threshold) = (release.model()?, release.threshold()?);
    if let Some(difference) = challenger.schema.difference(&champion.schema) {
        bail!("release {} has other columns ({difference}), so it cannot be scored on the same rows", release.id);
    }
    let (mut joint, mut rows) = (Joint::default(), Vec::new());
    clients.each(&mut |_, predictors, left| {
        let Some(left) = left else { return };
        let risk = |model: &Model| probability(model.log_odds(predictors.iter().copied()));
        let (one, other) = (risk(challenger), risk(&champion));
        joint.add(one >= threshold.value(), other >= champion_threshold.value(), left);
        rows.push((one, other, left));
    })?;
    let top = Top::of(&rows, u64::from(config.call_capacity));
    Ok(Against { release: release.id, paired: Paired { joint, top } })
}
