//! Tests of the heartbeat and of the notifications, with receivers that accept, refuse, fail and hang.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::files::lock::Lock;
use common::production::last_run::LastRun;
use serde_json::{Value, json};
use testkit::tls::{Authority, THIS_MACHINE, Terminator, Validity};
use testkit::{HEADER, Workspace, rows, skipped};

use crate::{bootstrapped, decision, fail, run, workspace};

/// How a receiver answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Accepts,
    Fails,
    Redirects,
    /// Reads the message and never answers.
    Hangs,
    /// Sends one byte of an endless header every few milliseconds.
    Drips,
}

/// A message that has arrived.
#[derive(Clone)]
struct Message {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(key, _)| key == name).expect("no such header").1
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A real HTTP server on a free port.
struct Receiver {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            manner: Arc::new(Mutex::new(Manner::Accepts)),
            messages: Arc::default(),
        };
        let (manner, messages) = (receiver.manner.clone(), receiver.messages.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (manner, messages) = (*manner.lock().unwrap(), messages.clone());
                thread::spawn(move || answer(stream, manner, &messages));
            }
        });
        receiver
    }

    fn url(&self, path: &str) -> Value {
        json!(format!("http://user:secret@127.0.0.1:{}{path}", self.port))
    }

    fn set(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// Returns the messages since the last call.
    fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.messages.lock().unwrap())
    }

    fn targets(&self) -> Vec<String> {
        self.take().into_iter().map(|message| message.target).collect()
    }

    fn types(&self) -> Vec<String> {
        self.take().iter().map(|message| message.json()["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn answer(mut stream: TcpStream, manner: Manner, messages: &Mutex<Vec<Message>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = (&mut reader).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(first) = lines.next() else { return };
    let split = |line: String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(split).collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let target = first.split(' ').nth(1).unwrap().to_owned();
    let body = String::from_utf8(body).unwrap();
    messages.lock().unwrap().push(Message { target, headers, body });
    let _ = match manner {
        Manner::Accepts => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK"),
        Manner::Fails => stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
        Manner::Redirects => stream.write_all(b"HTTP/1.1 301 Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"),
        Manner::Hangs => stream.read(&mut [0]).map(drop), // until the caller gives up
        Manner::Drips => stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").and_then(|()| {
            loop {
                stream.write_all(b"x")?;
                thread::sleep(Duration::from_millis(10));
            }
        }),
    };
}

const SECRET: &str = "whsec_c2VjcmV0LWtleS1mb3ItdGhlLXRlc3RzLW9mLXRoaXM=";

/// Sets the keys of a webhook at `receiver`.
fn notify(workspace: &mut Workspace, receiver: &Receiver) {
    workspace.set("notify_url", receiver.url("/hook/secret"));
    workspace.set("notify_secret", json!(SECRET));
    workspace.set("notify_time_limit", json!(1));
}

fn break_data(workspace: &Workspace) {
    workspace.write("practicedata/broken.csv", &HEADER.replace(",exited", ""));
}

fn mend_data(workspace: &Workspace) {
    fs::remove_file(workspace.path("practicedata/broken.csv")).unwrap();
}

#[test]
fn every_run_sends_its_start_and_its_end_with_the_last_line() {
    let receiver = Receiver::start();
    let mut workspace = workspace();
    workspace.set("heartbeat_url", receiver.url("/ping/secret?create=1"));
    let (first, _) = run(&workspace, &[]);
    let messages = receiver.take();
    let targets: Vec<_> = messages.iter().map(|message| message.target.as_str()).collect();
    assert_eq!(targets, ["/ping/secret/start?create=1", "/ping/secret?create=1"]);
    assert_eq!((messages[0].body.as_str(), messages[1].body.as_str()), ("", first.trim_end()));

    run(&workspace, &[]); // nothing to do is a success
    run(&workspace, &["--dry-run"]); // no run
    workspace.run("scoring", &[]);
    assert_eq!(receiver.targets(), ["/ping/secret/start?create=1", "/ping/secret?create=1"]);

    break_data(&workspace);
    let stderr = fail(&workspace);
    let messages = receiver.take();
    assert_eq!(messages[1].target, "/ping/secret/fail?create=1");
    assert!(stderr.contains(&messages[1].body) && messages[1].body.contains("broken.csv"), "{}", messages[1].body);

    // A run that another one keeps from working is none: if that one hangs, the monitor must notice.
    let lock = Lock::acquire(&workspace.config().production, "fullprocess").unwrap();
    fail(&workspace);
    assert!(receiver.take().is_empty());
    drop(lock);
}

#[test]
fn each_change_is_one_notification() {
    let receiver = Receiver::start();
    let mut workspace = workspace();
    notify(&mut workspace, &receiver);
    let (line, _) = run(&workspace, &[]);
    let messages = receiver.take();
    let expected = json!({"message": line.trim_end(), "release": crate::live(&workspace).id});
    assert_eq!((&messages[0].json()["type"], &messages[0].json()["data"]), (&json!("risk.deployed"), &expected));
    assert_eq!(messages.len(), 1);

    run(&workspace, &[]);
    assert!(receiver.take().is_empty(), "nothing has changed");

    break_data(&workspace);
    fail(&workspace);
    fail(&workspace);
    assert_eq!(receiver.types(), ["risk.failed"]);
    mend_data(&workspace);
    decision(&workspace, "nothing_to_do");
    decision(&workspace, "nothing_to_do");
    assert_eq!(receiver.types(), ["risk.recovered"]);

    workspace.set("promotion", json!("if_better"));
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    assert_eq!(decision(&workspace, "kept")["deployed"], false);
    assert_eq!(receiver.types(), ["risk.drifted", "risk.kept"]);
    workspace.set("promotion", json!("on_drift"));
    workspace.csv("practicedata/dataset4.csv", &rows("d", 40, true));
    assert_eq!(decision(&workspace, "redeployed")["deployed"], true);
    assert_eq!(receiver.types(), ["risk.drifted", "risk.deployed"]);
    assert_eq!(fs::read_dir(workspace.path("production_deployment/notifications")).unwrap().count(), 0);
}

#[test]
fn messages_are_signed_as_standard_webhooks() {
    const VERIFY: &str = "import sys, json\nfrom standardwebhooks.webhooks import Webhook\n\
        secret, headers, body = json.load(sys.stdin)\nWebhook(secret).verify(body, headers)\n\
        try:\n    Webhook(secret).verify(body + ' ', headers)\nexcept Exception:\n    print('verified')";
    if !Command::new("python3").args(["-c", "import standardwebhooks"]).output().is_ok_and(|run| run.status.success()) {
        return skipped("python3 with the package standardwebhooks is not installed");
    }
    let receiver = Receiver::start();
    let mut workspace = workspace();
    notify(&mut workspace, &receiver);
    run(&workspace, &[]);
    let message = receiver.take().remove(0);
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!(message.header(name)))).collect();
    let mut python =
        Command::new("python3").args(["-c", VERIFY]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = json!([SECRET, headers, message.body]).to_string();
    python.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert_eq!(python.wait_with_output().unwrap().stdout, b"verified\n");
}

#[test]
fn a_receiver_that_does_not_accept_changes_nothing_and_gets_the_message_later() {
    let receiver = Receiver::start();
    let mut workspace = bootstrapped();
    notify(&mut workspace, &receiver);
    workspace.set("heartbeat_url", receiver.url("/ping/secret"));
    let mut ids = Vec::new();
    for (manner, words) in [
        (Manner::Fails, "it answered with status 500"),
        (Manner::Redirects, "it answered with status 301"),
        (Manner::Hangs, "no answer within"),
        (Manner::Drips, "no answer within"),
    ] {
        receiver.set(manner);
        break_data(&workspace);
        fail(&workspace);
        mend_data(&workspace);
        let (stdout, stderr) = run(&workspace, &[]);
        assert!(stdout.starts_with("nothing to do"), "{stdout}");
        for key in ["heartbeat_url", "notify_url"] {
            let shown = format!("warning: {key} (http://127.0.0.1:{}): ", receiver.port);
            let warning = stderr.lines().find(|line| line.contains(&shown)).unwrap_or_default();
            assert!(warning.contains(words) && !stderr.contains("secret"), "{key}: {stderr}");
        }
        let hooks = receiver.take().into_iter().filter(|message| message.target.starts_with("/hook"));
        ids.extend(hooks.map(|message| message.header("webhook-id").to_owned()));
    }
    receiver.set(Manner::Accepts);
    run(&workspace, &[]);
    let sent: Vec<_> = receiver.take().into_iter().filter(|message| message.target.starts_with("/hook")).collect();
    let types: Vec<_> = sent.iter().map(|message| message.json()["type"].clone()).collect();
    assert_eq!(types, ["risk.failed", "risk.recovered"].repeat(4), "each once, in order");
    // All attempts so far were for the first one, under the same id.
    assert!(ids.len() >= 4 && ids.iter().all(|id| id == sent[0].header("webhook-id")), "{ids:?}");
    run(&workspace, &[]);
    assert!(receiver.take().iter().all(|message| message.target.starts_with("/ping")));
}

#[test]
fn nobody_listens_at_the_address_or_the_secret_is_wrong() {
    let mut workspace = bootstrapped();
    workspace.set("heartbeat_url", json!("http://127.0.0.1:1/secret"));
    let (stdout, stderr) = run(&workspace, &[]);
    assert!(stdout.starts_with("nothing to do"), "{stdout}");
    assert!(
        stderr.contains("heartbeat_url (http://127.0.0.1:1): the start of the run: ") && !stderr.contains("secret")
    );

    for (key, value, words) in [
        ("heartbeat_url", "http://127.0.0.1:1/${NO_SUCH_SECRET}", "no variable NO_SUCH_SECRET"),
        ("notify_secret", "whsec_c2VjcmV0", "24 to 64 bytes"),
    ] {
        let mut workspace = bootstrapped();
        workspace.set("notify_url", json!("http://127.0.0.1:1/"));
        workspace.set("notify_secret", json!(SECRET));
        workspace.set(key, json!(value));
        let stderr = fail(&workspace);
        assert!(stderr.contains(&format!("config key \"{key}\"")) && stderr.contains(words), "{stderr}");
        let last = LastRun::read(&workspace.config()).unwrap().unwrap();
        assert!(!last.succeeded && last.line.contains(words) && last.last_success.is_some(), "{last:?}");
        workspace.run("scoring", &[]); // the other steps need no receiver
    }
}

#[test]
fn a_receiver_must_prove_who_it_is() {
    let receiver = Receiver::start();
    let Some(authority) = Authority::new("one") else { return };
    let certificate = authority.issue(THIS_MACHINE, Validity::Now);
    let Some(mut terminator) = Terminator::start(&certificate, receiver.port) else { return };
    terminator.restart(&certificate, "");
    let mut workspace = bootstrapped();
    workspace
        .set("heartbeat_url", json!(format!("{}/secret", terminator.url("localhost").replace("sc://", "https://"))));
    let warnings = |trusted: bool| {
        let mut command = workspace.command_without_cargo("fullprocess");
        command.envs(trusted.then(|| ("SSL_CERT_FILE", authority.path())));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let refused = warnings(false);
    assert!(refused.contains("heartbeat_url (https://localhost:") && refused.contains("certificate"), "{refused}");
    assert!(receiver.take().is_empty() && !refused.contains("secret"), "{refused}");
    let accepted = warnings(true);
    assert!(!accepted.contains("warning"), "{accepted}");
    assert_eq!(receiver.targets(), ["/secret/start", "/secret"]);
}

#[test]
fn the_lock_is_released_before_the_receivers_answer() {
    let receiver = Receiver::start();
    receiver.set(Manner::Hangs);
    let mut workspace = bootstrapped();
    workspace.set("heartbeat_url", receiver.url("/ping"));
    workspace.set("notify_time_limit", json!(30));
    let production = workspace.config().production;
    let before = LastRun::read(&workspace.config()).unwrap();
    let mut child = workspace.command_without_cargo("fullprocess").stderr(Stdio::null()).spawn().unwrap();
    while LastRun::read(&workspace.config()).unwrap() == before {
        thread::sleep(Duration::from_millis(5));
    }
    while Lock::acquire(&production, "test").is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none(), "the run waits for the receiver");
    child.kill().unwrap();
    child.wait().unwrap();
    receiver.set(Manner::Accepts);
    run(&workspace, &[]);
}

#[test]
fn ten_thousand_messages_that_wait_are_cut_to_the_newest_and_damaged_ones_are_dropped() {
    let receiver = Receiver::start();
    let mut workspace = bootstrapped();
    let outbox = workspace.path("production_deployment/notifications");
    fs::create_dir(&outbox).unwrap();
    let now = jiff::Timestamp::now();
    for number in 0..10_000 {
        let event =
            json!({"id": format!("msg_{number}"), "kind": "failed", "time": now, "text": "it", "release": null});
        fs::write(outbox.join(format!("20261130T{number:06}.json")), event.to_string()).unwrap();
    }
    let old = json!({"id": "msg_old", "kind": "failed", "time": "2026-01-01T00:00:00Z", "text": "it", "release": null});
    fs::write(outbox.join("20261131T0.json"), old.to_string()).unwrap();
    fs::write(outbox.join("20261131T1.json"), "{").unwrap();
    notify(&mut workspace, &receiver);
    workspace.set("notify_time_limit", json!(60));
    run(&workspace, &[]);
    let ids: Vec<_> = receiver.take().iter().map(|message| message.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, (9_902..10_000).map(|number| format!("msg_{number}")).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(&outbox).unwrap().count(), 0);
}
