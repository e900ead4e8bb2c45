//! Writes a model as a Python pickle that loads as a fitted scikit-learn `LogisticRegression`.
//!
//! The pickle calls only public constructors and functions (`numpy.array`, `LogisticRegression`, `setattr`). So any
//! version of numpy and scikit-learn can load it, and none compares its own version with the one that wrote it. Nothing
//! in this project ever reads a pickle, because reading one executes the code that it names. The opcodes are those of
//! Python's `pickletools`, protocol 4.

use crate::model::Model;

/// Returns the content of trainedmodel.pkl. The same model always gives the same bytes.
pub fn pickle(model: &Model) -> Vec<u8> {
    let coefficients: Vec<f64> = model.terms().map(|term| term.coefficient).collect();
    let columns: Vec<&str> = model.schema.predictors().iter().map(|predictor| predictor.name.as_str()).collect();
    let mut out = Pickler(vec![0x80, 4]);
    out.call("sklearn.linear_model", "LogisticRegression", []);
    out.memoize();
    out.attribute("C", &|out| out.float(model.fit.regularization));
    out.attribute("classes_", &|out| out.array("int64", &|out| out.list(&[0, 1], |out, class| out.int(*class))));
    out.attribute("coef_", &|out| {
        out.array("float64", &|out| {
            out.list(&[&coefficients], |out, row| out.list(row, |out, b| out.float(*b)));
        });
    });
    out.attribute("intercept_", &|out| {
        out.array("float64", &|out| out.list(&[model.intercept], |out, b| out.float(*b)));
    });
    out.attribute("n_features_in_", &|out| out.int(columns.len() as i32));
    out.attribute("feature_names_in_", &|out| {
        out.array("object", &|out| out.list(&columns, |out, name| out.text(name)));
    });
    out.attribute("n_iter_", &|out| {
        let steps = i32::try_from(model.fit.newton_steps).unwrap_or(i32::MAX);
        out.array("int32", &|out| out.list(&[steps], |out, steps| out.int(*steps)));
    });
    out.0.push(STOP);
    out.0
}

const MARK: u8 = b'(';
const STOP: u8 = b'.';
const POP: u8 = b'0';
const REDUCE: u8 = b'R';
const EMPTY_LIST: u8 = b']';
const APPENDS: u8 = b'e';
/// The opcodes EMPTY_TUPLE, TUPLE1, TUPLE2 and TUPLE3. Each takes as many items from the stack as its index in this
/// array.
const TUPLES: [u8; 4] = [b')', 0x85, 0x86, 0x87];
const BINFLOAT: u8 = b'G';
const BININT: u8 = b'J';
const BINGET: u8 = b'h';
const SHORT_BINUNICODE: u8 = 0x8c;
const STACK_GLOBAL: u8 = 0x93;
const MEMOIZE: u8 = 0x94;

/// Index of the estimator in the unpickler's memo.
const ESTIMATOR: u8 = 0;

struct Pickler(Vec<u8>);

/// A function that writes one value.
type Write<'a> = &'a dyn Fn(&mut Pickler);

impl Pickler {
    fn float(&mut self, value: f64) {
        self.0.push(BINFLOAT);
        self.0.extend(value.to_be_bytes());
    }

    fn int(&mut self, value: i32) {
        self.0.push(BININT);
        self.0.extend(value.to_le_bytes());
    }

    /// Writes a text of at most 255 bytes. All texts written here are constants of this program.
    fn text(&mut self, text: &str) {
        debug_assert!(text.len() < 256);
        self.0.extend([SHORT_BINUNICODE, text.len() as u8]);
        self.0.extend(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.0.extend([EMPTY_LIST, MARK]);
        for item in items {
            write(self, item);
        }
        self.0.push(APPENDS);
    }

    /// Calls `module.name`. Each of `arguments` writes one argument.
    fn call<const N: usize>(&mut self, module: &str, name: &str, arguments: [Write; N]) {
        const { assert!(N < TUPLES.len()) };
        self.text(module);
        self.text(name);
        self.0.push(STACK_GLOBAL);
        for argument in arguments {
            argument(self);
        }
        self.0.extend([TUPLES[N], REDUCE]);
    }

    fn array(&mut self, dtype: &str, list: Write) {
        self.call("numpy", "array", [list, &|out| out.text(dtype)]);
    }

    fn memoize(&mut self) {
        self.0.push(MEMOIZE);
    }

    /// Sets one attribute of the estimator.
    fn attribute(&mut self, name: &str, value: Write) {
        self.call("builtins", "setattr", [&|out| out.0.extend([BINGET, ESTIMATOR]), &|out| out.text(name), value]);
        self.0.push(POP);
    }
}
