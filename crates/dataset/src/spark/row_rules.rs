//! Expresses in SQL what a valid row of a CSV file is, by the same rules as on one machine.
//!
//! The CSV readers of Spark and Sail differ from each other and from this project in what a malformed row is, so files
//! are read as lines and split here. Every row is one line: a quote that is not closed on its line makes the row
//! malformed.
//!
//! The layout of a file is data and not part of the SQL text, so the queries below are the same for one file as for
//! thousands. Their lines have the columns `file`, `line`, `value`, `fields` and, for each column k of the schema, its
//! position in the file, `p0`, `p1` and so on.

use common::schema::{Kind, LARGEST_COUNT, Predictor, Schema, Transform};
use common::values::MISSING;

use crate::rules::{ABSENT, LONGEST_TEXT, Malformed};
use crate::spark::names::{self, ID, TARGET};
use crate::spark::sql;

/// The column that identifies the first file that contains a row, as its index (from 0) in ingestedfiles.txt. It is the
/// only order that a dataset on shared storage has.
pub const FILE: &str = "ingested_file";

/// The condition that a line is a valid row. The column is a number and not a boolean, because Sail is inconsistent
/// about whether a boolean may be NULL.
pub const READABLE: &str = "readable = 1";

/// The position of a column that a file does not have. No line has that many fields.
const BEYOND_ANY_LINE: usize = 1_000_000_000;

/// A field after its comma. A quoted field ends at the first quote that is not one of two in a row; the text up to the
/// next comma belongs to it, quotes included. In a field that does not begin with a quote, quotes are text.
///
/// The possessive `*+` keeps Java from a recursion for each pair of quotes; to Rust it is a harmless repetition.
const FIELD: &str = r#",((?:"[^"]*(?:""[^"]*)*+"(?:[^",][^,]*)?|[^",][^,]*)?)"#;

/// A finite number in decimal notation, as Rust parses it. Java reads `1d`, `0x1p3` and others as numbers too. `$` is not
/// used, because for Java it is also before a line break.
const NUMBER: &str = r"^[+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][+-]?[0-9]+)?\\z";

/// Infinity, as Rust parses it. NaN is not a number.
const INFINITE: &str = r"^[+-]?[iI][nN][fF](?:[iI][nN][iI][tT][yY])?\\z";

/// A blank line, which may be one quoted field.
const BLANK: &str = r#"^(?:"[ \\t\\r\\f]*")?[ \\t\\r\\f]*\\z"#;

/// White space around numbers and labels. SQL has no escape for the form feed.
const SPACE: &str = " \\t\\r\u{c}";

/// Returns the names of the columns that describe the layout of a file; [`layout`] returns their values.
pub fn layout_columns(schema: &Schema) -> String {
    let positions: String = (0..schema.width()).map(|column| format!("p{column}, ")).collect();
    positions + "fields"
}

/// Returns the values of [`layout_columns`]: the positions of the columns, counted from 1, and the number of fields.
pub fn layout(columns: &[usize], width: usize) -> String {
    let position = |index: &usize| if *index == ABSENT { BEYOND_ANY_LINE } else { index + 1 };
    let values: Vec<String> = columns.iter().map(position).chain([width]).map(|number| number.to_string()).collect();
    values.join(", ")
}

/// Returns an expression for a line without the CR of its line break, named `value`.
pub fn clean(value: &str) -> String {
    // Sail cannot split what `left` returns.
    format!(
        "CASE WHEN right({value}, 1) = '\\r' THEN substring({value}, 1, length({value}) - 1) ELSE {value} END AS value"
    )
}

/// Returns the condition that a line is not blank. Blank lines are ignored, as everywhere else.
pub fn not_blank(value: &str) -> String {
    format!("NOT {value} RLIKE '{BLANK}'")
}

/// Returns the condition that a line is not `header`, which has neither a byte order mark nor a CR.
pub fn is_not(value: &str, header: &str) -> String {
    format!("trim(LEADING '\u{feff}' FROM trim(TRAILING '\\r' FROM {value})) <> {header}")
}

/// Returns a query of the fields of each line as texts: `t0`, `t1` and so on in the order of the schema's columns,
/// `width` (the number of fields), and `open` (whether a quote is not closed).
fn fields(schema: &Schema, lines: &str) -> String {
    // Every match begins with a comma and is therefore not empty: the engines disagree about the number of empty
    // matches.
    let parts = format!(
        "CASE WHEN instr(value, '\"') = 0 THEN split(value, ',') \
         ELSE regexp_extract_all(concat(',', value), '{FIELD}', 1) END"
    );
    let raw: String = (0..schema.width())
        .map(|column| format!(", coalesce(try_element_at(parts, p{column}), '') AS r{column}"))
        .collect();
    let field = |column: usize| {
        // No line contains a line break, which therefore can stand for two quotes in a row.
        let rest = format!("replace(substring(r{column}, 2), '\"\"', '\\n')");
        format!(
            "CASE WHEN NOT quoted OR left(r{column}, 1) <> '\"' THEN r{column} \
             WHEN instr(substring(r{column}, 2), '\"') = length(r{column}) - 1 \
             THEN substring(r{column}, 2, length(r{column}) - 2) \
             ELSE concat(replace(substring_index({rest}, '\"', 1), '\\n', '\"'), \
             replace(substring({rest}, instr({rest}, '\"') + 1), '\\n', '\"\"')) END AS t{column}"
        )
    };
    let all: Vec<String> = (0..schema.width()).map(field).collect();
    // An unclosed quote is in no part.
    format!(
        "SELECT file, line, value, fields, width, open, {} FROM (SELECT *, size(parts) AS width, \
         CASE WHEN quoted THEN array_join(parts, ',') <> value ELSE false END AS open{raw} \
         FROM (SELECT *, instr(value, '\"') > 0 AS quoted, {parts} AS parts FROM ({lines})))",
        all.join(", "),
    )
}

/// Returns the query [`fields`] with an additional numeric column `n1`, `n2` and so on for each column of numbers, and
/// for the target if a label is a number.
fn numbers(schema: &Schema, lines: &str) -> String {
    let infinity = sql::number(f64::INFINITY);
    let number = |column: usize| {
        let trimmed = trimmed(column);
        format!(
            "CASE WHEN {trimmed} RLIKE '{NUMBER}' THEN try_cast({trimmed} AS DOUBLE) + 0D \
             WHEN {trimmed} RLIKE '{INFINITE}' THEN CASE WHEN left({trimmed}, 1) = '-' THEN -1D ELSE 1D END * {infinity} \
             END AS n{column}"
        )
    };
    let numbers = (1..).zip(schema.predictors()).filter(|(_, predictor)| !predictor.is_category());
    let target = schema.width() - 1;
    let has_number = [true, false].into_iter().any(|exited| label_number(schema, exited).is_some());
    let columns = numbers.map(|(column, _)| column).chain(has_number.then_some(target));
    let all: Vec<String> = ["*".to_owned()].into_iter().chain(columns.map(number)).collect();
    format!("SELECT {} FROM ({})", all.join(", "), fields(schema, lines))
}

/// Returns the number that a label of the target is; `None` if it is a text.
fn label_number(schema: &Schema, exited: bool) -> Option<f64> {
    schema.target().label(exited).parse().ok().filter(|number: &f64| !number.is_nan())
}

fn trimmed(column: usize) -> String {
    format!("trim(BOTH '{SPACE}' FROM t{column})")
}

fn is_missing(text: &str) -> String {
    format!("{text} IN {}", sql::texts(MISSING))
}

/// Returns the condition that a text, an id or a level, is invalid.
fn is_invalid_text(column: usize) -> String {
    format!("(octet_length(t{column}) > {LONGEST_TEXT} OR t{column} RLIKE '[\\\\p{{Cc}}]')")
}

/// Returns the condition that a count exceeds [`LARGEST_COUNT`]. The next whole number is rounded to it, so in that
/// case the digits decide, as in [`crate::rules::exceeds_exact`].
fn is_too_large(column: usize) -> String {
    let (largest, trimmed) = (sql::number(LARGEST_COUNT), trimmed(column));
    format!(
        "(n{column} > {largest} OR n{column} = {largest} AND \
         trim(BOTH '0' FROM replace(regexp_extract({trimmed}, '[0-9.]+', 0), '.', '')) > '{LARGEST_COUNT:.0}')"
    )
}

/// The SQL of one column of a line.
struct Field {
    /// The condition that the field is missing.
    missing: String,
    /// The value of a valid field that is not missing.
    value: String,
    /// The conditions under which the field is malformed, with the reasons, in the order in which they are checked.
    malformed: Vec<(String, Malformed)>,
}

impl Field {
    fn id(schema: &Schema) -> Self {
        let malformed = vec![(is_invalid_text(0), Malformed::InvalidText(schema.id().to_owned()))];
        Self { missing: is_missing("t0"), value: "t0".to_owned(), malformed }
    }

    fn predictor(column: usize, predictor: &Predictor) -> Self {
        let name = || predictor.name.clone();
        let missing = is_missing(&trimmed(column));
        if predictor.is_category() {
            return Self {
                // A spelling with white space around it is a level; only white space is missing.
                missing: format!("({} OR {} = '')", is_missing(&format!("t{column}")), trimmed(column)),
                value: format!("t{column}"),
                malformed: vec![(is_invalid_text(column), Malformed::InvalidText(name()))],
            };
        }
        let mut malformed = vec![(format!("n{column} IS NULL"), Malformed::NotANumber(name()))];
        if predictor.kind == Kind::Count {
            malformed.push((format!("n{column} < 0D"), Malformed::Negative(name())));
            malformed.push((is_too_large(column), Malformed::TooLarge(name())));
        } else {
            let not_finite = format!("abs(n{column}) > {}", sql::number(f64::MAX));
            malformed.push((not_finite, Malformed::NotFinite(name())));
        }
        if predictor.transform == Transform::Log1p {
            malformed.push((format!("n{column} <= -1D"), Malformed::NoLogarithm(name())));
        }
        Self { missing, value: format!("n{column}"), malformed }
    }

    fn target(schema: &Schema) -> Self {
        let column = schema.width() - 1;
        let trimmed = trimmed(column);
        let is = |exited: bool| {
            let text = format!("{trimmed} = {}", sql::text(schema.target().label(exited)));
            match label_number(schema, exited) {
                Some(number) => format!("({text} OR coalesce(n{column} = {}, false))", sql::number(number)),
                None => text,
            }
        };
        let value = format!("CASE WHEN {} THEN 0 WHEN {} THEN 1 END", is(false), is(true));
        let malformed = vec![(
            format!("NOT ({} OR {})", is(false), is(true)),
            Malformed::NotALabel(Box::new(schema.target().clone())),
        )];
        Self { missing: is_missing(&trimmed), value, malformed }
    }

    /// Returns the fields of all columns, in the order of the schema.
    fn all(schema: &Schema) -> Vec<Self> {
        let predictors = (1..).zip(schema.predictors());
        let predictors = predictors.map(|(column, predictor)| Self::predictor(column, predictor));
        [Self::id(schema)].into_iter().chain(predictors).chain([Self::target(schema)]).collect()
    }

    /// Returns the condition that the field is missing or valid.
    fn is_good(&self) -> String {
        let malformed: Vec<&str> = self.malformed.iter().map(|(condition, _)| condition.as_str()).collect();
        format!("({} OR NOT ({}))", self.missing, malformed.join(" OR "))
    }
}

/// Returns a query of [`FILE`], `readable` (see [`READABLE`]) and the columns of the schema for each line of a query;
/// the latter are NULL if the line is not a valid row.
pub fn checked(schema: &Schema, lines: &str) -> String {
    let fields = Field::all(schema);
    let good: Vec<String> = fields.iter().map(Field::is_good).collect();
    let columns = fields.iter().zip(names::columns(schema));
    let columns: Vec<String> = columns
        .map(|(field, name)| {
            format!("CASE WHEN {READABLE} AND NOT {} THEN {} END AS {name}", field.missing, field.value)
        })
        .collect();
    format!(
        "SELECT file AS {FILE}, readable, {} \
         FROM (SELECT *, CASE WHEN width = fields AND NOT open AND {} THEN 1 ELSE 0 END AS readable FROM ({}))",
        columns.join(", "),
        good.join(" AND "),
        numbers(schema, lines)
    )
}

/// Returns a query of the same rows as `rows`, in which an unlabelled row has the label of
/// [`crate::Labels::Later`].
///
/// The newest label of a client is one number, twice the index of its file plus the label, so that a maximum finds it.
pub fn with_later_labels(schema: &Schema, rows: &str) -> String {
    let columns = [ID.to_owned()].into_iter().chain(names::predictors(schema));
    let columns: Vec<String> = columns.map(|column| format!("r.{column}")).collect();
    format!(
        "SELECT r.{FILE}, r.readable, {}, CASE WHEN r.{TARGET} IS NULL AND l.newest - l.newest % 2 > 2 * r.{FILE} \
         THEN l.newest % 2 ELSE r.{TARGET} END AS {TARGET} FROM ({rows}) AS r LEFT JOIN (SELECT {ID} AS labelled, \
         max(CASE WHEN {TARGET} IS NOT NULL THEN 2 * {FILE} + {TARGET} END) AS newest FROM ({rows}) GROUP BY {ID}) AS l \
         ON r.{ID} = l.labelled",
        columns.join(", ")
    )
}

/// Returns a query of `file`, `line`, `value` and the `reason` why a line is malformed; NULL if it is a valid row.
pub fn reasoned(schema: &Schema, lines: &str) -> String {
    let say = |reason: &Malformed| sql::text(&reason.to_string());
    let mut cases = vec![
        format!("WHEN open THEN {}", say(&Malformed::OpenQuote)),
        // The numbers of fields are only known to the query.
        "WHEN width <> fields THEN concat(CAST(width AS STRING), ' fields where the header has ', CAST(fields AS STRING))"
            .to_owned(),
    ];
    for field in Field::all(schema) {
        for (condition, reason) in &field.malformed {
            cases.push(format!("WHEN NOT {} AND {condition} THEN {}", field.missing, say(reason)));
        }
    }
    // In an array, because Sail would put the cases with all that they depend on into a filter of the reason, several
    // times each. The row is shown without any CR at its end.
    format!(
        "SELECT file, line, trim(TRAILING '\\r' FROM value) AS value, reason FROM (SELECT file, line, value, \
         explode(array(CASE {} END)) AS reason FROM ({}))",
        cases.join(" "),
        numbers(schema, lines)
    )
}
