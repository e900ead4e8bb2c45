//! How single values of config.json are deserialised, where serde's own way accepts too much or says too little.

use std::env;
use std::fmt::{self, Display};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde_json::Value;

/// Deserialises an optional key. Unlike serde's `Option`, it refuses `null`, so no key is switched off by accident.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Deserialises one value, or a list of at least one.
pub(super) fn one_or_more<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let values = match Value::deserialize(deserializer)? {
        Value::Array(values) if values.is_empty() => return Err(D::Error::custom("expected at least one value")),
        Value::Array(values) => values,
        value => vec![value],
    };
    values.into_iter().map(|value| T::deserialize(value).map_err(D::Error::custom)).collect()
}

/// Deserialises an enum from the name of a variant. (From JSON, serde accepts other forms too.)
pub(super) fn name<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(StringDeserializer::new(String::deserialize(deserializer)?))
}

/// Deserialises a number with `check`, which returns `None` unless the number is what `expected` describes.
pub(super) fn checked<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: impl Display,
    check: impl Fn(f64) -> Option<T>,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    value.as_f64().and_then(check).ok_or_else(|| D::Error::custom(format!("expected {expected}, found {value}")))
}

/// Returns a default number.
pub(super) fn number<const DEFAULT: u32>() -> u32 {
    DEFAULT
}

/// Deserialises a whole number from `LOW` to `HIGH`.
pub(super) fn number_within<'de, const LOW: u32, const HIGH: u32, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    checked(deserializer, format_args!("a whole number from {LOW} to {HIGH}"), |number| {
        let is_valid = (f64::from(LOW)..=f64::from(HIGH)).contains(&number) && number.fract() == 0.0;
        is_valid.then_some(number as u32)
    })
}

/// Returns a default duration.
pub(super) fn seconds<const DEFAULT: u32>() -> Duration {
    Duration::from_secs(DEFAULT.into())
}

/// Deserialises a duration from `LOW` to `HIGH` seconds.
pub(super) fn seconds_within<'de, const LOW: u32, const HIGH: u32, D: Deserializer<'de>, T: From<Duration>>(
    deserializer: D,
) -> Result<T, D::Error> {
    checked(deserializer, format_args!("seconds from {LOW} to {HIGH}"), |seconds| {
        let is_valid = (f64::from(LOW)..=f64::from(HIGH)).contains(&seconds);
        is_valid.then(|| Duration::from_secs_f64(seconds).into())
    })
}

/// A text that may be or contain a secret, in which `${NAME}` stands for a variable of the environment. Errors do not
/// repeat a value of another type, and `Debug` does not show the text.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct SecretText(pub(super) String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("***")
    }
}

impl TryFrom<Value> for SecretText {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::String(text) => Ok(Self(text)),
            _ => Err("expected a text"),
        }
    }
}

impl SecretText {
    /// Returns the text with each `${NAME}` replaced by the environment variable of this name.
    pub(super) fn expanded(&self) -> Result<String> {
        expand(&self.0, |name| env::var(name).ok())
    }

    /// Whether the text depends on the environment.
    pub(super) fn has_variables(&self) -> bool {
        self.0.contains("${")
    }
}

fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("expected } after ${NAME")?;
        expanded += before;
        expanded += &variable(name).with_context(|| format!("the environment has no variable {name}; set it"))?;
        rest = after;
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_taken_from_the_environment() {
        let variable = |name: &str| (name == "HOME").then(|| "/home/x".to_owned());
        assert_eq!(expand("sqlite://${HOME}/h.db", variable).unwrap(), "sqlite:///home/x/h.db");
        assert!(expand("${HOME", variable).is_err());
    }
}
