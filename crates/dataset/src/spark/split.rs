//! Splits the lines of an ingestion into columns, in two ways with the same result: regular lines by their commas, all
//! others by [`row_rules`].
//!
//! Nearly every line of a client table is regular: printable ASCII without quotes, as many fields as the header, plain
//! decimal numbers. One regular expression for each layout of a file recognises such lines, and their fields then need no
//! further check, which takes a fifth of the time of the full rules. The full rules see only the rest. Both engines
//! agree on what is used here for regular lines; [`row_rules`] contains what they do not agree on.

use std::collections::BTreeSet;

use common::schema::{Kind, Schema, Transform};
use common::values::MISSING;

use crate::rules::{ABSENT, LONGEST_TEXT};
use crate::spark::names;
use crate::spark::row_rules::FILE;
use crate::spark::sql;

/// A field of printable ASCII characters except the comma and the quote.
const TEXT: &str = r"[\\x20\\x21\\x23-\\x2B\\x2D-\\x7E]*";
/// A plain decimal number of at most 15 digits, which a double represents exactly enough to be read in one way only.
const NUMBER: &str = "(?:[0-9]{1,15}|[0-9]{1,9}[.][0-9]{1,6})";

/// The columns of a file: the position of each column of the schema, from 0, and the number of fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layout {
    pub columns: Vec<usize>,
    pub width: usize,
}

impl Layout {
    /// Returns an SQL condition that `value`, a line with or without a CR at its end, is regular.
    fn is_regular(&self, schema: &Schema, value: &str) -> String {
        let fields: Vec<String> = (0..self.width).map(|position| self.field(schema, position)).collect();
        format!("octet_length({value}) <= {LONGEST_TEXT} AND {value} RLIKE '^{}\\\\r?\\\\z'", fields.join(","))
    }

    /// Returns the regular expression of the field at `position`.
    fn field(&self, schema: &Schema, position: usize) -> String {
        let column = self.columns.iter().position(|column| *column == position);
        match column {
            Some(column) if column == schema.width() - 1 => {
                format!("(?:{}|{})?", escaped(schema.target().label(false)), escaped(schema.target().label(true)))
            }
            Some(column) if column > 0 => {
                let predictor = &schema.predictors()[column - 1];
                match (predictor.kind, predictor.transform) {
                    (Kind::Category, _) => TEXT.to_owned(),
                    (Kind::Number, Transform::None) => format!("(?:-?{NUMBER})?"),
                    (Kind::Count | Kind::Number, _) => format!("{NUMBER}?"),
                }
            }
            Some(_) | None => TEXT.to_owned(),
        }
    }

    /// Returns an SQL expression for each column of a regular line, in the order of the schema.
    fn values(&self, schema: &Schema, value: &str) -> Vec<String> {
        let last = schema.width() - 1;
        let of_column = |column: usize| {
            let text = format!("split_part({value}, ',', {})", self.columns[column] + 1);
            let known = |missing: &str| format!("CASE WHEN {missing} THEN NULL ELSE {text} END");
            let is_missing = format!("{text} IN {}", sql::texts(MISSING));
            if column == last && self.columns[column] == ABSENT {
                return "CAST(NULL AS INT)".to_owned();
            }
            if column == last {
                let [no, yes] = [false, true].map(|exited| sql::text(schema.target().label(exited)));
                return format!("CASE {text} WHEN {no} THEN 0 WHEN {yes} THEN 1 END");
            }
            match column.checked_sub(1).map(|j| schema.predictors()[j].is_category()) {
                None => known(&is_missing),
                Some(true) => known(&format!("{is_missing} OR trim({text}) = ''")),
                Some(false) => format!("try_cast({text} AS DOUBLE) + 0D"),
            }
        };
        (0..schema.width()).map(of_column).collect()
    }
}

/// Escapes a text for a regular expression of Java and of Rust.
fn escaped(text: &str) -> String {
    let escape = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_string(),
        false => format!("\\\\x{{{:X}}}", u32::from(letter)),
    };
    text.chars().map(escape).collect()
}

/// Returns a query that splits lines (columns `file` and `value`) of files of one layout. Its columns are `file`, those
/// of the schema ([`names::columns`]), and `raw`: the line if it is not regular, otherwise NULL. The columns of the
/// schema are valid only where `raw` is NULL.
///
/// A line that equals one of `headers` is not regular.
pub fn split(schema: &Schema, layout: &Layout, headers: &BTreeSet<&str>, lines: &str) -> String {
    let no_header = match headers.is_empty() {
        true => String::new(),
        false => format!(" AND v NOT IN {}", sql::texts(headers.iter().copied())),
    };
    let values = layout.values(schema, "v").into_iter().zip(names::columns(schema));
    let values: String = values.map(|(value, name)| format!(", {value} AS {name}")).collect();
    format!(
        "SELECT file, CASE WHEN {}{no_header} THEN NULL ELSE value END AS raw{values} \
         FROM (SELECT file, value, trim(TRAILING '\\r' FROM value) AS v FROM ({lines}))",
        layout.is_regular(schema, "value")
    )
}

/// Returns a query of all rows: the regular ones of `split`, a relation with the columns of [`split`], and those of
/// `others`, a query of [`super::row_rules::checked`] for the lines in `raw`.
pub fn joined(schema: &Schema, split: &str, others: &str) -> String {
    let columns = names::columns(schema).join(", ");
    format!(
        "(SELECT file AS {FILE}, 1 AS readable, {columns} FROM {split} WHERE raw IS NULL) UNION ALL \
         (SELECT {FILE}, readable, {columns} FROM ({others}))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_line_has_the_fields_of_its_layout() {
        let layout = Layout { columns: vec![3, 1, 0, 2], width: 5 };
        let schema = names::tests::schema(); // the id, a number, a category, and the target "yes" or "no"
        let condition = layout.is_regular(&schema, "value");
        let text = r"[\\x20\\x21\\x23-\\x2B\\x2D-\\x7E]*";
        let number = "(?:-?(?:[0-9]{1,15}|[0-9]{1,9}[.][0-9]{1,6}))?";
        let fields = format!("'^{text},{number},(?:no|yes)?,{text},{text}\\\\r?\\\\z'");
        assert_eq!(condition, format!("octet_length(value) <= 1000 AND value RLIKE {fields}"));
        assert_eq!(layout.values(&schema, "v")[1], "try_cast(split_part(v, ',', 2) AS DOUBLE) + 0D");
        assert_eq!(layout.values(&schema, "v")[3], "CASE split_part(v, ',', 3) WHEN 'no' THEN 0 WHEN 'yes' THEN 1 END");
        let without_target = Layout { columns: vec![3, 1, 0, ABSENT], width: 5 };
        assert_eq!(without_target.values(&schema, "v")[3], "CAST(NULL AS INT)");
    }

    #[test]
    fn a_label_means_itself() {
        assert_eq!(escaped("No.1|x"), r"No\\x{2E}1\\x{7C}x");
    }
}
