//! The records that a run adds to the history.

use anyhow::Result;
use common::config::Config;
use common::files::checksum::Checksum;
use common::outcomes::ScoringOutcome;
use common::production::drift::{Check, Judgement};
use common::production::promotion::{Comparison, worn_out};
use common::production::release::{Production, Release};
use history::{
    CheckedFile, Decision, DecisionRecord, DriftCheck, PendingFile, PromotionDecision, QualityEstimate, Run, Start,
    UnjudgedFiles, Waiting, compared_models,
};

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

/// Decides about the new model and records the comparison immediately, because the report of this run shows it. The
/// checksums are those of the new model and of the test data. Returns whether the model is promoted, and the warnings.
pub fn promotion(
    run: &mut Run,
    start: Start,
    config: &Config,
    champion: Option<&Release>,
    (challenger_sha256, test_sha256): (Checksum, Option<Checksum>),
    comparison: Comparison,
) -> Result<(bool, Vec<String>)> {
    let before = test_sha256.as_ref().map_or(Ok(0), |test| run.history().decisions_by_test_data(test))?;
    let champion = champion.map(|release| release.id.clone());
    let decision = PromotionDecision::new(challenger_sha256, champion, config.promotion, &comparison, test_sha256);
    let (promoted, mut warnings) = (decision.promoted, decision.warnings.clone());
    // Not recorded, because the reports count the decisions themselves.
    warnings.extend(worn_out(before).filter(|_| decision.was_decided_by_test_data()));
    run.record_now("promotion", start, (decision, compared_models(&comparison)))?;
    Ok((promoted, warnings))
}

/// Records which files `release` need not be checked against again, and which ones wait. After a new deployment all
/// files are part of the new release.
pub fn files(
    run: &mut Run,
    release: &Release,
    files: &UnjudgedFiles,
    decision: Decision,
    judgement: Option<Judgement>,
) {
    let waiting = |state| move |file| PendingFile::new(file, release, state);
    match (decision, judgement) {
        // After `Kept`, the next run would otherwise train the same model again.
        (Decision::NoDrift | Decision::Kept, Some(_)) => {
            run.add(files.judged_together().map(|file| CheckedFile::new(file, release)).collect::<Vec<_>>());
        }
        (Decision::CannotBeJudged, _) => {
            run.add(files.new.iter().map(waiting(Waiting::CannotBeJudged)).collect::<Vec<_>>());
        }
        (Decision::Held, Some(_)) => {
            run.add(files.judged_together().map(waiting(Waiting::Held)).collect::<Vec<_>>());
        }
        _ => {}
    }
    if !files.gone.is_empty() {
        run.add(files.gone.clone());
    }
}

/// Records the decision, and the live release if its switch has not been recorded yet.
pub fn decision(run: &mut Run, config: &Config, outcome: &Outcome) -> Result<()> {
    run.note_unrecorded_release(&Production::of(config))?;
    run.add(DecisionRecord { decision: outcome.outcome, reason: outcome.to_string(), live: outcome.live.clone() });
    Ok(())
}
