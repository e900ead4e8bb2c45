//! Which release answers: always the live one, from the first request after the switch, and never a broken one.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::production::release::Production;
use serde_json::{Value, json};
use testkit::Workspace;

use crate::helpers::Api;

/// Trains on more data with the opposite outcome and deploys the model; returns the new release's id.
fn deploy_another(workspace: &Workspace) -> String {
    workspace.csv("practicedata/another.csv", &testkit::rows("c", 500, true));
    workspace.deploy();
    live(workspace)
}

fn live(workspace: &Workspace) -> String {
    Production::of(&workspace.config()).live().unwrap().id
}

fn clients() -> Value {
    json!({"rows": [{"lastmonth_activity": 5, "lastyear_activity": 40, "number_of_employees": 60}]})
}

#[test]
fn a_new_release_answers_the_next_request_of_the_same_server() {
    let api = Api::deployed();
    let old = live(&api.workspace);
    let before = api.predict(&clients()).ok();
    assert_eq!((&before["model"], &before["predictions"]), (&json!(old), &json!([1])));
    let new = deploy_another(&api.workspace);
    let after = api.predict(&clients()).ok();
    assert_eq!((&after["model"], &after["predictions"]), (&json!(new), &json!([0])));
    assert_eq!(api.get("/scoring").ok()["model"], new);
    api.workspace.run("deployment", &["--rollback", &old]);
    assert_eq!(api.predict(&clients()).ok(), before);
}

#[test]
fn every_answer_during_deployments_and_rollbacks_is_one_releases_own() {
    let api = Api::deployed();
    let old = live(&api.workspace);
    let new = deploy_another(&api.workspace);
    let production = Production::of(&api.workspace.config());
    let probabilities: BTreeMap<String, String> = [&old, &new]
        .map(|id| {
            let model = production.release(id).unwrap().model().unwrap();
            (id.clone(), format!("[{}]", model.probability(&[5.0, 40.0, 60.0].map(|number| Some(number.into())))))
        })
        .into();
    let forms: [(&str, &str, String); 3] = [
        ("", "application/json", clients().to_string()),
        ("", "text/csv", format!("{},5,40,60,\n", testkit::HEADER)),
        ("?filepath=testdata/one.csv", "", String::new()),
    ];
    api.workspace.csv("testdata/one.csv", ",5,40,60,\n");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let askers: Vec<_> = forms
            .iter()
            .map(|(query, content_type, body)| {
                let (api, done, probabilities, new) = (&api, &done, &probabilities, &new);
                scope.spawn(move || {
                    let mut seen = BTreeMap::<String, u32>::new();
                    while !done.load(Ordering::Relaxed) {
                        let answer = api.post(query, content_type, body.as_bytes());
                        let model = answer.ok()["model"].as_str().unwrap().to_owned();
                        // A release that was deployed in the meantime is a copy of the newer of the two.
                        let expected = probabilities.get(&model).unwrap_or(&probabilities[new]);
                        assert!(answer.text.contains(&format!("\"probabilities\":{expected}")), "{answer:?}");
                        *seen.entry(model).or_default() += 1;
                    }
                    seen
                })
            })
            .collect();
        let mut deployed = vec![old.clone(), new.clone()];
        for i in 0..100 {
            match i % 4 {
                0 | 2 => drop(api.workspace.run("deployment", &["--rollback", [&old, &new][i / 2 % 2]])),
                _ => drop(api.workspace.run("deployment", &[])),
            }
            deployed.push(live(&api.workspace));
        }
        done.store(true, Ordering::Relaxed);
        for asker in askers {
            let seen = asker.join().unwrap();
            assert!(seen.len() > 1, "no switch was seen: {seen:?}");
            assert!(seen.keys().all(|model| deployed.contains(model)), "{seen:?} are not all of {deployed:?}");
        }
    });
    assert_eq!(api.predict(&clients()).ok()["model"], live(&api.workspace));
}

#[test]
fn a_release_that_fails_to_load_leaves_the_old_one_serving() {
    for (damage, file, content) in [
        ("a cut model", "trainedmodel.bin", Some(100)),
        ("an empty model", "trainedmodel.bin", Some(0)),
        ("no model", "trainedmodel.bin", None),
        ("a cut manifest", "manifest.json", Some(10)),
        ("no manifest", "manifest.json", None),
        ("no score", "latestscore.txt", Some(0)),
    ] {
        let api = Api::deployed();
        let before = api.predict(&clients()).ok();
        let new = deploy_another(&api.workspace);
        // No request has arrived since the switch, so the service has not loaded the new release yet.
        let path = api.workspace.path("production_deployment/releases").join(&new).join(file);
        let whole = fs::read(&path).unwrap();
        match content {
            Some(length) => fs::write(&path, &whole[..length]).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        for _ in 0..3 {
            assert_eq!(api.predict(&clients()).ok(), before, "{damage}");
        }
        assert_eq!(api.get("/scoring").ok()["model"], before["model"], "{damage}");
        // Deploying a complete release resolves the problem.
        api.workspace.run("deployment", &[]);
        let newest = live(&api.workspace);
        assert_ne!(newest, new);
        assert_eq!(api.predict(&clients()).ok()["model"], newest, "{damage}");
    }
}

#[test]
fn a_broken_release_without_one_before_it_is_answered_with_503() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let model = workspace.path("production_deployment/releases").join(live(&workspace)).join("trainedmodel.bin");
    let whole = fs::read(&model).unwrap();
    fs::write(&model, &whole[..50]).unwrap();
    let api = Api::of(workspace);
    for _ in 0..2 {
        api.check_problem("cut model", &api.predict(&clients()), 503, &["cannot be loaded", "log"]);
    }
    // After the repair, the release is served without a restart.
    fs::write(&model, whole).unwrap();
    api.check_alive();
}

#[test]
fn a_production_folder_that_vanishes_leaves_no_answer_but_a_problem() {
    let api = Api::deployed();
    api.check_alive();
    fs::rename(api.workspace.path("production_deployment"), api.workspace.path("elsewhere")).unwrap();
    api.check_problem("no production", &api.predict(&clients()), 503, &["fullprocess"]);
    fs::rename(api.workspace.path("elsewhere"), api.workspace.path("production_deployment")).unwrap();
    api.check_alive();
}

#[test]
fn a_removed_release_stays_in_the_history_and_no_page_misses_it() {
    let workspace = Workspace::with_data();
    workspace.run("fullprocess", &[]);
    let first = live(&workspace);
    let api = Api::of(workspace);
    api.get("/"); // the first release is loaded
    deploy_another(&api.workspace);
    let newest = deploy_another(&api.workspace);
    let pruned = api.workspace.run_json("deployment", &["--prune", "1"]);
    assert_eq!(pruned["pruned"]["removed"][0]["id"], first);
    for page in ["/", "/clients", "/clients/a0", "/model", "/calllist", "/scoring", "/metrics"] {
        assert_eq!(api.get(page).status, 200, "{page}");
    }
    for kind in ["releases", "scores", "checks", "comparisons", "lists"] {
        api.get(&format!("/history?what={kind}")).ok();
    }
    let releases = api.get("/history?what=releases").ok();
    assert_eq!(releases["rows"][0]["release"], first);
    assert_eq!(api.get("/health/ready").ok()["release"], newest);
    api.workspace.run("fullprocess", &[]);
    assert!(api.bytes("/report.pdf").starts_with(b"%PDF"));
}
