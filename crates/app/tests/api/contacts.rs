//! Recording calls: by a program in JSON or CSV, by the form of a page, and not by pages of other sites.

use std::net::UdpSocket;

use serde_json::{Value, json};
use testkit::browser::{Browser, Screen};
use testkit::{Server, Workspace};
use ureq::http::Request;

use crate::helpers::{Api, OUTPUTS};

pub const JSON: &str = "application/json";
const CSV: &str = "text/csv";
const FORM: &str = "application/x-www-form-urlencoded";

/// One contact as JSON.
pub fn contact(client: &str, note: &str) -> String {
    json!({"corporation": client, "outcome": "reached", "by": "Anna", "note": note}).to_string()
}

#[test]
fn a_program_records_contacts_in_json_and_csv() {
    let api = Api::deployed();
    let before = api.workspace.snapshot(&OUTPUTS);
    let rows = json!([
        {"corporation": "a0", "outcome": "not_reached", "by": "Anna", "note": "", "at": "2026-11-30T09:00:00.000000Z"},
        {"corporation": "größe", "outcome": "promised_to_stay", "by": "Bo", "note": "two\nlines", "at": "2026-11-29T23:30:00.000000Z"},
    ]);
    let body = json!({"contacts": rows}).to_string();
    let answer = api.post_contacts(&[], JSON, &body);
    assert_eq!((answer.status, answer.json()), (201, json!({"recorded": 2, "repeated": 0, "unknown_clients": 1})));
    let table = "corporation,outcome,by\na1,is_leaving,\"Cid, jr.\"\n";
    let answer = api.post_contacts(&[], CSV, table);
    assert_eq!((answer.status, answer.json()), (201, json!({"recorded": 1, "repeated": 0, "unknown_clients": 1})));
    // The listing has the fields of the request.
    let mut listed = api.contacts();
    let ids: Vec<u64> =
        listed.iter_mut().map(|row| row.as_object_mut().unwrap().remove("id").unwrap().as_u64().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(listed[..2], *rows.as_array().unwrap());
    assert_eq!((&listed[2]["by"], &listed[2]["outcome"]), (&json!("Cid, jr."), &json!("is_leaving")));
    assert_eq!(api.workspace.run_json("dbsetup", &["--history", "contacts"])["rows"].as_array().unwrap().len(), 3);
    assert!(api.get("/metrics").text.contains("risk_contacts_total 3"));
    assert!(api.workspace.snapshot(&OUTPUTS) == before, "a request has changed an output");
}

#[test]
fn a_request_that_is_sent_again_with_its_key_records_nothing() {
    let api = Api::deployed();
    let send = |key: &str, body: &str| api.post_contacts(&[("idempotency-key", key)], JSON, body);
    let one = contact("a0", "one");
    assert_eq!(send("k-1", &one).json(), json!({"recorded": 1, "repeated": 0, "unknown_clients": 0}));
    let again = send("k-1", &one);
    assert_eq!((again.status, again.json()), (200, json!({"recorded": 0, "repeated": 1, "unknown_clients": 0})));
    // The same content with other spaces and in another order.
    let same = r#"{"by": "Anna", "note": "one",   "outcome": "reached", "corporation": "a0"}"#;
    assert_eq!(send("k-1", same).status, 200);
    api.check_problem("another content", &send("k-1", &contact("a0", "two")), 422, &["Idempotency-Key", "another key"]);
    assert_eq!(send("k-2", &one).status, 201);
    assert_eq!(api.post_contacts(&[], JSON, &one).status, 201);
    assert_eq!(api.contacts().len(), 3);
    for wrong in ["a b", "gr\u{f6}\u{df}e", &"k".repeat(256)] {
        api.check_problem(wrong, &send(wrong, &one), 400, &["Idempotency-Key", "255 visible ASCII"]);
    }
    assert_eq!(send(&"k".repeat(255), &one).status, 201);
}

#[test]
fn a_form_returns_to_its_page() {
    let api = Api::deployed();
    let form = "corporation=a0&outcome=reached&by=Anna&note=one%0D%0Atwo&key=f1&return=/clients/a0";
    for _ in 0..2 {
        let answer = api.post_contacts(&[], FORM, form);
        assert_eq!((answer.status, answer.header("location")), (303, "/clients/a0"), "{answer:?}");
    }
    let listed = api.contacts();
    assert_eq!((listed.len(), &listed[0]["note"]), (1, &json!("one\ntwo")));
    let html = [("accept", "text/html,*/*;q=0.8")];
    for (what, form, parts) in [
        ("an unknown client", form.replace("=a0&", "=nobody&").replace("f1", "f2"), ["no client", "nobody"]),
        ("no name", form.replace("Anna", "+").replace("f1", "f3"), ["by is missing", "called"]),
        ("the key of another form", form.replace("one", "two"), ["sent before", "reload the page"]),
        ("another site", form.replace("/clients/a0", "//evil.example"), ["return", "path on this site"]),
    ] {
        let page = api.post_contacts(&html, FORM, &form);
        assert_eq!((page.status, page.content_type.as_str()), (422, "text/html; charset=utf-8"), "{what}: {page:?}");
        assert!(parts.iter().all(|part| page.text.contains(part)), "{what}: {page:?}");
    }
    assert_eq!(api.contacts().len(), 1);
}

#[test]
fn what_is_wrong_is_refused_with_the_place_and_records_nothing() {
    let api = Api::deployed();
    let good = contact("a0", "");
    let list = |second: &str| format!(r#"{{"contacts": [{good}, {second}]}}"#);
    let large = " ".repeat((1 << 20) + 1 - good.len()) + &good;
    for (what, status, content_type, body, parts) in [
        ("no JSON", 400, JSON, "contacts", &["not JSON", "outcome"][..]),
        (
            "an outcome",
            422,
            JSON,
            &list(r#"{"corporation": "b", "outcome": "x", "by": "y"}"#),
            &["contacts[1]: outcome", "is_leaving"],
        ),
        ("a list as a contact", 422, JSON, &list("[]"), &["contacts[1]: ", "not an object"]),
        ("a name", 422, JSON, &list(&contact(&"b".repeat(1001), "")), &["contacts[1]: corporation", "1000 bytes"]),
        ("a row", 422, CSV, "corporation,outcome,by\na,reached,A\nb,reached,\n", &["line 3: by is missing"]),
        ("a form", 422, FORM, "corporation=a0", &["outcome is missing"]),
        ("JSON as a form", 400, FORM, &good, &["Content-Type: application/json"]),
        ("a text", 415, "text/plain", &good, &["text/plain", "application/json", "text/csv"]),
        ("a large body", 413, JSON, &large, &["1048576 bytes"]),
        (
            "many contacts",
            413,
            CSV,
            &format!("corporation,outcome,by\n{}", "a,reached,A\n".repeat(10_001)),
            &["10001", "10000"],
        ),
    ] {
        api.check_problem(what, &api.post_contacts(&[], content_type, body), status, parts);
    }
    assert_eq!(api.contacts(), [Value::Null; 0]);
    // The largest permitted body.
    assert_eq!(api.post_contacts(&[], JSON, &large[1..]).status, 201);
    let many = format!("corporation,outcome,by\n{}", "a,reached,A\n".repeat(10_000));
    assert_eq!(api.post_contacts(&[], CSV, &many).json()["recorded"], 10_000);
}

#[test]
fn contacts_are_recorded_before_anything_is_deployed_and_with_other_columns() {
    let mut workspace = Workspace::new();
    workspace.set("columns", json!({"id": "customer ID", "target": "left", "predictors": ["tenure"]}));
    workspace.run("dbsetup", &[]);
    let api = Api::of(workspace);
    let answer = api.post_contacts(&[], CSV, "customer ID,by,outcome\na,Anna,reached\n");
    assert_eq!((answer.status, answer.json()), (201, json!({"recorded": 1, "repeated": 0, "unknown_clients": null})));
    let sent = r#"{"customer ID": 17, "outcome": "reached", "by": "Anna"}"#;
    assert_eq!(api.post_contacts(&[], JSON, sent).status, 201);
    assert_eq!(api.contacts()[1]["corporation"], "17");
}

#[test]
fn a_page_of_another_site_records_nothing() {
    let api = Api::deployed();
    let host = api.address();
    let (own, other) = (format!("http://{host}"), format!("http://evil.example:{}", host.rsplit(':').next().unwrap()));
    let same_machine = format!("http://{}:1", host.rsplit_once(':').unwrap().0);
    let form = "corporation=a0&outcome=reached&by=Anna";
    for (site, origin) in [
        ("cross-site", other.as_str()),
        ("cross-site", &own),
        ("same-site", &same_machine),
        ("", &other),
        ("", &same_machine),
        ("", "null"),
    ] {
        for content_type in [FORM, JSON, "text/plain"] {
            let answer = api.post_contacts(&[("sec-fetch-site", site), ("origin", origin)], content_type, form);
            api.check_problem(&format!("{site} {origin}"), &answer, 403, &["another site"]);
        }
    }
    assert_eq!(api.contacts(), [Value::Null; 0]);
    for (site, origin) in [("same-origin", own.as_str()), ("none", ""), ("", &own), ("", "")] {
        let answer = api.post_contacts(&[("sec-fetch-site", site), ("origin", origin)], FORM, form);
        assert_eq!(answer.status, 303, "{site} {origin}: {answer:?}");
    }
    // Other endpoints change nothing and answer everybody.
    let request = Request::get(format!("{own}/scoring")).header("sec-fetch-site", "cross-site").body(()).unwrap();
    assert_eq!(ureq::run(request).unwrap().status(), 200);
}

#[test]
fn contacts_need_the_token() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let mut workspace = Workspace::with_data();
    workspace.write("token", TOKEN);
    workspace.set("api_token_file", json!("token"));
    workspace.deploy();
    let api = Api::of(workspace);
    let refused = api.post_contacts(&[], JSON, &contact("a0", ""));
    api.check_problem("no token", &refused, 401, &["token"]);
    assert_eq!(api.workspace.history_rows("contacts"), 0);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(api.post_contacts(&[("authorization", &bearer)], JSON, &contact("a0", "")).status, 201);
    let foreign = [("authorization", bearer.as_str()), ("sec-fetch-site", "cross-site")];
    api.check_problem("another site", &api.post_contacts(&foreign, JSON, &contact("a0", "")), 403, &["another site"]);
    assert_eq!(api.workspace.history_rows("contacts"), 1);
}

/// A script that sends a form to `arguments[0]`.
const SEND: &str = "const form = document.createElement('form');\
    form.method = 'post'; form.action = arguments[0];\
    for (const [name, value] of Object.entries({corporation: 'a0', outcome: 'reached', by: 'Anna', note: arguments[1], return: '/clients/a0'})) {\
        const field = document.createElement('input'); field.name = name; field.value = value; form.append(field);\
    }\
    document.body.append(form); form.submit();";

/// Browsers tell the origin in different ways to addresses of this machine and to others without TLS.
#[test]
fn in_a_browser_own_forms_are_accepted_and_others_refused() {
    let screen = Screen { width: 1000, height: 800, dark: false, scripts: true };
    let Ok(browser) = Browser::start(screen).map_err(testkit::skipped) else { return };
    let workspace = Workspace::with_data();
    workspace.deploy();
    let mut app = workspace.command_without_cargo("app");
    let server = Server::start(app.args(["--bind", "0.0.0.0:0", "--no-auth"]));
    let port = server.url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    let api = Api::with(workspace, server);
    // The address of this machine in its network, if it has one. Connecting a datagram socket sends nothing.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let address =
        socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).map(|address| address.ip().to_string());
    let hosts = [Some("127.0.0.1".to_owned()), Some("localhost".to_owned()), address.ok().filter(|ip| ip != "0.0.0.0")];
    for (n, host) in hosts.into_iter().flatten().enumerate() {
        let url = format!("http://{host}:{port}");
        browser.open(&url);
        browser.run(SEND, &[json!(format!("{url}/contacts")), json!(format!("own {host}"))]);
        browser.wait("the client's page", "return location.pathname === '/clients/a0'");
        assert_eq!(api.workspace.history_rows("contacts"), n as u64 + 1, "{host}");
        browser.open("data:text/html,<title>another site</title><body>");
        browser.run(SEND, &[json!(format!("{url}/contacts")), json!("another")]);
        browser.wait("a refusal", "return document.body.textContent.includes('another site has sent')");
        assert_eq!(api.workspace.history_rows("contacts"), n as u64 + 1, "{host}");
    }
}
