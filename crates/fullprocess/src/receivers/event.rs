//! What a run has changed, as messages for the webhook. Each change is one message: a failure that lasts for days is one,
//! and so is its end.

use common::files::checksum::Checksum;
use common::production::last_run::LastRun;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::decision::Decision;
use crate::outcome::Outcome;

/// Maximum number of characters of a message's text.
const LONGEST_TEXT: usize = 2_000;

/// A message about one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The id under which it is sent, however often it is sent.
    pub id: String,
    pub kind: Kind,
    /// When the run ended that brought the change.
    pub time: Timestamp,
    /// The last line of the run, or its error.
    pub text: String,
    /// The release that is live after the run; `None` if nothing is deployed or if the run has failed.
    pub release: Option<String>,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A run has succeeded, and the one before had failed.
    Recovered,
    /// The score on new data is drift by the configured test.
    Drifted,
    /// The live release was replaced.
    Deployed,
    /// A new model was trained, and the promotion rule has kept the deployed one.
    Kept,
    /// A run has failed, and the one before had not.
    Failed,
}

impl Kind {
    /// The name of this kind in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Drifted => "drifted",
            Self::Deployed => "deployed",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

/// Returns the changes of `run` compared with the `previous` one, in the order in which they happened. `outcome` is `None`
/// if the run has failed.
pub fn events(previous: Option<&LastRun>, run: &LastRun, outcome: Option<&Outcome>) -> Vec<Event> {
    let has_failed_before = previous.is_some_and(|previous| !previous.succeeded);
    let kinds = match outcome {
        None if has_failed_before => Vec::new(),
        None => vec![Kind::Failed],
        Some(outcome) => {
            let has_drifted = match outcome.outcome {
                Decision::Redeployed | Decision::Kept => true,
                Decision::Held => outcome.verdict.is_some(), // otherwise the columns have changed
                _ => false,
            };
            [
                (Kind::Recovered, has_failed_before),
                (Kind::Drifted, has_drifted),
                (Kind::Deployed, outcome.deployed),
                (Kind::Kept, outcome.outcome == Decision::Kept),
            ]
            .into_iter()
            .filter_map(|(kind, happened)| happened.then_some(kind))
            .collect()
        }
    };
    kinds.into_iter().map(|kind| event(kind, run, outcome)).collect()
}

fn event(kind: Kind, run: &LastRun, outcome: Option<&Outcome>) -> Event {
    // If the state of the runs cannot be written, every failing run reports the failure. The receiver recognises by the id
    // that it is the same failure.
    let since = match kind {
        Kind::Failed => run.last_success,
        _ => Some(run.started),
    };
    let since = since.map_or_else(|| "never".to_owned(), |time| time.to_string());
    let checksum = Checksum::of_bytes(format!("{} {since}", kind.name()).as_bytes());
    Event {
        id: format!("msg_{:.32}", checksum.as_str()),
        kind,
        time: run.ended,
        text: run.line.chars().take(LONGEST_TEXT).collect(),
        release: outcome.and_then(|outcome| outcome.live.clone()),
    }
}

impl Event {
    /// The body of the message: `type`, `timestamp` and `data`, as Standard Webhooks recommends.
    pub fn body(&self) -> Value {
        json!({
            "type": format!("risk.{}", self.kind.name()),
            "timestamp": self.time,
            "data": {"message": self.text, "release": self.release},
        })
    }
}
