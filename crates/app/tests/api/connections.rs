//! Connections: how long each may wait, which answers belong to which requests, and how they end when the service
//! stops.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::json;
use testkit::{Server, Workspace};

use crate::helpers::{Api, read_answer, wait_for_file, wait_until};
use crate::raw_sockets::statuses;

const CHUNKED: &str = "POST /prediction HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n";
const HEALTH: &str = "GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

fn send(api: &Api, text: &str) -> TcpStream {
    let mut stream = api.connect();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

#[test]
fn every_wait_for_a_client_ends() {
    let mut workspace = Workspace::with_data();
    workspace.write("token", "0123456789abcdef0123456789abcdef");
    workspace.set("api_token_file", json!("token"));
    workspace.deploy();
    let guarded = Api::of(workspace);
    let api = Api::deployed();
    let trickle = |mut stream: TcpStream, piece: &str| {
        wait_until("the service hangs up", || {
            thread::sleep(std::time::Duration::from_millis(200));
            stream.write_all(piece.as_bytes()).is_err()
        });
    };
    thread::scope(|scope| {
        // The request is refused before its body has arrived, and the rest is discarded.
        scope.spawn(|| trickle(send(&guarded, CHUNKED), "1\r\nx\r\n"));
        scope.spawn(|| trickle(send(&api, &CHUNKED.replace("POST /prediction", "GET /health/live")), "1\r\nx\r\n"));
        // A body that arrives too slowly, and one that does not arrive at all.
        scope.spawn(|| trickle(send(&api, CHUNKED), "1\r\nx\r\n"));
        scope.spawn(|| {
            let answer = read_answer(&mut send(&api, &format!("{CHUNKED}1\r\nx\r\n")));
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too slowly"), "{answer}");
        });
        // Half a head after a complete request, immediately and later, with nothing after it.
        scope.spawn(|| {
            let answer = read_answer(&mut send(&api, &format!("{HEALTH}GET /health")));
            assert_eq!(statuses(&answer), ["200", "408"], "{answer}");
        });
        scope.spawn(|| trickle(send(&api, &format!("{HEALTH}GET /")), "x"));
        scope.spawn(|| assert_eq!(statuses(&read_answer(&mut send(&api, HEALTH))), ["200"]));
        scope.spawn(|| assert_eq!(read_answer(&mut api.connect()), ""));
        // A client that sends a request and does not read the answer.
        scope.spawn(|| {
            let mut stream = api.connect();
            stream.set_nonblocking(true).unwrap();
            let ask = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
            wait_until("the service hangs up", || match stream.write(ask) {
                Ok(_) => false,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            });
        });
    });
    api.check_alive();
}

#[test]
fn an_answer_to_head_has_no_body_and_leaves_the_others_alone() {
    let api = Api::deployed();
    let ask = |method: &str, page: &str, end: &str| format!("{method} {page} HTTP/1.1\r\nHost: 127.0.0.1\r\n{end}\r\n");
    let requests = ask("GET", "/health/live", "")
        + &ask("HEAD", "/health/live", "")
        + &ask("GET", "/health/live", "")
        + &ask("HEAD", "/nothing", "")
        + &ask("HEAD", "/scoring", "")
        + &ask("GET", "/health/live", "Connection: close\r\n");
    let answers = api.raw(requests.as_bytes());
    assert_eq!(statuses(&answers), ["200", "405", "200", "404", "405", "200"], "{answers}");
    for (answer, has_body) in answers.split("HTTP/1.1 ").skip(1).zip([true, false, true, false, false, true]) {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert!(length.parse::<usize>().unwrap() > 0, "{answer}");
        assert_eq!(body, if has_body { r#"{"status":"alive"}"# } else { "" }, "{answer}");
    }
}

#[test]
fn a_chunk_of_no_size_is_refused_with_a_problem() {
    let api = Api::deployed();
    for chunk in ["zz\r\n", "-1\r\nx\r\n", "ffffffffffffffffffff\r\nx", "1\r\nxy\r\n"] {
        let answer = api.raw(format!("{CHUNKED}{chunk}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("the body cannot be read"), "{chunk}: {answer}");
    }
}

#[test]
fn bodies_that_are_only_announced_keep_no_large_one_waiting() {
    let api = Api::deployed();
    let announced: Vec<TcpStream> = (0..40)
        .map(|i| match i % 2 {
            0 => send(&api, CHUNKED),
            _ => send(&api, &CHUNKED.replace("Transfer-Encoding: chunked", "Content-Length: 1000000")),
        })
        .collect();
    let rows = "{\"lastmonth_activity\": 1},".repeat(10_000);
    let body = format!("{{\"rows\": [{}]}}", rows.trim_end_matches(','));
    api.post("", "application/json", body.as_bytes()).ok();
    let table = format!("{}{}", testkit::HEADER, "a,1,2,3,0\n".repeat(20_000));
    api.post("", "text/csv", table.as_bytes()).ok();
    drop(announced);
}

/// Locks the database of a workspace until the returned value is dropped, as another writing process would.
pub fn lock_database(api: &Api) -> fs::File {
    let file = OpenOptions::new().read(true).write(true).open(api.workspace.path("history.sqlite")).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

#[test]
fn a_locked_database_keeps_no_page_waiting() {
    let api = Api::deployed();
    let lock = lock_database(&api);
    let clock = std::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let page = api.get("/");
                assert_eq!(page.status, 200);
                assert!(page.text.contains("of 60 current clients"), "{}", page.text);
            });
            scope.spawn(|| api.check_problem("history", &api.get("/history"), 503, &["history cannot be read"]));
            scope.spawn(|| assert_eq!(api.get("/metrics").status, 200));
        }
    });
    // The driver would wait for 60 s in each of these requests.
    assert!(clock.elapsed() < std::time::Duration::from_secs(30), "{:?}", clock.elapsed());
    drop(lock);
    wait_until("the history is read again", || api.get("/history").status == 200);
}

#[test]
fn a_release_that_is_slow_to_load_keeps_nobody_waiting() {
    let api = Api::deployed();
    api.workspace.deploy();
    let releases = api.workspace.path("production_deployment/releases");
    let current = fs::canonicalize(api.workspace.path("production_deployment/current")).unwrap();
    let slow = releases.join("99991231T000000000Z-slow");
    Command::new("cp").arg("-r").arg(&current).arg(&slow).status().unwrap();
    // Reading this file blocks until another process writes to it.
    let model: PathBuf = slow.join("trainedmodel.bin");
    fs::remove_file(&model).unwrap();
    assert!(Command::new("mkfifo").arg(&model).status().unwrap().success());
    let (link, new) = (api.workspace.path("production_deployment/current"), api.workspace.path("new"));
    std::os::unix::fs::symlink("releases/99991231T000000000Z-slow", &new).unwrap();
    fs::rename(&new, &link).unwrap();
    thread::scope(|scope| {
        let waiting = [scope.spawn(|| api.get("/health/ready")), scope.spawn(|| api.get("/scoring"))];
        let opened = scope.spawn(|| OpenOptions::new().write(true).open(&model).unwrap());
        for _ in 0..20 {
            api.get("/health/live").ok();
        }
        drop(opened.join().unwrap());
        waiting.into_iter().for_each(|waiting| drop(waiting.join().unwrap()));
    });
    api.check_alive();
}

#[test]
fn a_short_answer_needs_no_temporary_file() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let mut app = workspace.command_without_cargo("app");
    app.args(["--bind", "127.0.0.1:0"]).env("TMPDIR", workspace.path("no such folder"));
    let server = Server::logging(&mut app, "none");
    let table = format!("{}{}", testkit::HEADER, "a,1,2,3,0\n".repeat(5000));
    let mut answer = ureq::post(format!("{}/prediction", server.url))
        .header("content-type", "text/csv")
        .header("accept", "text/csv")
        .send(table)
        .unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap().lines().count(), 5001);
}

fn terminate(id: u32) {
    assert!(Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap().success());
}

#[test]
fn requests_that_were_sent_before_sigterm_are_answered() {
    let mut api = Api::deployed();
    let two = format!("{HEALTH}{}", HEALTH.replace("live", "ready"));
    // Connections that an earlier request has kept open, and connections made a moment ago.
    let mut streams: Vec<TcpStream> = (0..50).map(|_| send(&api, HEALTH)).collect();
    for stream in &mut streams {
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    }
    streams.extend((0..50).map(|_| api.connect()));
    for stream in &mut streams {
        stream.write_all(two.as_bytes()).unwrap();
    }
    terminate(api.server.child.id());
    for (i, stream) in streams.iter_mut().enumerate() {
        let answer = read_answer(stream);
        assert!(answer.matches("\"status\":").count() >= 2 && answer.contains("\"ready\""), "{i}: {answer}");
    }
    assert!(api.server.child.wait().unwrap().success());
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let waiting = "folder=$(dirname \"$0\")\ntouch \"$folder/started\"\n\
                   while [ -d \"$folder\" -a ! -e \"$folder/go\" ]; do sleep 0.01; done";
    let mut api = Api::with_cargo(waiting);
    let mut running = send(&api, &HEALTH.replace("/health/live", "/diagnostics"));
    wait_for_file(&api.workspace.path(".stand-in/started"));
    terminate(api.server.child.id());
    wait_until("no new connection is accepted", || TcpStream::connect(api.address()).is_err());
    terminate(api.server.child.id());
    assert!(api.server.child.wait().unwrap().success());
    api.workspace.write(".stand-in/go", "");
    let mut answer = String::new();
    let _ = running.read_to_string(&mut answer);
    assert_eq!(answer, "");
}
