//! Scoring: computes the F1 score of a model on labelled client tables.
//!
//! By default it scores the trained model on the test data and writes the result to latestscore.txt. All other calls
//! (the deployed model, other data, a dry run) leave the recorded score unchanged, so the baseline of later comparisons
//! cannot change by accident.

mod against;
mod calibration;
mod leaks;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use common::cli;
use common::config::{Config, Threshold};
use common::files::atomic;
use common::files::checksum::Checksum;
use common::files::lock::Lock;
use common::files::{DataFile, MODEL};
use common::model::Model;
use common::model::estimate::EstimatedQuality;
use common::model::leaks::{Leaks, Overlap, checksum_of_test_data};
use common::model::metrics::Confusion;
use common::model::score::Score;
use common::model::shift;
use common::outcomes::Against;
pub use common::outcomes::ScoringOutcome as Outcome;
use common::production::release::Production;
use common::schema::Schema;
use dataset::{Clients, Reading};
use history::ScoredData;
use serde::Serialize;
use statistics::calibration::Calibration;
use statistics::interval::Interval;
use statistics::paired;

/// Options that select the model and the data.
#[derive(Debug, Default)]
pub struct Options {
    /// Score the deployed model instead of the trained one.
    pub deployed: bool,
    /// Score these files instead of the test data.
    pub data: Vec<PathBuf>,
    /// Write nothing. Cannot be combined with `predictions`.
    pub dry_run: bool,
    /// Give unlabelled rows the newest label of the same client in a later one of the files in `data`.
    pub later_labels: bool,
    /// Write each row's prediction to this path.
    pub predictions: Option<PathBuf>,
    /// Compare the trained model with the deployed one on the test data. Cannot be combined with `deployed` or `data`.
    pub against_deployed: bool,
}

impl Options {
    /// Whether the score is written to latestscore.txt. Only the default call does that.
    fn writes(&self) -> bool {
        !self.deployed && self.data.is_empty()
    }
}

/// Returns the score as the history stores it. `deployed` states whether the deployed model was scored.
pub fn scored_data(outcome: &Outcome, deployed: bool) -> ScoredData {
    ScoredData {
        release: deployed.then(|| outcome.model.clone()),
        model_sha256: outcome.model_sha256.clone(),
        data: outcome.data.clone(),
        confusion: outcome.confusion,
        threshold: Some(outcome.threshold.value()),
        repeated_rows: outcome.leaks.overlap.as_ref().map(|overlap| overlap.rows),
        repeated_clients: outcome.leaks.overlap.as_ref().map(|overlap| overlap.clients),
        separating: Some(outcome.leaks.separating.iter().map(|one| one.predictor.clone()).collect()),
    }
}

/// Scores according to `options`, writes latestscore.txt if they are the defaults, and records the run in the history.
/// A dry run writes and records nothing.
pub fn run(config: &Config, options: &Options) -> Result<Outcome> {
    if options.dry_run {
        return evaluate(config, options);
    }
    history::record(config, "scoring", |run| {
        let _lock = options.writes().then(|| Lock::acquire(&config.output_model, "step")).transpose()?;
        let (outcome, calibration) = examine(config, options)?;
        if options.writes() {
            if outcome.n == 0 {
                let target = &config.columns.target().name;
                bail!("{} contains no row whose {target} is known; add labelled rows", config.test_data.display());
            }
            atomic::sweep(&config.output_model)?;
            Score { calibration, ..outcome.score() }.write(&config.output_model)?;
        }
        run.add(scored_data(&outcome, options.deployed));
        Ok(outcome)
    })
}

/// Scores according to `options` without recording the score. Writes only the predictions, if they are requested.
pub fn evaluate(config: &Config, options: &Options) -> Result<Outcome> {
    examine(config, options).map(|(outcome, _)| outcome)
}

/// Scores according to `options`. Also fits the calibration of the model if the score will be written.
fn examine(config: &Config, options: &Options) -> Result<(Outcome, Option<Calibration>)> {
    if options.dry_run && options.predictions.is_some() {
        bail!("a dry run writes no predictions; omit either dry_run or predictions");
    }
    if options.against_deployed && !options.writes() {
        bail!("only the trained model can be compared with the deployed one, on the test data; omit deployed and data");
    }
    let (name, model, model_sha256, threshold, known) = if options.deployed {
        let release = Production::of(config).live()?;
        // A release is scored with its own threshold, so a changed config does not look like drift.
        let (model, threshold) = (release.model()?, release.threshold()?);
        let Score { model_sha256, calibration, .. } = release.manifest.score;
        (release.id, model, model_sha256, threshold, calibration)
    } else {
        let path = config.output_model.join(MODEL);
        let (model, checksum) = Model::load(&path)?;
        let is_current = model.check_columns(&config.columns, "the config");
        is_current.with_context(|| format!("{} cannot be used; run ingestion and training again", path.display()))?;
        (checksum.short().to_owned(), model, checksum, config.threshold, None)
    };
    let engine = dataset::open_for(config, &model.schema)?;
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
    let reading = if options.predictions.is_some() { reading } else { reading.without_ids() };
    let reading = if options.later_labels { reading.with_later_labels() } else { reading };
    let clients = engine.read(&files, reading)?;
    let mut outcome = evaluate_model(&name, &model, model_sha256, &files, &*clients, threshold)?;
    if options.writes() {
        outcome.test_sha256 = Some(checksum_of_test_data(engine.checksums(&files)?));
        outcome.leaks = leaks::find(config, &*engine, &model, &files, &*clients, &outcome)?;
    }
    if options.against_deployed {
        outcome.against = Some(against::against_deployed(config, &model, threshold, &*clients)?);
    }
    if options.deployed && !options.data.is_empty() {
        outcome.shifts = shift::shifts(&model, &clients.distributions()?);
        let used = known.as_ref().unwrap_or(&Calibration::NONE);
        outcome.estimated = EstimatedQuality::of(&clients.expected_counts(&model, threshold, used)?, known.as_ref());
    }
    if let Some(path) = &options.predictions {
        outcome.predicted = Some(clients.write_predictions(&model, threshold, path)?);
    }
    let fitted = match options.writes() && !options.dry_run {
        true => calibration::fit(&*clients, &model)?,
        false => None,
    };
    Ok((outcome, fitted))
}

/// Scores `model`, named `name`, on `clients`, which contains the rows of `files`.
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
        unseen: counts.unseen,
        estimated: None,
        shifts: Vec::new(),
        predicted: None,
        leaks: Leaks::default(),
        test_sha256: None,
        against: None,
    })
}

/// Shows the outcome of this step to people.
#[derive(Serialize)]
pub struct Shown {
    /// The outcome that is printed.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The columns of the config.
    #[serde(skip)]
    pub columns: Schema,
}

impl cli::Outcome for Shown {
    fn warnings(&self) -> Vec<String> {
        let Outcome { unlabelled, malformed, imputed, unseen, confusion, .. } = &self.outcome;
        let unlabelled_rows = format!("have no known {} and were not scored", self.columns.target().name);
        let imputed_rows = match self.columns.has_categories() {
            false => "have a missing predictor, which was imputed with its training median",
            true => "have a missing predictor, which was imputed with its training median or its most frequent level",
        };
        let mut warnings: Vec<_> = [
            (unlabelled, unlabelled_rows.as_str()),
            (malformed, "cannot be read and were not scored"),
            (imputed, imputed_rows),
            (unseen, "have a level that no training row had, which does not change their risk"),
        ]
        .into_iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} rows {what}"))
        .collect();
        if confusion.n() > 0 && confusion.has_no_positive() {
            warnings.push("no client left and none was predicted to leave: F1 is 0 by convention".to_owned());
        }
        warnings.extend(self.outcome.leaks.warnings(self.outcome.n));
        warnings
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Outcome { f1, model, n, data, confusion, estimated, predicted, leaks, against, .. } = &self.outcome;
        let data = data.join(", ");
        let Confusion { true_positives, false_positives, false_negatives, true_negatives } = confusion;
        match n {
            0 => writeln!(f, "no F1 of model {model}: no row of {data} is labelled")?,
            _ => writeln!(f, "F1 {f1} of model {model} on {n} rows of {data}")?,
        }
        write!(
            f,
            "  {true_positives} true positives, {false_positives} false positives (stayed, predicted to leave), \
             {false_negatives} false negatives (left, predicted to stay), {true_negatives} true negatives"
        )?;
        if let Some(estimated) = estimated {
            let EstimatedQuality { rows, precision, precision_low, precision_high, .. } = estimated;
            let EstimatedQuality { recall, recall_low, recall_high, .. } = estimated;
            write!(
                f,
                "\n  {estimated} of all {rows} rows; precision {precision:.2} ({precision_low:.2} to \
                 {precision_high:.2}), recall {recall:.2} ({recall_low:.2} to {recall_high:.2})"
            )?;
        }
        if let Some(Overlap { rows, clients, .. }) = &leaks.overlap {
            write!(f, "\n  {rows} of these rows and {clients} of their clients are also in the training data")?;
        }
        if let Some(Against { release, paired }) = against {
            write!(f, "\n  F1 {} of release {release} on the same rows", paired.joint.champion().f1())?;
            if let Some(Interval { low, high }) = paired::f1_difference(&paired.joint) {
                write!(f, "; 95 % interval of the difference {low:+.4} to {high:+.4}")?;
            }
        }
        match predicted {
            Some(rows) => write!(f, "\n  {rows} predictions written"),
            None => Ok(()),
        }
    }
}
