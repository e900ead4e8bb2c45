//! The call list: order, reasons, and its forms as CSV and as an answer of the API.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::sync::Arc;

use ::csv as csv_reader;
use common::config::schema_of_json;
use common::config::{Holdout, Threshold};
use common::files::checksum::Checksum;
use common::model::effect::{CategoryEffect, Effect, LevelEffect, NumberEffect};
use common::model::moments::Moments;
use common::model::{Fit, Model, TrainingData};
use common::schema::Schema;
use common::values::{Value, ValueRef, borrowed};
use dataset::MalformedRows;
use dataset::local::Table;
use history::{CallOutcome, Contact};
use insight::call_list::csv::{neutralised, write_csv};
use insight::call_list::{CallList, Remedy};
use insight::{Account, Accounts, Agenda, CallRules, Cell, Contacts, Part, Ranking, Segments};
use jiff::Timestamp;
use serde_json::json;
use statistics::levels::LevelSummary;
use statistics::segments::Measure;
use statistics::sketch::Sketch;

const HEADER: &str = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n";

fn model() -> Model {
    let number = |coefficient, median, values: [f64; 3]| {
        let sketch = Sketch::of(values.map(Some));
        Effect::Number(NumberEffect { coefficient, standard_error: 0.001, median, sketch })
    };
    Model {
        schema: Schema::default(),
        effects: vec![
            number(-0.02, 90.0, [0.0, 100.0, 200.0]),
            number(-0.001, 900.0, [0.0, 1000.0, 2000.0]),
            number(0.01, 14.0, [0.0, 20.0, 58.0]),
        ],
        intercept: 1.0,
        intercept_error: 0.001,
        fit: Fit {
            regularization: 1.0,
            gradient_norm: 0.0,
            newton_decrement: 0.0,
            newton_steps: 1,
            log_likelihood: -1.0,
        },
        training: TrainingData { dataset_sha256: Checksum::of_bytes(b"d"), rows: 3, exited: 1, left_out: 0 },
        moments: None,
    }
}

fn list(rows: &str, capacity: usize) -> CallList {
    let table =
        Table::from_csv(&Schema::default(), format!("{HEADER}{rows}").as_bytes(), MalformedRows::Refuse).unwrap();
    CallList::of(&table, "r1", &model(), Threshold::new(0.5).unwrap(), capacity).unwrap()
}

/// The agenda of a list with so many calls a day, without accounts and contacts.
fn agenda(list: &CallList, capacity: usize) -> Agenda {
    let rules = CallRules { capacity, pause_days: 14, holdout: Holdout::default() };
    Agenda::of(list.clone().into(), None, Arc::default(), rules, Ranking::Risk, Timestamp::UNIX_EPOCH)
}

fn names(list: &CallList) -> Vec<&str> {
    list.calls.iter().map(|call| call.id.as_str()).collect()
}

#[test]
fn current_clients_highest_risk_first_and_equal_ones_by_name() {
    let list = list("low,500,5000,1,0\nb,0,0,10,0\na,0,0,10,\ngone,0,0,500,1\n,0,0,10,0\nhigh,0,0,500,0\n", 2);
    assert_eq!(names(&list), ["high", "a", "b", "low"]);
    assert_eq!(list.calls.iter().map(|call| call.rank).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((list.clients, list.without_name), (4, 1));
}

#[test]
fn the_newest_row_counts_and_the_one_before_is_what_it_changed_from() {
    let list = list("a,0,0,10,1\na,300,0,10,0\na,100,0,10,0\nback,0,0,1,0\nback,0,0,2,1\n", 50);
    assert_eq!(names(&list), ["a"], "who came back is current, who left last is not");
    let call = &list.calls[0];
    let values = |values: [f64; 3]| values.map(|value| Some(Value::Number(value)));
    assert_eq!(call.predictors, values([100.0, 0.0, 10.0]));
    assert_eq!(call.previous_risk, Some(model().probability(&values([300.0, 0.0, 10.0]))));
    assert!(call.change().unwrap() > 0.1);
}

#[test]
fn the_shares_and_the_average_client_sum_to_the_client() {
    let list = list("a,5,4000,330,0\nb,,0,1,0\nc,300,9000,100000,0\nd,,,,0\n", 2);
    for call in &list.calls {
        let own = model().log_odds(borrowed(&call.predictors));
        let averages: Vec<Option<Value>> = model().averages().into_iter().map(Some).collect();
        let shares = list.shares(call).iter().map(|share| share.log_odds).sum::<f64>();
        let sum = model().log_odds(borrowed(&averages)) + shares;
        assert!((own - sum).abs() <= 1e-12 * own.abs().max(1.0), "{own} {sum}");
        assert!((call.risk - 1.0 / (1.0 + (-sum).exp())).abs() < 1e-12);
    }
}

#[test]
fn reasons_are_consequences_in_plain_words_the_strongest_first() {
    let list = list("a,98,1000,326,0\nb,,1000,26,0\nc,300,900,800000,0\nd,10000,0,26,0\n", 50);
    let words = |name: &str| -> Vec<String> {
        let call = list.calls.iter().find(|call| call.id == name).unwrap();
        list.reasons_in_words(call).collect()
    };
    let a = [
        "Number of employees is 326 (average 26). With an average value the risk would be 15 % instead of 79 %.",
        "Last month's activity is 98 (average 100). With an average value the risk would be 78 % instead of 79 %.",
        "Last year's activity is 1,000 (average 1,000). With an average value the risk would be about the same.",
    ];
    assert_eq!(words("a"), a);
    let unknown = "Last month's activity is unknown and taken to be the median, 90 (average 100). \
                   With an average value the risk would be 15 % instead of 18 %.";
    assert_eq!(words("b")[0], unknown);
    assert_eq!(
        words("c")[0],
        "Number of employees is 800,000 (average 26). With an average value the risk would be under 1 % instead of over 99 %."
    );
    assert!(
        words("d")[0].ends_with("With an average value the risk would be 32 % instead of under 1 %."),
        "{:?}",
        words("d")
    );
}

fn story(list: &CallList, name: &str) -> Vec<String> {
    list.story(list.calls.iter().find(|call| call.id == name).unwrap())
}

#[test]
fn a_story_says_what_is_unusual_and_what_is_enough() {
    let list = list("a,98,1000,326,0\nc,300,900,800000,0\naverage,100,1000,26,0\nmissing,,1000,326,0\n", 50);
    assert_eq!(
        story(&list, "a"),
        [
            "Number of employees is 326; clients usually have about 26. With 26 the risk would be 15 %, and at 195 or less below 50 %."
        ]
    );
    assert_eq!(
        story(&list, "c"),
        [
            "Number of employees is 800,000; clients usually have about 26. With 26 the risk would be under 1 %, and at 589 or less below 50 %."
        ]
    );
    assert_eq!(story(&list, "average"), ["No value is unusual: the average client has a risk of 15 % too."]);
    let missing = story(&list, "missing");
    assert_eq!(missing[0], "Last month's activity is missing (we assumed 90): check the data before calling.");
    assert!(missing.len() == 2 && missing[1].starts_with("Number of employees is 326;"), "{missing:?}");
}

/// A model of two activities that nearly always go together and have large opposite effects.
fn correlated() -> Model {
    let number = |coefficient, median, values: [f64; 4]| {
        let sketch = Sketch::of(values.map(Some));
        Effect::Number(NumberEffect { coefficient, standard_error: 0.001, median, sketch })
    };
    Model {
        effects: vec![
            number(-0.08, 90.0, [0.0, 50.0, 150.0, 400.0]),
            number(0.0075, 1080.0, [0.0, 600.0, 1800.0, 4800.0]),
            number(0.001, 100.0, [10.0, 50.0, 150.0, 400.0]),
        ],
        intercept: -2.0,
        moments: Some(Moments {
            means: vec![90.0, 1080.0, 100.0],
            standard_deviations: vec![60.0, 720.0, 80.0],
            correlations: vec![0.95, 0.1, 0.1],
        }),
        ..model()
    }
}

#[test]
fn strongly_correlated_predictors_are_explained_together() {
    let rows = "fallen,41,1080,100,0\nordinary,300,3600,100,0\nmissing,,3600,100,0\n";
    let table =
        Table::from_csv(&Schema::default(), format!("{HEADER}{rows}").as_bytes(), MalformedRows::Refuse).unwrap();
    let list = CallList::of(&table, "r1", &correlated(), Threshold::new(0.5).unwrap(), 3).unwrap();
    let fallen = story(&list, "fallen");
    let expected = "Last month's activity is 41; clients with the same last year's activity usually have about 90. With 90 \
                    the risk would be 27 %, and at 78 or more below 50 %.";
    assert!(fallen.len() == 1 && fallen[0] == expected, "{fallen:?}");
    // Its contributions are −12 and +14, but both values are what a large client has.
    let ordinary = list.calls.iter().find(|call| call.id == "ordinary").unwrap();
    assert!(list.shares(ordinary).iter().take(2).all(|share| share.log_odds.abs() > 10.0));
    let texts = story(&list, "ordinary");
    assert!(texts.len() == 1, "{texts:?}");
    let missing = story(&list, "missing");
    let expected = [
        "Last month's activity is missing (we assumed 90): check the data before calling.",
        "Similar clients usually have about 290; then the risk would be ",
    ];
    assert!(expected.iter().zip(&missing).all(|(expected, text)| text.starts_with(expected)), "{missing:?}");
}

#[test]
fn the_risk_at_the_average_is_the_models_own() {
    let list = list("a,98,1000,326,0\nb,,,26,\n", 50);
    for call in &list.calls {
        for (j, share) in list.shares(call).iter().enumerate() {
            let mut predictors = call.predictors.clone();
            predictors[j] = Some(share.average.clone());
            assert_eq!(share.risk_at_average, model().probability(&predictors), "{share:?}");
        }
    }
}

#[test]
fn the_smallest_change_is_just_enough() {
    let list = list("a,0,0,10,0\nunder,500,5000,1,0\n", 50);
    let call = &list.calls[0];
    let Remedy::Change(change) = list.remedy(call) else { panic!("nothing helps") };
    let risk = |value: f64| {
        let mut predictors = call.predictors.clone();
        let schema = Schema::default();
        let position = schema.predictors().iter().position(|predictor| predictor.name == change.predictor).unwrap();
        predictors[position] = Some(value.into());
        model().probability(&predictors)
    };
    let (from, to) = (change.from.number().unwrap(), change.to.number().unwrap());
    let step = (to - from).signum();
    assert!(call.risk >= 0.5 && risk(to) < 0.5 && risk(to - step) >= 0.5, "{change:?}");
    // A change of 56 in last month's activity is 0.55 of its standard deviations, and one of 1,101 in last year's is
    // 1.1: the former is the smaller change.
    assert_eq!(change.predictor, "lastmonth_activity");
    assert_eq!(list.remedy_in_words(call), "last month's activity 56 instead of 0");
    assert_eq!(list.remedy(&list.calls[1]), Remedy::NotNeeded);
    assert_eq!(list.remedy_in_words(&list.calls[1]), "already below 50 %");
}

#[test]
fn todays_calls_are_a_table_with_reasons() {
    let section = insight::calls(&agenda(&list("a,98,1000,326,0\nb,98,1000,300,0\nc,98,1000,26,0\n", 2), 2));
    let [Part::Text(text), Part::Table(table)] = &section.parts[..] else { panic!("{section:?}") };
    assert!(text.contains("the 2 clients with the highest risk, of 3 current clients"), "{text}");
    assert!(table.caption.contains("below 50 %") && table.rows.len() == 2, "{table:?}");
    assert_eq!(table.rows[0][..4].iter().map(Cell::to_string).collect::<Vec<_>>(), ["1", "a", "78.6 %", "new"]);
    assert_eq!(table.rows[0][4].to_string().lines().count(), 1);
    assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
}

fn csv(agenda: &Agenda, threads: usize) -> String {
    let mut text = Vec::new();
    write_csv(agenda, &agenda.entries, threads, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_csv_is_the_same_for_every_number_of_threads() {
    let rows: String = (0..10_000).map(|i| format!("c{i},{},{},{},0\n", i % 97, i % 1013, i % 31)).collect();
    let agenda = agenda(&list(&rows, 50), 50);
    let text = csv(&agenda, 1);
    assert_eq!(text.lines().count(), 10_001);
    assert!((2..=3).all(|threads| csv(&agenda, threads) == text));
}

#[test]
fn nobody_to_call_is_an_empty_list() {
    let agenda = agenda(&list("gone,0,0,500,1\n", 50), 50);
    assert!(matches!(&insight::calls(&agenda).parts[..], [Part::Warning(_)]));
    assert_eq!((agenda.list.clients, agenda.headline(None)), (0, None));
    assert_eq!(csv(&agenda, 1).lines().count(), 1);
}

#[test]
fn the_csv_holds_every_client_in_full_and_no_formula() {
    let list = list("\"=HYPERLINK(\"\"http://x\"\",1)\",0,0,10,0\n\"o'neil, ltd\",,0,9,0\n", 1);
    let text = csv(&agenda(&list, 1), 2);
    let mut reader = csv_reader::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv_reader::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((&rows[0][1], &rows[0][2], &rows[0][0]), ("'=HYPERLINK(\"http://x\",1)", "1", "1"));
    assert_eq!((&rows[1][1], &rows[1][2], &rows[1][6], &rows[1][4]), ("o'neil, ltd", "0", "", ""));
    assert_eq!(rows[0][3].parse::<f64>().unwrap(), list.calls[0].risk);
}

#[test]
fn whatever_a_spreadsheet_takes_for_a_formula_is_neutralised() {
    for before in ["", "\n", "\r", "\r\n", "\t", " ", "\0", "\u{feff}", "\u{a0}", "\u{200b}", " \u{feff}\0 \t"] {
        for sign in ["=", "+", "-", "@", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"] {
            let name = format!("{before}{sign}cmd|' /C calc'!A0");
            assert_eq!(neutralised(&name), format!("'{name}"), "{name:?}");
        }
    }
    for moved in ["\tacme", "\nacme", "\racme", "\0acme"] {
        assert_eq!(neutralised(moved), format!("'{moved}"), "{moved:?}");
    }
    for harmless in ["", "acme", " acme", "\u{feff}acme", "o'neil", "a=b", "größe", "7 seas", "\u{200b}"] {
        assert_eq!(neutralised(harmless), harmless, "{harmless:?}");
    }
}

#[test]
fn the_answer_is_cut_at_its_limit_and_counts_all() {
    let agenda = agenda(&list("a,0,0,10,0\nb,0,0,9,0\nc,0,0,8,0\n", 2), 2);
    let answer = serde_json::to_value(agenda.answer(None, &agenda.entries[..1])).unwrap();
    assert_eq!(answer["calls"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&answer["clients"], &answer["called"], &answer["calls"][0]["call"]),
        (&3.into(), &2.into(), &true.into())
    );
    assert!(answer["calls"][0]["reasons"][0]["text"].as_str().unwrap().contains("average"), "{answer}");
}

#[test]
fn accounts_and_calls_are_joined_to_the_list_and_never_hide_a_column() {
    let list = list("a,0,0,10,0\nb,0,0,9,0\nc,0,0,8,0\n", 2);
    let account = |owner: &str, value, phone: &str| Account {
        owner: Some(owner.to_owned()),
        value,
        further: vec![phone.to_owned(), "x".to_owned()],
    };
    let columns = ["phone", "lastmonth_activity"].map(str::to_owned).into();
    let by_client = [
        ("a".to_owned(), account("=Anna", Some(200.0), "+49 30")),
        ("b".to_owned(), account("Bert", None, "")),
        ("gone".to_owned(), account("Bert", None, "")),
    ];
    let accounts = Accounts { columns, by_client: by_client.into() };
    let contact = Contact {
        client: "a".to_owned(),
        outcome: CallOutcome::PromisedToStay,
        by: "Anna".to_owned(),
        note: "-1, \"quoted\"".to_owned(),
        at: "2026-11-02T08:00:00Z".parse().unwrap(),
    };
    let rules = CallRules { capacity: 1, pause_days: 14, holdout: Holdout::default() };
    let (contacts, now) = (Contacts::from_iter([contact]), "2026-11-03T08:00:00Z".parse().unwrap());
    let agenda = Agenda::of(list.into(), Some(accounts.into()), contacts.into(), rules, Ranking::Risk, now);

    let text = csv(&agenda, 1);
    let mut reader = csv_reader::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[header.len() - 2..], ["phone", "lastmonth_activity_"]);
    let rows: Vec<csv_reader::StringRecord> = reader.records().map(Result::unwrap).collect();
    let field = |row: usize, column: &str| &rows[row][header.iter().position(|name| name == column).unwrap()];
    let at_risk = (200.0 * agenda.list.calls[0].risk).to_string();
    let expected = [
        ("owner", "'=Anna"),
        ("value", "200"),
        ("value_at_risk", &at_risk),
        ("turn", "paused"),
        ("paused_until", "2026-11-16T00:00:00Z"),
        ("last_call", "2026-11-02T08:00:00Z"),
        ("last_outcome", "promised_to_stay"),
        ("last_caller", "Anna"),
        ("last_note", "'-1, \"quoted\""),
        ("phone", "'+49 30"),
        ("lastmonth_activity_", "x"),
        ("call", "0"),
    ];
    for (column, value) in expected {
        assert_eq!(field(0, column), value, "{column}");
    }
    assert_eq!((field(1, "turn"), field(1, "call"), field(1, "value"), field(1, "owner")), ("today", "1", "", "Bert"));
    assert_eq!((field(2, "turn"), field(2, "owner"), field(2, "phone"), field(2, "last_call")), ("later", "", "", ""));

    let answer = serde_json::to_value(agenda.answer(None, &agenda.entries)).unwrap();
    assert_eq!(answer["without_account"], json!({"count": 1, "first": ["c"]}));
    assert_eq!(answer["without_client"], json!({"count": 1, "first": ["gone"]}));
    assert_eq!(
        (&answer["called"], &answer["value_at_risk"], &answer["expected_exits"]),
        (&json!(1), &json!(null), &json!(null))
    );
    let call = &answer["calls"][0];
    assert_eq!(
        (&call["turn"], &call["call"], &call["paused_until"]),
        (&json!("paused"), &json!(false), &json!("2026-11-16T00:00:00Z"))
    );
    assert_eq!((&call["owner"], &call["value"]), (&json!("=Anna"), &json!(200.0)));
    assert_eq!(call["account"], json!({"phone": "+49 30", "lastmonth_activity": "x"}));
    let last =
        json!({"at": "2026-11-02T08:00:00Z", "outcome": "promised_to_stay", "by": "Anna", "note": "-1, \"quoted\""});
    assert_eq!(call["last_contact"], last);
    let of_bert = agenda.of_owner(Some("Bert"));
    let answer = serde_json::to_value(agenda.answer(Some("Bert"), of_bert)).unwrap();
    assert_eq!(
        (&answer["owner"], &answer["calls"][0]["rank"], answer["calls"].as_array().unwrap().len()),
        (&json!("Bert"), &json!(2), 1)
    );
}

#[test]
fn the_section_says_who_is_left_out_and_what_is_missing() {
    let list = list("a,0,0,10,0\nb,0,0,9,0\nc,0,0,8,0\n", 2);
    let reached = |client: &str| Contact {
        client: client.to_owned(),
        outcome: CallOutcome::Reached,
        by: String::new(),
        note: String::new(),
        at: Timestamp::UNIX_EPOCH,
    };
    let rules = CallRules { capacity: 1, pause_days: 14, holdout: Holdout::default() };
    let of = |called: &[&str]| {
        let contacts = Contacts::from_iter(called.iter().map(|client| reached(client)));
        Agenda::of(list.clone().into(), None, contacts.into(), rules, Ranking::Risk, Timestamp::UNIX_EPOCH)
            .with_warnings(vec!["Something is missing.".to_owned()])
    };
    let section = insight::calls(&of(&["a"]));
    let [Part::Warning(warning), Part::Text(text), Part::Table(table)] = &section.parts[..] else {
        panic!("{section:?}")
    };
    assert_eq!(warning, "Something is missing.");
    assert!(text.contains("of 3 current clients, without 1 client who pauses after a call."), "{text}");
    assert_eq!(table.rows[0][1].to_string(), "b");
    let section = insight::calls(&of(&["a", "b", "c"]));
    assert!(
        matches!(&section.parts[1], Part::Warning(text) if text.contains("Nobody is to be called today")),
        "{section:?}"
    );
}

#[test]
fn a_level_in_which_the_model_is_blind_is_named_and_bands_contain_equal_values() {
    let columns = r#"{"id": "client", "target": "gone", "predictors": ["age", {"name": "plan", "kind": "category"}]}"#;
    let age = Sketch::of((0..100).map(|age| Some(f64::from(age.min(60)))));
    let level = |name: &str| LevelEffect { name: name.to_owned(), coefficient: 0.0, standard_error: 0.1 };
    let plans = LevelSummary { counts: vec![50, 50], missing: 0, unseen: 0 };
    let model = Model {
        schema: schema_of_json(columns).unwrap(),
        effects: vec![
            Effect::Number(NumberEffect { coefficient: 0.0, standard_error: 0.1, median: 50.0, sketch: age }),
            Effect::Category(CategoryEffect {
                levels: vec![level("basic"), level("plus")],
                most_frequent: 0,
                summary: plans,
            }),
        ],
        ..model()
    };
    let mut segments = Segments::of(&model);
    assert_eq!(segments.occupied(), 0);
    let threshold = Threshold::new(0.5).unwrap();
    for i in 0..400u32 {
        // The model knows who leaves, except in the plan "plus".
        let (plan, left) = (["basic", "plus"][(i % 2) as usize], i % 4 < 2);
        let knows = if plan == "basic" { left } else { i % 8 < 4 };
        let age = (i % 7 > 0).then(|| ValueRef::Number(f64::from(i % 100)));
        segments.add(&model, threshold, &[age, Some(ValueRef::Level(plan))], if knows { 0.95 } else { 0.05 }, left);
    }
    segments.add(&model, threshold, &[Some(ValueRef::Number(25.0)), Some(ValueRef::Level("new"))], 0.1, false);
    assert_eq!(segments.occupied(), 3 + 1 + 2 + 1, "60 fills the highest quarters, which are one band");
    let found = segments.weaknesses();
    let names: Vec<_> = found.iter().map(|(weak, _)| segments.name(&model, weak.group, weak.segment)).collect();
    assert!(!names.is_empty() && names.iter().all(|name| name == "Plan: plus"), "{names:?}");
    assert!(found.iter().any(|(weak, segment)| weak.measure == Measure::F1 && segment.confusion.n() == 200));
    let all: Vec<_> = (0..5).map(|segment| segments.name(&model, 0, segment)).collect();
    assert_eq!(all[..3], ["Age up to 25", "Age above 25, up to 50", "Age above 50"]);
    assert_eq!(
        (all[4].as_str(), segments.name(&model, 1, 2).as_str()),
        ("Age missing", "Plan: a level without training rows")
    );
}
