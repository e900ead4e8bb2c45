//! Scoring: computes the F1 score of a model on labelled client tables.
//!
//! By default it scores the trained model on the test data and writes the result to latestscore.txt. All other calls
//! (the deployed model, other data, a dry run) leave the recorded score unchanged, so the baseline of later comparisons
//! cannot move by accident.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use common::cli;
use common::config::{Config, Threshold};
use common::files::atomic;
use common::files::checksum::Checksum;
use common::files::lock::Lock;
use common::files::{DataFile, MODEL};
use common::model::Model;
use common::model::metrics::Confusion;
use common::model::score::Score;
use common::model::shift::{self, PredictorShift};
use common::production::release::Production;
use dataset::{Clients, Reading};
use history::ScoredData;
use serde::Serialize;
use utoipa::ToSchema;

/// Options that select the model and the data.
#[derive(Debug, Default)]
pub struct Options {
    /// Score the deployed model instead of the trained one.
    pub deployed: bool,
    /// Score these files instead of the test data.
    pub data: Vec<PathBuf>,
    /// Write nothing. Cannot be combined with `predictions`.
    pub dry_run: bool,
    /// Write each row's prediction to this path.
    pub predictions: Option<PathBuf>,
}

impl Options {
    /// Whether the score is recorded: only the default scoring defines the recorded score of the model.
    fn writes(&self) -> bool {
        !self.deployed && self.data.is_empty()
    }
}

/// F1 score of a model on labelled rows, with its evidence.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Score)]
pub struct Outcome {
    /// Id of the release if the deployed model was scored, otherwise the beginning of the model's checksum.
    pub model: String,
    /// SHA-256 of the model file.
    #[schema(value_type = String)]
    pub model_sha256: Checksum,
    /// Names of the files that were scored.
    pub data: Vec<String>,
    /// F1 score, from 0 to 1.
    pub f1: f64,
    /// Precision: true positives / predicted positives.
    pub precision: f64,
    /// Recall: true positives / actual positives.
    pub recall: f64,
    /// Number of rows scored.
    pub n: u64,
    /// Numbers of true and false positives and negatives.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub confusion: Confusion,
    /// Probability from which a client was predicted to leave.
    #[schema(value_type = f64)]
    pub threshold: Threshold,
    /// Number of unlabelled rows (without a known `exited`), which were not scored.
    pub unlabelled: u64,
    /// Number of rows that could not be read, which were not scored.
    pub malformed: u64,
    /// Number of scored rows in which the training median was imputed for a missing predictor.
    pub imputed: u64,
    /// Shifts of the predictors against the model's training data, the most important first. Empty unless the deployed
    /// model was scored on other data than the test data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub shifts: Vec<PredictorShift>,
    /// Number of predictions written; `None` if none were requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub predicted: Option<u64>,
}

impl Outcome {
    /// The score in the form in which the history stores it. `deployed` says whether the model belonged to a release.
    pub fn scored_data(&self, deployed: bool) -> ScoredData {
        ScoredData {
            release: deployed.then(|| self.model.clone()),
            model_sha256: self.model_sha256.clone(),
            data: self.data.clone(),
            confusion: self.confusion,
            threshold: Some(self.threshold.value()),
        }
    }

    /// The score without the other figures, as deployment stores it.
    pub fn score(&self) -> Score {
        Score {
            model_sha256: self.model_sha256.clone(),
            f1: self.f1,
            n: self.n,
            confusion: self.confusion,
            threshold: self.threshold.value(),
        }
    }
}

/// Scores according to `options`, writes latestscore.txt if they are the defaults, and records the run in the history.
/// A dry run writes and records nothing.
pub fn run(config: &Config, options: &Options) -> Result<Outcome> {
    if options.dry_run {
        return evaluate(config, options);
    }
    history::record(config, "scoring", |run| {
        let _lock = match options.writes() {
            true => Some(Lock::acquire(&config.output_model, "step")?),
            false => None,
        };
        let outcome = evaluate(config, options)?;
        if options.writes() {
            if outcome.n == 0 {
                bail!("{} holds no row whose exited is known; there is nothing to score", config.test_data.display());
            }
            atomic::sweep(&config.output_model)?;
            outcome.score().write(&config.output_model)?;
        }
        run.add(outcome.scored_data(options.deployed));
        Ok(outcome)
    })
}

/// Scores according to `options` without recording the score. Writes only the predictions, if they are requested.
pub fn evaluate(config: &Config, options: &Options) -> Result<Outcome> {
    if options.dry_run && options.predictions.is_some() {
        bail!("a dry run writes no predictions; leave out one of the two");
    }
    let (name, model, model_sha256, threshold) = if options.deployed {
        let release = Production::of(config).live()?;
        // A release is scored with its own threshold, so a changed config does not look like drift.
        let (model, threshold) = (release.model()?, release.threshold()?);
        (release.id, model, release.manifest.score.model_sha256, threshold)
    } else {
        let (model, checksum) = Model::load(&config.output_model.join(MODEL))?;
        (checksum.short().to_owned(), model, checksum, config.threshold)
    };
    let engine = dataset::open(config)?;
    let files = match options.data.as_slice() {
        [] => engine.files(&config.test_data)?,
        paths => paths.iter().map(|path| DataFile::at(path)).collect::<Result<_>>()?,
    };
    // Every row of the test data must be readable, because the service makes predictions for the same rows.
    let reading = match (options.data.is_empty(), &options.predictions) {
        (true, _) => Reading::WHOLE,
        (false, None) => Reading::LENIENT,
        (false, Some(_)) => Reading::TO_PREDICT,
    };
    let clients = engine.read(&files, reading)?;
    let mut outcome = evaluate_model(&name, &model, model_sha256, &files, &*clients, threshold)?;
    if options.deployed && !options.data.is_empty() {
        outcome.shifts = shift::shifts(&model, &clients.distributions()?);
    }
    if let Some(place) = &options.predictions {
        outcome.predicted = Some(clients.write_predictions(&model, threshold, place)?);
    }
    Ok(outcome)
}

/// Scores `model`, named `name`, on `clients`, which holds the rows of `files`.
pub fn evaluate_model(
    name: &str,
    model: &Model,
    model_sha256: Checksum,
    files: &[DataFile],
    clients: &dyn Clients,
    threshold: Threshold,
) -> Result<Outcome> {
    let counts = clients.score(model, threshold)?;
    Ok(Outcome {
        model: name.to_owned(),
        model_sha256,
        data: files.iter().map(|file| file.name.clone()).collect(),
        f1: counts.confusion.f1(),
        precision: counts.confusion.precision(),
        recall: counts.confusion.recall(),
        n: counts.confusion.n(),
        confusion: counts.confusion,
        threshold,
        unlabelled: counts.unlabelled,
        malformed: clients.malformed(),
        imputed: counts.imputed,
        shifts: Vec::new(),
        predicted: None,
    })
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                warnings.push(format!("{count} rows {what}"));
            }
        };
        note(self.unlabelled, "have no known exited and were not scored");
        note(self.malformed, "cannot be read and were not scored");
        note(self.imputed, "miss a predictor, which was imputed with its training median");
        if self.confusion.has_no_positive() {
            warnings.push("nobody left and nobody was predicted to leave: F1 is 0 by convention".to_owned());
        }
        warnings
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Confusion { true_positives, false_positives, false_negatives, true_negatives } = self.confusion;
        writeln!(f, "F1 {} of model {} on {} rows of {}", self.f1, self.model, self.n, self.data.join(", "))?;
        write!(
            f,
            "  {true_positives} left and were predicted to, {false_positives} stayed against the prediction, \
             {false_negatives} left unforeseen, {true_negatives} stayed as predicted"
        )?;
        match self.predicted {
            Some(rows) => write!(f, "\n  {rows} predictions written"),
            None => Ok(()),
        }
    }
}
