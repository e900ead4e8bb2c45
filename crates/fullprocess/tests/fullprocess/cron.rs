//! Tests the command as cron runs it: from any directory, with a minimal environment, every ten minutes.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use testkit::{binary, project};

use crate::{OUTPUTS, bootstrapped, live, narration, workspace};

#[test]
fn the_config_may_come_from_the_environment_or_the_current_folder() {
    let workspace = bootstrapped();
    let before = workspace.snapshot(OUTPUTS);
    let elsewhere = tempfile::tempdir().unwrap();
    let run = |folder: &std::path::Path, config: Option<&str>| {
        let mut command = Command::new(binary("fullprocess"));
        command.current_dir(folder).env_clear();
        command.envs(config.map(|config| ("RISK_CONFIG", config))).output().unwrap()
    };
    let config = workspace.path("config.json");
    for (folder, config) in [
        (elsewhere.path(), config.to_str()),
        (std::path::Path::new("/"), config.to_str()),
        (&workspace.path("."), Some("config.json")),
        (&workspace.path("."), None),
        (&workspace.path("practicedata"), Some("../config.json")),
    ] {
        let output = run(folder, config);
        assert!(
            output.status.success() && output.stdout.starts_with(b"nothing to do"),
            "{folder:?} {config:?}: {output:?}"
        );
    }
    let output = run(elsewhere.path(), None);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("config.json") && stderr.contains("RISK_CONFIG"), "{stderr}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert!(workspace.snapshot(OUTPUTS) == before);
}

#[test]
fn the_cron_job_is_one_line_that_runs_every_ten_minutes_from_anywhere() {
    let line = fs::read_to_string(project().join("cronjob.txt")).unwrap();
    // cron ignores a last line without a line break, and treats % as a line break.
    assert!(line.lines().count() == 1 && line.ends_with('\n') && !line.contains('%'), "{line:?}");
    let command = line.strip_prefix("*/10 * * * * ").unwrap().trim_end();
    assert!(command.contains("/path/to/project"), "{command}");

    let workspace = workspace();
    fs::create_dir(workspace.path("target")).unwrap();
    let binaries = binary("fullprocess");
    symlink(binaries.parent().unwrap(), workspace.path("target/release")).unwrap();
    // The folder of the project may have a space in its name if the line quotes it.
    let project = workspace.path("the project");
    symlink(workspace.path("."), &project).unwrap();
    let command = command.replace("/path/to/project", &format!("'{}'", project.display()));
    let run = || {
        let output = Command::new("env").args(["-i", "/bin/sh", "-c", &command]).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "cron would send mail: {output:?}");
    };
    run();
    run();
    let log = workspace.text("fullprocess.log");
    let says = |words: &str| log.lines().map(narration).any(|line| line.starts_with(words));
    assert!(says("first deployment") && says("nothing to do") && says("app: stopped"), "{log}");
    live(&workspace);

    fs::remove_file(workspace.path("config.json")).unwrap();
    let output = Command::new("env").args(["-i", "/bin/sh", "-c", &command]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = workspace.text("fullprocess.log");
    assert!(narration(log.lines().last().unwrap()).starts_with("error: "), "{log}");
}
