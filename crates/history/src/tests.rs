//! Tests of the history in a SQLite file.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use common::config::{Config, DriftTest, Promotion};
use common::files::checksum::Checksum;
use common::model::metrics::Confusion;
use common::production::promotion::Comparison;
use serde_json::json;

use crate::connection::Opening;
use crate::listing::ListingKind;
use crate::sqlite_file::FileStamp;
use crate::{
    Candidate, ComparisonRow, DriftCheck, DriftVerdict, History, MissingPercentage, MissingRow, Operation,
    PromotionDecision, ScoredData, StepTiming, TimingRow, compared_models,
};

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

#[test]
fn a_record_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let sha256 = Checksum::of_bytes(b"model");
    let confusion = Confusion { true_positives: 7, false_positives: 1, false_negatives: 2, true_negatives: 9 };
    let check = DriftCheck {
        release: "o'neil\u{1F980}".to_owned(),
        data: vec!["a \"b\".csv".to_owned(), "größe\\.csv".to_owned()],
        confusion,
        f1_low: None,
        f1_high: Some(0.9),
        recorded_f1: 1.0 / 3.0,
        test: DriftTest::Interval,
        verdict: DriftVerdict::CannotTell,
        drifted: true,
    };
    let score = ScoredData {
        release: None,
        model_sha256: sha256.clone(),
        data: Vec::new(),
        confusion: Confusion::default(),
        threshold: Some(0.5),
    };
    let decision = PromotionDecision {
        challenger_sha256: sha256,
        champion: None,
        rule: Promotion::IfBetter,
        promoted: false,
        warnings: vec!["worse; \"much\"".to_owned()],
    };
    let comparison = Comparison { challenger: confusion, champion: None };
    crate::record(&config, "test", |run| {
        run.add(check.clone());
        run.add(vec![score.clone()]);
        run.add((decision.clone(), compared_models(&comparison)));
        Ok(())
    })
    .unwrap();
    let mut history = History::open(&config).unwrap();
    let read = history.newest_check().unwrap().unwrap();
    assert_eq!((read.run, &read.record), (1, &check));
    assert_eq!(history.newest_score().unwrap().unwrap().record, score);
    let rows = history.newest::<ComparisonRow>(10).unwrap();
    let models: Vec<_> = rows.iter().map(|row| row.compared.model).collect();
    assert_eq!(models, [Candidate::EveryoneExits, Candidate::NewModel, Candidate::NobodyExits]);
    assert!(rows.iter().all(|row| row.promotion == decision));
    assert_eq!(rows[1].compared.confusion, confusion);
    let json = serde_json::to_value(history.listing(ListingKind::Checks, &config.columns, 1).unwrap()).unwrap();
    let row = &json["rows"][0];
    assert_eq!(
        (&row["verdict"], &row["drifted"], &row["test"]),
        (&json!("cannot tell"), &json!(true), &json!("interval"))
    );
    assert_eq!((&row["data"], &row["f1_low"], &row["n"]), (&json!(check.data), &json!(null), &json!(19)));
    assert_eq!(serde_json::to_value(DriftVerdict::CannotTell).unwrap(), "cannot_tell", "as fullprocess writes it");
    let listing = history.listing(ListingKind::Checks, &config.columns, 1).unwrap();
    let (columns, cells) = listing.table();
    assert_eq!((columns.len(), cells[0].len(), columns[4], cells[0][4].as_str()), (16, 16, "n", "19"));
}

#[test]
fn missing_values_are_listed_by_the_columns_of_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let add = |columns: &[&str]| {
        let percent =
            |(index, column): (usize, &&str)| MissingPercentage { column: (*column).to_owned(), percent: index as f64 };
        let records: Vec<_> = columns.iter().enumerate().map(percent).collect();
        crate::record(&config, "test", |run| {
            run.add(records);
            Ok(())
        })
        .unwrap();
    };
    add(&["an older column", "id"]);
    add(&["o'neil ?", "started", "run", "id", "t"]);
    let columns = r#"{"id": "id", "target": "t", "predictors": ["o'neil ?", "run", "started"]}"#;
    let columns = common::config::schema_of_json(columns).unwrap();
    let mut history = History::open(&config).unwrap();
    let rows = history.missing(&columns, 10).unwrap();
    assert_eq!(rows[0].percent, [Some(1.0), None, None, None, None]);
    assert_eq!(rows[1].percent, [Some(3.0), Some(0.0), Some(2.0), Some(1.0), Some(4.0)]);
    assert_eq!(history.missing(&columns, 1).unwrap(), rows[1..]);
    let listing = history.listing(ListingKind::Missing, &columns, 1).unwrap();
    let keys = ["run", "started", "id", "o'neil ?", "run_", "started_", "t"];
    assert_eq!(listing.table().0, keys);
    let json = serde_json::to_string(&listing).unwrap();
    let started = &rows[1].started;
    let row = format!(r#""run":2,"started":"{started}","id":3.0,"o'neil ?":0.0,"run_":2.0,"started_":1.0,"t":4.0"#);
    assert_eq!(json, format!(r#"{{"what":"missing","rows":[{{{row}}}]}}"#));
    let described = serde_json::to_value(MissingRow::api_schema(&columns)).unwrap();
    assert!(keys.iter().all(|key| described["properties"].get(*key).is_some()), "{described}");
}

#[test]
fn a_text_that_is_none_of_an_enum_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    crate::record(&config, "test", |run| {
        run.add(StepTiming { operation: Operation::Training, seconds: 0.5 });
        Ok(())
    })
    .unwrap();
    let mut history = History::open(&config).unwrap();
    let edit = "UPDATE timings SET operation = 'cooking'";
    history.execute(async |connection| connection.execute(edit, &[]).await).unwrap();
    let error = format!("{:#}", history.newest::<TimingRow>(1).unwrap_err());
    for part in ["history.sqlite", "operation", "\"cooking\" is not a known"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}
