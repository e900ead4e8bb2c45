//! The client against the real service, and against servers whose answers a client must reject.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::config::service::{CHALLENGE_HEADER, PROOF_HEADER};
use serde_json::{Value, json};
use testkit::Workspace;

const CALLS: [&str; 26] = [
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
    "GET /clients",
    "GET /clients/a26",
    "GET /model",
    "GET /terms",
    "GET /openapi.json",
    "GET /docs/",
    "GET /metrics",
    "GET /v2",
    "GET /v2/health/live",
    "GET /v2/health/ready",
    "GET /v2/models/risk",
    "GET /v2/models/risk/ready",
    "POST /v2/models/risk/infer",
    "GET /v2/models/risk/versions/RELEASE",
    "GET /v2/models/risk/versions/RELEASE/ready",
    "POST /v2/models/risk/versions/RELEASE/infer",
];
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const EARLIER: &str = "what an earlier run has written";

fn deployed() -> Workspace {
    let workspace = Workspace::with_data();
    workspace.deploy();
    workspace
}

fn live(workspace: &Workspace) -> String {
    common::production::release::Production::of(&workspace.config()).live().unwrap().id
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
    let expected = CALLS.map(|call| call.replace("RELEASE", &live(&workspace)));
    assert_eq!(calls.iter().map(|call| &call["call"]).collect::<Vec<_>>(), expected.each_ref());
    assert!(calls.iter().all(|call| call["status"] == 200), "{kept}");

    // One call per line, for readers who use grep.
    let text = workspace.text("practicemodels/apireturns.txt");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("\"answer\":")).collect();
    assert_eq!(lines.len(), CALLS.len());
    for (line, call) in lines.iter().zip(&expected) {
        assert!(line.contains(&format!("{{\"call\":\"{call}\"")), "{call}: {line}");
    }

    let [ready, prediction, table, scoring, statistics, diagnosis] = [1, 2, 3, 4, 5, 6].map(|i| &calls[i]["answer"]);
    assert_eq!(ready["release"], kept["release"]);
    assert_eq!(prediction["predictions"], json!([0, 1, 0, 1, 0, 1, 0, 1])); // the rows of the test file
    assert!(
        table.as_str().unwrap().starts_with("corporation,prediction,probability,imputed\nsomebody unknown,"),
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
fn a_table_with_columns_of_its_own_is_called_like_any_other() {
    let mut workspace = Workspace::new();
    let predictors = json!(["a \"quoted\", name", {"name": "kind", "kind": "category"}]);
    workspace.set("columns", json!({"id": "customer, no.", "target": "left", "predictors": predictors}));
    let table = |prefix: &str, rows: u32| {
        let row = |i| format!("{prefix}{i},{},{},{}\n", i % 7, ["x", "y"][i as usize % 2], u32::from(i % 7 > 3));
        let rows: String = (0..rows).map(row).collect();
        format!("\"customer, no.\",\"a \"\"quoted\"\", name\",kind,left\n{rows}")
    };
    workspace.write("practicedata/first.csv", &table("c", 60));
    workspace.write("testdata/test.csv", &table("t", 8));
    workspace.deploy();
    let server = workspace.serve();
    let said = workspace.run_json("apicalls", &["--url", &server.url]);
    let calls = said["calls"].as_array().unwrap();
    assert!(calls.iter().all(|call| call["status"] == 200), "{said}");
    let table = calls[3]["answer"].as_str().unwrap();
    assert!(table.starts_with("corporation,prediction,probability,imputed,unseen\nsomebody unknown,"), "{table}");
    assert!(table.ends_with(",\"\"\"a \"\"\"\"quoted\"\"\"\", name\"\" kind\",\n"), "{table}");
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
    // A port that was free a moment ago, on an address that no other test uses.
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
    let (prediction, scoring) = ("POST /prediction", "GET /scoring");
    let (statistics, diagnosis) = ("GET /summarystats", "GET /diagnostics");
    let cases: &[(&str, &str, &str, &str, &[&str])] = &[
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
        let wrong_call = *wrong;
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
    // The service of another workspace at that address, or another program.
    let workspace = deployed();
    let release = live(&workspace);
    let url = stub(|_, stream| respond(stream, "200 OK", "{}", ""));
    check_refused(&workspace, &url, "no release", &["POST /prediction", "an unnamed release", &release]);
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
    let error = check_refused(&workspace, &server.url, "another token", &["does not prove", &server.url]);
    assert!(!error.contains("anotherthan"), "{error}");
    // A service that requires no token still proves its identity.
    workspace.write("token", "0123456789abcdef");
    let open = testkit::Server::start(workspace.command_without_cargo("app").arg("--no-auth"));
    workspace.run("apicalls", &["--url", &open.url]);
}

#[test]
fn a_listener_that_does_not_hold_the_token_never_sees_it() {
    let mut workspace = deployed();
    workspace.write("token", TOKEN);
    workspace.set("api_token_file", json!("token"));
    let server = workspace.serve();
    // A proof that the real service has given before.
    let other = common::config::service::challenge().unwrap();
    let real = ureq::get(format!("{}/health/live", server.url)).header(CHALLENGE_HEADER, &other).call().unwrap();
    let old = real.headers()[PROOF_HEADER].to_str().unwrap().to_owned();
    let with_proof = |proof: String| Answer::text("200 OK", &format!("{PROOF_HEADER}: {proof}\r\n"));
    let (there, zeros) = (server.url.clone(), "0".repeat(64));
    let answers: Vec<(&str, Behaviour, &str)> = vec![
        ("no proof", Box::new(|_| Answer::text("200 OK", "")), "does not prove"),
        ("an invented proof", Box::new(move |_| with_proof(zeros.clone())), "does not prove"),
        (
            "an old proof",
            Box::new(move |_| Answer::text("200 OK", &format!("{PROOF_HEADER}: {old}\r\n"))),
            "does not prove",
        ),
        (
            "the challenge itself",
            Box::new(move |head| {
                let challenge =
                    head.lines().find_map(|line| line.to_lowercase().strip_prefix("x-challenge: ").map(str::to_owned));
                Answer::text("200 OK", &format!("{PROOF_HEADER}: {}\r\n", challenge.unwrap_or_default()))
            }),
            "does not prove",
        ),
        (
            "no password",
            Box::new(|_| Answer::text("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n")),
            "401",
        ),
        (
            "a way to the real service",
            Box::new(move |_| Answer::text("307 Temporary Redirect", &format!("Location: {there}/health/live\r\n"))),
            "307",
        ),
        ("nothing", Box::new(|_| Answer::HangUp), "tried 3 times"),
    ];
    for (what, answer, part) in answers {
        let (url, heard) = impostor(answer);
        let error = check_refused(&workspace, &url, what, &[&url, part]);
        assert!(!error.contains(TOKEN), "{what}: {error}");
        let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
        assert!(heard.contains("GET /health/live"), "{what}: {heard}");
        assert_eq!(heard.contains(CHALLENGE_HEADER), part == "does not prove", "{what}: {heard}");
        assert!(!heard.contains(TOKEN) && !heard.to_lowercase().contains("authorization"), "{what}: {heard}");
    }
}

#[test]
fn the_proof_is_asked_for_before_every_call() {
    let mut workspace = deployed();
    workspace.write("token", TOKEN);
    workspace.set("api_token_file", json!("token"));
    let token = workspace.config().api_token.unwrap().read().unwrap();
    let release = live(&workspace);
    // The impostor proves the token once, like a service that stops afterwards; then another program takes over its
    // address.
    let proofs = AtomicUsize::new(0);
    let (url, heard) = impostor(move |head| {
        let challenge =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("x-challenge: ").map(str::to_owned));
        let proof = challenge.and_then(|challenge| token.proof(&challenge));
        let headers = match proof {
            Some(proof) if proofs.fetch_add(1, Ordering::Relaxed) == 0 => format!("{PROOF_HEADER}: {proof}\r\n"),
            _ => format!("X-Release: {release}\r\n"),
        };
        Answer::text("200 OK", &headers)
    });
    check_refused(&workspace, &url, "a listener that changed", &["does not prove"]);
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    assert_eq!(heard.matches(TOKEN).count(), 1, "{heard}");
}

type Behaviour = Box<dyn Fn(&str) -> Answer + Send>;

/// The reaction of an impostor to a request.
enum Answer {
    Text(String),
    HangUp,
}

impl Answer {
    fn text(status: &str, headers: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Type: application/json\r\nConnection: close");
        Self::Text(format!("{head}\r\nContent-Length: 2\r\n\r\n{{}}"))
    }
}

/// A listener that records every received byte; `answer` chooses its reaction from a request's head. Returns its URL
/// and the recorded bytes.
fn impostor(answer: impl Fn(&str) -> Answer + Send + 'static) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all = heard.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            let head = loop {
                let length = stream.read(&mut piece).unwrap_or(0);
                request.extend_from_slice(&piece[..length]);
                let text = String::from_utf8_lossy(&request).into_owned();
                if length == 0 || text.contains("\r\n\r\n") {
                    break text;
                }
            };
            all.lock().unwrap().extend(&request);
            if let Answer::Text(text) = answer(&head) {
                let _ = stream.write_all(text.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                all.lock().unwrap().extend(&rest);
            }
        }
    });
    (url, heard)
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

/// Checks that the run fails with a message that contains all of `parts`, and that the earlier answers are kept;
/// returns the message.
fn check_refused(workspace: &Workspace, url: &str, what: &str, parts: &[&str]) -> String {
    workspace.write("practicemodels/apireturns.txt", EARLIER);
    let error = workspace.fail("apicalls", &["--url", url]);
    for part in parts {
        assert!(error.contains(part), "{what}: {part:?} is not in {error:?}");
    }
    assert_eq!(workspace.text("practicemodels/apireturns.txt"), EARLIER, "{what}");
    error
}

/// Starts a server that reads each request, passes its method and path to `answer`, and then closes the connection;
/// returns its URL.
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

/// Answers with a JSON body and, unless `release` is empty, with the header that names the release.
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
