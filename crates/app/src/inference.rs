//! The Open Inference Protocol (version 2, REST): tables as one tensor for each column. Values are checked and clients
//! are scored by the rules of `POST /prediction`.
//!
//! Specification: <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>;
//! binary data: <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol/binary-tensor-data-extension>.

pub mod described;
mod sent;
mod tensor;
mod written;

use common::model::Model;
use common::schema::{Predictor, Schema};
use common::values::ValueRef;
use diagnostics::predictions::Predictions;
use insight::Call;

use self::described::{ModelMetadata, TensorMetadata};
use self::sent::{Input, Request};
use self::tensor::Tensor;
use self::written::{Columns, Requested};
use crate::limits::MOST_SENT_ROWS;
use crate::live::LiveModel;
use crate::prediction::{SentRow, SentValue, checked, unknown_field};
use crate::problem::Problem;

/// Name of the only model.
pub const MODEL: &str = "risk";

/// The outputs with their datatypes.
const OUTPUTS: [(&str, &str); 4] =
    [("probability", "FP64"), ("prediction", "INT64"), ("reasons", "BYTES"), ("id", "BYTES")];

/// An answer to an inference request.
pub struct Inferred {
    /// Number of clients in the answer.
    pub rows: u64,
    pub body: Vec<u8>,
    /// Number of bytes of JSON before binary data; `None` without binary data.
    pub head: Option<usize>,
}

/// Describes the tensors of the live model.
pub fn metadata(live: &LiveModel) -> ModelMetadata {
    let tensor = |name: &str, datatype| TensorMetadata { name: name.to_owned(), datatype, shape: vec![-1] };
    let schema = &live.model.schema;
    let predictor = |predictor: &Predictor| match predictor.is_category() {
        true => tensor(&predictor.name, "BYTES"),
        false => tensor(&predictor.name, "FP64"),
    };
    ModelMetadata {
        name: MODEL,
        versions: vec![live.id.clone()],
        platform: "clients-at-risk_logistic-regression",
        inputs: [tensor(schema.id(), "BYTES")].into_iter().chain(schema.predictors().iter().map(predictor)).collect(),
        outputs: OUTPUTS.into_iter().map(|(name, datatype)| tensor(name, datatype)).collect(),
    }
}

/// Answers an inference request. The first `head` bytes of the body are JSON and the others binary data; without `head`
/// all of it is JSON.
///
/// # Errors
/// [`Problem::BadRequest`] if the request is not what the protocol or the model wants; the detail names the tensor.
/// [`Problem::TooLarge`] if it has too many rows.
pub fn infer(live: &LiveModel, body: &[u8], head: Option<usize>) -> Result<Inferred, Problem> {
    let (json, binary) = body.split_at_checked(head.unwrap_or(body.len())).ok_or_else(|| {
        Problem::BadRequest("the header Inference-Header-Content-Length exceeds the length of the body".to_owned())
    })?;
    let request = Request::read(json)?;
    let wanted = Requested::of(&request)?;
    let table = Table::of(&live.model.schema, request.inputs, binary)?;
    let mut columns = Columns { predictions: Predictions::of(&live.id), reasons: Vec::new() };
    table.each(&live.model, |id, values| {
        columns.predictions.push(&live.model, live.threshold, id.map(str::to_owned), values.iter().copied());
        if wanted.reasons() {
            let risk = columns.predictions.probabilities.last().copied().unwrap_or_default();
            columns.reasons.push(reasons(live, risk, values));
        }
    })?;
    let (body, head) = written::write(&live.id, request.id, request.parameters, &wanted, columns)?;
    Ok(Inferred { rows: table.rows as u64, body, head })
}

/// The sentences that the call list has about a client with these predictors.
fn reasons(live: &LiveModel, risk: f64, values: &[Option<ValueRef>]) -> String {
    let predictors = values.iter().map(|value| value.map(ValueRef::to_owned)).collect();
    let call = Call { rank: 0, id: String::new(), risk, previous_risk: None, predictors };
    live.reasons().story(&call).join(" ")
}

/// The tensors of a request in the order of the schema: id, predictors, target. `None` for a tensor that was not sent.
struct Table {
    tensors: Vec<Option<Tensor>>,
    rows: usize,
}

impl Table {
    /// Takes the tensors of a request, of which those with binary data follow each other in `binary`.
    fn of(schema: &Schema, inputs: Vec<Input>, mut binary: &[u8]) -> Result<Self, Problem> {
        let mut tensors: Vec<Option<Tensor>> = (0..schema.width()).map(|_| None).collect();
        let mut rows = None;
        for input in inputs {
            let name = input.name.clone();
            let wrong = |why: String| Problem::BadRequest(format!("input \"{name}\": {why}"));
            let position = schema.columns().position(|column| column == name);
            if position.is_none() && !schema.ignores(&name) {
                return Err(wrong(unknown_field(&name, schema.columns())));
            }
            let count = rows_of(&input.shape).map_err(wrong)?;
            if count > MOST_SENT_ROWS {
                return Err(Problem::TooLarge(format!(
                    "input \"{name}\": more than {MOST_SENT_ROWS} rows; send them in several requests, or as a CSV table to \
                     POST /prediction"
                )));
            }
            if *rows.get_or_insert(count) != count {
                return Err(wrong(format!(
                    "{count} rows where the tensors before it have {}",
                    rows.unwrap_or_default()
                )));
            }
            let tensor = Tensor::of(input, count, &mut binary).map_err(wrong)?;
            if let Some(position) = position
                && tensors[position].replace(tensor).is_some()
            {
                return Err(wrong("it is sent twice".to_owned()));
            }
        }
        if !binary.is_empty() {
            let left = binary.len();
            return Err(Problem::BadRequest(format!(
                "{left} bytes of binary data belong to no input; check binary_data_size"
            )));
        }
        let nothing = || Problem::BadRequest("inputs is empty; send one tensor for each column".to_owned());
        Ok(Self { tensors, rows: rows.ok_or_else(nothing)? })
    }

    /// Calls `visit` with the checked id and predictors of each row.
    fn each(&self, model: &Model, mut visit: impl FnMut(Option<&str>, &[Option<ValueRef>])) -> Result<(), Problem> {
        let schema = &model.schema;
        let mut values: Vec<Option<SentValue>> = Vec::with_capacity(schema.predictors().len());
        for row in 0..self.rows {
            let wrong = |why: String| Problem::BadRequest(format!("inputs, row {row}{why}"));
            values.clear();
            for (predictor, tensor) in schema.predictors().iter().zip(&self.tensors[1..]) {
                let value = tensor.as_ref().map_or(Ok(None), |tensor| tensor.value(predictor, row));
                values.push(value.map_err(|why| wrong(format!(": {} {why}", predictor.name)))?);
            }
            let id = self.tensors[0].as_ref().and_then(|tensor| tensor.text(row));
            let sent = SentRow { id, values: &values };
            let (id, checked) = checked(schema, &sent).map_err(wrong)?;
            visit(id, &checked);
        }
        Ok(())
    }
}

/// Returns the number of rows of a tensor with one column.
fn rows_of(shape: &[u64]) -> Result<usize, String> {
    match shape {
        [rows] | [rows, 1] => Ok(usize::try_from(*rows).unwrap_or(usize::MAX)),
        other => Err(format!("the shape is {other:?}; expected [ROWS] or [ROWS, 1]")),
    }
}
