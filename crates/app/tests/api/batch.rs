//! Tables of any length: received and answered as streams in bounded memory, and refused as a whole if one row is
//! invalid.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::json;

use crate::helpers::{Answer, Api};

const ROWS: usize = 1_000_000;

/// Peak memory of the service since it started, in MiB.
fn peak(api: &Api) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", api.server.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

/// Posts a table to `/prediction` and requests CSV.
fn as_csv(api: &Api, body: &str, media_type: &str) -> Answer {
    api.post_for("text/csv", media_type, body.as_bytes())
}

#[test]
fn an_answer_in_csv_holds_what_the_one_in_json_does() {
    let api = Api::deployed();
    let table = format!("{}\"b, \"\"c\"\"\",5,40,60,1\n=1+1,800,4000,3,0\n,,4000,,\n", testkit::HEADER);
    let in_json = api.post("", "text/csv", table.as_bytes()).ok();
    let rows = json!({"rows": [
        {"corporation": "b, \"c\"", "lastmonth_activity": 5, "lastyear_activity": 40, "number_of_employees": 60},
        {"corporation": "=1+1", "lastmonth_activity": 800, "lastyear_activity": 4000, "number_of_employees": 3},
        {"lastyear_activity": 4000},
    ]});
    let answers = [as_csv(&api, &table, "text/csv"), as_csv(&api, &rows.to_string(), "application/json")];
    assert_eq!(answers[0].text, answers[1].text);
    let answer = &answers[0];
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/csv; charset=utf-8"), "{answer:?}");
    assert_eq!(answer.header("x-release"), in_json["model"]);
    assert!(answer.header("content-disposition").contains(in_json["model"].as_str().unwrap()));
    let probabilities: Vec<f64> =
        in_json["probabilities"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
    let [first, second, third] = probabilities[..] else { panic!("{in_json}") };
    // A name that a spreadsheet would interpret as a formula is neutralised.
    let expected = format!(
        "corporation,prediction,probability,imputed\n\"b, \"\"c\"\"\",1,{first},\n'=1+1,0,{second},\n\
         ,{},{third},lastmonth_activity number_of_employees\n",
        in_json["predictions"][2]
    );
    assert_eq!(answer.text, expected);
    let by_file = api.post_for("text/csv", "application/json", br#"{"filepath": "testdata/testdata.csv"}"#);
    assert_eq!(by_file.text.lines().count(), 9);
}

#[test]
fn the_form_of_the_answer_is_what_the_client_accepts() {
    let api = Api::deployed();
    let body = br#"{"rows": [{}]}"#;
    for (accept, content_type) in [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/*", "text/csv; charset=utf-8"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/html, text/csv;q=0.9, */*;q=0.1", "text/csv; charset=utf-8"),
        // Clients that name neither format, or send an invalid header, get JSON. Java's own client sends the second of
        // these.
        ("image/png", "application/json"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/json"),
        ("rubbish;;", "application/json"),
    ] {
        assert_eq!(api.post_for(accept, "application/json", body).content_type, content_type, "{accept}");
    }
}

#[test]
fn a_million_rows_take_little_memory_in_both_forms() {
    let api = Api::deployed();
    let mut table = testkit::HEADER.to_owned();
    for i in 0..ROWS {
        writeln!(table, "client{i},{},{},{},", i % 900, i % 5000, i % 70).unwrap();
    }
    let answer = as_csv(&api, &table, "text/csv");
    assert_eq!((answer.status, answer.text.lines().count()), (200, ROWS + 1));
    assert!(answer.text.ends_with('\n') && answer.text.contains(&format!("\nclient{},", ROWS - 1)));
    let streamed = peak(&api);
    assert!(streamed < 50, "{streamed} MiB for a million rows as CSV");
    let answer = api.post("", "text/csv", table.as_bytes());
    assert_eq!(answer.ok()["predictions"].as_array().unwrap().len(), ROWS);
    let held = peak(&api);
    assert!(held < 200, "{held} MiB for a million rows as JSON");
    // One more row than a JSON answer may have.
    table += "one more,1,2,3,\n";
    let refused = api.post("", "text/csv", table.as_bytes());
    api.check_problem("a million and one", &refused, 413, &["1000000 rows", "text/csv"]);
    assert_eq!(as_csv(&api, &table, "text/csv").text.lines().count(), ROWS + 2);
}

#[test]
fn a_wrong_row_at_the_end_of_a_long_table_refuses_the_whole() {
    let api = Api::deployed();
    let table = format!("{}{}bad,x,2,3,0\n", testkit::HEADER, "a,1,2,3,0\n".repeat(100_000));
    for answer in [as_csv(&api, &table, "text/csv"), api.post("", "text/csv", table.as_bytes())] {
        api.check_problem("a wrong row", &answer, 422, &["line 100002", "lastmonth_activity"]);
    }
    // An invalid row at the beginning is reported without reading the table to its end.
    let table = format!("{}bad,x,2,3,0\n{}", testkit::HEADER, "a,1,2,3,0\n".repeat(1_000_000));
    let answer = as_csv(&api, &table, "text/csv");
    api.check_problem("a wrong first row", &answer, 422, &["line 2"]);
    api.check_alive();
}

#[test]
fn more_rows_in_json_than_are_held_are_refused_before_they_fill_the_memory() {
    let api = Api::deployed();
    let body = |rows: usize| format!("{{\"rows\": [{}{{}}]}}", "{},".repeat(rows - 1));
    assert_eq!(
        api.post("", "application/json", body(100_000).as_bytes()).ok()["predictions"].as_array().unwrap().len(),
        100_000
    );
    for rows in [100_001, 5_000_000] {
        let answer = api.post("", "application/json", body(rows).as_bytes());
        api.check_problem("too many rows", &answer, 422, &["rows", "100000 rows", "CSV"]);
    }
    let peak = peak(&api);
    assert!(peak < 150, "{peak} MiB");
}

#[test]
fn many_long_tables_at_once_are_all_answered_and_hold_up_no_short_one() {
    let api = Api::deployed();
    let table = format!("{}{}", testkit::HEADER, "a,1,2,3,0\n".repeat(200_000));
    thread::scope(|scope| {
        let long: Vec<_> = (0..8).map(|_| scope.spawn(|| as_csv(&api, &table, "text/csv"))).collect();
        for _ in 0..200 {
            api.check_alive();
        }
        for answer in long {
            assert_eq!(answer.join().unwrap().text.lines().count(), 200_001);
        }
    });
}

#[test]
fn a_client_that_reads_slowly_or_hangs_up_keeps_nobody_waiting() {
    let api = Api::deployed();
    let body = format!("{}{}", testkit::HEADER, "a,1,2,3,0\n".repeat(100_000));
    let head = format!(
        "POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nAccept: text/csv\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let send = || -> TcpStream {
        let mut stream = api.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream
    };
    let mut unread: Vec<TcpStream> = (0..10).map(|_| send()).collect();
    drop(unread.split_off(5));
    for _ in 0..20 {
        api.check_alive();
        assert_eq!(as_csv(&api, &body, "text/csv").text.lines().count(), 100_001);
    }
    // Slow readers still get the whole answer.
    for stream in unread {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first).unwrap();
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.matches("\na,").count(), 100_000);
    }
}
