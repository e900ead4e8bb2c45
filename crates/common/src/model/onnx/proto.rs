//! The messages of ONNX that a model needs, with the field numbers of
//! [onnx-ml.proto](https://github.com/onnx/onnx/blob/v1.6.0/onnx/onnx-ml.proto). Numbers of fields never change.

use super::protobuf::Message;

/// The version of the format that ONNX 1.6 (2019) defines together with the operators below.
const IR_VERSION: i64 = 6;
/// The operators of ONNX 1.6: the first in which numbers of type double can be compared for equality.
const OPERATORS: (&str, i64) = ("", 11);
/// The operators for machine learning of ONNX 1.6: the first in which a text can be mapped to any integer.
const LEARNING_OPERATORS: (&str, i64) = ("ai.onnx.ml", 2);

/// The type of the elements of a tensor (`TensorProto.DataType`).
#[derive(Clone, Copy)]
pub(super) enum Element {
    Integer = 7,
    Text = 8,
    Double = 11,
}

/// The value of an attribute of an operator.
pub(super) enum Attribute<'a> {
    Integer(i64),
    Integers(Vec<i64>),
    Texts(Vec<&'a str>),
}

/// Names and values of the attributes of an operator.
pub(super) type Attributes<'a> = [(&'a str, Attribute<'a>)];

/// `ModelProto`. `metadata` are pairs of name and value.
pub(super) fn model(graph: Message, description: &str, metadata: &[(&str, String)]) -> Vec<u8> {
    let operators = [OPERATORS, LEARNING_OPERATORS]
        .map(|(domain, version)| Message::default().bytes(1, domain).integer(2, version));
    let metadata = metadata.iter().map(|(name, value)| Message::default().bytes(1, name).bytes(2, value));
    Message::default()
        .integer(1, IR_VERSION)
        .bytes(2, "Dynamic Risk Assessment System") // without its version: the same model gives the same bytes
        .bytes(6, description)
        .bytes(7, graph)
        .all(8, operators)
        .all(14, metadata)
        .into_bytes()
}

/// `GraphProto`. The nodes must be in an order in which each follows those whose results it takes.
pub(super) fn graph(
    nodes: &[Message],
    constants: &[Message],
    inputs: impl Iterator<Item = Message>,
    outputs: impl Iterator<Item = Message>,
) -> Message {
    Message::default().all(1, nodes).bytes(2, "risk").all(5, constants).all(11, inputs).all(12, outputs)
}

/// `NodeProto`: one application of an operator. The name of an operator that is not in the domain of [`OPERATORS`]
/// follows its domain and a point.
pub(super) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &Attributes) -> Message {
    let (domain, operator) = operator.rsplit_once('.').unwrap_or((OPERATORS.0, operator));
    let attributes = attributes.iter().map(|(name, value)| attribute(name, value));
    let node = Message::default().all(1, inputs).bytes(2, output).bytes(3, output).bytes(4, operator);
    node.all(5, attributes).bytes(7, domain)
}

/// `AttributeProto`. Field 20 is its type.
fn attribute(name: &str, value: &Attribute) -> Message {
    let message = Message::default().bytes(1, name);
    match value {
        Attribute::Integer(integer) => message.integer(3, *integer).integer(20, 2),
        Attribute::Integers(integers) => message.integers(8, integers.iter().copied()).integer(20, 7),
        Attribute::Texts(texts) => message.all(9, texts).integer(20, 8),
    }
}

/// `TensorProto` of numbers: a vector, or a scalar if `is_scalar`.
pub(super) fn numbers(name: &str, numbers: &[f64], is_scalar: bool) -> Message {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    tensor(name, (!is_scalar).then_some(numbers.len()), Element::Double, &bytes)
}

/// `TensorProto` of one integer.
pub(super) fn integer(name: &str, integer: i64) -> Message {
    tensor(name, None, Element::Integer, &integer.to_le_bytes())
}

fn tensor(name: &str, length: Option<usize>, element: Element, bytes: &[u8]) -> Message {
    let dimensions = length.map(|length| length as i64);
    Message::default().integers(1, dimensions).integer(2, element as i64).bytes(8, name).bytes(9, bytes)
}

/// `ValueInfoProto`: an input or output of the model with one value per row.
pub(super) fn value(name: &str, element: Element, description: &str) -> Message {
    let rows = Message::default().bytes(2, "rows"); // TensorShapeProto.Dimension with a name instead of a size
    let shape = Message::default().bytes(1, rows);
    let tensor = Message::default().integer(1, element as i64).bytes(2, shape);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor)).bytes(3, description)
}
