//! The pages as text: their contents, and that no text from data is interpreted as HTML. The tests in `browser` cover
//! their appearance and behaviour in a browser.

use std::net::TcpListener;
use std::time::Instant;

use serde_json::json;
use testkit::Workspace;

use crate::helpers::{Answer, Api, OUTPUTS};

/// Names that break code which builds HTML, URLs or CSV by concatenating texts.
pub const AWKWARD: [&str; 5] =
    ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "=1+1", "a/b?c=d&e#f%20", "größe & söhne"];

/// A workspace in which clients with awkward names have the highest risk.
pub fn awkward() -> Workspace {
    let workspace = Workspace::with_data();
    let rows: String = AWKWARD.iter().map(|name| format!("\"{}\",1,60,90,\n", name.replace('"', "\"\""))).collect();
    workspace.csv("practicedata/awkward.csv", &rows);
    workspace.run("fullprocess", &[]);
    workspace
}

/// Returns the text of a page, which must be HTML.
fn html(answer: &Answer, status: u16) -> &str {
    assert_eq!((answer.status, answer.content_type.as_str()), (status, "text/html; charset=utf-8"), "{answer:?}");
    assert!(answer.text.starts_with("<!DOCTYPE html>"), "{answer:?}");
    &answer.text
}

fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn before_the_first_deployment_the_page_says_what_to_run() {
    let api = Api::of(Workspace::with_data());
    let page = api.get("/");
    for part in ["Nothing is deployed yet", "fullprocess", "2 CSV files", "not been compiled"] {
        assert!(html(&page, 503).contains(part), "{part}: {page:?}");
    }
    api.workspace.run("ingestion", &[]);
    assert!(api.get("/").text.contains("They were compiled"));
    api.check_problem("client", &api.get("/clients/a0"), 503, &["fullprocess"]);
    assert!(html(&api.browse("GET", "/clients/a0"), 503).contains("nothing is deployed yet; run fullprocess"));
    api.workspace.deploy();
    assert!(api.get("/").text.contains("Whom to call today"));
}

#[test]
fn the_first_page_tells_the_calls_and_the_state_of_the_system() {
    let workspace = Workspace::with_data();
    workspace.run("fullprocess", &[]);
    let api = Api::of(workspace);
    let page = api.get("/");
    let text = html(&page, 200);
    let list = api.get("/calllist?limit=1").ok();
    let first = list["calls"][0]["corporation"].as_str().unwrap();
    let release = list["model"].as_str().unwrap();
    assert_eq!(page.header("x-release"), release);
    for part in [
        &format!("<a href=\"/clients/{first}\">{first}</a>"),
        release,
        "compiled just now",
        "just now: first deployment", // the last run
        "not checked on new files since it went live",
        "aria-current=\"page\">Calls</a>",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(!text.contains("Needs attention"), "{text}");
    let calls = text.split("id=\"call-list\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(calls.matches("<tr ").count(), 51, "fifty calls and the head");
    assert!(!text.contains("style=") && !text.contains("onclick"), "the content policy would refuse it");
    assert!(text.len() < 200 * 1024, "{} bytes", text.len());
    // A run that failed needs attention.
    api.workspace.write("practicedata/bad.csv", "no,such,columns\n");
    api.workspace.fail("fullprocess", &[]);
    let text = api.get("/").text;
    assert!(text.contains("Needs attention") && text.contains("bad.csv"), "{text}");
}

#[test]
fn the_page_of_the_model_tells_its_quality_drift_trends_and_data() {
    let workspace = Workspace::with_data();
    workspace.run("fullprocess", &[]);
    workspace.csv("practicedata/later.csv", &testkit::rows("d", 200, true));
    workspace.run("fullprocess", &[]);
    let api = Api::of(workspace);
    let page = api.get("/model");
    let text = html(&page, 200);
    assert_eq!(page.header("x-release"), api.get("/calllist?limit=1").ok()["model"].as_str().unwrap());
    for part in [
        "The model was not checked on new files since it went live",
        "The previous release had drifted", // the reason why this release is live
        "everyone exits",
        "later.csv",
        "lastyear_activity",
        "href=\"#trends\"",
        "href=\"/openapi.json\"",
    ] {
        assert!(text.contains(part), "{part:?} is not in the page");
    }
    assert!(text.matches("<svg ").count() >= 3);
    assert!(!text.contains("style=") && !text.contains("onclick"), "the content policy would refuse it");
    // Changes appear at once.
    api.workspace.csv("practicedata/latest.csv", &testkit::rows("e", 50, true));
    api.workspace.run("fullprocess", &[]);
    assert!(api.get("/model").text.contains("latest.csv"));
}

#[test]
fn all_clients_can_be_paged_through_and_ordered() {
    let api = Api::deployed();
    let names = |page: &str| -> Vec<String> {
        let text = api.get(page).text;
        let links = text.split("<th scope=\"row\" role=\"rowheader\"><a href=\"/clients/").skip(1);
        links.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let page = api.get("/clients");
    for part in ["60 current clients", "Page 1 of 2", "<a href=\"/clients?page=2\">Next</a>"] {
        assert!(html(&page, 200).contains(part), "{part}: {page:?}");
    }
    assert_eq!(page.header("x-release"), api.get("/calllist?limit=1").ok()["model"].as_str().unwrap());
    let listed = api.get("/calllist?limit=60").ok();
    let expected: Vec<&str> =
        listed["calls"].as_array().unwrap().iter().map(|call| call["corporation"].as_str().unwrap()).collect();
    assert_eq!([names("/clients"), names("/clients?page=2")].concat(), expected);
    assert_eq!(names("/clients?page=99"), names("/clients?page=2"), "the last page");
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!([names("/clients?order=name"), names("/clients?order=name&page=2")].concat(), sorted);
    // All names contain an a or a b, so the search has pages too.
    let page = api.get("/clients?q=a&page=2");
    for part in ["60 clients.", "Page 2 of 2", "<a href=\"/clients?q=a\">Previous</a>", "has left"] {
        assert!(html(&page, 200).contains(part), "{part}: {page:?}");
    }
    for (query, part) in [("page=x", "invalid digit"), ("order=why", "unknown variant"), ("page=1&page=2", "`page`")] {
        api.check_problem(query, &api.get(&format!("/clients?{query}")), 400, &["query", part]);
    }
}

#[test]
fn the_report_is_served_only_as_long_as_it_is_that_of_the_live_release() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let api = Api::of(workspace);
    api.check_problem("no report", &api.get("/report.pdf"), 404, &["run reporting"]);
    api.workspace.run("reporting", &[]);
    let report = api.bytes("/report.pdf");
    assert!(report == api.workspace.read("practicemodels/report.pdf"));
    api.workspace.write("practicemodels/report.pdf", "of somebody else");
    api.check_problem("another report", &api.get("/report.pdf"), 404, &["run reporting"]);
    api.workspace.run("reporting", &[]);
    api.workspace.csv("practicedata/later.csv", &testkit::rows("d", 200, true));
    api.workspace.deploy();
    api.check_problem("a report of the release before", &api.get("/report.pdf"), 404, &["run reporting"]);
}

/// A workspace with a release, and accounts of the clients a0, a2, … by two owners, in which a58 has the highest value.
fn with_accounts() -> Workspace {
    let mut workspace = Workspace::with_data();
    let account = |i: u32| format!("a{},{},{},+49 30 12345{i}\n", 2 * i, ["Anna & Co", "Bo"][i as usize % 2], 100 * i);
    let accounts: String = (0..30).map(account).collect();
    workspace.write("accounts.csv", &format!("corporation,owner,value,phone\n{accounts}nobody,Bo,1,\n"));
    workspace.set("accounts_path", json!("accounts.csv"));
    workspace.deploy();
    workspace
}

#[test]
fn accounts_are_shown_with_their_clients_and_choose_whom_to_call() {
    let api = Api::of(with_accounts());
    let page = api.get("/");
    for part in [
        "<option value=\"Anna &amp; Co\">Anna &amp; Co</option>",
        "Highest risk × value first",
        "<a href=\"tel:+49301234513\">+49 30 1234513</a>",
        "Clients without an account: 30",
        "Accounts whose client has left or is not in the data: 1",
        "Value at risk",
    ] {
        assert!(html(&page, 200).contains(part), "{part}: {}", page.text);
    }
    let calls = |page: &str| -> Vec<String> {
        let text = api.get(page).text;
        let table = text.split("id=\"call-list\"").nth(1).and_then(|rest| rest.split("</table>").next());
        let names = table.unwrap_or_default().split("<a href=\"/clients/").skip(1);
        names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let of_anna = calls("/?owner=Anna%20%26%20Co");
    assert!(
        !of_anna.is_empty() && of_anna.iter().all(|name| name[1..].parse::<u32>().unwrap() % 4 == 0),
        "{of_anna:?}"
    );
    assert_eq!(calls("/?rank=value")[0], "a58");
    assert!(api.get("/?owner=nobody").text.contains("None of today's calls is for nobody."));
    let page = api.get("/?owner=Bo&rank=value");
    for part in ["href=\"/calllist?owner=Bo&amp;rank=value&amp;format=csv\"", "<option value=\"Bo\" selected>"] {
        assert!(html(&page, 200).contains(part), "{part}: {}", page.text);
    }
    let clients = api.get("/clients?order=value&owner=Bo");
    assert!(
        html(&clients, 200).contains("15 current clients")
            && clients.text.contains("aria-sort=\"descending\">Risk × value")
    );
    let client = api.get("/clients/a58");
    for part in ["<dt>Owner</dt><dd>Bo</dd>", "<dt>Value</dt><dd>2,900</dd>", "<dt>Phone</dt>"] {
        assert!(html(&client, 200).contains(part), "{part}: {}", client.text);
    }
    api.check_problem("rank", &api.get("/?rank=name"), 400, &["query", "unknown variant"]);
}

#[test]
fn a_client_who_was_called_pauses_and_clients_held_out_are_marked() {
    let mut workspace = Workspace::with_data();
    workspace.set("call_holdout", json!(0.5));
    workspace.set("call_capacity", json!(5));
    workspace.run("fullprocess", &[]);
    let api = Api::of(workspace);
    let list = api.get("/calllist").ok();
    let today = |list: &serde_json::Value| -> Vec<String> {
        let calls = list["calls"].as_array().unwrap().iter().filter(|call| call["turn"] == "today");
        calls.map(|call| call["corporation"].as_str().unwrap().to_owned()).collect()
    };
    let before = today(&list);
    let text = api.get("/").text;
    assert!(text.contains("Held out: ") && !text.contains("Paused after a call"), "{text}");
    let form = format!("corporation={}&outcome=promised_to_stay&by=Anna&note=likes+%3Cb%3E&key=k1&return=/", before[0]);
    assert_eq!(api.form("/contacts", &form).status, 200, "the page to which the form returns");
    let text = api.get(&format!("/?recorded={}", before[0])).text;
    for part in
        ["Paused after a call: 1", "is recorded: promised to stay.", "by Anna, promised to stay: “likes &lt;b&gt;”"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let after = today(&api.get("/calllist").ok());
    assert!(after.len() == 5 && after[..4] == before[1..], "{before:?} {after:?}");
    let client = api.get(&format!("/clients/{}", before[0])).text;
    for part in ["Back on ", "<strong>Promised to stay</strong>", "likes &lt;b&gt;"] {
        assert!(client.contains(part), "{part}: {client}");
    }
    assert!(api.get("/clients").text.contains("Held out</span>"));
    // A link cannot claim that a call was recorded.
    assert!(!api.get(&format!("/?recorded={}", after[0])).text.contains("is recorded"));
}

#[test]
fn the_words_of_the_pages_are_explained() {
    let api = Api::of(Workspace::new());
    let page = api.get("/terms");
    for part in ["id=\"odds\"", "Held out", "F1"] {
        assert!(html(&page, 200).contains(part), "{part}: {page:?}");
    }
}

#[test]
fn no_name_is_taken_for_html_or_for_a_path() {
    let api = Api::of(awkward());
    let home = api.get("/");
    for name in AWKWARD {
        let path = format!("/clients/{}", encoded(name));
        let page = api.get(&path);
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        assert!(html(&page, 200).contains(&format!("<h1>{escaped} ")), "{page:?}");
        assert!(html(&home, 200).contains(&format!(">{escaped}</a>")), "{name}");
        let found = api.get(&format!("/?q={}", encoded(name)));
        assert!(html(&found, 200).contains("One client."), "{found:?}");
        for page in [&home, &page, &found] {
            assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"), "{name}");
        }
    }
    let list = api.workspace.text("practicemodels/calllist.csv");
    assert!(list.contains(",'=1+1,") && !list.contains(",=1+1,"), "{list}");
    let unknown = api.get("/clients/%3Cscript%3Ealert(2)%3C/script%3E");
    assert!(html(&unknown, 404).contains("&lt;script&gt;alert(2)"), "{unknown:?}");
}

#[test]
fn a_search_finds_present_and_past_clients_in_any_case() {
    let api = Api::deployed();
    let page = api.get("/?q=A1");
    // a1 and a10 to a19; those with odd numbers have left.
    for part in ["11 clients", ">a10</a>", ">a11</a>", "has left"] {
        assert!(html(&page, 200).contains(part), "{part}: {page:?}");
    }
    assert!(!page.text.contains(">b1</a>"));
    assert!(html(&api.get("/?q=nobody%20at%20all"), 200).contains("No client's name contains this text"));
    assert!(html(&api.get("/?q=%20"), 200).contains("Whom to call today"));
    assert!(html(&api.get("/?campaign=x&q=a10"), 200).contains("One client."), "{page:?}");
}

#[test]
fn a_client_has_its_rows_its_reasons_and_what_would_help() {
    let api = Api::deployed();
    api.workspace.csv("practicedata/later.csv", "a0,7,50,60,0\na0,6,45,60,0\n");
    api.workspace.run("ingestion", &[]);
    let page = api.get("/clients/a0");
    let text = html(&page, 200);
    for part in [
        "1 of 60",
        "Today</span>",
        "Why, and what would help",
        "percentage points since",
        "exact contributions",
        "later.csv",
        "dataset1.csv",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("class=\"chart\"") && !api.get("/clients/a2").text.contains("class=\"chart\""));
    // The client's three rows, newest first.
    let places: Vec<_> = [">45</td>", ">50</td>", ">4000</td>"]
        .map(|cell| text.find(cell).unwrap_or_else(|| panic!("{cell}: {text}")))
        .into();
    assert!(places.is_sorted(), "{places:?}");
    assert!(html(&api.get("/clients/a1"), 200).contains("It has left"));
    assert!(html(&api.get("/clients/"), 404).contains("No client has this name"));
    assert!(html(&api.get("/clients/%ff"), 404).contains("No client has this name"));
}

#[test]
fn what_if_tells_the_risk_that_prediction_gives() {
    let api = Api::deployed();
    let before = api.workspace.snapshot(&OUTPUTS);
    let page = api.get("/clients/a0?lastmonth_activity=5&lastyear_activity=&number_of_employees=60.5");
    let row = json!({"lastmonth_activity": 5, "number_of_employees": 60.5});
    let risk = api.predict(&json!({"rows": [row]})).ok()["probabilities"][0].as_f64().unwrap();
    let expected = format!("<strong>{:.1} %</strong>", 100.0 * risk);
    assert!(html(&page, 200).contains(&expected), "{expected}: {page:?}");
    assert!(page.text.contains("name=\"number_of_employees\" value=\"60.5\""), "{page:?}");
    for (query, wrong) in [
        ("lastmonth_activity=many", "lastmonth_activity is not a number"),
        ("lastyear_activity=-1", "lastyear_activity is negative"),
        ("number_of_employees=1e300", "number_of_employees is larger"),
        ("number_of_employees=NaN", "number_of_employees"),
    ] {
        let page = api.get(&format!("/clients/a0?{query}"));
        assert!(html(&page, 422).contains(wrong), "{query}: {page:?}");
    }
    for (query, named) in [
        ("lastmonth_activty=5", "`lastmonth_activty`"),
        ("lastmonth_activity=5&employees=3", "`employees`"),
        ("lastmonth_activity=5&lastmonth_activity=6", "`lastmonth_activity`"),
        ("=5", "``"),
    ] {
        let page = format!("/clients/a0?{query}");
        api.check_problem(query, &api.get(&page), 400, &["query", named]);
        assert!(html(&api.browse("GET", &page), 400).contains(named), "{query}");
    }
    api.check_problem("q twice", &api.get("/?q=a&q=b"), 400, &["query", "`q`"]);
    assert!(api.workspace.snapshot(&OUTPUTS) == before, "a question has changed an output");
}

#[test]
fn data_or_a_history_that_are_away_leave_a_page_that_says_so() {
    let api = Api::deployed();
    std::fs::rename(api.workspace.path("testdata/testdata.csv"), api.workspace.path("testdata/gone")).unwrap();
    assert!(html(&api.get("/"), 200).contains("Whom to call today"));
    let page = api.get("/model");
    assert!(
        html(&page, 200).contains("The model and its data") && page.text.contains("log gives the reason"),
        "{page:?}"
    );
    std::fs::rename(api.workspace.path("testdata/gone"), api.workspace.path("testdata/testdata.csv")).unwrap();
    assert!(!api.get("/model").text.contains("log gives the reason"));
    std::fs::remove_dir_all(api.workspace.path("ingesteddata")).unwrap();
    let page = api.get("/");
    assert!(html(&page, 503).contains("run ingestion"), "{page:?}");
}

#[test]
fn a_database_that_does_not_answer_costs_one_request_its_wait_and_not_the_next() {
    let mut workspace = Workspace::with_data();
    workspace.deploy();
    // A listener that accepts connections and does nothing else.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    workspace.set("database_url", json!(format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap())));
    let api = Api::of(workspace);
    let timed = |page: &str| {
        let clock = Instant::now();
        (api.get(page), clock.elapsed())
    };
    let (first, waited) = timed("/history");
    let (second, at_once) = timed("/history");
    assert_eq!((first.status, second.status), (503, 503));
    assert!(at_once < waited / 4, "{waited:?}, then {at_once:?}");
    let (page, at_once) = timed("/");
    assert!(html(&page, 200).contains("Whom to call today") && page.text.contains("log gives the reason"), "{page:?}");
    assert!(at_once < waited / 2, "{waited:?}, then {at_once:?}");
}

#[test]
fn what_fails_is_a_page_for_a_browser_and_a_document_for_a_program() {
    let api = Api::deployed();
    for (method, path, status, part) in [
        ("GET", "/nothing", 404, "POST /prediction, GET /scoring"),
        ("GET", "/clients?page=many", 400, "query"),
        ("GET", "/client/a0", 404, "/clients/{corporation}"),
        ("GET", "/assets/nothing", 404, "page.css"),
        ("GET", "/docs/nothing", 404, "start at /docs/"),
        ("GET", "/prediction", 405, "answers only POST"),
        ("DELETE", "/", 405, "answers only GET"),
        ("GET", "/calllist?limit=many", 400, "query"),
    ] {
        let page = api.browse(method, path);
        assert!(html(&page, status).contains(part), "{method} {path}: {page:?}");
        assert!(page.header("content-security-policy").contains("default-src 'none'"), "{page:?}");
        assert_eq!(page.allow.is_empty(), status != 405, "{page:?}");
        api.check_problem(path, &api.ask(method, path), status, &[part]);
    }
    let page = api.browse("GET", "/nothing").text;
    assert!(page.contains("This page does not exist") && page.contains("href=\"/clients\""), "{page}");
    let page = api.browse("GET", "/clients/a0?%3Cscript%3Ealert(1)%3C/script%3E=1");
    assert!(html(&page, 400).contains("&lt;script&gt;alert(1)"), "{page:?}");
}
