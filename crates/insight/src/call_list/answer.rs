//! The agenda as the answer to `GET /calllist`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Change, Reason, Remedy};
use crate::agenda::{Agenda, Entry, Turn};
use crate::headline::Headline;
use crate::wording;

/// Maximum number of names in a list of clients that are only counted beyond it.
const MOST_NAMES: usize = 20;

/// The answer to `GET /calllist`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallList)]
pub struct Answer {
    model: String,
    threshold: f64,
    /// The order of the calls: `risk` or `value`.
    ranking: &'static str,
    /// The owner whose clients are listed; null for all clients.
    owner: Option<String>,
    /// Number of current clients.
    clients: usize,
    /// Number of calls that the team can make in a day.
    capacity: usize,
    /// Number of today's calls, of the owner if there is one.
    called: usize,
    without_name: u64,
    /// How many of today's calls are expected to leave; null without such calls or without test data.
    expected_exits: Option<Headline>,
    /// Sum of the risk times the value over today's calls; null if no value is known.
    value_at_risk: Option<f64>,
    /// Clients without an account.
    without_account: Unmatched,
    /// Accounts whose client is not a current one.
    without_client: Unmatched,
    /// Sentences that say which sources of this answer are missing and why.
    warnings: Vec<String>,
    calls: Vec<AnsweredCall>,
}

/// Names that have no counterpart.
#[derive(Debug, Serialize, ToSchema)]
struct Unmatched {
    count: usize,
    /// The first of them.
    first: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnsweredCall {
    rank: usize,
    corporation: String,
    /// Whether the client is one of today's calls.
    call: bool,
    /// `today`, `later`, `paused` or `held_out`.
    turn: &'static str,
    /// When a paused client may be called again.
    #[schema(value_type = Option<String>, format = DateTime)]
    paused_until: Option<Timestamp>,
    last_contact: Option<LastContact>,
    risk: f64,
    previous_risk: Option<f64>,
    change: Option<f64>,
    owner: Option<String>,
    value: Option<f64>,
    /// The risk times the value.
    value_at_risk: Option<f64>,
    /// The further columns of the client's account; null if there is none.
    account: Option<BTreeMap<String, String>>,
    /// Sentences for people: what is unusual about the client and what would help.
    story: Vec<String>,
    /// The exact contributions of all predictors, the largest first.
    reasons: Vec<Worded<Reason>>,
    what_would_help: Option<Worded<Change>>,
}

/// The last call to a client.
#[derive(Debug, Serialize, ToSchema)]
struct LastContact {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    outcome: &'static str,
    by: String,
    note: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Worded<T> {
    #[serde(flatten)]
    what: T,
    text: String,
}

impl Agenda {
    /// Some `entries` in the form of the API's answer; the counts and sums are those of `owner`, or of everybody.
    pub fn answer<'e>(&self, owner: Option<&str>, entries: impl IntoIterator<Item = &'e Entry>) -> Answer {
        let list = &self.list;
        Answer {
            model: list.release.clone(),
            threshold: list.threshold.value(),
            ranking: self.ranking.as_str(),
            owner: owner.map(str::to_owned),
            clients: list.clients,
            capacity: self.rules.capacity,
            called: self.today_of(owner).count(),
            without_name: list.without_name,
            expected_exits: self.headline(owner),
            value_at_risk: self.value_at_risk_today(owner),
            without_account: Unmatched::of(&self.without_account()),
            without_client: Unmatched::of(&self.without_client()),
            warnings: self.warnings.clone(),
            calls: entries.into_iter().map(|entry| self.answered(entry)).collect(),
        }
    }

    fn answered(&self, entry: &Entry) -> AnsweredCall {
        let (list, call) = (&self.list, self.call(entry));
        let reasons = list.reasons(call);
        let (account, last) = (self.account(entry), self.last_contact(entry));
        let columns = || self.accounts.iter().flat_map(|accounts| accounts.columns.iter().cloned());
        AnsweredCall {
            rank: entry.rank,
            corporation: call.id.clone(),
            call: entry.turn == Turn::Today,
            turn: entry.turn.as_str(),
            paused_until: entry.turn.paused_until(),
            last_contact: last.map(|last| LastContact {
                at: last.at,
                outcome: last.outcome.as_str(),
                by: last.by.clone(),
                note: last.note.clone(),
            }),
            risk: call.risk,
            previous_risk: call.previous_risk,
            change: call.change(),
            owner: account.and_then(|account| account.owner.clone()),
            value: account.and_then(|account| account.value),
            value_at_risk: self.value_at_risk(entry),
            account: account.map(|account| columns().zip(account.further.iter().cloned()).collect()),
            story: list.story(call),
            reasons: reasons
                .map(|reason| Worded { text: wording::reason(list.schema(), &reason, call.risk), what: reason })
                .collect(),
            what_would_help: match list.remedy(call) {
                Remedy::Change(change) => Some(Worded { text: list.remedy_in_words(call), what: change }),
                Remedy::NotNeeded | Remedy::Nothing => None,
            },
        }
    }
}

impl Unmatched {
    fn of(names: &[&str]) -> Self {
        let first = names.iter().take(MOST_NAMES).map(|name| (*name).to_owned());
        Self { count: names.len(), first: first.collect() }
    }
}
