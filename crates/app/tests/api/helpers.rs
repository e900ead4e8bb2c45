//! A workspace with a running service, and a client that records all answers of the service.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::api::Endpoint;
use serde_json::Value;
use testkit::{Server, Workspace};
use ureq::http::Request;

/// Time after which an operation counts as hanging; far above what a busy machine needs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Folders that no request may change.
pub const OUTPUTS: [&str; 3] = ["ingesteddata", "practicemodels", "production_deployment"];

/// A workspace with the service that runs on it.
pub struct Api {
    pub workspace: Workspace,
    pub server: Server,
    client: ureq::Agent,
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub allow: String,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Api {
    /// The service of a workspace in which a model is deployed.
    pub fn deployed() -> Self {
        let workspace = Workspace::with_data();
        workspace.deploy();
        Self::of(workspace)
    }

    /// The service of `workspace`, without cargo in its `PATH`.
    pub fn of(workspace: Workspace) -> Self {
        let server = workspace.serve();
        Self::with(workspace, server)
    }

    /// The service of a workspace in which a model is deployed; the shell script `cargo` replaces the real cargo.
    ///
    /// Answers are not shared, so every diagnosis runs the script.
    pub fn with_cargo(cargo: &str) -> Self {
        Self::sharing(cargo, 0.0)
    }

    /// The same as [`with_cargo`](Self::with_cargo), but answers younger than `seconds` are shared.
    pub fn sharing(cargo: &str, seconds: f64) -> Self {
        let mut workspace = Workspace::with_data();
        workspace.set("answer_max_age", seconds.into());
        workspace.deploy();
        let server = Server::start(&mut workspace.command_with_cargo("app", cargo));
        Self::with(workspace, server)
    }

    /// Wraps a service of `workspace` that was started separately.
    pub fn with(workspace: Workspace, server: Server) -> Self {
        let client = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(LIMIT))
            .build()
            .into();
        Self { workspace, server, client }
    }

    pub fn get(&self, page: &str) -> Answer {
        self.ask("GET", page)
    }

    /// Returns the body of an answer with status 200, which may be any bytes.
    pub fn bytes(&self, page: &str) -> Vec<u8> {
        let mut response = self.client.get(format!("{}{page}", self.server.url)).call().unwrap();
        assert_eq!(response.status(), 200, "{page}");
        response.body_mut().read_to_vec().unwrap()
    }

    /// Requests a page with the headers of a browser.
    pub fn browse(&self, method: &str, page: &str) -> Answer {
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let request =
            Request::builder().method(method).uri(format!("{}{page}", self.server.url)).header("accept", accept);
        let answered = self.client.run(request.body(()).unwrap());
        answered.map(answer).unwrap_or_else(|error| panic!("{method} {page}: {error}"))
    }

    /// Requests a page with the header `Accept: {accept}`.
    pub fn get_for(&self, accept: &str, page: &str) -> Answer {
        let request = self.client.get(format!("{}{page}", self.server.url)).header("accept", accept);
        request.call().map(answer).unwrap_or_else(|error| panic!("GET {page}: {error}"))
    }

    /// Sends a request without a body.
    pub fn ask(&self, method: &str, page: &str) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{page}", self.server.url)).body(()).unwrap();
        self.client.run(request).map(answer).unwrap_or_else(|error| panic!("{method} {page}: {error}"))
    }

    /// Sends `POST /prediction` with a query (such as `?filepath=…`; may be empty), a content type (may be empty) and a
    /// body.
    pub fn post(&self, query: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut request = self.client.post(format!("{}/prediction{query}", self.server.url));
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        request.send(body).map(answer).unwrap_or_else(|error| panic!("POST /prediction{query}: {error}"))
    }

    /// Sends `POST /contacts` with further headers, a content type (may be empty) and a body. A redirect is not followed.
    pub fn post_contacts(&self, headers: &[(&str, &str)], content_type: &str, body: &str) -> Answer {
        let mut request = self.client.post(format!("{}/contacts", self.server.url));
        for (name, value) in
            headers.iter().chain(&[("content-type", content_type)]).filter(|(_, value)| !value.is_empty())
        {
            request = request.header(*name, *value);
        }
        let request = request.config().max_redirects(0).build();
        request.send(body).map(answer).unwrap_or_else(|error| panic!("POST /contacts: {error}"))
    }

    /// The contacts in the history, oldest first.
    pub fn contacts(&self) -> Vec<Value> {
        self.get("/history?what=contacts&last=10000").ok()["rows"].as_array().unwrap().clone()
    }

    /// Sends the form of a page, and follows the redirect of its answer.
    pub fn form(&self, path: &str, fields: &str) -> Answer {
        let request = self.client.post(format!("{}{path}", self.server.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.send(fields).map(answer).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Sends `POST /prediction` with the header `Accept: {accept}`.
    pub fn post_for(&self, accept: &str, content_type: &str, body: &[u8]) -> Answer {
        let request = self.client.post(format!("{}/prediction", self.server.url));
        let request = request.header("accept", accept).header("content-type", content_type);
        request.send(body).map(answer).unwrap_or_else(|error| panic!("POST /prediction: {error}"))
    }

    /// Sends `POST` to any path with further headers.
    pub fn post_to(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = self.client.post(format!("{}{path}", self.server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body).map(answer).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Sends `POST` to any path with further headers; returns the status of an answer that may hold any bytes.
    pub fn status_of(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let mut request = self.client.post(format!("{}{path}", self.server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).unwrap();
        response.body_mut().read_to_vec().unwrap();
        response.status().as_u16()
    }

    /// Sends `POST /prediction` with a JSON body.
    pub fn predict(&self, body: &Value) -> Answer {
        self.post("", "application/json", body.to_string().as_bytes())
    }

    /// Sends `bytes` unchanged, closes the sending side, and returns everything that the service answers.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The service may answer and close the connection before it has read everything; only the answer matters.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        read_answer(&mut stream)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// The service's address and port.
    pub fn address(&self) -> &str {
        self.server.url.strip_prefix("http://").unwrap()
    }

    /// Checks that the service still answers predictions correctly.
    pub fn check_alive(&self) {
        let answer = self.predict(&serde_json::json!({"rows": [{"lastmonth_activity": 1}]}));
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Checks that the answer is a problem document which contains all of `parts`, and no paths or other internals of
    /// the server.
    pub fn check_problem(&self, what: &str, answer: &Answer, status: u16, parts: &[&str]) {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert_eq!(answer.content_type, "application/problem+json", "{what}: {answer:?}");
        let mut document = answer.json();
        // The Open Inference Protocol expects the detail under another key.
        if let Some(error) = document.as_object_mut().unwrap().remove("error") {
            assert_eq!(error, document["detail"], "{what}");
        }
        let keys: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["detail", "status", "title", "type"], "{what}");
        assert_eq!(document["status"], status, "{what}");
        let title = ureq::http::StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        assert_eq!(document["title"], title, "{what}");
        let detail = document["detail"].as_str().unwrap();
        for part in parts {
            assert!(detail.contains(part), "{what}: {part:?} is not in {detail:?}");
        }
        let workspace = self.workspace.path("");
        let workspace = workspace.to_str().unwrap().trim_end_matches('/');
        assert!(!detail.contains(workspace), "{what}: an absolute path of the server in {detail:?}");
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the body of an answer, which must have status 200 and be JSON.
    pub fn ok(&self) -> Value {
        assert_eq!((self.status, self.content_type.as_str()), (200, "application/json"), "{self:?}");
        self.json()
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    Answer {
        status: response.status().as_u16(),
        content_type: header("content-type"),
        allow: header("allow"),
        headers: response.headers().clone(),
        text: response.body_mut().with_config().limit(1 << 30).read_to_string().unwrap(),
    }
}

/// The value of a metric, named with its labels; `None` if there is none.
pub fn metric(api: &Api, name: &str) -> Option<f64> {
    let text = api.get("/metrics").text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// Number of endpoints that the OpenAPI document describes.
pub fn documented_endpoints() -> usize {
    let documented = Endpoint::ALL.iter().filter(|endpoint| endpoint.properties().is_documented).count();
    assert!(documented >= 11);
    documented
}

/// Reads everything until the service closes the connection, which it must do.
pub fn read_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            panic!("the service neither answers nor hangs up: {:?}", String::from_utf8_lossy(&bytes))
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(), // a reset also closes the connection
    }
}

/// Waits until `happened` returns true.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !happened() {
        assert!(clock.elapsed() < LIMIT, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the file at `path` exists.
pub fn wait_for_file(path: &Path) {
    wait_until(&format!("{} exists", path.display()), || path.exists());
}
