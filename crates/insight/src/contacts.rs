//! What the calls to each client so far mean for the next one.

use std::collections::HashMap;

use history::{CallOutcome, Contact};
use jiff::Timestamp;

/// Seconds of a day in UTC, which has no leap seconds here.
const DAY: i64 = 24 * 60 * 60;

/// The calls that were recorded, by client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contacts(HashMap<String, Calls>);

/// The calls to one client.
#[derive(Clone, Debug, PartialEq)]
struct Calls {
    last: Contact,
    /// The first and the last call in which the client was reached; `None` if it never was.
    reached: Option<(Timestamp, Timestamp)>,
}

impl Contacts {
    /// Adds a call, which may be older than those that are known.
    pub fn add(&mut self, contact: Contact) {
        let at = contact.at;
        let reached = (contact.outcome != CallOutcome::NotReached).then_some((at, at));
        match self.0.get_mut(&contact.client) {
            None => {
                self.0.insert(contact.client.clone(), Calls { last: contact, reached });
            }
            Some(calls) => {
                calls.reached = match (calls.reached, reached) {
                    (Some((first, last)), Some(_)) => Some((first.min(at), last.max(at))),
                    (known, new) => known.or(new),
                };
                // Of calls at the same time, the one that was recorded last.
                if calls.last.at <= at {
                    calls.last = contact;
                }
            }
        }
    }

    /// The last call to a client; `None` if it was never called.
    pub fn last(&self, id: &str) -> Option<&Contact> {
        self.0.get(id).map(|calls| &calls.last)
    }

    /// When a client may be called again if it is not called for so many days after a call; `None` if it was never
    /// called. The time is the beginning of a day in UTC.
    ///
    /// A call in which the client was not reached pauses it only until the next day, because it must be repeated.
    pub fn paused_until(&self, id: &str, days: u32) -> Option<Timestamp> {
        let calls = self.0.get(id)?;
        let after_last = days_after(calls.last.at, days.min(1));
        let after_reached = calls.reached.map(|(_, last)| days_after(last, days));
        Some(after_reached.map_or(after_last, |after| after.max(after_last)))
    }

    /// The clients that were reached before `time`, in any order.
    pub fn reached_before(&self, time: Timestamp) -> impl Iterator<Item = &str> {
        let before = move |calls: &Calls| calls.reached.is_some_and(|(first, _)| first < time);
        self.0.iter().filter(move |(_, calls)| before(calls)).map(|(id, _)| id.as_str())
    }

    /// Whether no call was recorded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Contact> for Contacts {
    fn from_iter<I: IntoIterator<Item = Contact>>(contacts: I) -> Self {
        let mut all = Self::default();
        contacts.into_iter().for_each(|contact| all.add(contact));
        all
    }
}

/// The beginning of the day that is so many days after the day of `time`, in UTC.
fn days_after(time: Timestamp, days: u32) -> Timestamp {
    let day = time.as_second().div_euclid(DAY) + i64::from(days);
    Timestamp::from_second(day * DAY).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-{time}Z").parse().unwrap()
    }

    fn contact(outcome: CallOutcome, time: &str) -> Contact {
        Contact { client: "a".to_owned(), outcome, by: "Anna".to_owned(), note: String::new(), at: at(time) }
    }

    #[test]
    fn a_client_pauses_until_the_beginning_of_a_day() {
        use CallOutcome::{IsLeaving, NotReached, PromisedToStay, Reached};
        let until = |calls: &[(CallOutcome, &str)], days| {
            let contacts = Contacts::from_iter(calls.iter().map(|(outcome, time)| contact(*outcome, time)));
            assert_eq!(contacts.paused_until("b", days), None);
            contacts.paused_until("a", days).unwrap().to_string()
        };
        for outcome in [Reached, PromisedToStay, IsLeaving] {
            assert_eq!(until(&[(outcome, "02T23:59:59")], 14), "2026-11-16T00:00:00Z");
            assert_eq!(until(&[(outcome, "02T00:00:00")], 1), "2026-11-03T00:00:00Z");
            assert!(until(&[(outcome, "02T12:00:00")], 0).as_str() <= "2026-11-02T12:00:00Z");
        }
        assert_eq!(until(&[(NotReached, "02T08:00:00")], 14), "2026-11-03T00:00:00Z");
        assert!(until(&[(NotReached, "02T08:00:00")], 0).as_str() <= "2026-11-02T08:00:00Z");
        // A later call in vain does not shorten the pause, and the calls may arrive in any order.
        let mut calls = [(Reached, "02T08:00:00"), (NotReached, "04T08:00:00"), (Reached, "01T08:00:00")];
        for _ in 0..3 {
            calls.rotate_left(1);
            assert_eq!(until(&calls, 14), "2026-11-16T00:00:00Z");
        }
        assert_eq!(until(&[(Reached, "02T08:00:00"), (NotReached, "20T08:00:00")], 14), "2026-11-21T00:00:00Z");
    }

    #[test]
    fn the_last_call_is_the_newest_one() {
        let mut contacts = Contacts::default();
        assert!(contacts.is_empty() && contacts.last("a").is_none());
        let newest = contact(CallOutcome::PromisedToStay, "05T08:00:00");
        for contact in [
            contact(CallOutcome::Reached, "03T08:00:00"),
            newest.clone(),
            contact(CallOutcome::NotReached, "02T08:00:00"),
        ] {
            contacts.add(contact);
        }
        assert_eq!(contacts.last("a"), Some(&newest));
        let corrected = contact(CallOutcome::IsLeaving, "05T08:00:00");
        contacts.add(corrected.clone());
        assert_eq!(contacts.last("a"), Some(&corrected));
    }

    #[test]
    fn only_calls_that_reached_the_client_count_as_before() {
        let contacts = Contacts::from_iter([
            contact(CallOutcome::NotReached, "01T08:00:00"),
            contact(CallOutcome::Reached, "03T08:00:00"),
        ]);
        let before = |time| contacts.reached_before(at(time)).collect::<Vec<_>>();
        assert_eq!((before("03T08:00:00"), before("03T08:00:01")), (vec![], vec!["a"]));
    }
}
