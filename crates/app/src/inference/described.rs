//! The objects of the protocol as the OpenAPI document describes them, and those that are only written.

use serde::Serialize;
use utoipa::ToSchema;

/// Name, version and extensions of this program.
#[derive(Serialize, ToSchema)]
pub struct ServerMetadata {
    pub name: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Supported extensions of the protocol.
    pub extensions: [&'static str; 1],
}

/// Whether the server runs.
#[derive(Serialize, ToSchema)]
pub struct ServerLive {
    pub live: bool,
}

/// Whether the server can answer inference requests.
#[derive(Serialize, ToSchema)]
pub struct ServerReady {
    /// The server runs; the protocol's specification names this key.
    pub live: bool,
    /// A model is loaded; KServe's clients read this key.
    pub ready: bool,
}

/// Whether the model can answer inference requests.
#[derive(Serialize, ToSchema)]
pub struct ModelReady {
    pub name: &'static str,
    pub ready: bool,
}

/// Tensors and versions of the model.
#[derive(Serialize, ToSchema)]
pub struct ModelMetadata {
    pub name: &'static str,
    /// The live release, the only version that can be asked.
    pub versions: Vec<String>,
    pub platform: &'static str,
    /// One tensor for each column: the id and the predictors.
    pub inputs: Vec<TensorMetadata>,
    pub outputs: Vec<TensorMetadata>,
}

/// Name and type of a tensor that the model takes or returns.
#[derive(Serialize, ToSchema)]
pub struct TensorMetadata {
    pub name: String,
    pub datatype: &'static str,
    /// The number of rows is variable, which is written as -1.
    pub shape: Vec<i64>,
}

/// Clients whose risk is asked for, with one tensor for each column.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `sent` reads it")]
pub struct InferenceRequest {
    /// Repeated in the answer.
    id: Option<String>,
    /// Repeated in the answer. `binary_data_output` asks for binary outputs.
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
    inputs: Vec<InputTensor>,
    /// The outputs that are wanted; all without this key.
    outputs: Option<Vec<RequestedTensor>>,
}

/// One column of the clients.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `sent` reads it")]
pub struct InputTensor {
    /// Name of the column.
    #[schema(example = "lastmonth_activity")]
    name: String,
    /// The number of rows, and optionally 1.
    #[schema(example = json!([2]))]
    shape: Vec<u64>,
    #[schema(example = "FP64")]
    datatype: String,
    /// One value for each row; null is a missing value.
    #[schema(example = json!([12, null]))]
    data: Vec<Option<InputValue>>,
}

/// A value of a column.
#[derive(Serialize, ToSchema)]
#[expect(dead_code, reason = "describes a body; `sent` reads it")]
#[serde(untagged)]
pub enum InputValue {
    Number(f64),
    Text(String),
    Flag(bool),
}

/// An output that the answer must contain.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; `sent` reads it")]
pub struct RequestedTensor {
    /// `probability`, `prediction`, `reasons` or `id`.
    #[schema(example = "probability")]
    name: String,
}

/// The outputs for each row, in the order of the request.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `written` writes it")]
pub struct InferenceResponse {
    model_name: String,
    /// The release that answered.
    model_version: String,
    id: Option<String>,
    #[schema(value_type = Option<Object>)]
    parameters: Option<()>,
    outputs: Vec<OutputTensor>,
}

/// Values of one output for all rows.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer; `written` writes it")]
pub struct OutputTensor {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    data: Vec<OutputValue>,
}

/// A number or a text.
#[derive(Serialize, ToSchema)]
#[expect(dead_code, reason = "describes an answer; `written` writes it")]
#[serde(untagged)]
pub enum OutputValue {
    Number(f64),
    Text(String),
}
