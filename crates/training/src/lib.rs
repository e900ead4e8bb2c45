//! Training: finds the exact optimum of the L2-penalised logistic regression that scikit-learn's `LogisticRegression()`
//! approximates.
//!
//! `start` fits a sample with smartcore. From this start, `newton` takes the remaining few steps over all rows and
//! certifies the result. `objective` is the function that is minimised: it sums over rows and knows nothing about
//! steps.

mod certificate;
mod cholesky;
mod newton;
mod objective;
mod start;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use common::cli;
use common::config::{Config, Regularization};
use common::files::atomic;
use common::files::checksum::Checksum;
use common::files::lock::Lock;
use common::files::{MODEL, PICKLE};
use common::model::pickle::pickle;
use common::model::schema::PREDICTORS;
use common::model::{Fit, Model, TrainingData};
use dataset::{Engine, TrainingRows};
use history::{Operation, StepTiming};
use serde::Serialize;

use crate::newton::{Optimum, Spread};
use crate::objective::PenalisedLikelihood;

/// The trained model and how training went.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// SHA-256 of trainedmodel.bin.
    pub model_sha256: Checksum,
    #[serde(flatten)]
    pub model: Model,
    /// Seconds for reading the data, fitting and writing.
    pub seconds: f64,
    /// Seconds for the fit alone.
    pub fit_seconds: f64,
    /// Upper bound of the relative errors of the coefficients and the intercept. Errors that change the log-odds by
    /// less than 1e-13 per standard deviation of a predictor count as 0. The largest value is 1: not even the sign is
    /// certain.
    pub relative_error: f64,
}

/// Largest relative error for which coefficients count as exact.
const ACCURATE: f64 = 1e-6;

/// Trains on the compiled dataset with the settings of `config`, writes both encodings of the model, and records the
/// run in the history.
///
/// # Errors
/// Every error leaves the earlier model files unchanged.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "training", |run| {
        let start = Instant::now();
        let _lock = Lock::acquire(&config.output_model, "step")?;
        atomic::sweep(&config.output_model)?;
        let trained = train(&*dataset::open(config)?, &config.output_folder, config.regularization)?;
        let Trained { model, fit_seconds, relative_error } = trained;
        // The pickle is written first: if the run is killed between the two files, deployment finds that the pickle
        // does not belong to the model.
        atomic::write(&config.output_model.join(PICKLE), &pickle(&model))?;
        let model_sha256 = model.save(&config.output_model.join(MODEL))?;
        let seconds = start.elapsed().as_secs_f64();
        run.add(StepTiming { operation: Operation::Training, seconds });
        run.add(history::model_records(&model_sha256, &model));
        Ok(Outcome { model_sha256, model, seconds, fit_seconds, relative_error })
    })
}

/// A fitted model that has not been written to a file.
pub struct Trained {
    pub model: Model,
    /// Duration of the fit, in seconds.
    pub fit_seconds: f64,
    /// Upper bound of the relative errors, see [`Outcome::relative_error`].
    pub relative_error: f64,
}

/// Trains on the dataset that was compiled into the folder `output`. Writes nothing.
///
/// # Errors
/// Fails if the dataset cannot be read, no complete row is left, all rows are of one class, or the steps do not
/// converge.
pub fn train(engine: &dyn Engine, output: &Path, regularization: Regularization) -> Result<Trained> {
    let clients = engine.compiled(output)?;
    let rows = clients.training_rows()?;
    let summary = rows.summary();
    let folder = output.display();
    if summary.rows == 0 {
        bail!(
            "the dataset in {folder} has no row without a missing value to train on ({} rows have one)",
            summary.left_out
        );
    }
    if summary.exited == 0 || summary.exited == summary.rows {
        let class = u8::from(summary.exited > 0);
        bail!("all {} rows of the dataset in {folder} have exited = {class}; a model needs both classes", summary.rows);
    }

    let clock = Instant::now();
    let optimum = fit(&*rows, regularization).with_context(|| format!("training on the dataset in {folder}"))?;
    let fit_seconds = clock.elapsed().as_secs_f64();

    let [Some(lastmonth), Some(lastyear), Some(employees)] = summary.medians else { bail!("a predictor has no value") };
    let model = Model {
        coefficients: std::array::from_fn(|j| optimum.coefficients[j]),
        intercept: optimum.intercept,
        standard_errors: std::array::from_fn(|j| optimum.standard_errors[j]),
        medians: [lastmonth, lastyear, employees],
        fit: Fit {
            regularization: regularization.c(),
            gradient_norm: optimum.gradient_norm,
            newton_decrement: optimum.newton_decrement,
            newton_steps: optimum.steps,
            log_likelihood: optimum.log_likelihood,
        },
        training: TrainingData {
            dataset_sha256: summary.dataset_sha256.clone(),
            rows: summary.rows,
            exited: summary.exited,
            left_out: summary.left_out,
        },
        sketches: summary.sketches.clone(),
    };
    Ok(Trained { model, fit_seconds, relative_error: optimum.relative_error })
}

/// Minimises from the first start that leads to the optimum. With values of 10^15, smartcore's start can be so far from
/// the optimum that no step leads back.
fn fit(rows: &dyn TrainingRows, regularization: Regularization) -> Result<Optimum> {
    let spread = Spread::of(rows.summary());
    let objective = PenalisedLikelihood::new(rows, regularization);
    let mut reasons = Vec::new();
    for start in start::starts(rows, &spread, regularization)? {
        match newton::minimise(&objective, rows.design(), &spread, &start)? {
            Ok(optimum) => return Ok(optimum),
            Err(reason) => reasons.push(format!("no convergence: {reason}")),
        }
    }
    bail!("{}", reasons.join("; "))
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let left_out = self.model.training.left_out;
        if left_out > 0 {
            warnings.push(format!("{left_out} rows with a missing value were left out"));
        }
        if self.relative_error > ACCURATE {
            warnings.push(format!(
                "the predictors nearly determine each other: a coefficient is known only to {:.0e} of its value",
                self.relative_error
            ));
        }
        warnings
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Model { fit, training, .. } = &self.model;
        writeln!(
            f,
            "model {} from {} rows ({} exited, {} left out) in {:.3} s, the fit {:.4} s",
            self.model_sha256.short(),
            training.rows,
            training.exited,
            training.left_out,
            self.seconds,
            self.fit_seconds
        )?;
        writeln!(f, "  {:<22}{:>16}{:>16}", "", "coefficient", "standard error")?;
        let names = PREDICTORS.iter().chain([&"intercept"]);
        let values = self.model.coefficients.iter().chain([&self.model.intercept]);
        for ((name, value), error) in names.zip(values).zip(self.model.standard_errors) {
            writeln!(f, "  {name:<22}{value:>16.9}{error:>16.9}")?;
        }
        write!(
            f,
            "  log-likelihood {:.6} after {} Newton steps; gradient {:.1e}, {:.1e} standard errors from the optimum (C = {})",
            fit.log_likelihood, fit.newton_steps, fit.gradient_norm, fit.newton_decrement, fit.regularization
        )
    }
}
