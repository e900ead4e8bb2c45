//! Rows of an input database as a file of their own.
//!
//! Each time there are new rows, ingestion stores them as a batch, a CSV file in the output folder that never changes
//! again. From then on, a batch is treated like any other file.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::database::{InputDatabase, InputRows};
use crate::files::checksum::Checksum;

/// Rows that were read from a database together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Address of the database, without user and password.
    pub database: String,
    /// Name of the table, or text of the query.
    pub rows: String,
    /// Name of the growing column.
    pub column: String,
    /// Watermark before the batch; `None` in the first batch.
    pub above: Option<Watermark>,
    /// Watermark after the batch: the highest value of the column in these rows.
    pub up_to: Watermark,
    /// The releases that know a batch that ingestion has merged from others; `None` if it was read at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
}

/// Which releases know a file that consists of merged batches. None of them has it in its own list of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// SHA-256 of the file. The rest says nothing about a file with another content.
    pub sha256: Checksum,
    /// Ids of the releases that were trained on every part or checked against it.
    pub known_by: Vec<String>,
}

/// A watermark: a value of the growing column. Rows with a higher value are new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a watermark: a whole number, or 1 to 100 ASCII letters, digits, spaces and characters of :.+-_"
)]
pub enum Watermark {
    /// An integer value of the column.
    Integer(i64),
    /// A time or another text that contains only the characters allowed by [`Watermark::text`].
    Text(#[serde(deserialize_with = "allowed_text")] String),
}

/// Deserialises the text of a watermark. It is checked, because the file may have been edited.
fn allowed_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_allowed(&text) { Ok(text) } else { Err(D::Error::custom("a character is not allowed")) }
}

fn is_allowed(text: &str) -> bool {
    let harmless = |letter: char| letter.is_ascii_alphanumeric() || " :.+-_".contains(letter);
    !text.is_empty() && text.len() <= 100 && text.chars().all(harmless)
}

impl Watermark {
    /// Creates a watermark from a text; `None` if the text is empty, longer than 100 bytes, or contains other
    /// characters than ASCII letters, digits and those used to write times. The allowed characters need no quoting in
    /// an SQL statement or a file name.
    pub fn text(text: &str) -> Option<Self> {
        is_allowed(text).then(|| Self::Text(text.to_owned()))
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { above, up_to, .. } = self;
        match above {
            Some(above) => write!(f, "{} above {above} up to {up_to}", self.source()),
            None => write!(f, "{} up to {up_to}", self.source()),
        }
    }
}

impl Batch {
    /// Creates the batch of the rows of `input` above one watermark, up to and including another.
    pub fn new(input: &InputDatabase, above: Option<Watermark>, up_to: Watermark) -> Self {
        let rows = match &input.rows {
            InputRows::Table(rows) | InputRows::Query(rows) => rows.clone(),
        };
        Self { database: input.url.to_string(), rows, column: input.column.clone(), above, up_to, merged: None }
    }

    /// Returns a name for the batch's file. No other batch has the same name.
    pub fn file_name(&self, input: &InputDatabase) -> String {
        let Self { database, rows, column, above, up_to, .. } = self;
        let identity = Checksum::of_bytes(format!("{database}\n{rows}\n{column}\n{above:?}\n{up_to}").as_bytes());
        format!("database.{}.{column}.{up_to}.{}.csv", input.name(), &identity.short()[..6])
    }

    /// Returns the watermark in `shown`, the text of a batch, if that batch is of the same source.
    pub fn watermark_in<'t>(&self, shown: &'t str) -> Option<&'t str> {
        let range = shown.strip_prefix(&self.source())?;
        range.rsplit_once(" up to ").map(|(_, up_to)| up_to)
    }

    /// Returns the beginning of the text of every batch of this source.
    fn source(&self) -> String {
        format!("{}, {}: {}", self.database, self.rows, self.column)
    }

    pub(crate) fn is_from(&self, input: &InputDatabase) -> bool {
        let merged = self.merged.clone();
        *self == Self { merged, ..Self::new(input, self.above.clone(), self.up_to.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_is_found_in_the_text_of_a_batch_of_the_same_source() {
        let batch = |rows: &str, above: Option<i64>, up_to: &str| Batch {
            database: "crm.sqlite".into(),
            rows: rows.into(),
            column: "id".into(),
            above: above.map(Watermark::Integer),
            up_to: Watermark::Text(up_to.into()),
            merged: None,
        };
        let of = batch("activity", None, "1");
        for (above, up_to) in [(None, "7"), (Some(-3), "2026-11-23 09:00")] {
            let shown = batch("activity", above, up_to).to_string();
            assert_eq!(of.watermark_in(&shown), Some(up_to), "{shown}");
        }
        assert_eq!(of.watermark_in(&batch("another", None, "7").to_string()), None);
        assert_eq!(of.watermark_in("accounts.csv"), None);
    }

    #[test]
    fn a_watermark_has_no_character_that_could_end_a_text_in_a_statement_or_leave_a_folder() {
        for text in ["2026-11-23 09:00:00.5+00", "01JDC0K8", "a_b"] {
            assert_eq!(Watermark::text(text).unwrap().to_string(), text);
        }
        for text in ["", "o'neil", "a/b", "a\\b", "a\"b", "a;b", "größe", "a\0"] {
            assert_eq!(Watermark::text(text), None, "{text}");
        }
        assert_eq!(
            serde_json::to_string(&[Watermark::Integer(-3), Watermark::Text("3".into())]).unwrap(),
            "[-3,\"3\"]"
        );
        assert_eq!(serde_json::from_str::<Watermark>("-3").unwrap(), Watermark::Integer(-3));
        assert_eq!(serde_json::from_str::<Watermark>("\"a\"").unwrap(), Watermark::Text("a".into()));
        let error = serde_json::from_str::<Watermark>("\"' OR 1 --\"").unwrap_err().to_string();
        assert!(error.contains("expected a watermark"), "{error}");
    }
}
