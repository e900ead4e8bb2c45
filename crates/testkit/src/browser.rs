//! Controls a real browser: headless Chromium, driven through chromedriver by the WebDriver protocol (W3C), which is
//! JSON over HTTP.
//!
//! The client is written here with `ureq`, because a library costs too much: fantoccini 0.22 without TLS adds 27 crates and
//! 19 s of CPU time to a cold build of the tests, thirtyfour 0.38 with its HTTP client 24 crates and more time, and
//! starting chromedriver and the limits below would still be code of this file.

use std::io::{self, BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Time limit for every operation of the browser.
const LIMIT: Duration = Duration::from_secs(60);

/// Number of times that chromedriver is started. Several that start at the same time may choose the same free port.
const MOST_ATTEMPTS: u32 = 5;

/// The key under which the protocol returns the reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Flags that prevent network requests of the browser itself, and the use of a sandbox (unavailable to root) or a
/// display.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// A browser with one page, closed when dropped.
///
/// Its methods panic if they fail, like those of [`crate::Workspace`].
pub struct Browser {
    driver: Child,
    session: String,
    client: ureq::Agent,
    _profile: TempDir,
}

/// The screen and the preferences that the browser reports to pages.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Width of the page, in CSS pixels.
    pub width: u32,
    /// Height of the page, in CSS pixels.
    pub height: u32,
    /// Whether the reader prefers a dark colour scheme.
    pub dark: bool,
    /// Whether JavaScript is enabled.
    pub scripts: bool,
}

#[expect(clippy::unwrap_used, reason = "see the type")]
impl Browser {
    /// Starts a browser. The error names what is not installed.
    pub fn start(screen: Screen) -> Result<Self, &'static str> {
        let mut attempts = 0;
        let (driver, lines, port) = loop {
            let Ok(started) = start_driver() else { return Err("install Debian's chromium and chromium-driver") };
            attempts += 1;
            match started {
                Some(started) => break started,
                None => assert!(attempts < MOST_ATTEMPTS, "chromedriver found no free port {attempts} times"),
            }
        };
        let address = format!("http://127.0.0.1:{port}");
        // Drains the output, so that the process never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.push(format!("--window-size={},{}", screen.width, screen.height));
        if screen.dark {
            flags.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let scripts =
            if screen.scripts { json!({}) } else { json!({"profile.managed_default_content_settings.javascript": 2}) };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags, "prefs": scripts},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let client =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(LIMIT)).build().into();
        let mut browser = Self { driver, session: format!("{address}/session"), client, _profile: profile };
        let session = browser.post("", &wanted);
        let Some(id) = session["sessionId"].as_str() else {
            panic!("chromedriver starts no browser (is Debian's chromium installed?): {session}");
        };
        browser.session = format!("{}/{id}", browser.session);
        browser.resize(screen.width, screen.height);
        Ok(browser)
    }

    /// Changes the size of the page, in CSS pixels. It is set instead of the window's, because a phone is narrower than the
    /// minimum width of a window.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.post("/goog/cdp/execute", &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": size}));
    }

    /// Lays out the page for a `medium`, `screen` or `print`, and for a reader who prefers a dark colour scheme or not.
    pub fn emulate(&self, medium: &str, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"media": medium, "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.post("/goog/cdp/execute", &json!({"cmd": "Emulation.setEmulatedMedia", "params": media}));
    }

    /// Returns a picture of the page, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(self.get("/screenshot").as_str().unwrap()).unwrap()
    }

    /// Prints the page on A4, with the page's own margins; returns the PDF.
    pub fn print(&self) -> Vec<u8> {
        let paper = json!({"page": {"width": 21.0, "height": 29.7}, "shrinkToFit": false, "background": false});
        BASE64_STANDARD.decode(self.post("/print", &paper).as_str().unwrap()).unwrap()
    }

    /// Opens a URL and waits until the page has loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Returns the URL of the page.
    pub fn url(&self) -> String {
        self.get("/url").as_str().unwrap().to_owned()
    }

    /// Runs a script in the page and returns its result; `given` becomes its `arguments`.
    pub fn run(&self, script: &str, given: &[Value]) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": given }))
    }

    /// The same for a script that calls the last of its `arguments` with the result.
    pub fn run_to_callback(&self, script: &str, given: &[Value]) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": given }))
    }

    /// Returns the visible text of the first element that matches a CSS selector.
    pub fn text(&self, selector: &str) -> String {
        self.get(&format!("/element/{}/text", self.element(selector))).as_str().unwrap().to_owned()
    }

    /// Returns the number of elements that match a CSS selector.
    pub fn count(&self, selector: &str) -> usize {
        self.post("/elements", &json!({"using": "css selector", "value": selector})).as_array().unwrap().len()
    }

    /// Clicks the first element that matches a CSS selector.
    pub fn click(&self, selector: &str) {
        self.post(&format!("/element/{}/click", self.element(selector)), &json!({}));
    }

    /// Replaces the content of an input element by typing `text`.
    pub fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/clear"), &json!({}));
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Sends key presses to the focused element.
    pub fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|stroke| json!({"type": stroke, "value": key.to_string()})))
            .collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]}));
    }

    /// Waits until a script returns true; `what` describes the condition in the panic message.
    pub fn wait(&self, what: &str, script: &str) {
        wait(what, || self.run(script, &[]) == json!(true));
    }

    /// Waits until an element matches a CSS selector.
    pub fn wait_for(&self, selector: &str) {
        wait(selector, || self.count(selector) > 0);
    }

    /// Returns the console messages since the last call, including errors of loading and of the content security
    /// policy.
    pub fn console(&self) -> Vec<Value> {
        self.post("/se/log", &json!({"type": "browser"})).as_array().unwrap().clone()
    }

    /// Returns the role and the name of an element in the accessibility tree, which screen readers use.
    pub fn role_and_name(&self, selector: &str) -> (String, String) {
        let element = self.element(selector);
        let computed = |property| self.get(&format!("/element/{element}/{property}")).as_str().unwrap().to_owned();
        (computed("computedrole"), computed("computedlabel"))
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{selector} at {}: {found}", self.url())).to_owned()
    }

    fn get(&self, path: &str) -> Value {
        let mut response = self.client.get(format!("{}{path}", self.session)).call().unwrap();
        response.body_mut().read_json::<Value>().unwrap()["value"].take()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut response = self.client.post(format!("{}{path}", self.session)).send_json(body).unwrap();
        response.body_mut().read_json::<Value>().unwrap()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A failure here would only hide why the test fails.
        let _ = self.client.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn wait(what: &str, is_true: impl Fn() -> bool) {
    let clock = Instant::now();
    while !is_true() {
        assert!(clock.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The lines that chromedriver prints.
type Output = Lines<BufReader<ChildStdout>>;

/// Starts chromedriver on a free port. Returns its process, the further lines of its output, and the port; `None` if it
/// ended without one.
fn start_driver() -> io::Result<Option<(Child, Output, String)>> {
    let mut driver =
        Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let Some(output) = driver.stdout.take() else { return Ok(None) };
    let mut lines = BufReader::new(output).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let port = line.split("successfully on port ").nth(1)?;
        Some(port.trim_end_matches('.').to_owned())
    });
    if port.is_none() {
        driver.kill().and_then(|()| driver.wait())?;
    }
    Ok(port.map(|port| (driver, lines, port)))
}
