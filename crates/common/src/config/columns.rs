//! The key `columns`, in the forms that config.json allows.

use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer};
use serde::{Deserialize, de};
use serde_json::Value;

use crate::schema::{Columns, Ignored, Kind, Predictor, Schema, Target, Transform};

/// Parses the value of the key `columns`.
///
/// # Errors
/// Fails if it is not valid JSON or not a valid description of columns.
pub fn schema_of_json(json: &str) -> anyhow::Result<Schema> {
    Ok(schema(&mut serde_json::Deserializer::from_str(json))?)
}

/// Deserialises the key `columns`.
pub(super) fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schema, D::Error> {
    let WrittenColumns { id, target, predictors, ignored } = WrittenColumns::deserialize(deserializer)?;
    Schema::try_from(Columns {
        id,
        target: target.0,
        predictors: predictors.into_iter().map(|predictor| predictor.0).collect(),
        ignored: ignored.0,
    })
    .map_err(D::Error::custom)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenColumns {
    id: String,
    target: WrittenTarget,
    predictors: Vec<WrittenPredictor>,
    #[serde(default)]
    ignored: WrittenIgnored,
}

/// A name, or an object with the name and both labels.
struct WrittenTarget(Target);

/// The name of a number, or an object.
struct WrittenPredictor(Predictor);

/// A list of names, or `"*"`.
struct WrittenIgnored(Ignored);

impl Default for WrittenIgnored {
    fn default() -> Self {
        Self(Ignored::Listed(Vec::new()))
    }
}

impl<'de> Deserialize<'de> for WrittenTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            name: String,
            positive: Label,
            negative: Label,
        }
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(Self(Target::of_name(&name))),
            value => {
                let Object { name, positive, negative } = object("target", value)?;
                Ok(Self(Target { name, positive: positive.0, negative: negative.0 }))
            }
        }
    }
}

/// A label, which may be written as a text, a number or a boolean.
struct Label(String);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(label) => Ok(Self(label)),
            value @ (Value::Number(_) | Value::Bool(_)) => Ok(Self(value.to_string())),
            value => Err(D::Error::custom(format!("expected a label, found {value}"))),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenPredictor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            name: String,
            #[serde(default = "number", deserialize_with = "kind")]
            kind: Kind,
            #[serde(default, deserialize_with = "transform")]
            transform: Transform,
            #[serde(default, deserialize_with = "super::values::some")]
            label: Option<String>,
            #[serde(default, deserialize_with = "super::values::some")]
            unit: Option<String>,
        }
        let value = Value::deserialize(deserializer)?;
        let Object { name, kind, transform, label, unit } = match value {
            Value::String(name) => {
                Object { name, kind: Kind::Number, transform: Transform::None, label: None, unit: None }
            }
            value => {
                let name = value.get("name").and_then(Value::as_str).map(|name| format!("column \"{name}\""));
                object(name.as_deref().unwrap_or("a predictor"), value)?
            }
        };
        let label = label.unwrap_or_else(|| name.replace('_', " "));
        Ok(Self(Predictor { name, kind, transform, label, unit }))
    }
}

impl<'de> Deserialize<'de> for WrittenIgnored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(all) if all == "*" => Ok(Self(Ignored::All)),
            value @ Value::Array(_) => {
                serde_json::from_value(value).map(|names| Self(Ignored::Listed(names))).map_err(D::Error::custom)
            }
            value => Err(D::Error::custom(format!("expected a list of columns or \"*\", found {value}"))),
        }
    }
}

/// Deserialises an object; an error names what it describes.
fn object<T: de::DeserializeOwned, E: Error>(what: impl fmt::Display, value: Value) -> Result<T, E> {
    if !value.is_object() {
        return Err(E::custom(format!("{what}: expected a name or an object, found {value}")));
    }
    T::deserialize(value.into_deserializer()).map_err(|error: serde_json::Error| E::custom(format!("{what}: {error}")))
}

fn number() -> Kind {
    Kind::Number
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case", remote = "Kind")]
    enum Name {
        Count,
        Number,
        Category,
    }
    Name::deserialize(StringDeserializer::new(String::deserialize(deserializer)?))
}

fn transform<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Transform, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case", remote = "Transform")]
    enum Name {
        None,
        Log1p,
    }
    Name::deserialize(StringDeserializer::new(String::deserialize(deserializer)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn telco() -> Value {
        json!({
            "id": "customerID",
            "target": {"name": "Churn", "positive": "Yes", "negative": "No"},
            "predictors": [
                "tenure",
                {"name": "MonthlyCharges", "label": "monthly charges", "unit": "$"},
                {"name": "Total_Charges", "transform": "log1p"},
                {"name": "Contract", "kind": "category"},
                {"name": "calls", "kind": "count", "transform": "none"}
            ],
            "ignored": ["gender", "PhoneService"]
        })
    }

    /// Parses the columns of [`telco`] with another value of `key`.
    fn with(key: &str, value: Value) -> Result<Schema, String> {
        let mut columns = telco();
        columns[key] = value;
        schema_of_json(&columns.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read() {
        let schema = schema_of_json(&telco().to_string()).unwrap();
        assert_eq!(schema.header(), "customerID,tenure,MonthlyCharges,Total_Charges,Contract,calls,Churn");
        let kinds: Vec<Kind> = schema.predictors().iter().map(|predictor| predictor.kind).collect();
        assert_eq!(kinds, [Kind::Number, Kind::Number, Kind::Number, Kind::Category, Kind::Count]);
        assert_eq!(schema.predictors()[1].unit.as_deref(), Some("$"));
        assert_eq!(schema.predictors()[2].label, "Total Charges");
        assert_eq!(schema.predictors()[2].transform, Transform::Log1p);
        assert!(schema.ignores("gender") && !schema.ignores("age"));
        assert!(with("ignored", json!("*")).unwrap().ignores("age"));
        let target = with("target", json!("left")).unwrap().target().clone();
        assert_eq!((target.label(true), target.label(false)), ("1", "0"));
        let target = with("target", json!({"name": "left", "positive": true, "negative": 0})).unwrap().target().clone();
        assert_eq!((target.label(true), target.label(false)), ("true", "0"));
    }

    #[test]
    fn each_fault_is_named() {
        let many: Vec<String> = (0..101).map(|i| format!("c{i}")).collect();
        for (key, value, expected) in [
            ("predictors", json!([]), "expected 1 to 100 columns in \"predictors\", found 0"),
            ("predictors", json!(many), "found 101"),
            ("predictors", json!(["tenure", 5]), "a predictor: expected a name or an object, found 5"),
            (
                "predictors",
                json!([{"name": "Contract", "kind": "text"}]),
                "column \"Contract\": unknown variant `text`",
            ),
            ("predictors", json!([{"name": "a", "colour": 1}]), "column \"a\": unknown field `colour`"),
            ("predictors", json!([{"kind": "count"}]), "missing field `name`"),
            ("predictors", json!([{"name": "a", "kind": "category", "transform": "log1p"}]), "neither \"transform\""),
            ("predictors", json!([{"name": "a", "label": " "}]), "that people can read"),
            ("predictors", json!(["a", "A"]), "column \"A\" is named twice"),
            ("predictors", json!(["a\tb"]), "without control characters"),
            ("predictors", json!([" a"]), "white space around it"),
            ("predictors", json!([""]), "a column's name is empty"),
            ("predictors", json!(["é".repeat(32)]), "at most 63 bytes"),
            ("ignored", json!(["tenure"]), "column \"tenure\" is named twice"),
            ("ignored", json!("all"), "expected a list of columns or \"*\""),
            ("id", json!("Churn"), "column \"Churn\" is named twice"),
            ("target", json!({"name": "Churn", "positive": "Yes", "negative": "Yes"}), "two different labels"),
            ("target", json!({"name": "Churn", "positive": "1.0", "negative": 1}), "two different labels"),
            ("target", json!({"name": "Churn", "positive": "NA", "negative": "No"}), "read as a missing value"),
            ("target", json!({"name": "Churn", "positive": null, "negative": "No"}), "expected a label, found null"),
            ("target", json!({"name": "Churn"}), "target: missing field `positive`"),
            ("colour", json!(1), "unknown field `colour`"),
        ] {
            let error = with(key, value.clone()).unwrap_err();
            assert!(error.contains(expected), "{key} {value}: {error:?} does not contain {expected:?}");
        }
        assert!(with("predictors", json!(["é".repeat(31)])).is_ok());
    }
}
