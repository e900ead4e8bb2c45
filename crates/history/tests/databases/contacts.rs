//! Tests of contacts in each kind of database: writers and readers at once, and databases that end or refuse while
//! contacts are added.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::config::Config;
use common::files::checksum::Checksum;
use history::{Added, CallOutcome, Contact, History, NotRecorded, SCHEMA_VERSION};
use jiff::Timestamp;
use serde_json::json;
use testkit::Workspace;
use testkit::databases::{DatabaseServer, Kind, fresh_name};
use testkit::proxy::CuttingProxy;

use crate::faults::{held, own_server};
use crate::{Database, check_message, on_each_history, wait_until};

/// Returns a contact whose note is `key`.
fn contact(key: &str) -> Contact {
    let at = "2026-11-30T09:00:00Z".parse::<Timestamp>().unwrap();
    Contact { client: "a0".to_owned(), outcome: CallOutcome::Reached, by: "Anna".to_owned(), note: key.to_owned(), at }
}

/// Adds `n` contacts under a key with a new connection; a request is given up after two seconds.
fn add(config: &Config, key: &str, n: usize) -> anyhow::Result<Added> {
    let mut history = History::open_for_contacts(config)?;
    history.set_query_limit(Duration::from_secs(2));
    history.add_contacts(Some(key), &Checksum::of_bytes(key.as_bytes()), &vec![contact(key); n])
}

/// Returns the contacts with their ids as a new connection reads them.
fn read(config: &Config, after: i64) -> Vec<(i64, Contact)> {
    History::open_existing(config).unwrap().unwrap().contacts_after(after).unwrap()
}

#[test]
fn a_reader_that_knows_the_newest_contact_misses_none_of_many_writers() {
    const WRITERS: usize = 8;
    const REQUESTS: usize = 25;
    on_each_history(Workspace::new, |workspace, _| {
        let (config, ended) = (workspace.config(), AtomicBool::new(false));
        let followed = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut history = History::open_existing(&config).unwrap().unwrap();
                let (mut contacts, mut last) = (Vec::new(), 0);
                loop {
                    let is_end = ended.load(Ordering::SeqCst);
                    let new = history.contacts_after(last).unwrap();
                    last = new.last().map_or(last, |(id, _)| *id);
                    contacts.extend(new);
                    if is_end {
                        return contacts;
                    }
                }
            });
            thread::scope(|scope| {
                for writer in 0..WRITERS {
                    let config = &config;
                    scope.spawn(move || {
                        for request in 0..REQUESTS {
                            let (key, n) = (format!("{writer} {request}"), 1 + request % 3);
                            assert_eq!(add(config, &key, n).unwrap(), Added::Recorded);
                            assert_eq!(add(config, &key, n).unwrap(), Added::Repeated);
                        }
                    });
                }
            });
            ended.store(true, Ordering::SeqCst);
            reader.join().unwrap()
        });
        assert_eq!(followed, read(&config, 0));
        assert!(followed.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let keys: HashSet<&str> = followed.iter().map(|(_, contact)| contact.note.as_str()).collect();
        assert_eq!(keys.len(), WRITERS * REQUESTS);
        let expected: usize = (0..REQUESTS).map(|request| 1 + request % 3).sum();
        assert_eq!(followed.len(), WRITERS * expected);
    });
}

#[test]
fn requests_with_the_same_key_at_once_record_one() {
    on_each_history(Workspace::new, |workspace, _| {
        let config = workspace.config();
        let results: Vec<Added> = thread::scope(|scope| {
            let adding: Vec<_> = (0..12).map(|_| scope.spawn(|| add(&config, "the key", 2).unwrap())).collect();
            adding.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|added| **added == Added::Recorded).count(), 1, "{results:?}");
        assert!(!results.contains(&Added::Conflict));
        assert_eq!(read(&config, 0).len(), 2);
    });
}

#[test]
fn ten_thousand_contacts_of_any_text_are_one_transaction() {
    on_each_history(Workspace::new, |workspace, database| {
        let config = workspace.config();
        let texts = ["größe \u{1F980}", "o'neil \"x\" \\ ?", "ends with a space ", "two\nlines", ""];
        let many = |i: usize| {
            let client = format!("{}{}", "ä".repeat(i % 400), i % 100);
            Contact { client, note: texts[i % texts.len()].to_owned(), ..contact("") }
        };
        let many: Vec<Contact> = (0..10_000).map(many).collect();
        let mut history = History::open_for_contacts(&config).unwrap();
        assert_eq!(history.add_contacts(None, &Checksum::of_bytes(b""), &many).unwrap(), Added::Recorded);
        assert!(read(&config, 0).into_iter().map(|(_, contact)| contact).eq(many.iter().cloned()));
        assert_eq!(database.count("FROM contact_requests"), 1);
        // Clients whose ids differ only after the part that MySQL indexes, or only in spaces at the end.
        for client in [&many[399].client, &many[400].client] {
            let expected = many.iter().filter(|contact| contact.client == *client).count();
            assert_eq!(history.contacts_of(client, 1000).unwrap().len(), expected);
            assert_eq!(history.contacts_of(&format!("{client} "), 1000).unwrap(), []);
        }
    });
}

#[test]
fn a_database_of_an_older_schema_is_left_alone() {
    on_each_history(Workspace::new, |workspace, database| {
        let config = workspace.config();
        database.sql(&format!("DELETE FROM _sqlx_migrations WHERE version = {SCHEMA_VERSION}"));
        let error = add(&config, "key", 1).unwrap_err();
        check_message(&format!("{error:#}"), &[&database.shown(), "run dbsetup"]);
        assert_eq!(NotRecorded::of(&error), NotRecorded::OldSchema);
        assert_eq!(database.count("FROM contacts"), 0);
    });
}

#[test]
fn a_database_that_only_reads_says_so_and_records_nothing() {
    on_each_history(Workspace::new, |workspace, database| {
        let config = workspace.config();
        match database {
            Database::File(_) => return, // tested by the service as another user
            Database::On(server, name) if server.kind() == Kind::Postgres => {
                server.sql("", &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
            }
            Database::On(server, name) => {
                let user = fresh_name("reader");
                server.sql("", &format!(
                    "CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{}'; GRANT SELECT ON {name}.* TO {user}@'127.0.0.1'",
                    DatabaseServer::PASSWORD
                ));
                workspace.set("database_url", json!(server.url(name).replace("tester:", &format!("{user}:"))));
            }
        }
        let error = add(&workspace.config(), "key", 1).unwrap_err();
        assert_eq!(NotRecorded::of(&error), NotRecorded::ReadOnly, "{error:#}");
        assert_eq!(read(&config, 0), []);
    });
}

/// A user who may only read and add rows is enough.
#[test]
fn adding_needs_no_more_than_permission_to_read_and_to_insert() {
    on_each_history(Workspace::new, |workspace, database| {
        let Database::On(server, name) = database else { return };
        let user = fresh_name("adder");
        match server.kind() {
            Kind::Postgres => server.sql(
                name,
                &format!(
                    "CREATE ROLE {user} LOGIN PASSWORD '{}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user};
                GRANT INSERT ON contacts, contact_requests TO {user};
                GRANT USAGE ON SEQUENCE contact_requests_id_seq TO {user}",
                    DatabaseServer::PASSWORD
                ),
            ),
            Kind::MariaDb => server.sql(
                "",
                &format!(
                    "CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{}'; GRANT SELECT ON {name}.* TO {user}@'127.0.0.1';
                GRANT INSERT ON {name}.contacts TO {user}@'127.0.0.1';
                GRANT INSERT ON {name}.contact_requests TO {user}@'127.0.0.1'",
                    DatabaseServer::PASSWORD
                ),
            ),
        };
        workspace.set("database_url", json!(server.url(name).replace("tester:", &format!("{user}:"))));
        assert_eq!(add(&workspace.config(), "key", 3).unwrap(), Added::Recorded);
        assert_eq!(add(&workspace.config(), "key", 3).unwrap(), Added::Repeated);
        assert_eq!(read(&workspace.config(), 0).len(), 3);
    });
}

/// The connection breaks after any number of bytes: what an error says about the contacts is true.
#[test]
fn a_connection_that_breaks_anywhere_loses_and_doubles_nothing() {
    on_each_history(Workspace::new, |workspace, database| {
        let Database::On(server, name) = database else { return };
        let direct = workspace.config();
        let proxy = CuttingProxy::start(server.port(), 1500, 17);
        let port = proxy.url().rsplit(':').next().unwrap().to_owned();
        workspace.set("database_url", json!(server.url(name).replace(&server.port().to_string(), &port)));
        let broken = workspace.config();
        let (mut recorded, mut nothing, mut unknown) = (0, 0, 0);
        for request in 0..100 {
            let key = format!("request {request}");
            let found = || read(&direct, 0).iter().filter(|(_, contact)| contact.note == key).count();
            match add(&broken, &key, 2) {
                Ok(added) => {
                    assert_eq!((added, found()), (Added::Recorded, 2));
                    recorded += 1;
                }
                Err(error) if NotRecorded::of(&error) == NotRecorded::Unknown => {
                    // The server may still be committing.
                    let again = add(&direct, &key, 2).unwrap();
                    assert!(again != Added::Conflict);
                    unknown += 1;
                }
                Err(error) => {
                    assert_eq!(found(), 0, "{error:#}");
                    assert_eq!(add(&direct, &key, 2).unwrap(), Added::Recorded, "{error:#}");
                    nothing += 1;
                }
            }
            assert_eq!(found(), 2);
        }
        println!("{recorded} recorded, {nothing} not, {unknown} unknown");
        // An unknown result is rare here, because the answer to a commit is short; the tests that kill servers enforce it.
        assert!(recorded > 5 && nothing > 5, "{recorded} {nothing} {unknown}");
    });
}

/// Adds a contact on another thread while the server is made to hang, kills the server as soon as `is_waiting`, and
/// returns the reason why the contact was not recorded.
fn add_while_killed(
    server: &mut DatabaseServer,
    config: &Config,
    is_waiting: impl Fn(&DatabaseServer) -> bool,
) -> NotRecorded {
    thread::scope(|scope| {
        let adding = scope.spawn(|| {
            let mut history = History::open_for_contacts(config).unwrap();
            history.set_query_limit(Duration::from_secs(50));
            history.add_contacts(Some("key"), &Checksum::of_bytes(b"key"), &[contact("key")])
        });
        wait_until("the request waits", || is_waiting(server));
        server.kill();
        NotRecorded::of(&adding.join().unwrap().unwrap_err())
    })
}

#[test]
fn a_postgresql_killed_before_or_after_its_commit_is_told_apart() {
    let mut workspace = Workspace::new();
    let Some((mut server, name)) = own_server(Kind::Postgres, &mut workspace) else { return };
    let config = workspace.config();
    let locks = |server: &DatabaseServer| server.sql("", "SELECT COUNT(*) FROM pg_locks WHERE NOT granted") == "1";
    let holder = held(server.sql_in_background(&name, "BEGIN; LOCK TABLE contacts IN EXCLUSIVE MODE; SELECT 'held';"));
    assert_eq!(add_while_killed(&mut server, &config, locks), NotRecorded::Unavailable);
    drop(holder);
    server.start_again();
    assert_eq!(read(&config, 0), []);
    // A commit that waits for a standby server is already on the disk.
    server.sql("", "ALTER SYSTEM SET synchronous_standby_names = 'nowhere'");
    server.sql("", "SELECT pg_reload_conf()");
    let waits = |server: &DatabaseServer| {
        server.sql("", "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
    };
    assert_eq!(add_while_killed(&mut server, &config, waits), NotRecorded::Unknown);
    server.start_again();
    server.sql("", "ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("", "SELECT pg_reload_conf()");
    assert_eq!(read(&config, 0).len(), 1);
    assert_eq!(add(&config, "key", 1).unwrap(), Added::Repeated);
    assert_eq!(read(&config, 0).len(), 1);
}

#[test]
fn a_mariadb_killed_before_or_in_its_commit_is_told_apart() {
    let mut workspace = Workspace::new();
    let Some((mut server, name)) = own_server(Kind::MariaDb, &mut workspace) else { return };
    let config = workspace.config();
    let waits = |server: &DatabaseServer| {
        let waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for%' AND command <> 'Daemon'";
        server.sql("", waiting) == "1"
    };
    let holder = held(server.sql_in_background(&name, "LOCK TABLES contacts WRITE; SELECT 'held';"));
    assert_eq!(add_while_killed(&mut server, &config, waits), NotRecorded::Unavailable);
    drop(holder);
    server.start_again();
    assert_eq!(read(&config, 0), []);
    let block =
        "BACKUP STAGE START; BACKUP STAGE FLUSH; BACKUP STAGE BLOCK_DDL; BACKUP STAGE BLOCK_COMMIT; SELECT 'held';";
    let holder = held(server.sql_in_background(&name, block));
    assert_eq!(add_while_killed(&mut server, &config, waits), NotRecorded::Unknown);
    drop(holder);
    server.start_again();
    assert_eq!(read(&config, 0), []);
    assert_eq!(add(&config, "key", 1).unwrap(), Added::Recorded);
    assert_eq!(read(&config, 0).len(), 1);
}

#[test]
fn a_frozen_server_is_given_up() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let mut workspace = Workspace::new();
        let Some((server, _)) = own_server(kind, &mut workspace) else { continue };
        let config = workspace.config();
        let mut history = History::open_for_contacts(&config).unwrap();
        history.set_query_limit(Duration::from_secs(1));
        server.freeze();
        let clock = Instant::now();
        let error = history.add_contacts(Some("key"), &Checksum::of_bytes(b"key"), &[contact("key")]).unwrap_err();
        assert_eq!(NotRecorded::of(&error), NotRecorded::Unavailable, "{error:#}");
        assert!(clock.elapsed() < Duration::from_secs(5));
        server.thaw();
        assert_eq!(add(&config, "key", 1).unwrap(), Added::Recorded);
    }
}

/// Prints what the README states.
#[test]
#[ignore = "measures; run it alone"]
fn measure_a_hundred_thousand_contacts() {
    on_each_history(Workspace::new, |workspace, _| {
        let config = workspace.config();
        let mut writer = History::open_for_contacts(&config).unwrap();
        for batch in 0..10 {
            let contacts: Vec<_> = (0..10_000)
                .map(|i| Contact {
                    client: format!("client{}", (batch * 10_000 + i) % 10_000),
                    ..contact("a short note")
                })
                .collect();
            writer.add_contacts(None, &Checksum::of_bytes(b""), &contacts).unwrap();
        }
        let mut history = History::open_existing(&config).unwrap().unwrap();
        let time = |what: &str, runs: u32, work: &mut dyn FnMut()| {
            let clock = Instant::now();
            (0..runs).for_each(|_| work());
            println!("{what}: {:.3} ms", clock.elapsed().as_secs_f64() * 1e3 / f64::from(runs));
        };
        time("all", 3, &mut || assert_eq!(history.contacts_after(0).unwrap().len(), 100_000));
        let last = history.newest_contact().unwrap().unwrap();
        time("none new", 200, &mut || assert_eq!(history.contacts_after(last).unwrap(), []));
        time("three new", 200, &mut || assert_eq!(history.contacts_after(last - 3).unwrap().len(), 3));
        time("newest", 200, &mut || assert_eq!(history.newest_contact().unwrap(), Some(last)));
        time("of a client", 200, &mut || assert_eq!(history.contacts_of("client77", 50).unwrap().len(), 10));
        time("open and read none", 50, &mut || assert_eq!(read(&config, last), []));
        let mut n = 0;
        time("open and add one", 50, &mut || {
            n += 1;
            add(&config, &n.to_string(), 1).unwrap();
        });
    });
}
