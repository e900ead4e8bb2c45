//! Tests of the program `deployment`: production is always one complete set, even if processes are killed or read it
//! during the switch, and a set whose parts do not belong together is never deployed.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::config::Config;
use common::files::checksum::Checksum;
use common::files::lock::Lock;
use common::production::release::{Health, Production, RELEASE_FILES};
use serde_json::{Value, json};
use testkit::faults::kill_at_many_moments;
use testkit::{Workspace, rows};

/// The files of the MLflow model in a release.
const MLFLOW_FILES: [&str; 7] = [
    "model/MLmodel",
    "model/conda.yaml",
    "model/input_example.json",
    "model/model.onnx",
    "model/python_env.yaml",
    "model/requirements.txt",
    "model/serving_input_example.json",
];

const PRODUCTION: &[&str] = &["production_deployment"];

/// Creates a workspace with data and a deployed release.
fn deployed() -> Workspace {
    let workspace = Workspace::with_data();
    workspace.deploy();
    workspace
}

/// Creates a workspace with two sets that are ready for deployment; [`choose`] selects one.
fn two_sets() -> Workspace {
    let mut workspace = Workspace::new();
    workspace.csv("testdata/testdata.csv", &rows("t", 8, false));
    for (set, inverted) in [("first", false), ("second", true)] {
        workspace.csv(&format!("data_{set}/{set}.csv"), &rows("x", 60, inverted));
        workspace.set("input_folder_path", json!(format!("data_{set}")));
        choose(&mut workspace, set);
        for step in ["ingestion", "training", "scoring"] {
            workspace.run(step, &[]);
        }
    }
    workspace
}

/// Sets the config to one of the sets of [`two_sets`].
fn choose(workspace: &mut Workspace, set: &str) {
    workspace.set("output_folder_path", json!(format!("ingested_{set}")));
    workspace.set("output_model_path", json!(format!("models_{set}")));
}

/// Returns the content of one of the sets of [`two_sets`], in the order of `RELEASE_FILES`.
fn set(workspace: &Workspace, name: &str) -> [Vec<u8>; 4] {
    RELEASE_FILES.map(|file| {
        let folder = if file == "ingestedfiles.txt" { "ingested" } else { "models" };
        workspace.read(&format!("{folder}_{name}/{file}"))
    })
}

/// Checks that the live release is complete and that all paths to it lead to the same files. Returns its id and its
/// files.
fn live(config: &Config) -> Option<(String, [Vec<u8>; 4])> {
    let read = |folder: &Path| RELEASE_FILES.map(|file| fs::read(folder.join(file)).ok());
    match Production::of(config).current().unwrap() {
        None => {
            assert_eq!(read(&config.production), [const { None }; 4], "a part of a release is live");
            None
        }
        Some(release) => {
            release.verify().unwrap();
            release.model().unwrap();
            let files = read(&release.folder);
            assert!(read(&config.production) == files, "the names at the top are of another release");
            assert!(read(&config.production.join("current")) == files);
            Some((release.id, files.map(Option::unwrap)))
        }
    }
}

/// Runs deployment with `arguments` and checks that it fails, that the message contains all of `words`, and that
/// production is unchanged.
fn is_refused(workspace: &Workspace, arguments: &[&str], words: &[&str]) {
    let before = workspace.snapshot(PRODUCTION);
    let stderr = workspace.fail("deployment", arguments);
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr}");
    }
    assert!(workspace.snapshot(PRODUCTION) == before, "production has changed, though: {stderr}");
    workspace.assert_no_leftovers("production_deployment");
}

#[test]
fn the_contract_files_are_deployed_byte_for_byte_with_their_checksums() {
    let workspace = deployed();
    let release = Production::of(&workspace.config()).live().unwrap();
    for (folder, file) in [
        ("practicemodels", "trainedmodel.pkl"),
        ("practicemodels", "trainedmodel.bin"),
        ("practicemodels", "latestscore.txt"),
        ("ingesteddata", "ingestedfiles.txt"),
    ] {
        let bytes = workspace.read(&format!("{folder}/{file}"));
        for folder in ["production_deployment", "production_deployment/current"] {
            assert!(workspace.read(&format!("{folder}/{file}")) == bytes, "{folder}/{file}");
        }
        assert_eq!(release.manifest.sha256[file], Checksum::of_bytes(&bytes), "{file}");
    }
    for file in MLFLOW_FILES {
        let bytes = workspace.read(&format!("production_deployment/{file}"));
        assert!(workspace.read(&format!("production_deployment/current/{file}")) == bytes, "{file}");
        assert_eq!(release.manifest.sha256[file], Checksum::of_bytes(&bytes), "{file}");
    }
    assert_eq!(release.manifest.sha256.len(), RELEASE_FILES.len() + MLFLOW_FILES.len());
    assert_eq!(release.manifest.training_rows, 120);
    assert_eq!(release.manifest.dataset_sha256, Checksum::of_bytes(&workspace.read("ingesteddata/finaldata.csv")));
    assert_eq!(release.manifest.score.f1.to_string(), workspace.text("production_deployment/latestscore.txt"));
    for (file, name) in release.manifest.ingested.iter().zip(["dataset1.csv", "dataset2.csv"]) {
        let sha256 = Checksum::of_bytes(&workspace.read(&format!("practicedata/{name}")));
        assert_eq!((file.name.as_str(), &file.sha256), (name, &sha256));
    }
    assert_eq!(release.id, live(&workspace.config()).unwrap().0);
}

#[test]
fn the_deployed_files_are_copies_that_later_steps_do_not_change() {
    let workspace = deployed();
    let before = workspace.snapshot(PRODUCTION);
    workspace.csv("practicedata/dataset3.csv", &rows("c", 60, true));
    for step in ["ingestion", "training", "scoring"] {
        workspace.run(step, &[]);
        assert!(workspace.snapshot(PRODUCTION) == before, "{step} has changed production");
    }
    workspace.run("deployment", &[]);
    assert!(workspace.snapshot(PRODUCTION) != before);
}

#[test]
fn a_set_whose_parts_do_not_belong_together_is_refused_and_production_stays() {
    type Fault = fn(&Workspace);
    fn other_model(workspace: &Workspace) {
        workspace.csv("practicedata/dataset3.csv", &rows("c", 60, true));
        workspace.run("ingestion", &[]);
        workspace.run("training", &[]);
    }
    let faults: [(Fault, &[&str]); 15] = [
        (
            |w| fs::remove_file(w.path("practicemodels/trainedmodel.bin")).unwrap(),
            &["trainedmodel.bin", "run training"],
        ),
        (
            |w| change(w, "practicemodels/trainedmodel.bin", |b| b.truncate(100)),
            &["trainedmodel.bin", "cut short", "run training"],
        ),
        (
            |w| change(w, "practicemodels/trainedmodel.bin", |b| b[60] ^= 1),
            &["trainedmodel.bin", "checksum", "run training"],
        ),
        (
            |w| fs::remove_file(w.path("practicemodels/trainedmodel.pkl")).unwrap(),
            &["trainedmodel.pkl", "run training"],
        ),
        (
            |w| {
                let pickle = w.read("practicemodels/trainedmodel.pkl");
                other_model(w);
                w.run("scoring", &[]);
                fs::write(w.path("practicemodels/trainedmodel.pkl"), pickle).unwrap();
            },
            &["trainedmodel.pkl", "different models", "run training"],
        ),
        (|w| change(w, "practicemodels/trainedmodel.pkl", |b| b.truncate(100)), &["trainedmodel.pkl", "run training"]),
        (|w| fs::remove_file(w.path("practicemodels/latestscore.txt")).unwrap(), &["latestscore.txt", "run scoring"]),
        (|w| fs::remove_file(w.path("practicemodels/latestscore.json")).unwrap(), &["latestscore.json", "run scoring"]),
        (|w| other_model(w), &["latestscore.txt", "score of another model", "run scoring"]),
        (|w| w.write("practicemodels/latestscore.txt", "0.99"), &["latestscore.txt", "run scoring"]),
        (
            |w| w.write("practicemodels/latestscore.txt", "excellent"),
            &["latestscore.txt", "plain number", "run scoring"],
        ),
        (
            |w| {
                w.csv("practicedata/dataset3.csv", &rows("c", 60, false));
                w.run("ingestion", &[]);
            },
            &["was not trained on the dataset", "run training and scoring"],
        ),
        (|w| w.write("ingesteddata/ingestedfiles.txt", "[\"dataset1.csv\"]"), &["ingestedfiles.txt", "run ingestion"]),
        (
            |w| fs::remove_file(w.path("ingesteddata/ingestedfiles.txt")).unwrap(),
            &["ingestedfiles.txt", "run ingestion"],
        ),
        (|w| fs::remove_dir_all(w.path("ingesteddata")).unwrap(), &["ingesteddata", "run ingestion"]),
    ];
    for (fault, words) in faults {
        let workspace = deployed();
        fault(&workspace);
        is_refused(&workspace, &[], words);
        live(&workspace.config()).unwrap();
        // Following the advice in the message must repair the fault.
        workspace.deploy();
    }
}

#[test]
fn a_line_end_after_the_score_changes_nothing() {
    let workspace = deployed();
    change(&workspace, "practicemodels/latestscore.txt", |number| number.push(b'\n'));
    workspace.run("deployment", &[]);
    live(&workspace.config()).unwrap();
    assert_eq!(workspace.text("production_deployment/latestscore.txt"), "1");
}

fn change(workspace: &Workspace, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = workspace.read(name);
    change(&mut bytes);
    fs::write(workspace.path(name), bytes).unwrap();
}

#[test]
fn releases_are_listed_and_can_be_made_live_again() {
    let mut workspace = two_sets();
    assert!(workspace.run("deployment", &["--list"]).contains("nothing is deployed yet"));
    assert!(!workspace.path("production_deployment").exists(), "listing changes nothing");

    let mut deploy = |set: &str| {
        choose(&mut workspace, set);
        workspace.run_json("deployment", &[])["live"].as_str().unwrap().to_owned()
    };
    let (first, second) = (deploy("first"), deploy("second"));
    let sets = ["first", "second"].map(|name| set(&workspace, name));
    let config = workspace.config();
    assert_eq!(live(&config).unwrap(), (second.clone(), sets[1].clone()));

    let list = workspace.run_json("deployment", &["--list"]);
    let ids: Vec<_> = list["releases"].as_array().unwrap().iter().map(|release| &release["id"]).collect();
    assert_eq!(ids, [&first, &second]);
    assert_eq!(list["live"], json!(second));
    let text = workspace.run("deployment", &["--list"]);
    assert!(text.lines().any(|line| line.contains(&second) && line.ends_with("<- live")), "{text}");

    // A rollback goes from the second release to the first; from the first there is nothing to go back to.
    let rolled_back: Value = workspace.run_json("deployment", &["--rollback"]);
    assert_eq!((&rolled_back["action"], &rolled_back["live"]), (&json!("rolled_back"), &json!(first)));
    assert_eq!(live(&config).unwrap(), (first.clone(), sets[0].clone()));
    is_refused(&workspace, &["--rollback"], &["no release is older than", &first]);
    is_refused(&workspace, &["--rollback", "20200101T000000Z-0"], &["20200101T000000Z-0", "--list"]);
    for path in ["../releases", ".", "/", ""] {
        is_refused(&workspace, &["--rollback", path], &["there is no release"]);
    }
    workspace.run("deployment", &["--rollback", &second]);
    assert_eq!(live(&config).unwrap(), (second.clone(), sets[1].clone()));
    workspace.run("deployment", &["--rollback", &second]); // already the live release
    assert_eq!(live(&config).unwrap().0, second);
}

#[test]
fn the_same_model_is_deployed_with_the_same_bytes_and_another_threshold_with_others() {
    let mut workspace = deployed();
    let files =
        |workspace: &Workspace| MLFLOW_FILES.map(|file| workspace.read(&format!("production_deployment/{file}")));
    let first = files(&workspace);
    workspace.run("deployment", &[]);
    assert!(files(&workspace) == first);
    workspace.set("threshold", json!(0.25));
    workspace.run("scoring", &[]);
    workspace.run("deployment", &[]);
    assert!(files(&workspace)[0] != first[0] && files(&workspace)[3] != first[3]);
}

/// Releases of earlier versions have no folder `model`.
#[test]
fn a_release_without_mlflow_model_is_valid_and_can_be_made_live_again() {
    let workspace = deployed();
    let production = Production::of(&workspace.config());
    let old = production.live().unwrap();
    let manifest = old.folder.join("manifest.json");
    let mut content: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    content["sha256"].as_object_mut().unwrap().retain(|path, _| !path.contains('/'));
    fs::write(&manifest, content.to_string()).unwrap();
    fs::remove_dir_all(old.folder.join("model")).unwrap();
    fs::remove_file(workspace.path("production_deployment/model")).unwrap();
    assert!(matches!(production.examine().unwrap(), Health::Intact(_)));

    workspace.run("deployment", &[]);
    let new = production.live().unwrap().id;
    assert!(workspace.path("production_deployment/model/MLmodel").exists());
    workspace.run("deployment", &["--rollback"]);
    assert_eq!(live(&workspace.config()).unwrap().0, old.id);
    assert!(fs::symlink_metadata(workspace.path("production_deployment/model")).is_err());
    assert!(matches!(production.examine().unwrap(), Health::Intact(_)));
    assert_eq!(workspace.run_json("deployment", &["--list"])["releases"].as_array().unwrap().len(), 2);
    workspace.run("deployment", &["--rollback", &new]);
    assert!(workspace.path("production_deployment/model/MLmodel").exists());

    // A lost link is damage, which a rollback to the same release repairs.
    fs::remove_file(workspace.path("production_deployment/model")).unwrap();
    let Health::Damaged { error, .. } = production.examine().unwrap() else { panic!("a link is lost") };
    assert!(error.to_string().contains("model does not link to the live release"), "{error}");
    workspace.run("deployment", &["--rollback", &new]);
    assert!(matches!(production.examine().unwrap(), Health::Intact(_)));
}

#[test]
fn there_is_nothing_to_roll_back_to_before_the_first_deployment() {
    let workspace = Workspace::new();
    for arguments in [&["--rollback"][..], &["--rollback", "x"]] {
        let stderr = workspace.fail("deployment", arguments);
        assert!(stderr.contains("nothing is deployed") && stderr.contains("run fullprocess"), "{stderr}");
    }
    assert_eq!(workspace.output("deployment", &["--list", "--rollback"]).status.code(), Some(2));
}

#[test]
fn a_damaged_release_is_not_rolled_back_to() {
    for file in RELEASE_FILES.into_iter().chain(["manifest.json", "model/MLmodel", "model/model.onnx"]) {
        let mut workspace = two_sets();
        choose(&mut workspace, "first");
        workspace.run("deployment", &[]);
        let damaged = workspace.path("production_deployment/current").canonicalize().unwrap();
        choose(&mut workspace, "second");
        workspace.run("deployment", &[]);

        let path = damaged.join(file);
        let bytes = fs::read(&path).unwrap();
        for damage in [Some(&bytes[..bytes.len() / 2]), None] {
            match damage {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            is_refused(&workspace, &["--rollback"], &[file]);
            let id = damaged.file_name().unwrap().to_str().unwrap();
            is_refused(&workspace, &["--rollback", id], &[file]);
        }
        assert_eq!(live(&workspace.config()).unwrap().1, set(&workspace, "second"));
    }
}

/// An id begins with the time of the deployment and must sort by it, because a rollback goes to the release before.
#[test]
fn releases_are_in_the_order_of_their_deployment_however_quickly_they_follow() {
    let mut workspace = two_sets();
    for _ in 0..4 {
        for set in ["second", "first"] {
            choose(&mut workspace, set);
            workspace.run("deployment", &[]);
        }
    }
    let releases = workspace.run_json("deployment", &["--list"])["releases"].clone();
    let created: Vec<_> = releases.as_array().unwrap().iter().map(|release| release["created"].as_str()).collect();
    assert!(created.is_sorted(), "{releases:#}");
    workspace.run("deployment", &["--rollback"]);
    assert_eq!(live(&workspace.config()).unwrap().1, set(&workspace, "second"));
}

#[test]
fn a_deployment_killed_at_any_moment_leaves_one_whole_set_live() {
    let workspace = RefCell::new(two_sets());
    let config = workspace.borrow().config();
    let sets = ["first", "second"].map(|name| set(&workspace.borrow(), name));
    let next = Cell::new("first");
    let seen = RefCell::new(BTreeSet::new());
    kill_at_many_moments(
        100,
        || {
            let mut workspace = workspace.borrow_mut();
            choose(&mut workspace, next.get());
            workspace.command("deployment")
        },
        || {
            let (_, files) = live(&config).expect("the first run deployed something");
            let is = sets.iter().position(|set| *set == files).expect("neither of the two sets");
            seen.borrow_mut().insert(is);
            next.set(["second", "first"][is]); // the set that is not live
        },
    );
    assert_eq!(seen.into_inner().len(), 2, "no run got as far as its switch");

    let workspace = workspace.into_inner();
    workspace.run("deployment", &[]);
    workspace.assert_no_leftovers("production_deployment");
    workspace.run("deployment", &["--list"]);
    for id in Production::of(&config).ids().unwrap() {
        let release = Production::of(&config).release(&id).unwrap();
        release.verify().unwrap();
    }
}

#[test]
fn a_first_deployment_killed_at_any_moment_leaves_all_of_it_or_nothing_live() {
    let workspace = deployed();
    let config = workspace.config();
    kill_at_many_moments(
        40,
        || {
            let _ = fs::remove_dir_all(&config.production); // does not exist if a run was killed early
            workspace.command("deployment")
        },
        || drop(live(&config)),
    );
    workspace.run("deployment", &[]);
    workspace.assert_no_leftovers("production_deployment");
    live(&config).unwrap();
}

#[test]
fn a_reader_sees_only_whole_sets_while_releases_come_and_go() {
    let mut workspace = two_sets();
    choose(&mut workspace, "first");
    workspace.run("deployment", &[]);
    let production = Production::of(&workspace.config());
    let sets = ["first", "second"].map(|name| set(&workspace, name));
    let done = AtomicBool::new(false);
    let root = workspace.config().production;
    thread::scope(|scope| {
        let observer = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                // `current` is resolved once; the files found there must belong together.
                let release = production.current().unwrap().expect("there is always a live release");
                release.verify().unwrap();
                release.model().unwrap();
                let files = RELEASE_FILES.map(|file| fs::read(release.folder.join(file)).unwrap());
                assert!(sets.contains(&files), "{} is neither of the two sets", release.id);
                // Each public name must always link to a complete file of one of the sets.
                for (index, file) in RELEASE_FILES.iter().enumerate() {
                    let bytes = fs::read(root.join(file)).unwrap();
                    assert!(sets.iter().any(|set| set[index] == bytes), "{file}");
                }
                seen.insert(release.id);
            }
            seen.len()
        });
        let results: Vec<_> = (0..10)
            .flat_map(|round| {
                choose(&mut workspace, ["second", "first"][round % 2]);
                [vec![], vec!["--rollback"], vec![]].map(|arguments| workspace.output("deployment", &arguments))
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        let seen = observer.join().unwrap();
        assert!(results.iter().all(|output| output.status.success()), "{results:?}");
        assert!(seen > 2, "the reader saw only {seen} releases");
    });
}

#[test]
fn a_full_disk_leaves_production_as_it_was() {
    let workspace = deployed();
    // The long list of file names no longer fits on the disk after the model has been written.
    let names: Vec<_> = (0..300).map(|i| format!("practicedata/{i}-{}.csv", "long-name".repeat(20))).collect();
    names.iter().for_each(|name| workspace.csv(name, &rows(&format!("{:.14}", &name[13..]), 2, false)));
    for step in ["ingestion", "training", "scoring"] {
        workspace.run(step, &[]);
    }
    let before = workspace.snapshot(PRODUCTION);
    let output = workspace.output_on_a_full_disk("deployment", 32);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("File too large"), "{stderr}");
    assert!(workspace.snapshot(PRODUCTION) == before);
    workspace.assert_no_leftovers("production_deployment");
    workspace.run("deployment", &[]);
}

#[test]
fn a_second_deployment_or_rollback_at_the_same_time_is_refused() {
    let workspace = deployed();
    workspace.run("deployment", &[]);
    let first = Lock::acquire(&Production::of(&workspace.config()).lock_folder(), "deployment").unwrap();
    for arguments in [&[][..], &["--rollback"]] {
        is_refused(&workspace, arguments, &["another deployment is at work", "try again"]);
    }
    workspace.run("deployment", &["--list"]); // needs no lock, because it only reads
    drop(first);
    workspace.run("deployment", &["--rollback"]);
}

#[test]
fn a_damaged_live_release_can_be_left_and_does_not_hide_the_others() {
    let mut workspace = two_sets();
    for set in ["first", "second"] {
        choose(&mut workspace, set);
        workspace.run("deployment", &[]);
    }
    let broken = Production::of(&workspace.config()).live().unwrap();
    fs::write(broken.folder.join("manifest.json"), "{").unwrap();
    fs::write(workspace.path("production_deployment/releases/NOTES"), "not a release").unwrap();

    let listed = workspace.output("deployment", &["--list"]);
    let stderr = String::from_utf8(listed.stderr).unwrap();
    assert!(listed.status.success() && stderr.contains(&broken.id) && stderr.contains("damaged"), "{stderr}");
    workspace.run("deployment", &["--rollback"]);
    assert_eq!(live(&workspace.config()).unwrap().1, set(&workspace, "first"));
}

/// 10/11 is one of the numbers for which a JSON reader with careless rounding returns a different last digit.
#[test]
fn a_rollback_names_the_files_that_are_new_to_the_release() {
    let workspace = deployed();
    workspace.csv("practicedata/dataset3.csv", &rows("c", 60, true));
    workspace.deploy();
    workspace.csv("practicedata/dataset4.csv", &rows("d", 60, true));
    let output = workspace.output("deployment", &["--rollback", "--json"]);
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["new_files"], json!(["dataset3.csv", "dataset4.csv"]), "{outcome}");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.contains("the next fullprocess will score this release") && warning.contains("--hold"),
        "{warning}"
    );
    let text = workspace.run("deployment", &["--rollback", outcome["live"].as_str().unwrap()]);
    assert!(text.ends_with("\nnew to this release: dataset3.csv, dataset4.csv\n"), "{text}");
    // Without its input folder, production can still be rolled back.
    fs::rename(workspace.path("practicedata"), workspace.path("away")).unwrap();
    fs::create_dir(workspace.path("practicedata")).unwrap();
    let newest = Production::of(&workspace.config()).ids().unwrap().pop().unwrap();
    let output = workspace.output("deployment", &["--rollback", &newest]);
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && warning.contains("it is unknown which files are new to it"), "{warning}");
}

#[test]
fn a_hold_is_listed_until_it_is_released_and_stops_no_deployment_by_hand() {
    let workspace = deployed();
    let first = Production::of(&workspace.config()).live().unwrap().id;
    let text = workspace.run("deployment", &["--hold", "audit until Friday"]);
    assert!(text.starts_with(&format!("{first} is now held\nheld since ")), "{text}");
    assert!(
        text.ends_with(" UTC (audit until Friday): fullprocess does not replace it until deployment --release-hold\n")
    );
    for arguments in [&["--list", "--json"][..], &["--json"], &["--rollback", &first, "--json"]] {
        let outcome: Value = serde_json::from_str(&workspace.run("deployment", arguments)).unwrap();
        assert_eq!(outcome["hold"]["reason"], "audit until Friday", "{outcome}");
    }
    is_refused(&workspace, &["--unless-held"], &["audit until Friday", "was not replaced", "--release-hold"]);
    assert!(workspace.run("deployment", &["--list"]).contains("\nheld since "));
    assert_eq!(workspace.run_json("deployment", &["--release-hold"])["action"], "hold_released");
    assert!(workspace.run_json("deployment", &["--list"]).get("hold").is_none());
    let output = workspace.output("deployment", &["--release-hold"]);
    assert!(output.status.success() && String::from_utf8(output.stderr).unwrap().contains("there was no hold"));
    workspace.run("deployment", &["--unless-held"]);
    let reason = "a reason\nof two lines";
    is_refused(&workspace, &["--hold", reason], &["one line of at most 200 characters"]);
    assert_eq!(workspace.output("deployment", &["--hold", "--release-hold"]).status.code(), Some(2));
}

#[test]
fn a_hold_needs_no_database_and_a_damaged_one_is_shown() {
    let mut workspace = deployed();
    workspace.set("database_url", json!("postgres://nobody@127.0.0.1:1/none"));
    workspace.run("deployment", &["--hold"]);
    workspace.write("production_deployment/hold.json", "[]");
    let listed = workspace.output("deployment", &["--list"]);
    let warning = String::from_utf8(listed.stderr).unwrap();
    assert!(listed.status.success() && warning.contains("stays held") && warning.contains("hold.json"), "{warning}");
    workspace.run("deployment", &["--release-hold"]);
    assert!(!workspace.path("production_deployment/hold.json").exists());
}

#[test]
fn a_hold_killed_at_any_moment_is_the_old_or_the_new_one() {
    let workspace = deployed();
    workspace.run("deployment", &["--hold", "first"]);
    for _ in 0..20 {
        let mut command = workspace.command("deployment");
        let mut child = command.args(["--hold", "second"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        thread::sleep(std::time::Duration::from_micros(500));
        child.kill().unwrap();
        child.wait().unwrap();
        let hold = workspace.run_json("deployment", &["--list"])["hold"]["reason"].take();
        assert!(["first", "second"].contains(&hold.as_str().unwrap()), "{hold}");
    }
    workspace.run("deployment", &["--hold", "third"]);
    workspace.assert_no_leftovers("production_deployment");
}

#[test]
fn a_score_with_many_digits_is_deployed() {
    let workspace = Workspace::with_data();
    workspace.csv("testdata/testdata.csv", &(rows("t", 20, false) + "x,5,40,60,0\ny,800,4000,3,1\n"));
    workspace.deploy();
    assert_eq!(workspace.text("production_deployment/latestscore.txt"), (10.0f64 / 11.0).to_string());
}

#[test]
fn an_outcome_that_cannot_be_written_to_stdout_is_written_to_stderr() {
    let workspace = deployed();
    for arguments in [&[][..], &["--rollback"], &["--json"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = workspace.command("deployment").args(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let id = live(&workspace.config()).unwrap().0;
        for part in ["cannot be written to stdout (No space left on device", "has succeeded", &id, "<- live"] {
            assert!(stderr.contains(part), "{part:?} is not in {stderr}");
        }
    }
}
