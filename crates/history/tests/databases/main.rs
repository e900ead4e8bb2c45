//! Tests of the system with each kind of database: SQLite, PostgreSQL and MariaDB. A database that is not installed is
//! skipped with a message.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

mod chain;
mod clients;
mod columns;
mod concurrency;
mod contacts;
mod faults;
mod input;
mod input_columns;
mod lists;
mod merge;
mod migrations;
mod replacement;
mod setup;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::databases::{DatabaseServer, Kind, fresh_name, shared};
use testkit::{Server, Workspace};

/// All folders that the steps write, without the database.
const OUTPUTS: &[&str] = &["ingesteddata", "practicemodels", "production_deployment"];

/// Time limit after which anything counts as hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// A SQLite file, or a database of this name on the shared server. It need not exist.
enum Database {
    File(PathBuf),
    On(&'static DatabaseServer, String),
}

/// Runs `body` with each kind of database; the config names one that does not exist yet.
fn on_each_database(workspace: fn() -> Workspace, body: impl Fn(&mut Workspace, &Database)) {
    let over = |mut workspace: Workspace, database: &Database| {
        println!("over {}", database.url()); // shown if the test fails
        workspace.set("database_url", json!(database.url()));
        workspace.set("bind", json!("127.0.0.1:1")); // an address without a listener
        body(&mut workspace, database);
    };
    if has_sqlite3() {
        let workspace = workspace();
        let file = workspace.path("history.sqlite");
        over(workspace, &Database::File(file));
    }
    for server in [Kind::Postgres, Kind::MariaDb].into_iter().filter_map(shared) {
        over(workspace(), &Database::On(server, fresh_name("history")));
    }
}

/// Runs `body` with each kind of database after dbsetup.
fn on_each_history(workspace: fn() -> Workspace, body: impl Fn(&mut Workspace, &Database)) {
    on_each_database(workspace, |workspace, database| {
        workspace.run("dbsetup", &[]);
        body(workspace, database);
    });
}

fn has_sqlite3() -> bool {
    let there = Command::new("sqlite3").arg("-version").stdout(Stdio::null()).status().is_ok();
    if !there {
        testkit::skipped("SQLite's command line is not installed here (Debian's package sqlite3)");
    }
    there
}

impl Database {
    /// Returns the URL, including the password if it is on a server.
    fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::On(server, name) => server.url(name),
        }
    }

    /// Returns the URL as it may be shown, without a password.
    fn shown(&self) -> String {
        self.url().trim_start_matches("sqlite://").replace(&format!("tester:{}@", DatabaseServer::PASSWORD), "")
    }

    fn is(&self, kind: Kind) -> bool {
        matches!(self, Self::On(server, _) if server.kind() == kind)
    }

    fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Runs SQL; returns the rows, with fields separated by tabs.
    fn sql(&self, sql: &str) -> String {
        match self {
            Self::On(server, name) => server.sql(name, sql),
            Self::File(_) => {
                let output = self.sql_in_background(sql).wait_with_output().unwrap();
                assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8(output.stdout).unwrap().trim().to_owned()
            }
        }
    }

    /// Runs SQL in the background; see [`DatabaseServer::sql_in_background`].
    fn sql_in_background(&self, sql: &str) -> Child {
        match self {
            Self::On(server, name) => server.sql_in_background(name, sql),
            Self::File(path) => {
                let mut client = Command::new("sqlite3");
                client.args(["-batch", "-bail", "-separator", "\t", "-cmd", ".timeout 20000"]).arg(path);
                client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut session = client.spawn().unwrap();
                let sql = sql.trim_end().trim_end_matches(';');
                let _ = writeln!(session.stdin.as_mut().unwrap(), "{sql}\n;");
                session
            }
        }
    }

    /// Returns the rows of `SELECT columns rest`. Every field is a text, empty if NULL. The first column must not be
    /// NULL.
    fn rows(&self, columns: &[&str], rest: &str) -> Vec<Vec<String>> {
        // The bar preserves empty fields at the end.
        let text = self.sql(&format!("SELECT {}, '|' {rest}", columns.join(", ")));
        let field = |field: &str| match self.is(Kind::MariaDb) {
            true if field == "NULL" => String::new(),
            true => field.replace("\\\\", "\\"),
            false => field.to_owned(),
        };
        let row = |line: &str| line.trim_end_matches("\t|").split('\t').map(field).collect();
        text.lines().map(row).collect()
    }

    /// Returns the row of a query that has exactly one.
    fn row(&self, columns: &[&str], rest: &str) -> Vec<String> {
        let rows = self.rows(columns, rest);
        assert_eq!(rows.len(), 1, "{columns:?} {rest}: {rows:?}");
        rows.into_iter().next().unwrap()
    }

    /// Returns the fields of one column.
    fn column(&self, column: &str, rest: &str) -> Vec<String> {
        self.rows(&[column], rest).into_iter().map(|mut row| row.remove(0)).collect()
    }

    fn count(&self, rest: &str) -> u64 {
        self.sql(&format!("SELECT COUNT(*) {rest}")).parse().unwrap()
    }

    /// Returns an expression that selects a column of numbers with all its digits.
    fn exact(&self, column: &str) -> String {
        match self {
            Self::File(_) => {
                format!("CASE typeof({column}) WHEN 'real' THEN printf('%!.17g', {column}) ELSE {column} END")
            }
            Self::On(..) => column.to_owned(),
        }
    }
}

/// Parses a number of a JSON document or of a row, in any notation.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Reads a JSON file of the workspace.
fn read_json(workspace: &Workspace, name: &str) -> Value {
    serde_json::from_slice(&workspace.read(name)).unwrap()
}

/// Runs a step without cargo in its environment; it must succeed. Returns its outcome.
fn run_without_cargo(workspace: &Workspace, step: &str, arguments: &[&str]) -> Value {
    let output = workspace.command_without_cargo(step).args(arguments).arg("--json").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{step}: {}: {stderr}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs fullprocess, which must make this decision; returns its outcome.
fn decision(workspace: &Workspace, expected: &str) -> Value {
    let outcome = run_without_cargo(workspace, "fullprocess", &[]);
    assert_eq!(outcome["outcome"], expected, "{outcome}");
    outcome
}

/// Returns the service's answer, which must have status 200.
fn get(server: &Server, page: &str) -> Value {
    let (head, body) = ask(server, page);
    assert!(head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200"), "{page}: {head}\n{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{page}: {error}: {body}"))
}

/// Returns the head and the body of the service's answer, whatever its status.
fn ask(server: &Server, page: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !happened() {
        assert!(clock.elapsed() < LIMIT, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Checks that `text` contains all of `parts` and no password.
fn check_message(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!text.contains(DatabaseServer::PASSWORD), "{text}");
}

/// Returns the rows of `clients` in the format of finaldata.csv.
fn clients_as_csv(database: &Database) -> String {
    let numbers = ["lastmonth_activity", "lastyear_activity", "number_of_employees"].map(|name| database.exact(name));
    let columns = ["number", "corporation", &numbers[0], &numbers[1], &numbers[2], "exited"];
    let mut csv = testkit::HEADER.to_owned();
    for (place, row) in database.rows(&columns, "FROM clients ORDER BY number").into_iter().enumerate() {
        assert_eq!(row[0], (place + 1).to_string());
        let name = match row[1].contains([',', '"']) {
            true => format!("\"{}\"", row[1].replace('"', "\"\"")),
            false => row[1].clone(),
        };
        let plain = |text: &String| if text.is_empty() { String::new() } else { number(text).to_string() };
        let numbers: Vec<_> = row[2..].iter().map(plain).collect();
        csv += &format!("{name},{}\n", numbers.join(","));
    }
    csv
}

/// Checks that `clients` equals the compiled dataset.
fn check_clients(workspace: &Workspace, database: &Database) {
    let (found, expected) = (clients_as_csv(database), workspace.text("ingesteddata/finaldata.csv"));
    let different = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert_eq!(different, None);
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// Returns whether a file of this name exists.
fn exists(workspace: &Workspace, name: impl AsRef<Path>) -> bool {
    workspace.path(name).exists()
}
