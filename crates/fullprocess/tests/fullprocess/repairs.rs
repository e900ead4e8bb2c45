//! Tests of an unusable live release and of a lost compiled dataset: the damage is reported, repaired and recorded.

use std::fs;
use std::os::unix::fs::symlink;

use common::files::checksum::Checksum;
use serde_json::{Value, json};
use testkit::{Workspace, rows};

use crate::{OUTPUTS, bootstrapped, decision, fail, live, record, reported_release, run};

/// Creates a workspace with two releases; returns it with their ids.
fn redeployed() -> (Workspace, [String; 2]) {
    let workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    let second = decision(&workspace, "redeployed")["live"].as_str().unwrap().to_owned();
    (workspace, [first, second])
}

/// Returns the path of a file of a release.
fn of(id: &str, file: &str) -> String {
    format!("production_deployment/releases/{id}/{file}")
}

/// Returns the newest run and the newest release in the history.
fn recorded(workspace: &Workspace) -> [Value; 2] {
    ["runs", "releases"]
        .map(|what| workspace.run_json("dbsetup", &["--history", what, "--last", "1"])["rows"][0].take())
}

/// Replaces the model of release `id` with one in a format unknown to this program, as another program would deploy it.
fn unknown_format(workspace: &Workspace, id: &str) {
    let mut model = workspace.read(&of(id, "trainedmodel.bin"));
    model[8] = 99;
    fs::write(workspace.path(of(id, "trainedmodel.bin")), &model).unwrap();
    let mut manifest: Value = serde_json::from_slice(&workspace.read(&of(id, "manifest.json"))).unwrap();
    manifest["sha256"]["trainedmodel.bin"] = json!(Checksum::of_bytes(&model).as_str());
    workspace.write(&of(id, "manifest.json"), &manifest.to_string());
}

/// A function that damages release `id`, and the texts that must then be reported.
type Damage = (fn(&Workspace, &str), &'static [&'static str]);

const DAMAGES: [Damage; 6] = [
    (
        |w, id| fs::write(w.path(of(id, "trainedmodel.bin")), "RISK").unwrap(),
        &["trainedmodel.bin", "has changed since its deployment"],
    ),
    (unknown_format, &["trainedmodel.bin", "format version 99"]),
    (
        |w, id| fs::write(w.path(of(id, "trainedmodel.pkl")), "").unwrap(),
        &["trainedmodel.pkl", "has changed since its deployment"],
    ),
    (|w, id| fs::remove_file(w.path(of(id, "latestscore.txt"))).unwrap(), &["latestscore.txt", "No such file"]),
    (|w, id| fs::write(w.path(of(id, "manifest.json")), "{").unwrap(), &["manifest.json"]),
    (|w, id| fs::remove_dir_all(w.path(of(id, ""))).unwrap(), &["manifest.json", "No such file"]),
];

#[test]
fn production_goes_back_to_the_release_before_a_damaged_one_and_what_is_new_to_that_is_checked() {
    for (damage, words) in DAMAGES {
        let (workspace, [first, second]) = redeployed();
        damage(&workspace, &second);
        let (stdout, _) = run(&workspace, &["--dry-run"]);
        assert!(stdout.contains(&first) && words.iter().all(|word| stdout.contains(word)), "{stdout}");
        assert!(stdout.ends_with("and dataset3.csv is checked for drift\n"), "{stdout}");
        // The first release has never seen dataset3.csv, which is drift for it.
        let (stdout, stderr) = run(&workspace, &[]);
        for word in words {
            assert!(stderr.contains(word) && stdout.contains(word), "{word}: {stderr}{stdout}");
        }
        assert!(stdout.contains("drift: ") && stdout.contains(&first), "{stdout}");
        let third = live(&workspace);
        assert!(third.id > second && third.manifest.ingested.len() == 3);
        let releases = workspace.run_json("dbsetup", &["--history", "releases", "--last", "2"])["rows"].take();
        assert_eq!((&releases[0]["release"], &releases[0]["action"]), (&json!(first), &json!("rolled back")));
        assert_eq!(releases[1]["release"], json!(third.id));
        assert!(recorded(&workspace)[0]["message"].as_str().is_some_and(|text| text.contains("repaired")));
        decision(&workspace, "nothing_to_do");
    }
}

#[test]
fn with_nothing_new_to_the_release_before_the_run_ends_as_repaired() {
    for (damage, words) in DAMAGES {
        let workspace = bootstrapped();
        let first = live(&workspace).id;
        workspace.run("deployment", &[]);
        let second = live(&workspace).id;
        assert_ne!(first, second);
        damage(&workspace, &second);
        let outcome = decision(&workspace, "repaired");
        let repair = outcome["repairs"][0].as_str().unwrap();
        assert!(words.iter().all(|word| repair.contains(word)), "{repair}");
        assert_eq!((&outcome["live"], live(&workspace).id), (&json!(first), first.clone()));
        assert_eq!(reported_release(&workspace, "practicemodels"), json!(first));
        let [run, release] = recorded(&workspace);
        assert_eq!((&release["release"], &release["action"]), (&json!(first), &json!("rolled back")));
        assert!(run["message"].as_str().unwrap().starts_with("repaired: "), "{run}");
        decision(&workspace, "nothing_to_do");
    }
}

#[test]
fn where_no_earlier_release_is_intact_a_model_is_trained_anew() {
    for (damage, words) in DAMAGES {
        let workspace = bootstrapped();
        let first = live(&workspace);
        damage(&workspace, &first.id);
        let planned: Value = serde_json::from_str(&run(&workspace, &["--dry-run", "--json"]).0).unwrap();
        assert_eq!(planned["outcome"], "repaired");
        let outcome = decision(&workspace, "repaired");
        let repair = outcome["repairs"][0].as_str().unwrap();
        assert!(words.iter().all(|word| repair.contains(word)), "{repair}");
        let second = live(&workspace);
        assert_eq!(second.manifest.score, first.manifest.score);
        assert_eq!(record(&workspace), ["dataset1.csv", "dataset2.csv"]);
        assert_eq!(reported_release(&workspace, "practicemodels"), json!(second.id));
        decision(&workspace, "nothing_to_do");
    }
}

#[test]
fn links_that_are_lost_are_made_again_to_the_release_that_was_live() {
    let changes: [fn(&Workspace); 4] = [
        |w| fs::remove_file(w.path("production_deployment/current")).unwrap(),
        |w| {
            fs::remove_file(w.path("production_deployment/current")).unwrap();
            w.write("production_deployment/current", "releases");
        },
        |w| fs::remove_file(w.path("production_deployment/trainedmodel.pkl")).unwrap(),
        |w| {
            fs::remove_file(w.path("production_deployment/latestscore.txt")).unwrap();
            w.write("production_deployment/latestscore.txt", "1");
        },
    ];
    for change in changes {
        let workspace = bootstrapped();
        let first = live(&workspace).id;
        workspace.run("deployment", &[]);
        let second = live(&workspace).id;
        // The release that was live last is not necessarily the newest.
        for id in [second, first] {
            workspace.run("deployment", &["--rollback", &id]);
            run(&workspace, &[]);
            change(&workspace);
            assert_eq!(decision(&workspace, "repaired")["live"], json!(id));
            assert_eq!(live(&workspace).id, id);
            decision(&workspace, "nothing_to_do");
        }
    }
}

#[test]
fn a_release_that_cannot_be_read_is_no_damage_and_production_stays() {
    let (workspace, [_, second]) = redeployed();
    let manifest = workspace.path(of(&second, "manifest.json"));
    let content = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    symlink(&manifest, &manifest).unwrap(); // a loop, which even root cannot read
    let before = workspace.snapshot(OUTPUTS);
    let stderr = fail(&workspace);
    assert!(stderr.contains("examining the live release") && stderr.contains("manifest.json"), "{stderr}");
    assert!(workspace.snapshot(OUTPUTS) == before);
    fs::remove_file(&manifest).unwrap();
    fs::write(&manifest, content).unwrap();
    decision(&workspace, "nothing_to_do");
}

#[test]
fn a_lost_output_folder_is_ingested_again_whatever_else_is_to_be_done() {
    type Change = fn(&Workspace);
    let losses: [Change; 3] = [
        |w| fs::remove_dir_all(w.path("ingesteddata")).unwrap(),
        |w| fs::remove_dir_all(w.path("ingesteddata/versions")).unwrap(),
        |w| fs::remove_file(w.path("ingesteddata/finaldata.csv")).unwrap(),
    ];
    let others: [(Change, &str); 4] = [
        (|_| (), "repaired"),
        (|w| fs::remove_file(w.path("practicemodels/report.pdf")).unwrap(), "repaired"),
        (|w| fs::remove_dir_all(w.path("practicemodels")).unwrap(), "repaired"),
        (|w| w.csv("practicedata/dataset3.csv", &rows("c", 200, true)), "redeployed"),
    ];
    for loss in losses {
        for (other, expected) in others {
            let workspace = bootstrapped();
            loss(&workspace);
            other(&workspace);
            let planned: Value = serde_json::from_str(&run(&workspace, &["--dry-run", "--json"]).0).unwrap();
            assert_eq!(planned["outcome"], expected);
            let outcome = decision(&workspace, expected);
            assert!(outcome["repairs"][0].as_str().unwrap().contains("ingesteddata"), "{outcome}");
            assert!(workspace.text("ingesteddata/finaldata.csv").lines().count() > 120);
            live(&workspace);
            decision(&workspace, "nothing_to_do");
        }
    }
}
