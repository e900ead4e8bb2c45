//! The fields of one contact as they were sent, and their rules, which are the same in all formats.

use dataset::row::check_text;
use history::{CallOutcome, Contact};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// The names of the fields. The first one is also known by the name of the id column.
const FIELDS: [&str; 5] = ["corporation", "outcome", "by", "note", "at"];

/// Maximum number of characters in the name of the person who called.
pub const LONGEST_NAME: usize = 100;

/// Maximum number of characters in a note.
pub const LONGEST_NOTE: usize = 2000;

/// How far the clock of a client may be ahead.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A contact as it was sent: the fields in the order of `FIELDS`; `None` for one that was not sent or is empty.
#[derive(Debug, Default, Serialize)]
pub struct Sent([Option<String>; FIELDS.len()]);

/// The index of the field called `name`; the client's id may also be called `id`.
pub fn field(name: &str, id: &str) -> Result<usize, String> {
    let known = FIELDS.iter().position(|field| *field == name).or((name == id).then_some(0));
    known.ok_or_else(|| format!("{name:?} is no field of a contact; the fields are {}", FIELDS.join(", ")))
}

impl Sent {
    /// Sets a field.
    ///
    /// # Errors
    /// Fails if the field was set before.
    pub fn set(&mut self, field: usize, value: Option<String>) -> Result<(), String> {
        let value = value.filter(|text| !text.is_empty());
        match value.is_some() && self.0[field].is_some() {
            true => Err(format!("{} is given twice", FIELDS[field])),
            false => {
                self.0[field] = value.or_else(|| self.0[field].take());
                Ok(())
            }
        }
    }

    /// Checks the fields; an error continues a text such as `contacts[3]: `. `now` is the time of a contact without one.
    pub fn check(&self, now: Timestamp) -> Result<Contact, String> {
        let [client, outcome, by, note, at] = self.0.each_ref().map(Option::as_deref);
        let client = client.ok_or("corporation is missing")?;
        let client = check_text(FIELDS[0], client).map_err(|wrong| wrong.to_string())?;
        let outcome = outcome.ok_or("outcome is missing")?;
        let known = CallOutcome::ALL.iter().find(|known| known.as_str() == outcome);
        let outcome = *known.ok_or_else(|| {
            let all: Vec<_> = CallOutcome::ALL.iter().map(|known| known.as_str()).collect();
            format!("outcome is {outcome:?}; expected one of {}", all.join(", "))
        })?;
        let by = by.map(str::trim).filter(|by| !by.is_empty()).ok_or("by is missing: who has called")?;
        let by = text("by", by, LONGEST_NAME, |_| false)?;
        // Browsers send the line ends of a form as CR LF.
        let note = note.unwrap_or_default().replace("\r\n", "\n");
        let note = text("note", note.trim_end(), LONGEST_NOTE, |letter| letter == '\n')?;
        let at = at.map_or(Ok(now), |at| time(at, now))?;
        Ok(Contact { client: client.to_owned(), outcome, by, note, at })
    }
}

/// Checks a text of at most `longest` characters without control characters other than those that `permits`.
fn text(name: &str, text: &str, longest: usize, permits: fn(char) -> bool) -> Result<String, String> {
    if text.chars().count() > longest {
        return Err(format!("{name} is longer than {longest} characters"));
    }
    match text.chars().any(|letter| letter.is_control() && !permits(letter)) {
        true => Err(format!("{name} contains a control character")),
        false => Ok(text.to_owned()),
    }
}

/// Parses the time of a call.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    const FIRST: i64 = 946_684_800; // 2000-01-01T00:00:00Z
    let at: Timestamp =
        text.parse().map_err(|_| format!("at is {text:?}; expected a time such as 2026-11-30T09:00:00Z"))?;
    if at.duration_since(now) > TOLERANCE {
        return Err(format!("at is {text}, which is in the future"));
    }
    match at.as_second() < FIRST {
        true => Err(format!("at is {text}, which is before the year 2000")),
        false => Ok(at),
    }
}
