//! The three kinds of requests for predictions: the path of a file, rows as JSON, or a CSV table.

mod sent;

use std::fmt;
use std::io::Read;

use common::schema::Schema;
use common::values::ValueRef;
use dataset::local::reader::{Next, RowReader};
use dataset::row::{check_number, check_text, parse_value};

use self::sent::{Reading, SentKeys};
use crate::answer::{FinishedAnswer, Format, PredictionAnswer};
use crate::live::LiveModel;
use crate::problem::Problem;

pub use self::sent::{SentRow, SentValue, Text, in_column, unknown_field};

/// What a JSON body asks for.
pub enum Answered {
    /// Predictions for its rows.
    Rows(FinishedAnswer),
    /// Predictions for the file at this path.
    File(String),
}

/// Predicts for the rows of a JSON body, one after the other, or returns the path in it.
///
/// # Errors
/// [`Problem::BadRequest`] if the body is not JSON, [`Problem::WrongData`] if it has the wrong keys or values.
pub fn json(body: &[u8], live: &LiveModel, format: Format) -> Result<Answered, Problem> {
    let schema = &live.model.schema;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::BadRequest(format!("the body is not a JSON object; {}", kinds(schema))));
    }
    let mut answer = PredictionAnswer::new(live, format)?;
    let mut each = |index: usize, row: &SentRow| {
        let wrong = |wrong: String| Problem::WrongData(format!("rows[{index}]{wrong}"));
        let (id, values) = checked(schema, row).map_err(wrong)?;
        answer.push(id, values.iter().copied())
    };
    let mut reading = Reading::new(schema, &mut each);
    let mut json = serde_json::Deserializer::from_slice(body);
    let keys = reading.read(&mut json).and_then(|keys| json.end().map(|()| keys));
    let stopped = reading.stopped;
    match (keys, stopped) {
        (Err(_), Some(problem)) => Err(problem),
        (Err(error), None) if error.is_data() => Err(Problem::WrongData(describe(body, schema))),
        (Err(error), None) => Err(Problem::BadRequest(format!("the body is not JSON ({error}); {}", kinds(schema)))),
        (Ok(SentKeys { filepath: Some(filepath), has_rows: false }), _) => Ok(Answered::File(filepath)),
        (Ok(SentKeys { filepath: None, has_rows: true }), _) => answer.finish().map(Answered::Rows),
        (Ok(_), _) => Err(Problem::WrongData(format!("expected either filepath or rows; {}", kinds(schema)))),
    }
}

/// The id and the predictors of a row that was sent.
pub type CheckedRow<'r> = (Option<&'r str>, Vec<Option<ValueRef<'r>>>);

/// Checks a row by the rules for fields of a table; an error continues the text `rows[1]`. A text that a table would
/// read as a missing value is one here too, except in an id.
pub fn checked<'r>(schema: &Schema, row: &'r SentRow<'r, 'r>) -> Result<CheckedRow<'r>, String> {
    let values = row.values.iter().zip(schema.predictors()).map(|(value, predictor)| match value {
        None => Ok(None),
        Some(SentValue::Number(number)) => check_number(predictor, *number).map(|n| Some(ValueRef::Number(n))),
        Some(SentValue::Text(Text(text))) => parse_value(predictor, text.as_bytes()),
    });
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|wrong| format!(": {wrong}"))?;
    let id = row.id.as_ref().map(|Text(id)| check_text(schema.id(), id)).transpose();
    Ok((id.map_err(|wrong| format!(".{}: {wrong}", schema.id()))?, values))
}

/// Predicts for the rows of a CSV table, one after the other; error messages call the table `name`.
pub fn table(name: &str, stream: impl Read, live: &LiveModel, format: Format) -> Result<FinishedAnswer, Problem> {
    let wrong = |why: &dyn fmt::Display| Problem::WrongData(format!("{name} cannot be read as a client table: {why}"));
    let reader = RowReader::for_prediction(&live.model.schema, stream);
    let mut reader = reader.map_err(|error| wrong(&format_args!("{error:#}")))?;
    let mut answer = PredictionAnswer::new(live, format)?;
    while let Some(next) = reader.read_next().map_err(|error| wrong(&format_args!("{error:#}")))? {
        match next {
            Next::Row(row) => answer.push(row.id, row.predictors())?,
            Next::Malformed(row) => return Err(wrong(&format_args!("line {}: {}", row.line, row.reason))),
        }
    }
    answer.finish()
}

/// Parses a body that is known to be invalid once more, to find out which row and key are wrong.
fn describe(body: &[u8], schema: &Schema) -> String {
    let mut track = serde_path_to_error::Track::new();
    let mut json = serde_json::Deserializer::from_slice(body);
    let mut each = |_: usize, _: &SentRow| Ok(());
    let read = Reading::new(schema, &mut each).read(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    let path = track.path();
    match read.err() {
        Some(error) if path.iter().next().is_some() => format!("{path}: {error}"),
        Some(error) => format!("{error}; {}", kinds(schema)),
        None => kinds(schema),
    }
}

/// The kinds of requests, for error messages.
fn kinds(schema: &Schema) -> String {
    let row = schema.predictors().first().map_or_else(String::new, |predictor| {
        let value = if predictor.is_category() { "\"…\"" } else { "12" };
        format!("{}: {value}", serde_json::Value::from(predictor.name.as_str()))
    });
    format!(
        "send {{\"filepath\": \"testdata/testdata.csv\"}}, {{\"rows\": [{{{row}, …}}, …]}}, or a CSV table as text/csv"
    )
}
