//! One column of clients: a tensor whose elements are checked against its datatype.

use std::borrow::Cow;

use common::schema::Predictor;
use serde_json::{Number, Value};

use super::sent::{Data, Element, Input};
use crate::prediction::{SentValue, Text, in_column};

/// A tensor with one element for each row.
pub struct Tensor(Data);

/// The datatype of a tensor; numbers with their size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    Bool,
    Int(usize),
    Uint(usize),
    Float(usize),
    Bytes,
}

impl Datatype {
    /// Reads a name of the protocol. Floats of 16 bits are not supported.
    fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "BOOL" => Self::Bool,
            "INT8" => Self::Int(1),
            "INT16" => Self::Int(2),
            "INT32" => Self::Int(4),
            "INT64" => Self::Int(8),
            "UINT8" => Self::Uint(1),
            "UINT16" => Self::Uint(2),
            "UINT32" => Self::Uint(4),
            "UINT64" => Self::Uint(8),
            "FP32" => Self::Float(4),
            "FP64" => Self::Float(8),
            "BYTES" => Self::Bytes,
            other => {
                return Err(format!(
                    "the datatype {other:?} is not supported; send FP64, FP32, INT8 to INT64, UINT8 to UINT64, BOOL or BYTES"
                ));
            }
        })
    }

    fn allows(self, element: Element) -> bool {
        match (self, element) {
            (_, Element::Missing)
            | (Self::Bool, Element::Flag(_))
            | (Self::Bytes, Element::Text { .. })
            | (Self::Float(_), Element::Number(_) | Element::Whole(_))
            | (Self::Int(_) | Self::Uint(_), Element::Whole(_)) => true,
            (Self::Int(_), Element::Number(number)) => number.fract() == 0.0,
            _ => false,
        }
    }

    /// Returns the next element of binary data, which are little-endian; `None` if they end too early or are no such value.
    fn take(self, binary: &mut &[u8], data: &mut Data) -> Option<()> {
        let mut bytes = |count: usize| {
            let (taken, rest) = binary.split_at_checked(count)?;
            *binary = rest;
            Some(taken)
        };
        let mut whole = |size: usize| {
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes(size)?);
            Some(u64::from_le_bytes(word))
        };
        let element = match self {
            Self::Bool => match whole(1)? {
                0 => Element::Flag(false),
                1 => Element::Flag(true),
                _ => return None,
            },
            Self::Uint(size) => Element::Whole(whole(size)?),
            Self::Int(size) => {
                let unused = 64 - 8 * size as u32;
                let signed = (whole(size)? << unused).cast_signed() >> unused;
                u64::try_from(signed).map_or(Element::Number(signed as f64), Element::Whole)
            }
            Self::Float(4) => Element::Number(f64::from(f32::from_bits(whole(4)? as u32))),
            Self::Float(_) => Element::Number(f64::from_bits(whole(8)?)),
            Self::Bytes => {
                let length = whole(4)? as usize;
                data.push_text(str::from_utf8(bytes(length)?).ok()?);
                return Some(());
            }
        };
        data.elements.push(element);
        Some(())
    }
}

impl Tensor {
    /// Takes the `rows` elements of an input, from its JSON or from the beginning of `binary`.
    pub fn of(input: Input, rows: usize, binary: &mut &[u8]) -> Result<Self, String> {
        let datatype = Datatype::of(&input.datatype)?;
        let size = input.parameters.as_ref().and_then(|parameters| parameters.get("binary_data_size"));
        let mut data = match (input.data, size) {
            (Some(data), None) => data,
            (None, Some(size)) => decoded(datatype, size, rows, binary)?,
            _ => return Err("expected either \"data\" or the parameter \"binary_data_size\"".to_owned()),
        };
        if data.elements.len() != rows {
            return Err(format!("{} elements where the shape has {rows}", data.elements.len()));
        }
        if let Some(row) = data.elements.iter().position(|element| !datatype.allows(*element)) {
            return Err(format!("element {row} is not of the datatype {}", input.datatype));
        }
        if datatype == Datatype::Float(4) {
            for element in &mut data.elements {
                *element = match *element {
                    Element::Number(number) => Element::Number(f64::from(number as f32)),
                    Element::Whole(whole) => Element::Number(f64::from(whole as f32)),
                    other => other,
                };
            }
        }
        Ok(Self(data))
    }

    /// Returns the value of a predictor; `None` if missing.
    pub fn value(&self, predictor: &Predictor, row: usize) -> Result<Option<SentValue<'_>>, String> {
        if predictor.is_category() {
            return Ok(self.text(row).map(SentValue::Text));
        }
        Ok(match self.0.elements[row] {
            Element::Number(number) if !number.is_nan() => Some(SentValue::Number(number)),
            Element::Missing | Element::Number(_) => None,
            Element::Whole(whole) => Some(SentValue::Number(in_column(predictor.kind, whole as f64, Some(whole)))),
            Element::Flag(_) => return Err("is not a number".to_owned()),
            element @ Element::Text { .. } => {
                self.0.text_of(element).map(|text| SentValue::Text(Text(Cow::Borrowed(text))))
            }
        })
    }

    /// Returns an element as text; `None` if missing. A number or a boolean counts as its text in JSON.
    pub fn text(&self, row: usize) -> Option<Text<'_>> {
        let element = self.0.elements[row];
        let text = match element {
            Element::Missing => return None,
            Element::Number(number) => Number::from_f64(number)?.to_string(),
            Element::Whole(whole) => whole.to_string(),
            Element::Flag(flag) => flag.to_string(),
            Element::Text { .. } => return self.0.text_of(element).map(|text| Text(Cow::Borrowed(text))),
        };
        Some(Text(Cow::Owned(text)))
    }
}

/// Decodes the elements at the beginning of `binary`, which are `size` bytes.
fn decoded(datatype: Datatype, size: &Value, rows: usize, binary: &mut &[u8]) -> Result<Data, String> {
    let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or("binary_data_size is not a number of bytes")?;
    let (mut own, rest) = binary
        .split_at_checked(size)
        .ok_or_else(|| format!("{size} bytes of binary data are announced, but only {} follow", binary.len()))?;
    *binary = rest;
    let mut data = Data::default();
    for row in 0..rows {
        datatype
            .take(&mut own, &mut data)
            .ok_or_else(|| format!("element {row} cannot be read from the binary data"))?;
    }
    match own.len() {
        0 => Ok(data),
        left => Err(format!("{left} bytes of binary data are left after {rows} elements")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_elements_are_what_their_bytes_say() {
        let decode = |datatype: Datatype, bytes: &[u8], rows: usize| {
            let mut binary = bytes;
            let data = decoded(datatype, &Value::from(bytes.len()), rows, &mut binary)?;
            assert!(binary.is_empty());
            let texts = data.elements.iter().map(|element| data.text_of(*element).map(str::to_owned));
            Ok::<_, String>((data.elements.clone(), texts.collect::<Vec<_>>()))
        };
        let elements = |datatype, bytes: &[u8], rows| decode(datatype, bytes, rows).unwrap().0;
        assert_eq!(elements(Datatype::Int(1), &[0xff, 127], 2), [Element::Number(-1.0), Element::Whole(127)]);
        assert_eq!(elements(Datatype::Int(8), &i64::MIN.to_le_bytes(), 1), [Element::Number(i64::MIN as f64)]);
        assert_eq!(elements(Datatype::Uint(8), &u64::MAX.to_le_bytes(), 1), [Element::Whole(u64::MAX)]);
        assert_eq!(elements(Datatype::Float(4), &0.1f32.to_le_bytes(), 1), [Element::Number(f64::from(0.1f32))]);
        assert_eq!(elements(Datatype::Float(8), &0.1f64.to_le_bytes(), 1), [Element::Number(0.1)]);
        assert_eq!(elements(Datatype::Bool, &[1, 0], 2), [Element::Flag(true), Element::Flag(false)]);
        let texts = decode(Datatype::Bytes, b"\x02\0\0\0ab\0\0\0\0", 2).unwrap().1;
        assert_eq!(texts, [Some("ab".to_owned()), Some(String::new())]);
        for (datatype, bytes, rows) in [
            (Datatype::Float(8), &[0; 15][..], 2),
            (Datatype::Float(8), &[0; 17], 2),
            (Datatype::Bool, &[2], 1),
            (Datatype::Bytes, b"\x02\0\0\0a", 1),
            (Datatype::Bytes, b"\xff\xff\xff\xffa", 1),
            (Datatype::Bytes, b"\x01\0\0\0\xff", 1),
        ] {
            decode(datatype, bytes, rows).unwrap_err();
        }
    }
}
