//! The agenda: who is called today, in which order, and who is left out.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use common::config::{Holdout, Threshold, schema_of_json};
use common::files::checksum::Checksum;
use common::model::effect::{Effect, NumberEffect};
use common::model::{Fit, Model, TrainingData};
use dataset::MalformedRows;
use dataset::local::Table;
use history::{CallOutcome, Contact, ListedClient, PublishedList, PublishedListRow};
use insight::{Account, Accounts, Agenda, CallList, CallRules, Changes, Contacts, Ranking, Turn, Why};
use jiff::Timestamp;
use jiff::civil::date;

/// The list of clients with these log-odds of leaving; the model's only predictor is the log-odds.
fn list(clients: &[(String, f64)]) -> Arc<CallList> {
    let schema = schema_of_json(r#"{"id": "client", "target": "gone", "predictors": ["p"]}"#).unwrap();
    let model = Model {
        schema: schema.clone(),
        effects: vec![Effect::Number(NumberEffect {
            coefficient: 1.0,
            standard_error: 0.1,
            median: 0.0,
            sketch: None,
        })],
        intercept: 0.0,
        intercept_error: 0.1,
        fit: Fit {
            regularization: 1.0,
            gradient_norm: 0.0,
            newton_decrement: 0.0,
            newton_steps: 1,
            log_likelihood: -1.0,
        },
        training: TrainingData { dataset_sha256: Checksum::of_bytes(b"d"), rows: 3, exited: 1, left_out: 0 },
        moments: None,
    };
    let rows: String = clients.iter().map(|(id, log_odds)| format!("{id},{log_odds},0\n")).collect();
    let table = Table::from_csv(&schema, format!("client,p,gone\n{rows}").as_bytes(), MalformedRows::Refuse).unwrap();
    CallList::of(&table, "r1", &model, Threshold::default(), 50).unwrap().into()
}

fn named(names: &str) -> Arc<CallList> {
    let clients = names.split(' ').enumerate().map(|(index, name)| (name.to_owned(), -(index as f64)));
    list(&clients.collect::<Vec<_>>())
}

fn rules(capacity: usize, holdout: f64) -> CallRules {
    CallRules { capacity, pause_days: 14, holdout: Holdout::new(holdout).unwrap() }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-{time}:00Z").parse().unwrap()
}

fn called(client: &str, outcome: CallOutcome, time: &str) -> Contact {
    Contact { client: client.to_owned(), outcome, by: "Anna".to_owned(), note: String::new(), at: at(time) }
}

fn account(owner: &str, value: impl Into<Option<f64>>) -> Account {
    Account { owner: Some(owner.to_owned()), value: value.into(), further: Vec::new() }
}

fn accounts(accounts: &[(&str, Account)]) -> Option<Arc<Accounts>> {
    let by_client: HashMap<_, _> = accounts.iter().map(|(id, account)| ((*id).to_owned(), account.clone())).collect();
    Some(Arc::new(Accounts { columns: Vec::new(), by_client }))
}

fn today(agenda: &Agenda) -> Vec<&str> {
    agenda.today().map(|entry| agenda.call(entry).id.as_str()).collect()
}

fn order(agenda: &Agenda) -> Vec<&str> {
    agenda.entries.iter().map(|entry| agenda.call(entry).id.as_str()).collect()
}

fn plain(list: &Arc<CallList>, rules: CallRules, contacts: Vec<Contact>, now: &str) -> Agenda {
    let contacts = Arc::new(Contacts::from_iter(contacts));
    Agenda::of(list.clone(), None, contacts, rules, Ranking::Risk, at(now))
}

#[test]
fn as_many_clients_as_can_be_called_the_highest_risk_first() {
    let list = named("a b c d");
    for (capacity, expected) in [(0, &[][..]), (2, &["a", "b"]), (4, &["a", "b", "c", "d"]), (9, &["a", "b", "c", "d"])]
    {
        let agenda = plain(&list, rules(capacity, 0.0), vec![], "01T08:00");
        assert_eq!(today(&agenda), expected);
        assert_eq!(agenda.entries.iter().map(|entry| entry.rank).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}

#[test]
fn a_called_client_pauses_visibly_and_the_next_one_takes_its_place() {
    let list = named("a b c d");
    let calls = vec![called("a", CallOutcome::Reached, "01T15:00"), called("b", CallOutcome::NotReached, "01T15:00")];
    let turns = |now: &str| {
        let agenda = plain(&list, rules(2, 0.0), calls.clone(), now);
        assert_eq!(order(&agenda), ["a", "b", "c", "d"], "paused clients stay in the list");
        agenda.entries.iter().map(|entry| entry.turn).collect::<Vec<_>>()
    };
    let paused = |day: &str| Turn::Paused { until: at(&format!("{day}T00:00")) };
    use Turn::{Later, Today};
    assert_eq!(turns("01T16:00"), [paused("15"), paused("02"), Today, Today]);
    assert_eq!(turns("01T23:59"), [paused("15"), paused("02"), Today, Today]);
    assert_eq!(turns("02T00:00"), [paused("15"), Today, Today, Later]);
    assert_eq!(turns("14T23:59"), [paused("15"), Today, Today, Later]);
    assert_eq!(turns("15T00:00"), [Today, Today, Later, Later]);
}

#[test]
fn held_out_clients_are_never_called_and_known_as_those_that_would_have_been() {
    let clients: Vec<_> = (0..1000).map(|index| (format!("c{index}"), -f64::from(index) / 100.0)).collect();
    let list = list(&clients);
    let holdout = rules(50, 0.1);
    // A held-out client that was called all the same stays held out.
    let first = clients.iter().find(|(id, _)| holdout.holdout.contains(id)).unwrap().0.clone();
    let agenda = plain(&list, holdout, vec![called(&first, CallOutcome::Reached, "01T08:00")], "01T09:00");
    assert_eq!(agenda.today().count(), 50);
    assert!(
        agenda
            .entries
            .iter()
            .all(|entry| (entry.turn == Turn::HeldOut) == holdout.holdout.contains(&agenda.call(entry).id))
    );
    let without = plain(&list, rules(50, 0.0), vec![], "01T09:00");
    let expected: Vec<&str> = today(&without).into_iter().filter(|id| holdout.holdout.contains(id)).collect();
    let held_out: Vec<&str> = agenda.held_out_today().map(|entry| agenda.call(entry).id.as_str()).collect();
    assert!(held_out == expected && !held_out.is_empty(), "{held_out:?} {expected:?}");
    assert_eq!(without.held_out_today().count(), 0);
}

#[test]
fn clients_are_ranked_by_value_at_risk_and_those_without_a_value_follow_by_risk() {
    let list = list(&[("a", 2.0), ("b", 1.0), ("c", 0.0), ("d", -1.0), ("e", -2.0)].map(|(id, p)| (id.to_owned(), p)));
    let owners = [("c", account("Anna", 100.0)), ("e", account("Bert", 100.0)), ("d", account("Anna", None))];
    let by_value =
        |accounts| Agenda::of(list.clone(), accounts, Arc::default(), rules(2, 0.0), Ranking::Value, at("01T08:00"));
    let agenda = by_value(accounts(&owners));
    assert_eq!((order(&agenda), today(&agenda)), (vec!["c", "e", "a", "b", "d"], vec!["c", "e"]));
    let at_risk = [100.0 * list.calls[2].risk, 100.0 * list.calls[4].risk];
    assert_eq!(
        agenda.entries.iter().map(|entry| agenda.value_at_risk(entry)).collect::<Vec<_>>()[..3],
        [Some(at_risk[0]), Some(at_risk[1]), None]
    );
    assert_eq!(agenda.value_at_risk_today(None), Some(at_risk[0] + at_risk[1]));
    assert_eq!(agenda.value_at_risk_today(Some("Anna")), Some(at_risk[0]));
    assert_eq!(agenda.value_at_risk_today(Some("nobody")), None);
    // Equal values stay in the order of their risk, and so does everybody if there are no accounts.
    let equal = [("e", account("Bert", 0.0)), ("d", account("Anna", 0.0))];
    assert_eq!(order(&by_value(accounts(&equal))), ["d", "e", "a", "b", "c"]);
    assert_eq!(order(&by_value(None)), ["a", "b", "c", "d", "e"]);
}

#[test]
fn an_owner_sees_its_own_part_of_the_same_agenda() {
    let list = named("a b c d e");
    let owners = [
        ("a", account("Anna", 1.0)),
        ("b", account("Bert", 1.0)),
        ("d", account("Anna", 1.0)),
        ("x", account("Carl", 1.0)),
    ];
    let of =
        |accounts| Agenda::of(list.clone(), accounts, Arc::default(), rules(3, 0.0), Ranking::Risk, at("01T08:00"));
    let agenda = of(accounts(&owners));
    let ids = |owner| agenda.of_owner(owner).map(|entry| agenda.call(entry).id.as_str()).collect::<Vec<_>>();
    let today = |owner| agenda.today_of(owner).map(|entry| agenda.call(entry).id.as_str()).collect::<Vec<_>>();
    assert_eq!((ids(Some("Anna")), today(Some("Anna"))), (vec!["a", "d"], vec!["a"]));
    assert_eq!((ids(Some("Carl")), ids(Some("nobody")), ids(None).len()), (vec![], vec![], 5));
    assert_eq!((agenda.without_account(), agenda.without_client()), (vec!["c", "e"], vec!["x"]));
    let none = of(None);
    assert_eq!((none.without_account(), none.without_client()), (vec![], vec![]));
}

/// A list that was published on 1 November.
fn published(release: &str, dataset: &str) -> PublishedListRow {
    let record = PublishedList {
        release: release.to_owned(),
        sha256: Checksum::of_bytes(b"list"),
        dataset_sha256: Checksum::of_bytes(dataset.as_bytes()),
        clients: 9,
        called: 2,
        held_out: 0,
        expected: None,
        expected_low: None,
        expected_high: None,
        at_random: None,
    };
    PublishedListRow { run: 1, started: "2026-11-01T06:00:00.000000Z".to_owned(), record }
}

fn listed(client: &str, risk: f64) -> ListedClient {
    ListedClient { client: client.to_owned(), rank: 1, risk, called: true }
}

#[test]
fn who_is_new_since_a_list_and_who_is_gone_and_why() {
    let holdout = Holdout::new(0.001).unwrap();
    let held_out = (0..).map(|index| format!("held {index}")).find(|id| holdout.contains(id)).unwrap();
    let names = ["reached", &held_out, "kept", "fresh", "fallen", "overtaken"];
    let clients: Vec<_> =
        names.iter().zip([5.0, 4.0, 3.0, 2.0, 0.0, -1.0]).map(|(id, p)| ((*id).to_owned(), p)).collect();
    assert!(names.iter().all(|id| *id == held_out || !holdout.contains(id)));
    let contacts = Contacts::from_iter([called("reached", CallOutcome::Reached, "01T15:00")]);
    let rules = CallRules { capacity: 2, pause_days: 14, holdout };
    let agenda = Agenda::of(list(&clients), None, contacts.into(), rules, Ranking::Risk, at("02T08:00"));
    let mut before = vec![listed("reached", 0.9), listed(&held_out, 0.9), listed("kept", 0.9), listed("away", 0.9)];
    before.extend([listed("fallen", 0.91), listed("overtaken", 0.2)]);
    before.push(ListedClient { called: false, ..listed("fresh", 0.9) });
    let same = Checksum::of_bytes(b"d");
    let changes = Changes::between(&published("r0", "d"), &before, &agenda, &same);
    let gone = [
        ("reached", Why::Called { until: date(2026, 11, 15) }),
        (&held_out, Why::HeldOut),
        ("away", Why::Left),
        ("fallen", Why::LowerRisk { before: 0.91, now: 0.5 }),
        ("overtaken", Why::Others),
    ];
    assert_eq!(changes.gone, gone.map(|(id, why)| (id.to_owned(), why)));
    assert_eq!((changes.new.as_slice(), changes.kept), (&["fresh".to_owned()][..], 1));
    assert!(changes.has_other_model && !changes.has_other_data);
    assert_eq!(
        changes.sentences(),
        [
            "Since the list of 1 November, the model was replaced. 1 of today's 2 calls were on that list.".to_owned(),
            "New today (1): fresh.".to_owned(),
            format!(
                "No longer called (5): called: reached (back on 15 November); held out: {held_out}; has left: away; \
                 lower risk: fallen (50 %, was 91 %); others come first: overtaken."
            )
        ]
    );
}

#[test]
fn the_same_list_has_no_changes_and_many_are_not_all_named() {
    let long = "x".repeat(99);
    let agenda = |capacity| {
        let clients: Vec<_> = (0..40).map(|index| (format!("{index} {long}"), -f64::from(index))).collect();
        Agenda::of(list(&clients), None, Arc::default(), rules(capacity, 0.0), Ranking::Risk, at("02T08:00"))
    };
    let dataset = Checksum::of_bytes(b"d");
    let of_today = |agenda: &Agenda| {
        agenda.today().map(|entry| listed(&agenda.call(entry).id, agenda.call(entry).risk)).collect::<Vec<_>>()
    };
    let (few, many) = (agenda(2), agenda(40));
    let same = Changes::between(&published("r1", "d"), &of_today(&few), &few, &dataset);
    assert_eq!(
        same.sentences(),
        [
            "Since the list of 1 November, neither the data nor the model has changed. 2 of today's 2 calls were on that list."
        ]
    );
    let more = Changes::between(&published("r1", "other"), &of_today(&few), &many, &dataset).sentences().join(" ");
    assert!(more.contains("new data have arrived") && more.contains("New today (38): 2 xxx"), "{more}");
    assert!(more.contains("… and 28 others.") && more.len() < 600, "{more}");
}

#[test]
fn ten_thousand_clients_are_decided_in_milliseconds() {
    let clients: Vec<_> =
        (0..10_000).map(|index| (format!("client {index}"), -f64::from(index % 997) / 100.0)).collect();
    let list = list(&clients);
    let calls =
        (0..100_000).map(|index| called(&format!("client {}", index % 9_000), CallOutcome::Reached, "01T15:00"));
    let contacts = Arc::new(Contacts::from_iter(calls));
    let accounts = Accounts {
        columns: Vec::new(),
        by_client: clients.iter().map(|(id, p)| (id.clone(), account("Anna", -p))).collect(),
    };
    let accounts = Some(Arc::new(accounts));
    let clock = Instant::now();
    let agenda = Agenda::of(list, accounts, contacts, rules(50, 0.1), Ranking::Value, at("02T08:00"));
    let elapsed = clock.elapsed();
    assert_eq!(agenda.today().count(), 50);
    println!("{elapsed:?}");
    assert!(elapsed.as_millis() < 500, "{elapsed:?}");
}
