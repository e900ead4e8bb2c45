//! Tests with all data on object storage: an S3 server, which Sail and Spark read and write.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::engines::{Engine, EngineServer};
use testkit::storage::StorageServer;
use testkit::{HEADER, Workspace};

use crate::faults::{OUTPUTS, location, start};
use crate::same::{Findings, assert_same, first_run, inverted, model, records, without};
use crate::{noisy, untidy};

/// The file in which an ingestion notes where it writes.
const UNFINISHED: &str = "ingesteddata/.unfinished";
/// Maximum size of an emptied dataset: its files have no rows.
const EMPTIED: u64 = 2000;

/// A storage with the bucket `clients`, and an engine that reaches it.
struct Site {
    storage: StorageServer,
    engine: EngineServer,
}

impl Site {
    fn start(engine: Engine) -> Option<Self> {
        let storage = StorageServer::start()?;
        storage.create_bucket("clients");
        let engine = storage.engine(engine)?;
        Some(Self { storage, engine })
    }

    /// Moves the data of a workspace to the bucket, and names it in the config.
    fn take(&self, workspace: &mut Workspace) {
        for (key, folder) in [("input_folder_path", "practicedata"), ("test_data_path", "testdata")] {
            self.storage.upload(&workspace.path(folder), &format!("clients/{folder}"));
            fs::remove_dir_all(workspace.path(folder)).unwrap();
            workspace.set(key, json!(format!("s3a://clients/{folder}")));
        }
        workspace.set("engine", json!(self.engine.url()));
        workspace.set("output_folder_path", json!("s3a://clients/compiled"));
        workspace.set("local_output_path", json!("ingesteddata"));
    }

    /// Stores a client table.
    fn csv(&self, address: &str, rows: &str) {
        self.storage.put(address, format!("{HEADER}{rows}").as_bytes());
    }

    /// Returns the total size of the objects whose addresses begin with that of a dataset: its parts and its copies.
    fn size(&self, dataset: &str) -> u64 {
        let objects = self.storage.objects(dataset.strip_prefix("s3a://").unwrap());
        objects.iter().map(|(_, size)| size).sum()
    }
}

#[test]
fn sail_finds_on_object_storage_what_this_process_finds() {
    check(Engine::Sail);
}

#[test]
fn spark_finds_on_object_storage_what_this_process_finds() {
    check(Engine::Spark);
}

fn check(engine: Engine) {
    let Some(site) = Site::start(engine) else { return };
    let (here, there) = (run(None), run(Some(&site)));
    assert_same(engine, &here, &there);
}

/// Runs the whole pipeline: first deployment, nothing new, new data with drift, predictions for a file.
fn run(site: Option<&Site>) -> Findings {
    let mut workspace = untidy();
    workspace.csv("practicedata/sp ace \u{fc}\u{df}.csv", &noisy("u", 3000, 200));
    let names = "number_of_employees,corporation,lastyear_activity,lastmonth_activity\n7,x,80,9\n,y,800,90\n";
    workspace.write("testdata/unlabelled/n \u{e4}.csv", names);
    if let Some(site) = site {
        site.take(&mut workspace);
        workspace.set("dataset_csv", json!(true));
    }
    workspace.set("drift_test", json!("interval"));
    let mut findings = first_run(&workspace);
    let mut note = |name: &str, value: Value| {
        assert!(findings.insert(name.to_owned(), value).is_none(), "{name}");
    };

    note("rows", dataset(site, &workspace));
    let first = site.map(|_| location(&workspace));
    note("second run", workspace.run_json("fullprocess", &[])["outcome"].clone());
    note("training", model(&workspace));
    let diagnosis = workspace.run_json("diagnostics", &[]);
    note("statistics", diagnosis["summary_statistics"].clone());
    note("missing", diagnosis["missing_percent"].clone());

    let inverted = inverted(&noisy("f", 12_000, 900));
    match site {
        Some(site) => site.csv("clients/practicedata/f.csv", &inverted),
        None => workspace.csv("practicedata/f.csv", &inverted),
    }
    let drift = workspace.run_json("fullprocess", &[]);
    assert!(drift["outcome"].to_string().contains("deployed"), "{drift}");
    note("drift", without(drift, &["live"]));
    note("score after drift", json!(workspace.text("practicemodels/latestscore.txt")));
    note("rows after drift", dataset(site, &workspace));
    note("predictions", predictions(site, &workspace));
    if let (Some(site), Some(first)) = (site, first) {
        assert!(site.size(&location(&workspace)) > EMPTIED);
        assert!(site.size(&first) < EMPTIED, "{first} still has {} bytes", site.size(&first));
    }
    findings
}

/// Returns the distinct rows of the compiled dataset.
fn dataset(site: Option<&Site>, workspace: &Workspace) -> Value {
    let place = match site {
        None => workspace.path("ingesteddata/finaldata.csv"),
        Some(site) => fetched(site, workspace, &format!("{}.csv", location(workspace))),
    };
    json!(records(&place))
}

/// Copies a folder of the storage to this machine; returns its path.
fn fetched(site: &Site, workspace: &Workspace, address: &str) -> PathBuf {
    let prefix = address.strip_prefix("s3a://").unwrap();
    site.storage.download(&format!("{prefix}/"), &workspace.path("fetched"));
    workspace.path("fetched").join(prefix)
}

/// Writes the predictions for a file next to the data; returns them.
fn predictions(site: Option<&Site>, workspace: &Workspace) -> Value {
    let (data, to) = match site {
        None => ("testdata/unlabelled/n \u{e4}.csv", "risks \u{f6}.csv"),
        Some(_) => ("s3a://clients/testdata/unlabelled/n \u{e4}.csv", "s3a://clients/risks \u{f6}.csv"),
    };
    let path = |name: &str| if site.is_some() { name.into() } else { workspace.path(name).display().to_string() };
    let arguments = ["--deployed", "--data", &path(data), "--predictions", &path(to)];
    let scored = workspace.run_json("scoring", &arguments);
    assert_eq!(scored["predicted"], 2, "{scored}");
    if site.is_some() {
        let error = workspace.fail("scoring", &arguments);
        assert!(error.contains("writing the predictions (to s3a://clients/risks"), "{error}");
    }
    let place = site.map_or_else(|| workspace.path(to), |site| fetched(site, workspace, to));
    let (header, rows) = records(&place);
    let numbers = |row: Vec<String>| -> Vec<Value> {
        row.into_iter().map(|field| field.parse::<f64>().map_or(json!(field), |number| json!(number))).collect()
    };
    json!([header, rows.into_iter().map(numbers).collect::<Vec<_>>()])
}

/// Returns the facts that an ingestion records, without those that no two runs share.
fn facts(workspace: &Workspace) -> Value {
    let mut facts: Value = serde_json::from_str(&workspace.text("ingesteddata/ingestion.json")).unwrap();
    for file in facts["files"].as_array_mut().unwrap() {
        file.as_object_mut().unwrap().remove("state");
    }
    without(facts, &["dataset_sha256", "location", "contradictory_examples"])
}

#[test]
fn a_bucket_itself_may_be_the_input() {
    let workspace = untidy();
    workspace.run("ingestion", &[]);
    let here = facts(&workspace);
    let every: &[&str] = &["s3a://root", "s3a://root/", "s3a://clients/practicedata/"];
    for (engine, inputs) in [(Engine::Sail, every), (Engine::Spark, &every[..1])] {
        let Some(site) = Site::start(engine) else { continue };
        let mut workspace = untidy();
        site.storage.create_bucket("root");
        site.storage.upload(&workspace.path("practicedata"), "root");
        site.take(&mut workspace);
        // The dataset is in the same bucket, as CSV too; its files are no input.
        workspace.set("output_folder_path", json!("s3a://root/compiled"));
        workspace.set("dataset_csv", json!(true));
        for input in inputs {
            workspace.set("input_folder_path", json!(input));
            workspace.run("ingestion", &[]);
            assert_eq!(facts(&workspace), here, "{engine:?}, {input}");
        }
        workspace.set("input_folder_path", json!("s3a://clients/practicedata"));
        workspace.set("output_folder_path", json!("s3a://root/"));
        workspace.run("ingestion", &[]);
        let dataset = location(&workspace);
        assert!(dataset.starts_with("s3a://root/finaldata/") && site.size(&dataset) > EMPTIED, "{engine:?}: {dataset}");
        workspace.run("training", &[]);
    }
}

#[test]
fn storage_that_cannot_be_read_is_named() {
    let Some(site) = Site::start(Engine::Sail) else { return };
    let mut workspace = Workspace::with_data();
    site.take(&mut workspace);
    workspace.deploy();
    let before = workspace.snapshot(&OUTPUTS);
    site.storage.create_bucket("empty");
    let listing = |input: &str| format!("listing the files (from {input}");
    for (input, expected) in [
        ("s3a://empty", "s3a://empty contains no CSV file"),
        ("s3a://clients/nothing", "s3a://clients/nothing contains no CSV file"),
        ("s3a://absent", &listing("s3a://absent/")),
        ("s3a://absent/in", &listing("s3a://absent/in")),
    ] {
        workspace.set("input_folder_path", json!(input));
        for step in ["ingestion", "fullprocess"] {
            let error = workspace.fail(step, &[]);
            assert!(error.contains(expected), "{input}: {error}");
        }
    }
    workspace.set("input_folder_path", json!("s3a://clients/practicedata"));
    workspace.set("output_folder_path", json!("s3a://absent/compiled"));
    let error = workspace.fail("ingestion", &[]);
    assert!(error.contains("(to s3a://absent/compiled/finaldata/"), "{error}");

    site.storage.check_keys();
    for (step, expected) in
        [("ingestion", listing("s3a://clients/practicedata")), ("scoring", listing("s3a://clients/testdata"))]
    {
        let error = workspace.fail(step, &[]);
        assert!(error.contains(&expected) && error.contains("403"), "{error}");
        assert!(!error.contains(StorageServer::SECRET), "{error}");
    }
    let error = workspace.fail("training", &[]);
    assert!(error.contains("preparing the training (from s3a://clients/compiled/finaldata/"), "{error}");
    assert_eq!(workspace.snapshot(&OUTPUTS), before);
}

/// Creates a workspace with a dataset on the storage, and with new files whose ingestion takes seconds.
fn slow(site: &Site) -> Workspace {
    let mut workspace = Workspace::with_data();
    site.take(&mut workspace);
    workspace.run("ingestion", &[]);
    let rows = noisy("s", 0, 200_000);
    for i in 0..4 {
        site.csv(&format!("clients/practicedata/slow{i}.csv"), &rows.replace('s', &format!("s{i}")));
    }
    workspace
}

/// Waits until a condition holds.
fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{what} did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_objects_of_a_killed_ingestion_are_released_by_the_next() {
    let Some(site) = Site::start(Engine::Sail) else { return };
    let workspace = slow(&site);
    let old = location(&workspace);
    let mut child = start(&workspace, "ingestion");
    let writes = || fs::read_to_string(workspace.path(UNFINISHED)).unwrap_or_default();
    until("writing", || writes() != old && site.size(&writes()) > EMPTIED);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the ingestion ended before it was killed");
    let unfinished = writes();
    assert_eq!(location(&workspace), old);
    workspace.run("training", &[]);

    workspace.run("ingestion", &[]);
    let new = location(&workspace);
    assert!(new != old && new != unfinished && site.size(&new) > EMPTIED);
    for released in [&old, &unfinished] {
        assert!(site.size(released) < EMPTIED, "{released} still has {} bytes", site.size(released));
    }
    workspace.run("training", &[]);
}

#[test]
fn a_step_whose_storage_is_frozen_ends_at_the_time_limit_and_names_it() {
    const LIMIT: u64 = 4;
    let Some(site) = Site::start(Engine::Sail) else { return };
    let mut workspace = slow(&site);
    workspace.run("training", &[]);
    workspace.set("engine_time_limit", json!(LIMIT));
    let before = workspace.snapshot(&OUTPUTS);
    let frozen = |step: &str, expected: &[&str], moment: &dyn Fn()| {
        let child = start(&workspace, step);
        moment();
        site.storage.freeze();
        let begin = Instant::now();
        let output = child.wait_with_output().unwrap();
        site.storage.thaw();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        let limit = format!("not finished after {LIMIT} s (key \"engine_time_limit\")");
        assert!(error.contains(&limit) && error.contains(&site.engine.url()), "{error}");
        assert!(expected.iter().all(|part| error.contains(part)), "{expected:?}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(3 * LIMIT + 10), "{:?}", begin.elapsed());
    };
    let noted = workspace.text(UNFINISHED);
    frozen("ingestion", &["s3a://clients/practicedata/"], &|| {
        until("the compilation", || workspace.text(UNFINISHED) != noted);
        thread::sleep(Duration::from_millis(500));
    });
    frozen("training", &["from s3a://clients/compiled/finaldata/"], &|| ());
    frozen("scoring", &["s3a://clients/testdata"], &|| ());
    assert_eq!(workspace.snapshot(&OUTPUTS), before);
    workspace.set("engine_time_limit", json!(600));
    workspace.run("ingestion", &[]); // the engine and the storage still work
    workspace.run("training", &[]);
}
