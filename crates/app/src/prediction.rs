//! The three kinds of requests for predictions: the path of a file, rows as JSON, or a CSV table.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use common::model::schema::{PREDICTORS, Predictors};
use dataset::local::reader::{Next, RowReader};
use dataset::row::{check_count, check_name};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::ToSchema;

use crate::answer::{FinishedAnswer, Format, PredictionAnswer};
use crate::limits::MOST_SENT_ROWS;
use crate::live::LiveModel;
use crate::problem::Problem;

const KINDS: &str = "send {\"filepath\": \"testdata/testdata.csv\"}, {\"rows\": [{\"lastmonth_activity\": 12, …}, …]}, \
                     or a CSV table as text/csv";

/// The JSON body of `POST /prediction`: exactly one of the two keys.
#[derive(Debug, ToSchema)]
pub enum PredictionRequest {
    /// Path of a CSV file in one of the data folders.
    #[schema(rename = "filepath", example = "testdata/testdata.csv")]
    File(String),
    /// The clients, one object each.
    #[schema(rename = "rows")]
    Rows(Vec<RequestRow>),
}

/// One client as JSON; a key that is absent or null is a missing value.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientRow)]
pub struct RequestRow {
    /// The client's name; the answer repeats it.
    corporation: Option<String>,
    /// The client's activity in the last month.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 9_007_199_254_740_992_i64)]
    lastmonth_activity: Option<Count>,
    /// The client's activity in the last year.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 9_007_199_254_740_992_i64)]
    lastyear_activity: Option<Count>,
    /// The client's number of employees.
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 9_007_199_254_740_992_i64)]
    number_of_employees: Option<Count>,
    /// Accepted so that rows of a training table can be sent unchanged; the prediction ignores it.
    #[serde(rename = "exited")]
    #[schema(rename = "exited", value_type = Option<f64>)]
    _exited: Option<IgnoredAny>,
}

/// A number in a row, not validated yet. A whole number above 2^53 is rounded up and not to 2^53, because 2^53 is
/// allowed.
#[derive(Debug)]
struct Count(f64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let nearest = number.as_f64().unwrap_or(f64::NAN);
        let is_rounded_down = number.as_u64().is_some_and(|whole| whole > nearest as u64);
        Ok(Self(if is_rounded_down { nearest.next_up() } else { nearest }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestKeys {
    filepath: Option<String>,
    rows: Option<SentRows>,
}

impl PredictionRequest {
    /// Parses a JSON body.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] if the body is not JSON, [`Problem::WrongData`] if it has the wrong keys or values.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::BadRequest(format!("the body is not a JSON object; {KINDS}")));
        }
        let request: RequestKeys = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) if error.is_data() => return Err(Problem::WrongData(describe(body))),
            Err(error) => return Err(Problem::BadRequest(format!("the body is not JSON ({error}); {KINDS}"))),
        };
        match (request.filepath, request.rows) {
            (Some(filepath), None) => Ok(Self::File(filepath)),
            (None, Some(rows)) => Ok(Self::Rows(rows.0)),
            _ => Err(Problem::WrongData(format!("expected either filepath or rows; {KINDS}"))),
        }
    }
}

/// Predicts for rows that were sent as JSON.
pub fn rows(rows: Vec<RequestRow>, live: &LiveModel, format: Format) -> Result<FinishedAnswer, Problem> {
    let mut answer = PredictionAnswer::new(live, format)?;
    for (i, row) in rows.into_iter().enumerate() {
        let sent = [row.lastmonth_activity, row.lastyear_activity, row.number_of_employees];
        let mut predictors: Predictors = sent.map(|count| count.map(|Count(number)| number));
        for (value, column) in predictors.iter_mut().zip(PREDICTORS) {
            if let Some(number) = value {
                *number =
                    check_count(column, *number).map_err(|wrong| Problem::WrongData(format!("rows[{i}]: {wrong}")))?;
            }
        }
        let name = row.corporation.as_deref().map(check_name).transpose();
        let name = name.map_err(|wrong| Problem::WrongData(format!("rows[{i}].corporation: {wrong}")))?;
        answer.push(name, &predictors)?;
    }
    answer.finish()
}

/// Predicts for the rows of a CSV table, one after the other; error messages call the table `name`.
pub fn table(name: &str, stream: impl Read, live: &LiveModel, format: Format) -> Result<FinishedAnswer, Problem> {
    let wrong = |why: &dyn fmt::Display| Problem::WrongData(format!("{name} cannot be read as a client table: {why}"));
    let mut reader = RowReader::for_prediction(stream).map_err(|error| wrong(&format_args!("{error:#}")))?;
    let mut answer = PredictionAnswer::new(live, format)?;
    while let Some(next) = reader.read_next().map_err(|error| wrong(&format_args!("{error:#}")))? {
        match next {
            Next::Row(row) => answer.push(row.corporation, &row.predictors)?,
            Next::Malformed(row) => return Err(wrong(&format_args!("line {}: {}", row.line, row.reason))),
        }
    }
    answer.finish()
}

/// Parses a body that is known to be invalid once more, to find out which row and key are wrong.
fn describe(body: &[u8]) -> String {
    let error =
        serde_path_to_error::deserialize::<_, RequestKeys>(&mut serde_json::Deserializer::from_slice(body)).err();
    match error {
        Some(error) if error.path().iter().next().is_some() => format!("{}: {}", error.path(), error.inner()),
        Some(error) => format!("{}; {KINDS}", error.inner()),
        None => KINDS.to_owned(),
    }
}

/// A list of rows; parsing stops as soon as there are more than `MOST_SENT_ROWS`.
struct SentRows(Vec<RequestRow>);

impl<'de> Deserialize<'de> for SentRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> Visitor<'de> for Rows {
            type Value = SentRows;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a sequence")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<SentRows, A::Error> {
                let mut rows = Vec::new();
                while let Some(Object(row)) = list.next_element()? {
                    if rows.len() == MOST_SENT_ROWS {
                        let more = format!(
                            "more than {MOST_SENT_ROWS} rows; send them as a CSV table, which may have any number of rows"
                        );
                        return Err(A::Error::custom(more));
                    }
                    rows.push(row);
                }
                Ok(SentRows(rows))
            }
        }
        deserializer.deserialize_seq(Rows)
    }
}

/// A JSON object. Without this wrapper, serde would also accept a list with the values in the order of the fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Keys(PhantomData))
    }
}
