//! Tests of the table `clients`: it contains finaldata.csv row by row, and is never half-written.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::process::Stdio;

use serde_json::json;
use testkit::databases::Kind;
use testkit::{Workspace, rows};

use crate::{check_clients, check_message, clients_as_csv, number, on_each_history, read_json};

/// Writes `n` distinct rows to one file.
fn many(workspace: &Workspace, n: usize) {
    let mut rows = String::new();
    for i in 0..n {
        let _ = writeln!(rows, "client {i},{},{}.25,{},{}", i % 900, i % 7000, i % 50, i % 2);
    }
    workspace.csv("practicedata/dataset1.csv", &rows);
}

#[test]
fn they_are_finaldata_csv_row_for_row() {
    on_each_history(Workspace::new, |workspace, database| {
        let long = "🦀".repeat(250);
        let odd = [
            "O'Neil",
            "\"Müller, Söhne & Co\"",
            "\"say \"\"hi\"\"\"",
            "🦀 Rust 漢字",
            "a;b|c",
            "back\\slash\\",
            "100 % ?",
            "$1",
            "'; DROP TABLE clients; --",
            "\\N",
            "\\.",
            " spaces ",
            "{\"a\": 1}",
            "A",
            "a",
            "ä",
            "a ",
            &long,
        ];
        let mut csv = String::new();
        for (i, name) in odd.into_iter().enumerate() {
            let _ = writeln!(csv, "{name},{i},0.1,123456.789012345,{}", i % 2);
        }
        csv += "largest,9007199254740992,9007199254740991,1e-7,1\n,1,2,3,\nnothing,,,,\n,,,,0\n";
        csv += "third,0.3333333333333333,1e3,5.0,NA\n";
        workspace.csv("practicedata/dataset1.csv", &csv);
        workspace.run("ingestion", &[]);
        check_clients(workspace, database);
        assert_eq!(database.count("FROM clients"), odd.len() as u64 + 5);
        assert_eq!(database.count("FROM clients WHERE corporation IS NULL"), 2);
        assert_eq!(database.count("FROM clients WHERE exited IS NULL"), 3);
        assert_eq!(database.count("FROM clients WHERE corporation = 'O''Neil' AND lastmonth_activity = 0"), 1);
        assert_eq!(database.count("FROM clients WHERE corporation = 'A'"), 1);
        if database.is_file() {
            let types = "FROM clients WHERE corporation = 'largest'";
            assert_eq!(
                database.row(&["typeof(lastmonth_activity)", "typeof(number_of_employees)"], types),
                ["integer", "real"]
            );
        }
        let tenth = database.column(&database.exact("lastyear_activity"), "FROM clients WHERE number = 1");
        assert_eq!(number(&tenth[0]), 0.1);
    });
}

#[test]
fn ten_thousand_are_stored_and_replaced_by_the_next_ingestion() {
    on_each_history(Workspace::new, |workspace, database| {
        for rows in [10_000, 249, 250, 10_251] {
            many(workspace, rows);
            workspace.run("ingestion", &[]);
            check_clients(workspace, database);
        }
        let stored = database.rows(&["row_count", "stored"], "FROM datasets ORDER BY run_id");
        assert_eq!(stored, [["10000", "1"], ["249", "1"], ["250", "1"], ["10251", "1"]]);
    });
}

#[test]
fn an_unchanged_dataset_is_not_written_again() {
    on_each_history(Workspace::with_data, |workspace, database| {
        workspace.run("ingestion", &[]);
        database.sql("UPDATE clients SET corporation = 'marked' WHERE number = 1");
        workspace.run("ingestion", &[]);
        assert_eq!(database.count("FROM clients WHERE corporation = 'marked'"), 1);
        database.sql("DELETE FROM clients WHERE number > 100"); // a manual mistake, which the next run repairs
        workspace.run("ingestion", &[]);
        check_clients(workspace, database);
        assert_eq!(database.column("stored", "FROM datasets"), ["1", "1", "1"]);
    });
}

#[test]
fn they_can_be_left_out() {
    on_each_history(Workspace::with_data, |workspace, database| {
        for (store, rows) in [(false, 0), (true, 120), (false, 0), (true, 120)] {
            workspace.set("store_dataset", json!(store));
            workspace.run("ingestion", &[]);
            assert_eq!(database.count("FROM clients"), rows);
            let newest = database.column("stored", "FROM datasets ORDER BY run_id DESC LIMIT 1");
            assert_eq!(newest, [u8::from(store).to_string()]);
        }
        check_clients(workspace, database);
    });
}

#[test]
fn a_name_with_a_nul_is_quarantined() {
    on_each_history(Workspace::with_data, |workspace, database| {
        workspace.csv("practicedata/dataset3.csv", &format!("{}a\0b,1,2,3,1\n", rows("c", 60, false)));
        workspace.run("ingestion", &[]);
        let quarantined = database.column("quarantined", "FROM ingested_files ORDER BY name");
        assert_eq!(quarantined, ["0", "0", "1"]);
        assert_eq!(database.count("FROM clients"), 180);
        check_clients(workspace, database);
    });
}

#[test]
fn those_of_an_ingestion_that_failed_at_the_end_are_not_seen() {
    on_each_history(Workspace::new, |workspace, database| {
        many(workspace, 1000);
        workspace.run("ingestion", &[]);
        let before = clients_as_csv(database);
        database.sql("ALTER TABLE ingested_files RENAME TO hidden"); // this table is written after clients
        many(workspace, 2000);
        check_message(&workspace.fail("ingestion", &[]), &[&database.shown(), "run it again", "ingested_files"]);
        assert!(clients_as_csv(database) == before);
        assert_eq!(database.count("FROM runs"), 1);
        assert_eq!(read_json(workspace, "ingesteddata/ingestion.json")["rows"], 2000);

        database.sql("ALTER TABLE hidden RENAME TO ingested_files");
        workspace.run("ingestion", &[]);
        check_clients(workspace, database);
        assert_eq!(database.column("row_count", "FROM datasets ORDER BY run_id"), ["1000", "2000"]);
    });
}

#[test]
fn a_reader_sees_all_of_the_old_or_all_of_the_new() {
    on_each_history(Workspace::new, |workspace, database| {
        many(workspace, 10_000);
        workspace.run("ingestion", &[]);
        for (old, new) in [(10_000, 20_000), (20_000, 10_000)] {
            many(workspace, new);
            // The first reading is before the start, because on a busy machine an ingestion may end before the next one.
            let mut counts = vec![database.row(&["COUNT(*)", "MAX(number)"], "FROM clients")];
            let mut ingestion = workspace.command("ingestion").stdout(Stdio::null()).spawn().unwrap();
            let status = loop {
                counts.push(database.row(&["COUNT(*)", "MAX(number)"], "FROM clients"));
                if let Some(status) = ingestion.try_wait().unwrap() {
                    break status;
                }
            };
            assert!(status.success());
            counts.push(database.row(&["COUNT(*)", "MAX(number)"], "FROM clients"));
            counts.dedup();
            let whole = |n: usize| vec![n.to_string(), n.to_string()];
            assert_eq!(counts, [whole(old), whole(new)]);
        }
    });
}

#[test]
fn a_transaction_that_reads_them_late_does_not_see_them_gone() {
    on_each_history(Workspace::new, |workspace, database| {
        many(workspace, 1000);
        workspace.run("ingestion", &[]);
        let begin = match database {
            _ if database.is(Kind::Postgres) => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            _ if database.is_file() => "BEGIN",
            _ => "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        };
        // The reader has its snapshot, and has not read clients yet.
        let mut reader = database.sql_in_background(&format!("{begin}; SELECT COUNT(*) FROM runs;"));
        let mut said = [0; 2];
        reader.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert_eq!(&said, b"1\n");
        many(workspace, 2000);
        workspace.run("ingestion", &[]);
        writeln!(reader.stdin.as_mut().unwrap(), "SELECT COUNT(*) FROM clients;").unwrap();
        let output = reader.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "1000");
    });
}

#[test]
fn a_million_are_stored_whole() {
    on_each_history(Workspace::new, |workspace, database| {
        many(workspace, 1_000_000);
        workspace.run("ingestion", &[]);
        assert_eq!(database.count("FROM clients"), 1_000_000);
        assert_eq!(database.count("FROM clients WHERE corporation = 'client 999999' AND number = 1000000"), 1);
        assert_eq!(database.count("FROM clients WHERE lastmonth_activity = (number - 1) % 900"), 1_000_000);
    });
}
