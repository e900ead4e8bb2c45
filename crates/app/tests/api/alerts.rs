//! Every alert that the project ships fires when its cause is there, and clears after it is gone: with a real Prometheus,
//! the real service and real runs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use common::production::last_run::LastRun;
use common::production::release::Production;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testkit::{Server, Workspace};

use crate::helpers::{Api, wait_until};
use crate::prometheus::{Prometheus, is_installed, shipped};

const DAY: Duration = Duration::from_secs(86_400);

/// A service whose state is good at first, and the Prometheus that watches it.
struct Watched {
    api: Api,
    prometheus: Prometheus,
    /// The alerts that have fired so far.
    fired: BTreeSet<String>,
}

impl Watched {
    fn start() -> Self {
        let workspace = Workspace::with_data();
        workspace.run("fullprocess", &[]);
        let api = Api::of(workspace);
        let prometheus = Prometheus::start(api.address());
        let watched = Self { api, prometheus, fired: BTreeSet::new() };
        wait_until("the service is scraped", || watched.prometheus.scrapes() > 3.0);
        watched.is_calm();
        watched
    }

    /// Waits until exactly these alerts fire.
    fn fires(&mut self, names: &[&str]) {
        let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        wait_until(&format!("{names:?} fire"), || self.prometheus.firing() == expected);
        for alert in self.prometheus.alerts() {
            for text in ["summary", "description"].map(|key| alert["annotations"][key].as_str().unwrap_or_default()) {
                assert!(text.len() > 20 && !text.contains("{{") && !text.contains("error expanding"), "{alert}");
            }
            let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
            assert!(["critical", "warning", "info"].contains(&severity), "{alert}");
        }
        self.fired.extend(expected);
    }

    /// Waits until no alert fires.
    fn is_calm(&self) {
        wait_until("no alert fires", || self.prometheus.firing().is_empty());
    }

    fn run(&self, step: &str, arguments: &[&str]) {
        self.api.workspace.run(step, arguments);
    }
}

#[test]
fn every_alert_fires_and_clears() {
    if !is_installed("prometheus") {
        return;
    }
    let mut watched = Watched::start();
    runs(&mut watched);
    release(&mut watched);
    model(&mut watched);
    data(&mut watched);
    service(&mut watched);
    let rules = fs::read_to_string(shipped("alerts.yml")).unwrap();
    let all = rules.lines().filter_map(|line| Some(line.trim().strip_prefix("- alert: ")?.to_owned()));
    assert_eq!(watched.fired, all.collect::<BTreeSet<_>>());
}

/// A run fails, and then none succeeds for an hour.
fn runs(watched: &mut Watched) {
    let bad = watched.api.workspace.path("practicedata/bad.csv");
    fs::write(&bad, "no,client,table\n1,2,3\n").unwrap();
    watched.api.workspace.fail("fullprocess", &[]);
    watched.fires(&["RiskRunFailed"]);
    fs::remove_file(bad).unwrap();
    watched.run("fullprocess", &[]);
    watched.is_calm();

    let config = watched.api.workspace.config();
    let last = LastRun::read(&config).unwrap().unwrap();
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    LastRun { started: hour_ago, ended: hour_ago, last_success: Some(hour_ago), ..last }.write(&config).unwrap();
    watched.fires(&["RiskRunOverdue"]);
    watched.run("fullprocess", &[]);
    watched.is_calm();
}

/// Production is switched to a release whose model cannot be loaded; the next run repairs that.
fn release(watched: &mut Watched) {
    let workspace = &watched.api.workspace;
    let production = Production::of(&workspace.config());
    let first = production.live().unwrap().id;
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 60, false));
    workspace.deploy();
    let second = production.live().unwrap();
    workspace.run("deployment", &["--rollback", &first]);
    let answers = format!("risk_model{{release=\"{first}\"}} 1");
    wait_until("the first release answers", || watched.api.get("/metrics").text.contains(&answers));
    fs::write(second.folder.join("trainedmodel.bin"), "RISKMODL").unwrap();
    symlink(format!("releases/{}", second.id), workspace.path("production_deployment/new")).unwrap();
    let link = workspace.path("production_deployment/current");
    fs::rename(workspace.path("production_deployment/new"), link).unwrap();
    watched.fires(&["RiskReleaseRefused"]);
    watched.run("fullprocess", &[]);
    watched.is_calm();
}

/// The live model drifts while it is held, and the hold is forgotten.
fn model(watched: &mut Watched) {
    let long_ago = Timestamp::now() - SignedDuration::from_hours(8 * 24);
    let hold = json!({"since": long_ago, "reason": "audit"}).to_string();
    watched.api.workspace.write("production_deployment/hold.json", &hold);
    watched.fires(&["RiskHoldForgotten"]);
    watched.api.workspace.csv("practicedata/dataset4.csv", &testkit::rows("d", 400, true));
    watched.run("fullprocess", &[]);
    watched.fires(&["RiskHoldForgotten", "RiskModelDrifted", "RiskScoreBelowBaseline"]);
    watched.run("deployment", &["--release-hold"]);
    watched.fires(&["RiskModelDrifted", "RiskScoreBelowBaseline"]);
    watched.api.workspace.csv("testdata/testdata.csv", &testkit::rows("t", 60, true));
    watched.run("fullprocess", &[]);
    watched.is_calm();
}

/// A delivery of other clients has no outcomes, and then no delivery comes for weeks.
fn data(watched: &mut Watched) {
    let unlabelled: String = (0..200).map(|i| format!("u{i},{},4000,3,\n", 800 - i % 9)).collect();
    watched.api.workspace.csv("practicedata/dataset5.csv", &unlabelled);
    watched.run("fullprocess", &[]);
    watched.fires(&["RiskFilesPending", "RiskPredictorShifted"]);
    fs::remove_file(watched.api.workspace.path("practicedata/dataset5.csv")).unwrap();
    watched.api.workspace.csv("practicedata/dataset6.csv", &testkit::rows("f", 60, true));
    watched.run("fullprocess", &[]);
    watched.is_calm();

    let record = File::open(watched.api.workspace.path("ingesteddata/ingestion.json")).unwrap();
    record.set_modified(SystemTime::now() - 36 * DAY).unwrap();
    watched.fires(&["RiskDataTooOld"]);
    watched.api.workspace.csv("practicedata/dataset7.csv", &testkit::rows("g", 60, true));
    watched.run("fullprocess", &[]);
    watched.is_calm();
}

/// The database is away, so that requests for its records fail; then the service is killed and started again.
fn service(watched: &mut Watched) {
    watched.run("dbsetup", &[]); // leaves a single file
    let (database, away) = (watched.api.workspace.path("history.sqlite"), watched.api.workspace.path("away"));
    fs::rename(&database, &away).unwrap();
    fs::create_dir(&database).unwrap();
    watched.fires(&["RiskDatabaseAway"]);
    let names = ["RiskDatabaseAway", "RiskServerErrors"].map(str::to_owned);
    wait_until("failing requests are an alert", || {
        assert_eq!(watched.api.get("/history?what=runs").status, 503);
        watched.prometheus.firing() == BTreeSet::from(names.clone())
    });
    watched.fires(&["RiskDatabaseAway", "RiskServerErrors"]);
    fs::remove_dir(&database).unwrap();
    fs::rename(&away, &database).unwrap();
    watched.is_calm();

    let address = watched.api.address().to_owned();
    watched.api.server.child.kill().unwrap();
    watched.fires(&["RiskServiceDown"]);
    watched.api.server.child.wait().unwrap();
    let mut app = watched.api.workspace.command_without_cargo("app");
    watched.api.server = Server::start(app.args(["--bind", &address]));
    watched.is_calm();
}
