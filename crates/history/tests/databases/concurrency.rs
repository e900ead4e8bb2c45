//! Tests of concurrent processes: all are recorded, and the service answers meanwhile.

use std::process::Stdio;

use testkit::Workspace;

use crate::{decision, get, on_each_history};

#[test]
fn six_steps_at_once_are_all_recorded() {
    on_each_history(Workspace::with_data, |workspace, database| {
        workspace.deploy();
        let scoring =
            || workspace.command("scoring").arg("--deployed").stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let children: Vec<_> = (0..6).map(|_| scoring().unwrap()).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(database.count("FROM scores WHERE release_id IS NOT NULL"), 6);
        assert_eq!(database.count("FROM (SELECT DISTINCT run_id FROM scores) AS s"), 7);
        assert_eq!(database.count("FROM runs WHERE outcome = 'done'"), 10);
    });
}

#[test]
fn the_service_reads_the_history_while_a_full_process_writes_it() {
    on_each_history(Workspace::with_data, |workspace, database| {
        let server = workspace.serve();
        let mut process = workspace.command_without_cargo("fullprocess");
        let mut process = process.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut counts = Vec::new();
        let status = loop {
            let ended = process.try_wait().unwrap();
            for what in ["releases", "timings", "runs"] {
                let rows = get(&server, &format!("/history?what={what}&last=100"))["rows"].as_array().unwrap().len();
                if what == "runs" {
                    counts.push(rows);
                }
            }
            if let Some(status) = ended {
                break status;
            }
        };
        assert!(status.success());
        assert!(counts.is_sorted() && counts.len() > 3, "{counts:?}");
        assert_eq!((counts.last(), database.count("FROM runs")), (Some(&8), 8));
        decision(workspace, "nothing_to_do");
    });
}
