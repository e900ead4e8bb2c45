//! Reads requests that record contacts: JSON or CSV of a customer management system, or the form of a page.

mod sent;

use actix_web::HttpRequest;
use actix_web::web::Query;
use common::files::checksum::Checksum;
use history::Contact;
use jiff::Timestamp;
use serde_json::{Map, Value};

use self::sent::{Sent, field};
use crate::limits::MOST_CONTACTS;
use crate::problem::Problem;

pub use self::sent::{LONGEST_NAME, LONGEST_NOTE};

/// Maximum length of an idempotency key in bytes.
pub const LONGEST_KEY: usize = 255;

/// Maximum length of the path to which a form returns, in bytes.
const LONGEST_PATH: usize = 2000;

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`: an object with a list of contacts, or one contact.
    Json,
    /// `text/csv`: a header and one contact per row.
    Csv,
    /// `application/x-www-form-urlencoded`: one contact.
    Form,
}

/// A request that was read and checked.
#[derive(Debug)]
pub struct Posted {
    pub contacts: Vec<Contact>,
    /// SHA-256 of the contacts as they were sent. A time that the service has added does not change it.
    pub sha256: Checksum,
    /// Identifies the request if it is sent again.
    pub key: Option<String>,
    /// What only a form has.
    pub form: Option<Form>,
}

/// What a form has besides the contact.
#[derive(Debug)]
pub struct Form {
    /// The path of the page that is shown afterwards.
    pub return_to: String,
}

impl Format {
    /// The format that the media type of a request names.
    ///
    /// # Errors
    /// [`Problem::UnsupportedType`] if it is none of the three.
    pub fn of(media_type: &str) -> Result<Self, Problem> {
        match media_type.to_ascii_lowercase().as_str() {
            "" | "application/json" => Ok(Self::Json),
            "text/csv" => Ok(Self::Csv),
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            _ => Err(Problem::UnsupportedType(format!(
                "the media type {media_type} is not supported; send application/json, text/csv or a form"
            ))),
        }
    }
}

/// The idempotency key in the head of a request; `None` if it has none.
///
/// # Errors
/// [`Problem::BadRequest`] if the key is not 1 to `LONGEST_KEY` visible ASCII characters.
pub fn key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut keys = request.headers().get_all("idempotency-key");
    let Some(key) = keys.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| is_key(key) && keys.next().is_none());
    let wrong = || format!("Idempotency-Key must be one value of 1 to {LONGEST_KEY} visible ASCII characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| Problem::BadRequest(wrong()))
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads the body of a request. The column of the client's id may have the name `id`; `key` is the key in the head of the
/// request; `now` is the time of contacts without one.
///
/// # Errors
/// [`Problem::BadRequest`] if the body cannot be parsed, [`Problem::WrongData`] if a contact is invalid,
/// [`Problem::TooLarge`] if there are more than `MOST_CONTACTS`.
pub fn read(format: Format, body: &[u8], id: &str, key: Option<String>, now: Timestamp) -> Result<Posted, Problem> {
    match format {
        Format::Json => posted(json(body, id)?, key, None, now),
        Format::Csv => posted(table(body, id)?, key, None, now),
        Format::Form => form(body, id, key, now),
    }
}

/// Contacts as they were sent, each with the text that names it in an error.
type Named = Vec<(String, Sent)>;

fn posted(sent: Named, key: Option<String>, form: Option<Form>, now: Timestamp) -> Result<Posted, Problem> {
    if sent.is_empty() {
        return Err(Problem::WrongData("the request has no contact; send at least one".to_owned()));
    }
    if sent.len() > MOST_CONTACTS {
        return Err(Problem::TooLarge(format!(
            "the request has {} contacts; send at most {MOST_CONTACTS} in each request",
            sent.len()
        )));
    }
    let check =
        |(name, sent): &(String, Sent)| sent.check(now).map_err(|wrong| Problem::WrongData(name.clone() + &wrong));
    let contacts = sent.iter().map(check).collect::<Result<_, _>>()?;
    let fields: Vec<&Sent> = sent.iter().map(|(_, sent)| sent).collect();
    let content = serde_json::to_vec(&fields).unwrap_or_default(); // texts are always serialised
    Ok(Posted { contacts, sha256: Checksum::of_bytes(&content), key, form })
}

fn json(body: &[u8], id: &str) -> Result<Named, Problem> {
    const EXPECTED: &str =
        "send {\"contacts\": [{\"corporation\": \"acme\", \"outcome\": \"reached\", \"by\": \"Anna\"}]}";
    let wrong = |wrong: &str| Problem::WrongData(format!("{wrong}; {EXPECTED}"));
    let mut object = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(wrong("the body is not a JSON object")),
        Err(error) => return Err(Problem::BadRequest(format!("the body is not JSON ({error}); {EXPECTED}"))),
    };
    let Some(contacts) = object.remove("contacts") else {
        return Ok(vec![(String::new(), contact(object, id).map_err(Problem::WrongData)?)]);
    };
    let Value::Array(contacts) = contacts else { return Err(wrong("contacts is not a list")) };
    if let Some(other) = object.keys().next() {
        return Err(wrong(&format!("{other:?} stands next to the list of contacts")));
    }
    let each = |(index, value)| {
        let name = format!("contacts[{index}]: ");
        let sent = match value {
            Value::Object(object) => contact(object, id),
            _ => Err("it is not an object".to_owned()),
        };
        match sent {
            Ok(sent) => Ok((name, sent)),
            Err(wrong) => Err(Problem::WrongData(name + &wrong)),
        }
    };
    contacts.into_iter().enumerate().map(each).collect()
}

/// One contact as JSON. A number in place of a text counts as its text, because ids may be numbers.
fn contact(object: Map<String, Value>, id: &str) -> Result<Sent, String> {
    let mut sent = Sent::default();
    for (name, value) in object {
        let value = match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Null => None,
            _ => return Err(format!("{name} is not a text")),
        };
        sent.set(field(&name, id)?, value)?;
    }
    Ok(sent)
}

fn table(body: &[u8], id: &str) -> Result<Named, Problem> {
    let at = |line: u64, wrong: String| Problem::WrongData(format!("line {line}: {wrong}"));
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = csv::Reader::from_reader(body);
    let unreadable = |error: csv::Error| at(error.position().map_or(1, csv::Position::line), describe(&error));
    let header = reader.headers().map_err(unreadable)?;
    let fields = header.iter().map(|name| field(name, id)).collect::<Result<Vec<usize>, _>>();
    let fields = fields.map_err(|wrong| at(1, wrong))?;
    let mut sent = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(1, csv::Position::line);
        let mut contact = Sent::default();
        for (field, text) in fields.iter().zip(&record) {
            contact.set(*field, Some(text.to_owned())).map_err(|wrong| at(1, wrong))?;
        }
        sent.push((format!("line {line}: "), contact));
    }
    Ok(sent)
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields, but the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
        _ => "it cannot be read".to_owned(),
    }
}

fn form(body: &[u8], id: &str, mut key: Option<String>, now: Timestamp) -> Result<Posted, Problem> {
    let body = std::str::from_utf8(body).ok().filter(|body| !body.trim_start().starts_with('{'));
    let body = body.ok_or_else(|| {
        Problem::BadRequest("the body is not a form; send JSON with Content-Type: application/json".to_owned())
    })?;
    let pairs = Query::<Vec<(String, String)>>::from_query(body);
    let pairs = pairs.map_err(|error| Problem::BadRequest(format!("the form cannot be read: {error}")))?;
    let mut sent = Sent::default();
    let mut return_to = "/".to_owned();
    for (name, text) in pairs.into_inner() {
        match name.as_str() {
            "key" if is_key(&text) => key = Some(text),
            "key" => {
                return Err(Problem::WrongData(format!("key must be 1 to {LONGEST_KEY} visible ASCII characters")));
            }
            "return" if is_local_path(&text) => return_to = text,
            "return" => return Err(Problem::WrongData("return must be a path on this site, such as /".to_owned())),
            name => field(name, id).and_then(|field| sent.set(field, Some(text))).map_err(Problem::WrongData)?,
        }
    }
    posted(vec![(String::new(), sent)], key, Some(Form { return_to }), now)
}

/// Whether a text is a path on this site, with a query and a fragment if there are any. Browsers read `//` and `/\` at the
/// beginning as another host.
fn is_local_path(text: &str) -> bool {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_visible && text.len() <= LONGEST_PATH && text.starts_with('/') && !text.starts_with("//")
}

#[cfg(test)]
mod tests;
