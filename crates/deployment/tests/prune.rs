//! Tests of `deployment --prune`: it removes what nothing needs any more, and nothing else, even if it is killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use common::files::lock::Lock;
use common::production::release::{Production, RELEASE_FILES};
use serde_json::{Value, json};
use testkit::faults::kill_at_many_moments;
use testkit::{Workspace, rows};

/// A workspace with `n` releases of the same files, and their ids, oldest first.
fn with_releases(n: usize) -> (Workspace, Vec<String>) {
    let workspace = Workspace::with_data();
    workspace.deploy();
    for _ in 1..n {
        workspace.run("deployment", &[]);
    }
    let ids = ids(&workspace);
    assert_eq!(ids.len(), n);
    (workspace, ids)
}

fn ids(workspace: &Workspace) -> Vec<String> {
    Production::of(&workspace.config()).ids().unwrap()
}

/// The reasons why each release was kept.
fn kept(outcome: &Value) -> Vec<(&str, Value)> {
    let kept = outcome["pruned"]["kept"].as_array().unwrap();
    kept.iter().map(|release| (release["id"].as_str().unwrap(), release["reasons"].clone())).collect()
}

fn removed(outcome: &Value) -> Vec<&str> {
    let removed = outcome["pruned"]["removed"].as_array().unwrap();
    removed.iter().map(|release| release["id"].as_str().unwrap()).collect()
}

/// Removes a release's model, so that it is not intact.
fn damage(workspace: &Workspace, id: &str) {
    fs::remove_file(workspace.path("production_deployment/releases").join(id).join(RELEASE_FILES[0])).unwrap();
}

#[test]
fn the_newest_releases_are_kept_and_the_others_are_removed_with_everything_in_them() {
    let (workspace, all) = with_releases(5);
    workspace.write(&format!("production_deployment/releases/{}/model/deep/model.onnx", all[1]), "12345");
    workspace.write("production_deployment/releases/.set.killed.partial/file", "123");
    workspace.write("production_deployment/releases/notes/file", "by hand");
    let outcome = workspace.run_json("deployment", &["--prune", "3"]);
    assert_eq!((&outcome["action"], &outcome["live"]), (&json!("pruned"), &json!(all[4])));
    assert_eq!(removed(&outcome), [&all[0], &all[1]]);
    let expected = [
        (all[2].as_str(), json!(["newest"])),
        (all[3].as_str(), json!(["previous", "newest"])),
        (all[4].as_str(), json!(["live", "newest"])),
        ("notes", json!(["no_release"])),
    ];
    assert_eq!(kept(&outcome), expected);
    let sizes: Vec<u64> =
        outcome["pruned"]["removed"].as_array().unwrap().iter().map(|r| r["bytes"].as_u64().unwrap()).collect();
    assert_eq!(sizes[1], sizes[0] + 5);
    assert_eq!(outcome["pruned"]["unfinished_bytes"], 3);
    assert_eq!(outcome["pruned"]["bytes"], sizes[0] + sizes[1] + 3);
    assert_eq!(ids(&workspace), [&all[2], &all[3], &all[4], "notes"]);
    workspace.assert_no_leftovers("production_deployment");
    Production::of(&workspace.config()).live().unwrap().verify().unwrap();

    // The history still knows the removed releases; a rollback to one says clearly that there is none.
    let listed = workspace.run("dbsetup", &["--history", "releases"]);
    assert!(all.iter().all(|id| listed.contains(id)), "{listed}");
    let stderr = workspace.fail("deployment", &["--rollback", &all[0]]);
    assert!(stderr.contains(&format!("there is no release \"{}\"", all[0])) && stderr.contains("--list"), "{stderr}");
    let text = workspace.run("deployment", &["--prune", "1"]);
    assert!(
        text.contains("removed 1 release (") && text.contains("kept: deployment --rollback makes it live"),
        "{text}"
    );
    assert_eq!(ids(&workspace), [&all[3], &all[4], "notes"]);
    assert!(workspace.run("deployment", &["--prune", "1"]).contains("removed 0 releases (0 bytes), kept 3"));
    workspace.run("deployment", &["--rollback"]);
    assert_eq!(Production::of(&workspace.config()).current_id().unwrap().as_ref(), Some(&all[3]));
}

#[test]
fn after_a_rollback_the_live_release_and_the_one_before_it_stay() {
    let (workspace, all) = with_releases(6);
    workspace.run("deployment", &["--rollback", &all[1]]);
    let outcome = workspace.run_json("deployment", &["--prune", "2"]);
    assert_eq!(removed(&outcome), [&all[2], &all[3]]);
    assert_eq!(kept(&outcome)[..2], [(all[0].as_str(), json!(["previous"])), (all[1].as_str(), json!(["live"]))]);
}

#[test]
fn a_release_to_which_a_repair_would_go_back_stays() {
    let (workspace, all) = with_releases(5);
    damage(&workspace, &all[3]);
    damage(&workspace, &all[2]);
    let outcome = workspace.run_json("deployment", &["--prune", "1"]);
    assert_eq!(removed(&outcome), [&all[0], &all[2]]);
    let expected = [(&all[1], json!(["repair"])), (&all[3], json!(["previous"])), (&all[4], json!(["live", "newest"]))];
    assert_eq!(kept(&outcome), expected.map(|(id, reasons)| (id.as_str(), reasons)));
    damage(&workspace, &all[4]);
    assert!(workspace.run("fullprocess", &[]).contains(&all[1]));
    assert_eq!(Production::of(&workspace.config()).current_id().unwrap().as_ref(), Some(&all[1]));
}

#[test]
fn a_release_by_which_files_wait_to_be_judged_stays() {
    let workspace = Workspace::with_data();
    workspace.run("fullprocess", &[]);
    workspace.csv("practicedata/pending.csv", &(0..20).map(|i| format!("s{i},800,4000,3,\n")).collect::<String>());
    workspace.run("fullprocess", &[]);
    for _ in 0..3 {
        workspace.deploy();
    }
    let all = ids(&workspace);
    let outcome = workspace.run_json("deployment", &["--prune", "1"]);
    assert_eq!(removed(&outcome), [&all[1]]);
    assert_eq!(kept(&outcome)[0], (all[0].as_str(), json!(["pending"])));
    // When its files have been judged it is not needed any more.
    workspace.run("deployment", &["--rollback", &all[0]]);
    workspace.csv("practicedata/fits.csv", &rows("e", 60, false));
    workspace.run("fullprocess", &[]);
    workspace.run("deployment", &["--rollback", &all[3]]);
    workspace.deploy();
    let outcome = workspace.run_json("deployment", &["--prune", "1"]);
    assert!(removed(&outcome).contains(&all[0].as_str()), "{outcome}");
}

#[test]
fn nothing_is_removed_if_it_is_unknown_what_is_needed() {
    let (workspace, all) = with_releases(4);
    let refused = |word: &str| {
        let stderr = workspace.fail("deployment", &["--prune", "1"]);
        assert!(stderr.contains(word), "{stderr}");
        assert_eq!(ids(&workspace), all);
    };
    let output = workspace.output("deployment", &["--prune", "0"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("the number of releases to keep, at least 1"), "{stderr}");
    {
        let _lock = Lock::acquire(&Production::of(&workspace.config()).lock_folder(), "test").unwrap();
        refused("another deployment is at work");
    }
    workspace.run("dbsetup", &[]);
    fs::rename(workspace.path("history.sqlite"), workspace.path("away")).unwrap();
    fs::create_dir(workspace.path("history.sqlite")).unwrap();
    refused("history.sqlite");
    fs::remove_dir(workspace.path("history.sqlite")).unwrap();
    fs::rename(workspace.path("away"), workspace.path("history.sqlite")).unwrap();
    let link = workspace.path("production_deployment/current");
    fs::remove_file(&link).unwrap();
    refused("run fullprocess");
    std::os::unix::fs::symlink("releases/gone", &link).unwrap();
    refused("run fullprocess");
}

#[test]
fn before_the_first_deployment_there_is_nothing_to_remove() {
    let outcome = Workspace::with_data().run_json("deployment", &["--prune", "1"]);
    assert_eq!((&outcome["live"], outcome["pruned"]["bytes"].as_u64()), (&json!(null), Some(0)));
}

#[test]
fn killed_at_any_moment_it_leaves_only_whole_releases() {
    let (workspace, all) = with_releases(2);
    let releases = workspace.path("production_deployment/releases");
    let old: Vec<_> = (0..20).map(|i| format!("20200101T0000{i:02}000Z-0123456789ab")).collect();
    let command = || {
        for id in old.iter().filter(|id| !releases.join(id).exists()) {
            copy(&releases.join(&all[0]), &releases.join(id));
        }
        let mut command = workspace.command("deployment");
        command.args(["--prune", "2"]);
        command
    };
    let check = || {
        let production = Production::of(&workspace.config());
        let left = production.ids().unwrap();
        assert!(left.ends_with(&all), "{left:?}");
        for id in left {
            production.release(&id).unwrap().verify().unwrap();
        }
        production.live().unwrap().model().unwrap();
    };
    kill_at_many_moments(40, command, check);
    workspace.run("deployment", &["--prune", "2"]);
    assert_eq!(ids(&workspace), all);
    workspace.assert_no_leftovers("production_deployment");
}

/// Copies a folder under a hidden name first, as a deployment does.
fn copy(from: &Path, to: &Path) {
    let partial = to.with_file_name(".copy");
    assert!(Command::new("cp").arg("-r").args([from, &partial]).status().unwrap().success());
    fs::rename(partial, to).unwrap();
}
