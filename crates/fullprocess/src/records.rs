//! The records that a run adds to the history.

use anyhow::Result;
use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::ListedFile;
use common::outcomes::ScoringOutcome;
use common::production::drift::{Check, Judgement};
use common::production::promotion::Comparison;
use common::production::release::{Production, Release};
use history::{DecisionRecord, DriftCheck, PromotionDecision, QualityEstimate, Run, Start, compared_models};

use crate::new_files::checked_by;
use crate::outcome::Outcome;

/// Records the drift check and the estimated quality immediately, because the report of this run shows it.
pub fn drift_check(
    run: &mut Run,
    start: Start,
    config: &Config,
    release: &Release,
    (score, check): &(ScoringOutcome, Check),
) -> Result<()> {
    let record = DriftCheck {
        release: release.id.clone(),
        data: score.data.clone(),
        confusion: score.confusion,
        f1_low: check.interval.map(|interval| interval.low),
        f1_high: check.interval.map(|interval| interval.high),
        recorded_f1: release.manifest.score.f1,
        verdict: check.verdict,
        test: config.drift_test,
        drifted: check.judgement == Judgement::Drifted,
    };
    let estimate = |quality| QualityEstimate { release: release.id.clone(), data: score.data.clone(), quality };
    let estimates: Vec<_> = score.estimated.map(estimate).into_iter().collect();
    run.record_now("drift check", start, (record, (score.shifts.clone(), estimates)))
}

/// Records the comparison immediately, because the report of this run shows it.
pub fn promotion(
    run: &mut Run,
    start: Start,
    config: &Config,
    champion: Option<&Release>,
    challenger_sha256: Checksum,
    comparison: Comparison,
) -> Result<()> {
    let decision = PromotionDecision {
        challenger_sha256,
        champion: champion.map(|release| release.id.clone()),
        rule: config.promotion,
        promoted: comparison.promotes(config.promotion),
        warnings: comparison.warnings(),
    };
    run.record_now("promotion", start, (decision, compared_models(&comparison)))
}

/// Records that `release` need not be checked against the `new` files again.
pub fn checked_files(run: &mut Run, release: &Release, new: &[ListedFile]) {
    run.add(new.iter().map(|file| checked_by(file, release)).collect::<Vec<_>>());
}

/// Records the decision, and the live release if its switch has not been recorded yet.
pub fn decision(run: &mut Run, config: &Config, outcome: &Outcome) -> Result<()> {
    run.note_unrecorded_release(&Production::of(config))?;
    run.add(DecisionRecord { decision: outcome.outcome, reason: outcome.to_string(), live: outcome.live.clone() });
    Ok(())
}
