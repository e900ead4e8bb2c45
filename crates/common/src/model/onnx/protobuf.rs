//! Writes Protocol Buffers messages: the two wire types that ONNX needs.
//!
//! The format is described in <https://protobuf.dev/programming-guides/encoding/>. A field is its number and wire type
//! as a varint, followed by a varint or by a length and that many bytes.

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// A message that is being written. Fields are written in the order of the calls.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Appends an integer or a value of an enumeration.
    pub(super) fn integer(mut self, field: u32, value: i64) -> Self {
        self.tag(field, VARINT);
        self.varint(value as u64); // negative numbers are written as their two's complement
        self
    }

    /// Appends the integers of a repeated field, each as a field of its own.
    pub(super) fn integers(self, field: u32, values: impl IntoIterator<Item = i64>) -> Self {
        values.into_iter().fold(self, |message, value| message.integer(field, value))
    }

    /// Appends bytes, a text or an encoded message.
    pub(super) fn bytes(mut self, field: u32, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.tag(field, LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends the items of a repeated field: bytes, texts or messages.
    pub(super) fn all<T: AsRef<[u8]>>(self, field: u32, items: impl IntoIterator<Item = T>) -> Self {
        items.into_iter().fold(self, |message, item| message.bytes(field, item))
    }

    /// Returns the encoded message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, wire_type: u64) {
        self.varint(u64::from(field) << 3 | wire_type);
    }

    /// Appends seven bits per byte, the lowest first. The highest bit of a byte says that another one follows.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first four are the examples of the format's description.
    #[test]
    fn fields_are_encoded_as_the_format_describes() {
        let integer = |value| Message::default().integer(1, value).into_bytes();
        assert_eq!(integer(150), [0x08, 0x96, 0x01]);
        assert_eq!(integer(-2), [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
        assert_eq!(Message::default().bytes(2, "testing").into_bytes(), b"\x12\x07testing");
        let inner = Message::default().integer(1, 150);
        assert_eq!(Message::default().bytes(3, inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(integer(0), [0x08, 0]);
        assert_eq!(integer(127), [0x08, 0x7f]);
        assert_eq!(integer(128), [0x08, 0x80, 0x01]);
        assert_eq!(integer(i64::MAX).len(), 1 + 9);
        // A field number above 15 and a length above 127 take two bytes each.
        assert_eq!(Message::default().bytes(20, [0; 300]).into_bytes()[..4], [0xa2, 0x01, 0xac, 0x02]);
        assert_eq!(Message::default().integers(1, [1, 2]).into_bytes(), [0x08, 1, 0x08, 2]);
        assert_eq!(Message::default().all(1, ["a", ""]).into_bytes(), [0x0a, 1, b'a', 0x0a, 0]);
    }
}
