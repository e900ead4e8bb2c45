//! Tests of contacts in a SQLite file.

use std::fs;

use common::files::checksum::Checksum;
use common::schema::Schema;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::listing::ListingKind;
use crate::tests::config;

/// A contact whose text is not simple.
fn contact(client: &str, minutes: i64) -> Contact {
    let start: Timestamp = "2026-11-30T09:00:00.123456Z".parse().unwrap();
    Contact {
        client: client.to_owned(),
        outcome: CallOutcome::PromisedToStay,
        by: "Änne O'Neil".to_owned(),
        note: "two lines,\nand a \"quote\" \u{1F980} ?".to_owned(),
        at: start + SignedDuration::from_mins(minutes),
    }
}

fn sha256(content: &str) -> Checksum {
    Checksum::of_bytes(content.as_bytes())
}

#[test]
fn contacts_are_read_as_they_were_added() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut writer = History::open(&config).unwrap();
    assert_eq!((writer.newest_contact().unwrap(), writer.contacts_after(0).unwrap()), (None, Vec::new()));
    let sent = [contact("größe?", 0), contact("b ", 5), contact("größe?", -60), contact("b", 7)];
    assert_eq!(writer.add_contacts(None, &sha256("a"), &sent).unwrap(), Added::Recorded);
    let mut reader = History::open_existing(&config).unwrap().unwrap();
    let read = reader.contacts_after(0).unwrap();
    assert_eq!(read.iter().map(|(_, contact)| contact.clone()).collect::<Vec<_>>(), sent);
    assert!(read.iter().map(|(id, _)| *id).is_sorted());
    assert_eq!(reader.newest_contact().unwrap(), Some(read[3].0));
    assert_eq!(reader.contacts_after(read[1].0).unwrap(), read[2..]);
    assert_eq!(reader.contacts_after(read[3].0).unwrap(), []);
    // The last call comes first, whenever it was recorded.
    assert_eq!(reader.contacts_of("größe?", 9).unwrap(), [sent[0].clone(), sent[2].clone()]);
    assert_eq!(reader.contacts_of("größe?", 1).unwrap(), [sent[0].clone()]);
    assert_eq!(reader.contacts_of("b", 9).unwrap(), [sent[3].clone()]);
    assert_eq!(reader.contacts_of("a", 9).unwrap(), []);
    let listed = reader.listing(ListingKind::Contacts, &Schema::default(), 1).unwrap();
    let row = json!({"id": read[3].0, "corporation": "b", "outcome": "promised_to_stay", "by": sent[3].by,
        "note": sent[3].note, "at": "2026-11-30T09:07:00.123456Z"});
    assert_eq!(serde_json::to_value(listed).unwrap(), json!({"what": "contacts", "rows": [row]}));
}

#[test]
fn a_request_that_is_sent_again_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::open(&config(folder.path())).unwrap();
    let mut add = |key, content: &str, n| {
        let contacts: Vec<_> = (0..n).map(|minute| contact("a", minute)).collect();
        history.add_contacts(key, &sha256(content), &contacts).unwrap()
    };
    assert_eq!(add(Some("one"), "two contacts", 2), Added::Recorded);
    assert_eq!(add(Some("one"), "two contacts", 2), Added::Repeated);
    assert_eq!(add(Some("one"), "three contacts", 3), Added::Conflict);
    assert_eq!(add(Some("ONE"), "two contacts", 2), Added::Recorded);
    // Without a key every request is another one.
    assert_eq!(add(None, "two contacts", 2), Added::Recorded);
    assert_eq!(add(None, "two contacts", 2), Added::Recorded);
    assert_eq!(history.contacts_after(0).unwrap().len(), 8);
    let counts = history.row_counts().unwrap();
    assert!(counts.contains(&(REQUESTS, 4)) && counts.contains(&(CONTACTS, 8)), "{counts:?}");
}

#[test]
fn more_contacts_than_one_query_reads_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = History::open(&config(folder.path())).unwrap();
    let sent: Vec<_> = (0..2 * READ_AT_ONCE as i64).map(|minute| contact("a", minute)).collect();
    history.add_contacts(None, &sha256("many"), &sent).unwrap();
    let read = history.contacts_after(0).unwrap();
    assert!(read.iter().map(|(_, contact)| contact).eq(&sent));
    assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0));
}

#[test]
fn contacts_make_no_history() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), folder.path().join("history.sqlite"));
    let reason = || {
        let error = History::open_for_contacts(&config).err().unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("history.sqlite") && text.contains("run dbsetup"), "{text}");
        NotRecorded::of(&error)
    };
    assert_eq!(reason(), NotRecorded::OldSchema);
    assert!(!path.exists());
    // The state while another process is creating the file.
    fs::write(&path, "").unwrap();
    assert_eq!(reason(), NotRecorded::OldSchema);
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn a_file_that_is_locked_by_another_program_adds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut other = History::open(&config).unwrap();
    other.execute(async |connection| connection.begin().await).unwrap();
    let mut history = History::open_for_contacts(&config).unwrap();
    history.set_query_limit(std::time::Duration::from_millis(200));
    let error = history.add_contacts(Some("key"), &sha256("a"), &[contact("a", 0)]).unwrap_err();
    assert_eq!(NotRecorded::of(&error), NotRecorded::Unavailable, "{error:#}");
    drop((other, history));
    let mut history = History::open_for_contacts(&config).unwrap();
    assert_eq!(history.add_contacts(Some("key"), &sha256("a"), &[contact("a", 0)]).unwrap(), Added::Recorded);
    assert_eq!(history.contacts_after(0).unwrap().len(), 1);
}
