//! The tables `promotions` and `compared_models`: new models, compared with the live one and with the baselines.

use common::config::Promotion;
use common::files::checksum::Checksum;
use common::model::metrics::Confusion;
use common::production::promotion::Comparison;

use crate::columns::{columns, text_enum, text_field};
use crate::record::{Listed, Recorded, newest_of};

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

text_field!(Promotion: OnDrift, IfBetter);

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
        (Candidate::NewModel, Some(comparison.challenger)),
        (Candidate::DeployedModel, comparison.champion),
        (Candidate::EveryoneExits, Some(comparison.everyone_exits())),
        (Candidate::NobodyExits, Some(comparison.nobody_exits())),
    ];
    let compared = |(model, confusion): (_, Option<Confusion>)| Some(ComparedModel { model, confusion: confusion? });
    models.into_iter().filter_map(compared).collect()
}
