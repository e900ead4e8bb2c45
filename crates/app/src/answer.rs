//! Answers to requests for predictions: columns in JSON, or a CSV table of any length.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek};

use actix_web::body::SizedStream;
use actix_web::http::header::{self, Accept, Header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use common::model::effect::Effect;
use common::model::{Model, probability};
use common::schema::{Predictor, Schema};
use common::values::ValueRef;
use diagnostics::predictions::Predictions;
use futures_util::stream;
use insight::call_list::csv::neutralised;
use serde::Deserialize;
use tempfile::{SpooledData, SpooledTempFile};
use utoipa::ToSchema;

use crate::limits::MOST_JSON_ROWS;
use crate::live::LiveModel;
use crate::problem::{OrNotReady, Problem};
use crate::response::RELEASE_HEADER;

/// Length in bytes up to which an answer is built in memory; longer answers are built in a temporary file. The answer
/// to a small body stays below this limit, so the event loop writes no file.
const IN_MEMORY: usize = 4 << 20;

const NOT_STORED: &str = "the answer cannot be stored; the disk of the temporary folder may be full";

/// The format of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One `application/json` document.
    Json,
    /// `text/csv`: one row per client.
    Csv,
}

impl Format {
    /// CSV if the client ranks it above JSON, otherwise JSON. A client that accepts neither also gets JSON, which HTTP
    /// allows (RFC 9110 §12.5.1).
    pub fn accepted(request: &HttpRequest) -> Self {
        let accepted = Accept::parse(request).map(|accepted| accepted.ranked()).unwrap_or_default();
        let format = accepted.iter().find_map(|media_type| match media_type.essence_str() {
            "text/csv" | "text/*" => Some(Self::Csv),
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            _ => None,
        });
        format.unwrap_or(Self::Json)
    }
}

/// An answer that is being built.
pub struct PredictionAnswer<'m> {
    live: &'m LiveModel,
    rows: u64,
    content: Content,
}

enum Content {
    Columns(Predictions),
    Table(Box<csv::Writer<BufWriter<SpooledTempFile>>>),
}

/// An answer that is complete and can be sent.
pub struct FinishedAnswer {
    /// The release that has answered.
    release: String,
    format: Format,
    /// Number of clients in the answer.
    pub rows: u64,
    bytes: Stored,
}

enum Stored {
    Memory(Vec<u8>),
    /// An unnamed temporary file, so that an answer of any length takes no memory and is sent only when it is complete.
    File(File),
}

impl<'m> PredictionAnswer<'m> {
    /// An empty answer of the live model.
    pub fn new(live: &'m LiveModel, format: Format) -> Result<Self, Problem> {
        let content = match format {
            Format::Json => Content::Columns(Predictions::of(&live.id)),
            Format::Csv => {
                let mut table = csv::Writer::from_writer(BufWriter::new(SpooledTempFile::new(IN_MEMORY)));
                table.write_record(columns(&live.model.schema)).or_not_ready(NOT_STORED)?;
                Content::Table(table.into())
            }
        };
        Ok(Self { live, rows: 0, content })
    }

    /// Predicts for one client and appends the result.
    ///
    /// # Errors
    /// [`Problem::TooLarge`] if a JSON answer would exceed `MOST_JSON_ROWS`.
    pub fn push<'v>(
        &mut self,
        id: Option<&str>,
        predictors: impl Iterator<Item = Option<ValueRef<'v>>> + Clone,
    ) -> Result<(), Problem> {
        self.rows += 1;
        let LiveModel { model, threshold, .. } = self.live;
        match &mut self.content {
            Content::Columns(columns) if columns.predictions.len() < MOST_JSON_ROWS => {
                columns.push(model, *threshold, id.map(str::to_owned), predictors);
                Ok(())
            }
            Content::Columns(_) => Err(Problem::TooLarge(format!(
                "more than {MOST_JSON_ROWS} rows; request a CSV table, which may have any number of rows, with Accept: text/csv"
            ))),
            Content::Table(table) => {
                let probability = probability(model.log_odds(predictors.clone()));
                let imputed = names(model, predictors.clone(), |_, value| value.is_none());
                let record = [
                    neutralised(id.unwrap_or_default()),
                    u8::from(probability >= threshold.value()).to_string(),
                    probability.to_string(),
                    imputed,
                ];
                let unseen = model.schema.has_categories().then(|| names(model, predictors, Effect::is_unseen));
                let record = record.into_iter().chain(unseen);
                table.write_record(record).or_not_ready(NOT_STORED)
            }
        }
    }

    /// Ends the answer; no more clients can be added.
    ///
    /// # Errors
    /// Returns a problem if the answer cannot be written.
    pub fn finish(self) -> Result<FinishedAnswer, Problem> {
        let (release, rows) = (self.live.id.clone(), self.rows);
        let (format, bytes) = match self.content {
            Content::Columns(columns) => {
                let mut file = BufWriter::new(SpooledTempFile::new(IN_MEMORY));
                serde_json::to_writer(&mut file, &columns).or_not_ready(NOT_STORED)?;
                (Format::Json, stored(file)?)
            }
            Content::Table(table) => {
                let file = table.into_inner().map_err(|error| error.into_error()).or_not_ready(NOT_STORED)?;
                (Format::Csv, stored(file)?)
            }
        };
        Ok(FinishedAnswer { release, format, rows, bytes })
    }
}

/// The columns of an answer as CSV.
pub fn columns(schema: &Schema) -> impl Iterator<Item = &'static str> {
    let unseen = schema.has_categories().then_some("unseen");
    ["corporation", "prediction", "probability", "imputed"].into_iter().chain(unseen)
}

/// The names of the predictors whose value `is` something, separated by spaces; a name with a space or a quote is in
/// quotes.
fn names<'v>(
    model: &Model,
    predictors: impl Iterator<Item = Option<ValueRef<'v>>>,
    is: impl Fn(&Effect, Option<ValueRef>) -> bool,
) -> String {
    let mut names = String::new();
    for ((value, effect), Predictor { name, .. }) in predictors.zip(&model.effects).zip(model.schema.predictors()) {
        if !is(effect, value) {
            continue;
        }
        if !names.is_empty() {
            names.push(' ');
        }
        match name.contains([' ', '"']) {
            true => names.push_str(&format!("\"{}\"", name.replace('"', "\"\""))),
            false => names.push_str(name),
        }
    }
    neutralised(&names)
}

impl FinishedAnswer {
    /// Converts the answer into a response; a file is sent piece by piece.
    pub fn respond(self) -> Result<HttpResponse, Problem> {
        let mut response = HttpResponse::Ok();
        response.insert_header((RELEASE_HEADER, self.release.as_str()));
        match self.format {
            Format::Json => response.insert_header((header::CONTENT_TYPE, "application/json")),
            Format::Csv => response.insert_header((header::CONTENT_TYPE, "text/csv; charset=utf-8")).insert_header((
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"predictions-{}.csv\"", self.release),
            )),
        };
        Ok(match self.bytes {
            Stored::Memory(bytes) => response.body(bytes),
            Stored::File(file) => {
                let length = file.metadata().or_not_ready(NOT_STORED)?.len();
                response.body(SizedStream::new(length, stream::iter(Chunks(file))))
            }
        })
    }
}

/// The pieces of a file. Each is read only after the previous one was passed on.
struct Chunks(File);

impl Iterator for Chunks {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut chunk = vec![0; 64 << 10];
        match self.0.read(&mut chunk) {
            Ok(0) => None,
            Ok(length) => {
                chunk.truncate(length);
                Some(Ok(chunk.into()))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

fn stored(file: BufWriter<SpooledTempFile>) -> Result<Stored, Problem> {
    let file = file.into_inner().map_err(|error| error.into_error()).or_not_ready(NOT_STORED)?;
    Ok(match file.into_inner() {
        SpooledData::InMemory(bytes) => Stored::Memory(bytes.into_inner()),
        SpooledData::OnDisk(mut file) => {
            file.rewind().or_not_ready(NOT_STORED)?;
            Stored::File(file)
        }
    })
}
