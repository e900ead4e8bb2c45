//! Input that no HTTP client would send: it gets a 4xx or no answer, and the service continues to work.

use std::io::Write;
use std::net::Shutdown;
use std::thread;

use crate::helpers::{Api, read_answer};

const GOOD: &str = r#"{"rows": [{"lastmonth_activity": 1}]}"#;

#[test]
fn rubbish_on_the_socket_is_refused_and_harms_nobody() {
    let api = Api::deployed();
    let post = |headers: &str, body: &str| {
        format!("POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}")
    };
    let many_headers = (0..5000).map(|i| format!("X-{i}: y\r\n")).collect::<String>();
    let rubbish: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", b"".to_vec()),
        ("a line end", b"\r\n\r\n".to_vec()),
        ("half a request line", b"GET /sco".to_vec()),
        ("no version", b"GET /scoring\r\n\r\n".to_vec()),
        ("half a header", b"GET /scoring HTTP/1.1\r\nHost".to_vec()),
        ("headers without an end", b"POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n".to_vec()),
        ("no host, no length", b"POST /prediction HTTP/1.1\r\n\r\n".to_vec()),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2 without being asked", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("an unknown version", b"GET /scoring HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec()),
        ("control characters", b"GET /\x00\x01\x7f HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("bytes that are no text", b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n".to_vec()),
        ("no path", b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("an address as the path", b"GET http://elsewhere/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec()),
        ("a tunnel", b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n".to_vec()),
        ("a line that never ends", vec![b'A'; 1 << 20]),
        ("a path that never ends", [b"GET /".to_vec(), vec![b'a'; 1 << 20]].concat()),
        ("a huge header", post(&format!("X: {}\r\n", "y".repeat(1 << 20)), GOOD).into_bytes()),
        ("thousands of headers", post(&many_headers, GOOD).into_bytes()),
        ("a header without a colon", post("nonsense\r\nConnection: close\r\n", GOOD).into_bytes()),
        ("a length that is no number", post("Content-Length: many\r\n", GOOD).into_bytes()),
        ("a negative length", post("Content-Length: -1\r\n", GOOD).into_bytes()),
        ("a length beyond all numbers", post("Content-Length: 99999999999999999999999\r\n", GOOD).into_bytes()),
        ("two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", GOOD).into_bytes()),
        ("more announced than sent", post("Content-Length: 1000\r\n", GOOD).into_bytes()),
        ("less announced than sent", post("Content-Length: 3\r\n", GOOD).into_bytes()),
        ("length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "zz\r\n").into_bytes()),
        ("chunks of no size", post("Transfer-Encoding: chunked\r\n", "zz\r\nrubbish\r\n0\r\n\r\n").into_bytes()),
        ("a chunk that is cut short", post("Transfer-Encoding: chunked\r\n", "ff\r\n{").into_bytes()),
        ("a chunk beyond all numbers", post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffffff\r\n{").into_bytes()),
        ("a negative chunk", post("Transfer-Encoding: chunked\r\n", "-5\r\nabcde\r\n0\r\n\r\n").into_bytes()),
        ("an unknown transfer encoding", post("Transfer-Encoding: rubbish\r\n", GOOD).into_bytes()),
        ("compressed, but not", post("Content-Encoding: gzip\r\nContent-Length: 7\r\nConnection: close\r\n", "rubbish").into_bytes()),
        ("a zip bomb's name", post("Content-Encoding: br\r\nContent-Length: 7\r\nConnection: close\r\n", "rubbish").into_bytes()),
        ("a content type of bytes", b"POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Type: \xff\xfe\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{".to_vec()),
        ("an upgrade", b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_vec()),
        ("an expectation", post("Expect: nonsense\r\nContent-Length: 1\r\nConnection: close\r\n", "{").into_bytes()),
    ];
    // In parallel, because the service may wait until its time limits for input that it cannot parse.
    thread::scope(|scope| {
        for (what, bytes) in &rubbish {
            let api = &api;
            scope.spawn(move || {
                let answer = api.raw(bytes);
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{what}: {answer}");
                // Every status is checked, because the input may have been parsed as several requests.
                for status in statuses(&answer) {
                    assert!(["1", "4"].iter().any(|class| status.starts_with(class)), "{what}: {answer}");
                }
            });
        }
    });
    api.check_alive();
}

#[test]
fn a_chunked_body_is_read_as_any_other() {
    let api = Api::deployed();
    let (head, tail) = GOOD.split_at(7);
    let answer = api.raw(
        format!(
            "POST /prediction HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\n\r\n",
            head.len(),
            tail.len()
        )
        .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"probabilities\":["), "{answer}");
}

#[test]
fn a_byte_order_mark_may_come_in_several_chunks() {
    let api = Api::deployed();
    let table = format!("\u{feff}{}a,1,2,3,0\n", testkit::HEADER);
    let mut stream = api.connect();
    let head = "POST /prediction HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/csv\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for chunk in [&table.as_bytes()[..1], &table.as_bytes()[1..2], &table.as_bytes()[2..]] {
        stream.write_all(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).unwrap();
        stream.flush().unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let answer = read_answer(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"corporations\":[\"a\"]"), "{answer}");
}

#[test]
fn slow_and_silent_clients_keep_nobody_waiting() {
    let api = Api::deployed();
    let silent: Vec<_> = (0..200)
        .map(|i| {
            let mut stream = api.connect();
            if i % 2 == 0 {
                stream.write_all(b"POST /prediction HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"rows\"").unwrap();
            }
            stream
        })
        .collect();
    api.check_alive();
    for mut stream in silent {
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = read_answer(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order() {
    let api = Api::deployed();
    let request = |body: &str, close: &str| {
        format!("POST /prediction HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{close}\r\n{body}", body.len())
    };
    let (bad, end) = (r#"{"rows": 1}"#, "Connection: close\r\n");
    let answer = api.raw((request(GOOD, "") + &request(bad, "") + &request(GOOD, end)).as_bytes());
    assert_eq!(statuses(&answer), ["200", "422", "200"], "{answer}");
}

/// The status codes of the responses that arrived over one connection.
pub fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}
