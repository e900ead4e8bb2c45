//! The agenda of the pages and lists, and what is cached of its sources.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use common::config::Config;
use history::History;
use insight::{Accounts, Agenda, CallList, CallRules, Contacts, Ranking, test_pairs};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use statistics::ranking::Pair;

use super::test_identity;
use crate::cache::{FileIdentity, SourceCache};
use crate::circuit_breaker::CircuitBreaker;
use crate::live::LiveModel;

/// The agendas of both rankings, and their sources.
#[derive(Default)]
pub struct Agendas {
    accounts: SourceCache<(FileIdentity, String), Accounts>,
    test: SourceCache<TestKey, Vec<Pair>>,
    contacts: Mutex<ReadContacts>,
    by_risk: SourceCache<Sources, Agenda>,
    by_value: SourceCache<Sources, Agenda>,
}

/// The release, and the test data to which its model is applied.
type TestKey = (String, Vec<FileIdentity>);

/// A source, and the warning if it cannot be read.
type Source<T> = (T, Option<String>);

/// What an agenda is made of.
#[derive(Clone)]
struct Sources {
    list: Arc<CallList>,
    accounts: Option<Arc<Accounts>>,
    contacts: Arc<Contacts>,
    test: Arc<Vec<Pair>>,
    warnings: Vec<String>,
    /// The day in UTC: pauses end at the beginning of a day.
    day: Date,
}

/// The calls that were read from the history.
#[derive(Default)]
struct ReadContacts {
    all: Arc<Contacts>,
    /// Id of the newest of them in the history.
    newest: i64,
    /// When the history was last read.
    at: Option<Timestamp>,
}

impl Agendas {
    /// The agenda of `list` at `now`. A source that cannot be read is left out, and a warning of the agenda says so.
    pub fn get(
        &self,
        config: &Config,
        circuit_breaker: &CircuitBreaker,
        live: &LiveModel,
        list: &Arc<CallList>,
        ranking: Ranking,
        now: Timestamp,
    ) -> Arc<Agenda> {
        let (accounts, no_accounts) = self.accounts(config, live.model.schema.id());
        let (test, no_test) = self.test(config, live);
        let (contacts, no_contacts) = self.contacts(config, circuit_breaker, now);
        let sources = Sources {
            list: list.clone(),
            accounts,
            contacts,
            test,
            warnings: [no_accounts, no_test, no_contacts].into_iter().flatten().collect(),
            day: TimeZone::UTC.to_datetime(now).date(),
        };
        let cache = match ranking {
            Ranking::Risk => &self.by_risk,
            Ranking::Value => &self.by_value,
        };
        let make = {
            let sources = sources.clone();
            move || Ok::<_, Infallible>(sources.agenda(CallRules::of(config), ranking, now))
        };
        let Ok(agenda) = cache.get(sources, make);
        agenda
    }

    /// The accounts. A file that cannot be used is read again by the next request.
    fn accounts(&self, config: &Config, id_name: &str) -> Source<Option<Arc<Accounts>>> {
        let Some(path) = &config.accounts else { return (None, None) };
        let read = || Accounts::read(path, id_name);
        // Without an identity, the reading says why the file cannot be used.
        let read = match FileIdentity::of(path) {
            Ok(identity) => self.accounts.get((identity, id_name.to_owned()), read),
            Err(_) => read().map(Arc::new),
        };
        match read {
            Ok(accounts) => (Some(accounts), None),
            Err(error) => {
                let warning = Accounts::missing(&error);
                tracing::warn!("{warning}");
                (None, Some(warning))
            }
        }
    }

    /// The risks and outcomes of the test clients.
    fn test(&self, config: &Config, live: &LiveModel) -> Source<Arc<Vec<Pair>>> {
        let read = || -> Result<_> {
            self.test.get((live.id.clone(), test_identity(config)?), || {
                test_pairs(&*dataset::open_for(config, &live.model.schema)?, config, &live.model)
            })
        };
        match read() {
            Ok(pairs) => (pairs, None),
            Err(error) => {
                tracing::warn!("the test data cannot be read: {error:#}");
                let warning = "The test data cannot be read, so it is unknown how many of today's calls will leave.";
                (Arc::default(), Some(warning.to_owned()))
            }
        }
    }

    /// The calls that are recorded in `history`.
    pub fn contacts_in(&self, history: &mut History, now: Timestamp) -> Result<Arc<Contacts>> {
        let mut read = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        read.update(history, now)?;
        Ok(read.all.clone())
    }

    /// The calls that are recorded in the history; if it cannot be read, those that were read before.
    fn contacts(&self, config: &Config, circuit_breaker: &CircuitBreaker, now: Timestamp) -> Source<Arc<Contacts>> {
        let opened = circuit_breaker.open(config);
        let mut read = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        let updated = opened.and_then(|history| history.map_or(Ok(()), |mut history| read.update(&mut history, now)));
        let warning = updated.err().map(|error| {
            tracing::warn!("the calls cannot be read: {error:#}");
            match read.at {
                Some(at) => format!(
                    "The database cannot be read. Calls that were recorded after {} UTC are not shown.",
                    at.strftime("%Y-%m-%d %H:%M")
                ),
                None => "The database cannot be read. Clients who were called recently are shown as if nobody had \
                         called them."
                    .to_owned(),
            }
        });
        (read.all.clone(), warning)
    }
}

impl Sources {
    fn agenda(self, rules: CallRules, ranking: Ranking, now: Timestamp) -> Agenda {
        let Self { list, accounts, contacts, test, warnings, .. } = self;
        Agenda::of(list, accounts, contacts, rules, ranking, now).with_test(test).with_warnings(warnings)
    }
}

/// Whether nothing has changed. The addresses of shared sources are compared: the cached ones stay in memory, so others
/// have other addresses.
impl PartialEq for Sources {
    fn eq(&self, other: &Self) -> bool {
        let address = |accounts: &Option<Arc<Accounts>>| accounts.as_ref().map(Arc::as_ptr);
        Arc::ptr_eq(&self.list, &other.list)
            && address(&self.accounts) == address(&other.accounts)
            && Arc::ptr_eq(&self.contacts, &other.contacts)
            && Arc::ptr_eq(&self.test, &other.test)
            && (&self.warnings, self.day) == (&other.warnings, other.day)
    }
}

impl ReadContacts {
    /// Reads the calls that were recorded since the last time.
    fn update(&mut self, history: &mut History, now: Timestamp) -> Result<()> {
        if history.newest_contact()?.unwrap_or(0) < self.newest {
            *self = Self::default(); // the database is another one
        }
        let new = history.contacts_after(self.newest)?;
        if let Some((newest, _)) = new.last() {
            self.newest = *newest;
            let all = Arc::make_mut(&mut self.all);
            new.into_iter().for_each(|(_, contact)| all.add(contact));
        }
        self.at = Some(now);
        Ok(())
    }
}
