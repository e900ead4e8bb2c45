//! The service as a process: where it listens, how it stops, and how a long answer affects other requests.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::json;
use testkit::Workspace;

use crate::helpers::{Api, read_answer, wait_for_file, wait_until};

/// A cargo script that records its start, waits until it may continue, then runs `work`, and reports serde 99.0.0.
fn waiting_cargo(work: &str) -> String {
    // cargo's working folder is a scratch folder, so both files are placed next to the script.
    format!(
        "folder=$(dirname \"$0\")
touch \"$folder/started\"
while [ -d \"$folder\" -a ! -e \"$folder/go\" ]; do sleep 0.01; done
{work}
cat > Cargo.lock <<'END'
[[package]]
name = \"newest\"
version = \"0.0.0\"
dependencies = [\"serde\"]
[[package]]
name = \"serde\"
version = \"99.0.0\"
source = \"registry\"
END"
    )
}

fn latest_serde(diagnosis: &serde_json::Value) -> &serde_json::Value {
    let dependencies = diagnosis["dependencies"].as_array().unwrap();
    &dependencies.iter().find(|dependency| dependency["name"] == "serde").unwrap()["latest"]
}

fn terminate(id: u32) {
    let sent = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {id}")]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn long_answers_do_not_hold_up_predictions() {
    let api = Api::with_cargo(&waiting_cargo(""));
    let clients = json!({"rows": [{"lastmonth_activity": 1}]});
    thread::scope(|scope| {
        let diagnosis = scope.spawn(|| api.get("/diagnostics"));
        wait_for_file(&api.workspace.path(".stand-in/started"));
        // More long requests than the machine has cores, all waiting in the queue.
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| api.get("/scoring"))).collect();
        for _ in 0..50 {
            api.predict(&clients).ok();
            api.predict(&json!({"filepath": "testdata/testdata.csv"})).ok();
            api.post("", "text/csv", testkit::HEADER.as_bytes()).ok();
        }
        api.workspace.write(".stand-in/go", "");
        // If predictions had to wait for the diagnosis, cargo would have been aborted before it was allowed to
        // continue.
        assert_eq!(*latest_serde(&diagnosis.join().unwrap().ok()), "99.0.0");
        for answer in waiting {
            answer.join().unwrap().ok();
        }
    });
}

/// A cargo script that takes a moment, and leaves a file if another instance is running.
const BUSY_CARGO: &str = "folder=$(dirname \"$0\")
mkdir \"$folder/running\" || touch \"$folder/two-at-once\"
touch \"$folder/started\"
sleep 0.4
rmdir \"$folder/running\"
echo >> \"$folder/ended\"
exit 1";

/// Waits until `n` diagnoses were made, and checks that no two were made at the same time.
fn check_one_at_a_time(api: &Api, n: usize) {
    let inside = |name: &str| api.workspace.path(".stand-in").join(name);
    wait_until("all have ended", || fs::read_to_string(inside("ended")).is_ok_and(|ended| ended.len() == n));
    assert!(!inside("two-at-once").exists(), "two long answers were made at once");
}

#[test]
fn long_answers_are_made_one_at_a_time() {
    let api = Api::with_cargo(BUSY_CARGO);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| api.get("/diagnostics").ok());
        }
    });
    check_one_at_a_time(&api, 3);
}

#[test]
fn a_client_that_hangs_up_does_not_let_the_next_long_answer_begin() {
    let api = Api::with_cargo(BUSY_CARGO);
    // The unread answer to the first request makes closing the connection a reset, which the service notices.
    let mut impatient = api.connect();
    impatient
        .write_all(
            b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\nGET /diagnostics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        .unwrap();
    wait_for_file(&api.workspace.path(".stand-in/started"));
    drop(impatient);
    api.get("/diagnostics").ok();
    check_one_at_a_time(&api, 2);
}

#[test]
fn sigterm_lets_a_running_request_finish_and_ends_with_0() {
    // Longer than a server that aborts running requests would need, and well within the granted time.
    let mut api = Api::with_cargo(&waiting_cargo("sleep 1.5"));
    let mut running = api.connect();
    running.write_all(b"GET /diagnostics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    wait_for_file(&api.workspace.path(".stand-in/started"));
    terminate(api.server.child.id());
    wait_until("no new connection is accepted", || TcpStream::connect(api.address()).is_err());
    api.workspace.write(".stand-in/go", "");
    let answer = read_answer(&mut running);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("99.0.0"), "{answer}");
    assert!(api.server.child.wait().unwrap().success());
}

#[test]
fn it_stops_by_itself_on_sigterm_on_sigint_and_with_its_stdin() {
    for how in ["-TERM", "-INT", "stdin"] {
        let mut api = Api::deployed();
        api.check_alive();
        match how {
            "stdin" => drop(api.server.child.stdin.take()),
            signal => {
                let id = api.server.child.id();
                Command::new("/bin/sh").args(["-c", &format!("kill {signal} {id}")]).status().unwrap();
            }
        }
        assert!(api.server.child.wait().unwrap().success(), "{how}");
    }
}

/// Starts the service with the given `arguments`; returns it and the first line that it prints.
fn listen(workspace: &Workspace, arguments: &[&str]) -> (Child, String) {
    let mut app = workspace.command_without_cargo("app");
    let mut app = app.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(app.stdout.take().unwrap()).read_line(&mut said).unwrap();
    (app, said.trim_end().to_owned())
}

/// Requests a page at the address that the line `said` contains.
fn check_listening(said: &str) {
    let url = said.strip_prefix("listening on ").unwrap_or_else(|| panic!("{said:?}"));
    let status =
        ureq::get(format!("{url}/nothing")).config().http_status_as_error(false).build().call().unwrap().status();
    assert_eq!(status, 404);
}

#[test]
fn a_server_that_is_killed_leaves_nothing_that_hinders_the_next() {
    let workspace = Workspace::new();
    // No other test uses a port of this address.
    let (mut first, said) = listen(&workspace, &["--bind", "127.0.0.7:0"]);
    check_listening(&said);
    first.kill().unwrap();
    first.wait().unwrap();
    let address = said.rsplit('/').next().unwrap();
    let (mut second, said_next) = listen(&workspace, &["--bind", address]);
    assert_eq!(said_next, said);
    check_listening(&said_next);
    terminate(second.id());
    assert!(second.wait().unwrap().success());
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let api = Api::deployed();
    let error = api.workspace.fail("app", &["--bind", api.address()]);
    assert!(error.contains(api.address()) && error.contains("--bind"), "{error}");
    api.check_alive();
}

#[test]
fn it_listens_where_the_config_says_unless_it_is_told_otherwise() {
    let mut workspace = Workspace::new();
    workspace.set("bind", json!("127.0.0.8:0"));
    for (arguments, address) in [(&[][..], "127.0.0.8:"), (&["--bind", "127.0.0.6:0"], "127.0.0.6:")] {
        let (mut app, said) = listen(&workspace, arguments);
        assert!(said.starts_with(&format!("listening on http://{address}")), "{said}");
        check_listening(&said);
        terminate(app.id());
        assert!(app.wait().unwrap().success());
    }
}

#[test]
fn wrong_usage_ends_with_2_and_a_wrong_config_with_1() {
    let workspace = Workspace::new();
    for arguments in [&["--bind", "localhost"][..], &["--bind"], &["--port", "1"]] {
        assert_eq!(workspace.output("app", arguments).status.code(), Some(2), "{arguments:?}");
    }
    workspace.write("config.json", "{}");
    let error = workspace.fail("app", &["--bind", "127.0.0.1:0"]);
    assert!(error.contains("config.json") && error.contains("input_folder_path"), "{error}");
}
