//! The agenda: the clients of the call list in the order in which to call them, without those who were called recently and
//! those who are held out.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use common::config::{Config, Holdout};
use history::Contact;
use jiff::Timestamp;
use serde::Deserialize;
use statistics::ranking::Pair;
use utoipa::ToSchema;

use crate::accounts::{Account, Accounts};
use crate::call_list::{Call, CallList};
use crate::contacts::Contacts;
use crate::headline::Headline;

/// The order in which clients are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ranking {
    /// By the risk of leaving.
    #[default]
    Risk,
    /// By the risk times the value of the account; clients without a value follow, by their risk.
    Value,
}

impl Ranking {
    /// The name of the variant for programs: `risk` or `value`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Value => "value",
        }
    }
}

/// How many clients are called, and who is left out.
#[derive(Clone, Copy, Debug)]
pub struct CallRules {
    /// Number of calls that can be made in a day.
    pub capacity: usize,
    /// Number of days for which a client is not called again after a call.
    pub pause_days: u32,
    /// The clients who are held out: they are never called.
    pub holdout: Holdout,
}

impl CallRules {
    /// The rules that `config` gives.
    pub fn of(config: &Config) -> Self {
        Self {
            capacity: config.call_capacity as usize,
            pause_days: config.call_pause_days,
            holdout: config.call_holdout,
        }
    }
}

/// Whether a client is called today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// One of today's calls.
    Today,
    /// After today's calls.
    Later,
    /// Not before `until`, because of an earlier call.
    Paused {
        /// The beginning of the day (UTC) on which the client may be called again.
        until: Timestamp,
    },
    /// Never, because the client is held out.
    HeldOut,
}

impl Turn {
    /// The name of the variant for programs: `today`, `later`, `paused` or `held_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Later => "later",
            Self::Paused { .. } => "paused",
            Self::HeldOut => "held_out",
        }
    }

    /// When a paused client may be called again.
    pub fn paused_until(self) -> Option<Timestamp> {
        match self {
            Self::Paused { until } => Some(until),
            _ => None,
        }
    }
}

/// A client of the agenda.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Position in the order of the agenda, starting at 1.
    pub rank: usize,
    /// Index of the client in [`CallList::calls`].
    pub index: usize,
    /// Whether the client is called today.
    pub turn: Turn,
}

/// The current clients in the order in which to call them. It changes only with the day, the list, the accounts and the
/// calls that are recorded.
#[derive(Clone, Debug)]
pub struct Agenda {
    /// The call list, with the risks and reasons.
    pub list: Arc<CallList>,
    /// The accounts; `None` if the config names no file, or if the file cannot be read.
    pub accounts: Option<Arc<Accounts>>,
    /// The calls that were recorded.
    pub contacts: Arc<Contacts>,
    /// The risk of each labelled test client, and whether it left; empty if unknown.
    pub test: Arc<Vec<Pair>>,
    /// Sentences that say which sources are missing and why, such as accounts that cannot be read.
    pub warnings: Vec<String>,
    /// The rules that were applied.
    pub rules: CallRules,
    /// The order of the entries.
    pub ranking: Ranking,
    /// All clients of the list, in this order.
    pub entries: Vec<Entry>,
    /// The headline of everybody's calls, once it was asked for.
    headline: OnceLock<Option<Headline>>,
}

impl Agenda {
    /// Decides for every client of `list` whether it is called at `now`: the first clients of the order that are neither
    /// held out nor paused, as many as the capacity allows.
    pub fn of(
        list: Arc<CallList>,
        accounts: Option<Arc<Accounts>>,
        contacts: Arc<Contacts>,
        rules: CallRules,
        ranking: Ranking,
        now: Timestamp,
    ) -> Self {
        let mut order: Vec<usize> = (0..list.calls.len()).collect();
        if ranking == Ranking::Value {
            let at_risk = |call: &Call| value_at_risk(accounts.as_deref(), call).unwrap_or(-1.0);
            let at_risk: Vec<f64> = list.calls.iter().map(at_risk).collect();
            // The sort is stable, so clients of the same value stay in the order of their risk.
            order.sort_by(|a, b| at_risk[*b].total_cmp(&at_risk[*a]));
        }
        let mut left = rules.capacity;
        let entries = order.into_iter().enumerate().map(|(position, index)| {
            let id = &list.calls[index].id;
            let turn = match contacts.paused_until(id, rules.pause_days).filter(|until| *until > now) {
                _ if rules.holdout.contains(id) => Turn::HeldOut,
                Some(until) => Turn::Paused { until },
                None if left > 0 => Turn::Today,
                None => Turn::Later,
            };
            left -= usize::from(turn == Turn::Today);
            Entry { rank: position + 1, index, turn }
        });
        let entries = entries.collect();
        Self {
            list,
            accounts,
            contacts,
            test: Arc::default(),
            warnings: Vec::new(),
            rules,
            ranking,
            entries,
            headline: OnceLock::new(),
        }
    }

    /// The same agenda with the test clients from which the headline follows.
    pub fn with_test(self, test: Arc<Vec<Pair>>) -> Self {
        Self { test, headline: OnceLock::new(), ..self }
    }

    /// The same agenda with warnings.
    pub fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// The client of an entry.
    pub fn call(&self, entry: &Entry) -> &Call {
        &self.list.calls[entry.index]
    }

    /// The account of an entry's client; `None` if there is none.
    pub fn account(&self, entry: &Entry) -> Option<&Account> {
        self.accounts.as_ref()?.by_client.get(&self.call(entry).id)
    }

    /// The risk of an entry's client times the value of its account; `None` if the value is unknown.
    pub fn value_at_risk(&self, entry: &Entry) -> Option<f64> {
        value_at_risk(self.accounts.as_deref(), self.call(entry))
    }

    /// The last call to an entry's client; `None` if it was never called.
    pub fn last_contact(&self, entry: &Entry) -> Option<&Contact> {
        self.contacts.last(&self.call(entry).id)
    }

    /// The entry of the client `id`; `None` if it is not in the list.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| self.call(entry).id == id)
    }

    /// The entries of the clients that `owner` looks after, in order; all entries if `owner` is `None`.
    pub fn of_owner<'a>(&'a self, owner: Option<&'a str>) -> impl Iterator<Item = &'a Entry> {
        let is_of = move |entry: &Entry, owner| self.account(entry).is_some_and(|a| a.owner.as_deref() == Some(owner));
        self.entries.iter().filter(move |entry| owner.is_none_or(|owner| is_of(entry, owner)))
    }

    /// Today's calls of `owner`, in order; of everybody if `owner` is `None`.
    pub fn today_of<'a>(&'a self, owner: Option<&'a str>) -> impl Iterator<Item = &'a Entry> {
        self.of_owner(owner).filter(|entry| entry.turn == Turn::Today)
    }

    /// Today's calls, in order.
    pub fn today(&self) -> impl Iterator<Item = &Entry> {
        self.today_of(None)
    }

    /// How many of today's calls of `owner`, or of everybody, are expected to leave; `None` if there are no such calls or no
    /// test clients.
    pub fn headline(&self, owner: Option<&str>) -> Option<Headline> {
        let headline = || {
            let risks: Vec<f64> = self.today_of(owner).map(|entry| self.call(entry).risk).collect();
            Headline::of(&risks, &self.test)
        };
        match owner {
            None => *self.headline.get_or_init(headline),
            Some(_) => headline(),
        }
    }

    /// The sum of the risk times the value over today's calls of `owner`, or of everybody; `None` if none of their values
    /// is known.
    pub fn value_at_risk_today(&self, owner: Option<&str>) -> Option<f64> {
        self.today_of(owner).filter_map(|entry| self.value_at_risk(entry)).reduce(|sum, value| sum + value)
    }

    /// The held-out clients that would be among today's calls without the hold-out, in order.
    pub fn held_out_today(&self) -> impl Iterator<Item = &Entry> {
        let candidates = self.entries.iter().filter(|entry| matches!(entry.turn, Turn::Today | Turn::HeldOut));
        candidates.take(self.rules.capacity).filter(|entry| entry.turn == Turn::HeldOut)
    }

    /// The clients without an account, highest risk first; empty if there are no accounts at all.
    pub fn without_account(&self) -> Vec<&str> {
        let Some(accounts) = &self.accounts else { return Vec::new() };
        let ids = self.list.calls.iter().map(|call| call.id.as_str());
        ids.filter(|id| !accounts.by_client.contains_key(*id)).collect()
    }

    /// The accounts whose client is no current one, by name: it has left, or the data do not contain it. Empty if the
    /// list does not contain every current client, because nothing is known about the others.
    pub fn without_client(&self) -> Vec<&str> {
        let Some(accounts) = self.accounts.as_ref().filter(|_| self.list.is_whole()) else { return Vec::new() };
        let current: HashSet<&str> = self.list.calls.iter().map(|call| call.id.as_str()).collect();
        let ids = accounts.by_client.keys().map(String::as_str);
        let mut unknown: Vec<&str> = ids.filter(|id| !current.contains(id)).collect();
        unknown.sort_unstable();
        unknown
    }
}

fn value_at_risk(accounts: Option<&Accounts>, call: &Call) -> Option<f64> {
    accounts?.by_client.get(&call.id)?.value.map(|value| value * call.risk)
}
