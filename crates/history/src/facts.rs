//! The results of a run, and their conversion to table rows.

use std::path::PathBuf;

use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, record_of_names};
use common::model::Model;
use common::model::metrics::Confusion;
use common::model::schema::PREDICTORS;
use common::model::score::Score;
use common::model::shift::PredictorShift;
use common::production::promotion::Comparison;
use jiff::Timestamp;

use crate::connection::Value;
use crate::timestamp;

/// The results of a run. Each field is empty if the step did not produce it.
#[derive(Debug, Default)]
pub struct Facts {
    /// The compiled dataset, and the path of the finaldata.csv that contains it.
    pub ingested: Option<(Ingested, PathBuf)>,
    /// The model that was trained, with the SHA-256 of its file.
    pub model: Option<(Checksum, Model)>,
    /// Scores of models on labelled data.
    pub scores: Vec<ScoredData>,
    /// The drift check of the live release.
    pub drift_check: Option<DriftCheck>,
    /// The comparison of a new model with the live one, and its result.
    pub promotion: Option<PromotionRecord>,
    /// The decision of the full process.
    pub decision: Option<Decision>,
    /// Releases that went live, in order.
    pub releases: Vec<WentLive>,
    /// Durations in seconds, each with the name of what was measured.
    pub timings: Vec<(&'static str, f64)>,
    /// Percentage of missing values, by column.
    pub missing_percentages: Vec<(String, f64)>,
    /// Mean, median, sample standard deviation and mode of each numeric column; `None` if the column has no such value.
    pub summary_statistics: Vec<(&'static str, [Option<f64>; 4])>,
    /// Files that a release was checked against. The result is the decision of the same run: `no_drift` if the release
    /// was found good, `kept` if it had drifted and the new model was no better.
    pub checked_files: Vec<CheckedFile>,
    /// Dependencies and their newest versions.
    pub dependencies: Vec<DependencyVersions>,
}

/// A score of a model on labelled data.
#[derive(Clone, Debug)]
pub struct ScoredData {
    /// The score, with the checksum of the model.
    pub score: Score,
    /// The id of the release, if the deployed model was scored.
    pub release: Option<String>,
    /// The names of the files that were scored.
    pub data: Vec<String>,
}

/// The score of the live release on new rows, together with the score recorded at its deployment.
#[derive(Clone, Debug)]
pub struct DriftCheck {
    /// The release's id.
    pub release: String,
    /// The names of the new files.
    pub data: Vec<String>,
    /// Confusion matrix of the release on the new rows.
    pub confusion: Confusion,
    /// Lower and upper bound of the 95 % confidence interval of F1 on the new rows; `None` if no client left and none
    /// was predicted to leave.
    pub f1_interval: Option<(f64, f64)>,
    /// Distance of each predictor from the training data of the release.
    pub shifts: Vec<PredictorShift>,
    /// The F1 score recorded at deployment.
    pub recorded_f1: f64,
    /// Whether the score has fallen by more than chance explains, as a short text.
    pub verdict: &'static str,
    /// The name of the test that decided.
    pub test: &'static str,
    /// Whether that test reported drift.
    pub drifted: bool,
}

/// The decision of the full process.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The decision as one word, for example `no_drift`.
    pub decision: &'static str,
    /// The reason, as a sentence.
    pub reason: String,
    /// The id of the release that is live afterwards.
    pub live: Option<String>,
}

/// The comparison of the champion and the challenger on the same test rows.
#[derive(Clone, Debug)]
pub struct PromotionRecord {
    /// The confusion matrices of both models.
    pub comparison: Comparison,
    /// SHA-256 of the new model's file.
    pub challenger_sha256: Checksum,
    /// The id of the release that was live.
    pub champion: Option<String>,
    /// The name of the rule that decided.
    pub rule: &'static str,
    /// Whether the new model was accepted for deployment.
    pub promoted: bool,
    /// Reservations about the new model, each as a sentence.
    pub warnings: Vec<String>,
}

/// A release that went live.
#[derive(Clone, Debug)]
pub struct WentLive {
    /// The release's id.
    pub release: String,
    /// How the release went live.
    pub action: Switch,
    /// When production was switched to the release.
    pub live_from: Timestamp,
    /// The score recorded in the release.
    pub score: Score,
}

/// How a release went live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It was deployed as a new release.
    Deployed,
    /// It is an earlier release that was restored.
    RolledBack,
    /// The switch itself was not recorded, because its run was killed or because there was no database at the time. It
    /// is recorded when the release is first seen.
    FoundLive,
}

impl Switch {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::RolledBack => "rolled back",
            Self::FoundLive => "found live",
        }
    }
}

/// A file that a release need not be checked against again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedFile {
    /// The release's id.
    pub release: String,
    /// The file's name.
    pub name: String,
    /// SHA-256 of the file's content.
    pub sha256: Checksum,
}

/// A dependency of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyVersions {
    /// The name of the crate.
    pub name: String,
    /// The version in this program.
    pub current: String,
    /// The newest version, if the registry returned one.
    pub latest: Option<String>,
}

/// Rows of one table, without the id of their run.
pub(crate) struct TableRows {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Value>>,
}

impl Facts {
    /// Returns the rows of all tables except `runs` and `clients`. `stored` states whether the dataset is written to
    /// `clients`.
    pub(crate) fn tables(&self, stored: bool) -> Vec<TableRows> {
        let ingested = self.ingested.as_ref().map(|(ingested, _)| ingested);
        let files = || ingested.iter().flat_map(|ingested| &ingested.files);
        vec![
            TableRows {
                table: "ingested_files",
                columns: &["name", "sha256", "row_count", "duplicates", "quarantined", "source"],
                rows: rows(files(), |file| {
                    let source = file.batch.as_ref().map(ToString::to_string);
                    vec![
                        (&file.name).into(),
                        file.sha256.as_str().into(),
                        file.rows.into(),
                        file.duplicates.into(),
                        file.quarantined.into(),
                        source.as_deref().into(),
                    ]
                }),
            },
            TableRows {
                table: "ingested_missing_values",
                columns: &["name", "column_name", "missing"],
                rows: rows(
                    files().flat_map(|file| file.missing.iter().map(move |m| (file, m))),
                    |(file, (column, missing))| vec![(&file.name).into(), column.into(), (*missing).into()],
                ),
            },
            TableRows {
                table: "datasets",
                columns: &["sha256", "row_count", "contradictory_corporations", "stored"],
                rows: rows(ingested, |ingested| {
                    vec![
                        ingested.dataset_sha256.as_str().into(),
                        ingested.rows.into(),
                        ingested.contradictory_corporations.into(),
                        stored.into(),
                    ]
                }),
            },
            TableRows {
                table: "models",
                columns: &[
                    "sha256",
                    "dataset_sha256",
                    "row_count",
                    "exited",
                    "left_out",
                    "regularization",
                    "newton_steps",
                    "gradient_norm",
                    "log_likelihood",
                ],
                rows: rows(&self.model, |(sha256, Model { fit, training, .. })| {
                    vec![
                        sha256.as_str().into(),
                        training.dataset_sha256.as_str().into(),
                        training.rows.into(),
                        training.exited.into(),
                        training.left_out.into(),
                        fit.regularization.into(),
                        i64::from(fit.newton_steps).into(),
                        fit.gradient_norm.into(),
                        fit.log_likelihood.into(),
                    ]
                }),
            },
            TableRows {
                table: "coefficients",
                columns: &["term", "coefficient", "standard_error"],
                rows: rows(self.model.iter().flat_map(|(_, model)| terms(model)), |(term, coefficient, error)| {
                    vec![term.into(), coefficient.into(), error.into()]
                }),
            },
            TableRows {
                table: "scores",
                columns: &[
                    "model_sha256",
                    "release_id",
                    "data",
                    "n",
                    "true_positives",
                    "false_positives",
                    "false_negatives",
                    "true_negatives",
                    "f1",
                    "threshold",
                ],
                rows: rows(&self.scores, |ScoredData { score, release, data }| {
                    let mut row = vec![score.model_sha256.as_str().into(), release.as_deref().into(), names(data)];
                    row.extend(counts(score.confusion));
                    row.extend([score.f1.into(), score.threshold.into()]);
                    row
                }),
            },
            TableRows {
                table: "drift_checks",
                columns: &[
                    "release_id",
                    "data",
                    "n",
                    "true_positives",
                    "false_positives",
                    "false_negatives",
                    "true_negatives",
                    "f1",
                    "f1_low",
                    "f1_high",
                    "recorded_f1",
                    "test",
                    "verdict",
                    "drifted",
                ],
                rows: rows(&self.drift_check, |check| {
                    let mut row = vec![(&check.release).into(), names(&check.data)];
                    row.extend(counts(check.confusion));
                    row.extend([
                        check.confusion.f1().into(),
                        check.f1_interval.map(|(low, _)| low).into(),
                        check.f1_interval.map(|(_, high)| high).into(),
                        check.recorded_f1.into(),
                        check.test.into(),
                        check.verdict.into(),
                        check.drifted.into(),
                    ]);
                    row
                }),
            },
            TableRows {
                table: "predictor_shifts",
                columns: &[
                    "predictor",
                    "stability_index",
                    "stability_cutoff",
                    "ks_distance",
                    "p_value",
                    "risk_change",
                    "verdict",
                ],
                rows: rows(self.drift_check.iter().flat_map(|check| &check.shifts), |shift| {
                    vec![
                        (&shift.predictor).into(),
                        shift.stability_index.into(),
                        shift.stability_cutoff.into(),
                        shift.ks_statistic.into(),
                        shift.p_value.into(),
                        shift.risk_change.into(),
                        shift.verdict.as_str().into(),
                    ]
                }),
            },
            TableRows {
                table: "promotions",
                columns: &["model_sha256", "champion", "rule_name", "promoted", "warnings"],
                rows: rows(&self.promotion, |promotion| {
                    vec![
                        promotion.challenger_sha256.as_str().into(),
                        promotion.champion.as_deref().into(),
                        promotion.rule.into(),
                        promotion.promoted.into(),
                        names(&promotion.warnings),
                    ]
                }),
            },
            TableRows {
                table: "contestants",
                columns: &[
                    "contestant",
                    "n",
                    "true_positives",
                    "false_positives",
                    "false_negatives",
                    "true_negatives",
                    "f1",
                ],
                rows: rows(
                    self.promotion.iter().flat_map(|promotion| contestants(&promotion.comparison)),
                    |(name, did)| {
                        let mut row = vec![name.into()];
                        row.extend(counts(did));
                        row.push(did.f1().into());
                        row
                    },
                ),
            },
            TableRows {
                table: "decisions",
                columns: &["decision", "reason", "live_release"],
                rows: rows(&self.decision, |Decision { decision, reason, live }| {
                    vec![(*decision).into(), reason.into(), live.as_deref().into()]
                }),
            },
            TableRows {
                table: "releases",
                columns: &["release_id", "action", "live_from", "model_sha256", "f1", "n"],
                rows: rows(&self.releases, |release| {
                    vec![
                        (&release.release).into(),
                        release.action.as_str().into(),
                        (&timestamp(release.live_from)).into(),
                        release.score.model_sha256.as_str().into(),
                        release.score.f1.into(),
                        release.score.n.into(),
                    ]
                }),
            },
            TableRows {
                table: "timings",
                columns: &["what", "seconds"],
                rows: rows(&self.timings, |(what, seconds)| vec![(*what).into(), (*seconds).into()]),
            },
            TableRows {
                table: "missing_percentages",
                columns: &["column_name", "percent"],
                rows: rows(&self.missing_percentages, |(column, percent)| vec![column.into(), (*percent).into()]),
            },
            TableRows {
                table: "summary_statistics",
                columns: &["column_name", "mean", "median", "std", "mode"],
                rows: rows(&self.summary_statistics, |(column, statistics)| {
                    [vec![(*column).into()], statistics.map(Value::from).to_vec()].concat()
                }),
            },
            TableRows {
                table: "checked_files",
                columns: &["release_id", "name", "sha256"],
                rows: rows(&self.checked_files, |CheckedFile { release, name, sha256 }| {
                    vec![release.into(), name.into(), sha256.as_str().into()]
                }),
            },
            TableRows {
                table: "dependencies",
                columns: &["name", "current_version", "latest_version"],
                rows: rows(&self.dependencies, |DependencyVersions { name, current, latest }| {
                    vec![name.into(), current.into(), latest.as_deref().into()]
                }),
            },
        ]
    }
}

fn rows<T>(facts: impl IntoIterator<Item = T>, row: impl Fn(T) -> Vec<Value>) -> Vec<Vec<Value>> {
    facts.into_iter().map(row).collect()
}

/// Returns the coefficients and the intercept, each with its name and standard error.
fn terms(model: &Model) -> impl Iterator<Item = (&'static str, f64, f64)> {
    let names = PREDICTORS.into_iter().chain(["intercept"]);
    let values = model.coefficients.into_iter().chain([model.intercept]);
    names.zip(values).zip(model.standard_errors).map(|((name, value), error)| (name, value, error))
}

/// Returns the models and baselines that were scored on the same rows, with their confusion matrices.
fn contestants(comparison: &Comparison) -> Vec<(&'static str, Confusion)> {
    let mut contestants = vec![("new model", comparison.challenger)];
    contestants.extend(comparison.champion.map(|champion| ("deployed model", champion)));
    contestants.extend([("everyone exits", comparison.everyone_exits()), ("nobody exits", comparison.nobody_exits())]);
    contestants
}

fn names(names: &[String]) -> Value {
    (&record_of_names(&names.iter().map(String::as_str).collect::<Vec<_>>())).into()
}

/// Returns the number of rows and the four counts of the confusion matrix.
fn counts(confusion: Confusion) -> [Value; 5] {
    let Confusion { true_positives, false_positives, false_negatives, true_negatives } = confusion;
    [confusion.n(), true_positives, false_positives, false_negatives, true_negatives].map(Value::from)
}
