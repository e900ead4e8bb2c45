//! Writes the opcodes of Python's `pickletools`, protocol 4.

const MARK: u8 = b'(';
const STOP: u8 = b'.';
const POP: u8 = b'0';
const REDUCE: u8 = b'R';
const NONE: u8 = b'N';
const NEWTRUE: u8 = 0x88;
const NEWFALSE: u8 = 0x89;
const EMPTY_LIST: u8 = b']';
const APPENDS: u8 = b'e';
const EMPTY_DICT: u8 = b'}';
const SETITEMS: u8 = b'u';
const TUPLE: u8 = b't';
/// The opcodes EMPTY_TUPLE, TUPLE1, TUPLE2 and TUPLE3. Each takes as many items from the stack as its index in this
/// array.
const TUPLES: [u8; 4] = [b')', 0x85, 0x86, 0x87];
const BINFLOAT: u8 = b'G';
const BININT: u8 = b'J';
const LONG1: u8 = 0x8a;
const BINGET: u8 = b'h';
const SHORT_BINUNICODE: u8 = 0x8c;
const BINUNICODE: u8 = b'X';
const STACK_GLOBAL: u8 = 0x93;
const MEMOIZE: u8 = 0x94;

/// A pickle that is being written. The values that it holds are created by Python when it loads the pickle.
pub(super) struct Pickler {
    bytes: Vec<u8>,
    memoized: u8,
}

/// A function that writes one value.
pub(super) type Write<'a> = &'a dyn Fn(&mut Pickler);

/// An estimator that is being created, whose attributes can be set.
#[derive(Clone, Copy)]
pub(super) struct Estimator(u8);

impl Pickler {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0x80, 4], memoized: 0 }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(STOP);
        self.bytes
    }

    pub(super) fn none(&mut self) {
        self.bytes.push(NONE);
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.bytes.push(if value { NEWTRUE } else { NEWFALSE });
    }

    pub(super) fn float(&mut self, value: f64) {
        self.bytes.push(BINFLOAT);
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn int(&mut self, value: i64) {
        match i32::try_from(value) {
            Ok(value) => {
                self.bytes.push(BININT);
                self.bytes.extend(value.to_le_bytes());
            }
            Err(_) => {
                self.bytes.extend([LONG1, 8]);
                self.bytes.extend(value.to_le_bytes());
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) => self.bytes.extend([SHORT_BINUNICODE, length]),
            Err(_) => {
                self.bytes.push(BINUNICODE);
                self.bytes.extend((text.len() as u32).to_le_bytes()); // a model file is far smaller than 4 GiB
            }
        }
        self.bytes.extend(text.as_bytes());
    }

    pub(super) fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.bytes.extend([EMPTY_LIST, MARK]);
        for item in items {
            write(self, item);
        }
        self.bytes.push(APPENDS);
    }

    pub(super) fn texts(&mut self, texts: &[&str]) {
        self.list(texts, |out, text| out.text(text));
    }

    pub(super) fn tuple(&mut self, items: &[Write]) {
        self.bytes.push(MARK);
        for item in items {
            item(self);
        }
        self.bytes.push(TUPLE);
    }

    pub(super) fn dict<T>(&mut self, items: &[(&str, T)], write: impl Fn(&mut Self, &T)) {
        self.bytes.extend([EMPTY_DICT, MARK]);
        for (key, value) in items {
            self.text(key);
            write(self, value);
        }
        self.bytes.push(SETITEMS);
    }

    /// Writes the object `module.name`.
    pub(super) fn global(&mut self, module: &str, name: &str) {
        self.text(module);
        self.text(name);
        self.bytes.push(STACK_GLOBAL);
    }

    /// Calls `module.name`. Each of `arguments` writes one argument.
    pub(super) fn call<const N: usize>(&mut self, module: &str, name: &str, arguments: [Write; N]) {
        self.global(module, name);
        self.apply(arguments);
    }

    /// Calls `module.name` with any number of arguments.
    pub(super) fn call_with(&mut self, module: &str, name: &str, arguments: &[Write]) {
        self.global(module, name);
        self.tuple(arguments);
        self.bytes.push(REDUCE);
    }

    /// Calls the function that was written last.
    fn apply<const N: usize>(&mut self, arguments: [Write; N]) {
        const { assert!(N < TUPLES.len()) };
        for argument in arguments {
            argument(self);
        }
        self.bytes.extend([TUPLES[N], REDUCE]);
    }

    /// Calls the method `name` of an object with one argument.
    pub(super) fn method(&mut self, object: Write, name: &str, argument: Write) {
        self.call("builtins", "getattr", [object, &|out| out.text(name)]);
        self.apply([argument]);
    }

    pub(super) fn array(&mut self, dtype: &str, list: Write) {
        self.call("numpy", "array", [list, &|out| out.text(dtype)]);
    }

    /// Creates an estimator of the class `module.name`.
    pub(super) fn estimator<const N: usize>(&mut self, module: &str, name: &str, arguments: [Write; N]) -> Estimator {
        self.call(module, name, arguments);
        self.bytes.push(MEMOIZE);
        self.memoized += 1;
        Estimator(self.memoized - 1)
    }

    /// Sets one attribute of an estimator.
    pub(super) fn attribute(&mut self, Estimator(index): Estimator, name: &str, value: Write) {
        let object: Write = &|out| out.bytes.extend([BINGET, index]);
        self.call("builtins", "setattr", [object, &|out| out.text(name), value]);
        self.bytes.push(POP);
    }
}
