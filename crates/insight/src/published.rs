//! Published lists: what is recorded of a list, and what has become of the clients on earlier ones.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use common::files::checksum::{Checksum, Hasher};
use dataset::Clients;
use history::{History, ListedClient, ListedClientRow, PublishedList, PublishedListRow};
use jiff::Timestamp;

use crate::agenda::{Agenda, Entry};
use crate::call_list::CallList;
use crate::contacts::Contacts;
use crate::effect::Followed;

/// Maximum number of lists that are read; the newest ones are.
const MOST_LISTS: u32 = 2000;
/// Maximum number of clients on these lists that are read. With 50 calls a day it is years.
const MOST_LISTED: u32 = 100_000;

/// The published lists, and what has become of their clients.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The lists, newest first.
    pub lists: Vec<PastList>,
    /// The clients who were to be called when they were first listed, with the risk that they had then, and whether they
    /// have left since.
    pub called: Vec<Followed>,
    /// The same for those who were held out.
    pub held_out: Vec<Followed>,
    /// Whether clients are held out now or were on an earlier list.
    pub has_hold_out: bool,
    /// Number of clients in the data who had been reached by a call before the live model was deployed.
    pub reached_before_deployment: usize,
}

/// A published list and its outcome.
#[derive(Clone, Debug)]
pub struct PastList {
    /// The list as it was published.
    pub list: PublishedListRow,
    /// What has become of the clients to call; `None` if it is unknown, for example because no data have arrived since.
    pub outcome: Option<ListOutcome>,
}

/// What has become of the clients to call on a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListOutcome {
    /// Number of these clients that the data still contain.
    pub known: u64,
    /// Number of these that have left: their newest row says so.
    pub left: u64,
}

/// The records of the list that `agenda` gives, made from the compiled `dataset`: today's calls, and the held-out clients
/// that would be among them.
pub fn list_to_record(agenda: &Agenda, dataset: &Checksum) -> (PublishedList, Vec<ListedClient>) {
    let listed = |entry: &Entry, called| {
        let call = agenda.call(entry);
        ListedClient { client: call.id.clone(), rank: entry.rank as u64, risk: call.risk, called }
    };
    let called = agenda.today().map(|entry| listed(entry, true));
    let clients: Vec<_> = called.chain(agenda.held_out_today().map(|entry| listed(entry, false))).collect();
    let headline = agenda.headline(None);
    let list = PublishedList {
        release: agenda.list.release.clone(),
        sha256: checksum(&agenda.list.release, &clients),
        dataset_sha256: dataset.clone(),
        clients: agenda.list.clients as u64,
        called: clients.iter().filter(|client| client.called).count() as u64,
        held_out: clients.iter().filter(|client| !client.called).count() as u64,
        expected: headline.map(|headline| headline.expected),
        expected_low: headline.map(|headline| headline.low),
        expected_high: headline.map(|headline| headline.high),
        at_random: headline.map(|headline| headline.at_random),
    };
    (list, clients)
}

/// Identifies the content of a list.
fn checksum(release: &str, clients: &[ListedClient]) -> Checksum {
    let mut hasher = Hasher::default();
    hasher.update(release.as_bytes());
    for ListedClient { client, rank, risk, called } in clients {
        // An id holds no control character, so different lists give different texts.
        hasher.update(format!("\n{rank}\t{called}\t{risk}\t{client}").as_bytes());
    }
    hasher.finish()
}

impl Published {
    /// Reads the published lists, and looks up their clients in the compiled data: `clients`, of which `list` has the
    /// current ones. `dataset` is the checksum of these data, and `deployed` the time at which the live release was made.
    pub fn read(
        history: &mut History,
        clients: &dyn Clients,
        list: &CallList,
        contacts: &Contacts,
        dataset: &Checksum,
        deployed: Timestamp,
    ) -> Result<Self> {
        let lists: Vec<PublishedListRow> = history.newest(MOST_LISTS)?;
        let mut listed: Vec<ListedClientRow> = history.newest(MOST_LISTED)?;
        if u32::try_from(listed.len()).is_ok_and(|read| read == MOST_LISTED) {
            // The oldest list that was read may be incomplete.
            let oldest = listed.first().map(|row| row.run);
            listed.retain(|row| Some(row.run) != oldest);
        }
        let reached: Vec<&str> = contacts.reached_before(deployed).collect();
        let asked: HashSet<&str> =
            listed.iter().map(|row| row.client.as_str()).chain(reached.iter().copied()).collect();
        let known = clients.known(&asked)?;
        let fates = Fates {
            list_is_whole: list.is_whole(),
            current: list.calls.iter().map(|call| call.id.as_str()).collect(),
            known,
        };
        let mut published = Self::of(lists, &listed, dataset, &fates);
        published.reached_before_deployment = reached.iter().filter(|id| fates.known.contains(**id)).count();
        Ok(published)
    }

    /// Leaves out the newest list if it has the content of `list`. A report that is made again then shows the same earlier
    /// lists.
    pub fn leave_out(&mut self, list: &PublishedList) {
        if self.lists.first().is_some_and(|newest| newest.list.sha256 == list.sha256) {
            self.lists.remove(0);
        }
    }

    fn of(lists: Vec<PublishedListRow>, listed: &[ListedClientRow], dataset: &Checksum, fates: &Fates) -> Self {
        // What the data say about a client is no news before other data have arrived.
        let with_news: HashSet<i64> =
            lists.iter().filter(|list| list.dataset_sha256 != *dataset).map(|list| list.run).collect();
        let mut published = Self::default();
        let mut outcomes: HashMap<i64, ListOutcome> = HashMap::new();
        let mut seen = HashSet::new();
        for row in listed {
            let is_first = seen.insert(row.client.as_str());
            let Some(left) = fates.has_left(&row.client).filter(|_| with_news.contains(&row.run)) else { continue };
            if row.called {
                let outcome = outcomes.entry(row.run).or_default();
                outcome.known += 1;
                outcome.left += u64::from(left);
            }
            if is_first {
                let group = if row.called { &mut published.called } else { &mut published.held_out };
                group.push((row.risk, left));
            }
        }
        let past = |list: PublishedListRow| PastList { outcome: outcomes.get(&list.run).copied(), list };
        published.has_hold_out = lists.iter().any(|list| list.held_out > 0);
        published.lists = lists.into_iter().rev().map(past).collect();
        published
    }
}

/// What the compiled data say about clients.
struct Fates<'a> {
    /// Whether `current` has all current clients.
    list_is_whole: bool,
    current: HashSet<&'a str>,
    /// The clients of whom the data have a row, as far as they were asked for.
    known: HashSet<String>,
}

impl Fates<'_> {
    /// Whether a client has left; `None` if that is unknown.
    fn has_left(&self, id: &str) -> Option<bool> {
        (self.list_is_whole && self.known.contains(id)).then(|| !self.current.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use history::Recorded;

    fn list(run: i64, dataset: &str) -> PublishedListRow {
        let record = PublishedList {
            release: "r".to_owned(),
            sha256: Checksum::of_bytes(b"list"),
            dataset_sha256: Checksum::of_bytes(dataset.as_bytes()),
            clients: 9,
            called: 2,
            held_out: 1,
            expected: Some(1.5),
            expected_low: Some(1),
            expected_high: Some(2),
            at_random: Some(0.5),
        };
        Recorded { run, started: String::new(), record }
    }

    fn listed(run: i64, client: &str, risk: f64, called: bool) -> ListedClientRow {
        Recorded {
            run,
            started: String::new(),
            record: ListedClient { client: client.to_owned(), rank: 1, risk, called },
        }
    }

    fn fates<'a>(current: &[&'a str], known: &[&str]) -> Fates<'a> {
        let known = known.iter().map(|id| (*id).to_owned()).collect();
        Fates { list_is_whole: true, current: current.iter().copied().collect(), known }
    }

    #[test]
    fn a_client_counts_by_its_first_list_and_a_list_by_all_its_calls() {
        let lists = vec![list(1, "old"), list(2, "old"), list(3, "new")];
        let rows = [
            listed(1, "left", 0.9, true),
            listed(1, "stayed", 0.8, true),
            listed(1, "held out", 0.7, false),
            listed(2, "left", 0.95, true),
            listed(2, "held out", 0.99, true), // the hold-out was ended
            listed(2, "gone from the data", 0.6, true),
            listed(3, "fresh", 0.5, true),
        ];
        let fates = fates(&["stayed", "held out", "fresh"], &["left", "stayed", "held out", "fresh"]);
        let published = Published::of(lists, &rows, &Checksum::of_bytes(b"new"), &fates);
        assert_eq!(published.called, [(0.9, true), (0.8, false)]);
        assert_eq!(published.held_out, [(0.7, false)]);
        let outcomes: Vec<_> = published.lists.iter().map(|past| (past.list.run, past.outcome)).collect();
        let outcome = |known, left| Some(ListOutcome { known, left });
        assert_eq!(outcomes, [(3, None), (2, outcome(2, 1)), (1, outcome(2, 1))], "no data have arrived since list 3");
    }

    #[test]
    fn nothing_is_known_from_a_list_that_lacks_current_clients() {
        let fates = Fates { list_is_whole: false, ..fates(&["a"], &["a", "b"]) };
        let rows = [listed(1, "a", 0.9, true), listed(1, "b", 0.9, true)];
        let published = Published::of(vec![list(1, "old")], &rows, &Checksum::of_bytes(b"new"), &fates);
        assert!(published.called.is_empty() && published.lists[0].outcome.is_none(), "{published:?}");
    }

    #[test]
    fn another_order_risk_or_group_is_another_list() {
        let one = |client: &str, rank, risk, called| ListedClient { client: client.to_owned(), rank, risk, called };
        let lists = [
            vec![one("a", 1, 0.5, true), one("b", 2, 0.25, true)],
            vec![one("b", 1, 0.5, true), one("a", 2, 0.25, true)],
            vec![one("a", 1, 0.5, true), one("b", 2, 0.26, true)],
            vec![one("a", 1, 0.5, true), one("b", 2, 0.25, false)],
            vec![one("a", 1, 0.5, true)],
        ];
        let checksums: HashSet<_> = lists.iter().map(|list| checksum("r", list).to_string()).collect();
        assert_eq!(checksums.len(), lists.len());
        assert_eq!(checksum("r", &lists[0]), checksum("r", &lists[0].clone()));
        assert_ne!(checksum("r", &lists[0]), checksum("s", &lists[0]));
    }
}
