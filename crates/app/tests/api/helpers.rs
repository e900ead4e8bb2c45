//! A workspace with a running service, and a client that keeps whatever the service says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Server, Workspace};
use ureq::http::Request;

/// How long anything may take before it counts as hanging; far above what a busy machine needs.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What no request may change.
pub const OUTPUTS: [&str; 3] = ["ingesteddata", "practicemodels", "production_deployment"];

/// A workspace and the service that serves it.
pub struct Api {
    pub workspace: Workspace,
    pub server: Server,
    client: ureq::Agent,
}

/// A response, read to its end.
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

    /// The service of `workspace`, which finds no cargo.
    pub fn of(workspace: Workspace) -> Self {
        let server = workspace.serve();
        Self::with(workspace, server)
    }

    /// The service of a workspace in which a model is deployed and the shell script `cargo` stands in for cargo.
    ///
    /// Nothing is shared: every diagnosis asks it.
    pub fn with_cargo(cargo: &str) -> Self {
        Self::sharing(cargo, 0.0)
    }

    /// The same; answers that are younger than `seconds` are shared.
    pub fn sharing(cargo: &str, seconds: f64) -> Self {
        let mut workspace = Workspace::with_data();
        workspace.set("answer_max_age", seconds.into());
        workspace.deploy();
        let server = Server::start(&mut workspace.command_with_cargo("app", cargo));
        Self::with(workspace, server)
    }

    /// A service of `workspace` that was started in another way.
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

    /// A page as a browser asks for it.
    pub fn browse(&self, method: &str, page: &str) -> Answer {
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let request =
            Request::builder().method(method).uri(format!("{}{page}", self.server.url)).header("accept", accept);
        let answered = self.client.run(request.body(()).unwrap());
        answered.map(answer).unwrap_or_else(|error| panic!("{method} {page}: {error}"))
    }

    /// A request without a body.
    pub fn ask(&self, method: &str, page: &str) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{page}", self.server.url)).body(()).unwrap();
        self.client.run(request).map(answer).unwrap_or_else(|error| panic!("{method} {page}: {error}"))
    }

    /// `POST /prediction` with a query (such as `?filepath=…`, or nothing), a content type (or nothing) and a body.
    pub fn post(&self, query: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut request = self.client.post(format!("{}/prediction{query}", self.server.url));
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        request.send(body).map(answer).unwrap_or_else(|error| panic!("POST /prediction{query}: {error}"))
    }

    /// `POST /prediction`, accepting an answer in some form only.
    pub fn post_for(&self, accept: &str, content_type: &str, body: &[u8]) -> Answer {
        let request = self.client.post(format!("{}/prediction", self.server.url));
        let request = request.header("accept", accept).header("content-type", content_type);
        request.send(body).map(answer).unwrap_or_else(|error| panic!("POST /prediction: {error}"))
    }

    /// `POST /prediction` with a JSON body.
    pub fn predict(&self, body: &Value) -> Answer {
        self.post("", "application/json", body.to_string().as_bytes())
    }

    /// Sends `bytes` as they are, says that no more will come, and returns all that the service answers.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The service may have answered and hung up before it has read everything; the answer is what counts.
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

    /// The service answers as on the first day.
    pub fn check_alive(&self) {
        let answer = self.predict(&serde_json::json!({"rows": [{"lastmonth_activity": 1}]}));
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The answer is a problem document that holds all of `parts`, and nothing that is none of the client's business.
    pub fn check_problem(&self, what: &str, answer: &Answer, status: u16, parts: &[&str]) {
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert_eq!(answer.content_type, "application/problem+json", "{what}: {answer:?}");
        let document = answer.json();
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

    /// A header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of an answer that must be 200 and JSON.
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

/// Everything until the service hangs up; it must do so.
pub fn read_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            panic!("the service neither answers nor hangs up: {:?}", String::from_utf8_lossy(&bytes))
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(), // a reset is a way of hanging up
    }
}

/// Waits until `happened`.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !happened() {
        assert!(clock.elapsed() < LIMIT, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until there is a file at `path`.
pub fn wait_for_file(path: &Path) {
    wait_until(&format!("{} exists", path.display()), || path.exists());
}
