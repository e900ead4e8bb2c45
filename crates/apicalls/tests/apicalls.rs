//! The client: against the real service, and against servers that answer what a client must not keep.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};
use testkit::Workspace;

const CALLS: [&str; 6] = [
    "POST /prediction",
    "GET /scoring",
    "GET /summarystats",
    "GET /diagnostics",
    "GET /calllist",
    "GET /history?what=runs&last=50",
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
    for call in CALLS {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(call)).collect();
        assert!(lines.len() == 1 && lines[0].contains("\"answer\":"), "{call}: {lines:?}");
    }

    let [prediction, scoring, statistics, diagnosis] = [0, 1, 2, 3].map(|i| &calls[i]["answer"]);
    assert_eq!(prediction["predictions"], json!([0, 1, 0, 1, 0, 1, 0, 1])); // the test file's rows
    assert_eq!(*scoring, workspace.run_json("scoring", &["--deployed"]));
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
    check_refused(&workspace, &url, "a server that is away", &[&url, "POST /prediction", "is the app running there?"]);
}

#[test]
fn a_wrong_answer_fails_the_run_with_what_the_server_said() {
    let workspace = deployed();
    let release = live(&workspace);
    let good = json!({"model": release, "predictions": []}).to_string();
    let problem = r#"{"type": "about:blank", "title": "no", "status": 500, "detail": "the disk is on fire"}"#;
    let page = "<html><body>Bad gateway, says the proxy</body></html>";
    let long = format!("<html>{}the end</html>", "x".repeat(100_000));
    let another = r#"{"model": "20200101T000000Z-other", "predictions": []}"#;
    let cases: &[(&str, usize, &str, &str, &[&str])] = &[
        ("a problem document", 0, "500 Internal Server Error", problem, &["500", "the disk is on fire"]),
        ("a problem at the last call", 3, "503 Service Unavailable", problem, &["503", "the disk is on fire"]),
        ("a page that says no", 1, "404 Not Found", page, &["404", "says the proxy"]),
        ("an endless page that says no", 2, "500 Internal Server Error", &long, &["500", "xxx"]),
        ("a page as the answer", 2, "200 OK", page, &["not JSON", "says the proxy"]),
        ("an endless page as the answer", 0, "200 OK", &long, &["not JSON", "xxx"]),
        ("half an answer", 1, "200 OK", &good[..good.len() - 1], &["not JSON"]),
        ("an empty answer", 3, "200 OK", "", &["not JSON"]),
        ("two answers", 0, "200 OK", "{} {}", &["not JSON"]),
        ("another release's prediction", 0, "200 OK", another, &["20200101T000000Z-other", &release]),
        ("another release's score", 1, "200 OK", another, &["20200101T000000Z-other", &release]),
    ];
    for (what, wrong, status, answer, parts) in cases {
        let (good, status, answer) = (good.clone(), (*status).to_owned(), (*answer).to_owned());
        let wrong_call = CALLS[*wrong];
        let url = stub(move |call, stream| match call == wrong_call {
            true => respond(stream, &status, &answer),
            false => respond(stream, "200 OK", &good),
        });
        let parts = [&[wrong_call, &url], *parts].concat();
        let error = check_refused(&workspace, &url, what, &parts);
        assert!(error.len() < 1000, "{what}: the message is endless: {error}");
    }
}

#[test]
fn an_answer_that_names_no_release_is_nobodys() {
    // Some other program's JSON service at that address, say.
    let workspace = deployed();
    for answer in ["{}", "[]", r#"{"status": "ok"}"#, r#"{"model": null}"#] {
        let url = stub(move |_, stream| respond(stream, "200 OK", answer));
        check_refused(&workspace, &url, answer, &["POST /prediction", &live(&workspace)]);
    }
}

#[test]
fn a_server_that_hangs_up_fails_the_run_and_leaves_the_earlier_answers() {
    let workspace = deployed();
    let url = stub(|_, stream| drop(stream));
    check_refused(&workspace, &url, "no answer", &["POST /prediction", &url]);
    let url =
        stub(|_, mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"model\"").unwrap());
    check_refused(&workspace, &url, "an answer that is cut short", &["POST /prediction", &url]);
    let url = stub(|_, mut stream| stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").unwrap());
    check_refused(&workspace, &url, "another protocol", &["POST /prediction", &url]);
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
        check_refused(&workspace, url, url, &["POST /prediction"]);
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

fn respond(mut stream: TcpStream, status: &str, body: &str) {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").unwrap();
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
