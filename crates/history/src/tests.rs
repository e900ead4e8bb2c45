//! Tests of the history in a SQLite file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use common::config::{Config, DriftTest, Promotion};
use common::files::checksum::Checksum;
use common::files::ingested::{IngestedFile, ListedFile};
use common::model::metrics::Confusion;
use common::model::score::Score;
use common::production::promotion::Comparison;
use common::production::release::{Manifest, Release};
use serde_json::json;

use crate::connection::Opening;
use crate::listing::ListingKind;
use crate::migrations::tests::update_of_version_8;
use crate::record::Record;
use crate::sqlite_file::FileStamp;
use crate::{
    Candidate, CheckRow, CheckedFile, ComparisonRow, DriftCheck, DriftVerdict, History, MissingPercentage, MissingRow,
    Operation, PendingFile, PromotionDecision, ScoredData, StepTiming, TimingRow, UnjudgedFiles, Waiting,
    compared_models,
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

/// Adds records in a run of their own.
fn add(config: &Config, records: impl Record) {
    let added = crate::record(config, "test", |run| {
        run.add(records);
        Ok(())
    });
    added.unwrap();
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
        repeated_rows: Some(0),
        repeated_clients: None,
        separating: Some(vec!["o'neil, \"x\"".to_owned()]),
    };
    let comparison = Comparison::alone(confusion);
    let decision = PromotionDecision {
        promoted: false,
        warnings: vec!["worse; \"much\"".to_owned()],
        ..PromotionDecision::new(sha256.clone(), None, Promotion::IfBetter, &comparison, None)
    };
    crate::record(&config, "test", |run| {
        run.add(check.clone());
        run.add(vec![score.clone()]);
        run.add((decision.clone(), compared_models(&comparison)));
        Ok(())
    })
    .unwrap();
    let mut history = History::open(&config).unwrap();
    let read = history.newest_check(&check.release).unwrap().unwrap();
    assert_eq!((read.run, &read.record), (1, &check));
    assert_eq!(history.newest_check("another").unwrap(), None);
    assert_eq!(history.newest_score(&sha256, 0).unwrap().unwrap().record, score);
    assert_eq!(history.newest_score(&sha256, 1).unwrap(), None, "no client is known to have left");
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
fn a_check_without_leavers_by_an_earlier_version_counts_as_one_that_could_not_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let check = |[true_positives, false_positives, false_negatives, true_negatives]: [u64; 4], verdict| DriftCheck {
        release: "R1".to_owned(),
        data: vec!["a.csv".to_owned()],
        confusion: Confusion { true_positives, false_positives, false_negatives, true_negatives },
        f1_low: None,
        f1_high: None,
        recorded_f1: 0.8,
        test: DriftTest::Raw,
        verdict,
        drifted: verdict == DriftVerdict::Drifted,
    };
    let old = [
        check([0, 0, 0, 40], DriftVerdict::CannotTell),
        check([0, 30, 0, 40], DriftVerdict::Drifted),
        check([0, 0, 0, 0], DriftVerdict::CannotTell),
        check([3, 0, 1, 40], DriftVerdict::CannotTell),
    ];
    for check in old {
        add(&config, check);
    }
    let mut history = History::open(&config).unwrap();
    assert_eq!(history.past_scores(10).unwrap().len(), 4);
    let update = update_of_version_8();
    for _ in 0..2 {
        history.execute(async |connection| connection.execute(&update, &[]).await).unwrap();
    }
    let verdicts: Vec<_> = history.newest::<CheckRow>(10).unwrap().iter().map(|check| check.verdict).collect();
    let unjudged = DriftVerdict::CannotBeJudged;
    assert_eq!(verdicts, [unjudged, unjudged, unjudged, DriftVerdict::CannotTell]);
    assert_eq!(history.past_scores(10).unwrap(), [6.0 / 7.0]);
}

/// A release that was trained on files with these names; the content of a file is its name.
fn release(names: &[&str]) -> Release {
    let checksum = Checksum::of_bytes(b"m");
    let score = Score {
        model_sha256: checksum.clone(),
        f1: 0.8,
        n: 10,
        confusion: Confusion::default(),
        threshold: 0.5,
        calibration: None,
        leaks: Default::default(),
    };
    let ingested = |name: &&str| IngestedFile {
        name: (*name).to_owned(),
        sha256: Checksum::of_bytes(name.as_bytes()),
        rows: 1,
        duplicates: 0,
        quarantined: 0,
        missing: BTreeMap::new(),
        batch: None,
        state: None,
    };
    let manifest = Manifest {
        created: jiff::Timestamp::UNIX_EPOCH,
        program: String::new(),
        training_rows: 0,
        dataset_sha256: checksum,
        score,
        ingested: names.iter().map(ingested).collect(),
        sha256: BTreeMap::new(),
    };
    Release { id: "R1".to_owned(), folder: PathBuf::new(), manifest }
}

#[test]
fn files_are_new_pending_held_or_gone_by_name_and_content() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let release = release(&["known"]);
    let file = |name: &str, content: &str| ListedFile {
        name: name.to_owned(),
        path: PathBuf::from(name),
        sha256: Checksum::of_bytes(content.as_bytes()),
        known_by: Vec::new(),
    };
    let files = || ["known", "checked", "pending", "held", "replaced", "new"].map(|name| file(name, name)).to_vec();
    let unjudged = |files: Vec<ListedFile>| {
        let mut history = History::open(&config).unwrap();
        let UnjudgedFiles { new, pending, held, gone } =
            UnjudgedFiles::of(Some(&release), files, Some(&mut history)).unwrap();
        let names = |files: Vec<ListedFile>| files.into_iter().map(|file| file.name).collect::<Vec<_>>().join(" ");
        let gone: Vec<_> = gone.into_iter().map(|file| file.name).collect();
        [names(new), names(pending), names(held), gone.join(" ")]
    };
    assert_eq!(unjudged(files()), ["checked pending held replaced new", "", "", ""]);
    let waiting = |name: &str, state| PendingFile::new(&file(name, name), &release, state);
    let (cannot, held) = (Waiting::CannotBeJudged, Waiting::Held);
    add(&config, ["replaced", "pending", "held"].map(|name| waiting(name, cannot)).to_vec());
    crate::record(&config, "test", |run| {
        run.add(CheckedFile::new(&file("checked", "checked"), &release));
        run.add(vec![waiting("held", held), waiting("checked", cannot)]);
        // The same file waits for another release.
        run.add(PendingFile { release: "R2".to_owned(), ..waiting("new", cannot) });
        Ok(())
    })
    .unwrap();
    let mut now = files();
    now[4] = file("replaced", "another content");
    assert_eq!(unjudged(now.clone()), ["replaced new", "pending", "held", "replaced"]);
    assert_eq!(unjudged(Vec::new()), ["", "", "", "held pending replaced"]);
    add(&config, waiting("replaced", Waiting::Gone));
    assert_eq!(unjudged(now), ["replaced new", "pending", "held", ""]);
    // The former content is back, and must be judged like any new file.
    assert_eq!(unjudged(files()), ["replaced new", "pending", "held", ""]);
    let mut history = History::open(&config).unwrap();
    let names = |files: Vec<PendingFile>| files.into_iter().map(|file| file.name).collect::<Vec<_>>();
    assert_eq!(names(history.waiting_files("R1").unwrap()), ["held", "pending"]);
    assert_eq!(names(history.waiting_files("R2").unwrap()), ["new"]);
    // Without a release all files are new, without a history those that the release was not trained on.
    assert_eq!(UnjudgedFiles::of(None, files(), Some(&mut history)).unwrap().new.len(), 6);
    assert_eq!(UnjudgedFiles::of(Some(&release), files(), None).unwrap().new.len(), 5);

    // A file of merged batches names the releases that know it.
    let merged = |id: &str| ListedFile { known_by: vec!["another".into(), id.to_owned()], ..file("merged", "merged") };
    for (id, new) in [(release.id.as_str(), 0), ("a third", 1)] {
        assert_eq!(UnjudgedFiles::of(Some(&release), vec![merged(id)], None).unwrap().new.len(), new);
        assert_eq!(UnjudgedFiles::of(Some(&release), vec![merged(id)], Some(&mut history)).unwrap().new.len(), new);
    }
}

/// A run without new data asks for the pending files, so this must not take long.
#[test]
fn ten_thousand_pending_files_are_found_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let release = release(&[]);
    let file = |i: usize| ListedFile {
        name: format!("{i}.csv"),
        path: PathBuf::new(),
        sha256: Checksum::of_bytes(&i.to_le_bytes()),
        known_by: Vec::new(),
    };
    let files: Vec<_> = (0..20_000).map(file).collect();
    crate::record(&config, "test", |run| {
        run.add(files[..10_000].iter().map(|file| CheckedFile::new(file, &release)).collect::<Vec<_>>());
        let waiting = |file| PendingFile::new(file, &release, Waiting::CannotBeJudged);
        run.add(files[10_000..].iter().map(waiting).collect::<Vec<_>>());
        Ok(())
    })
    .unwrap();
    let mut history = History::open(&config).unwrap();
    let start = Instant::now();
    let unjudged = UnjudgedFiles::of(Some(&release), files, Some(&mut history)).unwrap();
    assert_eq!((unjudged.new.len(), unjudged.pending.len()), (0, 10_000));
    assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
}

#[test]
fn the_decisions_of_the_same_test_data_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let [test, other] = [b"test", b"else"].map(|bytes| Checksum::of_bytes(bytes));
    let comparison = Comparison::alone(Confusion::default());
    let decide = |champion: Option<&str>, rule, test: Option<&Checksum>| {
        let model = Checksum::of_bytes(b"m");
        let decision = PromotionDecision::new(model, champion.map(str::to_owned), rule, &comparison, test.cloned());
        crate::record(&config, "test", |run| {
            run.add(decision);
            Ok(())
        })
        .unwrap();
    };
    decide(None, Promotion::IfBetter, Some(&test)); // nothing to keep
    decide(Some("1"), Promotion::OnDrift, Some(&test)); // the rule does not ask the test data
    decide(Some("1"), Promotion::IfBetter, None); // of an earlier schema version
    decide(Some("1"), Promotion::IfBetter, Some(&other));
    let mut history = History::open(&config).unwrap();
    assert_eq!(history.decisions_by_test_data(&test).unwrap(), 0);
    drop(history);
    decide(Some("1"), Promotion::IfBetter, Some(&test));
    decide(Some("1"), Promotion::IfSurelyBetter, Some(&test));
    let mut history = History::open(&config).unwrap();
    assert_eq!([&test, &other].map(|test| history.decisions_by_test_data(test).unwrap()), [2, 1]);
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
