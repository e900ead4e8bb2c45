//! Writes the answer to an inference request: JSON, followed by binary data if they are requested.

use diagnostics::predictions::Predictions;
use serde::Serialize;

use super::sent::{Parameters, Request};
use super::{MODEL, OUTPUTS};
use crate::prediction::unknown_field;
use crate::problem::{OrNotReady, Problem};

/// The outputs that a request wants: their indices in [`OUTPUTS`], and whether each is binary.
pub struct Requested(Vec<(usize, bool)>);

/// The results for all rows.
pub struct Columns {
    pub predictions: Predictions,
    /// One text for each row, if it is requested.
    pub reasons: Vec<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'static str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Binary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Binary {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Numbers(&'a [f64]),
    Wholes(&'a [u8]),
    Texts(&'a [String]),
}

impl Requested {
    /// Reads the wanted outputs; all if the request names none.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] if an output does not exist or is named twice.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        let flag = |parameters: &Option<Parameters>, name: &str| parameters.as_ref()?.get(name)?.as_bool();
        let all_binary = flag(&request.parameters, "binary_data_output").unwrap_or(false);
        let Some(outputs) = &request.outputs else {
            return Ok(Self((0..OUTPUTS.len()).map(|index| (index, all_binary)).collect()));
        };
        let mut requested = Vec::new();
        for output in outputs {
            let wrong = |why: String| Problem::BadRequest(format!("output \"{}\": {why}", output.name));
            let known = || OUTPUTS.iter().map(|(name, _)| *name);
            let index = known().position(|name| name == output.name);
            let index = index.ok_or_else(|| wrong(unknown_field(&output.name, known())))?;
            if requested.iter().any(|(other, _)| *other == index) {
                return Err(wrong("it is requested twice".to_owned()));
            }
            requested.push((index, flag(&output.parameters, "binary_data").unwrap_or(all_binary)));
        }
        Ok(Self(requested))
    }

    /// Whether the reasons are wanted.
    pub fn reasons(&self) -> bool {
        self.0.iter().any(|(index, _)| OUTPUTS[*index].0 == "reasons")
    }
}

/// Returns the body of the answer, and the number of bytes of JSON in it if binary data follow.
pub fn write(
    release: &str,
    id: Option<String>,
    parameters: Option<Parameters>,
    wanted: &Requested,
    columns: Columns,
) -> Result<(Vec<u8>, Option<usize>), Problem> {
    let Columns { predictions, reasons } = columns;
    let ids: Vec<String> = predictions.corporations.into_iter().map(Option::unwrap_or_default).collect();
    let mut binary = Vec::new();
    let output = |(index, is_binary): &(usize, bool)| {
        let (name, datatype) = OUTPUTS[*index];
        let data = match name {
            "probability" => Data::Numbers(&predictions.probabilities),
            "prediction" => Data::Wholes(&predictions.predictions),
            "reasons" => Data::Texts(&reasons),
            _ => Data::Texts(&ids),
        };
        let shape = [predictions.predictions.len()];
        if !is_binary {
            return Output { name, datatype, shape, parameters: None, data: Some(data) };
        }
        let before = binary.len();
        data.append_to(&mut binary);
        let parameters = Some(Binary { binary_data_size: binary.len() - before });
        Output { name, datatype, shape, parameters, data: None }
    };
    let outputs: Vec<Output> = wanted.0.iter().map(output).collect();
    let has_binary = outputs.iter().any(|output| output.parameters.is_some());
    let answer = Answer { model_name: MODEL, model_version: release, id, parameters, outputs };
    let mut body = serde_json::to_vec(&answer).or_not_ready("the answer cannot be serialised")?;
    let head = has_binary.then_some(body.len());
    body.append(&mut binary);
    Ok((body, head))
}

impl Data<'_> {
    /// Appends the elements as the protocol's binary data: little-endian, texts with their length.
    fn append_to(&self, binary: &mut Vec<u8>) {
        match self {
            Self::Numbers(numbers) => numbers.iter().for_each(|number| binary.extend(number.to_le_bytes())),
            Self::Wholes(wholes) => wholes.iter().for_each(|whole| binary.extend(i64::from(*whole).to_le_bytes())),
            Self::Texts(texts) => {
                for text in *texts {
                    binary.extend((text.len() as u32).to_le_bytes());
                    binary.extend(text.as_bytes());
                }
            }
        }
    }
}
