//! Tests of databases that are unreachable, stopped, frozen, full or busy: a step names the problem within seconds and
//! leaves every file intact.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::databases::{DatabaseServer, Kind, fresh_name};
use testkit::{Workspace, rows};

use crate::{
    Database, OUTPUTS, ask, check_clients, check_message, exists, get, has_sqlite3, on_each_history, run_without_cargo,
    wait_until,
};

/// Time limit for a step whose database does not answer.
const SOON: Duration = Duration::from_secs(10);

/// Creates a deployed workspace with new data, which no fault may change.
fn deployed() -> Workspace {
    let mut workspace = Workspace::with_data();
    workspace.set("bind", json!("127.0.0.1:1"));
    workspace.deploy();
    workspace.csv("practicedata/dataset3.csv", &rows("c", 60, true));
    workspace
}

/// Checks that each step fails in time, that its message contains all of `parts` and no password, and that nothing else
/// changes.
fn check_refused(workspace: &Workspace, steps: &[&str], parts: &[&str]) {
    let before = workspace.snapshot(OUTPUTS);
    for step in steps {
        let clock = Instant::now();
        let error = workspace.fail(step, &[]);
        assert!(clock.elapsed() < SOON, "{step} took {:?}", clock.elapsed());
        check_message(&error, parts);
    }
    assert!(workspace.snapshot(OUTPUTS) == before);
}

/// Starts a separate server, so that no other test is disturbed, with a database created by dbsetup.
pub fn own_server(kind: Kind, workspace: &mut Workspace) -> Option<(DatabaseServer, String)> {
    let server = DatabaseServer::start(kind)?;
    let name = fresh_name("own");
    workspace.set("database_url", json!(server.url(&name)));
    workspace.run("dbsetup", &[]);
    Some((server, name))
}

/// Waits until a session holds its lock, which it reports by output; returns the session.
pub fn held(mut session: Child) -> Child {
    let mut said = [0; 5];
    session.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"held\n");
    session
}

#[test]
fn where_nobody_listens_every_step_says_so_and_changes_nothing() {
    for scheme in ["postgres", "postgresql", "mysql", "mariadb"] {
        let mut workspace = deployed();
        let shown = format!("{scheme}://127.0.0.1:1/nowhere");
        let secret = format!("{scheme}://tester:{}@127.0.0.1:1/nowhere", DatabaseServer::PASSWORD);
        workspace.set("database_url", json!(secret));
        let steps =
            ["ingestion", "training", "scoring", "deployment", "diagnostics", "reporting", "fullprocess", "dbsetup"];
        check_refused(&workspace, &steps, &[&shown, "database_url", "refused"]);
        let (head, body) = ask(&workspace.serve(), "/history");
        assert!(head.contains(" 503 ") && !body.contains(DatabaseServer::PASSWORD), "{head}\n{body}");
    }
}

#[test]
fn a_wrong_password_is_not_repeated() {
    on_each_history(deployed, |workspace, database| {
        if !database.is_file() {
            let wrong = database.url().replace(DatabaseServer::PASSWORD, "wrong-2718");
            workspace.set("database_url", json!(wrong));
            check_refused(workspace, &["ingestion", "fullprocess", "dbsetup"], &[&database.shown(), "tester"]);
            let error = workspace.fail("ingestion", &[]);
            assert!(!error.contains("wrong-2718"), "{error}");
        }
    });
}

fn a_frozen_server_is_given_up(kind: Kind) {
    let mut workspace = deployed();
    let Some((server, name)) = own_server(kind, &mut workspace) else { return };
    server.freeze();
    check_refused(&workspace, &["ingestion", "fullprocess"], &[&format!("127.0.0.1:{}/{name}", server.port())]);
    server.thaw();
    run_without_cargo(&workspace, "fullprocess", &[]);
    assert_eq!(server.sql(&name, "SELECT decision FROM decisions"), "redeployed");
}

#[test]
fn a_frozen_postgresql_is_given_up() {
    a_frozen_server_is_given_up(Kind::Postgres);
}

#[test]
fn a_frozen_mariadb_is_given_up() {
    a_frozen_server_is_given_up(Kind::MariaDb);
}

fn a_server_killed_in_the_middle_of_a_record_is_made_good(kind: Kind) {
    let mut workspace = Workspace::with_data();
    let Some((mut server, name)) = own_server(kind, &mut workspace) else { return };
    let lock = match kind {
        Kind::Postgres => "BEGIN; LOCK TABLE runs IN EXCLUSIVE MODE; SELECT 'held';",
        Kind::MariaDb => "LOCK TABLES runs WRITE; SELECT 'held';",
    };
    let holder = held(server.sql_in_background(&name, lock));
    let ingestion = workspace.command("ingestion").stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the dataset is there", || exists(&workspace, "ingesteddata/finaldata.csv"));
    wait_until("ingestion waits", || {
        let waiting = match kind {
            Kind::Postgres => "SELECT COUNT(*) FROM pg_locks WHERE NOT granted",
            Kind::MariaDb => {
                "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'"
            }
        };
        server.sql("", waiting) == "1"
    });
    server.kill();
    drop(holder);
    let output = ingestion.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let shown = format!("127.0.0.1:{}/{name}", server.port());
    check_message(&String::from_utf8(output.stderr).unwrap(), &[&shown, "run it again"]);
    workspace.assert_no_leftovers("ingesteddata");
    let after = workspace.snapshot(OUTPUTS);
    assert_eq!(workspace.text("ingesteddata/finaldata.csv").lines().count(), 121);

    server.start_again();
    assert_eq!(server.sql(&name, "SELECT COUNT(*) FROM runs"), "0");
    workspace.run("ingestion", &[]);
    let counts = "SELECT (SELECT COUNT(*) FROM runs), (SELECT COUNT(*) FROM clients), (SELECT COUNT(*) FROM datasets)";
    assert_eq!(server.sql(&name, counts), "1\t120\t1");
    assert!(workspace.snapshot(OUTPUTS) == after);
}

#[test]
fn a_postgresql_killed_in_the_middle_of_a_record_is_made_good() {
    a_server_killed_in_the_middle_of_a_record_is_made_good(Kind::Postgres);
}

#[test]
fn a_mariadb_killed_in_the_middle_of_a_record_is_made_good() {
    a_server_killed_in_the_middle_of_a_record_is_made_good(Kind::MariaDb);
}

#[test]
fn a_step_killed_in_the_middle_of_its_record_leaves_nothing_of_it() {
    on_each_history(Workspace::with_data, |workspace, database| {
        workspace.run("ingestion", &[]);
        let before = (crate::clients_as_csv(database), database.count("FROM runs"));
        // The lock is on a table that is written after clients.
        let lock = match database {
            Database::File(_) => return, // covered for SQLite by the kill tests of crates/ingestion
            Database::On(server, _) if server.kind() == Kind::Postgres => {
                "BEGIN; LOCK TABLE ingested_files IN EXCLUSIVE MODE; SELECT 'held';"
            }
            Database::On(..) => "LOCK TABLES ingested_files WRITE; SELECT 'held';",
        };
        workspace.csv("practicedata/dataset3.csv", &rows("c", 60, true));
        let mut holder = held(database.sql_in_background(lock));
        let mut ingestion = workspace.command("ingestion").stderr(Stdio::null()).spawn().unwrap();
        wait_until("the new dataset is there", || workspace.text("ingesteddata/ingestion.json").contains("dataset3"));
        thread::sleep(Duration::from_millis(300)); // usually waiting by then; the test is valid even if not
        ingestion.kill().unwrap();
        ingestion.wait().unwrap();
        drop(holder.stdin.take());
        holder.wait().unwrap();
        assert!((crate::clients_as_csv(database), database.count("FROM runs")) == before);
        workspace.run("ingestion", &[]);
        check_clients(workspace, database);
        assert_eq!(database.count("FROM runs"), before.1 + 1);
    });
}

#[test]
fn a_full_disk_leaves_a_sqlite_history_whole() {
    if !has_sqlite3() {
        return;
    }
    let mut failed = 0;
    for kilobytes in [0, 4, 8, 20, 40, 70, 100, 140] {
        let workspace = Workspace::with_data();
        let database = Database::File(workspace.path("history.sqlite"));
        workspace.run("ingestion", &[]);
        let runs = database.count("FROM runs");
        workspace.csv("practicedata/dataset3.csv", &rows("c", 60, true));
        let output = workspace.output_on_a_full_disk("ingestion", kilobytes);
        let done = output.status.success();
        if !done {
            failed += 1;
            assert_eq!(output.status.code(), Some(1), "{output:?}");
        }
        assert_eq!(database.sql("PRAGMA integrity_check"), "ok");
        assert_eq!(database.count("FROM runs WHERE outcome = 'done'"), runs + u64::from(done));
        workspace.run("ingestion", &[]);
        check_clients(&workspace, &database);
        assert_eq!(database.count("FROM clients"), 180);
    }
    assert!(failed > 3, "{failed}");
}

#[test]
fn a_busy_sqlite_file_is_waited_for() {
    if !has_sqlite3() {
        return;
    }
    let workspace = Workspace::with_data();
    let database = Database::File(workspace.path("history.sqlite"));
    workspace.run("dbsetup", &[]);
    let mut holder = held(database.sql_in_background("BEGIN EXCLUSIVE; SELECT 'held';"));
    let mut step = Command::new(testkit::binary("ingestion"));
    let mut step = step.arg("--config").arg(workspace.path("config.json")).stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_secs(2));
    assert!(step.try_wait().unwrap().is_none(), "it has not waited");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(step.wait().unwrap().success());
    check_clients(&workspace, &database);
}

/// A long step leaves its connection idle, and servers close idle connections.
#[test]
fn a_step_whose_idle_connection_was_closed_by_the_server_is_recorded() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let mut workspace = Workspace::with_data();
        let Some((server, name)) = own_server(kind, &mut workspace) else { continue };
        let ours = match kind {
            Kind::Postgres => format!("FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"),
            Kind::MariaDb => {
                server.sql("", "SET GLOBAL wait_timeout = 1");
                format!("FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()")
            }
        };
        let closed = || {
            assert_eq!(server.sql(&name, &format!("SELECT COUNT(*) {ours}")), "1", "it is connected while it works");
            if kind == Kind::Postgres {
                server.sql(&name, &format!("SELECT pg_terminate_backend(pid) {ours}"));
            }
            wait_until("the server has closed the connection", || {
                server.sql(&name, &format!("SELECT COUNT(*) {ours}")) == "0"
            });
        };
        // Before a query, before the recording of a part, and before the recording of the whole.
        history::record(&workspace.config(), "long", |run| {
            closed();
            assert_eq!(run.history().last_live()?, None);
            closed();
            run.record_now("part", history::Start::now(), Vec::<history::CheckedFile>::new())?;
            closed();
            Ok(())
        })
        .unwrap();
        assert_eq!(server.sql(&name, "SELECT step, outcome FROM runs ORDER BY id"), "part\tdone\nlong\tdone");
    }
}

#[test]
fn a_server_that_only_reads_stops_a_step_before_it_changes_a_file() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let mut workspace = deployed();
        let Some((server, name)) = own_server(kind, &mut workspace) else { continue };
        let read_only = match kind {
            Kind::Postgres => format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
            Kind::MariaDb => format!(
                "CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{}'; GRANT SELECT ON {name}.* TO reader@'127.0.0.1'",
                DatabaseServer::PASSWORD
            ),
        };
        server.sql(&name, &read_only);
        if kind == Kind::MariaDb {
            workspace.set("database_url", json!(server.url(&name).replace("tester:", "reader:")));
        }
        check_refused(&workspace, &["ingestion", "training", "deployment", "fullprocess"], &["database_url", "INSERT"]);
    }
}

#[test]
fn the_service_outlives_its_database() {
    let mut workspace = deployed();
    let Some((mut server, _)) = own_server(Kind::Postgres, &mut workspace) else { return };
    workspace.run("ingestion", &[]);
    let service = workspace.serve();
    assert_eq!(get(&service, "/history")["rows"].as_array().unwrap().len(), 1);
    server.kill();
    let (head, body) = ask(&service, "/history");
    assert!(head.contains(" 503 ") && !body.contains(DatabaseServer::PASSWORD), "{head}\n{body}");
    assert_eq!(get(&service, "/scoring")["n"], 8);
    server.start_again();
    assert_eq!(get(&service, "/history")["rows"].as_array().unwrap().len(), 1);
}
