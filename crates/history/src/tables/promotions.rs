//! The tables `promotions` and `compared_models`: new models, compared with the live one and with the baselines.

use anyhow::Result;
use common::config::Promotion;
use common::files::checksum::Checksum;
use common::model::metrics::Confusion;
use common::production::promotion::Comparison;

use crate::columns::{Field as _, columns, text_enum, text_field};
use crate::record::{Listed, Recorded, newest_of};
use crate::store::History;

columns! {
    /// The decision about a new model.
    PromotionDecision in "promotions" {
        /// SHA-256 of the new model's file.
        challenger_sha256: Checksum,
        /// The id of the release that was live, if there was one.
        champion: Option<String>,
        /// The name of the rule that decided.
        rule: Promotion => "rule_name",
        /// Whether the new model was accepted for deployment.
        promoted: bool,
        /// Warnings about the new model, each as a sentence.
        warnings: Vec<String>,
        /// SHA-256 of the content of the test data; `None` in rows of earlier schema versions.
        test_sha256: Option<Checksum>,
        /// Lower bound of the 95 % interval of the new model's F1 minus the deployed model's; `None` without a deployed
        /// model, or if no client of the test data left.
        f1_difference_low: Option<f64>,
        /// Upper bound of that interval.
        f1_difference_high: Option<f64>,
        /// Number of test rows of the highest risk whose leavers were counted for both models: as many as clients can be
        /// called. `None` without a deployed model, or if there are no more test rows.
        top_clients: Option<u64>,
        /// Share of the leavers among them by the new model.
        top_precision: Option<f64>,
        /// Share of the leavers among them by the deployed model.
        top_precision_deployed: Option<f64>,
        /// Lower bound of the 95 % interval of the difference of these two shares.
        top_difference_low: Option<f64>,
        /// Upper bound of that interval.
        top_difference_high: Option<f64>,
    }
}

impl PromotionDecision {
    /// Describes the decision by `rule` about the new model of `comparison`, whose file has the checksum
    /// `challenger_sha256`, against the release `champion`.
    pub fn new(
        challenger_sha256: Checksum,
        champion: Option<String>,
        rule: Promotion,
        comparison: &Comparison,
        test_sha256: Option<Checksum>,
    ) -> Self {
        let (difference, top) = (comparison.f1_difference(), comparison.top());
        Self {
            challenger_sha256,
            champion,
            rule,
            promoted: comparison.promotes(rule),
            warnings: comparison.warnings_under(rule),
            test_sha256,
            f1_difference_low: difference.map(|interval| interval.low),
            f1_difference_high: difference.map(|interval| interval.high),
            top_clients: top.map(|top| top.clients),
            top_precision: top.map(|top| top.challenger()),
            top_precision_deployed: top.map(|top| top.champion()),
            top_difference_low: top.map(|top| top.difference().low),
            top_difference_high: top.map(|top| top.difference().high),
        }
    }

    /// Whether the test data could decide: the rule depends on them, and there was a deployed model to keep.
    pub fn was_decided_by_test_data(&self) -> bool {
        self.champion.is_some() && self.rule != Promotion::OnDrift
    }
}

columns! {
    /// The result of one model or baseline on the test rows of a comparison.
    ComparedModel in "compared_models" indexed "model" {
        /// The new model, the deployed model, or a baseline that predicts the same outcome for every client.
        model: Candidate,
        /// Confusion matrix on the test rows.
        confusion: Confusion,
    }
}

text_enum! {
    /// A model or baseline that is compared with others.
    Candidate {
        /// The challenger: the model that was just trained.
        NewModel = "new model",
        /// The champion: the model of the live release.
        DeployedModel = "deployed model",
        /// The baseline that predicts of every client that it leaves.
        EveryoneExits = "everyone exits",
        /// The baseline that predicts of every client that it stays.
        NobodyExits = "nobody exits",
    }
}

text_field!(Promotion: OnDrift, IfBetter, IfSurelyBetter);

columns! {
    /// A compared model or baseline, with the decision about the new model.
    ComparedAndDecided {
        /// The result of the model or baseline.
        compared: ComparedModel,
        /// The decision about the new model.
        promotion: PromotionDecision,
    }
}

/// The result of one model or baseline on the test rows of a comparison, with the decision and the run.
pub type ComparisonRow = Recorded<ComparedAndDecided>;

impl Listed for ComparisonRow {
    fn newest() -> String {
        newest_of::<Self, ComparedModel>("JOIN promotions USING (run_id)")
    }
}

/// Returns the models and baselines of a comparison.
pub fn compared_models(comparison: &Comparison) -> Vec<ComparedModel> {
    let models = [
        (Candidate::NewModel, Some(comparison.challenger())),
        (Candidate::DeployedModel, comparison.champion()),
        (Candidate::EveryoneExits, Some(comparison.everyone_exits())),
        (Candidate::NobodyExits, Some(comparison.nobody_exits())),
    ];
    let compared = |(model, confusion): (_, Option<Confusion>)| Some(ComparedModel { model, confusion: confusion? });
    models.into_iter().filter_map(compared).collect()
}

impl History {
    /// Returns how often the test data with the checksum `test_sha256` have decided about a new model
    /// ([`PromotionDecision::was_decided_by_test_data`]).
    pub fn decisions_by_test_data(&mut self, test_sha256: &Checksum) -> Result<u64> {
        let query = "SELECT COUNT(*) FROM promotions \
                     WHERE test_sha256 = ? AND champion IS NOT NULL AND rule_name <> ?";
        let values = [test_sha256.to_value(), Promotion::OnDrift.to_value()];
        let counts: Vec<(i64,)> = self.fetch(query, &values)?;
        Ok(counts.first().map_or(0, |(count,)| *count as u64))
    }
}
