//! Reads the JSON body of a request by the columns of the live release, and passes its rows on one by one, so that a body
//! needs no more memory than its own bytes.

use std::borrow::Cow;
use std::fmt;

use common::schema::{Kind, MOST_PREDICTORS, Predictor, Schema};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::limits::MOST_SENT_ROWS;
use crate::problem::Problem;

/// One client as it was sent; nothing is checked except the types.
pub struct SentRow<'r, 'b> {
    pub id: Option<Text<'b>>,
    /// The predictors in the order of the schema; `None` for a key that is absent or null.
    pub values: &'r [Option<SentValue<'b>>],
}

/// A value of a predictor.
pub enum SentValue<'b> {
    /// The value of a count or a number. A whole number above 2^53 in a column of counts is rounded up and not to 2^53,
    /// because 2^53 is allowed.
    Number(f64),
    /// The value of a category.
    Text(Text<'b>),
}

/// A string; a number or a boolean counts as its text in JSON.
pub struct Text<'b>(pub Cow<'b, str>);

/// The keys of a body, without the rows.
#[derive(Default)]
pub struct SentKeys {
    pub filepath: Option<String>,
    /// Whether the body contains rows.
    pub has_rows: bool,
}

/// A function that is called with the index of a row and the row; an error ends the reading.
pub type EachRow<'e> = dyn FnMut(usize, &SentRow) -> Result<(), Problem> + 'e;

/// The reading of one body.
pub struct Reading<'s, 'e, 'b> {
    schema: &'s Schema,
    each: &'e mut EachRow<'e>,
    /// The values of the current row.
    values: Vec<Option<SentValue<'b>>>,
    /// The error that ended the reading, if it came from `each`.
    pub stopped: Option<Problem>,
}

impl<'s, 'e, 'b> Reading<'s, 'e, 'b> {
    /// Prepares to read a body whose rows have the columns of `schema`.
    pub fn new(schema: &'s Schema, each: &'e mut EachRow<'e>) -> Self {
        Self { schema, each, values: Vec::new(), stopped: None }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Fails if the body is not JSON or has the wrong keys or types, or if `each` has failed.
    pub fn read<D: Deserializer<'b>>(&mut self, body: D) -> Result<SentKeys, D::Error> {
        body.deserialize_map(Body(self))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum BodyKey {
    Filepath,
    Rows,
}

/// The body: an object with `filepath` or `rows`.
struct Body<'r, 's, 'e, 'b>(&'r mut Reading<'s, 'e, 'b>);

impl<'de> Visitor<'de> for Body<'_, '_, '_, 'de> {
    type Value = SentKeys;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SentKeys, A::Error> {
        let mut keys = SentKeys::default();
        let mut seen = [false; 2];
        while let Some(key) = map.next_key::<BodyKey>()? {
            let (index, name) = match key {
                BodyKey::Filepath => (0, "filepath"),
                BodyKey::Rows => (1, "rows"),
            };
            if std::mem::replace(&mut seen[index], true) {
                return Err(A::Error::duplicate_field(name));
            }
            match key {
                BodyKey::Filepath => keys.filepath = map.next_value()?,
                BodyKey::Rows => keys.has_rows = map.next_value_seed(Rows(&mut *self.0))?,
            }
        }
        Ok(keys)
    }
}

/// The list of rows, or null; parsing stops as soon as there are more than `MOST_SENT_ROWS`.
struct Rows<'r, 's, 'e, 'b>(&'r mut Reading<'s, 'e, 'b>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_, '_, 'de> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_, '_, 'de> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut index = 0;
        while list.next_element_seed(Row { reading: &mut *self.0, index })?.is_some() {
            index += 1;
        }
        Ok(true)
    }
}

/// One row: an object with the columns of the schema as keys.
struct Row<'r, 's, 'e, 'b> {
    reading: &'r mut Reading<'s, 'e, 'b>,
    index: usize,
}

impl<'de> DeserializeSeed<'de> for Row<'_, '_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.index == MOST_SENT_ROWS {
            return Err(A::Error::custom(format!(
                "more than {MOST_SENT_ROWS} rows; send them as a CSV table, which may have any number of rows"
            )));
        }
        let Reading { schema, each, values, stopped } = self.reading;
        let mut id = None;
        values.clear();
        values.resize_with(schema.predictors().len(), || None);
        let mut seen = [false; MOST_PREDICTORS + 2];
        let mut next = 0;
        while let Some(key) = map.next_key_seed(Key { schema, next })? {
            let Some(column) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut seen[column], true) {
                return Err(A::Error::custom(format!("duplicate field `{}`", column_name(schema, column))));
            }
            match schema.predictors().get(column.wrapping_sub(1)) {
                Some(predictor) => values[column - 1] = value(&mut map, predictor)?,
                None if column == 0 => id = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?), // the target
            }
            next = column + 1;
        }
        each(self.index, &SentRow { id, values }).map_err(|problem| {
            *stopped = Some(problem);
            A::Error::custom("stopped")
        })
    }
}

/// Reads the value of a predictor; `None` for null.
fn value<'de, A: MapAccess<'de>>(map: &mut A, predictor: &Predictor) -> Result<Option<SentValue<'de>>, A::Error> {
    if predictor.is_category() {
        return Ok(map.next_value::<Option<Text>>()?.map(SentValue::Text));
    }
    let number: Option<Number> = map.next_value()?;
    Ok(number.map(|number| {
        let nearest = number.as_f64().unwrap_or(f64::NAN);
        SentValue::Number(in_column(predictor.kind, nearest, number.as_u64()))
    }))
}

/// Returns the number that stands for one that was sent, whose nearest `f64` is `nearest`. `whole` is the number itself if
/// it is a `u64`: a count above 2^53 must not be rounded down to 2^53.
pub fn in_column(kind: Kind, nearest: f64, whole: Option<u64>) -> f64 {
    let is_rounded_down = whole.is_some_and(|whole| whole > nearest as u64);
    match kind == Kind::Count && is_rounded_down {
        true => nearest.next_up(),
        false => nearest,
    }
}

/// A key of a row. Its value is the column's position in the schema; `None` for an ignored column.
struct Key<'s> {
    schema: &'s Schema,
    /// The column that is tried first, because rows usually have the order of the schema.
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("field identifier")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        let Self { schema, next } = self;
        if next < schema.width() && column_name(schema, next) == name {
            return Ok(Some(next));
        }
        match schema.columns().position(|column| column == name) {
            None if schema.ignores(name) => Ok(None),
            None => Err(E::custom(unknown_field(name, schema.columns()))),
            found => Ok(found),
        }
    }
}

/// The name of the column at a position of the schema.
fn column_name(schema: &Schema, position: usize) -> &str {
    match schema.predictors().get(position.wrapping_sub(1)) {
        Some(predictor) => &predictor.name,
        None if position == 0 => schema.id(),
        None => &schema.target().name,
    }
}

/// The words for a key that is none of the `known` ones.
pub fn unknown_field<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    format!("unknown field `{name}`, expected one of {}", known.join(", "))
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(if truth { "true" } else { "false" })))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(serde_json::Value::from(number).to_string())))
            }
        }
        deserializer.deserialize_any(AnyText)
    }
}
