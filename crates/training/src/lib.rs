//! Training: the L2 logistic regression that scikit-learn's `LogisticRegression()` approximates, at its optimum.
//!
//! [`start`] lets smartcore fit a sample; from there [`newton`] takes the few steps that are left over all rows, and
//! certifies where it ended. [`objective`] is what it minimises: sums over rows, and nothing that knows of steps.

pub mod newton;
pub mod objective;
pub mod start;

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use common::atomic;
use common::checksum::Checksum;
use common::cli;
use common::config::{Config, Regularization};
use common::files::{MODEL, PICKLE};
use common::lock::Lock;
use common::model::{Fit, Model, TrainingData};
use common::pickle::pickle;
use common::schema::PREDICTORS;
use engine::Engine;
use serde::Serialize;

use crate::objective::PenalisedLikelihood;

/// A trained model and what it took.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Of trainedmodel.bin.
    pub model_sha256: Checksum,
    /// The model.
    #[serde(flatten)]
    pub model: Model,
    /// Reading the data, fitting and writing.
    pub seconds: f64,
    /// The fit alone.
    pub fit_seconds: f64,
}

/// Trains on the compiled dataset as `config` says, writes both encodings of the model, and records it.
///
/// Every error leaves the earlier model files as they were.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "training", |run| {
        let start = Instant::now();
        let _lock = Lock::acquire(&config.output_model, "step")?;
        atomic::sweep(&config.output_model)?;
        let (model, fit_seconds) = train(&*dataset::engine(config)?, &config.output_folder, config.regularization)?;
        // The pickle first: a run killed in between leaves a pickle that deployment sees is not the model's.
        atomic::write(&config.output_model.join(PICKLE), &pickle(&model))?;
        let model_sha256 = model.save(&config.output_model.join(MODEL))?;
        let seconds = start.elapsed().as_secs_f64();
        run.facts.timings.push(("training", seconds));
        run.facts.model = Some((model_sha256.clone(), model.clone()));
        Ok(Outcome { model_sha256, model, seconds, fit_seconds })
    })
}

/// Trains on the dataset that was compiled into the folder `output`, writing nothing; returns the model and the seconds
/// that the fit took.
///
/// # Errors
/// Where the dataset cannot be read, no complete row is left, all rows are of one class, or the steps do not converge.
pub fn train(engine: &dyn Engine, output: &Path, regularization: Regularization) -> Result<(Model, f64)> {
    let clients = engine.compiled(output)?;
    let rows = clients.training_rows()?;
    let facts = rows.facts();
    let place = output.display();
    if facts.rows == 0 {
        bail!("the dataset in {place} holds no row without a missing value to train on ({} have one)", facts.left_out);
    }
    if facts.exited == 0 || facts.exited == facts.rows {
        let class = u8::from(facts.exited > 0);
        bail!("all {} rows of the dataset in {place} have exited = {class}; a model needs both classes", facts.rows);
    }

    let clock = Instant::now();
    let objective = PenalisedLikelihood::new(&*rows, regularization);
    // Values of 10^15 can lead smartcore so far astray that no step leads back; the plain start is then the better one.
    let optimum = newton::minimise(&objective, start::start(&*rows, regularization)?)
        .or_else(|_| newton::minimise(&objective, start::class_share(facts)))
        .with_context(|| format!("training on the dataset in {place}"))?;
    let fit_seconds = clock.elapsed().as_secs_f64();

    let [Some(lastmonth), Some(lastyear), Some(employees)] = facts.medians else { bail!("a predictor has no value") };
    let [a, b, c, intercept] = optimum.parameters;
    let model = Model {
        coefficients: [a, b, c],
        intercept,
        standard_errors: optimum.standard_errors,
        medians: [lastmonth, lastyear, employees],
        fit: Fit {
            regularization: regularization.c(),
            gradient_norm: optimum.gradient_norm,
            newton_decrement: optimum.newton_decrement,
            newton_steps: optimum.steps,
            log_likelihood: optimum.log_likelihood,
        },
        training: TrainingData {
            dataset_sha256: facts.dataset_sha256.clone(),
            rows: facts.rows,
            exited: facts.exited,
            left_out: facts.left_out,
        },
        sketches: facts.sketches.clone(),
    };
    Ok((model, fit_seconds))
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let left_out = self.model.training.left_out;
        match left_out {
            0 => Vec::new(),
            _ => vec![format!("{left_out} rows with a missing value were left out")],
        }
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
