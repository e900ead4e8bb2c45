//! The tables `drift_checks` and `predictor_shifts`: the live release on new rows.

use anyhow::Result;
use common::config::DriftTest;
use common::model::metrics::Confusion;
pub use common::model::shift::PredictorShift;
use common::model::shift::ShiftVerdict;
pub use common::production::drift::DriftVerdict;

use crate::columns::{columns, columns_of, text_field};
use crate::record::{Recorded, Table, newest_with};
use crate::store::History;

columns! {
    /// The score of the live release on new rows, together with the score recorded at its deployment.
    DriftCheck in "drift_checks" {
        /// The id of the live release.
        release: String => "release_id",
        /// The names of the new files.
        data: Vec<String>,
        /// The counts on the new rows.
        confusion: Confusion,
        /// Lower bound of the 95 % confidence interval of F1; `None` if no client left and none was predicted to leave.
        f1_low: Option<f64>,
        /// Upper bound of the 95 % confidence interval of F1; `None` if `f1_low` is `None`.
        f1_high: Option<f64>,
        /// The F1 score recorded when the release was deployed.
        recorded_f1: f64,
        /// The name of the test that decided.
        test: DriftTest,
        /// Whether the score has fallen by more than chance explains: `drifted`, `not drifted`, `cannot tell`, or `cannot be
        /// judged` if too few clients are known to have left.
        verdict: DriftVerdict,
        /// Whether the test reported drift.
        drifted: bool,
    }
}

columns! {
    impl PredictorShift in "predictor_shifts" indexed "predictor" {
        /// The name of the predictor.
        predictor: String,
        /// The population stability index.
        stability_index: f64,
        /// The value that the stability index exceeds by chance in 5 of 100 cases.
        stability_cutoff: f64,
        /// The two-sample Kolmogorov–Smirnov statistic; `None` if no new value is known.
        ks_statistic: Option<f64>,
        /// The chi-square statistic of a category; `None` for a number or if no new value is known.
        chi_square: Option<f64>,
        /// The p-value, Holm-corrected.
        p_value: f64,
        /// Effect of the shift on the predicted risk of a client that is average in the other predictors.
        risk_change: f64,
        /// The verdict: `shifted`, `harmless` or `not shifted`.
        verdict: ShiftVerdict,
    }
}

text_field!(DriftVerdict: NotDrifted, CannotTell, Drifted, CannotBeJudged);
text_field!(DriftTest: Raw, Interval, History);
text_field!(ShiftVerdict: NotShifted, Harmless, Shifted);

/// A drift check with its run.
pub type CheckRow = Recorded<DriftCheck>;
/// The shift of one predictor between the training data and new rows, with the run of the drift check.
pub type ShiftRow = Recorded<PredictorShift>;

impl History {
    /// Returns the newest drift check of a release; `None` if there is none among the newest checks of all releases.
    pub fn newest_check(&mut self, release: &str) -> Result<Option<CheckRow>> {
        Ok(self.records(&newest_with::<DriftCheck>("release_id = ?"), &[release.into()])?.pop())
    }

    /// Returns the shifts of the predictors in the rows of the drift check of a run; empty if none were measured.
    pub fn shifts_in_run(&mut self, run: i64) -> Result<Vec<PredictorShift>> {
        let columns: Vec<_> = columns_of::<PredictorShift>().iter().map(|column| column.name).collect();
        let (columns, table) = (columns.join(", "), PredictorShift::TABLE);
        self.records(&format!("SELECT {columns} FROM {table} WHERE run_id = ? ORDER BY predictor"), &[run.into()])
    }
}
