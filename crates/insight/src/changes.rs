//! What has changed since the last published list: clients who are new among today's calls, clients who are no longer
//! among them and why, another model, newer data.

use std::collections::{HashMap, HashSet};

use common::files::checksum::Checksum;
use history::{ListedClient, PublishedListRow};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::agenda::{Agenda, Turn};
use crate::wording::{count, grouped, whole_percent};

/// Maximum number of new clients that are named.
const MOST_NEW: usize = 10;

/// Maximum number of clients that are named with the same reason for being gone.
const MOST_GONE: usize = 5;

/// Maximum number of characters of a client's id in a sentence.
const LONGEST_ID: usize = 30;

/// The difference between a published list and today's calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The day of the published list; `None` if it is unknown.
    pub since: Option<Date>,
    /// The clients who are new among today's calls, first call first.
    pub new: Vec<String>,
    /// The clients who are no longer among them and why, first call first.
    pub gone: Vec<(String, Why)>,
    /// Number of clients who are in both lists.
    pub kept: usize,
    /// Whether another model computes the risks.
    pub has_other_model: bool,
    /// Whether the compiled data have changed.
    pub has_other_data: bool,
}

/// Why a client is no longer among today's calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It has been called and pauses until a day.
    Called {
        /// The first day on which the client may be called again.
        until: Date,
    },
    /// It is no current client any more.
    Left,
    /// The client is held out to measure the effect of calls.
    HeldOut,
    /// The risk is lower than in the published list.
    LowerRisk {
        /// The risk in the published list.
        before: f64,
        /// The risk under the live model.
        now: f64,
    },
    /// Others have a higher risk, or come before it in the order of the calls.
    Others,
}

impl Changes {
    /// Compares the calls of the published list `before`, whose clients are `listed`, with today's calls. `dataset` is the
    /// SHA-256 of the compiled dataset.
    pub fn between(before: &PublishedListRow, listed: &[ListedClient], agenda: &Agenda, dataset: &Checksum) -> Self {
        let published: Vec<&ListedClient> = listed.iter().filter(|client| client.called).collect();
        let today: Vec<&str> = agenda.today().map(|entry| agenda.call(entry).id.as_str()).collect();
        let known: HashSet<&str> = published.iter().map(|listed| listed.client.as_str()).collect();
        let new: Vec<String> = today.iter().filter(|id| !known.contains(*id)).map(|id| (*id).to_owned()).collect();
        let entries: HashMap<&str, _> = agenda.entries.iter().map(|e| (agenda.call(e).id.as_str(), e)).collect();
        let gone = published.iter().filter_map(|ListedClient { client: id, risk, .. }| {
            let why = match entries.get(id.as_str()) {
                // A list that was cut off does not tell whether a client has left.
                None if agenda.list.is_whole() => Why::Left,
                None => Why::Others,
                Some(entry) => match entry.turn {
                    Turn::Today => return None,
                    Turn::HeldOut => Why::HeldOut,
                    Turn::Paused { until } => Why::Called { until: day(until) },
                    Turn::Later if agenda.call(entry).risk < *risk => {
                        Why::LowerRisk { before: *risk, now: agenda.call(entry).risk }
                    }
                    Turn::Later => Why::Others,
                },
            };
            Some((id.clone(), why))
        });
        Self {
            since: before.started.parse().map(day).ok(),
            kept: today.len() - new.len(),
            new,
            gone: gone.collect(),
            has_other_model: before.release != agenda.list.release,
            has_other_data: before.dataset_sha256 != *dataset,
        }
    }

    /// The changes in two to four sentences.
    pub fn sentences(&self) -> Vec<String> {
        let Self { since, new, gone, kept, .. } = self;
        let sources = match (self.has_other_data, self.has_other_model) {
            (true, true) => "new data have arrived and the model was replaced",
            (true, false) => "new data have arrived",
            (false, true) => "the model was replaced",
            (false, false) => "neither the data nor the model has changed",
        };
        let (kept, called) = (grouped(*kept as u64), grouped((kept + new.len()) as u64));
        let since = since.map(|day| format!(" of {}", day.strftime("%-d %B"))).unwrap_or_default();
        let mut sentences =
            vec![format!("Since the list{since}, {sources}. {kept} of today's {called} calls were on that list.")];
        if !new.is_empty() {
            let names: Vec<String> = new.iter().map(|id| shortened(id)).collect();
            sentences.push(format!("New today ({}): {}.", grouped(new.len() as u64), listed(&names, MOST_NEW)));
        }
        if !gone.is_empty() {
            sentences.push(format!("No longer called ({}): {}.", grouped(gone.len() as u64), self.gone_in_words()));
        }
        sentences
    }

    /// The clients who are gone, grouped by the reason.
    fn gone_in_words(&self) -> String {
        let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
        for (id, why) in &self.gone {
            let (group, detail) = why.in_words();
            let client = match detail {
                None => shortened(id),
                Some(detail) => format!("{} ({detail})", shortened(id)),
            };
            match groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, clients)) => clients.push(client),
                None => groups.push((group, vec![client])),
            }
        }
        let group = |(name, clients): &(&str, Vec<String>)| format!("{name}: {}", listed(clients, MOST_GONE));
        groups.iter().map(group).collect::<Vec<_>>().join("; ")
    }
}

impl Why {
    /// The reason, and what is particular about the client.
    fn in_words(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Called { until } => ("called", Some(format!("back on {}", until.strftime("%-d %B")))),
            Self::Left => ("has left", None),
            Self::HeldOut => ("held out", None),
            Self::LowerRisk { before, now } => {
                ("lower risk", Some(format!("{}, was {}", whole_percent(*now), whole_percent(*before))))
            }
            Self::Others => ("others come first", None),
        }
    }
}

/// The day of a time in UTC.
pub fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// The first `most` of these texts, and how many others there are.
fn listed(texts: &[String], most: usize) -> String {
    match texts.len().saturating_sub(most) {
        0 => texts.join(", "),
        others => format!("{} and {}", texts[..most].join(", "), count(others as u64, "other")),
    }
}

/// The beginning of a client's id.
fn shortened(id: &str) -> String {
    match id.char_indices().nth(LONGEST_ID) {
        None => id.to_owned(),
        Some((end, _)) => format!("{}…", &id[..end]),
    }
}
