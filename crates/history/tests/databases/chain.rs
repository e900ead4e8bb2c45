//! Runs the whole pipeline with each kind of database, and checks the content of every table and what is read back.

use serde_json::{Value, json};
use testkit::{Workspace, rows};

use crate::{check_clients, decision, get, number, on_each_history, read_json, run_without_cargo};

const WHATS: [&str; 8] = ["runs", "scores", "timings", "missing", "releases", "checks", "shifts", "comparisons"];

fn listing(workspace: &Workspace, what: &str, last: usize) -> Vec<Value> {
    let listing = workspace.run_json("dbsetup", &["--history", what, "--last", &last.to_string()]);
    assert_eq!(listing["what"], what);
    listing["rows"].as_array().unwrap().clone()
}

fn live_at(workspace: &Workspace, time: &str) -> Value {
    workspace.run_json("dbsetup", &["--at", time])["release"].clone()
}

/// Returns a JSON value as text; empty for null.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

#[test]
fn every_table_holds_what_the_steps_did() {
    on_each_history(Workspace::with_data, |workspace, database| {
        let live = text(&decision(workspace, "bootstrapped")["live"]);

        // One process, whose steps are recorded before the process itself.
        let runs = database.rows(&["step", "outcome", "process", "error"], "FROM runs ORDER BY id");
        let steps: Vec<_> = runs.iter().map(|run| run[0].as_str()).collect();
        let expected =
            ["ingestion", "training", "scoring", "promotion", "deployment", "reporting", "apicalls", "fullprocess"];
        assert_eq!(steps, expected);
        for run in &runs {
            assert_eq!((run[1].as_str(), &run[2], run[3].as_str()), ("done", &runs[0][2], ""), "{runs:?}");
            assert!(!run[2].is_empty());
        }
        let times = database.rows(&["started", "ended"], "FROM runs");
        assert!(
            times.iter().all(|times| times[0] < times[1] && times.iter().all(|time| time.len() == 27)),
            "{times:?}"
        );

        // Ingestion.
        let ingestion = read_json(workspace, "ingesteddata/ingestion.json");
        let columns = ["name", "sha256", "row_count", "duplicates", "quarantined", "source"];
        let ingested = database.rows(&columns, "FROM ingested_files ORDER BY name");
        let files = ingestion["files"].as_array().unwrap();
        let facts = ["name", "sha256", "rows", "duplicates", "quarantined", "batch"];
        assert_eq!(ingested, files.iter().map(|file| facts.map(|key| text(&file[key]))).collect::<Vec<_>>());
        let missing = database.rows(&["name", "column_name", "missing"], "FROM ingested_missing_values ORDER BY name");
        assert_eq!(missing.len(), 10);
        assert!(missing.iter().all(|row| row[2] == "0"), "{missing:?}");
        let dataset = database.row(&["sha256", "row_count", "contradictory_corporations", "stored"], "FROM datasets");
        let facts = ["dataset_sha256", "rows", "contradictory_corporations"].map(|key| text(&ingestion[key]));
        assert_eq!((&dataset[..3], dataset[3].as_str()), (&facts[..], "1"));
        check_clients(workspace, database);

        // Training: the same data give the same model.
        let training = workspace.run_json("training", &[]);
        let model = |columns: &[&str]| database.rows(columns, "FROM models ORDER BY run_id");
        let whole = ["sha256", "dataset_sha256", "row_count", "exited", "incomplete_rows", "newton_steps"];
        let expected: Vec<_> = [&training["model_sha256"], &training["training"]["dataset_sha256"]]
            .into_iter()
            .chain(["rows", "exited", "left_out"].map(|key| &training["training"][key]))
            .chain([&training["fit"]["newton_steps"]])
            .map(text)
            .collect();
        assert_eq!(model(&whole), [expected.clone(), expected]);
        let real = ["regularization", "gradient_norm", "log_likelihood"];
        for row in model(&real.map(|column| database.exact(column)).each_ref().map(String::as_str)) {
            assert_eq!(
                row.iter().map(|text| json!(number(text))).collect::<Vec<_>>(),
                real.map(|key| training["fit"][key].clone())
            );
        }
        let columns = ["term", &database.exact("coefficient"), &database.exact("standard_error")];
        let last = "FROM coefficients WHERE run_id = (SELECT MAX(run_id) FROM models)";
        let coefficients = database.rows(&columns, last);
        assert_eq!((coefficients.len(), database.count("FROM coefficients")), (4, 8));
        let terms = ["lastmonth_activity", "lastyear_activity", "number_of_employees", "intercept"];
        for (place, term) in terms.into_iter().enumerate() {
            let row = coefficients.iter().find(|row| row[0] == term).unwrap();
            let value = if place < 3 { &training["coefficients"][place] } else { &training["intercept"] };
            assert_eq!(
                (&json!(number(&row[1])), &json!(number(&row[2]))),
                (value, &training["standard_errors"][place])
            );
        }

        // Scoring and deployment.
        let model = text(&training["model_sha256"]);
        let counts = "true_positives + false_positives + false_negatives + true_negatives";
        let columns = [&database.exact("f1"), "n", counts, "data", "model_sha256", "release_id", "threshold"];
        let score = database.row(&columns, "FROM scores WHERE release_id IS NULL");
        assert_eq!(score[0].parse(), workspace.text("practicemodels/latestscore.txt").parse::<f64>());
        assert_eq!(score[1..6], ["8", "8", "[\"testdata.csv\"]", &model, ""]);
        assert_eq!(number(&score[6]), 0.5);
        let deployed = database.row(&columns, "FROM scores WHERE release_id IS NOT NULL"); // by reporting, for its plot
        assert_eq!((&deployed[..5], &deployed[5]), (&score[..5], &live));
        let columns = ["release_id", "action", "model_sha256", "n", &database.exact("f1")];
        let release = database.row(&columns, "FROM releases");
        assert_eq!(release[..4], [live.as_str(), "deployed", &model, "8"]);
        assert_eq!(number(&release[4]), number(&score[0]));
        let decided = database.row(&["decision", "live_release", "reason"], "FROM decisions");
        assert_eq!(decided[..2], ["bootstrapped", &live]);
        assert!(decided[2].contains("dataset2.csv"), "{decided:?}");
        for empty in ["drift_checks", "predictor_shifts", "checked_files", "summary_statistics"] {
            assert_eq!(database.count(&format!("FROM {empty}")), 0, "{empty}");
        }

        // Diagnostics.
        let diagnosis = run_without_cargo(workspace, "diagnostics", &[]);
        let of = |table: &str| format!("FROM {table} WHERE run_id = (SELECT MAX(id) FROM runs)");
        let columns = ["name", "current_version", "latest_version"];
        let mut found = database.rows(&columns, &of("dependencies"));
        let dependencies = diagnosis["dependencies"].as_array().unwrap();
        let mut expected: Vec<_> =
            dependencies.iter().map(|one| vec![text(&one["name"]), text(&one["current"]), String::new()]).collect();
        found.sort();
        expected.sort();
        assert!(found.len() > 10);
        assert_eq!(found, expected);
        for statistics in diagnosis["summary_statistics"].as_array().unwrap() {
            let keys = ["mean", "median", "std", "mode"];
            let condition = format!("{} AND column_name = '{}'", of("summary_statistics"), text(&statistics["column"]));
            let row = database.row(&keys.map(|key| database.exact(key)).each_ref().map(String::as_str), &condition);
            assert_eq!(
                row.iter().map(|text| number(text)).collect::<Vec<_>>(),
                keys.map(|key| statistics[key].as_f64().unwrap())
            );
        }
        assert_eq!(database.count(&of("missing_percentages")), 5);
        let timings = database.column("operation", &format!("{} ORDER BY operation", of("timings")));
        assert_eq!(timings, ["trial ingestion", "trial training"]);
    });
}

#[test]
fn drift_no_drift_and_a_rollback_are_recorded_and_read_back() {
    on_each_history(Workspace::with_data, |workspace, database| {
        let first = text(&decision(workspace, "bootstrapped")["live"]);
        workspace.csv("practicedata/dataset3.csv", &rows("c", 60, false));
        decision(workspace, "no_drift");
        let checked = database.row(&["release_id", "name"], "FROM checked_files");
        assert_eq!(checked, [first.as_str(), "dataset3.csv"]);
        workspace.csv("practicedata/dataset4.csv", &rows("d", 60, true));
        let second = text(&decision(workspace, "redeployed")["live"]);
        decision(workspace, "nothing_to_do");
        workspace.run("deployment", &["--rollback", &first]);
        workspace.fail("deployment", &["--rollback", "none\u{1F980}"]);
        run_without_cargo(workspace, "diagnostics", &[]);

        let columns = ["data", "drifted", "n", "test", "release_id"];
        let checks = database.rows(&columns, "FROM drift_checks ORDER BY run_id");
        assert_eq!(checks[0], ["[\"dataset3.csv\"]", "0", "60", "raw", &first]);
        assert_eq!(checks[1..], [["[\"dataset4.csv\"]", "1", "60", "raw", &first]]);
        // The shifts of the predictors, and the comparison made for each new model.
        let shifts = database.rows(&["predictor", "verdict"], "FROM predictor_shifts ORDER BY run_id, predictor");
        assert_eq!(shifts.len(), 6);
        assert_eq!(shifts[0][0], "lastmonth_activity");
        let model = |release: &str| {
            format!(
                "'{}'",
                database.row(
                    &["model_sha256"],
                    &format!("FROM releases WHERE release_id = '{release}' AND action = 'deployed'")
                )[0]
            )
        };
        let promotions =
            database.rows(&["COALESCE(champion, 'none')", "rule_name", "promoted"], "FROM promotions ORDER BY run_id");
        assert_eq!(promotions, [["none", "on_drift", "1"], [first.as_str(), "on_drift", "1"]]);
        let last = format!(
            "FROM compared_models WHERE run_id = (SELECT run_id FROM promotions WHERE challenger_sha256 = {})",
            model(&second)
        );
        let models = database.rows(&["model", "n"], &format!("{last} ORDER BY model"));
        let expected = ["deployed model", "everyone exits", "new model", "nobody exits"];
        assert_eq!(models, expected.map(|name| [name, "8"]));
        let decisions = database.column("decision", "FROM decisions ORDER BY run_id");
        assert_eq!(decisions, ["bootstrapped", "no_drift", "redeployed", "nothing_to_do"]);
        assert_eq!(database.count("FROM (SELECT DISTINCT process FROM runs WHERE process IS NOT NULL) AS p"), 4);

        // Releases, with the period in which each was live.
        let releases = listing(workspace, "releases", 20);
        let of = |key| releases.iter().map(|release| text(&release[key])).collect::<Vec<_>>();
        assert_eq!(of("release"), [&first, &second, &first].map(String::as_str));
        assert_eq!(of("action"), ["deployed", "deployed", "rolled back"]);
        let from = of("live_from");
        assert_eq!(of("live_until"), [from[1].as_str(), &from[2], ""]);
        assert!(from.is_sorted(), "{from:?}");
        assert_eq!(live_at(workspace, "2020-02-29"), Value::Null);
        for (time, release) in [(&from[0], 0), (&from[1], 1), (&from[2], 2)] {
            assert_eq!(live_at(workspace, time), releases[release], "{time}");
        }
        let until_then = live_at(workspace, &last_moment_before(&from[1]));
        assert_eq!(until_then["release"], json!(first));
        assert_eq!(live_at(workspace, "2999-01-01")["action"], "rolled back");

        // The failed rollback is a run with its error.
        let runs = listing(workspace, "runs", 100);
        let failed: Vec<_> = runs.iter().filter(|run| run["outcome"] == "failed").collect();
        assert_eq!(failed.len(), 1);
        assert!(text(&failed[0]["message"]).contains("none\u{1F980}"), "{failed:?}");

        // The newest rows, oldest first; the service returns the same rows.
        let server = workspace.serve();
        for what in WHATS {
            let all = listing(workspace, what, 1000);
            for last in [0, 1, 2, 5, 1000] {
                let some = listing(workspace, what, last);
                assert_eq!(some, all[all.len().saturating_sub(last)..], "{what} {last}");
                let answer = get(&server, &format!("/history?what={what}&last={last}"));
                assert_eq!(answer, json!({"what": what, "rows": some}), "{what} {last}");
            }
            let order: Vec<_> = all.iter().map(|row| row["run"].as_i64().unwrap()).collect();
            assert!(order.is_sorted() && !order.is_empty(), "{what}: {order:?}");
        }
        assert_eq!(get(&server, "/history")["rows"], json!(listing(workspace, "runs", 50)));
    });
}

/// Returns the time one microsecond before `time`, in the width used by the history.
fn last_moment_before(time: &str) -> String {
    let (before, digits) = time.trim_end_matches('Z').split_at(20);
    match digits.parse::<u32>().unwrap() {
        0 => before.trim_end_matches('.').to_owned(), // rare; then it is the second of `time` itself
        micros => format!("{before}{:06}Z", micros - 1),
    }
}

#[test]
fn a_part_of_a_run_has_its_own_time_and_a_kept_champion_is_recorded_as_kept() {
    on_each_history(Workspace::with_data, |workspace, database| {
        decision(workspace, "bootstrapped");
        // The test rows are of the first kind: a model trained on the other kind is worse.
        workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
        workspace.set("promotion", json!("if_better"));
        decision(workspace, "kept");
        let checked = "FROM checked_files JOIN decisions ON decisions.run_id = checked_files.run_id";
        assert_eq!(database.row(&["name", "decision"], checked), ["dataset3.csv", "kept"]);
        assert_eq!(database.column("drifted", "FROM drift_checks"), ["1"]);

        let runs = database.rows(&["step", "started", "ended"], "FROM runs ORDER BY id DESC LIMIT 8");
        let run = |step: &str| runs.iter().find(|run| run[0] == step).unwrap();
        for (part, begins_after, holds) in [("drift check", "ingestion", 1), ("promotion", "training", 1)] {
            let [_, started, ended] = &run(part)[..] else { unreachable!() };
            assert!(*started >= run(begins_after)[2], "{part} begins with {begins_after}: {runs:?}");
            let inside =
                runs.iter().filter(|run| run[0] == "scoring" && run[1] >= *started && run[2] <= *ended).count();
            assert_eq!(inside, holds, "{part}: {runs:?}");
        }
    });
}

#[test]
fn a_file_arrives_with_the_run_that_first_ingested_its_content() {
    on_each_history(Workspace::with_data, |workspace, _| {
        workspace.run("ingestion", &[]);
        workspace.csv("practicedata/dataset0.csv", &rows("z", 9, false));
        workspace.csv("practicedata/dataset2.csv", &rows("y", 9, false));
        workspace.run("ingestion", &[]);
        workspace.run("ingestion", &[]);
        let mut history = history::History::open_existing(&workspace.config()).unwrap().unwrap();
        let arrivals = history.arrivals().unwrap();
        let runs: Vec<i64> = arrivals.iter().map(|arrival| arrival.run).collect();
        assert!(runs[0] == runs[1] && runs[1] < runs[2] && runs[2] == runs[3] && runs.len() == 4, "{arrivals:?}");
        let mut names: Vec<_> = arrivals.iter().map(|arrival| (arrival.run, arrival.name.as_str())).collect();
        names.sort_unstable();
        let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["dataset1.csv", "dataset2.csv", "dataset0.csv", "dataset2.csv"]);
        assert_eq!(arrivals.iter().filter(|arrival| arrival.name == "dataset2.csv").count(), 2);
    });
}
