//! The service running as a different Unix user than the steps: it serves what it may read and names what it may not
//! read.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use testkit::{Server, Workspace, skipped};

use crate::helpers::{Api, wait_until};

const NOBODY: &str = "65534";

/// A service of `workspace` that runs as uid 65534; `None` if this test cannot switch to that user.
fn as_nobody(workspace: &Workspace) -> Option<Server> {
    if fs::metadata("/proc/self").map_or(true, |process| std::os::unix::fs::MetadataExt::uid(&process) != 0) {
        skipped("only root can start the service as another user");
        return None;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        skipped("there is no setpriv (util-linux)");
        return None;
    }
    // The test folder may be closed to other users, but the binary must be accessible.
    let app = workspace.path("app");
    if !app.exists() {
        fs::copy(testkit::binary("app"), &app).unwrap();
    }
    for open in [workspace.path(""), app.clone()] {
        set_mode(&open, 0o755);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&app);
    command
        .arg("--config")
        .arg(workspace.path("config.json"))
        .current_dir("/")
        .env("PATH", "/nonexistent:/usr/bin:/bin");
    command.stderr(File::create(workspace.path("log")).unwrap());
    Some(Server::logging(&mut command, "text"))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Checks that the page and the API show all data of the history.
fn check_history(api: &Api) {
    for (path, parts) in
        [("/", ["Whom to call today", "Last check"]), ("/model", ["The model", "Quality on the test data"])]
    {
        let page = api.get(path);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(parts.iter().all(|part| page.text.contains(part)), "{page:?}");
        assert!(!page.text.contains("log gives the reason"), "{page:?}");
    }
    assert_eq!(api.get("/history?what=releases").ok()["rows"].as_array().unwrap().len(), 1);
    assert!(api.get("/metrics").text.contains("risk_last_f1"), "the metrics lack the history");
}

#[test]
fn it_reads_the_history_of_another_user_and_leaves_no_trace() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let Some(server) = as_nobody(&workspace) else { return };
    let api = Api::with(workspace, server);
    let log = |suffix: &str| api.workspace.path(format!("history.sqlite-{suffix}"));
    assert!(log("wal").exists() && log("shm").exists(), "a step leaves SQLite's log behind");
    check_history(&api);
    // dbsetup closes the database properly, which removes the log; now no file is left that another user could create.
    api.workspace.run("dbsetup", &[]);
    assert!(!log("wal").exists() && !log("shm").exists());
    check_history(&api);
    assert!(!log("wal").exists() && !log("shm").exists());
    api.workspace.run("scoring", &[]);
    api.workspace.run("deployment", &[]);
    assert_eq!(api.get("/history?what=releases").ok()["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn what_it_is_not_allowed_to_read_is_named_with_the_user_and_the_remedy() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let Some(server) = as_nobody(&workspace) else { return };
    let mut api = Api::with(workspace, server);
    let explained = |name: &str| ["nobody (uid 65534)", "not allowed to read", name, "chmod"].map(str::to_owned);
    for (name, pages) in [
        ("history.sqlite", &[("/", 200), ("/history", 503)][..]),
        ("testdata", &[("/model", 200), ("/scoring", 503)]),
        ("testdata/testdata.csv", &[("/model", 200), ("/scoring", 503)]),
        ("ingesteddata/finaldata.csv", &[("/", 503), ("/summarystats", 503), ("/calllist", 503), ("/clients/a0", 503)]),
        ("ingesteddata", &[("/", 503), ("/calllist", 503)]),
        ("production_deployment", &[("/", 503), ("/scoring", 503), ("/health/ready", 503)]),
        ("production_deployment/trainedmodel.bin", &[("/", 503), ("/calllist", 503), ("/health/ready", 503)]),
    ] {
        let path = fs::canonicalize(api.workspace.path(name)).unwrap();
        set_mode(&path, if path.is_dir() { 0o700 } else { 0o600 });
        // A new service, because the running one continues to serve a release and data that it has already read.
        api.server = as_nobody(&api.workspace).unwrap();
        if name.ends_with(".csv") {
            let answer = api.predict(&serde_json::json!({"filepath": name}));
            api.check_problem(name, &answer, 503, &["not allowed to read this file", "nobody (uid 65534)", "chmod"]);
        }
        for (page, status) in pages {
            let answer = api.browse("GET", page);
            assert_eq!(answer.status, *status, "{name}, {page}: {answer:?}");
            for part in explained(name) {
                assert!(answer.text.contains(&part), "{name}, {page}: {part} is not in {answer:?}");
            }
            assert!(!answer.text.contains(api.workspace.path("").to_str().unwrap()), "{answer:?}");
            wait_until("the log names the file", || {
                let log = api.workspace.text("log");
                log.lines().any(|line| explained(name).iter().all(|part| line.contains(part)))
            });
        }
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    check_history(&api);
}
