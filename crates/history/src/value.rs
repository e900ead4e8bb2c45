//! Values that are bound to the placeholders of a statement or read from a row.

use sqlx::{Arguments, Database};

/// A value of a column. The type is known even if the value is NULL, because PostgreSQL requires it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
}

impl Value {
    /// Returns the value as a cell of a text table: on one line, because an error message may have several, with four
    /// digits after the point; `-` for NULL.
    pub fn cell(&self) -> String {
        match self {
            Self::Integer(Some(value)) => value.to_string(),
            Self::Real(Some(value)) => format!("{value:.4}"),
            Self::Text(Some(text)) => text.replace(['\n', '\r', '\t'], " "),
            Self::Integer(None) | Self::Real(None) | Self::Text(None) => "-".to_owned(),
        }
    }
}

/// Converts values to the arguments of a statement.
pub(crate) fn arguments<Db>(values: &[Value]) -> sqlx::Result<Db::Arguments>
where
    Db: Database,
    for<'a> Option<i64>: sqlx::Encode<'a, Db> + sqlx::Type<Db>,
    for<'a> Option<f64>: sqlx::Encode<'a, Db> + sqlx::Type<Db>,
    for<'a> Option<&'a str>: sqlx::Encode<'a, Db> + sqlx::Type<Db>,
{
    let mut arguments = Db::Arguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(*value),
            Value::Real(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_deref()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(without_nul(value)))
    }
}

/// Replaces each NUL with a visible symbol, because no database accepts a NUL in a text and error messages may quote
/// one.
pub(crate) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}
