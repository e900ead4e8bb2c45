//! Thousands of simultaneous clients that neither finish their requests nor read, while the database is locked: other
//! clients are not affected.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use testkit::Workspace;

use crate::connections::lock_database;
use crate::helpers::{Api, wait_until};

/// Bodies that never end. A bit more than twice as many open files must be permitted: one per body for the client's end
/// and one for the service's end.
const BODIES: usize = 8_000;

/// Clients that request 10,000 calls, which are 5 MB, and do not read them.
const READERS: usize = 200;

fn status(api: &Api, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", api.server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim_end_matches("kB").trim().parse().unwrap()
}

fn open_files(api: &Api) -> usize {
    fs::read_dir(format!("/proc/{}/fd", api.server.child.id())).unwrap().count()
}

#[test]
fn clients_that_neither_finish_nor_read_hinder_nobody() {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    assert!(files > (BODIES + READERS + 500) as u64, "this test needs {BODIES} open files, the system grants {files}");
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/many.csv", &testkit::rows("m", 12_000, false));
    workspace.deploy();
    let api = Api::of(workspace);
    api.get("/calllist").ok();
    let before = open_files(&api);
    let lock = lock_database(&api);
    let connect = || {
        let mut made = None;
        // The service may accept connections more slowly than the backlog fills.
        wait_until("a connection is made", || {
            made = TcpStream::connect(api.address()).ok();
            made.is_some()
        });
        made.unwrap()
    };
    let mut streams = Vec::new();
    let ask = |streams: &mut Vec<TcpStream>, text: &str| {
        let mut stream = connect();
        stream.write_all(text.as_bytes()).unwrap();
        streams.push(stream);
    };
    for i in 0..BODIES {
        let body =
            "POST /prediction HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"rows\"\r\n";
        ask(&mut streams, body);
        if i % 100 == 0 {
            api.check_alive();
        }
    }
    for _ in 0..READERS {
        ask(&mut streams, "GET /calllist?limit=100000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    }
    for _ in 0..100 {
        api.check_alive();
        api.get("/health/live").ok();
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(api.get("/").status, 200);
    wait_until("all connections have ended", || {
        api.check_alive();
        open_files(&api) < before + 50
    });
    let peak = status(&api, "VmHWM") / 1024;
    assert!(peak < 300, "{peak} MiB");
    drop((lock, streams));
    wait_until("the history is read again", || api.get("/history").status == 200);
}
