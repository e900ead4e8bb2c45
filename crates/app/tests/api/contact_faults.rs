//! Recording calls while many read, and while the database or the service fails: no acknowledged contact is lost, none is
//! recorded twice, and the client gets a true answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::databases::{DatabaseServer, Kind, fresh_name, shared};
use testkit::{Server, Workspace};

use crate::connections::lock_database;
use crate::contacts::{JSON, contact};
use crate::helpers::{Answer, Api, LIMIT, read_answer, wait_until};

/// Runs `body` with a deployed service over each kind of database.
fn over_each_database(body: impl Fn(Api, &str)) {
    let deployed = |mut workspace: Workspace, url: Option<String>| {
        if let Some(url) = url {
            workspace.set("database_url", json!(url));
            workspace.run("dbsetup", &[]);
        }
        workspace.deploy();
        Api::of(workspace)
    };
    body(deployed(Workspace::with_data(), None), "SQLite");
    for server in [Kind::Postgres, Kind::MariaDb].into_iter().filter_map(shared) {
        let url = server.url(&fresh_name("contacts"));
        body(deployed(Workspace::with_data(), Some(url)), &format!("{:?}", server.kind()));
    }
}

fn post(api: &Api, key: &str) -> Answer {
    api.post_contacts(&[("idempotency-key", key)], JSON, &contact("a0", key))
}

/// The notes of all contacts, in order.
fn notes(api: &Api) -> Vec<String> {
    api.contacts().iter().map(|row| row["note"].as_str().unwrap().to_owned()).collect()
}

/// Sends a request on a connection of its own and returns the status, or 0 if the connection failed.
fn status_of(api: &Api, request: &str) -> u16 {
    let mut stream = api.connect();
    stream.set_read_timeout(Some(2 * LIMIT)).unwrap(); // a thousand readers wait in one queue
    let sent = stream.write_all(format!("{request} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes());
    let answer = if sent.is_ok() { read_answer(&mut stream) } else { String::new() };
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn a_thousand_readers_while_contacts_are_posted() {
    const READERS: usize = 1000;
    const POSTERS: usize = 50;
    const CONTACTS: usize = 40;
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(files > 2 * READERS as u64 + 500, "this test needs {READERS} connections, the system grants {files} files");
    over_each_database(|api, kind| {
        let (statuses, posted) = (Mutex::new(BTreeMap::<u16, usize>::new()), AtomicBool::new(false));
        let (clock, slowest) = (Instant::now(), Mutex::new(Duration::ZERO));
        let reading = AtomicUsize::new(0);
        thread::scope(|scope| {
            for reader in 0..READERS {
                let (api, statuses, posted, reading) = (&api, &statuses, &posted, &reading);
                let read = move || {
                    for request in 0.. {
                        let page = if (reader + request) % 2 == 0 { "/" } else { "/calllist" };
                        let status = status_of(api, &format!("GET {page}"));
                        *statuses.lock().unwrap().entry(status).or_default() += 1;
                        reading.fetch_add(usize::from(request == 0), Ordering::SeqCst);
                        if posted.load(Ordering::SeqCst) {
                            return;
                        }
                    }
                };
                thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, read).unwrap();
            }
            thread::scope(|scope| {
                for poster in 0..POSTERS {
                    let (api, slowest) = (&api, &slowest);
                    scope.spawn(move || {
                        for n in 0..CONTACTS {
                            let (key, clock) = (format!("{poster} {n}").replace(' ', "-"), Instant::now());
                            let first = post(api, &key);
                            assert_eq!(first.status, 201, "{first:?}");
                            let mut slowest = slowest.lock().unwrap();
                            *slowest = clock.elapsed().max(*slowest);
                            drop(slowest);
                            if n % 8 == 0 {
                                let again = post(api, &key);
                                assert_eq!((again.status, &again.json()["repeated"]), (200, &json!(1)), "{again:?}");
                            }
                        }
                    });
                }
            });
            posted.store(true, Ordering::SeqCst);
        });
        let statuses = statuses.into_inner().unwrap();
        println!("{kind}: {statuses:?} in {:?}, slowest post {:?}", clock.elapsed(), slowest.lock().unwrap());
        assert_eq!(statuses.keys().collect::<Vec<_>>(), [&200], "{kind}");
        assert_eq!(reading.into_inner(), READERS);
        let notes = notes(&api);
        assert_eq!(
            (notes.len(), notes.iter().collect::<BTreeSet<_>>().len()),
            (POSTERS * CONTACTS, POSTERS * CONTACTS)
        );
    });
}

#[test]
fn two_services_on_one_database_record_each_contact_once() {
    over_each_database(|api, kind| {
        let other = api.workspace.serve();
        let other = Api::with(Workspace::new(), other);
        let statuses: Vec<[u16; 2]> = thread::scope(|scope| {
            let post = |n: usize| {
                let (one, other) = (&api, &other);
                scope.spawn(move || {
                    let key = format!("request-{n}");
                    thread::scope(|scope| {
                        [one, other]
                            .map(|api| scope.spawn(|| post(api, &key).status))
                            .map(|thread| thread.join().unwrap())
                    })
                })
            };
            let threads: Vec<_> = (0..40).map(post).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(statuses.iter().all(|both| [[200, 201], [201, 200]].contains(both)), "{kind}: {statuses:?}");
        assert_eq!(notes(&other).iter().collect::<BTreeSet<_>>().len(), 40);
        assert_eq!(notes(&api), notes(&other));
        assert_eq!(notes(&api).len(), 40, "{kind}");
    });
}

#[test]
fn a_service_killed_while_contacts_are_posted_keeps_what_it_has_acknowledged() {
    over_each_database(|mut api, kind| {
        let mut acknowledged = BTreeSet::new();
        for round in 0..6 {
            let (done, ended) = (Mutex::new(Vec::new()), AtomicBool::new(false));
            let address = api.server.url.clone();
            thread::scope(|scope| {
                for poster in 0..8 {
                    let (done, ended, address) = (&done, &ended, &address);
                    scope.spawn(move || {
                        for n in 0.. {
                            let key = format!("{round}-{poster}-{n}");
                            let request = ureq::post(format!("{address}/contacts")).header("idempotency-key", &key);
                            match request.header("content-type", JSON).send(contact("a0", &key)) {
                                Ok(answer) if answer.status() == 201 => done.lock().unwrap().push(key),
                                _ if ended.load(Ordering::SeqCst) => return,
                                _ => {}
                            }
                        }
                    });
                }
                wait_until("some are recorded", || done.lock().unwrap().len() > 10);
                thread::sleep(Duration::from_millis(7 * round)); // another moment in each round
                api.server.child.kill().unwrap();
                ended.store(true, Ordering::SeqCst);
            });
            acknowledged.extend(done.into_inner().unwrap());
            api.server = api.workspace.serve();
            let notes = notes(&api);
            let found: BTreeSet<String> = notes.iter().cloned().collect();
            assert_eq!(found.len(), notes.len(), "{kind}: a contact was recorded twice");
            let lost: Vec<_> = acknowledged.difference(&found).collect();
            assert!(lost.is_empty(), "{kind}: {lost:?}");
            // At most one request of each round was recorded without an answer, because they wait for each other.
            assert!(found.len() <= acknowledged.len() + round as usize + 1, "{kind}");
        }
    });
}

/// Checks that a post is refused with 503, and that the answer contains `part`.
fn check_refused(api: &Api, what: &str, part: &str) {
    let answer = post(api, "refused");
    api.check_problem(what, &answer, 503, &[part]);
    assert_eq!(answer.header("retry-after"), "5", "{what}");
    assert!(!answer.text.contains(DatabaseServer::PASSWORD) && !answer.text.contains("127.0.0.1"), "{answer:?}");
    let html = [("accept", "text/html"), ("sec-fetch-site", "same-origin")];
    let form = "corporation=a0&outcome=reached&by=Anna&key=form&return=/";
    let page = api.post_contacts(&html, "application/x-www-form-urlencoded", form);
    assert_eq!((page.status, page.content_type.as_str()), (503, "text/html; charset=utf-8"), "{what}");
    assert!(page.text.contains(part) && page.text.contains("go back to the form"), "{what}: {page:?}");
}

#[test]
fn a_database_that_is_away_or_frozen_is_told() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let mut workspace = Workspace::with_data();
        let Some(mut server) = DatabaseServer::start(kind) else { continue };
        let name = fresh_name("own");
        workspace.set("database_url", json!(server.url(&name)));
        workspace.run("dbsetup", &[]);
        workspace.deploy();
        let api = Api::of(workspace);
        assert_eq!(post(&api, "before").status, 201);
        server.kill();
        check_refused(&api, "killed", "nothing was recorded, because the database does not answer");
        server.start_again();
        assert_eq!(post(&api, "between").status, 201);
        server.freeze();
        let clock = Instant::now();
        check_refused(&api, "frozen", "nothing was recorded, because the database does not answer");
        check_refused(&api, "still frozen", "nothing was recorded, because the database does not answer");
        assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
        server.thaw();
        wait_until("it is used again", || post(&api, "after").status != 503);
        server.sql(&name, "DELETE FROM _sqlx_migrations WHERE version = (SELECT v FROM (SELECT MAX(version) AS v FROM _sqlx_migrations) AS newest)");
        check_refused(&api, "an older schema", "run dbsetup");
        assert_eq!(server.sql(&name, "SELECT note FROM contacts ORDER BY id"), "before\nbetween\nafter");
    }
}

/// The commit hangs until the server is killed, so the service cannot know whether it was done.
#[test]
fn a_database_that_is_lost_in_the_commit_is_told_and_a_repetition_is_safe() {
    let mut workspace = Workspace::with_data();
    let Some(mut server) = DatabaseServer::start(Kind::Postgres) else { return };
    workspace.set("database_url", json!(server.url("own")));
    workspace.run("dbsetup", &[]);
    workspace.deploy();
    let api = Api::of(workspace);
    server.sql("", "ALTER SYSTEM SET synchronous_standby_names = 'nowhere'");
    server.sql("", "SELECT pg_reload_conf()");
    let answer = thread::scope(|scope| {
        let posting = scope.spawn(|| post(&api, "key"));
        wait_until("the commit waits", || {
            server.sql("", "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
        });
        server.kill();
        posting.join().unwrap()
    });
    api.check_problem("lost", &answer, 503, &["it is unknown whether they were recorded", "same Idempotency-Key"]);
    server.start_again();
    server.sql("", "ALTER SYSTEM RESET synchronous_standby_names");
    server.sql("", "SELECT pg_reload_conf()");
    assert_eq!(post(&api, "key").status, 200);
    assert_eq!(notes(&api), ["key"]);
}

#[test]
fn without_a_history_nothing_is_made() {
    let workspace = Workspace::with_data();
    let api = Api::of(workspace);
    check_refused(&api, "no file", "run dbsetup");
    assert!(!api.workspace.path("history.sqlite").exists());
}

#[test]
fn a_locked_file_is_told_within_seconds() {
    let api = Api::deployed();
    let lock = lock_database(&api);
    let clock = Instant::now();
    check_refused(&api, "locked", "nothing was recorded");
    assert!(clock.elapsed() < Duration::from_secs(25), "{:?}", clock.elapsed());
    drop(lock);
    wait_until("it is used again", || post(&api, "after").status == 201);
    assert_eq!(notes(&api), ["after"]);
}

#[test]
fn a_full_disk_is_told_and_leaves_the_history_whole() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let mut api = Api::of(workspace);
    let (mut refused, mut recorded) = (0, 0);
    for kilobytes in [0, 4, 16, 40, 70, 100, 140, 200, 400] {
        // The log of the service goes nowhere, so only its database is limited.
        let command = api.workspace.command_without_cargo("app");
        let mut shell = Command::new("/bin/sh");
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * kilobytes);
        shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args()).stderr(Stdio::null());
        api.server = Server::start(&mut shell);
        let keys: Vec<String> = (0..4).map(|n| format!("{kilobytes}-{n}")).collect();
        let answers: Vec<Answer> = keys.iter().map(|key| post(&api, key)).collect();
        api.server = api.workspace.serve();
        let notes = notes(&api);
        for (key, answer) in keys.iter().zip(&answers) {
            let found = notes.iter().filter(|note| *note == key).count();
            match answer.status {
                201 => assert_eq!(found, 1, "{answer:?}"),
                503 if answer.text.contains("unknown") => assert!(found <= 1, "{answer:?}"),
                503 => assert_eq!(found, 0, "{answer:?}"),
                _ => panic!("{answer:?}"),
            }
            refused += usize::from(answer.status == 503);
            recorded += usize::from(answer.status == 201);
            assert!([200, 201].contains(&post(&api, key).status));
        }
        assert_eq!(self::notes(&api).iter().filter(|note| keys.contains(note)).count(), keys.len());
    }
    assert!(refused > 3 && recorded > 3, "{refused} {recorded}");
}

#[test]
fn a_service_that_may_only_read_says_so() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    workspace.run("dbsetup", &[]); // closes the file, so that no log is left
    let server = {
        let Some(command) = workspace.as_other_user("history.sqlite") else { return };
        Server::start(&mut command("app"))
    };
    let api = Api::with(workspace, server);
    check_refused(&api, "read-only", "the service may not write to the database");
    assert_eq!(api.get("/history?what=contacts").ok()["rows"], json!([]));
    for suffix in ["", "-wal", "-shm"] {
        let path = api.workspace.path(format!("history.sqlite{suffix}"));
        // SQLite gives its other files the permissions of the first one.
        assert!(!path.exists() || fs::set_permissions(path, Permissions::from_mode(0o666)).is_ok());
    }
    assert_eq!(post(&api, "now").status, 201);
}
