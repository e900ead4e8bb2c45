//! From a request for predictions to clients, in its three forms: a file's name, rows as JSON, a CSV table.

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;

use actix_web::web::Bytes;
use common::config::Config;
use common::schema::{PREDICTORS, Predictors};
use dataset::Table;
use dataset::row::check_count;
use diagnostics::predictions::{Predictions, predict};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::confine::confine;
use crate::live::LiveModel;
use crate::problem::Problem;

const FORMS: &str = "send {\"filepath\": \"testdata/testdata.csv\"}, {\"rows\": [{\"lastmonth_activity\": 12, …}, …]}, \
                     or a CSV table as text/csv";

/// What a client wants predicted.
#[derive(Debug)]
pub enum Request {
    /// The rows of a file on the server.
    File(String),
    /// Rows sent as JSON.
    Rows(Vec<ClientRow>),
    /// A JSON object that has not been read yet: one of the two above.
    Json(Bytes),
    /// A table sent as CSV.
    Csv(Bytes),
}

/// One client as JSON; a key that is absent or null is a missing value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRow {
    corporation: Option<String>,
    lastmonth_activity: Option<f64>,
    lastyear_activity: Option<f64>,
    number_of_employees: Option<f64>,
    /// Accepted, so that rows of a table can be sent as they are; the prediction does not look at it.
    #[serde(rename = "exited")]
    _exited: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRequest {
    filepath: Option<String>,
    rows: Option<Vec<Object<ClientRow>>>,
}

impl Request {
    /// Reads the JSON where there is some.
    pub fn parsed(self) -> Result<Self, Problem> {
        match self {
            Self::Json(body) => Self::from_json(&body),
            other => Ok(other),
        }
    }

    fn from_json(body: &[u8]) -> Result<Self, Problem> {
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::BadRequest(format!("the body is not a JSON object; {FORMS}")));
        }
        let request: JsonRequest = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) if error.is_data() => return Err(Problem::WrongData(describe(body))),
            Err(error) => return Err(Problem::BadRequest(format!("the body is not JSON ({error}); {FORMS}"))),
        };
        match (request.filepath, request.rows) {
            (Some(filepath), None) => Ok(Self::File(filepath)),
            (None, Some(rows)) => Ok(Self::Rows(rows.into_iter().map(|Object(row)| row).collect())),
            _ => Err(Problem::WrongData(format!("expected either filepath or rows; {FORMS}"))),
        }
    }

    /// Predicts for every client of the request.
    pub fn answer(self, config: &Config, live: &LiveModel) -> Result<Predictions, Problem> {
        let table = match self.parsed()? {
            Self::Rows(rows) => return answer_rows(rows, live),
            Self::Json(_) => return Err(Problem::BadRequest(FORMS.to_owned())), // not after `parsed`
            Self::File(filepath) => {
                let path = confine(config, &filepath)?;
                let file =
                    File::open(path).map_err(|error| Problem::not_ready("the file cannot be opened", &error.into()))?;
                Table::for_prediction(file).map_err(|error| {
                    Problem::WrongData(format!("{filepath} cannot be read as a client table: {error:#}"))
                })?
            }
            Self::Csv(body) => Table::for_prediction(&*body)
                .map_err(|error| Problem::WrongData(format!("the table cannot be read: {error:#}")))?,
        };
        predict(&live.id, &live.model, &table, live.threshold)
            .map_err(|error| Problem::not_ready("the prediction failed", &error))
    }
}

fn answer_rows(rows: Vec<ClientRow>, live: &LiveModel) -> Result<Predictions, Problem> {
    let mut predictions = Predictions::of(&live.id);
    for (i, row) in rows.into_iter().enumerate() {
        let mut predictors: Predictors = [row.lastmonth_activity, row.lastyear_activity, row.number_of_employees];
        for (value, column) in predictors.iter_mut().zip(PREDICTORS) {
            if let Some(number) = value {
                *number =
                    check_count(column, *number).map_err(|wrong| Problem::WrongData(format!("rows[{i}]: {wrong}")))?;
            }
        }
        predictions.push(&live.model, live.threshold, row.corporation, &predictors);
    }
    Ok(predictions)
}

/// Reads a body that is known to be wrong once more, to say which row and key are.
fn describe(body: &[u8]) -> String {
    let error =
        serde_path_to_error::deserialize::<_, JsonRequest>(&mut serde_json::Deserializer::from_slice(body)).err();
    match error {
        Some(error) if error.path().iter().next().is_some() => format!("{}: {}", error.path(), error.inner()),
        Some(error) => format!("{}; {FORMS}", error.inner()),
        None => FORMS.to_owned(),
    }
}

/// A JSON object. serde alone takes a list of the values, in the order of the fields, for one too.
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
