//! A real Prometheus with the project's alerts.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::helpers::wait_until;

/// Runs a program until stdin closes, so it does not outlive the test, even if that is killed.
const UNTIL_STDIN_CLOSES: &str = r#""$@" & program=$!; cat; kill -KILL $program; wait $program"#;

/// A Prometheus that scrapes one service, in a temporary folder. It is stopped when dropped.
pub struct Prometheus {
    shell: Child,
    url: String,
    _folder: TempDir,
}

/// Whether the program is installed; a message says so if it is not.
pub fn is_installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_installed = version.is_ok_and(|status| status.success());
    if !is_installed {
        testkit::skipped(&format!("{program} (Debian's prometheus) is not installed here"));
    }
    is_installed
}

/// The folder that the project ships.
pub fn shipped(file: &str) -> PathBuf {
    testkit::project().join("crates/app/monitoring").join(file)
}

impl Prometheus {
    /// Starts a Prometheus that scrapes the service at `address`, and waits until it has done so. Its rules are the
    /// project's, with shorter times to wait.
    pub fn start(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("alerts.yml"), hurried(&fs::read_to_string(shipped("alerts.yml")).unwrap())).unwrap();
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}}\nrule_files: \
             [alerts.yml]\nscrape_configs: [{{job_name: risk, static_configs: [{{targets: \
             ['{address}']}}]}}]\n"
        );
        fs::write(path("prometheus.yml"), config).unwrap();
        let (shell, url) = (0..10).find_map(|_| Self::start_in(folder.path())).unwrap();
        Self { shell, url, _folder: folder }
    }

    /// `None` if another process has taken the free port first.
    fn start_in(folder: &Path) -> Option<(Child, String)> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", UNTIL_STDIN_CLOSES, "sh", "prometheus", "--log.level=error"]).current_dir(folder);
        shell.arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data");
        shell.arg(format!("--web.listen-address={address}"));
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("http://{address}");
        let mut is_ready = false;
        wait_until("Prometheus is ready or ends", || {
            is_ready = ureq::get(format!("{url}/-/ready")).call().is_ok();
            is_ready || shell.try_wait().unwrap().is_some()
        });
        is_ready.then_some((shell, url))
    }

    fn ask(&self, path: &str) -> Value {
        let text = ureq::get(format!("{}{path}", self.url)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The alerts that fire now, with labels and annotations.
    pub fn alerts(&self) -> Vec<Value> {
        let answer = self.ask("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        alerts.filter(|alert| alert["state"] == "firing").cloned().collect()
    }

    /// The names of the alerts that fire now.
    pub fn firing(&self) -> BTreeSet<String> {
        self.alerts().iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Number of scrapes of the service that succeeded within the last minute.
    pub fn scrapes(&self) -> f64 {
        let answer = self.ask("/api/v1/query?query=sum_over_time(up%5B1m%5D)");
        answer["data"]["result"][0]["value"][1].as_str().map_or(0.0, |number| number.parse().unwrap())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait(); // a failure here would only hide why the test fails
    }
}

/// The same rules with seconds instead of minutes and days during which a condition must hold. Ages are not changed: the
/// tests make the data as old.
fn hurried(rules: &str) -> String {
    let line = |line: &str| match line.trim_start().strip_prefix("for: ") {
        Some(_) => line.replace(line.trim_start(), "for: 1s"),
        None => line.replace("[5m]", "[5s]").replace("[14d]", "[5s]").replace("offset 14d", "offset 5s"),
    };
    rules.lines().map(|text| line(text) + "\n").collect()
}
