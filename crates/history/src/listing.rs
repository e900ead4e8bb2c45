//! Queries of the history: the newest runs, scores, timings, missing values and releases, and the release that was live
//! at a given time.
//!
//! Every listing reads its newest rows from the end of an index, so it costs the same after ten runs as after a
//! million.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{ArrayBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::connection::Value;
use crate::{History, timestamp};

/// The kinds of listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Every step that ran.
    Runs,
    /// F1 scores of models on labelled data.
    Scores,
    /// Durations of the steps.
    Timings,
    /// Percentage of missing values, by column.
    Missing,
    /// Releases, with the period in which each was live.
    Releases,
    /// Drift checks: the score of the live release on new rows.
    Checks,
    /// Shift of each predictor in the rows of a drift check.
    Shifts,
    /// Comparisons of champion, challenger and baselines on the same test rows.
    Comparisons,
}

impl What {
    /// All kinds, in the order in which they are declared.
    pub const ALL: [Self; 8] = [
        Self::Runs,
        Self::Scores,
        Self::Timings,
        Self::Missing,
        Self::Releases,
        Self::Checks,
        Self::Shifts,
        Self::Comparisons,
    ];
}

/// The newest rows of one kind, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Listing {
    /// The kind of the rows.
    pub what: What,
    /// The rows, oldest first.
    pub rows: Rows,
}

impl Listing {
    /// Returns a listing without rows, for a history that does not exist yet.
    pub fn empty(what: What) -> Self {
        let rows = match what {
            What::Runs => Rows::Runs(Vec::new()),
            What::Scores => Rows::Scores(Vec::new()),
            What::Timings => Rows::Timings(Vec::new()),
            What::Missing => Rows::Missing(Vec::new()),
            What::Releases => Rows::Releases(Vec::new()),
            What::Checks => Rows::Checks(Vec::new()),
            What::Shifts => Rows::Shifts(Vec::new()),
            What::Comparisons => Rows::Comparisons(Vec::new()),
        };
        Self { what, rows }
    }
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "named as in What")]
pub enum Rows {
    Runs(Vec<RunRow>),
    Scores(Vec<ScoreRow>),
    Timings(Vec<TimingRow>),
    Missing(Vec<MissingRow>),
    Releases(Vec<ReleaseRow>),
    Checks(Vec<CheckRow>),
    Shifts(Vec<ShiftRow>),
    Comparisons(Vec<ComparisonRow>),
}

/// The schema is `anyOf` rather than `oneOf`, because an empty list matches every kind.
impl PartialSchema for Rows {
    fn schema() -> RefOr<Schema> {
        let rows = |name: Cow<'static, str>| ArrayBuilder::new().items(Ref::from_schema_name(name));
        AnyOfBuilder::new()
            .item(rows(RunRow::name()))
            .item(rows(ScoreRow::name()))
            .item(rows(TimingRow::name()))
            .item(rows(MissingRow::name()))
            .item(rows(ReleaseRow::name()))
            .item(rows(CheckRow::name()))
            .item(rows(ShiftRow::name()))
            .item(rows(ComparisonRow::name()))
            .into()
    }
}

impl ToSchema for Rows {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend([
            (RunRow::name().into(), RunRow::schema()),
            (ScoreRow::name().into(), ScoreRow::schema()),
            (TimingRow::name().into(), TimingRow::schema()),
            (MissingRow::name().into(), MissingRow::schema()),
            (ReleaseRow::name().into(), ReleaseRow::schema()),
            (CheckRow::name().into(), CheckRow::schema()),
            (ShiftRow::name().into(), ShiftRow::schema()),
            (ComparisonRow::name().into(), ComparisonRow::schema()),
        ]);
    }
}

/// Defines a row that can be read from any of the databases and printed as cells. Its fields must be in the order of
/// the columns of its `SELECT`.
macro_rules! row {
    ($(#[$doc:meta])* $Row:ident { $($(#[$field_doc:meta])* $field:ident: $Type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
        pub struct $Row {
            $($(#[$field_doc])* pub $field: $Type,)+
        }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $Row
        where
            usize: sqlx::ColumnIndex<R>,
            $($Type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)+
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                let mut columns = 0..;
                $(let $field = row.try_get(columns.next().unwrap_or_default())?;)+
                Ok(Self { $($field,)+ })
            }
        }

        impl $Row {
            const COLUMNS: &[&str] = &[$(stringify!($field)),+];

            fn cells(&self) -> Vec<String> {
                vec![$(self.$field.cell()),+]
            }
        }
    };
}

row! {
    /// A step that ran.
    RunRow {
        /// The run's id.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// The name of the step.
        step: String,
        /// Duration of the run in seconds.
        seconds: f64,
        /// The outcome: `done` or `failed`.
        outcome: String,
        /// The name of the process, which is the same for all steps of one `fullprocess`.
        process: Option<String>,
        /// The decision of `fullprocess` with its reason, or the error.
        message: Option<String>,
    }
}

row! {
    /// The score of a model on labelled data.
    ScoreRow {
        /// The id of the run that computed the score.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// The id of the release, if the deployed model was scored.
        release: Option<String>,
        /// SHA-256 of the model file.
        model_sha256: String,
        /// The names of the files that were scored, as a JSON list.
        data: String,
        /// Number of rows that were scored.
        n: i64,
        /// True positives: clients that left and were predicted to leave.
        true_positives: i64,
        /// False positives: clients that stayed but were predicted to leave.
        false_positives: i64,
        /// False negatives: clients that left but were predicted to stay.
        false_negatives: i64,
        /// True negatives: clients that stayed and were predicted to stay.
        true_negatives: i64,
        /// F1 score on these rows, from 0 to 1.
        f1: f64,
    }
}

row! {
    /// The duration of a step or of a part of it.
    TimingRow {
        /// The id of the run that measured it.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// The name of what was measured.
        what: String,
        /// The measured duration in seconds.
        seconds: f64,
    }
}

row! {
    /// Percentage of missing values in the compiled dataset.
    MissingRow {
        /// The id of the run that counted them.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// Percentage missing in `corporation`, from 0 to 100.
        corporation: Option<f64>,
        /// Percentage missing in `lastmonth_activity`, from 0 to 100.
        lastmonth_activity: Option<f64>,
        /// Percentage missing in `lastyear_activity`, from 0 to 100.
        lastyear_activity: Option<f64>,
        /// Percentage missing in `number_of_employees`, from 0 to 100.
        number_of_employees: Option<f64>,
        /// Percentage missing in `exited`, from 0 to 100.
        exited: Option<f64>,
    }
}

row! {
    /// A period in which a release was live.
    ReleaseRow {
        /// The release's id.
        release: String,
        /// How the release went live: `deployed`, `rolled back`, or `found live` if the switch itself was not recorded.
        action: String,
        /// When production was switched to the release (UTC).
        live_from: String,
        /// When production was switched to another release (UTC); `None` while the release is live.
        live_until: Option<String>,
        /// The F1 score recorded at deployment.
        f1: f64,
        /// Number of rows on which that score was computed.
        n: i64,
        /// SHA-256 of the model file.
        model_sha256: String,
        /// The id of the run that recorded the switch.
        run: i64,
    }
}

row! {
    /// The score of the live release on new rows.
    CheckRow {
        /// The id of the run that computed the score.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// The id of the live release.
        release: String,
        /// The names of the new files, as a JSON list.
        data: String,
        /// Number of rows that were scored.
        n: i64,
        /// True positives: clients that left and were predicted to leave.
        true_positives: i64,
        /// False positives: clients that stayed but were predicted to leave.
        false_positives: i64,
        /// False negatives: clients that left but were predicted to stay.
        false_negatives: i64,
        /// True negatives: clients that stayed and were predicted to stay.
        true_negatives: i64,
        /// F1 score on these rows, from 0 to 1.
        f1: f64,
        /// Lower bound of the 95 % confidence interval of F1; `None` if no client left and none was predicted to leave.
        f1_low: Option<f64>,
        /// Upper bound of the 95 % confidence interval of F1; `None` if `f1_low` is `None`.
        f1_high: Option<f64>,
        /// The F1 score recorded when the release was deployed.
        recorded_f1: f64,
        /// The name of the test that decided.
        test: String,
        /// Whether the score has fallen by more than chance explains: `drifted`, `not drifted` or `cannot tell`.
        verdict: String,
        /// 1 if the test reported drift, otherwise 0.
        drifted: i64,
    }
}

row! {
    /// The shift of one predictor between the training data and new rows.
    ShiftRow {
        /// The id of the run that made the check.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// The name of the predictor.
        predictor: String,
        /// The population stability index.
        stability_index: f64,
        /// The value that the stability index exceeds by chance in 5 of 100 cases.
        stability_cutoff: f64,
        /// The two-sample Kolmogorov–Smirnov statistic; `None` if no new value is known.
        ks_distance: Option<f64>,
        /// The p-value, Holm-corrected.
        p_value: f64,
        /// Effect of the shift on the predicted risk of a client that is average in the other predictors.
        risk_change: f64,
        /// The verdict: `shifted`, `harmless` or `not shifted`.
        verdict: String,
    }
}

row! {
    /// The result of one model or baseline on the test rows of a comparison.
    ComparisonRow {
        /// The id of the run that decided.
        run: i64,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// The new model, the deployed model, or a baseline that predicts the same outcome for every client.
        contestant: String,
        /// Number of rows that were scored.
        n: i64,
        /// True positives: clients that left and were predicted to leave.
        true_positives: i64,
        /// False positives: clients that stayed but were predicted to leave.
        false_positives: i64,
        /// False negatives: clients that left but were predicted to stay.
        false_negatives: i64,
        /// True negatives: clients that stayed and were predicted to stay.
        true_negatives: i64,
        /// F1 score on these rows, from 0 to 1.
        f1: f64,
        /// SHA-256 of the new model's file.
        model_sha256: String,
        /// The id of the release that was live, if there was one.
        champion: Option<String>,
        /// The name of the rule that decided.
        rule: String,
        /// 1 if the new model was accepted for deployment, otherwise 0.
        promoted: i64,
        /// Reservations about the new model, as a JSON list of sentences.
        warnings: String,
    }
}

const RUNS: &str = "
    SELECT runs.id, runs.started, runs.step, runs.seconds, runs.outcome, runs.process, COALESCE(runs.error, decisions.reason)
    FROM (SELECT * FROM runs ORDER BY id DESC LIMIT ?) AS runs
    LEFT JOIN decisions ON decisions.run_id = runs.id
    ORDER BY runs.id";

const NEWEST_PROCESS: &str = "
    SELECT runs.id, runs.started, runs.step, runs.seconds, runs.outcome, runs.process, COALESCE(runs.error, decisions.reason)
    FROM (SELECT * FROM runs WHERE step = 'fullprocess' ORDER BY id DESC LIMIT 1) AS runs
    LEFT JOIN decisions ON decisions.run_id = runs.id";

const SCORES: &str = "
    SELECT run_id, runs.started, release_id, model_sha256, data, n,
        true_positives, false_positives, false_negatives, true_negatives, f1
    FROM (SELECT * FROM scores ORDER BY run_id DESC LIMIT ?) AS newest
    JOIN runs ON runs.id = run_id
    ORDER BY run_id";

const TIMINGS: &str = "
    SELECT run_id, runs.started, what, newest.seconds
    FROM (SELECT * FROM timings ORDER BY run_id DESC LIMIT ?) AS newest
    JOIN runs ON runs.id = run_id
    ORDER BY run_id, what";

const MISSING: &str = "
    SELECT runs.id, runs.started,
        MAX(CASE WHEN column_name = 'corporation' THEN percent END),
        MAX(CASE WHEN column_name = 'lastmonth_activity' THEN percent END),
        MAX(CASE WHEN column_name = 'lastyear_activity' THEN percent END),
        MAX(CASE WHEN column_name = 'number_of_employees' THEN percent END),
        MAX(CASE WHEN column_name = 'exited' THEN percent END)
    FROM (SELECT DISTINCT run_id FROM missing_percentages ORDER BY run_id DESC LIMIT ?) AS newest
    JOIN missing_percentages ON missing_percentages.run_id = newest.run_id
    JOIN runs ON runs.id = newest.run_id
    GROUP BY runs.id, runs.started
    ORDER BY runs.id";

/// The end of a release's live period is the start of a later one, so the newest rows suffice to compute it for
/// themselves.
const RELEASES: &str = "
    SELECT release_id, action, live_from, LEAD(live_from) OVER (ORDER BY live_from, run_id), f1, n, model_sha256, run_id
    FROM (SELECT * FROM releases ORDER BY live_from DESC, run_id DESC LIMIT ?) AS newest
    ORDER BY live_from, run_id";

const CHECKS: &str = "
    SELECT run_id, runs.started, release_id, data, n, true_positives, false_positives, false_negatives, true_negatives,
        f1, f1_low, f1_high, recorded_f1, test, verdict, drifted
    FROM (SELECT * FROM drift_checks ORDER BY run_id DESC LIMIT ?) AS newest
    JOIN runs ON runs.id = run_id
    ORDER BY run_id";

const SHIFTS: &str = "
    SELECT run_id, runs.started, predictor, stability_index, stability_cutoff, ks_distance, p_value, risk_change, verdict
    FROM (SELECT * FROM predictor_shifts ORDER BY run_id DESC, predictor DESC LIMIT ?) AS newest
    JOIN runs ON runs.id = run_id
    ORDER BY run_id, predictor";

const COMPARISONS: &str = "
    SELECT newest.run_id, runs.started, contestant, n, true_positives, false_positives, false_negatives, true_negatives,
        f1, model_sha256, champion, rule_name, promoted, warnings
    FROM (SELECT * FROM contestants ORDER BY run_id DESC, contestant DESC LIMIT ?) AS newest
    JOIN promotions ON promotions.run_id = newest.run_id
    JOIN runs ON runs.id = newest.run_id
    ORDER BY newest.run_id, contestant";

const LIVE_AT: &str = "
    SELECT release_id, action, live_from, (SELECT MIN(later.live_from) FROM releases AS later WHERE later.live_from > ?),
        f1, n, model_sha256, run_id
    FROM releases WHERE live_from <= ? ORDER BY live_from DESC, run_id DESC LIMIT 1";

impl History {
    /// Returns the newest `last` rows of one kind, oldest first.
    pub fn listing(&mut self, what: What, last: u32) -> Result<Listing> {
        let last = [Value::from(i64::from(last))];
        let rows = match what {
            What::Runs => Rows::Runs(self.fetch(RUNS, &last)?),
            What::Scores => Rows::Scores(self.fetch(SCORES, &last)?),
            What::Timings => Rows::Timings(self.fetch(TIMINGS, &last)?),
            What::Missing => Rows::Missing(self.fetch(MISSING, &last)?),
            What::Releases => Rows::Releases(self.fetch(RELEASES, &last)?),
            What::Checks => Rows::Checks(self.fetch(CHECKS, &last)?),
            What::Shifts => Rows::Shifts(self.fetch(SHIFTS, &last)?),
            What::Comparisons => Rows::Comparisons(self.fetch(COMPARISONS, &last)?),
        };
        Ok(Listing { what, rows })
    }

    /// Returns the newest `last` runs, oldest first.
    pub fn runs(&mut self, last: u32) -> Result<Vec<RunRow>> {
        self.fetch(RUNS, &[Value::from(i64::from(last))])
    }

    /// Returns the newest run of `fullprocess`; `None` if there is none.
    pub fn newest_process(&mut self) -> Result<Option<RunRow>> {
        Ok(self.fetch(NEWEST_PROCESS, &[])?.pop())
    }

    /// Returns the newest score; `None` if there is none.
    pub fn newest_score(&mut self) -> Result<Option<ScoreRow>> {
        Ok(self.fetch(SCORES, &[Value::from(1i64)])?.pop())
    }

    /// Returns the newest drift check; `None` if there is none.
    pub fn newest_check(&mut self) -> Result<Option<CheckRow>> {
        Ok(self.fetch(CHECKS, &[Value::from(1i64)])?.pop())
    }

    /// Returns the release that was live at `time`; `None` before the first release.
    pub fn live_at(&mut self, time: Timestamp) -> Result<Option<ReleaseRow>> {
        let time = Value::from(&timestamp(time));
        Ok(self.fetch(LIVE_AT, &[time.clone(), time])?.pop())
    }
}

impl Rows {
    /// Returns the names of the columns, and the rows as texts.
    pub fn table(&self) -> (&'static [&'static str], Vec<Vec<String>>) {
        match self {
            Self::Runs(rows) => (RunRow::COLUMNS, rows.iter().map(RunRow::cells).collect()),
            Self::Scores(rows) => (ScoreRow::COLUMNS, rows.iter().map(ScoreRow::cells).collect()),
            Self::Timings(rows) => (TimingRow::COLUMNS, rows.iter().map(TimingRow::cells).collect()),
            Self::Missing(rows) => (MissingRow::COLUMNS, rows.iter().map(MissingRow::cells).collect()),
            Self::Releases(rows) => (ReleaseRow::COLUMNS, rows.iter().map(ReleaseRow::cells).collect()),
            Self::Checks(rows) => (CheckRow::COLUMNS, rows.iter().map(CheckRow::cells).collect()),
            Self::Shifts(rows) => (ShiftRow::COLUMNS, rows.iter().map(ShiftRow::cells).collect()),
            Self::Comparisons(rows) => (ComparisonRow::COLUMNS, rows.iter().map(ComparisonRow::cells).collect()),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Runs => "runs",
            Self::Scores => "scores",
            Self::Timings => "timings",
            Self::Missing => "missing",
            Self::Releases => "releases",
            Self::Checks => "checks",
            Self::Shifts => "shifts",
            Self::Comparisons => "comparisons",
        })
    }
}

impl FromStr for What {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|what| what.to_string() == text) {
            Some(what) => Ok(what),
            None => bail!("expected {}, found \"{text}\"", Self::ALL.map(|what| what.to_string()).join(", ")),
        }
    }
}

/// Formats a value as a cell of a text table.
trait Cell {
    fn cell(&self) -> String;
}

impl Cell for i64 {
    fn cell(&self) -> String {
        self.to_string()
    }
}

impl Cell for f64 {
    fn cell(&self) -> String {
        format!("{self:.4}")
    }
}

impl Cell for String {
    /// Puts the text on one line; an error message may have several.
    fn cell(&self) -> String {
        self.replace(['\n', '\r', '\t'], " ")
    }
}

impl<T: Cell> Cell for Option<T> {
    fn cell(&self) -> String {
        self.as_ref().map_or_else(|| "-".to_owned(), T::cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::Config;

    #[test]
    fn every_listing_reads_from_the_end_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "test"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let text = r#"{"input_folder_path": "data", "output_folder_path": "out", "test_data_path": "test",
            "output_model_path": "models", "prod_deployment_path": "production"}"#;
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let config = Config::load(Some(&folder.path().join("config.json"))).unwrap();
        let mut history = History::open(&config).unwrap();
        for query in [RUNS, NEWEST_PROCESS, SCORES, TIMINGS, MISSING, RELEASES, CHECKS, SHIFTS, COMPARISONS, LIVE_AT] {
            let values = vec![Value::from(1i64); query.matches('?').count()];
            let plan: Vec<(i64, i64, i64, String)> =
                history.fetch(&format!("EXPLAIN QUERY PLAN {query}"), &values).unwrap();
            let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
            let scanned = |step: &&&str| step.starts_with("SCAN") && !step.contains("INDEX");
            // `runs` is scanned in the order of its ids; the others are the few rows of an inner SELECT.
            for step in steps.iter().filter(scanned) {
                let few = ["SCAN runs", "SCAN newest", "SCAN (subquery"].iter().any(|few| step.starts_with(few));
                assert!(few, "{step} in {steps:#?}");
            }
            assert!(plan.len() > 1, "{steps:#?}");
        }
    }
}
