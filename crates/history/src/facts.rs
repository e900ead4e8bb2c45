//! What a run found, and the rows that it becomes.

use std::path::PathBuf;

use common::checksum::Checksum;
use common::ingested::{Ingested, record_of_names};
use common::metrics::Confusion;
use common::model::Model;
use common::promotion::Contest;
use common::schema::PREDICTORS;
use common::score::Score;
use common::shift::PredictorShift;
use jiff::Timestamp;

use crate::connection::Value;
use crate::timestamp;

/// What a run found; each may be empty.
#[derive(Debug, Default)]
pub struct Facts {
    /// The compiled dataset, and the finaldata.csv that holds it.
    pub ingested: Option<(Ingested, PathBuf)>,
    /// A model that was trained, with the checksum of its file.
    pub model: Option<(Checksum, Model)>,
    /// Scores.
    pub scores: Vec<ScoredData>,
    /// A check of the live release.
    pub drift_check: Option<DriftCheck>,
    /// What a new model was held against, and what came of it.
    pub promotion: Option<PromotionRecord>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// What went live.
    pub releases: Vec<WentLive>,
    /// What took how many seconds.
    pub timings: Vec<(&'static str, f64)>,
    /// Percent of missing values by column.
    pub missing_percentages: Vec<(String, f64)>,
    /// Mean, median, sample standard deviation and mode of each numeric column; `None` where it has no value.
    pub summary_statistics: Vec<(&'static str, [Option<f64>; 4])>,
    /// Files that a release (by id) was checked against. The decision of the same run says what came of that: `no_drift`
    /// where the release was found good, `kept` where it had drifted and the new model was no better.
    pub checked_files: Vec<CheckedFile>,
    /// Dependencies and their newest versions.
    pub dependencies: Vec<DependencyVersions>,
}

/// A score of a model on labelled data.
#[derive(Clone, Debug)]
pub struct ScoredData {
    /// The score, and whose it is.
    pub score: Score,
    /// The release that was scored, where it was the deployed model.
    pub release: Option<String>,
    /// The names of the files that were scored.
    pub data: Vec<String>,
}

/// The live release's score on new rows, beside the one that was recorded when it was deployed.
#[derive(Clone, Debug)]
pub struct DriftCheck {
    /// The release's id.
    pub release: String,
    /// The names of the new files.
    pub data: Vec<String>,
    /// What it did on their rows.
    pub confusion: Confusion,
    /// From where to where its F1 on them may be, with 95 % confidence; `None` where they hold no positive.
    pub f1_interval: Option<(f64, f64)>,
    /// How far each predictor has moved from the release's training data.
    pub shifts: Vec<PredictorShift>,
    /// Its recorded score.
    pub recorded_f1: f64,
    /// Whether the score has fallen by more than chance explains.
    pub verdict: &'static str,
    /// Which test decided.
    pub test: &'static str,
    /// What that test said.
    pub drifted: bool,
}

/// What the full process decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// In a word.
    pub decision: &'static str,
    /// In a sentence.
    pub reason: String,
    /// The release that is live afterwards.
    pub live: Option<String>,
}

/// Champion and challenger on the same test rows.
#[derive(Clone, Debug)]
pub struct PromotionRecord {
    /// The four counts of each.
    pub contest: Contest,
    /// Of the new model's file.
    pub challenger_sha256: Checksum,
    /// The id of the release that was live.
    pub champion: Option<String>,
    /// Which rule decided.
    pub rule: &'static str,
    /// Whether the new model went on to be deployed.
    pub promoted: bool,
    /// What speaks against the new model, in words.
    pub warnings: Vec<String>,
}

/// A release that went live.
#[derive(Clone, Debug)]
pub struct WentLive {
    /// The release's id.
    pub release: String,
    /// How.
    pub action: Switch,
    /// When production was switched to it.
    pub live_from: Timestamp,
    /// Its recorded score.
    pub score: Score,
}

/// How a release went live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// As a new release.
    Deployed,
    /// Again, as an earlier one.
    RolledBack,
    /// Without a record: a run that was killed, or one from before there was a database. It is recorded when it is seen.
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
    /// Of its content.
    pub sha256: Checksum,
}

/// A dependency of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyVersions {
    /// Its name.
    pub name: String,
    /// The version in this program.
    pub current: String,
    /// The newest version, where the registry named one.
    pub latest: Option<String>,
}

/// Rows of one table, without the id of their run.
pub(crate) struct TableRows {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Value>>,
}

impl Facts {
    /// All rows but those of `runs` and `clients`; `stored` says whether the dataset goes into `clients`.
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
                        shift.distance.into(),
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
                    self.promotion.iter().flat_map(|promotion| contestants(&promotion.contest)),
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

/// The coefficients and the intercept, each with its name and standard error.
fn terms(model: &Model) -> impl Iterator<Item = (&'static str, f64, f64)> {
    let names = PREDICTORS.into_iter().chain(["intercept"]);
    let values = model.coefficients.into_iter().chain([model.intercept]);
    names.zip(values).zip(model.standard_errors).map(|((name, value), error)| (name, value, error))
}

/// Who was scored on the same rows.
fn contestants(contest: &Contest) -> Vec<(&'static str, Confusion)> {
    let mut contestants = vec![("new model", contest.challenger)];
    contestants.extend(contest.champion.map(|champion| ("deployed model", champion)));
    contestants.extend([("everyone exits", contest.everyone_exits()), ("nobody exits", contest.nobody_exits())]);
    contestants
}

fn names(names: &[String]) -> Value {
    (&record_of_names(&names.iter().map(String::as_str).collect::<Vec<_>>())).into()
}

/// How many rows, and the four counts of the confusion matrix.
fn counts(confusion: Confusion) -> [Value; 5] {
    let Confusion { true_positives, false_positives, false_negatives, true_negatives } = confusion;
    [confusion.n(), true_positives, false_positives, false_negatives, true_negatives].map(Value::from)
}
