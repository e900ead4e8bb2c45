//! Invalid requests: each gets the appropriate 4xx and a problem document that says what to change.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use crate::helpers::{Api, OUTPUTS, read_answer};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";

#[test]
fn a_wrong_body_is_refused_with_the_place_of_the_fault() {
    let api = Api::deployed();
    let table = |rows: &str| format!("{}{rows}", testkit::HEADER);
    let row = |row: &str| format!(r#"{{"rows": [{{"lastmonth_activity": 1}}, {row}]}}"#);
    let name = |length: usize| format!(r#"{{"corporation": "{}"}}"#, "n".repeat(length));
    let deep = format!(r#"{{"rows": {}}}"#, "[".repeat(100_000));
    let cases: &[(&str, u16, &str, &str, &[&str])] = &[
        // Bodies that are not JSON.
        ("empty body", 400, JSON, "", &["filepath", "rows", "text/csv"]),
        ("no JSON", 400, JSON, "filepath=testdata/testdata.csv", &["not a JSON object"]),
        ("JSON cut short", 400, JSON, r#"{"rows": [{"lastmonth_activity": 1}"#, &["not JSON", "line 1 column"]),
        ("two objects", 400, JSON, r#"{"rows": []} {"rows": []}"#, &["not JSON", "line 1 column 14"]),
        ("a number beyond every float", 400, JSON, &row(r#"{"lastmonth_activity": 1e999}"#), &["line 1 column"]),
        ("not a number", 400, JSON, &row(r#"{"lastmonth_activity": NaN}"#), &["line 1 column"]),
        // JSON of the wrong shape.
        ("a number", 400, JSON, "7", &["not a JSON object", "filepath", "rows"]),
        ("null", 400, JSON, " null", &["not a JSON object", "filepath", "rows"]),
        ("a list", 400, JSON, r#"["testdata/testdata.csv", null]"#, &["not a JSON object", "filepath", "rows"]),
        ("an empty object", 422, JSON, "{}", &["either filepath or rows"]),
        ("both forms", 422, JSON, r#"{"filepath": "testdata/testdata.csv", "rows": []}"#, &["either filepath or rows"]),
        ("both null", 422, JSON, r#"{"filepath": null, "rows": null}"#, &["either filepath or rows"]),
        ("an unknown form", 422, JSON, r#"{"row": []}"#, &["row", "`filepath`", "`rows`"]),
        ("a form twice", 422, JSON, r#"{"rows": [], "rows": []}"#, &["duplicate", "rows"]),
        ("filepath as a number", 422, JSON, r#"{"filepath": 7}"#, &["filepath", "string"]),
        ("rows as an object", 422, JSON, r#"{"rows": {}}"#, &["rows", "sequence"]),
        ("rows as a text", 422, JSON, r#"{"rows": "a,1,2,3"}"#, &["rows", "sequence"]),
        ("endless depth", 422, JSON, &deep, &["rows"]),
        // Invalid rows: the answer names the row and the key.
        ("a row as a number", 422, JSON, &row("7"), &["rows[1]"]),
        ("a row as null", 422, JSON, &row("null"), &["rows[1]"]),
        ("an unknown key", 422, JSON, &row(r#"{"lastmonth": 3}"#), &["rows[1]", "lastmonth", "lastmonth_activity"]),
        ("a key twice", 422, JSON, &row(r#"{"lastmonth_activity": 3, "lastmonth_activity": 3}"#), &["rows[1]"]),
        (
            "a control character",
            422,
            JSON,
            &row(r#"{"corporation": "a\nb"}"#),
            &["rows[1].corporation", "control character"],
        ),
        (
            "NUL in JSON",
            422,
            JSON,
            &row(r#"{"corporation": "a\u0000"}"#),
            &["rows[1].corporation", "control character"],
        ),
        ("an endless name", 422, JSON, &row(&name(1001)), &["rows[1].corporation", "longer than 1000 bytes"]),
        ("a name as a list", 422, JSON, &row(r#"{"corporation": [3]}"#), &["rows[1].corporation", "string"]),
        ("text", 422, JSON, &row(r#"{"lastyear_activity": "3"}"#), &["rows[1].lastyear_activity", "\"3\""]),
        ("truth", 422, JSON, &row(r#"{"lastyear_activity": true}"#), &["rows[1].lastyear_activity", "true"]),
        ("a list", 422, JSON, &row(r#"{"number_of_employees": [3]}"#), &["rows[1].number_of_employees"]),
        (
            "negative",
            422,
            JSON,
            &row(r#"{"number_of_employees": -1}"#),
            &["rows[1]", "number_of_employees", "negative"],
        ),
        ("a bit negative", 422, JSON, &row(r#"{"lastmonth_activity": -1e-300}"#), &["lastmonth_activity", "negative"]),
        ("too large", 422, JSON, &row(r#"{"lastmonth_activity": 1e16}"#), &["rows[1]", "lastmonth_activity", "larger"]),
        (
            "one too many",
            422,
            JSON,
            &row(r#"{"lastmonth_activity": 9007199254740993}"#),
            &["rows[1]", "lastmonth_activity is larger"],
        ),
        (
            "beyond 2^53",
            422,
            JSON,
            &row(r#"{"lastyear_activity": 9007199254740994}"#),
            &["lastyear_activity", "larger"],
        ),
        ("beyond 2^64", 422, JSON, &row(r#"{"lastyear_activity": 99999999999999999999}"#), &["lastyear_activity"]),
        // Invalid tables: the answer names the line or the column.
        ("empty table", 422, CSV, "", &["empty", "lastmonth_activity"]),
        ("JSON as a table", 422, CSV, r#"{"rows": []}"#, &["line 1", "unknown", "corporation"]),
        ("no header", 422, CSV, "a,1,2,3,0\n", &["line 1"]),
        ("a column missing", 422, CSV, "corporation,lastmonth_activity\na,1\n", &["lastyear_activity", "missing"]),
        ("a column twice", 422, CSV, &testkit::HEADER.replace("exited", "corporation"), &["corporation", "twice"]),
        ("a field missing", 422, CSV, &table("a,1,2,3,0\nb,1,2,3\n"), &["line 3", "4 fields", "5"]),
        ("a field too many", 422, CSV, &table("a,1,2,3,0\n\nb,1,2,3,0,9\n"), &["line 4", "6 fields"]),
        ("text in a table", 422, CSV, &table("a,x,2,3,0\n"), &["line 2", "lastmonth_activity", "not a number"]),
        ("negative in a table", 422, CSV, &table("a,1,-2,3,0\n"), &["line 2", "lastyear_activity", "negative"]),
        ("too large in a table", 422, CSV, &table("a,1,2,1e300,0\n"), &["line 2", "number_of_employees", "larger"]),
        ("half exited", 422, CSV, &table("a,1,2,3,0.5\n"), &["line 2", "exited"]),
        ("an open quote", 422, CSV, &table("a,1,2,3,0\n\"b,1,2,3,0\n"), &["line 3"]),
        ("NUL in a name", 422, CSV, &table("a\0,1,2,3,0\n"), &["line 2", "control character"]),
        // Bodies that are neither JSON nor a table.
        ("a form", 400, "application/x-www-form-urlencoded", "filepath=x", &["not a JSON object", "filepath"]),
        ("an upload", 415, "multipart/form-data; boundary=x", "--x--", &["application/json", "text/csv"]),
        ("plain text", 415, "text/plain", r#"{"rows": []}"#, &["text/plain", "application/json"]),
        ("almost JSON", 415, "application/jsonl", r#"{"rows": []}"#, &["application/json"]),
    ];
    for (what, status, content_type, body, parts) in cases {
        api.check_problem(what, &api.post("", content_type, body.as_bytes()), *status, parts);
    }
    // A name may have the same length as in a table.
    api.post("", JSON, row(&name(1000)).as_bytes()).ok();
    api.check_alive();
}

#[test]
fn an_error_repeats_no_more_than_an_excerpt_of_what_was_sent() {
    let api = Api::deployed();
    let long = "k".repeat(10 << 20);
    let table = testkit::HEADER.replace("exited", &long);
    for (what, status, content_type, body, parts) in [
        ("a key", 422, JSON, format!(r#"{{"rows": [{{"{long}": 1}}]}}"#), &["kkk", "number_of_employees"][..]),
        ("a form", 422, JSON, format!(r#"{{"{long}": 1}}"#), &["kkk", "`rows`"]),
        (
            "a value",
            422,
            JSON,
            format!(r#"{{"rows": [{{"lastmonth_activity": "{long}"}}]}}"#),
            &["rows[0].lastmonth_activity"],
        ),
        ("a column", 422, CSV, table, &["line 1", "is longer than"]),
        ("a type", 415, &long[..50_000], "x".to_owned(), &["kkk", "application/json"]),
    ] {
        let answer = api.post("", content_type, body.as_bytes());
        api.check_problem(what, &answer, status, parts);
        assert!(answer.text.len() < 1500, "{what}: {} bytes", answer.text.len());
    }
    let answer = api.post(&format!("?{}=1", &long[..50_000]), JSON, b"");
    api.check_problem("a query", &answer, 400, &["kkk", "filepath"]);
    assert!(answer.text.len() < 1500, "{} bytes", answer.text.len());
}

#[test]
fn a_list_of_values_does_not_pass_for_a_row() {
    let api = Api::deployed();
    for row in [r#"["name", 1, 2, 3, 0]"#, "[null, null, null, null, null]", "[]"] {
        let body = format!(r#"{{"rows": [{{}}, {row}]}}"#);
        api.check_problem(row, &api.post("", JSON, body.as_bytes()), 422, &["rows[1]"]);
    }
}

#[test]
fn what_is_not_utf_8_is_refused() {
    let api = Api::deployed();
    let utf_16: Vec<u8> = testkit::HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin_1 = [testkit::HEADER.as_bytes(), b"a,1,2,3,0\ngr\xf6\xdfe,1,2,3,0\n"].concat();
    for (what, status, content_type, body, parts) in [
        ("a name in JSON", 400, JSON, &b"{\"rows\": [{\"corporation\": \"gr\xf6\xdfe\"}]}"[..], &["line 1 column"][..]),
        ("a path in JSON", 400, JSON, b"{\"filepath\": \"\xff\xfe\"}", &["line 1 column"]),
        ("half a pair of surrogates", 400, JSON, br#"{"filepath": "\ud800"}"#, &["line 1 column"]),
        ("only bytes", 400, JSON, b"\xff\xfe\x00\x80", &["not a JSON object"]),
        ("a name in a table", 422, CSV, &latin_1, &["line 3", "UTF-8"]),
        ("a table in UTF-16", 422, CSV, &utf_16, &["line 1", "UTF-8"]),
    ] {
        api.check_problem(what, &api.post("", content_type, body), status, parts);
    }
    api.check_alive();
}

#[test]
fn a_query_that_is_not_understood_is_refused_and_not_passed_over() {
    let api = Api::deployed();
    let rows = json!({"rows": [{"lastmonth_activity": 1}]}).to_string();
    for (what, query, body) in [
        ("unknown key, no body", "?file=testdata/testdata.csv", ""),
        ("unknown key beside good rows", "?file=testdata/testdata.csv", rows.as_str()),
        ("unknown key beside a good one", "?filepath=testdata/testdata.csv&threshold=0.9", ""),
        ("filepath twice", "?filepath=testdata/testdata.csv&filepath=testdata/testdata.csv", ""),
        ("filepath and rows", "?filepath=testdata/testdata.csv", &rows),
    ] {
        let answer = api.post(query, JSON, body.as_bytes());
        assert!([400, 422].contains(&answer.status), "{what}: {answer:?}");
        api.check_problem(what, &answer, answer.status, &["filepath"]);
    }
}

#[test]
fn a_filepath_leads_nowhere_but_to_client_tables_in_the_data_folders() {
    let api = Api::deployed();
    let workspace = &api.workspace;
    let secret = "topsecret,1,2,3,0\n";
    workspace.csv("secrets/salaries.csv", secret);
    workspace.csv("testdata-old/salaries.csv", secret); // the name starts like that of a data folder
    workspace.csv("testdata/salaries.txt", secret);
    workspace.csv("practicemodels/salaries.csv", secret);
    symlink(workspace.path("secrets/salaries.csv"), workspace.path("testdata/link.csv")).unwrap();
    symlink(workspace.path("secrets"), workspace.path("testdata/folder")).unwrap();
    symlink("/dev/zero", workspace.path("testdata/endless.csv")).unwrap();
    symlink("circle.csv", workspace.path("testdata/circle.csv")).unwrap();
    // Opening a pipe would wait forever for a writer.
    let pipe = Command::new("mkfifo").arg(workspace.path("testdata/pipe.csv")).status().unwrap();
    assert!(pipe.success());
    let absolute = |name: &str| workspace.path(name).display().to_string();
    let root = workspace.path("");
    let up = format!("../{}/config.json", root.file_name().unwrap().to_str().unwrap());
    let before = workspace.snapshot(&OUTPUTS);

    let (secrets, config) = (absolute("secrets/salaries.csv"), absolute("config.json"));
    let (long, deep) = ("a".repeat(300), "../".repeat(2000) + "etc/passwd");
    for path in [
        "",
        ".",
        "..",
        "/",
        "testdata",
        "testdata/",
        "testdata/nothing.csv",
        "testdata/salaries.txt",
        "testdata/link.csv",
        "testdata/folder/salaries.csv",
        "testdata/endless.csv",
        "testdata/circle.csv",
        "testdata/pipe.csv",
        "testdata/../secrets/salaries.csv",
        "testdata-old/salaries.csv",
        "secrets/salaries.csv",
        "practicemodels/salaries.csv",
        "practicemodels/trainedmodel.bin",
        "practicemodels/latestscore.txt",
        "production_deployment/trainedmodel.pkl",
        "history.sqlite",
        "config.json",
        "testdata/../config.json",
        "testdata/testdata.csv/../../config.json",
        "testdata/testdata.csv\0",
        "config.json\0.csv",
        "testdata/%2e%2e/config.json",
        "%2e%2e/%2e%2e/etc/passwd",
        "..\\..\\etc\\passwd",
        "~/.ssh/id_rsa",
        "file:///etc/passwd",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/stdin",
        &secrets,
        &config,
        &up,
        &long,
        &deep,
    ] {
        let encoded: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for (form, answer) in [
            ("body", api.predict(&json!({"filepath": path}))),
            ("query", api.post(&format!("?filepath={encoded}"), "", b"")),
        ] {
            let what = format!("{path:?} in the {form}");
            api.check_problem(&what, &answer, 404, &["testdata/testdata.csv", "practicedata"]);
            for content in ["topsecret", "prod_deployment_path", "root:", "RISKMODL"] {
                assert!(!answer.text.contains(content), "{what}: {content} in {answer:?}");
            }
        }
    }
    assert_eq!(workspace.snapshot(&OUTPUTS), before);
    api.check_alive();
}

#[test]
fn a_file_that_is_no_client_table_is_refused_with_the_place_of_the_fault() {
    let api = Api::deployed();
    // a quote that is never closed, longer than the maximum length of a row
    let row = format!("\"{}", "x".repeat(17 << 20));
    for (name, content, parts) in [
        ("empty.csv", "", &["empty"][..]),
        ("other.csv", "name,wage\ntopsecret,1\n", &["line 1", "corporation"]),
        (
            "faulty.csv",
            &format!("{}a,1,2,3,0\ntopsecret,x,2,3,0\n", testkit::HEADER),
            &["line 3", "lastmonth_activity"],
        ),
        ("quote.csv", &format!("{}a,1,2,3,0\n{row}", testkit::HEADER), &["line 3", "quote"]),
    ] {
        api.workspace.write(&format!("testdata/{name}"), content);
        let path = format!("testdata/{name}");
        let answer = api.predict(&json!({"filepath": path}));
        let parts: Vec<&str> = parts.iter().copied().chain([path.as_str()]).collect();
        api.check_problem(name, &answer, 422, &parts);
        assert!(!answer.text.contains("topsecret"), "{answer:?}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_however_it_is_sent() {
    const LIMIT: usize = 16 * 1024 * 1024;
    let api = Api::deployed();
    let refusal = "16777216 bytes; send it in several requests";
    // The announced length is too large: refused before the body is sent.
    let mut stream = api.connect();
    let head = format!("POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", LIMIT + 1);
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = read_answer(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(refusal), "{answer}");
    // The whole body is sent.
    let mut body = vec![b' '; LIMIT + 1];
    body[0] = b'{';
    api.check_problem("JSON", &api.post("", JSON, &body), 413, &[refusal]);
    // Exactly the maximum size: read, and found not to be JSON.
    api.check_problem("the limit itself", &api.post("", JSON, &body[..LIMIT]), 400, &["not JSON"]);
    api.check_alive();
}

#[test]
fn another_method_is_refused_with_the_one_that_is_allowed() {
    let api = Api::deployed();
    for (page, allowed) in [
        ("/prediction", "POST"),
        ("/contacts", "POST"),
        ("/scoring", "GET"),
        ("/summarystats", "GET"),
        ("/diagnostics", "GET"),
        ("/calllist", "GET"),
        ("/history", "GET"),
        ("/health/live", "GET"),
        ("/health/ready", "GET"),
        ("/metrics", "GET"),
        ("/openapi.json", "GET"),
        ("/docs/", "GET"),
        ("/", "GET"),
        ("/clients", "GET"),
        ("/clients/a0", "GET"),
        ("/model", "GET"),
        ("/terms", "GET"),
        ("/report.pdf", "GET"),
        ("/assets/page.css", "GET"),
        ("/v2", "GET"),
        ("/v2/health/live", "GET"),
        ("/v2/health/ready", "GET"),
        ("/v2/models/risk", "GET"),
        ("/v2/models/risk/ready", "GET"),
        ("/v2/models/risk/infer", "POST"),
        ("/v2/models/risk/versions/any", "GET"),
        ("/v2/models/risk/versions/any/ready", "GET"),
        ("/v2/models/risk/versions/any/infer", "POST"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "BREW"] {
            if method == allowed {
                continue;
            }
            let answer = api.ask(method, page);
            let what = format!("{method} {page}");
            assert_eq!((answer.status, answer.allow.as_str()), (405, allowed), "{what}: {answer:?}");
            if method != "HEAD" {
                api.check_problem(&what, &answer, 405, &[allowed]);
            }
        }
    }
}

#[test]
fn an_unknown_page_is_refused_with_the_pages_that_there_are() {
    let api = Api::deployed();
    for page in [
        "/predictions",
        "/prediction/",
        "/prediction/x",
        "/SCORING",
        "/config.json",
        "/testdata/testdata.csv",
        "/.git/config",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%00",
        "/%ff",
        "/assets",
        "/client",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = api.ask(method, page);
            api.check_problem(page, &answer, 404, &["/prediction", "/scoring", "/summarystats", "/diagnostics"]);
        }
    }
}
