//! The tables `models` and `coefficients`: every model that was trained.

use common::files::checksum::Checksum;
use common::model::Model;

use crate::columns::columns;
use crate::record::Record;

columns! {
    /// A model that was trained.
    ModelRecord in "models" {
        /// SHA-256 of the model file.
        sha256: Checksum,
        /// SHA-256 of the dataset on which the model was trained.
        dataset_sha256: Checksum,
        /// Number of rows used.
        rows: u64 => "row_count",
        /// Number of these rows whose client left.
        exited: u64,
        /// Number of rows that were skipped because a value is missing.
        incomplete_rows: u64,
        /// Inverse L2 penalty strength C.
        regularization: f64,
        /// Number of Newton steps over all rows.
        newton_steps: u64,
        /// Largest absolute entry of the gradient at the optimum.
        gradient_norm: f64,
        /// Log-likelihood at the optimum.
        log_likelihood: f64,
    }
}

columns! {
    /// A coefficient of a trained model, or its intercept.
    Coefficient in "coefficients" {
        /// The name of the predictor, for a level followed by `=` and the level, or `intercept`.
        term: String,
        /// Change of the log-odds of leaving per unit of the predictor.
        coefficient: f64,
        /// The standard error of the coefficient.
        standard_error: f64,
    }
}

/// Returns the records of a model whose file has this checksum.
pub fn model_records(sha256: &Checksum, model: &Model) -> impl Record + use<> {
    let Model { fit, training, .. } = model;
    let record = ModelRecord {
        sha256: sha256.clone(),
        dataset_sha256: training.dataset_sha256.clone(),
        rows: training.rows,
        exited: training.exited,
        incomplete_rows: training.left_out,
        regularization: fit.regularization,
        newton_steps: fit.newton_steps.into(),
        gradient_norm: fit.gradient_norm,
        log_likelihood: fit.log_likelihood,
    };
    let terms = model.terms().map(|term| Coefficient {
        term: term.name().into_owned(),
        coefficient: term.coefficient,
        standard_error: term.standard_error,
    });
    let intercept = Coefficient {
        term: "intercept".to_owned(),
        coefficient: model.intercept,
        standard_error: model.intercept_error,
    };
    (record, terms.chain([intercept]).collect::<Vec<_>>())
}
