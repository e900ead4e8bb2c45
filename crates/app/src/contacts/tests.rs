//! Tests of the three formats, without a service.

use super::*;
use history::CallOutcome;

const NOW: &str = "2026-11-30T12:00:00Z";

fn read(format: Format, body: &[u8]) -> Result<Posted, Problem> {
    super::read(format, body, "customerID", None, NOW.parse().unwrap())
}

fn refusal(format: Format, body: &[u8]) -> String {
    read(format, body).unwrap_err().to_string()
}

#[test]
fn the_three_formats_give_the_same_contact() {
    let json = r#"{"contacts": [{"corporation": "größe & co", "outcome": "is_leaving", "by": " Anna ",
        "note": "two\r\nlines", "at": "2026-11-30T10:00:00+01:00"}]}"#;
    let one = r#"{"customerID": "größe & co", "outcome": "is_leaving", "by": "Anna", "note": "two\nlines", "at": "2026-11-30T09:00:00Z"}"#;
    let csv =
        "\u{feff}at,by,customerID,outcome,note\r\n2026-11-30T09:00:00Z,Anna,größe & co,is_leaving,\"two\nlines\"\r\n";
    let form = "corporation=gr%C3%B6%C3%9Fe+%26+co&outcome=is_leaving&by=Anna&note=two%0D%0Alines&at=2026-11-30T09:00:00Z&key=k&return=/clients/a%3Fb%23c";
    let expected = Contact {
        client: "größe & co".to_owned(),
        outcome: CallOutcome::IsLeaving,
        by: "Anna".to_owned(),
        note: "two\nlines".to_owned(),
        at: "2026-11-30T09:00:00Z".parse().unwrap(),
    };
    for (format, body) in [(Format::Json, json), (Format::Json, one), (Format::Csv, csv), (Format::Form, form)] {
        let posted = read(format, body.as_bytes()).unwrap();
        assert_eq!(posted.contacts, std::slice::from_ref(&expected), "{body}");
        assert_eq!(posted.form.is_some(), format == Format::Form);
    }
    let posted = read(Format::Form, form.as_bytes()).unwrap();
    assert_eq!((posted.key.as_deref(), posted.form.unwrap().return_to.as_str()), (Some("k"), "/clients/a?b#c"));
}

#[test]
fn the_checksum_is_of_what_was_sent() {
    let one = r#"{"corporation": "a", "outcome": "reached", "by": "Anna"}"#;
    let sha256 = |format, body: &str, now: &str| {
        let posted = super::read(format, body.as_bytes(), "corporation", None, now.parse().unwrap()).unwrap();
        (posted.contacts[0].at, posted.sha256)
    };
    let (first, later) = (sha256(Format::Json, one, NOW), sha256(Format::Json, one, "2026-12-01T00:00:00Z"));
    assert!(first.0 != later.0 && first.1 == later.1);
    // Neither the format nor the order of the fields counts.
    let csv = "outcome,by,corporation,note\nreached,Anna,a,\n";
    assert_eq!(sha256(Format::Csv, csv, NOW).1, first.1);
    assert_eq!(sha256(Format::Form, "corporation=a&by=Anna&outcome=reached&return=/x&key=1&note=", NOW).1, first.1);
    for other in [
        one.replace("\"a\"", "\"b\""),
        one.replace("reached", "not_reached"),
        one.replace('}', ", \"note\": \"x\"}"),
        format!(r#"{{"contacts": [{one}, {one}]}}"#),
    ] {
        assert_ne!(sha256(Format::Json, &other, NOW).1, first.1, "{other}");
    }
}

#[test]
fn a_wrong_contact_is_named_with_its_field() {
    let contact = |change: &str| {
        let fields = [("corporation", "a"), ("outcome", "reached"), ("by", "Anna")];
        let mut object: Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let changes: Map<String, Value> = serde_json::from_str(change).unwrap();
        object.extend(changes);
        Value::from(object).to_string()
    };
    let long = |name: &str, n: usize| format!(r#"{{"{name}": "{}"}}"#, "ä".repeat(n));
    for (change, part) in [
        (r#"{"corporation": null}"#, "corporation is missing"),
        (r#"{"corporation": ""}"#, "corporation is missing"),
        (r#"{"corporation": "a\nb"}"#, "corporation"),
        (&long("corporation", 501), "corporation holds a control character or is longer than 1000 bytes"),
        (r#"{"outcome": null}"#, "outcome is missing"),
        (r#"{"outcome": "Reached"}"#, "expected one of not_reached, reached, promised_to_stay, is_leaving"),
        (r#"{"outcome": ["reached"]}"#, "outcome is not a text"),
        (r#"{"by": "  "}"#, "by is missing"),
        (r#"{"by": "A\u0007"}"#, "by contains a control character"),
        (&long("by", 101), "by is longer than 100 characters"),
        (r#"{"note": "a\u0000b"}"#, "note contains a control character"),
        (r#"{"note": "a\tb"}"#, "note contains a control character"),
        (&long("note", 2001), "note is longer than 2000 characters"),
        (r#"{"at": "yesterday"}"#, "expected a time such as"),
        (r#"{"at": "2026-11-30T09:00:00"}"#, "expected a time such as"),
        (r#"{"at": "2026-11-30T12:05:01Z"}"#, "in the future"),
        (r#"{"at": "1999-12-31T23:59:59Z"}"#, "before the year 2000"),
        (r#"{"customerID": "b"}"#, "corporation is given twice"),
        (r#"{"who": "b"}"#, "\"who\" is no field of a contact; the fields are corporation, outcome, by, note, at"),
    ] {
        let body = contact(change);
        let one = refusal(Format::Json, body.as_bytes());
        assert!(one.contains(part), "{part:?} is not in {one:?}");
        let listed = format!(r#"{{"contacts": [{}, {body}]}}"#, contact("{}"));
        assert_eq!(refusal(Format::Json, listed.as_bytes()), format!("contacts[1]: {one}"));
    }
    for fine in [
        long("corporation", 500),
        long("by", 100),
        long("note", 2000),
        r#"{"at": "2026-11-30T12:05:00Z", "note": "a\nb"}"#.to_owned(),
        r#"{"at": "2000-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"corporation": 17}"#.to_owned(),
    ] {
        read(Format::Json, contact(&fine).as_bytes()).unwrap();
    }
}

#[test]
fn a_body_that_cannot_be_read_is_refused_with_the_place() {
    let row = "a,reached,Anna\n";
    let table = |rows: &str| format!("corporation,outcome,by\n{rows}");
    for (format, body, part) in [
        (Format::Json, "".to_owned(), "not JSON"),
        (Format::Json, "{".to_owned(), "not JSON"),
        (Format::Json, "[]".to_owned(), "not a JSON object"),
        (Format::Json, r#"{"contacts": {}}"#.to_owned(), "contacts is not a list"),
        (Format::Json, r#"{"contacts": []}"#.to_owned(), "no contact"),
        (Format::Json, r#"{"contacts": [7]}"#.to_owned(), "contacts[0]: it is not an object"),
        (Format::Json, r#"{"contacts": [], "by": "Anna"}"#.to_owned(), "\"by\""),
        (Format::Json, "{}".to_owned(), "corporation is missing"),
        (Format::Csv, "".to_owned(), "no contact"),
        (Format::Csv, table(""), "no contact"),
        (Format::Csv, table(&format!("{row}a,reached\n")), "line 3: it has 2 fields, but the header has 3"),
        (Format::Csv, table(&format!("{row}a,called,Anna\n")), "line 3: outcome is \"called\""),
        (Format::Csv, table(row).replace("by", "who"), "line 1: \"who\" is no field"),
        (Format::Csv, table(row).replace("by", "outcome"), "line 1: outcome is given twice"),
        (Format::Csv, "corporation,outcome\na,reached\n".to_owned(), "line 2: by is missing"),
        (Format::Form, r#"{"corporation": "a"}"#.to_owned(), "Content-Type: application/json"),
        (Format::Form, "corporation=a&outcome=reached&by=A&by=B".to_owned(), "by is given twice"),
        (Format::Form, "corporation=a&outcome=reached&by=A&key=a+b".to_owned(), "key must be"),
    ] {
        let refusal = refusal(format, body.as_bytes());
        assert!(refusal.contains(part), "{body:?}: {part:?} is not in {refusal:?}");
    }
    assert!(refusal(Format::Csv, b"corporation,outcome,by\na,reached,\xff\n").contains("line 2: it is not UTF-8"));
    let many = table(&row.repeat(MOST_CONTACTS + 1));
    assert!(matches!(read(Format::Csv, many.as_bytes()), Err(Problem::TooLarge(_))));
    assert_eq!(read(Format::Csv, table(&row.repeat(MOST_CONTACTS)).as_bytes()).unwrap().contacts.len(), MOST_CONTACTS);
}

#[test]
fn a_form_returns_only_to_this_site() {
    for own in ["/", "/clients/a%20b?x=1#calls", "/?q=//evil.example"] {
        assert!(is_local_path(own), "{own}");
    }
    for other in ["", "x", "//evil.example", "/\\evil.example", "https://evil.example/", "/a b", "/\u{e4}", "/\r\nX: y"]
    {
        assert!(!is_local_path(other), "{other}");
    }
}
