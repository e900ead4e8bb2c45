//! The table `runs`: every step that ran.

use crate::columns::{columns, text_enum};
use crate::record::Listed;

columns! {
    /// A run of a step, as it is written.
    RunRecord in "runs" {
        /// The name of the step.
        step: String,
        /// The version of the program.
        version: String,
        /// Start of the run (UTC, RFC 3339).
        started: String,
        /// Duration of the run in seconds.
        seconds: f64,
        /// The error with which the step failed.
        error: Option<String>,
        /// End of the run (UTC, RFC 3339).
        ended: String,
        /// Whether the step failed.
        outcome: RunOutcome,
        /// The name of the process, which is the same for all steps of one `fullprocess`.
        process: Option<String>,
    }
}

text_enum! {
    /// Whether a step failed.
    RunOutcome {
        /// The step did its work.
        Done = "done",
        /// The step ended with an error.
        Failed = "failed",
    }
}

columns! {
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
        outcome: RunOutcome,
        /// The name of the process, which is the same for all steps of one `fullprocess`.
        process: Option<String>,
        /// The decision of `fullprocess` with its reason, or the error.
        message: Option<String>,
    }
}

fn select(runs: &str) -> String {
    format!(
        "SELECT runs.id, runs.started, runs.step, runs.seconds, runs.outcome, runs.process,
            COALESCE(runs.error, decisions.reason)
        FROM ({runs}) AS runs LEFT JOIN decisions ON decisions.run_id = runs.id ORDER BY runs.id"
    )
}

impl Listed for RunRow {
    fn newest() -> String {
        select("SELECT * FROM runs ORDER BY id DESC LIMIT ?")
    }
}
