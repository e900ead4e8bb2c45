//! The call list as the answer to `GET /calllist`.

use serde::Serialize;
use statistics::interval::Exits;
use utoipa::ToSchema;

use super::{CallList, Change, Reason, Remedy};
use crate::wording;

/// The answer to `GET /calllist`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallList)]
pub struct Answer {
    model: String,
    threshold: f64,
    clients: usize,
    capacity: usize,
    called: usize,
    without_name: u64,
    expected_exits: ExpectedExits,
    calls: Vec<AnsweredCall>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExpectedExits {
    expected: f64,
    low: u64,
    high: u64,
    at_random: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnsweredCall {
    rank: usize,
    corporation: String,
    call: bool,
    risk: f64,
    previous_risk: Option<f64>,
    change: Option<f64>,
    /// Sentences for people: what is unusual about the client and what would help.
    story: Vec<String>,
    /// The exact contributions of all predictors, the largest first.
    reasons: Vec<Worded<Reason>>,
    what_would_help: Option<Worded<Change>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Worded<T> {
    #[serde(flatten)]
    what: T,
    text: String,
}

impl CallList {
    /// The first `limit` clients in the form of the API's answer.
    pub fn answer(&self, limit: usize) -> Answer {
        let calls = self.calls.iter().take(limit).map(|call| AnsweredCall {
            rank: call.rank,
            corporation: call.id.clone(),
            call: call.today,
            risk: call.risk,
            previous_risk: call.previous_risk,
            change: call.change(),
            story: self.story(call),
            reasons: self
                .reasons(call)
                .map(|reason| Worded { text: wording::reason(self.schema(), &reason, call.risk), what: reason })
                .collect(),
            what_would_help: match self.remedy(call) {
                Remedy::Change(change) => Some(Worded { text: self.remedy_in_words(call), what: change }),
                Remedy::NotNeeded | Remedy::Nothing => None,
            },
        });
        let Exits { expected, low, high, .. } = self.expected;
        Answer {
            model: self.release.clone(),
            threshold: self.threshold.value(),
            clients: self.clients,
            capacity: self.capacity,
            called: self.called,
            without_name: self.without_name,
            expected_exits: ExpectedExits { expected, low, high, at_random: self.at_random },
            calls: calls.collect(),
        }
    }
}
