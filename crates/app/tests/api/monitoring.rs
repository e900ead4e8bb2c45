//! The metrics in every state of the service, and the files of the folder `monitoring`, checked with the tools that read
//! them: promtool and the types of Grafana.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::{DatabaseServer, Kind};

use crate::columns;
use crate::helpers::{Api, metric, wait_until};
use crate::prometheus::{is_installed, shipped};

/// The names of all metrics of a scrape, as an expression would use them.
fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).map(str::to_owned).collect()
}

/// The names of metrics in an expression or another text.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("risk_") || word.starts_with("http_")).map(str::to_owned).collect()
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    promtool.wait_with_output().unwrap()
}

fn is_clean(arguments: &[&str], input: &str) {
    let output = promtool(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {output:?}\n{input}");
}

/// Scrapes the service without asking for a format, checks the text with promtool, and returns the names.
fn scraped(api: &Api, state: &str) -> BTreeSet<String> {
    let answer = api.get("/metrics");
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let output = promtool(&["check", "metrics"], &answer.text);
    let complaint = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && complaint.is_empty(), "{state}: {}", String::from_utf8_lossy(&complaint));
    names(&answer.text)
}

#[test]
fn every_metric_is_there_in_every_state_and_promtool_finds_no_fault() {
    if !is_installed("promtool") {
        return;
    }
    let workspace = columns::workspace(); // whose columns have names that must be escaped
    let alerts = mentioned(&fs::read_to_string(shipped("alerts.yml")).unwrap());
    let api = Api::of(workspace);
    api.get("/metrics"); // counts itself
    let first = scraped(&api, "before the first run");
    assert!(alerts.is_subset(&first), "missing: {:?}", alerts.difference(&first));
    assert_eq!(metric(&api, "risk_database_up"), Some(1.0));
    assert_eq!(metric(&api, "risk_drift{verdict=\"not checked yet\"}"), Some(1.0));
    for never in ["last_success_timestamp_seconds", "last_run_end_timestamp_seconds", "newest_data_timestamp_seconds"] {
        assert_eq!(metric(&api, &format!("risk_{never}")), Some(0.0), "{never}");
    }
    assert!(metric(&api, "risk_shift{predictor=\"<b>Total</b>\"}").unwrap().is_nan());

    api.workspace.run("fullprocess", &[]);
    let mut all = first.clone();
    all.insert("risk_model".to_owned());
    assert_eq!(scraped(&api, "with a release"), all);
    assert!(metric(&api, "risk_last_success_timestamp_seconds").unwrap() > 1.7e9);
    assert!(metric(&api, "risk_newest_data_timestamp_seconds").unwrap() > 1.7e9);
    let known = ["risk_last_f1", "risk_baseline_f1"].map(|name| metric(&api, name).unwrap());
    assert!(known.iter().all(|f1| (0.0..=1.0).contains(f1)) && known[0] > known[1], "{known:?}");

    // The database is replaced by something that cannot be opened; the last known values stay.
    api.workspace.run("dbsetup", &[]);
    let database = api.workspace.path("history.sqlite");
    fs::remove_file(&database).unwrap();
    fs::create_dir(&database).unwrap();
    assert_eq!(scraped(&api, "without the database"), all);
    assert_eq!(metric(&api, "risk_database_up"), Some(0.0));
    assert_eq!(["risk_last_f1", "risk_baseline_f1"].map(|name| metric(&api, name).unwrap()), known);
    assert_eq!(metric(&api, "risk_drift{verdict=\"not checked yet\"}"), Some(1.0));
    assert_eq!(metric(&api, "risk_pending_files"), Some(0.0));

    // A service that was started then knows only what files say.
    let Api { workspace, server, .. } = api;
    drop(server);
    let api = Api::of(workspace);
    api.get("/metrics");
    assert_eq!(scraped(&api, "started without the database"), all);
    assert_eq!(metric(&api, "risk_drift{verdict=\"unknown\"}"), Some(1.0));
    assert!(metric(&api, "risk_pending_files").unwrap().is_nan());
    assert_eq!(metric(&api, "risk_last_f1"), metric(&api, "risk_model_recorded_f1"));

    for damaged in ["practicemodels/lastrun.json", "production_deployment/hold.json"] {
        api.workspace.write(damaged, "{");
    }
    assert_eq!(scraped(&api, "with damaged files"), all);
    assert_eq!(metric(&api, "risk_last_success_timestamp_seconds"), Some(0.0));
    assert_eq!(metric(&api, "risk_hold"), Some(1.0));
}

#[test]
fn a_database_that_hangs_leaves_the_last_known_values() {
    let Some(server) = DatabaseServer::start(Kind::Postgres) else { return };
    let mut workspace = Workspace::with_data();
    workspace.set("database_url", json!(server.url("metrics")));
    workspace.run("dbsetup", &[]);
    workspace.run("fullprocess", &[]);
    workspace.csv("practicedata/pending.csv", &(0..20).map(|i| format!("s{i},800,4000,3,\n")).collect::<String>());
    workspace.run("fullprocess", &[]);
    let api = Api::of(workspace);
    let values = |api: &Api| {
        let shift = metric(api, "risk_shift{predictor=\"lastmonth_activity\"}").unwrap();
        assert!(shift > 0.0, "{shift}");
        (metric(api, "risk_database_up"), metric(api, "risk_pending_files"), shift.to_bits())
    };
    let (up, pending, shift) = values(&api);
    assert_eq!((up, pending), (Some(1.0), Some(1.0)));
    server.freeze();
    for _ in 0..3 {
        assert_eq!(values(&api), (Some(0.0), pending, shift));
    }
    server.thaw();
    wait_until("the database answers again", || metric(&api, "risk_database_up") == Some(1.0));
    assert_eq!(values(&api), (Some(1.0), pending, shift));
}

#[test]
fn the_shift_and_the_baseline_are_those_of_the_newest_check() {
    let workspace = Workspace::with_data();
    workspace.run("fullprocess", &[]);
    let unlabelled: String = (0..200).map(|i| format!("u{i},{},4000,3,\n", 800 - i % 9)).collect();
    workspace.csv("practicedata/more.csv", &unlabelled);
    workspace.run("fullprocess", &[]);
    let api = Api::of(workspace);
    let shifts = api.get("/history?what=shifts&last=3").ok()["rows"].as_array().unwrap().clone();
    assert_eq!(shifts.len(), 3);
    for shift in shifts {
        let name = shift["predictor"].as_str().unwrap();
        assert_eq!(metric(&api, &format!("risk_shift{{predictor=\"{name}\"}}")), shift["stability_index"].as_f64());
        let is_shifted = f64::from(shift["verdict"] == "shifted");
        assert_eq!(metric(&api, &format!("risk_shifted{{predictor=\"{name}\"}}")), Some(is_shifted), "{shift}");
    }
    let text = api.get("/metrics").text;
    assert!(text.lines().any(|line| line.starts_with("risk_shifted{") && line.ends_with(" 1.0")), "{text}");
    // Of these 90 clients 30 have left.
    api.workspace.csv(
        "practicedata/few.csv",
        &(testkit::rows("f", 60, false)
            + &testkit::rows("g", 60, false)
                .lines()
                .filter(|row| row.ends_with(",0"))
                .map(|row| format!("{row}\n"))
                .collect::<String>()),
    );
    api.workspace.run("fullprocess", &[]);
    let baseline = metric(&api, "risk_baseline_f1").unwrap();
    assert!((baseline - 2.0 * 30.0 / (2.0 * 30.0 + 60.0)).abs() < 1e-12, "{baseline}");
}

#[test]
fn the_readme_lists_every_metric() {
    let api = Api::deployed();
    api.check_alive();
    let readme = fs::read_to_string(testkit::project().join("crates/app/README.md")).unwrap();
    let section = readme.split("\n### Metrics\n").nth(1).and_then(|text| text.split("\n#").next()).unwrap();
    let listed: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(['{', '`']).next())
        .map(str::to_owned)
        .collect();
    let text = api.get("/metrics").text;
    let scraped = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    assert_eq!(listed, scraped.map(str::to_owned).collect());
}

#[test]
fn alerts_and_dashboard_use_only_metrics_that_exist() {
    let api = Api::deployed();
    api.check_alive();
    let all = names(&api.get("/metrics").text);
    for (file, least) in [("alerts.yml", 12), ("dashboard.json", 20)] {
        let used = mentioned(&fs::read_to_string(shipped(file)).unwrap());
        assert!(used.len() >= least && used.is_subset(&all), "{file}: {:?}", used.difference(&all));
    }
}

#[test]
fn promtool_accepts_rules_and_configuration_and_runs_the_tests_of_the_alerts() {
    if !is_installed("promtool") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["alerts.yml", "prometheus.yml"] {
        fs::copy(shipped(file), folder.path().join(file)).unwrap();
    }
    fs::write(folder.path().join("token"), "secret").unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    is_clean(&["check", "config", &path("prometheus.yml")], "");
    is_clean(&["check", "rules", "--lint-fatal", &path("alerts.yml")], "");
    let tests = shipped("alerts_test.yml");
    is_clean(&["test", "rules", tests.to_str().unwrap()], "");
    let (rules, tests) = (fs::read_to_string(shipped("alerts.yml")).unwrap(), fs::read_to_string(tests).unwrap());
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = format!("- {{labels: 'ALERTS{{alertname=\"{alert}\"");
        assert!(tests.contains(&fires), "{alert} has no unit test");
    }
}

#[test]
fn grafana_types_accept_the_dashboard_and_refuse_a_wrong_one() {
    let modules = std::env::var_os("NODE_PATH").unwrap_or_default();
    let has = |folder: &Path| ["@grafana/schema", "typescript"].iter().all(|name| folder.join(name).is_dir());
    let Some(modules) = std::env::split_paths(&modules).find(|folder| has(folder)) else {
        return testkit::skipped("npm's @grafana/schema and typescript are not in a folder of NODE_PATH");
    };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).unwrap();
    let types = fs::read_to_string(testkit::project().join("crates/app/tests/grafana/dashboard.ts")).unwrap();
    let refused = |dashboard: &str| {
        fs::write(folder.path().join("dashboard.ts"), types.clone() + dashboard).unwrap();
        let mut compiler = Command::new("node");
        compiler.arg(modules.join("typescript/bin/tsc")).args(["--noEmit", "--strict", "--skipLibCheck"]);
        compiler.args(["--module", "esnext", "--moduleResolution", "bundler", "dashboard.ts"]);
        let output = compiler.current_dir(folder.path()).output().unwrap();
        (!output.status.success()).then(|| String::from_utf8(output.stdout).unwrap())
    };
    let dashboard = fs::read_to_string(shipped("dashboard.json")).unwrap();
    assert_eq!(refused(&dashboard), None);
    for (right, wrong) in [
        ("\"schemaVersion\": 39,", ""),
        ("\"gridPos\"", "\"gridpos\""),
        ("\"mode\": \"absolute\"", "\"mode\": \"relative\""),
        ("\"collapsed\": false", "\"collapsed\": \"no\""),
        ("\"colorMode\": \"value\"", "\"colorMode\": \"values\""),
        ("\"fillOpacity\"", "\"opacity\""),
        ("\"expr\": \"risk_shift\"", "\"expression\": \"risk_shift\""),
    ] {
        assert!(dashboard.contains(right), "{right}");
        let errors = refused(&dashboard.replacen(right, wrong, 1));
        assert!(errors.is_some_and(|errors| errors.contains("dashboard.ts")), "{wrong} is accepted");
    }
}

#[test]
fn the_panels_of_the_dashboard_do_not_overlap() {
    let dashboard: Value = serde_json::from_slice(&fs::read(shipped("dashboard.json")).unwrap()).unwrap();
    let mut cells = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cell.0 < 24 && cells.insert(cell), "{panel}");
        }
    }
}
