//! A document that is written as YAML or JSON.
//!
//! Every text is written in double quotes with the escapes that YAML 1.1, YAML 1.2 and their parsers agree on, so no name or
//! label can be taken for something else (`yes`, `null`, `1:2`).

use std::fmt::{self, Write};

use serde::{Serialize, Serializer};

use common::schema::LARGEST_COUNT;

/// A value of a document. The order of an object's keys is kept.
pub enum Node {
    Text(String),
    Number(f64),
    Flag(bool),
    List(Vec<Node>),
    /// Keys must be words, because they are written without quotes.
    Object(Vec<(&'static str, Node)>),
}

impl Node {
    /// Returns the node as lines without indentation.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::List(nodes) => nodes.iter().flat_map(|node| indented(node.lines(), "- ")).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(key, node)| node.field_lines(key)).collect(),
            scalar => vec![scalar.scalar()],
        }
    }

    fn field_lines(&self, key: &str) -> Vec<String> {
        match self {
            Self::List(nodes) if nodes.is_empty() => vec![format!("{key}: []")],
            Self::List(_) | Self::Object(_) => {
                let mut lines = vec![format!("{key}:")];
                lines.extend(indented(self.lines(), "  "));
                lines
            }
            scalar => vec![format!("{key}: {}", scalar.scalar())],
        }
    }

    fn scalar(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) if *number == 0.0 || (1e-5..=LARGEST_COUNT).contains(&number.abs()) => {
                number.to_string()
            }
            Self::Number(number) => {
                // YAML 1.1 reads an exponent only after a point and with a sign.
                let text = format!("{number:e}");
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let point = if digits.contains('.') { "" } else { ".0" };
                let sign = if exponent.starts_with('-') { "" } else { "+" };
                format!("{digits}{point}e{sign}{exponent}")
            }
            Self::List(_) | Self::Object(_) => String::new(), // no scalars
        }
    }
}

/// Returns `lines` indented by two columns, of which `first` fills those of the first line.
fn indented(lines: Vec<String>, first: &'static str) -> impl Iterator<Item = String> {
    lines.into_iter().enumerate().map(move |(line, text)| format!("{}{text}", if line == 0 { first } else { "  " }))
}

/// Returns a text as a double-quoted scalar (YAML 1.2.2, §5.7 and §7.3.1).
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        let is_special = character.is_control()
            || (character.is_whitespace() && character != ' ')
            || matches!(character, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if is_special => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character)); // all of them have at most four digits
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Number(number) if number.fract() == 0.0 && number.abs() <= LARGEST_COUNT => {
                (*number as i64).serialize(serializer)
            }
            Self::Number(number) => number.serialize(serializer),
            Self::Flag(flag) => flag.serialize(serializer),
            Self::List(nodes) => nodes.serialize(serializer),
            Self::Object(fields) => serializer.collect_map(fields.iter().map(|(key, node)| (key, node))),
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<f64> for Node {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Node {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_they_say_in_every_version_of_yaml() {
        for (node, expected) in [
            (Node::from("a: \"b\" \\ #"), r#""a: \"b\" \\ #""#),
            (Node::from("\u{85}\u{2028}\u{feff}\u{0} größe €"), r#""\u0085\u2028\ufeff\u0000 größe €""#),
            (Node::from(-1.0), "-1"),
            (Node::from(-0.125), "-0.125"),
            (Node::from(0.0), "0"),
            (Node::from(1e-9), "1.0e-9"),
            (Node::from(f64::MAX), "1.7976931348623157e+308"),
            (Node::from(false), "false"),
        ] {
            assert_eq!(node.to_string(), expected);
        }
    }

    #[test]
    fn blocks_are_nested_by_two_columns() {
        let item = || Node::Object(vec![("a", "x".into()), ("b", Node::List(vec![1.0.into(), 2.0.into()]))]);
        let document =
            Node::Object(vec![("items", Node::List(vec![item(), item()])), ("none", Node::List(Vec::new()))]);
        let block = "  - a: \"x\"\n    b:\n      - 1\n      - 2\n";
        assert_eq!(document.to_string(), format!("items:\n{block}{block}none: []"));
        let json = r#"{"items":[{"a":"x","b":[1,2]},{"a":"x","b":[1,2]}],"none":[]}"#;
        assert_eq!(serde_json::to_string(&document).unwrap(), json);
    }
}
