//! Thousands of almost valid bodies from fixed seeds: every error is a 4xx, never a 5xx.

use crate::helpers::{Api, OUTPUTS};

const BODIES: u32 = 4000;

const JSON: [&str; 4] = [
    r#"{"filepath": "testdata/testdata.csv"}"#,
    r#"{"rows": [{"corporation": "a", "lastmonth_activity": 12.5, "lastyear_activity": 340, "number_of_employees": 7}]}"#,
    r#"{"rows": [{"lastmonth_activity": null, "exited": [{"x": 1e5}]}, {"corporation": "gr\u00f6\u00dfe", "lastmonth_activity": -0.0}, {}]}"#,
    r#"{"rows": []}"#,
];

const CSV: [&str; 3] = [
    "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\na,1,2,3,0\nb,4.5,,6,1\n",
    "\u{feff}exited,number_of_employees,corporation,lastyear_activity,lastmonth_activity\r\n0,60,\"b, \"\"c\"\"\",40,5\r\n,3,größe,NA,800",
    "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n",
];

/// Tokens that mutations insert: those with a meaning in one of the formats, and those that often break parsers.
const TOKENS: [&[u8]; 32] = [
    b"\"",
    b"\"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b",",
    b",,,,,,,,",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"null",
    b"NaN",
    b"-",
    b"1e999",
    b"-1e-999",
    b"9007199254740993",
    b"99999999999999999999999999",
    b"0x1F",
    b"../",
    b"%00",
    b"\"rows\":",
    b"\"filepath\":",
    b"exited",
];

#[test]
fn no_body_makes_a_server_error() {
    let api = Api::deployed();
    let before = api.workspace.snapshot(&OUTPUTS);
    let mut random = Random(0x5eed);
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    for i in 0..BODIES {
        let (content_type, body) = match i % 2 {
            0 => ("application/json", JSON[random.below(JSON.len())]),
            _ => ("text/csv", CSV[random.below(CSV.len())]),
        };
        let body = random.mutated(body.as_bytes());
        let answer = api.post("", content_type, &body);
        let shown = String::from_utf8_lossy(&body);
        *statuses.entry(answer.status).or_default() += 1;
        match answer.status {
            200 => {
                let answer = answer.ok();
                let rows = answer["predictions"].as_array().unwrap().len();
                for list in ["probabilities", "corporations"] {
                    assert_eq!(answer[list].as_array().unwrap().len(), rows, "{shown:?}");
                }
                // JSON would represent NaN as null.
                assert!(
                    answer["probabilities"].as_array().unwrap().iter().all(serde_json::Value::is_number),
                    "{shown:?}"
                );
            }
            status @ (400 | 404 | 422) => api.check_problem(&format!("{shown:?}"), &answer, status, &[]),
            status => panic!("{status} for {shown:?}"),
        }
    }
    // Otherwise the mutations are too mild or too wild to test anything.
    assert!(statuses.get(&200).is_some_and(|n| *n > BODIES / 20), "{statuses:?}");
    assert!(statuses.get(&422).is_some_and(|n| *n > BODIES / 10), "{statuses:?}");
    assert!(api.workspace.snapshot(&OUTPUTS) == before, "a request has changed an output");
    api.check_alive();
}

/// Almost valid inference requests. Those with a number have so many bytes of JSON, which binary data follow.
const TENSORS: [(&[u8], Option<usize>); 4] = [
    (
        br#"{"id": "x", "inputs": [{"name": "lastmonth_activity", "shape": [2], "datatype": "FP64", "data": [12.5, null]}, {"name": "corporation", "shape": [2, 1], "datatype": "BYTES", "data": [["a"], ["gr\u00f6\u00dfe"]]}]}"#,
        None,
    ),
    (
        br#"{"inputs": [{"name": "number_of_employees", "shape": [1], "datatype": "UINT16", "data": [7]}], "outputs": [{"name": "probability", "parameters": {"binary_data": true}}]}"#,
        None,
    ),
    (
        b"{\"inputs\": [{\"name\": \"lastyear_activity\", \"shape\": [2], \"datatype\": \"INT8\", \"parameters\": {\"binary_data_size\": 2}}]}\x05\x07",
        Some(116),
    ),
    (
        b"{\"inputs\": [{\"name\": \"corporation\", \"shape\": [2], \"datatype\": \"BYTES\", \"parameters\": {\"binary_data_size\": 11}}]}\x01\0\0\0a\x02\0\0\0\xc3\xb6",
        Some(112),
    ),
];

#[test]
fn no_tensor_makes_a_server_error() {
    let api = Api::deployed();
    let mut random = Random(0x7e2502);
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    for i in 0..2000 {
        let (body, head) = TENSORS[i % TENSORS.len()];
        let body = if i < TENSORS.len() { body.to_vec() } else { random.mutated(body) };
        let length = head.map(|length| length.to_string());
        let headers: Vec<_> =
            length.iter().map(|length| ("inference-header-content-length", length.as_str())).collect();
        let shown = String::from_utf8_lossy(&body);
        let answer = api.status_of("/v2/models/risk/infer", &headers, &body);
        *statuses.entry(answer).or_default() += 1;
        assert!(matches!(answer, 200 | 400 | 413), "{answer} for {shown:?}");
        assert!(i >= TENSORS.len() || answer == 200, "{answer} for {shown:?}");
    }
    assert!(statuses.get(&200).is_some_and(|n| *n > 20), "{statuses:?}");
    assert!(statuses.get(&400).is_some_and(|n| *n > 500), "{statuses:?}");
    api.check_alive();
}

/// Almost valid requests that record contacts.
const CONTACTS: [(&str, &str); 4] = [
    (
        "application/json",
        r#"{"contacts": [{"corporation": "a0", "outcome": "reached", "by": "A", "at": "2026-11-30T09:00:00Z"}, {"corporation": "b", "outcome": "is_leaving", "by": "B", "note": "gr\u00f6\u00dfe"}]}"#,
    ),
    ("application/json", r#"{"corporation": 17, "outcome": "not_reached", "by": "A", "note": null}"#),
    (
        "text/csv",
        "corporation,outcome,by,note,at\na0,reached,A,\"x, \"\"y\"\"\",2026-11-30T09:00:00Z\r\nb,is_leaving,B,,\n",
    ),
    (
        "application/x-www-form-urlencoded",
        "corporation=a0&outcome=promised_to_stay&by=A+B&note=one%0D%0Atwo&return=/clients/a0",
    ),
];

#[test]
fn every_contact_is_recorded_or_refused() {
    let api = Api::deployed();
    let mut random = Random(0xca11);
    let (mut recorded, mut refused) = (0, 0);
    for i in 0..1500 {
        let (content_type, body) = CONTACTS[i % CONTACTS.len()];
        let body = random.mutated(body.as_bytes());
        let Ok(body) = String::from_utf8(body) else { continue };
        let answer = api.post_contacts(&[], content_type, &body);
        match answer.status {
            201 => recorded += answer.json()["recorded"].as_u64().unwrap(),
            303 => recorded += 1,
            status @ (400 | 422) => {
                api.check_problem(&format!("{body:?}"), &answer, status, &[]);
                refused += 1;
            }
            status => panic!("{status} for {body:?}"),
        }
    }
    assert!(recorded > 200 && refused > 200, "{recorded} {refused}");
    assert_eq!(api.contacts().len() as u64, recorded);
}

/// xorshift64 generator with a fixed seed, so the bodies are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    /// Returns `body` after one to three mutations.
    fn mutated(&mut self, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        for _ in 0..=self.below(3) {
            let (a, b) = (self.below(body.len() + 1), self.below(body.len() + 1));
            let (from, to) = (a.min(b), a.max(b));
            match self.below(10) {
                0 if from < body.len() => body[from] ^= 1 << self.below(8),
                1 => drop(body.drain(from..to.min(from + 8))),
                2 => body.truncate(to),
                3 => {
                    let repeated = body[from..to].to_vec();
                    body.splice(to..to, repeated);
                }
                // Mild mutations: another digit, or more digits.
                4..=6 => {
                    if let Some(index) = (from..body.len()).find(|index| body[*index].is_ascii_digit()) {
                        let digits = (0..=self.below(3)).map(|_| b'0' + self.below(10) as u8).collect::<Vec<_>>();
                        body.splice(index..=index, digits);
                    }
                }
                _ => {
                    let token = TOKENS[self.below(TOKENS.len())];
                    body.splice(from..(from + self.below(3)).min(body.len()), token.iter().copied());
                }
            }
        }
        body
    }
}
