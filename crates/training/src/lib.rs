//! Training: finds the exact optimum of the L2-penalised logistic regression that scikit-learn's `LogisticRegression()`
//! approximates.
//!
//! `start` fits a sample with smartcore. From this start, `newton` takes the remaining few steps over all rows and
//! certifies the result. `objective` is the function that is minimised: it sums over rows and knows nothing about
//! steps.

mod certificate;
mod cholesky;
mod moments;
mod newton;
mod objective;
pub mod replay;
mod start;

use std::borrow::Cow;
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
use common::model::effect::{CategoryEffect, Effect, LevelEffect, NumberEffect};
use common::model::pickle::pickle;
use common::model::{Fit, Model, TrainingData};
use common::schema::Schema;
use common::values::Value;
use dataset::{Engine, Ids, PredictorSummary, TrainingRows, TrainingSummary, most_frequent};
use history::{Operation, StepTiming};
use serde::{Serialize, Serializer};
use statistics::levels::LevelSummary;
use statistics::sketch::Sketch;

use crate::newton::{Optimum, Spread};
use crate::objective::PenalisedLikelihood;

/// The trained model and how training went.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// SHA-256 of trainedmodel.bin.
    pub model_sha256: Checksum,
    /// The fitted model, serialised by term.
    #[serde(flatten, serialize_with = "flat")]
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

/// Serialises a model by term: coefficients and standard errors in the order of `terms`, the last standard error is
/// that of the intercept; `medians` are the values that are imputed, by predictor.
fn flat<S: Serializer>(model: &Model, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Flat<'a> {
        coefficients: Vec<f64>,
        intercept: f64,
        standard_errors: Vec<f64>,
        medians: Vec<Value>,
        fit: &'a Fit,
        training: &'a TrainingData,
        sketches: Option<Vec<Summary<'a>>>,
        terms: Vec<Cow<'a, str>>,
    }
    let flat = Flat {
        coefficients: model.terms().map(|term| term.coefficient).collect(),
        intercept: model.intercept,
        standard_errors: model.terms().map(|term| term.standard_error).chain([model.intercept_error]).collect(),
        medians: model.effects.iter().map(Effect::imputed).collect(),
        fit: &model.fit,
        training: &model.training,
        sketches: model.effects.iter().map(Summary::of).collect(),
        terms: model.terms().map(|term| term.name()).collect(),
    };
    flat.serialize(serializer)
}

/// Summary of a predictor's values in the training data.
#[derive(Serialize)]
#[serde(untagged)]
enum Summary<'a> {
    Number(&'a Sketch),
    Category(&'a LevelSummary),
}

impl<'a> Summary<'a> {
    /// `None` if the model file holds none.
    fn of(effect: &'a Effect) -> Option<Self> {
        match effect {
            Effect::Number(number) => number.sketch.as_ref().map(Self::Number),
            Effect::Category(category) => Some(Self::Category(&category.summary)),
        }
    }
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
    let clients = engine.compiled(output, Ids::Skipped)?;
    let rows = clients.training_rows()?;
    let summary = rows.summary();
    let folder = output.display();
    if summary.rows == 0 {
        bail!(
            "the dataset in {folder} has no row without a missing value to train on ({} rows have one)",
            summary.left_out
        );
    }
    if !summary.has_both_classes() {
        let target = engine.schema().target();
        let (name, class) = (&target.name, target.label(summary.exited > 0));
        bail!("all {} rows of the dataset in {folder} have {name} = {class}; a model needs both classes", summary.rows);
    }
    let trained = fitted(engine.schema(), &*rows, regularization)
        .with_context(|| format!("training on the dataset in {folder}"))?;
    let moments = moments::of(engine.schema(), &*rows)?;
    Ok(Trained { model: Model { moments, ..trained.model }, ..trained })
}

/// Fits a model on `rows`, which are of both classes. The model has no moments.
fn fitted(schema: &Schema, rows: &dyn TrainingRows, regularization: Regularization) -> Result<Trained> {
    let clock = Instant::now();
    let optimum = fit(schema, rows, regularization)?;
    let fit_seconds = clock.elapsed().as_secs_f64();
    let relative_error = optimum.relative_error;
    let model = model(schema, rows.summary(), optimum, regularization)?;
    Ok(Trained { model, fit_seconds, relative_error })
}

/// Combines the optimum and the summaries of the training rows into a model.
fn model(
    schema: &Schema,
    summary: &TrainingSummary,
    optimum: Optimum,
    regularization: Regularization,
) -> Result<Model> {
    // The fit has the numbers first, then the levels of all categories.
    let terms: Vec<(f64, f64)> = optimum.coefficients.iter().copied().zip(optimum.standard_errors.clone()).collect();
    let (numbers, levels) = terms.split_at(summary.design().numbers());
    let (mut numbers, mut levels) = (numbers.iter().copied(), levels.iter().copied());
    const FEWER: &str = "the fit has fewer coefficients than the columns have terms";
    let effect = |predictor: &PredictorSummary| -> Result<Effect> {
        Ok(match predictor {
            PredictorSummary::Number { median, sketch } => {
                let (coefficient, standard_error) = numbers.next().context(FEWER)?;
                let median = median.context("a predictor has no value")?;
                Effect::Number(NumberEffect { coefficient, standard_error, median, sketch: sketch.clone() })
            }
            PredictorSummary::Category { levels: names, counts, summary } => {
                let level = |name: &String| {
                    let (coefficient, standard_error) = levels.next().context(FEWER)?;
                    Ok(LevelEffect { name: name.clone(), coefficient, standard_error })
                };
                Effect::Category(CategoryEffect {
                    levels: names.iter().map(level).collect::<Result<_>>()?,
                    most_frequent: most_frequent(counts),
                    summary: summary.clone(),
                })
            }
        })
    };
    Ok(Model {
        schema: schema.clone(),
        effects: summary.predictors.iter().map(effect).collect::<Result<_>>()?,
        intercept: optimum.intercept,
        intercept_error: optimum.standard_errors.last().copied().context("the fit has no standard errors")?,
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
        moments: None,
    })
}

/// Minimises from the first start that leads to the optimum. With values of 10^15, smartcore's start can be so far from
/// the optimum that no step leads back.
fn fit(schema: &Schema, rows: &dyn TrainingRows, regularization: Regularization) -> Result<Optimum> {
    let spread = Spread::of(rows.summary(), schema.predictors());
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
                "a coefficient is certified only to {:.0e} of its value: predictors nearly determine each other, or the \
                 coefficient is nearly 0",
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
        let terms = self.model.terms().map(|term| (term.name(), term.coefficient, term.standard_error));
        let intercept = ("intercept".into(), self.model.intercept, self.model.intercept_error);
        let terms: Vec<_> = terms.chain([intercept]).collect();
        let width = terms.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max(20) + 2;
        writeln!(f, "  {:<width$}{:>16}{:>16}", "", "coefficient", "standard error")?;
        for (name, value, error) in terms {
            writeln!(f, "  {name:<width$}{value:>16.9}{error:>16.9}")?;
        }
        write!(
            f,
            "  log-likelihood {:.6} after {} Newton steps; gradient {:.1e}, {:.1e} standard errors from the optimum (C = {})",
            fit.log_likelihood, fit.newton_steps, fit.gradient_norm, fit.newton_decrement, fit.regularization
        )
    }
}
