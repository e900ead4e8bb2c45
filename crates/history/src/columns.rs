//! Typed columns: how a Rust value is stored in one or more columns, and a record made of such columns.
//!
//! [`columns!`] declares a record with all its columns. Writing, reading, JSON, text tables and the description of the
//! API follow from this one declaration.

use std::any::type_name;
use std::borrow::Cow;

use anyhow::{Context, Result};
use common::files::checksum::Checksum;
use common::files::ingested::record_of_names;
use common::model::metrics::Confusion;
use jiff::Timestamp;
use serde::Serializer;
use serde::ser::SerializeMap;
use sqlx::{ColumnIndex, Decode, Row, Type};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type as JsonType};
use utoipa::openapi::{RefOr, Schema};

use crate::run::timestamp;
use crate::value::{Value, without_nul};

/// A column of a record.
#[derive(Clone, Debug)]
pub struct Column {
    /// The name of the field, which is also the JSON key.
    pub key: Cow<'static, str>,
    /// The name of the column in the database.
    pub name: &'static str,
    /// What the values mean, for the description of the API.
    pub description: Cow<'static, str>,
    pub kind: Kind,
    pub nullable: bool,
}

impl Column {
    /// Returns a column whose key is its name. The type of its values sets the kind.
    pub fn new(name: &'static str, description: &'static str) -> Self {
        Self { key: name.into(), name, description: description.into(), kind: Kind::Text, nullable: false }
    }
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Integer,
    /// Stored as 1 and 0.
    Boolean,
    Real,
    Text,
    /// A list of texts, stored as JSON.
    List,
}

/// A type whose values fill one column.
pub trait Field: Sized + Send + Unpin {
    const KIND: Kind;
    const NULLABLE: bool = false;
    fn to_value(&self) -> Value;
    /// Returns the field with this value; `None` if [`Self::to_value`] returns no such value.
    fn from_value(value: &Value) -> Option<Self>;
}

/// A type whose values fill one or more columns: a field, or a record of fields.
pub trait Columns: Sized + Send + Unpin {
    /// Appends the columns; `column` describes the field that holds the value.
    fn add_columns(column: Column, columns: &mut Vec<Column>);
    /// Appends the values, in the order of the columns.
    fn add_values(&self, values: &mut Vec<Value>);
    /// Takes the values of all columns from `values`.
    fn read(values: &mut impl Iterator<Item = Value>) -> Result<Self>;
}

impl<F: Field> Columns for F {
    fn add_columns(column: Column, columns: &mut Vec<Column>) {
        columns.push(Column { kind: F::KIND, nullable: F::NULLABLE, ..column });
    }

    fn add_values(&self, values: &mut Vec<Value>) {
        values.push(self.to_value());
    }

    fn read(values: &mut impl Iterator<Item = Value>) -> Result<Self> {
        let value = values.next().context("a column is missing")?;
        F::from_value(&value).with_context(|| format!("{:?} is not a known {}", value.cell(), type_name::<F>()))
    }
}

/// Returns the columns of a record.
pub fn columns_of<T: Columns>() -> Vec<Column> {
    let mut columns = Vec::new();
    T::add_columns(Column::new("", ""), &mut columns);
    columns
}

/// Returns the values of a record, in the order of its columns.
pub fn values_of<T: Columns>(record: &T) -> Vec<Value> {
    let mut values = Vec::new();
    record.add_values(&mut values);
    values
}

/// Writes a row as a JSON object.
pub fn serialize_row<S: Serializer>(columns: &[Column], values: &[Value], to: S) -> Result<S::Ok, S::Error> {
    let mut object = to.serialize_map(Some(columns.len()))?;
    for (column, value) in columns.iter().zip(values) {
        match (value, column.kind) {
            (Value::Integer(Some(value)), Kind::Boolean) => object.serialize_entry(&column.key, &(*value != 0))?,
            (Value::Integer(value), _) => object.serialize_entry(&column.key, value)?,
            (Value::Real(value), _) => object.serialize_entry(&column.key, value)?,
            (Value::Text(Some(text)), Kind::List) => {
                let list: Vec<String> = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
                object.serialize_entry(&column.key, &list)?;
            }
            (Value::Text(value), _) => object.serialize_entry(&column.key, value)?,
        }
    }
    object.end()
}

/// Describes the JSON object of a row for the API's description.
pub fn schema_of(columns: Vec<Column>, description: &str) -> Schema {
    let mut object = ObjectBuilder::new().description(Some(description.trim()));
    for Column { key, description, kind, nullable, .. } in columns {
        let types = |json: JsonType| match nullable {
            true => SchemaType::from_iter([json, JsonType::Null]),
            false => json.into(),
        };
        let simple = |json| ObjectBuilder::new().schema_type(types(json)).description(Some(description.trim()));
        let schema: RefOr<Schema> = match kind {
            Kind::Integer => simple(JsonType::Integer).into(),
            Kind::Boolean => simple(JsonType::Boolean).into(),
            Kind::Real => simple(JsonType::Number).into(),
            Kind::Text => simple(JsonType::String).into(),
            Kind::List => ArrayBuilder::new()
                .schema_type(types(JsonType::Array))
                .items(ObjectBuilder::new().schema_type(JsonType::String))
                .description(Some(description.trim()))
                .into(),
        };
        object = object.property(key.clone(), schema).required(key);
    }
    object.into()
}

/// Reads the values of a row of any of the three databases. Its columns must be of these kinds, in the same order.
pub fn decode<R: Row>(row: &R, kinds: &[Kind]) -> sqlx::Result<Vec<Value>>
where
    usize: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    f64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    let value = |(index, kind): (usize, &Kind)| {
        Ok(match kind {
            Kind::Integer | Kind::Boolean => Value::Integer(row.try_get(index)?),
            Kind::Real => Value::Real(row.try_get(index)?),
            Kind::Text | Kind::List => Value::Text(row.try_get(index)?),
        })
    };
    kinds.iter().enumerate().map(value).collect()
}

/// Declares a record: a struct whose fields are the columns, in this order. A column has the name of its field unless
/// another follows after `=>`. `in` gives the table to which the record is written. A listing of the table is ordered by
/// the runs and then by the column after `then`; after `indexed` if the index of the table has both columns. With
/// `impl`, the struct exists already, and its fields are described once more.
macro_rules! columns {
    ($(#[doc = $doc:literal])* $Record:ident $(in $table:literal $(then $then:literal)? $(indexed $index:literal)?)? {
        $($(#[doc = $text:literal])* $field:ident: $Type:ty $(=> $name:literal)?,)+
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Record {
            $($(#[doc = $text])* pub $field: $Type,)+
        }

        $crate::columns::columns!(
            impl $Record $(in $table $(then $then)? $(indexed $index)?)? {
                $($(#[doc = $text])* $field: $Type $(=> $name)?,)+
            }
        );
    };
    (impl $Record:ident $(in $table:literal $(then $then:literal)? $(indexed $index:literal)?)? {
        $($(#[doc = $text:literal])* $field:ident: $Type:ty $(=> $name:literal)?,)+
    }) => {
        $(impl $crate::record::Table for $Record {
            const TABLE: &'static str = $table;
            const ORDER: &'static str = concat!("run_id" $(, ", ", $then)? $(, ", ", $index)?);
            const NEWEST_FIRST: &'static str = concat!("run_id DESC" $(, ", ", $index, " DESC")?);
        })?

        impl $crate::columns::Columns for $Record {
            fn add_columns(_: $crate::columns::Column, columns: &mut Vec<$crate::columns::Column>) {
                $(<$Type as $crate::columns::Columns>::add_columns($crate::columns::Column {
                    name: [$($name,)? stringify!($field)][0],
                    ..$crate::columns::Column::new(stringify!($field), concat!($($text),*))
                }, columns);)+
            }

            fn add_values(&self, values: &mut Vec<$crate::value::Value>) {
                $($crate::columns::Columns::add_values(&self.$field, values);)+
            }

            fn read(values: &mut impl Iterator<Item = $crate::value::Value>) -> anyhow::Result<Self> {
                Ok(Self {
                    $($field: anyhow::Context::with_context($crate::columns::Columns::read(values),
                        || concat!("reading the column of ", stringify!($field)))?,)+
                })
            }
        }
    };
}
pub(crate) use columns;

/// Stores a type with the method `as_str` as its text. All variants must be listed.
macro_rules! text_field {
    ($Type:ty: $($Variant:ident),+) => {
        impl $crate::columns::Field for $Type {
            const KIND: $crate::columns::Kind = $crate::columns::Kind::Text;

            fn to_value(&self) -> $crate::value::Value {
                self.as_str().into()
            }

            fn from_value(value: &$crate::value::Value) -> Option<Self> {
                [$(Self::$Variant),+].into_iter().find(|known| known.to_value() == *value)
            }
        }
    };
}
pub(crate) use text_field;

/// Declares an enum that is stored, printed and written in JSON as the text of its variant.
macro_rules! text_enum {
    ($(#[$meta:meta])* $Name:ident { $($(#[$doc:meta])* $Variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $($(#[$doc])* $Variant,)+
        }

        impl $Name {
            /// All variants, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$Variant),+];

            /// Returns the text as the history stores it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        $crate::columns::text_field!($Name: $($Variant),+);
    };
}
pub(crate) use text_enum;

/// The counts of a confusion matrix fill four columns; two more hold the number of rows and F1, for readers in SQL.
impl Columns for Confusion {
    fn add_columns(_: Column, columns: &mut Vec<Column>) {
        for (name, description) in [
            ("n", "Number of rows that were scored."),
            ("true_positives", "True positives: clients that left and were predicted to leave."),
            ("false_positives", "False positives: clients that stayed but were predicted to leave."),
            ("false_negatives", "False negatives: clients that left but were predicted to stay."),
            ("true_negatives", "True negatives: clients that stayed and were predicted to stay."),
        ] {
            u64::add_columns(Column::new(name, description), columns);
        }
        f64::add_columns(Column::new("f1", "F1 score on these rows, from 0 to 1."), columns);
    }

    fn add_values(&self, values: &mut Vec<Value>) {
        let Self { true_positives, false_positives, false_negatives, true_negatives } = self;
        let counts = [self.n(), *true_positives, *false_positives, *false_negatives, *true_negatives];
        values.extend(counts.map(|count| count.to_value()));
        values.push(self.f1().to_value());
    }

    fn read(values: &mut impl Iterator<Item = Value>) -> Result<Self> {
        let _n = u64::read(values)?;
        let confusion = Self {
            true_positives: u64::read(values)?,
            false_positives: u64::read(values)?,
            false_negatives: u64::read(values)?,
            true_negatives: u64::read(values)?,
        };
        let _f1 = f64::read(values)?;
        Ok(confusion)
    }
}

/// Stores a type as one kind of [`Value`].
macro_rules! field {
    ($Type:ty: $Kind:ident as $Variant:ident, |$field:ident| $to:expr, |$value:ident| $from:expr) => {
        impl Field for $Type {
            const KIND: Kind = Kind::$Kind;

            fn to_value(&self) -> Value {
                let $field = self;
                Value::$Variant(Some($to))
            }

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$Variant(Some($value)) => $from,
                    _ => None,
                }
            }
        }
    };
}

field!(i64: Integer as Integer, |number| *number, |value| Some(*value));
field!(u64: Integer as Integer, |count| *count as i64, |value| (*value).try_into().ok()); // counts are far below 2^63
field!(bool: Boolean as Integer, |yes| i64::from(*yes), |value| Some(*value != 0));
field!(f64: Real as Real, |number| *number, |value| Some(*value));
field!(String: Text as Text, |text| without_nul(text), |value| Some(value.clone()));
field!(Checksum: Text as Text, |checksum| checksum.to_string(), |value| value.parse().ok());
field!(Timestamp: Text as Text, |time| timestamp(*time), |value| value.parse().ok());
field!(Vec<String>: List as Text,
    |list| without_nul(&record_of_names(&list.iter().map(String::as_str).collect::<Vec<_>>())),
    |value| serde_json::from_str(value).ok());

impl<F: Field> Field for Option<F> {
    const KIND: Kind = F::KIND;
    const NULLABLE: bool = true;

    fn to_value(&self) -> Value {
        match (self, F::KIND) {
            (Some(value), _) => value.to_value(),
            (None, Kind::Integer | Kind::Boolean) => Value::Integer(None),
            (None, Kind::Real) => Value::Real(None),
            (None, Kind::Text | Kind::List) => Value::Text(None),
        }
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(None) | Value::Real(None) | Value::Text(None) => Some(None),
            value => F::from_value(value).map(Some),
        }
    }
}
