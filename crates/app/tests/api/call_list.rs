//! `GET /calllist`: accounts, owners, pauses, hold-out, order, pages, and the list as CSV.

use common::files::checksum::Checksum;
use history::{CallOutcome, Contact, History};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testkit::Workspace;

use crate::helpers::Api;

/// A service with accounts for the clients `a0` to `a59`; the odd ones have left.
fn with_accounts(accounts: &str) -> Api {
    let mut workspace = Workspace::with_data();
    workspace.set("accounts_path", json!("accounts.csv"));
    workspace.write("accounts.csv", accounts);
    workspace.deploy();
    Api::of(workspace)
}

fn ids(list: &Value) -> Vec<&str> {
    list["calls"].as_array().unwrap().iter().map(|call| call["corporation"].as_str().unwrap()).collect()
}

fn contact(client: &str, outcome: CallOutcome, at: Timestamp) -> Contact {
    Contact { client: client.to_owned(), outcome, by: "Anna".to_owned(), note: "n".to_owned(), at }
}

/// Records calls as another process does.
fn record(api: &Api, contacts: &[Contact]) {
    let mut history = History::open_for_contacts(&api.workspace.config()).unwrap();
    history.add_contacts(None, &Checksum::of_bytes(b"contacts"), contacts).unwrap();
}

#[test]
fn accounts_are_joined_and_owners_see_their_clients() {
    let api = with_accounts("corporation,owner,value,phone\na0,Anna,10,030\na2,Bert,1000000,\na1,Anna,5,\nzz,Anna,,\n");
    let list = api.get("/calllist").ok();
    assert_eq!((&list["called"], &list["owner"], &list["ranking"]), (&json!(50), &json!(null), &json!("risk")));
    assert_eq!(list["without_client"], json!({"count": 2, "first": ["a1", "zz"]}), "a1 has left, zz is unknown");
    assert_eq!(list["without_account"]["count"], 58);
    assert_eq!(list["warnings"], json!([]));
    let all = api.get("/calllist?limit=1000").ok();
    let call = |id: &str| all["calls"].as_array().unwrap().iter().find(|call| call["corporation"] == id).unwrap();
    assert_eq!((&call("a0")["owner"], &call("a0")["value"]), (&json!("Anna"), &json!(10.0)));
    assert_eq!((&call("a0")["account"], &call("a4")["account"]), (&json!({"phone": "030"}), &json!(null)));
    let at_risk = 10.0 * call("a0")["risk"].as_f64().unwrap();
    assert_eq!(call("a0")["value_at_risk"], at_risk);

    let of_anna = api.get("/calllist?owner=Anna&limit=9").ok();
    assert_eq!((ids(&of_anna), &of_anna["owner"]), (vec!["a0"], &json!("Anna")));
    assert_eq!(of_anna["calls"][0], *call("a0"), "the rank is that among all clients");
    for (unknown, owner) in [("nobody", json!("nobody")), ("%F0%9F%98%80", json!("\u{1F600}"))] {
        let nobody = api.get(&format!("/calllist?owner={unknown}")).ok();
        assert_eq!((&nobody["calls"], &nobody["called"], &nobody["owner"]), (&json!([]), &json!(0), &owner));
        assert_eq!((&nobody["expected_exits"], &nobody["value_at_risk"]), (&json!(null), &json!(null)));
    }
    assert_eq!(api.get("/calllist?owner=").ok(), list, "a form sends an empty owner for everybody");
}

#[test]
fn the_order_is_by_risk_or_by_value_at_risk() {
    let api = with_accounts("corporation,owner,value\na0,Anna,10\na2,Bert,1000000\n");
    let by_value = api.get("/calllist?rank=value&limit=3").ok();
    assert_eq!((&ids(&by_value)[..2], &by_value["ranking"]), (&["a2", "a0"][..], &json!("value")));
    let ranks: Vec<_> = by_value["calls"].as_array().unwrap().iter().map(|call| call["rank"].clone()).collect();
    assert_eq!(ranks, [1, 2, 3]);
    assert_eq!(by_value["calls"][2]["value_at_risk"], json!(null));
    assert_eq!(api.get("/calllist?rank=risk").ok(), api.get("/calllist").ok());
    api.check_problem("rank", &api.get("/calllist?rank=name"), 400, &["query"]);
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let api = Api::deployed();
    let all = api.get("/calllist?limit=1000").ok();
    let pages: Vec<Value> = (1..=5).map(|page| api.get(&format!("/calllist?limit=20&page={page}")).ok()).collect();
    let together: Vec<&str> = pages.iter().flat_map(ids).collect();
    assert_eq!((together, pages[3]["calls"].as_array().unwrap().len()), (ids(&all), 0));
    assert_eq!(api.get("/calllist?limit=100000&page=18446744073709551615").ok()["calls"], json!([]));
    for wrong in ["page=0", "page=-1", "page=x", "format=xml"] {
        api.check_problem(wrong, &api.get(&format!("/calllist?{wrong}")), 400, &["query"]);
    }
}

#[test]
fn a_called_client_pauses_at_once_and_the_next_one_takes_its_place() {
    let mut workspace = Workspace::with_data();
    workspace.set("call_capacity", json!(3));
    workspace.deploy();
    let api = Api::of(workspace);
    let before = api.get("/calllist?limit=5").ok();
    let ranked: Vec<String> = ids(&before).into_iter().map(str::to_owned).collect();
    let now = Timestamp::now();
    let today = Timestamp::from_second(now.as_second() - now.as_second().rem_euclid(86400)).unwrap();
    record(&api, &[contact(&ranked[0], CallOutcome::Reached, now)]);
    record(&api, &[contact(&ranked[2], CallOutcome::NotReached, now)]);
    record(&api, &[contact("unknown", CallOutcome::Reached, now)]);
    let list = api.get("/calllist").ok();
    assert_eq!(ids(&list), ranked, "paused clients keep their rank, and the list reaches to the last call");
    let turns: Vec<_> = list["calls"].as_array().unwrap().iter().map(|call| call["turn"].as_str().unwrap()).collect();
    assert_eq!((turns, &list["called"]), (vec!["paused", "today", "paused", "today", "today"], &json!(3)));
    let days = |days: i64| json!((today + SignedDuration::from_hours(24 * days)).to_string());
    let until = |index: usize| list["calls"][index]["paused_until"].clone();
    assert_eq!((until(0), until(1), until(2)), (days(14), json!(null), days(1)));
    let last = &list["calls"][0]["last_contact"];
    assert_eq!((&last["outcome"], &last["by"], &last["note"]), (&json!("reached"), &json!("Anna"), &json!("n")));
    // A call of the past no longer pauses, and a list of one day is always the same.
    record(&api, &[contact(&ranked[1], CallOutcome::Reached, now - SignedDuration::from_hours(24 * 15))]);
    assert_eq!(api.get("/calllist").ok()["calls"][1]["turn"], "today");
    assert_eq!(api.get("/calllist").text, api.get("/calllist").text);
}

#[test]
fn held_out_clients_keep_their_rank_and_are_never_called() {
    let mut workspace = Workspace::with_data();
    workspace.set("call_holdout", json!(0.5));
    workspace.deploy();
    let api = Api::of(workspace);
    let holdout = api.workspace.config().call_holdout;
    let list = api.get("/calllist?limit=1000").ok();
    let calls = list["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 60);
    for call in calls {
        let expected = if holdout.contains(call["corporation"].as_str().unwrap()) { "held_out" } else { "today" };
        assert_eq!((&call["turn"], &call["call"]), (&json!(expected), &json!(expected == "today")));
    }
    let held_out = calls.iter().filter(|call| call["turn"] == "held_out").count();
    assert!((15..45).contains(&held_out) && list["called"] == 60 - held_out, "{held_out}");
}

#[test]
fn the_list_as_csv_is_that_of_reporting() {
    let api = with_accounts("corporation,owner,value,phone\na0,Anna,10,030\na2,Bert,1000000,\n");
    api.workspace.run("reporting", &[]);
    let written = api.workspace.text("practicemodels/calllist.csv");
    for answer in [api.get("/calllist?format=csv"), api.get_for("text/csv", "/calllist")] {
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/csv; charset=utf-8"));
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"calllist.csv\"");
        assert!(!answer.header("x-release").is_empty());
        assert!(answer.text == written, "{}", answer.text);
    }
    let of_bert = api.get("/calllist?format=csv&owner=Bert&rank=value").text;
    assert_eq!(of_bert.lines().count(), 2);
    assert!(of_bert.lines().nth(1).unwrap().starts_with("1,a2,"), "{of_bert}");
    assert_eq!(api.get("/calllist?format=csv&limit=3&page=2").text.lines().count(), 4);
    assert_eq!(api.get_for("text/csv", "/calllist?format=json").ok(), api.get("/calllist").ok());
}

#[test]
fn accounts_that_cannot_be_read_do_not_take_the_list_away() {
    let api = with_accounts("corporation,owner,value\na0,Anna,10\n");
    assert_eq!(api.get("/calllist?owner=Anna&limit=9").ok()["calls"][0]["owner"], "Anna");
    for (text, parts) in [
        (
            "corporation,owner,value\na0,Anna,ten\n",
            &["accounts.csv", "line 2", "value is \"ten\"", "accounts_path"][..],
        ),
        ("corporation,owner,value\na0,An", &["accounts.csv", "line 2", "2 fields where the header has 3"]),
        ("", &["the file is empty"]),
    ] {
        api.workspace.write("accounts.csv", text);
        let list = api.get("/calllist").ok();
        assert_eq!((list["called"].clone(), list["calls"].as_array().unwrap().len()), (json!(50), 50));
        assert!(
            list["calls"].as_array().unwrap().iter().all(|call| call["owner"].is_null()),
            "the old accounts are kept"
        );
        let warning = list["warnings"][0].as_str().unwrap().to_owned();
        for part in parts {
            assert!(warning.contains(part), "{part} is not in {warning}");
        }
        assert!(!warning.contains(api.workspace.path("").to_str().unwrap()), "{warning}");
        assert!(api.get("/").text.contains("This list has no accounts"), "the page says it too");
        let output = api.workspace.output("reporting", &[]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.contains("warning: This list has no accounts"), "{stderr}");
    }
    std::fs::remove_file(api.workspace.path("accounts.csv")).unwrap();
    assert!(api.get("/calllist").ok()["warnings"][0].as_str().unwrap().contains("accounts.csv: No such file"));
    api.workspace.write("accounts.csv", "id,owner\na0,Carl\n");
    let list = api.get("/calllist?owner=Carl&limit=9").ok();
    assert_eq!((ids(&list), &list["warnings"]), (vec!["a0"], &json!([])));
}

#[test]
fn without_a_database_the_list_is_shown_and_says_that_calls_are_unknown() {
    let mut workspace = Workspace::with_data();
    workspace.deploy();
    workspace.set("database_url", json!("postgres://nobody@127.0.0.1:1/none"));
    let api = Api::of(workspace);
    let list = api.get("/calllist").ok();
    assert_eq!(list["called"], 50);
    assert!(list["warnings"][0].as_str().unwrap().starts_with("The database cannot be read."), "{}", list["warnings"]);
    // Without test data, nothing is promised.
    std::fs::remove_file(api.workspace.path("testdata/testdata.csv")).unwrap();
    let list = api.get("/calllist").ok();
    assert_eq!((&list["expected_exits"], list["warnings"].as_array().unwrap().len()), (&json!(null), 2));
}
