//! Reads the JSON of an inference request.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::limits::MOST_SENT_ROWS;
use crate::problem::Problem;
use common::schema::MOST_PREDICTORS;

/// Free keys and values.
pub type Parameters = Map<String, Value>;

/// An inference request without the binary data.
#[derive(serde::Deserialize)]
pub struct Request {
    pub id: Option<String>,
    pub parameters: Option<Parameters>,
    #[serde(deserialize_with = "few")]
    pub inputs: Vec<Input>,
    pub outputs: Option<Vec<Output>>,
}

/// A tensor with one column of the clients.
#[derive(serde::Deserialize)]
pub struct Input {
    pub name: String,
    pub shape: Vec<u64>,
    pub datatype: String,
    pub parameters: Option<Parameters>,
    pub data: Option<Data>,
}

/// An output that the answer must contain.
#[derive(serde::Deserialize)]
pub struct Output {
    pub name: String,
    pub parameters: Option<Parameters>,
}

/// The elements of a tensor in row-major order.
#[derive(Default)]
pub struct Data {
    pub elements: Vec<Element>,
    /// The texts, one after the other.
    pub text: String,
}

/// An element of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Element {
    Missing,
    Number(f64),
    /// A whole number that is not negative.
    Whole(u64),
    Flag(bool),
    /// A part of [`Data::text`].
    Text {
        start: u32,
        length: u32,
    },
}

impl Request {
    /// Parses the JSON of a request.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] with the path of the key that is wrong.
    pub fn read(json: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(json).map_err(|_| {
            // Parsed once more, because following the path makes parsing slower.
            let mut again = serde_json::Deserializer::from_slice(json);
            let error = serde_path_to_error::deserialize::<_, Self>(&mut again).err();
            let why = error.map_or_else(|| "more follows after the object".to_owned(), |error| error.to_string());
            Problem::BadRequest(format!(
                "the body is not an inference request: {why}; expected {{\"inputs\": [{{\"name\": …, \"shape\": [ROWS], \
                 \"datatype\": \"FP64\", \"data\": [12, null, …]}}, …]}}"
            ))
        })
    }
}

/// Reads a list of tensors, of which no model has more than it has columns.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Input>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<Input>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list of tensors")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Input>, A::Error> {
            let mut inputs = Vec::new();
            while let Some(input) = list.next_element()? {
                if inputs.len() == 2 * MOST_PREDICTORS {
                    return Err(A::Error::custom("too many tensors"));
                }
                inputs.push(input);
            }
            Ok(inputs)
        }
    }
    deserializer.deserialize_seq(Few)
}

impl Data {
    pub fn push_text(&mut self, text: &str) {
        let start = self.text.len() as u32; // a body is shorter than 4 GiB
        self.text.push_str(text);
        self.elements.push(Element::Text { start, length: text.len() as u32 });
    }

    /// Returns the text of an element; `None` if it is no text.
    pub fn text_of(&self, element: Element) -> Option<&str> {
        match element {
            Element::Text { start, length } => self.text.get(start as usize..(start + length) as usize),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::default();
        deserializer.deserialize_seq(Elements(&mut data))?;
        Ok(data)
    }
}

/// Appends elements, also those of lists inside the list.
struct Elements<'d>(&'d mut Data);

impl Elements<'_> {
    fn push<E: Error>(self, element: Element) -> Result<(), E> {
        self.has_room()?;
        self.0.elements.push(element);
        Ok(())
    }

    fn has_room<E: Error>(&self) -> Result<(), E> {
        match self.0.elements.len() < MOST_SENT_ROWS {
            true => Ok(()),
            false => Err(E::custom(format!("more than {MOST_SENT_ROWS} elements; send them in several requests"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of numbers, texts, true, false or null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Elements(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.push(Element::Missing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.push(Element::Flag(flag))
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<(), E> {
        self.push(Element::Whole(whole))
    }

    fn visit_i64<E: Error>(self, negative: i64) -> Result<(), E> {
        self.push(Element::Number(negative as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.push(Element::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.has_room()?;
        self.0.push_text(text);
        Ok(())
    }
}
