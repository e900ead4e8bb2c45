//! The host names under which the service may be addressed: a web page whose own name resolves to this service gets no
//! data.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;
use testkit::{Server, Workspace};

use crate::helpers::Api;

/// Returns the answer to a request with this target, version and `Host` headers.
fn asked(api: &Api, target: &str, version: &str, hosts: &[&str]) -> String {
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    api.raw(format!("GET {target} HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n").as_bytes())
}

#[test]
fn a_request_must_name_the_service() {
    let mut workspace = Workspace::with_data();
    workspace.set("allowed_hosts", json!(["risk.example"]));
    workspace.deploy();
    let api = Api::of(workspace);
    let port = api.address().rsplit(':').next().unwrap().to_owned();
    let own = |name: &str| format!("{name}:{port}");
    for known in
        [&own("127.0.0.1"), &own("localhost"), "LocalHost", "[::1]:80", "192.0.2.7", "risk.example", "RISK.example:443"]
    {
        let answer = asked(&api, "/calllist", "1.1", &[known]);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{known}: {answer}");
    }
    for unknown in [
        "evil.example",
        &own("evil.example"),
        "localhost.evil.example",
        "x",
        "127.0.0.1.evil.example",
        "a@localhost",
        "\u{e9}",
    ] {
        for page in ["/", "/calllist", "/clients/a0", "/health/live", "/nothing"] {
            let answer = asked(&api, page, "1.1", &[unknown]);
            assert!(answer.starts_with("HTTP/1.1 421 "), "{unknown}: {answer}");
            for part in ["application/problem+json", "allowed_hosts", "localhost"] {
                assert!(answer.contains(part), "{unknown}: {part} is not in {answer}");
            }
            assert!(!answer.contains("clients/a0"), "{unknown}: {answer}");
        }
    }
    // The host of an absolute target counts, and so does the `Host` header.
    for (target, host, status) in [
        ("http://localhost/scoring", "localhost", 200),
        ("http://evil.example/scoring", "localhost", 421),
        ("http://localhost/scoring", "evil.example", 421),
        ("http://localhost@evil.example/scoring", "localhost", 421),
        ("http://risk.example:1/scoring", "127.0.0.1", 200),
    ] {
        let answer = asked(&api, target, "1.1", &[host]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}, {host}: {answer}");
    }
    for (version, hosts, status) in [
        ("1.1", &[][..], 400),
        ("1.1", &["localhost", "localhost"], 400),
        ("1.1", &["localhost", "evil.example"], 400),
        ("1.0", &[], 200), // load balancers send such health checks
        ("1.0", &["evil.example"], 421),
    ] {
        let answer = asked(&api, "/scoring", version, hosts);
        assert!(answer.starts_with(&format!("HTTP/{version} {status} ")), "{version} {hosts:?}: {answer}");
    }
    let long = asked(&api, "/", "1.1", &["x".repeat(50_000).as_str()]);
    assert!(long.starts_with("HTTP/1.1 421 ") && long.len() < 3000, "{long}");
}

#[test]
fn a_unix_socket_is_asked_by_any_name_and_an_address_beside_it_is_not() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let socket = workspace.path("risk.sock");
    let bind = format!("unix:{}", socket.display());
    let mut app = workspace.command_without_cargo("app");
    let server = Server::start(app.args(["--bind", "127.0.0.1:0", "--bind", &bind]));
    for host in ["evil.example", "risk.example", "localhost"] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        write!(stream, "GET /scoring HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
    let api = Api::with(workspace, server);
    assert!(asked(&api, "/scoring", "1.1", &["evil.example"]).starts_with("HTTP/1.1 421 "));
}
