//! Access rules, and protection of clients from each other.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Server, Workspace};

use crate::helpers::{Answer, Api, read_answer, wait_for_file, wait_until};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn with_a_token_nobody_else_learns_anything_but_whether_it_is_well() {
    let mut workspace = Workspace::with_data();
    workspace.write("token", &format!("{TOKEN}\n"));
    workspace.set("api_token_file", json!("token"));
    workspace.deploy();
    let api = Api::of(workspace);
    for page in ["/", "/clients/a0", "/scoring", "/metrics", "/openapi.json", "/docs/", "/assets/page.js", "/nothing"] {
        let answer = api.get(page);
        api.check_problem(page, &answer, 401, &["token", "Bearer"]);
        let ways: Vec<_> = answer.headers.get_all("www-authenticate").iter().map(|way| way.to_str().unwrap()).collect();
        assert!(ways.len() == 2 && ways[0] == "Bearer" && ways[1].starts_with("Basic "), "{ways:?}");
    }
    api.check_problem("prediction", &api.predict(&json!({"rows": [{}]})), 401, &["token"]);
    for open in ["/health/live", "/health/ready"] {
        api.get(open).ok();
    }
    let ask = |authorization: &str| {
        let request = ureq::get(format!("{}/scoring", api.server.url)).header("authorization", authorization);
        request.config().http_status_as_error(false).build().call().unwrap().status().as_u16()
    };
    assert_eq!(ask(&format!("Bearer {TOKEN}")), 200);
    // Base64 of "anna:" and the token, as a browser sends it.
    assert_eq!(ask("Basic YW5uYTowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg=="), 200);
    for wrong in ["Bearer 0123456789abcdef0123456789abcdee", "Bearer ", "Basic YW5uYTo=", "nonsense"] {
        assert_eq!(ask(wrong), 401, "{wrong}");
    }
}

/// Returns the status of a request, with an optional token, to a service that other machines can reach and that was
/// started with `arguments`.
fn asked_from_elsewhere(workspace: &Workspace, arguments: &[&str], token: Option<&str>) -> u16 {
    let mut app = workspace.command_without_cargo("app");
    app.args(["--bind", "0.0.0.0:0"]).args(arguments).env("RISK_TOKEN", TOKEN);
    let server = Server::logging(&mut app, "none");
    let mut request = ureq::get(format!("{}/scoring", server.url.replace("0.0.0.0", "127.0.0.1")));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.config().http_status_as_error(false).build().call().unwrap().status().as_u16()
}

#[test]
fn other_machines_are_let_in_only_with_a_token_or_when_none_is_wanted() {
    let mut workspace = Workspace::with_data();
    workspace.deploy();
    let refused = workspace.fail("app", &["--bind", "0.0.0.0:0"]);
    for part in ["0.0.0.0:0", "api_token", "--no-auth", "config.json"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(asked_from_elsewhere(&workspace, &["--no-auth"], None), 200);
    workspace.set("api_token", json!("${RISK_TOKEN}"));
    for (arguments, token, status) in [(&[][..], None, 401), (&[], Some(TOKEN), 200), (&["--no-auth"], None, 200)] {
        assert_eq!(asked_from_elsewhere(&workspace, arguments, token), status, "{arguments:?}");
    }
    let missing = workspace.command_without_cargo("app").args(["--bind", "127.0.0.1:0"]).output().unwrap();
    let missing = String::from_utf8(missing.stderr).unwrap();
    assert!(missing.contains("no variable RISK_TOKEN"), "{missing}");
}

#[test]
fn every_answer_tells_the_browser_to_be_careful() {
    let api = Api::deployed();
    for page in ["/", "/clients/a0", "/scoring", "/nothing", "/health/live", "/assets/page.css"] {
        let answer = api.get(page);
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{page}: {policy}");
        for (header, value) in
            [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("referrer-policy", "same-origin")]
        {
            assert_eq!(answer.header(header), value, "{page}");
        }
        let kept = if page.starts_with("/assets") { "max-age=3600" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), kept, "{page}");
    }
}

/// A cargo script that records each call.
const COUNTING_CARGO: &str = "echo >> \"$(dirname \"$0\")/asked\"\nexit 1";

#[test]
fn a_young_diagnosis_is_shared_and_says_its_age() {
    let api = Api::sharing(COUNTING_CARGO, 3600.0);
    let asked = || fs::read_to_string(api.workspace.path(".stand-in/asked")).map_or(0, |lines| lines.len());
    let first = api.get("/diagnostics");
    assert_eq!((first.header("age"), asked()), ("0", 1));
    thread::sleep(Duration::from_millis(1100));
    let mut second = api.get("/diagnostics").ok();
    assert!(second["age_seconds"].as_u64().unwrap() >= 1, "{second}");
    second["age_seconds"] = json!(0);
    assert_eq!((second, asked()), (first.ok(), 1));
    let score = api.get("/scoring").ok();
    api.workspace.csv("testdata/more.csv", &testkit::rows("m", 4, false));
    assert_eq!(api.get("/scoring").ok()["n"], score["n"], "a young score was not shared");
    // A score of another release is not shared.
    api.workspace.run("deployment", &[]);
    assert_eq!(api.get("/scoring").ok()["n"], json!(12));
}

#[test]
fn who_waits_for_a_diagnosis_gets_the_one_that_is_made_meanwhile() {
    let slow = format!("touch \"$(dirname \"$0\")/started\"\nsleep 0.5\n{COUNTING_CARGO}");
    let api = Api::sharing(&slow, 3600.0);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| api.get("/diagnostics"))).collect();
        let answers: Vec<Answer> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
        answers.iter().for_each(|answer| drop(answer.ok()));
    });
    assert_eq!(fs::read_to_string(api.workspace.path(".stand-in/asked")).unwrap().len(), 1);
}

#[test]
fn a_queue_that_is_full_is_answered_with_503_and_when_to_come_again() {
    let waiting = "folder=$(dirname \"$0\")\ntouch \"$folder/started\"\n\
                   while [ -d \"$folder\" -a ! -e \"$folder/go\" ]; do sleep 0.01; done\nexit 1";
    let api = Api::with_cargo(waiting);
    thread::scope(|scope| {
        let first = scope.spawn(|| api.get("/diagnostics"));
        wait_for_file(&api.workspace.path(".stand-in/started"));
        // One more than may wait; the last one to arrive is refused.
        let (send, receive) = std::sync::mpsc::channel();
        for _ in 0..33 {
            let (api, send) = (&api, send.clone());
            scope.spawn(move || send.send(api.get("/scoring")).unwrap());
        }
        let refused = receive.recv().unwrap();
        api.check_problem("one too many", &refused, 503, &["wait", "again"]);
        assert_eq!(refused.header("retry-after"), "5");
        api.check_alive();
        api.workspace.write(".stand-in/go", "");
        first.join().unwrap().ok();
        for answer in receive.iter().take(32) {
            answer.ok();
        }
    });
}

#[test]
fn a_body_that_comes_too_slowly_is_given_up_and_hinders_nobody() {
    let api = Api::deployed();
    let head = |length: usize| {
        format!(
            "POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // More clients than may send large bodies at the same time; as their bodies do not arrive, they hold no permits.
    let mut slow: Vec<TcpStream> = (0..20)
        .map(|i| {
            let mut stream = api.connect();
            stream.write_all((head(1 << 20) + testkit::HEADER).as_bytes()).unwrap();
            if i < 18 {
                stream.write_all("a,1,2,3,0\n".repeat(10_000).as_bytes()).unwrap();
            }
            stream
        })
        .collect();
    let clock = Instant::now();
    api.check_alive();
    api.predict(&json!({"filepath": "testdata/testdata.csv"})).ok();
    api.post("", "text/csv", format!("{}a,1,2,3,0\n", testkit::HEADER).as_bytes()).ok();
    assert!(clock.elapsed() < Duration::from_secs(5), "the others had to wait");
    let answers: Vec<String> = slow.iter_mut().map(read_answer).collect();
    let count =
        |status: &str| answers.iter().filter(|answer| answer.starts_with(&format!("HTTP/1.1 {status} "))).count();
    assert_eq!((count("408"), count("503")), (18, 2), "{answers:?}");
    assert!(
        answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 408")).all(|answer| answer.contains("too slowly"))
    );
    api.check_alive();
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_waiting() {
    const IDLE: usize = 10_000;
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(files > IDLE as u64 + 500, "this test needs {IDLE} open files, the system grants {files}");
    let api = Api::deployed();
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|_| {
            // The service may accept connections more slowly than the backlog fills.
            let mut made = None;
            wait_until("a connection is made", || {
                made = TcpStream::connect(api.address()).ok();
                made.is_some()
            });
            made.unwrap()
        })
        .collect();
    let clock = Instant::now();
    for _ in 0..20 {
        api.check_alive();
    }
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
    drop(idle);
    api.check_alive();
}

#[test]
fn it_listens_in_several_places_and_on_a_unix_socket() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let socket = workspace.path("risk.sock");
    let bind = format!("unix:{}", socket.display());
    let listen = || {
        let mut app = workspace.command_without_cargo("app");
        app.args(["--bind", "127.0.0.1:0", "--bind", &bind, "--log-format", "none", "--workers", "2"]);
        let mut child = app.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let lines = [said.next().unwrap().unwrap(), said.next().unwrap().unwrap()];
        assert!(
            lines[0].starts_with("listening on http://127.0.0.1:") && lines[1].ends_with("/risk.sock"),
            "{lines:?}"
        );
        child
    };
    let ask = || {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /scoring HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    let mut first = listen();
    ask();
    let refused = workspace.fail("app", &["--bind", &bind]);
    assert!(refused.contains("risk.sock") && refused.contains("another server"), "{refused}");
    ask();
    // A socket that a killed server has left is taken over; any other file is not.
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(socket.exists());
    let mut second = listen();
    ask();
    let status = std::process::Command::new("kill").args(["-TERM", &second.id().to_string()]).status().unwrap();
    assert!(status.success() && second.wait().unwrap().success());
    assert!(!socket.exists());
    workspace.write("risk.sock", "somebody's notes");
    let refused = workspace.fail("app", &["--bind", &bind]);
    assert!(refused.contains("not a socket"), "{refused}");
    assert_eq!(workspace.text("risk.sock"), "somebody's notes");
}
