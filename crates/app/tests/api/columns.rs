//! A client table with columns of its own: names that need quotes in every format, numbers, and categories.

use common::production::release::Production;
use common::values::Predictors;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use testkit::Workspace;

use crate::helpers::{Answer, Api};

pub const ID: &str = "customer \"ID\", no.";
pub const CHARGES: &str = "Monthly charges [a.b]";
pub const TOTAL: &str = "<b>Total</b>";
pub const CONTRACT: &str = "SELECT";
pub const SIZE: &str = "Größe & Art";

fn columns() -> serde_json::Value {
    json!({
        "id": ID,
        "target": {"name": "Churn?", "positive": "Yes", "negative": "No"},
        "predictors": [
            {"name": "tenure", "kind": "count", "label": "months as a client"},
            {"name": CHARGES, "label": "monthly charges", "unit": "$"},
            {"name": TOTAL, "transform": "log1p"},
            {"name": CONTRACT, "kind": "category", "label": "contract"},
            {"name": SIZE, "kind": "category"},
        ],
        "ignored": ["gender"],
    })
}

/// Rows in an order of columns that is not that of the schema, with missing values; clients with a monthly contract leave
/// more often.
fn table(prefix: &str, rows: usize) -> String {
    let mut text =
        format!("Churn?,gender,{SIZE},\"{}\",{CONTRACT},tenure,{TOTAL},{CHARGES}\n", ID.replace('"', "\"\""));
    for i in 0..rows {
        let contract = ["Monthly", "Two year", "<i>One</i> year", "Monthly", ""][i * 7 % 11 % 5];
        let (tenure, charges) = (i * 37 % 73, 20.0 + (i * 53 % 97) as f64 * 1.05);
        let leaves = (if contract == "Monthly" { 90 } else { 45 }) - tenure / 3 > i * 29 % 101;
        let size = ["klein", "größer", "\"10 \"\"Zoll\"\"\""][i % 5 % 3];
        let churn = if leaves { "Yes" } else { "No" };
        let total = if i % 17 == 0 { String::new() } else { (charges * tenure as f64 - 0.5).to_string() };
        text += &format!("{churn},F,{size},{prefix}{i},{contract},{tenure},{total},{charges}\n");
    }
    text
}

/// A workspace of such a table, without a release.
pub fn workspace() -> Workspace {
    let mut workspace = Workspace::new();
    workspace.set("columns", columns());
    workspace.write("practicedata/first.csv", &table("a", 240));
    workspace.write("practicedata/second.csv", &table("b", 240));
    workspace.write("testdata/test.csv", &table("t", 80));
    workspace
}

pub fn deployed() -> Api {
    let workspace = workspace();
    workspace.deploy();
    Api::of(workspace)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn html(answer: &Answer, status: u16) -> &str {
    assert_eq!((answer.status, answer.content_type.as_str()), (status, "text/html; charset=utf-8"), "{answer:?}");
    &answer.text
}

#[test]
fn rows_tables_files_and_scoring_agree() {
    let api = deployed();
    let rows = json!({"rows": [
        {ID: "a", "tenure": 3, CHARGES: 70.35, TOTAL: 211.05, CONTRACT: "Monthly", SIZE: "größer", "Churn?": "Yes"},
        {CONTRACT: "<i>One</i> year", "tenure": 40, "gender": {"any": "thing"}, TOTAL: -0.5, CHARGES: -20.25},
        {ID: 17, SIZE: "10 \"Zoll\"", CONTRACT: "weekly"},
        {SIZE: 10, CONTRACT: true},
        {SIZE: "NA", CONTRACT: " "},
    ]});
    let header = format!("tenure,\"{}\",{CONTRACT},{SIZE},{CHARGES},{TOTAL},gender", ID.replace('"', "\"\""));
    let csv = format!(
        "{header}\n3,a,Monthly,größer,70.35,211.05,x\n40,,<i>One</i> year,,-20.25,-0.5,\n\
         ,17,weekly,\"10 \"\"Zoll\"\"\",,,\n,,true,10,,,\n,,,,,,\n"
    );
    api.workspace.write("testdata/rows.csv", &csv);
    let of_rows = api.predict(&rows);
    let answer = of_rows.ok();
    assert_eq!(answer["corporations"], json!(["a", null, "17", null, null]));
    assert_eq!(answer["imputed"], json!({"tenure": 3, CHARGES: 3, TOTAL: 3, CONTRACT: 1, SIZE: 2}), "{answer}");
    assert_eq!(answer["unseen"], json!({CONTRACT: 2, SIZE: 1}));
    assert_eq!(api.post("", "text/csv", csv.as_bytes()).text, of_rows.text);
    assert_eq!(api.post("?filepath=testdata/rows.csv", "", b"").text, of_rows.text);

    let model = Production::of(&api.workspace.config()).live().unwrap().model().unwrap();
    let values: Predictors =
        vec![Some(3.0.into()), Some(70.35.into()), Some(211.05.into()), Some("Monthly".into()), Some("größer".into())];
    assert_eq!(answer["probabilities"][0], model.probability(&values));

    let in_csv = api.post_for("text/csv", "application/json", rows.to_string().as_bytes());
    let mut reader = csv::Reader::from_reader(in_csv.text.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["corporation", "prediction", "probability", "imputed", "unseen"]);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records[3][3], format!("tenure \"{CHARGES}\" {TOTAL}"));
    assert_eq!(records[3][4], format!("{CONTRACT} \"{SIZE}\""));

    // Scoring needs the target.
    let with_target = csv.replace('\n', ",No\n").replacen(",No", ",Churn?", 1);
    api.workspace.write("labelled.csv", &with_target);
    let paths = ["labelled.csv", "predictions.csv"].map(|name| api.workspace.path(name));
    let [data, predictions] = paths.each_ref().map(|path| path.to_str().unwrap());
    api.workspace.run("scoring", &["--deployed", "--data", data, "--predictions", predictions]);
    let mut reader = csv::Reader::from_path(predictions).unwrap();
    let column = reader.headers().unwrap().iter().position(|name| name == "probability").unwrap();
    let scored: Vec<serde_json::Value> =
        reader.records().map(|record| record.unwrap()[column].parse().unwrap()).collect();
    assert_eq!(answer["probabilities"], json!(scored));
}

#[test]
fn what_is_wrong_names_the_row_and_the_column() {
    let api = deployed();
    for (row, parts) in [
        (json!({"tenur": 1}), vec!["rows[0].tenur", "unknown field `tenur`", ID, CHARGES, "Churn?"]),
        (json!({"tenure": -1}), vec!["rows[0]: tenure is negative"]),
        (json!({TOTAL: -1}), vec!["rows[0]", TOTAL, "above -1"]),
        (json!({CHARGES: "7"}), vec!["rows[0]", CHARGES, "invalid type"]),
        (json!({CONTRACT: ["Monthly"]}), vec!["rows[0].SELECT", "expected a string"]),
        (json!({CONTRACT: "a\u{1}"}), vec!["rows[0]: SELECT holds a control character"]),
        (json!({ID: "a\u{1}"}), vec!["rows[0]", ID, "control character"]),
    ] {
        let answer = api.predict(&json!({ "rows": [row] }));
        api.check_problem(&row.to_string(), &answer, 422, &parts);
    }
    let body = api.post("", "application/json", b"[]");
    api.check_problem("no object", &body, 400, &["{\"tenure\": 12, …}"]);
    let table = api.post("", "text/csv", b"a,b\n1,2\n");
    api.check_problem("other columns", &table, 422, &["column \"a\"", "Churn?"]);
}

#[test]
fn the_pages_show_labels_levels_and_what_another_level_would_do() {
    let api = deployed();
    let home = api.get("/");
    for part in
        ["Customer &quot;ID&quot;, no.", "Contract is Monthly; with &lt;i&gt;One&lt;/i&gt; year the risk would be"]
    {
        assert!(html(&home, 200).contains(part), "{part}: {}", home.text);
    }
    let list = api.get("/calllist?limit=1").ok();
    let client = list["calls"][0]["corporation"].as_str().unwrap();
    let page = api.get(&format!("/clients/{client}"));
    for part in [
        "Monthly charges ($)",
        "Months as a client",
        "<option value=\"&lt;i&gt;One&lt;/i&gt; year\"",
        "<option value=\"\">unknown</option>",
        "name=\"Größe &amp; Art\"",
        "name=\"&lt;b&gt;Total&lt;/b&gt;\"",
        "Change a value to see",
    ] {
        assert!(html(&page, 200).contains(part), "{part}: {}", page.text);
    }
    for page in [&home, &page] {
        assert!(!page.text.contains("<b>Total") && !page.text.contains("<i>One"), "{}", page.text);
    }
    let ids: Vec<&str> = page.text.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");

    let query: Vec<String> =
        [("tenure", "12"), (CHARGES, "99.5"), (TOTAL, ""), (CONTRACT, "Two year"), (SIZE, "10 \"Zoll\"")]
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .into();
    let page = api.get(&format!("/clients/{client}?{}", query.join("&")));
    let row = json!({"tenure": 12, CHARGES: 99.5, CONTRACT: "Two year", SIZE: "10 \"Zoll\""});
    let risk = api.predict(&json!({ "rows": [row] })).ok()["probabilities"][0].as_f64().unwrap();
    let expected = format!("With these values the risk would be <strong>{:.1} %</strong>", 100.0 * risk);
    assert!(html(&page, 200).contains(&expected), "{expected}: {}", page.text);
    assert!(page.text.contains("<option value=\"Two year\" selected>"), "{}", page.text);
    let unseen = api.get(&format!("/clients/{client}?{CONTRACT}=weekly"));
    for part in ["weekly (not in the training data)", "has no effect on the risk"] {
        assert!(html(&unseen, 200).contains(part), "{part}: {}", unseen.text);
    }
    let wrong = api.get(&format!("/clients/{client}?{}=-1", encoded(TOTAL)));
    assert!(html(&wrong, 422).contains("above -1"), "{}", wrong.text);
    let unknown = api.get(&format!("/clients/{client}?select=Monthly"));
    api.check_problem("unknown", &unknown, 400, &["`select`", CONTRACT]);
}

#[test]
fn statistics_and_description_have_the_columns() {
    let api = deployed();
    let statistics = api.get("/summarystats").ok();
    let names: Vec<&str> = statistics.as_array().unwrap().iter().map(|of| of["column"].as_str().unwrap()).collect();
    assert_eq!(names, ["tenure", CHARGES, TOTAL, "Churn?", CONTRACT, SIZE]);
    assert_eq!(statistics[4]["mode"], "Monthly");
    assert_eq!(statistics[5]["levels"].as_array().unwrap().len(), 3);
    let document = api.get("/openapi.json").ok();
    let row = &document["components"]["schemas"]["ClientRow"];
    let properties = &row["properties"];
    assert_eq!(properties.as_object().unwrap().len(), 7);
    assert_eq!((&properties["tenure"]["minimum"], &properties[TOTAL]["exclusiveMinimum"]), (&json!(0), &json!(-1)));
    assert_eq!(properties[CHARGES]["description"], "Monthly charges, in $.");
    assert_eq!(properties[CONTRACT]["examples"], json!(["<i>One</i> year", "Monthly", "Two year"]));
    let parameters = document["paths"]["/clients/{corporation}"]["get"]["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), 6);
    let items = &document["paths"]["/summarystats"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(items["items"]["anyOf"][1]["$ref"], "#/components/schemas/CategoryStatistics");
    crate::contract::check(&api);
}

#[test]
fn labels_change_at_once_and_columns_with_the_next_release() {
    let api = deployed();
    let mut workspace = api.workspace;
    let mut changed = columns();
    changed["predictors"][0]["label"] = json!("seniority");
    workspace.set("columns", changed.clone());
    let api = Api::of(workspace);
    assert!(html(&api.get("/"), 200).contains("Seniority"));

    // The config has other columns, and then the data too.
    let mut workspace = api.workspace;
    changed["predictors"].as_array_mut().unwrap().remove(4);
    changed["ignored"] = json!("*");
    workspace.set("columns", changed);
    let api = Api::of(workspace);
    let client = json!({"rows": [{SIZE: "klein"}]});
    let before = api.predict(&client);
    assert_eq!((before.status, html(&api.get("/"), 200).contains("Whom to call today")), (200, true));
    api.workspace.run("ingestion", &[]);
    let difference = format!("without \"{SIZE}\"");
    let parts = ["the compiled data have other columns than release", &difference, "run fullprocess"];
    api.check_problem("call list", &api.get("/calllist"), 503, &parts);
    api.check_problem("client", &api.get("/clients/a0"), 503, &parts);
    let home = api.get("/");
    assert!(html(&home, 503).contains("cannot be shown") && home.text.contains("run fullprocess"), "{}", home.text);
    assert_eq!(api.predict(&client).text, before.text);
    assert_eq!(api.get("/scoring").ok()["n"], 80);
    assert_eq!(api.get("/summarystats").ok().as_array().unwrap().len(), 5);
    api.workspace.run("fullprocess", &[]);
    assert!(html(&api.get("/"), 200).contains("Whom to call today"));
    api.check_problem("no longer a column", &api.predict(&json!({"rows": [{"x": []}, 7]})), 422, &["rows[1]"]);
}

/// A workspace of a table with so many predictors, without a release.
pub fn numbers(predictors: usize) -> Workspace {
    let names: Vec<String> = (0..predictors).map(|j| format!("value number {j}")).collect();
    let mut workspace = Workspace::new();
    workspace.set("columns", json!({"id": "id", "target": "left", "predictors": names}));
    let table = |rows: usize| {
        let mut text = format!("id,{},left\n", names.join(","));
        for i in 0..rows {
            let values: Vec<String> = (0..predictors).map(|j| ((i * (j + 7) * 31) % 101).to_string()).collect();
            text += &format!("c{i},{},{}\n", values.join(","), u8::from((i * 7 * 31) % 101 + i % 40 > 70));
        }
        text
    };
    workspace.write("practicedata/first.csv", &table(300));
    workspace.write("testdata/test.csv", &table(40));
    workspace
}

#[test]
fn sixty_predictors_leave_readable_pages() {
    let workspace = numbers(60);
    workspace.deploy();
    let api = Api::of(workspace);
    let list = api.get("/calllist?limit=1").ok();
    assert_eq!(list["calls"][0]["reasons"].as_array().unwrap().len(), 60);
    let page = api.get(&format!("/clients/{}", list["calls"][0]["corporation"].as_str().unwrap()));
    for part in ["class=\"what-if many\"", "All 60 columns", "Of 60 columns, the 6 with"] {
        assert!(html(&page, 200).contains(part), "{part}: {}", page.text);
    }
    assert_eq!(page.text.matches("<input type=\"number\"").count(), 60);
    html(&api.get("/"), 200);
}

#[test]
fn a_number_is_read_alike_from_json_and_from_csv() {
    let api = deployed();
    // Decimals whose last bit depends on correct rounding, and numbers beyond 2^53.
    let numbers = [
        "0.1",
        "20000.333333333332",
        "-1234.5678901234567",
        "9007199254740993",
        "1e300",
        "-0.0",
        "12345678901234567890123",
    ];
    let rows: Vec<String> = numbers.iter().map(|number| format!("{{\"{CHARGES}\": {number}}}")).collect();
    let in_rows = api.post("", "application/json", format!("{{\"rows\": [{}]}}", rows.join(",")).as_bytes());
    let lines: String = numbers.iter().map(|number| format!(",,{number},,,,\n")).collect();
    let in_table = api.post("", "text/csv", format!("{}\n{lines}", api.workspace.config().columns.header()).as_bytes());
    in_rows.ok();
    assert_eq!(in_rows.text, in_table.text);
}
