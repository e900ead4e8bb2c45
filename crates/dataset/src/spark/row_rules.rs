//! Expresses in SQL what a valid row of a CSV file is, by the same rules as on one machine.
//!
//! The CSV readers of Spark and Sail differ from each other and from this project in what a malformed row is, so files
//! are read as lines and split here. Every row is one line: a quote that is not closed on its line makes the row
//! malformed.
//!
//! The layout of a file is data and not part of the SQL text, so the queries below are the same for one file as for
//! thousands. Their lines have the columns `file`, `line`, `value` and, for each of [`COLUMNS`], its position in the
//! file, `p0` to `p4`.

use crate::rules::{ABSENT, LARGEST_EXACT, LONGEST_NAME, MISSING, Malformed};
use common::model::schema::{COLUMNS, PREDICTORS, TARGET};

use crate::spark::sql;

/// The column that identifies the first file that contains a row, as its index (from 0) in ingestedfiles.txt. It is the
/// only order that a dataset on shared storage has.
pub const FILE: &str = "ingested_file";

/// The condition that a line is a valid row. The column is a number and not a boolean, because Sail is inconsistent
/// about whether a boolean may be NULL.
pub const READABLE: &str = "readable = 1";

/// The columns that describe the layout of a file; [`layout`] returns their values.
pub const LAYOUT: &str = "p0, p1, p2, p3, p4, fields";

/// The position of a column that a file does not have. No line has that many fields.
const BEYOND_ANY_LINE: usize = 1_000_000_000;

/// Returns the values of [`LAYOUT`]: the positions of [`COLUMNS`], counted from 1, and the number of fields.
pub fn layout(columns: &[usize; 5], width: usize) -> String {
    let position = |index: &usize| if *index == ABSENT { BEYOND_ANY_LINE } else { index + 1 };
    let values: Vec<String> = columns.iter().map(position).chain([width]).map(|number| number.to_string()).collect();
    values.join(", ")
}

/// Returns an expression for a line without its CR and its byte order mark, named `value`.
pub fn clean(value: &str) -> String {
    format!("trim(LEADING '\u{feff}' FROM trim(TRAILING '\\r' FROM {value})) AS value")
}

/// Returns the condition that a line is not blank. Blank lines are ignored, as everywhere else.
pub fn not_blank(value: &str) -> String {
    format!("trim(BOTH ' \\t\\r\\f' FROM {value}) NOT IN ('', '\u{feff}', '\"\"')")
}

/// Returns a query of the fields of each line as texts: `t0` to `t4` in the order of [`COLUMNS`], `width` (the number
/// of fields), and `open` (whether a quote is not closed).
fn fields(lines: &str) -> String {
    // Every match begins with a comma and is therefore not empty: the engines disagree about the number of empty
    // matches.
    let parts = r#"CASE WHEN instr(value, '"') = 0 THEN split(value, ',')
        ELSE regexp_extract_all(concat(',', value), ',("[^"]*(?:""[^"]*)*"[^,]*|[^,]*)', 1) END"#;
    let raw = |column: usize| format!("coalesce(try_element_at(parts, p{column}), '')");
    let field = |column: usize| {
        let raw = raw(column);
        format!(
            "CASE WHEN NOT quoted THEN {raw} WHEN left({raw}, 1) = '\"' THEN \
             replace(substring({raw}, 2, length({raw}) - 2), '\"\"', '\"') ELSE {raw} END AS t{column}"
        )
    };
    let open = |column: usize| {
        let raw = raw(column);
        format!(r#"(left({raw}, 1) = '"' AND NOT {raw} RLIKE '^"[^"]*(""[^"]*)*"$')"#)
    };
    let all: Vec<String> = (0..COLUMNS.len()).map(field).collect();
    let open: Vec<String> = (0..COLUMNS.len()).map(open).collect();
    format!(
        "SELECT file, line, value, fields, size(parts) AS width, {}, quoted AND ({}) AS open \
         FROM (SELECT *, instr(value, '\"') > 0 AS quoted, {parts} AS parts FROM ({lines}))",
        all.join(", "),
        open.join(" OR ")
    )
}

/// Returns the query [`fields`] with the additional numeric columns `x1` to `x4`.
fn numbers(lines: &str) -> String {
    let numbers: Vec<String> = (1..COLUMNS.len())
        .map(|j| format!("coalesce(try_cast(t{j} AS DOUBLE), try_cast({} AS DOUBLE)) + 0D AS x{j}", trimmed(j)))
        .collect();
    format!("SELECT *, {} FROM ({})", numbers.join(", "), fields(lines))
}

fn trimmed(column: usize) -> String {
    format!("trim(BOTH ' \\t\\r\\f' FROM t{column})")
}

fn is_missing(text: &str) -> String {
    format!("{text} IN {}", sql::texts(MISSING))
}

/// Returns the condition that a number exceeds [`LARGEST_EXACT`]. The next whole number is rounded to it, so in that
/// case the digits decide.
fn is_too_large(column: usize) -> String {
    let (largest, digits) = (sql::number(LARGEST_EXACT), trimmed(column));
    format!(
        "(x{column} > {largest} OR x{column} = {largest} \
         AND coalesce(try_cast({digits} AS DECIMAL(38, 10)) > {LARGEST_EXACT:.0}, false))"
    )
}

/// Returns the condition that a name is invalid.
fn is_invalid_name() -> String {
    format!("(octet_length(t0) > {LONGEST_NAME} OR t0 RLIKE '[\\\\p{{Cc}}]')")
}

/// Returns a query of [`FILE`], `readable` (see [`READABLE`]) and [`COLUMNS`] for each line of a query; the latter are
/// NULL if the line is not a valid row.
pub fn checked(lines: &str) -> String {
    let counts = (1..=PREDICTORS.len()).map(|j| {
        let known = format!("x{j} >= 0D AND NOT {}", is_too_large(j));
        format!("({known} OR (x{j} IS NULL OR isnan(x{j})) AND {})", is_missing(&trimmed(j)))
    });
    let target = format!("(x4 = 0D OR x4 = 1D OR {})", is_missing(&trimmed(4)));
    let good: Vec<String> = counts.chain([target]).collect();
    let readable = format!("width = fields AND NOT open AND NOT {} AND {}", is_invalid_name(), good.join(" AND "));
    let predictors: Vec<String> = (1..=PREDICTORS.len())
        .map(|j| format!("CASE WHEN {READABLE} AND NOT isnan(x{j}) THEN x{j} END AS {}", PREDICTORS[j - 1]))
        .collect();
    format!(
        "SELECT file AS {FILE}, readable, CASE WHEN {READABLE} AND NOT {} THEN t0 END AS {}, {}, \
         CASE WHEN {READABLE} AND NOT isnan(x4) THEN CAST(x4 AS INT) END AS {TARGET} \
         FROM (SELECT *, CASE WHEN {readable} THEN 1 ELSE 0 END AS readable FROM ({}))",
        is_missing("t0"),
        COLUMNS[0],
        predictors.join(", "),
        numbers(lines)
    )
}

/// Returns a query of `file`, `line`, `value` and the `reason` why a line is malformed; NULL if it is a valid row.
pub fn reasoned(lines: &str) -> String {
    let say = |reason: Malformed| sql::text(&reason.to_string());
    let mut cases = vec![
        format!("WHEN open THEN {}", say(Malformed::OpenQuote)),
        // The numbers of fields are only known to the query.
        "WHEN width <> fields THEN concat(CAST(width AS STRING), ' fields where the header has ', CAST(fields AS STRING))"
            .to_owned(),
        format!("WHEN {} THEN {}", is_invalid_name(), say(Malformed::InvalidName)),
    ];
    for (j, column) in (1..).zip(PREDICTORS) {
        cases.push(format!(
            "WHEN (x{j} IS NULL OR isnan(x{j})) AND NOT {} THEN {}",
            is_missing(&trimmed(j)),
            say(Malformed::NotANumber(column))
        ));
        cases.push(format!("WHEN x{j} < 0D THEN {}", say(Malformed::Negative(column))));
        let too_large = say(Malformed::TooLarge(column));
        cases.push(format!("WHEN {} AND NOT isnan(x{j}) THEN {too_large}", is_too_large(j)));
    }
    cases.push(format!(
        "WHEN NOT coalesce(x4 = 0D OR x4 = 1D, false) AND NOT {} THEN {}",
        is_missing(&trimmed(4)),
        say(Malformed::NotZeroOrOne)
    ));
    format!("SELECT file, line, value, CASE {} END AS reason FROM ({})", cases.join(" "), numbers(lines))
}
