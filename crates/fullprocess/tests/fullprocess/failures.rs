//! Tests of a concurrent run, a failing step and a killed run: production stays intact, and the next run continues the
//! work.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::files::lock::Lock;
use serde_json::json;
use testkit::{HEADER, Workspace, rows};

use crate::{
    INVERTED_F1, OUTPUTS, bootstrapped, decision, fail, is_start, live, live_or_none, record, reported_release,
    workspace,
};

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let workspace = bootstrapped();
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, true));
    let before = workspace.snapshot(OUTPUTS);
    let first = Lock::acquire(&workspace.config().production, "fullprocess").unwrap();
    let stderr = fail(&workspace);
    assert!(stderr.contains("another fullprocess is at work") && stderr.contains("production_deployment"), "{stderr}");
    assert!(workspace.snapshot(OUTPUTS) == before);
    drop(first);
    decision(&workspace, "redeployed");
}

/// A condition that makes a run fail.
struct Fault {
    put_in: fn(&Workspace),
    /// Texts that the error of the run must contain.
    words: &'static [&'static str],
    /// The folders that the run must leave unchanged.
    untouched: &'static [&'static str],
    mend: fn(&Workspace),
    /// The decision of the next run.
    then: &'static str,
}

#[test]
fn a_step_that_fails_fails_the_run_with_its_own_words_and_production_stays() {
    let faults = [
        Fault {
            put_in: |w| w.write("practicedata/dataset3.csv", &HEADER.replace(",exited", "")),
            words: &["ingestion failed", "dataset3.csv", "column exited is missing"],
            untouched: OUTPUTS,
            mend: |w| w.csv("practicedata/dataset3.csv", &rows("c", 40, false)),
            then: "no_drift",
        },
        Fault {
            // This is drift, because all of the clients predicted to stay have left; but no model can be trained on a single
            // class.
            put_in: |w| {
                for (name, prefix) in [("dataset1", "a"), ("dataset2", "b")] {
                    let table = rows(prefix, 60, false).replace(",0\n", ",1\n");
                    w.csv(&format!("practicedata/{name}.csv"), &table);
                }
            },
            words: &["training failed", "exited = 1", "both classes"],
            untouched: &["production_deployment", "practicemodels"],
            mend: |w| w.csv("practicedata/dataset2.csv", &rows("b", 60, true)),
            then: "redeployed",
        },
        Fault {
            put_in: |w| {
                w.csv("practicedata/dataset3.csv", &rows("c", 200, true));
                fs::rename(w.path("testdata/testdata.csv"), w.path("testdata/gone")).unwrap();
            },
            words: &["scoring failed", "testdata", "no CSV file"],
            untouched: &["production_deployment"],
            mend: |w| fs::rename(w.path("testdata/gone"), w.path("testdata/testdata.csv")).unwrap(),
            then: "redeployed",
        },
        Fault {
            // The new model is trained but cannot be scored, so it is not deployed.
            put_in: |w| {
                w.csv("practicedata/dataset3.csv", &rows("c", 200, true));
                fs::remove_file(w.path("practicemodels/latestscore.json")).unwrap();
                fs::create_dir(w.path("practicemodels/latestscore.json")).unwrap();
            },
            words: &["scoring failed", "latestscore.json"],
            untouched: &["production_deployment"],
            mend: |w| fs::remove_dir(w.path("practicemodels/latestscore.json")).unwrap(),
            then: "redeployed",
        },
        Fault {
            put_in: |w| {
                for name in ["dataset1.csv", "dataset2.csv"] {
                    fs::remove_file(w.path("practicedata").join(name)).unwrap();
                }
            },
            words: &["practicedata", "no CSV file"],
            untouched: OUTPUTS,
            mend: |w| w.csv("practicedata/dataset3.csv", &rows("c", 40, false)),
            then: "no_drift",
        },
    ];
    for Fault { put_in, words, untouched, mend, then } in faults {
        let workspace = bootstrapped();
        put_in(&workspace);
        let before = workspace.snapshot(untouched);
        // Two runs, because a file whose run failed must not count as checked.
        for _ in 0..2 {
            let stderr = fail(&workspace);
            for word in words {
                assert!(stderr.contains(word), "{word:?} is not in {stderr}");
            }
            assert!(workspace.snapshot(untouched) == before, "something has changed, though: {stderr}");
            live(&workspace);
        }
        assert_eq!(workspace.history_rows("checked_files"), 0);
        mend(&workspace);
        decision(&workspace, then);
        decision(&workspace, "nothing_to_do");
    }
}

#[test]
fn a_first_deployment_that_fails_deploys_nothing_and_is_made_by_the_next_run() {
    let workspace = workspace();
    workspace.csv("testdata/testdata.csv", "x,1,2,3,\n");
    let stderr = fail(&workspace);
    assert!(stderr.contains("scoring failed") && stderr.contains("no row whose exited is known"), "{stderr}");
    assert!(live_or_none(&workspace).is_none());
    workspace.csv("testdata/testdata.csv", &rows("t", 8, false));
    decision(&workspace, "bootstrapped");
}

#[test]
fn reports_that_fail_fail_the_run_and_are_made_by_the_next() {
    let workspace = workspace();
    fs::create_dir_all(workspace.path("practicemodels/apireturns.txt/full")).unwrap();
    let stderr = fail(&workspace);
    assert!(stderr.contains("apicalls failed") && stderr.contains("apireturns.txt"), "{stderr}");
    let id = live(&workspace).id;
    fs::remove_dir_all(workspace.path("practicemodels/apireturns.txt")).unwrap();
    decision(&workspace, "reported");
    assert_eq!((live(&workspace).id, reported_release(&workspace, "practicemodels")), (id.clone(), json!(id)));
}

#[test]
fn a_first_run_killed_at_any_step_leaves_all_of_a_release_or_nothing_and_the_next_run_ends_well() {
    let killed = kill_at_every_step(workspace, |workspace| {
        live_or_none(workspace);
        crate::run(workspace, &[]);
        assert_eq!(record(workspace), ["dataset1.csv", "dataset2.csv"]);
    });
    assert!(killed >= 6, "only {killed} steps were seen");
}

#[test]
fn a_run_with_drift_killed_at_any_step_leaves_a_whole_release_and_the_next_run_ends_well() {
    let drifted = || {
        let workspace = bootstrapped();
        workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
        workspace
    };
    let killed = kill_at_every_step(drifted, |workspace| {
        live(workspace);
        crate::run(workspace, &[]);
        assert_eq!(live(workspace).manifest.score.f1, INVERTED_F1);
        assert_eq!(record(workspace), ["dataset1.csv", "dataset2.csv", "dataset3.csv"]);
    });
    assert!(killed >= 7, "only {killed} steps were seen");
}

/// Kills a run when it starts its first step, another when it starts its second, and so on until a run ends before it
/// is killed. `check` examines each workspace, which must be in order. Returns the number of runs that were killed.
fn kill_at_every_step(workspace: impl Fn() -> Workspace, check: impl Fn(&Workspace)) -> usize {
    for step in 0.. {
        let workspace = workspace();
        if !killed_at(&workspace, step) {
            return step;
        }
        check(&workspace);
        let id = live(&workspace).id;
        decision(&workspace, "nothing_to_do");
        assert_eq!(reported_release(&workspace, "practicemodels"), json!(id));
        for folder in OUTPUTS {
            workspace.assert_no_leftovers(folder);
        }
    }
    unreachable!()
}

/// Kills fullprocess when it reports the start of its step number `step`, and waits until every process it has started
/// has ended. Returns whether it got that far.
fn killed_at(workspace: &Workspace, step: usize) -> bool {
    let command = workspace.command_without_cargo("fullprocess");
    let mut shell = Command::new("/bin/sh");
    // Every descendant process inherits descriptor 9, so the pipe closes when the last of them has ended.
    shell.args(["-c", "exec 9>&1 \"$@\" >/dev/null", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    let narration = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut steps = narration.filter(|line| is_start(line));
    let reached = steps.nth(step).is_some();
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(reached || status.success(), "it failed before it could be killed: {status}");

    let mut pipe = child.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(pipe.read_to_end(&mut Vec::new())));
    let ended = receiver.recv_timeout(Duration::from_secs(60)).expect("something outlives the killed run");
    ended.unwrap();
    reached
}
