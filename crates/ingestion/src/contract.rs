//! The contract for those who deliver files, in the Open Data Contract Standard (ODCS 3.2,
//! <https://bitol-io.github.io/open-data-contract-standard/>), made from the columns of the config.
//!
//! It promises a file without a malformed row, so a file that keeps it is accepted. Ingestion tolerates more, and some of its
//! rules have no words in the standard; they are part of the contract as text.

mod yaml;

use std::fmt;

use common::cli;
use common::files::checksum::Checksum;
use common::schema::{Ignored, Kind, LARGEST_COUNT, Predictor, Schema, Target, Transform};
use common::values::MISSING;
use dataset::{LONGEST_TEXT, TOLERATED_MALFORMED_SHARE};
use serde::{Serialize, Serializer};

use self::yaml::Node;

/// A data contract: `Display` writes YAML, `Serialize` the same as JSON.
pub struct Contract(Node);

/// A text without control characters, as a regular expression of ECMA-262.
const PRINTABLE: &str = r"^[^\x00-\x1F\x7F-\x9F]*$";

impl Contract {
    /// Returns the contract for files with the columns of `schema`. The same columns give the same bytes.
    pub fn of(schema: &Schema) -> Self {
        let table = table(schema);
        // The version changes if and only if the promise does.
        let digest = Checksum::of_bytes(table.to_string().as_bytes());
        Self(Node::Object(vec![
            ("apiVersion", "v3.2.0".into()),
            ("kind", "DataContract".into()),
            ("id", "client-table".into()),
            ("name", "Client table".into()),
            ("version", format!("1.0.0+{}", digest.short()).into()),
            ("status", "active".into()),
            (
                "description",
                Node::Object(vec![
                    ("purpose", "Rows from which a model of attrition risk is trained, monitored and applied.".into()),
                    (
                        "usage",
                        "Run `ingestion --check FILE` before a file is delivered. It applies every rule, also those that \
                         this contract states only as text. Deliver new rows as a new file."
                            .into(),
                    ),
                    ("limitations", "Only visible files whose name ends with .csv are read.".into()),
                ]),
            ),
            (
                "servers",
                Node::List(vec![Node::Object(vec![
                    ("server", "delivery".into()),
                    ("type", "local".into()),
                    ("description", "The files to be delivered, in the current folder.".into()),
                    ("path", "*.csv".into()),
                    ("format", "csv".into()),
                    ("encoding", "UTF-8".into()),
                ])]),
            ),
            ("schema", Node::List(vec![table])),
        ]))
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Contract {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl cli::Outcome for Contract {}

fn table(schema: &Schema) -> Node {
    let columns = [id(schema)].into_iter().chain(schema.predictors().iter().map(predictor)).chain([target(schema)]);
    let custom = vec![
        custom("missingValueSpellings", Node::List(MISSING.iter().map(|spelling| (*spelling).into()).collect())),
        custom("toleratedMalformedPercent", (100.0 * TOLERATED_MALFORMED_SHARE).into()),
        custom(
            "ignoredColumns",
            match schema.ignored() {
                Ignored::All => "*".into(),
                Ignored::Listed(names) => Node::List(names.iter().map(|name| name.as_str().into()).collect()),
            },
        ),
    ];
    Node::Object(vec![
        ("name", "clients".into()),
        ("physicalType", "file".into()),
        ("logicalType", "object".into()),
        (
            "description",
            "One row for each client and time. A client may have many rows; its last one is its newest.".into(),
        ),
        ("dataGranularityDescription", "A client at a time".into()),
        ("properties", Node::List(columns.collect())),
        ("quality", Node::List(rules())),
        ("customProperties", Node::List(custom)),
    ])
}

/// Returns the rules for a whole file.
fn rules() -> Vec<Node> {
    let text = |name: &str, dimension: &str, description: String| {
        Node::Object(vec![
            ("name", name.into()),
            ("type", "text".into()),
            ("dimension", dimension.into()),
            ("description", description.into()),
        ])
    };
    let tolerated = 100.0 * TOLERATED_MALFORMED_SHARE;
    vec![
        Node::Object(vec![
            ("name", "some row".into()),
            ("type", "library".into()),
            ("metric", "rowCount".into()),
            ("dimension", "completeness".into()),
            ("description", "The files of a delivery contain at least one row.".into()),
            ("mustBeGreaterThan", 0.0.into()),
        ]),
        text(
            "malformed rows",
            "conformity",
            format!(
                "Up to {tolerated} % of the lines of a file may be malformed: ingestion sets these rows aside and uses the \
                 others. With more, the file is refused."
            ),
        ),
        text(
            "header",
            "conformity",
            "The first line names every column of this contract once, in any order, and no other column except those \
             under ignoredColumns (* allows all)."
                .to_owned(),
        ),
        text(
            "format",
            "conformity",
            "CSV with commas, UTF-8 with or without byte order mark, LF or CRLF; fields may be quoted with double quotes. \
             Every row has as many fields as the header, and is at most 1 MiB long."
                .to_owned(),
        ),
        text(
            "missing values",
            "completeness",
            "Every value may be missing: an empty field, or a spelling under missingValueSpellings. Training skips rows \
             with missing values."
                .to_owned(),
        ),
        text(
            "repeated rows",
            "uniqueness",
            "A row that repeats an earlier one exactly, in any file, is dropped without an error.".to_owned(),
        ),
    ]
}

fn id(schema: &Schema) -> Node {
    let description = format!("Identifies the client: a text without control characters, at most {LONGEST_TEXT} bytes");
    column(schema.id(), "client", description, text_type(), vec![("role", "id".into())])
}

fn predictor(predictor: &Predictor) -> Node {
    let Predictor { name, kind, transform, label, unit } = predictor;
    let mut custom = vec![("role", "predictor".into()), ("kind", kind.to_string().into())];
    if *transform != Transform::None {
        custom.push(("transform", transform.to_string().into()));
    }
    let unit = unit.as_ref().map_or(String::new(), |unit| {
        custom.push(("unit", unit.as_str().into()));
        format!(" in {unit}")
    });
    let (rule, types) = match (kind, transform) {
        (Kind::Category, _) => (
            format!(
                "a text without control characters, at most {LONGEST_TEXT} bytes, written the same way in every row"
            ),
            text_type(),
        ),
        (Kind::Count, _) => {
            (format!("a number from 0 to {LARGEST_COUNT}"), number_type(("minimum", 0.0), LARGEST_COUNT, 12.0))
        }
        (Kind::Number, Transform::Log1p) => {
            ("a finite number above -1".to_owned(), number_type(("exclusiveMinimum", -1.0), f64::MAX, 12.5))
        }
        (Kind::Number, Transform::None) => {
            ("a finite number".to_owned(), number_type(("minimum", f64::MIN), f64::MAX, -12.5))
        }
    };
    column(name, label, format!("{label}{unit}: {rule}"), types, custom)
}

fn target(schema: &Schema) -> Node {
    let Target { name, positive, negative } = schema.target();
    let description =
        format!("Whether the client has left: {positive} if it has, {negative} if not, missing if it is not known");
    // Labels that are numbers are recognised in every spelling.
    let numbers: Option<Vec<f64>> = [positive, negative].iter().map(|label| label.parse().ok()).collect();
    let (types, values) = match numbers.filter(|numbers| numbers.iter().all(|number| number.is_finite())) {
        Some(numbers) => (
            vec![("logicalType", "number".into()), ("physicalType", "DOUBLE".into())],
            numbers.into_iter().map(Node::from).collect(),
        ),
        None => (
            vec![("logicalType", "string".into()), ("physicalType", "VARCHAR".into())],
            vec![positive.as_str().into(), negative.as_str().into()],
        ),
    };
    let labels = ["the client has left", "the client has not left"];
    let value = |(value, label): (Node, &str)| Node::Object(vec![("value", value), ("label", label.into())]);
    let valid = Node::List(values.into_iter().zip(labels).map(value).collect());
    let types = types.into_iter().chain([("enum", valid)]).collect();
    column(name, "has left", description, types, vec![("role", "target".into())])
}

type Fields = Vec<(&'static str, Node)>;

fn column(name: &str, label: &str, description: String, types: Fields, properties: Fields) -> Node {
    let custom = properties.into_iter().map(|(property, value)| custom(property, value)).collect();
    let mut fields = vec![("name", name.into()), ("businessName", label.into()), ("description", description.into())];
    fields.extend(types);
    fields.extend([("required", false.into()), ("unique", false.into()), ("customProperties", Node::List(custom))]);
    Node::Object(fields)
}

fn text_type() -> Fields {
    let limits = vec![("maxLength", (LONGEST_TEXT as f64).into()), ("pattern", PRINTABLE.into())];
    vec![
        ("logicalType", "string".into()),
        ("physicalType", "VARCHAR".into()),
        ("logicalTypeOptions", Node::Object(limits)),
    ]
}

fn number_type((bound, minimum): (&'static str, f64), maximum: f64, example: f64) -> Fields {
    vec![
        ("logicalType", "number".into()),
        ("physicalType", "DOUBLE".into()),
        ("logicalTypeOptions", Node::Object(vec![(bound, minimum.into()), ("maximum", maximum.into())])),
        ("examples", Node::List(vec![example.into()])),
    ]
}

fn custom(property: &'static str, value: Node) -> Node {
    Node::Object(vec![("property", property.into()), ("value", value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_follows_the_columns_and_nothing_else_differs() {
        let contract = Contract::of(&Schema::default()).to_string();
        assert_eq!(contract, Contract::of(&Schema::default()).to_string());
        let head = "apiVersion: \"v3.2.0\"\nkind: \"DataContract\"\nid: \"client-table\"\n";
        assert!(contract.starts_with(head), "{contract}");
        for line in [
            "      - name: \"number_of_employees\"\n        businessName: \"number of employees\"\n",
            "          minimum: 0\n          maximum: 9007199254740992\n",
            "          - value: 1\n            label: \"the client has left\"\n",
            "      - name: \"malformed rows\"\n",
        ] {
            assert!(contract.contains(line), "{line} is not in {contract}");
        }
    }
}
