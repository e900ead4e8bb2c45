//! Tests of the history in a SQLite file.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use common::config::Config;

use crate::connection::Opening;
use crate::sqlite_file::FileStamp;
use crate::{History, Operation, State, StepTiming, schema};

/// Writes a config and its folders, and loads it. The database is history.sqlite in the same folder.
pub(crate) fn config(folder: &Path) -> Config {
    for name in ["data", "test"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let text = r#"{"input_folder_path": "data", "output_folder_path": "out", "test_data_path": "test",
        "output_model_path": "models", "prod_deployment_path": "production"}"#;
    fs::write(folder.join("config.json"), text).unwrap();
    Config::load(Some(&folder.join("config.json"))).unwrap()
}

fn rows(config: &Config, table: &str) -> u64 {
    let counts = History::open(config).unwrap().row_counts().unwrap();
    counts.into_iter().find(|(name, _)| *name == table).unwrap().1
}

#[test]
fn a_failed_step_is_recorded_with_its_error_and_without_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let failed: Result<()> = crate::record(&config, "test", |run| {
        run.add(StepTiming { operation: Operation::Training, seconds: 0.5 });
        bail!("no \0 data")
    });
    assert_eq!(failed.unwrap_err().to_string(), "no \0 data");
    assert_eq!((rows(&config, "runs"), rows(&config, "timings")), (1, 0));
    let errors: Vec<(String,)> = History::open(&config).unwrap().fetch("SELECT error FROM runs", &[]).unwrap();
    assert_eq!(errors[0].0, "no \u{2400} data");
}

#[test]
fn a_history_that_cannot_be_used_stops_the_step_before_its_work() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), folder.path().join("history.sqlite"));
    fs::write(path, "this is no database, and longer than a header is, to be sure of it").unwrap();
    let refused: Result<()> = crate::record(&config, "test", |_| unreachable!("the work must not begin"));
    let error = format!("{:#}", refused.unwrap_err());
    assert!(error.contains("history.sqlite") && error.contains("database_url"), "{error}");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), folder.path().join("history.sqlite"));
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (99, 'later', TRUE, x'00', 0)";
    let mut history = History::open(&config).unwrap();
    history.execute(async |connection| connection.execute(newer, &[]).await).unwrap();
    drop(history);
    let before = fs::read(&path).unwrap();
    for refused in [History::open(&config).err(), History::set_up(&config).err(), History::state(&config).err()] {
        let error = format!("{:#}", refused.unwrap());
        assert!(error.contains("version 99") && error.contains("newer"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_without_a_log_is_read_until_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), folder.path().join("history.sqlite"));
    let write = |step: &str| {
        let row =
            "INSERT INTO runs (step, version, started, seconds, ended, outcome) VALUES (?, '', '', 0, '', 'done')";
        let mut history = History::open(&config).unwrap();
        history.execute(async |connection| connection.execute(row, &[step.into()]).await).unwrap();
        history
    };
    drop(write("first"));
    let mut reader = History::connect(&config.database, Opening::Immutable).unwrap();
    reader.immutable = Some(FileStamp::without_log(&path).unwrap());
    let mut steps = || reader.fetch::<(String,)>("SELECT step FROM runs", &[]);
    assert_eq!(steps().unwrap(), [("first".to_owned(),)]);
    // The log contains the second run, and the file itself is unchanged.
    let writer = write("second");
    assert!(FileStamp::without_log(&path).is_err());
    assert_eq!(steps().unwrap(), [("first".to_owned(),)]);
    drop(writer);
    let error = format!("{:#}", steps().unwrap_err());
    assert!(error.contains("history.sqlite") && error.contains("try again"), "{error}");
    let mut history = History::open_existing(&config).unwrap().unwrap();
    assert_eq!(history.row_counts().unwrap()[0], ("runs", 2));
}

#[test]
fn reading_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path()), folder.path().join("history.sqlite"));
    assert!(History::open_existing(&config).unwrap().is_none());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "the config and two folders");
    // The state while another process is creating the file.
    fs::write(&path, "").unwrap();
    assert!(History::open_existing(&config).unwrap().is_none());
    assert!(!path.with_added_extension("lock").exists());
}

#[test]
fn two_processes_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    crate::record(&config, "test", |_| Ok(())).unwrap();
                }
            });
        }
    });
    assert_eq!(rows(&config, "runs"), 40);
}

/// Upgrades a history that was recorded by a program of schema version 1.
#[test]
fn a_history_of_version_1_is_brought_up_to_date_with_all_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let mut old = History::connect(&config.database, Opening::Create).unwrap();
    let rows = "
        INSERT INTO runs (step, version, started, seconds) VALUES ('scoring', '0.1.0', '2026-11-22T23:59:59.5Z', 1.25);
        INSERT INTO runs (step, version, started, seconds, error) VALUES ('x', '0.1.0', '2026-11-23T00:00:00Z', 1, 'no');
        INSERT INTO ingested_files VALUES (1, 'o''neil.csv', 'aa', 3, 1, 0);
        INSERT INTO scores VALUES (1, 'bb', '[\"t.csv\"]', 4, 1, 1, 1, 1, 0.5);
        INSERT INTO timings VALUES (1, 'training', 0.5);
        INSERT INTO missing_percentages VALUES (1, 'exited', 1.5);
        INSERT INTO checked_files VALUES (1, 'r1', 'a.csv', 'aa');
        INSERT INTO latest_versions VALUES (1, 'serde', '1.99.0');";
    old.execute(async |connection| {
        schema::migrate_to(connection, 1).await?;
        connection.execute_raw(rows).await
    })
    .unwrap();
    drop(old);
    assert_eq!(History::state(&config).unwrap(), State::Behind(1));

    let mut history = History::open(&config).unwrap();
    let counts = history.row_counts().unwrap().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    let kept = ["ingested_files", "scores", "timings", "missing_percentages", "checked_files", "dependencies"];
    assert_eq!(counts[0], ("runs", 2));
    assert_eq!(counts[1..].iter().map(|(table, _)| *table).collect::<Vec<_>>(), kept);
    let runs: Vec<(String, String)> = history.fetch("SELECT outcome, ended FROM runs ORDER BY id", &[]).unwrap();
    assert_eq!(runs[0], ("done".to_owned(), "2026-11-23T00:00:00.750Z".to_owned()));
    assert_eq!(runs[1].0, "failed");
    assert_eq!(history.latest_known("serde").unwrap().unwrap().0, "1.99.0");
    assert_eq!(History::state(&config).unwrap(), State::Current);
}
