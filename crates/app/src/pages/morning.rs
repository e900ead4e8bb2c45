//! What the pages about clients show: the agenda with the words for it. Everything that they take from `views` and
//! `insight` about calls is here.

use std::sync::Arc;

use insight::{Agenda, Call, CallRules, Entry, Part, Ranking, Turn};
use jiff::Timestamp;
use maud::{Markup, html};

use super::time::day;
use crate::state::State;
use crate::views::RankedClients;

/// The clients in the order in which to call them, at a time.
pub struct Morning {
    pub agenda: Agenda,
    /// What is to be expected of today's calls, as sentences.
    pub headline: Vec<String>,
    /// What is missing or wrong, as sentences.
    pub warnings: Vec<String>,
}

impl Morning {
    /// Decides who is called at `now`.
    pub fn of(state: &State, clients: &RankedClients, ranking: Ranking, now: Timestamp) -> Self {
        let rules = CallRules::of(&state.config);
        let agenda = Agenda::of(clients.list.clone(), None, Arc::default(), rules, ranking, now);
        let headline = insight::calls(&clients.list).parts.into_iter().filter_map(|part| match part {
            Part::Text(text) | Part::Warning(text) => Some(text),
            _ => None,
        });
        Self { agenda, headline: headline.collect(), warnings: Vec::new() }
    }

    /// The entry of the client `id`; `None` if it is not on the list.
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.agenda.entries.iter().find(|entry| self.agenda.call(entry).id == id)
    }

    /// Whether a client is looked after by `owner`; with `None`, every client is.
    pub fn is_of(&self, owner: Option<&str>, id: &str) -> bool {
        let account = || self.agenda.accounts.as_ref()?.by_client.get(id)?.owner.as_deref();
        owner.is_none_or(|owner| account() == Some(owner))
    }

    /// The names of all owners, in alphabetical order.
    pub fn owners(&self) -> Vec<&str> {
        let accounts = self.agenda.accounts.iter().flat_map(|accounts| accounts.by_client.values());
        let mut owners: Vec<&str> = accounts.filter_map(|account| account.owner.as_deref()).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// Whether any client has a value, so that risk × value means something.
    pub fn has_values(&self) -> bool {
        let accounts = self.agenda.accounts.as_ref();
        accounts.is_some_and(|accounts| accounts.by_client.values().any(|account| account.value.is_some()))
    }

    /// Why a client's risk is what it is and what would lower it, as sentences.
    pub fn story(&self, call: &Call) -> Vec<String> {
        self.agenda.list.main_reasons_in_words(call)
    }
}

/// Whether and when a client is called, in one or two words.
pub fn turn(turn: Turn) -> Markup {
    match turn {
        Turn::Today => html! { span.tag.today { "Today" } },
        Turn::Later => html! { span.quiet { "Later" } },
        Turn::Paused { until } => html! { span.tag.paused { "Back on " (day(until)) } },
        Turn::HeldOut => html! { span.tag.held-out { "Held out" } },
    }
}
