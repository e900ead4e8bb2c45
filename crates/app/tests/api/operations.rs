//! What operators see: health, metrics and the log.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use common::production::release::Production;
use serde_json::{Value, json};
use testkit::{Server, Workspace};

use crate::helpers::{Answer, Api, metric, wait_until};

fn check_ready(answer: &Answer, status: u16, release: Option<&str>, refused: Option<&str>) {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["release"], &body["refused"]),
        (status, &json!(release), &json!(refused)),
        "{body}"
    );
}

#[test]
fn it_is_alive_at_once_and_ready_as_soon_as_a_model_is_deployed() {
    let api = Api::of(Workspace::with_data());
    assert_eq!(api.get("/health/live").ok(), json!({"status": "alive"}));
    let answer = api.get("/health/ready");
    check_ready(&answer, 503, None, None);
    assert!(answer.json()["detail"].as_str().unwrap().contains("fullprocess"), "{answer:?}");
    api.workspace.deploy();
    let live = Production::of(&api.workspace.config()).live().unwrap();
    let answer = api.get("/health/ready");
    check_ready(&answer, 200, Some(&live.id), None);
    assert_eq!(answer.json()["deployed"], json!(live.manifest.created));
}

#[test]
fn a_broken_release_is_told_of_while_the_one_before_it_answers() {
    let api = Api::deployed();
    api.check_alive();
    let old = Production::of(&api.workspace.config()).live().unwrap().id;
    assert_eq!(metric(&api, "risk_reload_failures_total"), Some(0.0));
    api.workspace.csv("practicedata/another.csv", &testkit::rows("c", 500, true));
    api.workspace.deploy();
    let new = Production::of(&api.workspace.config()).live().unwrap().id;
    let model = api.workspace.path("production_deployment/releases").join(&new).join("trainedmodel.bin");
    fs::write(&model, b"RISKMODL").unwrap();
    for _ in 0..3 {
        api.check_alive();
        check_ready(&api.get("/health/ready"), 200, Some(&old), Some(&new));
    }
    assert_eq!(metric(&api, "risk_reload_failures_total"), Some(1.0));
    assert_eq!(metric(&api, "risk_release_refused"), Some(1.0));
    assert_eq!(metric(&api, &format!("risk_model{{release=\"{old}\"}}")), Some(1.0));
    api.workspace.run("deployment", &["--rollback", &old]);
    check_ready(&api.get("/health/ready"), 200, Some(&old), None);
    assert_eq!(metric(&api, "risk_release_refused"), Some(0.0));
}

#[test]
fn what_was_asked_and_answered_is_counted() {
    let api = Api::deployed();
    for _ in 0..3 {
        api.predict(&json!({"rows": [{}, {}]})).ok();
    }
    api.predict(&json!({"rows": 1}));
    api.get("/clients/a0");
    api.get("/clients/nobody");
    api.get("/nothing");
    api.ask("BREW", "/scoring");
    let counted = |route: &str, method: &str, status: u16| {
        metric(&api, &format!("http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"))
    };
    assert_eq!(counted("/prediction", "POST", 200), Some(3.0));
    assert_eq!(counted("/prediction", "POST", 422), Some(1.0));
    assert_eq!(counted("/clients/{corporation:.*}", "GET", 200), Some(1.0));
    assert_eq!(counted("/clients/{corporation:.*}", "GET", 404), Some(1.0));
    assert_eq!(counted("unknown", "GET", 404), Some(1.0));
    assert_eq!(counted("/scoring", "other", 405), Some(1.0));
    assert_eq!(metric(&api, "http_request_seconds_count{route=\"/prediction\"}"), Some(4.0));
    assert_eq!(
        (metric(&api, "risk_predictions_total"), metric(&api, "risk_predicted_rows_total")),
        (Some(3.0), Some(6.0))
    );
    let manifest = Production::of(&api.workspace.config()).live().unwrap().manifest;
    assert_eq!(metric(&api, "risk_model_recorded_f1"), Some(manifest.score.f1));
    assert_eq!(metric(&api, "risk_last_f1"), Some(manifest.score.f1));
    assert!(metric(&api, "risk_model_age_seconds").is_some_and(|age| (0.0..3600.0).contains(&age)));
    assert!(!api.get("/metrics").text.contains("nobody"), "a client's name is in the metrics");
}

#[test]
fn the_metrics_tell_the_last_run_and_its_drift_verdict() {
    let workspace = Workspace::with_data();
    workspace.run("fullprocess", &[]);
    let api = Api::of(workspace);
    assert_eq!(metric(&api, "risk_last_run_failed"), Some(0.0));
    assert!(metric(&api, "risk_last_run_timestamp_seconds").is_some_and(|time| time > 1.7e9));
    let recorded = metric(&api, "risk_model_recorded_f1");
    let check = |verdict: &str, f1: Option<f64>, pending: f64| {
        for known in ["not drifted", "cannot tell", "drifted", "cannot be judged", "not checked yet", "unknown"] {
            let value = metric(&api, &format!("risk_drift{{verdict=\"{known}\"}}"));
            assert_eq!(value, Some(f64::from(known == verdict)), "{known}");
        }
        assert_eq!(
            (metric(&api, "risk_last_f1"), metric(&api, "risk_pending_files")),
            (f1, Some(pending)),
            "{verdict}"
        );
    };
    let is_estimated = || metric(&api, "risk_estimated_f1").is_some_and(|f1| (0.0..=1.0).contains(&f1));
    assert!(!is_estimated());
    let unlabelled: String = (0..20).map(|i| format!("s{i},800,4000,3,\n")).collect();
    check("not checked yet", recorded, 0.0);
    api.workspace.csv("practicedata/pending.csv", &unlabelled);
    api.workspace.run("fullprocess", &[]);
    check("cannot be judged", recorded, 1.0);
    assert!(is_estimated());
    api.workspace.csv("practicedata/fits.csv", &testkit::rows("e", 60, false));
    api.workspace.run("fullprocess", &[]);
    check("not drifted", Some(1.0), 0.0);

    // While the release is held, its own drift is shown; after the replacement, the state of the new one.
    assert_eq!(metric(&api, "risk_hold"), Some(0.0));
    api.workspace.run("deployment", &["--hold"]);
    assert_eq!(metric(&api, "risk_hold"), Some(1.0));
    api.workspace.csv("practicedata/later.csv", &testkit::rows("d", 200, true));
    api.workspace.run("fullprocess", &[]);
    check("drifted", Some(0.0), 0.0);
    api.workspace.write("production_deployment/hold.json", "");
    assert_eq!(metric(&api, "risk_hold"), Some(1.0), "a hold that cannot be read holds");
    api.workspace.run("deployment", &["--release-hold"]);
    let first = Production::of(&api.workspace.config()).live().unwrap().id;
    api.workspace.run("fullprocess", &[]);
    let second = Production::of(&api.workspace.config()).live().unwrap();
    assert!(second.id != first && api.get("/health/ready").json()["release"] == json!(second.id));
    check("not checked yet", Some(second.manifest.score.f1), 0.0);
    assert!(!is_estimated(), "the new release has not been estimated yet");
    // After a rollback it is that of the first release again.
    api.workspace.run("deployment", &["--rollback", &first]);
    assert_eq!(api.get("/health/ready").json()["release"], json!(first));
    check("drifted", Some(0.0), 0.0);
}

#[test]
fn prometheus_own_parser_reads_the_metrics() {
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        print(sorted(family.name for family in parse(sys.stdin.read())))";
    let installed = Command::new("python3").args(["-c", "import prometheus_client"]).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return testkit::skipped("prometheus-client (PyPI) is not installed here");
    }
    let api = Api::deployed();
    api.check_alive();
    let answer = api.get_for("application/openmetrics-text; version=1.0.0", "/metrics");
    assert!(answer.content_type.starts_with("application/openmetrics-text; version=1.0.0"), "{answer:?}");
    let mut parser = Command::new("python3");
    let mut parser = parser
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut parser.stdin.take().unwrap(), answer.text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    let families = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for family in ["'http_requests'", "'http_request_seconds'", "'risk_predictions'", "'risk_model'", "'risk_last_f1'"]
    {
        assert!(families.contains(family), "{family} is not in {families}");
    }
}

#[test]
fn the_log_is_a_json_object_a_request_and_names_no_client() {
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/zebra.csv", "Zebrapolis,5,40,60,0\n");
    workspace.deploy();
    let mut command = workspace.command_without_cargo("app");
    let mut server = Server::logging(command.stderr(Stdio::piped()), "json");
    let mut stderr = server.child.stderr.take().unwrap();
    let ask = |path: &str, id: &str| {
        ureq::get(format!("{}{path}", server.url))
            .header("x-request-id", id)
            .config()
            .http_status_as_error(false)
            .build()
            .call()
            .unwrap()
    };
    let answer = ask("/clients/Zebrapolis?lastmonth_activity=777.125", "morning-1");
    assert_eq!(answer.headers()["x-request-id"], "morning-1");
    // A request id with other characters is replaced by one of the service's own.
    let own = ask("/clients?q=Zebrapolis", "a b\u{e4}").headers()["x-request-id"].to_str().unwrap().to_owned();
    let other = ask("/nothing/Zebrapolis", "").headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(own != other && own.len() > 8, "{own} {other}");
    drop(server.child.stdin.take());
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    assert!(!log.contains("Zebra") && !log.contains("777.125"), "{log}");
    let lines: Vec<Value> =
        log.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("{id} is not in {log}"));
    let line = of("morning-1");
    assert_eq!((&line["route"], &line["status"]), (&json!("/clients/{corporation:.*}"), &json!(200)));
    assert_eq!((&line["method"], &line["level"]), (&json!("GET"), &json!("INFO")));
    assert!(line["milliseconds"].as_f64().unwrap() > 0.0 && line["timestamp"].is_string(), "{line}");
    assert_eq!(line["release"], json!(Production::of(&workspace.config()).live().unwrap().id));
    assert_eq!((&of(&own)["route"], &of(&other)["route"]), (&json!("/clients"), &json!("unknown")));
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_answer() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let mut command = workspace.command_without_cargo("app");
    // A pipe buffers 64 KiB; the log lines of this many requests are far longer.
    let server = Server::logging(command.stderr(Stdio::piped()), "json");
    let mut answered = 0;
    wait_until("all were answered", || {
        answered += 100;
        for _ in 0..100 {
            ureq::get(format!("{}/health/live", server.url)).call().unwrap();
        }
        answered >= 2000
    });
}
