//! Tests of TLS: a terminator with a private certificate authority before the engine. A server that cannot be trusted
//! is refused at once, and nothing is sent to it.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::config::cluster::{Cluster, EngineAddress};
use dataset::spark::connection::Connection;
use dataset::spark::row::Value;
use serde_json::json;
use testkit::Workspace;
use testkit::engines::{Engine, EngineServer};
use testkit::tls::{Authority, THIS_MACHINE, Terminator, Validity};

const TOKEN: &str = "geheim-1234567890";
/// Time within which a server is refused that cannot be trusted.
const LIMIT: Duration = Duration::from_secs(5);

fn with_tls(url: &str) -> String {
    format!("{url}/;use_ssl=true;token={TOKEN}")
}

fn open(address: &str, ca_path: Option<&Path>) -> anyhow::Result<Connection> {
    Connection::open(&Cluster {
        address: EngineAddress::parse(address)?,
        ca_path: ca_path.map(Path::to_owned),
        time_limit: Duration::from_secs(60),
        output: String::new(),
        dataset_csv: false,
    })
}

/// Checks that a server is refused in time; returns the message.
fn refused(address: &str, ca_path: Option<&Path>) -> String {
    let begin = Instant::now();
    let error = format!("{:#}", open(address, ca_path).err().unwrap());
    println!("{:.1} s: {error}", begin.elapsed().as_secs_f64());
    assert!(begin.elapsed() < LIMIT, "{:?}: {error}", begin.elapsed());
    let shown = address.split("/;").next().unwrap();
    assert!(error.contains(shown) && !error.contains(TOKEN), "{error}");
    error
}

/// A server that receives everything, remembers it and answers nothing.
struct Recorder {
    port: u16,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let all = received.clone();
        // The thread ends with the test's process.
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let all = all.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(read @ 1..) = client.read(&mut buffer) {
                        all.lock().unwrap().extend(&buffer[..read]);
                    }
                });
            }
        });
        Self { port, received }
    }

    fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

#[test]
fn the_steps_work_through_tls_with_a_private_authority() {
    let Some(authority) = Authority::new("authority") else { return };
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let certificate = authority.issue(THIS_MACHINE, Validity::Now);
    let Some(terminator) = Terminator::start(&certificate, server.port()) else { return };
    let mut here = Workspace::with_data();
    here.deploy();

    // The authority is named by the key, relative to the config.
    let mut workspace = Workspace::with_data();
    workspace.write("ca.pem", &fs::read_to_string(authority.path()).unwrap());
    workspace.set("engine", json!(with_tls(&terminator.url("localhost"))));
    workspace.set("engine_ca_path", json!("ca.pem"));
    workspace.deploy();
    assert_eq!(workspace.text("practicemodels/latestscore.txt"), here.text("practicemodels/latestscore.txt"));

    // The authority is named by the variable of the environment, which the key overrides.
    here.set("engine", json!(with_tls(&terminator.url("127.0.0.1"))));
    let other = Authority::new("authority").unwrap(); // an authority of the same name
    let ingestion = |workspace: &Workspace, variable: &Path| {
        let output = workspace.command("ingestion").env("SSL_CERT_FILE", variable).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (succeeded, error) = ingestion(&here, &authority.path());
    assert!(succeeded, "{error}");
    let (succeeded, error) = ingestion(&workspace, &other.path());
    assert!(succeeded, "{error}");

    let begin = Instant::now();
    for (file, reason) in [(other.path(), "was not issued by"), (workspace.path("missing"), "failed to open file")] {
        let (succeeded, error) = ingestion(&here, &file);
        assert!(!succeeded && begin.elapsed() < LIMIT, "{error}");
        for part in [reason, &file.display().to_string(), "SSL_CERT_FILE", "sc://127.0.0.1:"] {
            assert!(error.contains(part) && !error.contains(TOKEN), "{part}: {error}");
        }
    }
    // Without both, the machine's own authorities are trusted.
    let error = here.fail("training", &[]);
    assert!(error.contains("SSL_CERT_FILE") && error.contains("\"engine_ca_path\""), "{error}");
}

#[test]
fn nothing_is_sent_to_a_server_that_cannot_be_trusted() {
    let (Some(authority), Some(other)) = (Authority::new("authority"), Authority::new("another")) else { return };
    let recorder = Recorder::start();
    let valid = authority.issue(THIS_MACHINE, Validity::Now);
    let Some(mut terminator) = Terminator::start(&valid, recorder.port) else { return };
    let address = with_tls(&terminator.url("localhost"));
    let (ca, other_ca) = (authority.path(), other.path());
    let in_file = format!("in {} (key \"engine_ca_path\")", other_ca.display());
    let cases: [(&str, &Path, &Path, [&str; 2]); 7] = [
        ("alpn h2", &valid, &other_ca, ["was not issued by", &in_file]),
        (
            "alpn h2",
            &authority.issue("DNS:spark.example,IP:127.0.0.2", Validity::Now),
            &ca,
            ["not valid for localhost but for spark.example, 127.0.0.2;", "have the certificate issued for localhost"],
        ),
        ("alpn h2", &authority.issue(THIS_MACHINE, Validity::Past), &ca, ["expired at 2020-01-02T00:00:00Z", "clock"]),
        (
            "alpn h2",
            &authority.issue(THIS_MACHINE, Validity::Future),
            &ca,
            ["valid only from 2099-01-01T00:00:00Z", "clock"],
        ),
        ("alpn h2", &authority.with_key(), &ca, ["that of a certificate authority", "issued by"]),
        ("alpn http/1.1", &valid, &ca, ["does not offer HTTP/2", "ALPN h2"]),
        ("", &valid, &ca, ["does not offer HTTP/2", "ALPN h2"]),
    ];
    for (options, certificate, ca_path, reasons) in cases {
        terminator.restart(certificate, options);
        let error = refused(&address, Some(ca_path));
        assert!(reasons.iter().all(|reason| error.contains(reason)), "{reasons:?}: {error}");
    }
    thread::sleep(Duration::from_millis(200));
    assert_eq!(recorder.received(), b"");

    // The recorder does receive what is sent to a server that can be trusted.
    terminator.restart(&valid, "alpn h2");
    thread::spawn(move || open(&address, Some(&ca)).is_ok());
    let begin = Instant::now();
    while !recorder.received().starts_with(b"PRI * HTTP/2.0") {
        assert!(begin.elapsed() < LIMIT * 2, "nothing was received");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_connection_made_again_to_another_server_is_not_retried() {
    let Some(authority) = Authority::new("authority") else { return };
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let valid = authority.issue(THIS_MACHINE, Validity::Now);
    let Some(mut terminator) = Terminator::start(&valid, server.port()) else { return };
    let connection = open(&with_tls(&terminator.url("localhost")), Some(&authority.path())).unwrap();
    terminator.restart(&valid, "alpn h2");
    let answer = connection.row("counting", "SELECT 40 + 2".to_owned()).unwrap();
    assert_eq!(answer, [Value::Whole(42)]);

    terminator.restart(&authority.issue(THIS_MACHINE, Validity::Past), "alpn h2");
    let begin = Instant::now();
    let error = format!("{:#}", connection.row("counting", "SELECT 1".to_owned()).unwrap_err());
    assert!(begin.elapsed() < LIMIT, "{:?}: {error}", begin.elapsed());
    assert!(error.contains("counting on sc://localhost:") && error.contains("expired at 2020-01-02"), "{error}");
    assert!(!error.contains(TOKEN), "{error}");
}

#[test]
fn a_client_and_a_server_that_disagree_about_tls_say_so() {
    let Some(authority) = Authority::new("authority") else { return };
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let error = refused(&with_tls(&server.url()), Some(&authority.path()));
    assert!(error.contains("does not speak TLS") && error.contains("use_ssl=true"), "{error}");
    let valid = authority.issue(THIS_MACHINE, Validity::Now);
    let Some(mut terminator) = Terminator::start(&valid, server.port()) else { return };
    let in_clear_text = terminator.url("localhost");
    let error = refused(&in_clear_text, None);
    assert!(error.contains("expects TLS") && error.contains("add use_ssl=true"), "{error}");

    let require = format!("alpn h2 ca-file {} verify required", authority.path().display());
    terminator.restart(&valid, &require);
    let error = refused(&with_tls(&in_clear_text), Some(&authority.path()));
    assert!(error.contains("requires a certificate of the client"), "{error}");
}

#[test]
fn a_server_that_does_not_answer_or_closes_is_refused_in_time() {
    let Some(authority) = Authority::new("authority") else { return };
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let error = refused(&with_tls(&format!("sc://{}", silent.local_addr().unwrap())), Some(&authority.path()));
    assert!(error.contains("did not finish a TLS handshake within 4 s"), "{error}");

    let closing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("sc://{}", closing.local_addr().unwrap());
    thread::spawn(move || closing.incoming().flatten().for_each(drop));
    let error = refused(&with_tls(&url), Some(&authority.path()));
    assert!(error.contains("closed the connection during the TLS handshake"), "{error}");
    let error = refused(&url, None);
    assert!(error.contains("closed the connection without an answer") && error.contains("use_ssl=true"), "{error}");
}
