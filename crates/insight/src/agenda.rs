//! The agenda: the clients of the call list in the order in which to call them, without those who were called recently and
//! those whom nobody calls.

use std::collections::HashMap;
use std::sync::Arc;

use common::config::{Config, Holdout};
use history::Contact;
use jiff::{SignedDuration, Timestamp};

use crate::accounts::{Account, Accounts};
use crate::call_list::{Call, CallList};

/// The order in which clients are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranking {
    /// By the risk of leaving.
    #[default]
    Risk,
    /// By the risk times the value of the account; clients without a value follow, by their risk.
    Value,
}

/// How many clients are called, and who is left out.
#[derive(Clone, Copy, Debug)]
pub struct CallRules {
    /// Number of calls that can be made in a day.
    pub capacity: usize,
    /// How long a client is not called again after a call.
    pub pause: SignedDuration,
    /// The clients whom nobody calls.
    pub holdout: Holdout,
}

impl CallRules {
    /// The rules that `config` gives.
    pub fn of(config: &Config) -> Self {
        Self {
            capacity: config.call_capacity as usize,
            pause: SignedDuration::from_hours(24 * i64::from(config.call_pause_days)),
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
    /// Not before `until`, because of the last call.
    Paused {
        /// When the client may be called again.
        until: Timestamp,
    },
    /// Never, because the client is held out.
    HeldOut,
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

/// The current clients in the order in which to call them.
#[derive(Clone, Debug)]
pub struct Agenda {
    /// The call list, with the risks and reasons.
    pub list: Arc<CallList>,
    /// The accounts; `None` if the config names no file.
    pub accounts: Option<Arc<Accounts>>,
    /// The last contact of every client that was ever called, by the client's id.
    pub last_contacts: Arc<HashMap<String, Contact>>,
    /// The order of the entries.
    pub ranking: Ranking,
    /// All clients of the list, in this order.
    pub entries: Vec<Entry>,
}

impl Agenda {
    /// Decides for every client of `list` whether it is called at `now`: the first clients of the order that are neither
    /// held out nor paused, as many as the capacity allows.
    pub fn of(
        list: Arc<CallList>,
        accounts: Option<Arc<Accounts>>,
        last_contacts: Arc<HashMap<String, Contact>>,
        rules: CallRules,
        ranking: Ranking,
        now: Timestamp,
    ) -> Self {
        let mut order: Vec<usize> = (0..list.calls.len()).collect();
        if ranking == Ranking::Value {
            let value = |index: &usize| {
                let call = &list.calls[*index];
                let account = accounts.as_ref().and_then(|accounts| accounts.by_client.get(&call.id));
                account.and_then(|account| account.value).map(|value| value * call.risk)
            };
            // The sort is stable, so clients of the same value stay in the order of their risk.
            order.sort_by(|a, b| value(b).unwrap_or(-1.0).total_cmp(&value(a).unwrap_or(-1.0)));
        }
        let mut left = rules.capacity;
        let entries = order.into_iter().enumerate().map(|(position, index)| {
            let id = &list.calls[index].id;
            let until = last_contacts.get(id).map(|contact| contact.at + rules.pause);
            let turn = match until.filter(|until| *until > now) {
                _ if rules.holdout.contains(id) => Turn::HeldOut,
                Some(until) => Turn::Paused { until },
                None if left > 0 => Turn::Today,
                None => Turn::Later,
            };
            left -= usize::from(turn == Turn::Today);
            Entry { rank: position + 1, index, turn }
        });
        let entries = entries.collect();
        Self { list, accounts, last_contacts, ranking, entries }
    }

    /// The client of an entry.
    pub fn call(&self, entry: &Entry) -> &Call {
        &self.list.calls[entry.index]
    }

    /// The account of an entry's client; `None` if there is none.
    pub fn account(&self, entry: &Entry) -> Option<&Account> {
        self.accounts.as_ref()?.by_client.get(&self.call(entry).id)
    }

    /// The last contact of an entry's client; `None` if it was never called.
    pub fn last_contact(&self, entry: &Entry) -> Option<&Contact> {
        self.last_contacts.get(&self.call(entry).id)
    }

    /// Today's calls, in order.
    pub fn today(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.turn == Turn::Today)
    }
}
