//! The columns of a client table. Every reader, writer, query, form and sentence about columns is made from a
//! [`Schema`]; nothing else knows a column's name.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::values::{is_missing, write_csv_text};

/// Maximum number of predictors.
pub const MOST_PREDICTORS: usize = 100;

/// Maximum number of levels of a category.
pub const MOST_LEVELS: usize = 100;

/// Maximum number of terms of a model: one for each number, one for each level of each category.
pub const MOST_TERMS: usize = 500;

/// Maximum length of a column's name in bytes, which is PostgreSQL's limit of an identifier.
pub const LONGEST_NAME: usize = 63;

/// 2^53, the largest count: up to it, every whole number has an exact `f64`.
pub const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// The columns of a client table: an id, predictors and a target. A value of this type is always valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Columns")]
pub struct Schema {
    id: String,
    target: Target,
    predictors: Vec<Predictor>,
    ignored: Ignored,
}

/// Columns that have not been checked; becomes a [`Schema`].
#[derive(Deserialize)]
pub(crate) struct Columns {
    pub(crate) id: String,
    pub(crate) target: Target,
    pub(crate) predictors: Vec<Predictor>,
    pub(crate) ignored: Ignored,
}

/// The column that states whether a client left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Name of the column.
    pub name: String,
    /// Label of a client that left.
    pub positive: String,
    /// Label of a client that stayed.
    pub negative: String,
}

/// A column from which the risk is predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predictor {
    /// Name of the column.
    pub name: String,
    /// Kind of its values.
    pub kind: Kind,
    /// Function of a number that enters the regression.
    pub transform: Transform,
    /// Name that people read in pages and reports.
    pub label: String,
    /// Unit for people, such as `$`; `None` if there is none.
    pub unit: Option<String>,
}

/// The kind of values of a predictor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A number from 0 to 2^53.
    Count,
    /// A finite number of either sign.
    Number,
    /// A text with few different values, the levels.
    Category,
}

/// The function of a number that enters the regression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    /// The number enters unchanged.
    #[default]
    None,
    /// The natural logarithm of 1 + x; x must be above −1.
    Log1p,
}

/// Columns that may be present in a file and are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ignored {
    /// The columns of these names.
    Listed(Vec<String>),
    /// Every column that is not in the schema.
    All,
}

impl Default for Schema {
    /// Returns the columns of the shipped data, which are used if the config names none.
    fn default() -> Self {
        let count = |name: &str, label: &str| Predictor {
            name: name.to_owned(),
            kind: Kind::Count,
            transform: Transform::None,
            label: label.to_owned(),
            unit: None,
        };
        Self {
            id: "corporation".to_owned(),
            target: Target::of_name("exited"),
            predictors: vec![
                count("lastmonth_activity", "last month's activity"),
                count("lastyear_activity", "last year's activity"),
                count("number_of_employees", "number of employees"),
            ],
            ignored: Ignored::Listed(Vec::new()),
        }
    }
}

impl Target {
    /// Returns a target with the labels 1 and 0.
    pub(crate) fn of_name(name: &str) -> Self {
        Self { name: name.to_owned(), positive: "1".to_owned(), negative: "0".to_owned() }
    }

    /// Returns the label of a client that left (`true`) or stayed.
    pub fn label(&self, exited: bool) -> &str {
        if exited { &self.positive } else { &self.negative }
    }
}

impl Transform {
    /// Returns the transformed number.
    pub fn apply(self, number: f64) -> f64 {
        match self {
            Self::None => number,
            Self::Log1p => number.ln_1p(),
        }
    }
}

impl Schema {
    /// Name of the column that identifies a client.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The column that states whether a client left.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The predictors, in the order in which files are written.
    pub fn predictors(&self) -> &[Predictor] {
        &self.predictors
    }

    /// Returns the predictor of this name; `None` if there is none.
    pub fn predictor(&self, name: &str) -> Option<&Predictor> {
        self.predictors.iter().find(|predictor| predictor.name == name)
    }

    /// Whether a predictor is a category.
    pub fn has_categories(&self) -> bool {
        self.predictors.iter().any(Predictor::is_category)
    }

    /// Returns the name of a column for people.
    pub fn label<'a>(&'a self, column: &'a str) -> &'a str {
        self.predictor(column).map_or(column, |predictor| &predictor.label)
    }

    /// Number of columns: id, predictors and target.
    pub fn width(&self) -> usize {
        self.predictors.len() + 2
    }

    /// Names of all columns in the order in which files are written: id, predictors, target.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let predictors = self.predictors.iter().map(|predictor| predictor.name.as_str());
        [self.id.as_str()].into_iter().chain(predictors).chain([self.target.name.as_str()])
    }

    /// Returns the header of a file that this program writes, without the line break.
    pub fn header(&self) -> String {
        let mut header = Vec::new();
        for (index, column) in self.columns().enumerate() {
            if index > 0 {
                header.push(b',');
            }
            write_csv_text(&mut header, column);
        }
        String::from_utf8_lossy(&header).into_owned()
    }

    /// The columns that a file may have although the schema has not.
    pub fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// Whether a file may have this column although the schema has not.
    pub fn ignores(&self, column: &str) -> bool {
        match &self.ignored {
            Ignored::Listed(names) => names.iter().any(|name| name == column),
            Ignored::All => true,
        }
    }

    /// Maps each column's name to its count; `counts` is in the order of [`Schema::columns`].
    pub fn by_column(&self, counts: &[u64]) -> BTreeMap<String, u64> {
        self.columns().map(str::to_owned).zip(counts.iter().copied()).collect()
    }

    /// Returns `name`, which is in lower case, with underscores appended until it is no column of the schema, in upper or
    /// lower case. Used for columns that follow those of the schema in a file.
    pub fn free_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        // Clusters do not distinguish names by case.
        free_name(name, |name| self.columns().any(|column| column.to_lowercase() == name))
    }

    /// Describes the first difference that changes the meaning of a table or a model, as seen from `self`; `None` if
    /// there is none. Labels, units and ignored columns make no difference.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if let Some(difference) = difference_of_names(self.columns(), other.columns()) {
            return Some(difference);
        }
        if self.id != other.id {
            return Some(format!("the id is \"{}\" instead of \"{}\"", self.id, other.id));
        }
        if self.target != other.target {
            return Some(format!("the target is {} instead of {}", self.target, other.target));
        }
        self.predictors.iter().zip(&other.predictors).find_map(|(mine, theirs)| {
            if mine.name != theirs.name {
                return Some(format!("\"{}\" where \"{}\" is expected", mine.name, theirs.name));
            }
            let is_same = (mine.kind, mine.transform) == (theirs.kind, theirs.transform);
            (!is_same)
                .then(|| format!("\"{}\" is a {} instead of a {}", mine.name, mine.type_name(), theirs.type_name()))
        })
    }

    /// Returns this schema with the labels, units and ignored columns of `other`, if the two have no
    /// [`Schema::difference`]; otherwise unchanged.
    pub fn presented_as(self, other: &Self) -> Self {
        if self.difference(other).is_none() { other.clone() } else { self }
    }
}

/// Returns `name`, with underscores appended as long as it `is_taken`.
pub fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let mut free = Cow::Borrowed(name);
    while is_taken(&free) {
        free.to_mut().push('_');
    }
    free
}

/// Describes which of the columns `here` are not `there` and which are only there; `None` if both are the same, in any
/// order.
pub fn difference_of_names<'a>(
    here: impl Iterator<Item = &'a str>,
    there: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let (here, there): (Vec<&str>, Vec<&str>) = (here.collect(), there.collect());
    let list = |names: &[&str], others: &[&str]| {
        let names = names.iter().filter(|name| !others.contains(name)).map(|name| format!("\"{name}\""));
        names.collect::<Vec<_>>().join(", ")
    };
    let (only_here, only_there) = (list(&here, &there), list(&there, &here));
    match (only_here.is_empty(), only_there.is_empty()) {
        (false, false) => Some(format!("{only_here} instead of {only_there}")),
        (false, true) => Some(format!("{only_here} in addition")),
        (true, false) => Some(format!("without {only_there}")),
        (true, true) => None,
    }
}

impl Predictor {
    /// Returns the kind and the transform, such as `number` or `number with log1p`.
    pub fn type_name(&self) -> String {
        match self.transform {
            Transform::None => self.kind.to_string(),
            transform => format!("{} with {transform}", self.kind),
        }
    }

    /// Whether the values are texts.
    pub fn is_category(&self) -> bool {
        self.kind == Kind::Category
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Number => "number",
            Self::Category => "category",
        })
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Log1p => "log1p",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "\"{}\" ({} or {})", self.name, self.positive, self.negative)
    }
}

impl TryFrom<Columns> for Schema {
    type Error = anyhow::Error;

    fn try_from(Columns { id, target, predictors, ignored }: Columns) -> Result<Self> {
        let schema = Self { id, target, predictors, ignored };
        schema.check()?;
        Ok(schema)
    }
}

impl Schema {
    fn check(&self) -> Result<()> {
        let count = self.predictors.len();
        ensure!(
            (1..=MOST_PREDICTORS).contains(&count),
            "expected 1 to {MOST_PREDICTORS} columns in \"predictors\", found {count}"
        );
        let ignored: &[String] = match &self.ignored {
            Ignored::Listed(names) => names,
            Ignored::All => &[],
        };
        let mut seen = HashSet::new();
        for name in self.columns().chain(ignored.iter().map(String::as_str)) {
            check_name(name)?;
            // Databases and clusters do not distinguish names by case.
            ensure!(
                seen.insert(name.to_lowercase()),
                "column \"{name}\" is named twice (upper and lower case are not distinguished); name each column once in \
                 \"id\", \"target\", \"predictors\" and \"ignored\""
            );
        }
        self.check_target()?;
        self.predictors.iter().try_for_each(Predictor::check)
    }

    fn check_target(&self) -> Result<()> {
        let Target { name, positive, negative } = &self.target;
        for label in [positive, negative] {
            ensure!(
                label.trim() == label && !is_missing(label.as_bytes()) && !label.contains(char::is_control),
                "target \"{name}\": the label {label:?} is read as a missing value or has white space around it; choose \
                 the labels as they are in the data"
            );
        }
        let is_same = match (positive.parse::<f64>(), negative.parse::<f64>()) {
            (Ok(positive), Ok(negative)) => positive == negative,
            _ => positive == negative,
        };
        ensure!(!is_same, "target \"{name}\": expected two different labels, found {positive:?} twice");
        Ok(())
    }
}

impl Predictor {
    fn check(&self) -> Result<()> {
        let Self { name, kind, transform, label, unit } = self;
        if *kind == Kind::Category && (*transform != Transform::None || unit.is_some()) {
            bail!("column \"{name}\": a category has neither \"transform\" nor \"unit\"; remove them");
        }
        for text in [Some(label), unit.as_ref()].into_iter().flatten() {
            ensure!(
                !text.trim().is_empty() && !text.contains(char::is_control),
                "column \"{name}\": expected a label and a unit that people can read, found {text:?}"
            );
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<()> {
    ensure!(!name.is_empty(), "a column's name is empty; expected the name in the header of the data");
    ensure!(
        name.trim() == name && !name.contains(char::is_control),
        "column {name:?}: expected a name without control characters and without white space around it"
    );
    ensure!(name.len() <= LONGEST_NAME, "column \"{name}\": expected a name of at most {LONGEST_NAME} bytes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema_of_json;

    fn schema(predictors: &str) -> Schema {
        let target = r#"{"name": "left", "positive": "yes", "negative": "no"}"#;
        schema_of_json(&format!(r#"{{"id": "key", "target": {target}, "predictors": {predictors}}}"#)).unwrap()
    }

    #[test]
    fn the_default_columns_are_valid() {
        Schema::default().check().unwrap();
        assert_eq!(Schema::default().width(), 5);
    }

    #[test]
    fn differences_are_named_as_seen_from_the_first() {
        let base = schema(r#"["a", "b"]"#);
        for (other, expected) in [
            (r#"["a", "b", "c"]"#, "without \"c\""),
            (r#"["a"]"#, "\"b\" in addition"),
            (r#"["a", "c", "d"]"#, "\"b\" instead of \"c\", \"d\""),
            (r#"["b", "a"]"#, "\"a\" where \"b\" is expected"),
            (r#"["a", {"name": "b", "kind": "category"}]"#, "\"b\" is a number instead of a category"),
            (r#"["a", {"name": "b", "transform": "log1p"}]"#, "\"b\" is a number instead of a number with log1p"),
        ] {
            assert_eq!(base.difference(&schema(other)).as_deref(), Some(expected), "{other}");
        }
        let swapped = Schema { id: "left".to_owned(), target: Target::of_name("key"), ..base.clone() };
        assert_eq!(base.difference(&swapped).as_deref(), Some("the id is \"key\" instead of \"left\""));
        let labels = Schema { target: Target::of_name("left"), ..base.clone() };
        let target = "the target is \"left\" (yes or no) instead of \"left\" (1 or 0)";
        assert_eq!(base.difference(&labels).as_deref(), Some(target));
    }

    #[test]
    fn a_label_is_no_difference_and_can_be_changed() {
        let (plain, labelled) = (schema(r#"["a"]"#), schema(r#"[{"name": "a", "label": "An A", "unit": "kg"}]"#));
        assert_eq!(plain.difference(&labelled), None);
        assert_eq!(plain.clone().presented_as(&labelled).label("a"), "An A");
        assert_eq!(plain.clone().presented_as(&schema(r#"["b"]"#)), plain);
    }

    #[test]
    fn names_are_quoted_in_a_header_and_columns_of_other_meaning_get_a_free_name() {
        assert_eq!(schema(r#"["a, \"b\"", "probability"]"#).header(), "key,\"a, \"\"b\"\"\",probability,left");
        assert_eq!(schema(r#"["probability", "probability_"]"#).free_name("probability"), "probability__");
        assert_eq!(schema(r#"["Probability"]"#).free_name("probability"), "probability_");
        assert_eq!(schema(r#"["a"]"#).free_name("probability"), "probability");
    }
}
