//! The client: against the real service, and against servers that answer what a client must not keep.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use testkit::Workspace;

const CALLS: [&str; 14] = [
    "GET /health/live",
    "GET /health/ready",
    "POST /prediction",
    "POST /prediction",
    "GET /scoring",
    "GET /summarystats",
    "GET /diagnostics",
    "GET /calllist",
    "GET /history?what=runs&last=50",
    "GET /",
    "GET /clients/a26",
    "GET /openapi.json",
    "GET /docs/",
    "GET /metrics",
];
const EARLIER: &str = "what an earlier run has written";

fn deployed() -> Workspace {
    let workspace = Workspace::with_data();
    workspace.deploy();
    workspace
}

fn live(workspace: &Workspace) -> String {
    common::release::Production::of(&workspace.config()).live().unwrap().id
}

#[test]
fn the_answers_of_all_endpoints_are_kept_as_one_json_object() {
    let workspace = deployed();
    let server = workspace.serve();
    let said = workspace.run_json("apicalls", &["--url", &server.url]);
    let kept: Value = serde_json::from_slice(&workspace.read("practicemodels/apireturns.txt")).unwrap();
    assert_eq!(kept, said);
    let keys: Vec<_> = kept.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["calls", "release", "url"]);
    assert_eq!((&kept["release"], &kept["url"]), (&json!(live(&workspace)), &json!(server.url)));
    let calls = kept["calls"].as_array().unwrap();
    assert_eq!(calls.iter().map(|call| &call["call"]).collect::<Vec<_>>(), CALLS);
    assert!(calls.iter().all(|call| call["status"] == 200), "{kept}");

    // A call a line, for those who read it with grep.
    let text = workspace.text("practicemodels/apireturns.txt");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("\"answer\":")).collect();
    assert_eq!(lines.len(), CALLS.len());
    for (line, call) in lines.iter().zip(CALLS) {
        assert!(line.contains(&format!("{{\"call\":\"{call}\"")), "{call}: {line}");
    }

    let [ready, prediction, table, scoring, statistics, diagnosis] = [1, 2, 3, 4, 5, 6].map(|i| &calls[i]["answer"]);
    assert_eq!(ready["release"], kept["release"]);
    assert_eq!(prediction["predictions"], json!([0, 1, 0, 1, 0, 1, 0, 1])); // the test file's rows
    assert!(
        table.as_str().unwrap().starts_with("corporation,prediction,probability,filled\nsomebody unknown,"),
        "{table}"
    );
    let mut scored = workspace.run_json("scoring", &["--deployed"]);
    scored["age_seconds"] = json!(0);
    assert_eq!(*scoring, scored);
    assert_eq!(statistics.as_array().unwrap().len(), 4, "{statistics}");
    for part in ["timing_seconds", "missing_percent", "dependencies"] {
        assert!(!diagnosis[part].is_null(), "{part} is not in {diagnosis}");
    }
}

#[test]
fn without_an_address_it_calls_where_the_config_says_that_the_service_listens() {
    let mut workspace = deployed();
    let server = workspace.serve();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    for bind in [address.clone(), address.replace("127.0.0.1", "0.0.0.0")] {
        workspace.set("bind", json!(bind));
        let said = workspace.run_json("apicalls", &[]);
        assert_eq!(said["url"], server.url, "{bind}");
    }
    let slash = format!("{}/", server.url);
    assert_eq!(workspace.run_json("apicalls", &["--url", &slash])["url"], server.url);
}

#[test]
fn a_server_that_is_away_fails_the_run_and_leaves_the_earlier_answers() {
    let workspace = deployed();
    // A port that was free a moment ago, of an address that no other test uses.
    let address = TcpListener::bind("127.0.0.9:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    check_refused(
        &workspace,
        &url,
        "a server that is away",
        &[&url, "GET /health/live", "tried 3 times", "is the app running there?"],
    );
}

#[test]
fn a_wrong_answer_fails_the_run_with_what_the_server_said() {
    let workspace = deployed();
    let release = live(&workspace);
    let good = json!({"model": release, "predictions": []}).to_string();
    let problem = r#"{"type": "about:blank", "title": "no", "status": 500, "detail": "the disk is on fire"}"#;
    let page = "<html><body>Bad gateway, says the proxy</body></html>";
    let long = format!("<html>{}the end</html>", "x".repeat(100_000));
    // The places of the calls in their order.
    let (prediction, scoring, statistics, diagnosis) = (2, 4, 5, 6);
    let cases: &[(&str, usize, &str, &str, &[&str])] = &[
        ("a problem document", prediction, "500 Internal Server Error", problem, &["500", "the disk is on fire"]),
        ("a problem at a late call", diagnosis, "503 Service Unavailable", problem, &["503", "the disk is on fire"]),
        ("a page that says no", scoring, "404 Not Found", page, &["404", "says the proxy"]),
        ("an endless page that says no", statistics, "500 Internal Server Error", &long, &["500", "xxx"]),
        ("a page as the answer", statistics, "200 OK", page, &["not JSON", "says the proxy"]),
        ("an endless page as the answer", prediction, "200 OK", &long, &["not JSON", "xxx"]),
        ("half an answer", scoring, "200 OK", &good[..good.len() - 1], &["not JSON"]),
        ("an empty answer", diagnosis, "200 OK", "", &["not JSON"]),
        ("two answers", prediction, "200 OK", "{} {}", &["not JSON"]),
    ];
    for (what, wrong, status, answer, parts) in cases {
        let (good, status, answer, by) = (good.clone(), (*status).to_owned(), (*answer).to_owned(), release.clone());
        let wrong_call = CALLS[*wrong];
        let url = stub(move |call, stream| match call == wrong_call {
            true => respond(stream, &status, &answer, &by),
            false => respond(stream, "200 OK", &good, &by),
        });
        let parts = [&[wrong_call, &url], *parts].concat();
        let error = check_refused(&workspace, &url, what, &parts);
        assert!(error.len() < 1000, "{what}: the message is endless: {error}");
    }
}

#[test]
fn an_answer_of_another_release_or_of_none_is_not_kept() {
    // Some other workspace's service at that address, or some other program.
    let workspace = deployed();
    let release = live(&workspace);
    let url = stub(|_, stream| respond(stream, "200 OK", "{}", ""));
    check_refused(&workspace, &url, "no release", &["POST /prediction", "nobody knows which", &release]);
    let by = release.clone();
    let url = stub(move |call, stream| {
        let by = if call == "GET /scoring" { "20200101T000000Z-other" } else { &by };
        respond(stream, "200 OK", "{}", by);
    });
    check_refused(&workspace, &url, "another's", &["GET /scoring", "20200101T000000Z-other", &release]);
}

#[test]
fn a_get_is_tried_again_where_the_server_is_busy_and_a_post_is_not() {
    let workspace = deployed();
    let release = live(&workspace);
    for (call, attempts, kept) in
        [("GET /scoring", 2, true), ("GET /scoring", 3, false), ("POST /prediction", 1, false)]
    {
        let (asked, by) = (Arc::new(AtomicUsize::new(0)), release.clone());
        let counted = asked.clone();
        let url = stub(move |asked, stream| {
            if asked == call && counted.fetch_add(1, Ordering::Relaxed) < attempts - usize::from(kept) {
                return busy(stream);
            }
            respond(stream, "200 OK", "{}", &by);
        });
        match kept {
            true => drop(workspace.run("apicalls", &["--url", &url])),
            false => drop(check_refused(&workspace, &url, call, &[call, "503", "too many are asking"])),
        }
        assert_eq!(asked.load(Ordering::Relaxed), attempts, "{call}");
    }
}

fn busy(mut stream: TcpStream) {
    let body = r#"{"detail": "too many are asking"}"#;
    let length = body.len();
    let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
}

#[test]
fn the_token_of_the_config_is_shown() {
    let mut workspace = deployed();
    workspace.write("token", "0123456789abcdef");
    workspace.set("api_token_file", json!("token"));
    let server = workspace.serve();
    workspace.run("apicalls", &["--url", &server.url]);
    workspace.write("token", "another than the service's");
    check_refused(&workspace, &server.url, "no token", &["expected a token"]);
    workspace.write("token", "anotherthantheservices");
    let error = check_refused(&workspace, &server.url, "another token", &["POST /prediction", "401"]);
    assert!(!error.contains("anotherthan"), "{error}");
}

#[test]
fn a_server_that_hangs_up_fails_the_run_and_leaves_the_earlier_answers() {
    let workspace = deployed();
    let url = stub(|_, stream| drop(stream));
    check_refused(&workspace, &url, "no answer", &["GET /health/live", &url]);
    let url =
        stub(|_, mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"model\"").unwrap());
    check_refused(&workspace, &url, "an answer that is cut short", &["GET /health/live", &url]);
    let url = stub(|_, mut stream| stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").unwrap());
    check_refused(&workspace, &url, "another protocol", &["GET /health/live", &url]);
}

#[test]
fn before_the_first_deployment_it_says_what_to_run() {
    let workspace = Workspace::with_data();
    let server = workspace.serve();
    check_refused(&workspace, &server.url, "nothing deployed", &["nothing is deployed", "run fullprocess"]);
}

#[test]
fn an_address_that_is_none_fails_the_run() {
    let workspace = deployed();
    for url in ["", "localhost", "ftp://localhost", "http://", "http://localhost:port"] {
        check_refused(&workspace, url, url, &["GET /health/live"]);
    }
}

/// The run fails with a message that holds all of `parts`, and the earlier answers stay; returns the message.
fn check_refused(workspace: &Workspace, url: &str, what: &str, parts: &[&str]) -> String {
    workspace.write("practicemodels/apireturns.txt", EARLIER);
    let error = workspace.fail("apicalls", &["--url", url]);
    for part in parts {
        assert!(error.contains(part), "{what}: {part:?} is not in {error:?}");
    }
    assert_eq!(workspace.text("practicemodels/apireturns.txt"), EARLIER, "{what}");
    error
}

/// A server that has each request read, its method and path told to `answer`, and the connection closed after that;
/// returns its address.
fn stub(answer: impl Fn(&str, TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(&stream);
            let (mut request, mut length) = (String::new(), 0);
            reader.read_line(&mut request).unwrap();
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                match header.trim().to_lowercase().split_once(':') {
                    Some(("content-length", value)) => length = value.trim().parse().unwrap(),
                    Some(_) => {}
                    None => break,
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            answer(request.trim_end().trim_end_matches(" HTTP/1.1"), stream);
        }
    });
    url
}

/// Answers JSON, of `release` where one is named.
fn respond(mut stream: TcpStream, status: &str, body: &str, release: &str) {
    let length = body.len();
    let release = if release.is_empty() { String::new() } else { format!("X-Release: {release}\r\n") };
    let head = format!("HTTP/1.1 {status}\r\n{release}Content-Type: application/json\r\nConnection: close");
    write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
}

#[test]
fn the_versions_that_the_service_could_name_are_remembered() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let lock = "[[package]]\nname = \"newest\"\nversion = \"0.0.0\"\ndependencies = [\"serde\"]\n\
        [[package]]\nname = \"serde\"\nversion = \"7.0.0\"\nsource = \"registry\"";
    let cargo = format!("cat > Cargo.lock <<'E'\n{lock}\nE");
    let server = testkit::Server::start(&mut workspace.command_with_cargo("app", &cargo));
    workspace.run("apicalls", &["--url", &server.url]);
    let output = workspace.command_without_cargo("diagnostics").arg("--json").output().unwrap();
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    let dependencies = diagnosis["dependencies"].as_array().unwrap();
    let serde = dependencies.iter().find(|dependency| dependency["name"] == "serde").unwrap();
    assert_eq!((&serde["latest"], &serde["last_known"]["version"]), (&json!("unknown"), &json!("7.0.0")));
}
