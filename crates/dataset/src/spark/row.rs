//! Decodes the rows of an answer, which arrive as Arrow IPC streams.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;

/// One cell of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A missing value (SQL NULL).
    Null,
    /// A whole number, or a boolean as 0 or 1.
    Whole(i64),
    /// A DOUBLE or FLOAT.
    Number(f64),
    /// A text (SQL STRING).
    Text(String),
    /// A byte string (SQL BINARY).
    Bytes(Vec<u8>),
    /// A list of numbers (SQL ARRAY<DOUBLE>); a missing number is 0, the sum of no rows.
    Numbers(Vec<f64>),
}

/// The cells of one row, from left to right.
pub type Row = Vec<Value>;

/// Decodes the rows of one message.
///
/// # Errors
/// Fails if the message is damaged, or if a column has a type that no query of this crate returns.
pub fn rows(message: &[u8]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for batch in StreamReader::try_new(message, None).context("the answer is no Arrow stream")? {
        let batch = batch.context("the answer's Arrow stream is damaged")?;
        let start = rows.len();
        rows.resize_with(start + batch.num_rows(), || Vec::with_capacity(batch.num_columns()));
        for column in batch.columns() {
            append(&mut rows[start..], column)?;
        }
    }
    Ok(rows)
}

/// Appends one cell of a column to each row.
fn append(rows: &mut [Row], column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Null => rows.iter_mut().for_each(|row| row.push(Value::Null)),
        DataType::Boolean => {
            let cells = column.as_boolean();
            fill(rows, column, |i| Value::Whole(cells.value(i).into()));
        }
        DataType::Int8 => whole::<Int8Type>(rows, column),
        DataType::Int16 => whole::<Int16Type>(rows, column),
        DataType::Int32 => whole::<Int32Type>(rows, column),
        DataType::Int64 => whole::<Int64Type>(rows, column),
        DataType::UInt32 => whole::<UInt32Type>(rows, column),
        DataType::UInt64 => {
            let cells = column.as_primitive::<UInt64Type>();
            fill(rows, column, |i| i64::try_from(cells.value(i)).map_or(Value::Null, Value::Whole));
        }
        DataType::Float32 => number::<Float32Type>(rows, column),
        DataType::Float64 => number::<Float64Type>(rows, column),
        DataType::Utf8 => texts(rows, column, |i| column.as_string::<i32>().value(i)),
        DataType::LargeUtf8 => texts(rows, column, |i| column.as_string::<i64>().value(i)),
        DataType::Utf8View => texts(rows, column, |i| column.as_string_view().value(i)),
        DataType::Binary => bytes(rows, column, |i| column.as_binary::<i32>().value(i)),
        DataType::LargeBinary => bytes(rows, column, |i| column.as_binary::<i64>().value(i)),
        DataType::BinaryView => bytes(rows, column, |i| column.as_binary_view().value(i)),
        DataType::List(_) => {
            let cells = column.as_list::<i32>();
            for (i, row) in rows.iter_mut().enumerate() {
                row.push(numbers(&cells.value(i))?);
            }
        }
        other => bail!("a column of the answer has the type {other}, which is not expected"),
    }
    Ok(())
}

/// Decodes the elements of a list.
fn numbers(elements: &ArrayRef) -> Result<Value> {
    let Some(numbers) = elements.as_primitive_opt::<Float64Type>() else {
        bail!("a list in the answer has elements of the type {}, which is not expected", elements.data_type());
    };
    Ok(Value::Numbers(numbers.iter().map(Option::unwrap_or_default).collect()))
}

fn fill(rows: &mut [Row], column: &Arc<dyn Array>, value: impl Fn(usize) -> Value) {
    for (i, row) in rows.iter_mut().enumerate() {
        row.push(if column.is_null(i) { Value::Null } else { value(i) });
    }
}

fn whole<T: ArrowPrimitiveType<Native: Into<i64>>>(rows: &mut [Row], column: &ArrayRef) {
    let cells = column.as_primitive::<T>();
    fill(rows, column, |i| Value::Whole(cells.value(i).into()));
}

fn number<T: ArrowPrimitiveType<Native: Into<f64>>>(rows: &mut [Row], column: &ArrayRef) {
    let cells = column.as_primitive::<T>();
    fill(rows, column, |i| Value::Number(cells.value(i).into()));
}

fn texts<'a>(rows: &mut [Row], column: &ArrayRef, text: impl Fn(usize) -> &'a str) {
    fill(rows, column, |i| Value::Text(text(i).to_owned()));
}

fn bytes<'a>(rows: &mut [Row], column: &ArrayRef, bytes: impl Fn(usize) -> &'a [u8]) {
    fill(rows, column, |i| Value::Bytes(bytes(i).to_vec()));
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use arrow_ipc::writer::StreamWriter;

    use super::*;

    fn message() -> Vec<u8> {
        let columns: [(&str, ArrayRef); 4] = [
            ("whole", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("number", Arc::new(Float64Array::from(vec![None, Some(0.5)]))),
            ("text", Arc::new(StringArray::from(vec![Some("ü"), None]))),
            ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![None, Some(b"\xff")]))),
        ];
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn every_batch_of_a_message_is_read() {
        let rows = rows(&message()).unwrap();
        let first = vec![Value::Whole(1), Value::Null, Value::Text("ü".to_owned()), Value::Null];
        let second = vec![Value::Null, Value::Number(0.5), Value::Null, Value::Bytes(vec![0xff])];
        assert_eq!(rows, [first.clone(), second.clone(), first, second]);
    }

    #[test]
    fn a_message_that_is_cut_is_never_a_whole_answer() {
        let message = message();
        for end in 0..message.len() - 8 {
            // The last 8 bytes only mark the end of the stream.
            assert!(rows(&message[..end]).map_or(true, |rows| rows.len() < 4), "{end}");
        }
    }
}
