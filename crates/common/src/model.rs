//! The model and the encoding of its file, which only this module knows.
//!
//! ```text
//! 8 bytes  magic "RISKMODL"
//! 4 bytes  format version, little endian
//! 8 bytes  length of the payload, little endian
//! 32 bytes SHA-256 of the payload
//! payload  bincode
//! ```
//!
//! Loading checks all of these, executes nothing and needs a bounded amount of memory, whatever the file holds. On the
//! same kind of processor, the same data give the same bytes: a model contains no time, host name or random number.

pub mod effect;
pub mod estimate;
pub mod leaks;
mod legacy;
pub mod mlflow;
pub mod moments;
mod onnx;
pub mod pickle;
pub mod score;
pub mod shift;
mod spellings;

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use fs_err::File;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Regularization;
use crate::files::atomic;
use crate::files::checksum::Checksum;
use crate::model::effect::{Effect, Term};
use crate::model::moments::Moments;
use crate::schema::{MOST_TERMS, Predictor, Schema};
use crate::values::{Value, ValueRef, borrowed};

/// The metrics of a set of predictions, re-exported.
pub use statistics::confusion as metrics;

/// A fitted L2-penalised logistic regression, with the quality of its fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The columns of the table on which the model was trained.
    pub schema: Schema,
    /// Effect of each predictor, in the order of [`Schema::predictors`].
    pub effects: Vec<Effect>,
    /// Log-odds of leaving if every number is 0 and no level is known.
    pub intercept: f64,
    /// Standard error of the intercept.
    pub intercept_error: f64,
    /// How the optimum was reached and certified.
    pub fit: Fit,
    /// The rows on which the model was trained.
    pub training: TrainingData,
    /// How the predictors vary together in these rows; `None` in a model file of an earlier version, or if the numbers are
    /// too large to be squared.
    pub moments: Option<Moments>,
}

/// The certificate of the optimum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Inverse L2 penalty strength C.
    pub regularization: f64,
    /// Largest absolute entry of the gradient of the penalised negative log-likelihood at the optimum (an upper bound).
    pub gradient_norm: f64,
    /// Newton decrement: an upper bound of the distance to the exact optimum, in standard errors.
    pub newton_decrement: f64,
    /// Number of Newton steps over all rows.
    pub newton_steps: u32,
    /// Log-likelihood (natural logarithm, without the penalty) at the optimum.
    pub log_likelihood: f64,
}

/// The data on which a model was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingData {
    /// SHA-256 of finaldata.csv.
    pub dataset_sha256: Checksum,
    /// Number of rows used.
    pub rows: u64,
    /// Number of these rows whose client left.
    pub exited: u64,
    /// Number of rows that were left out because a predictor or the target is missing.
    pub left_out: u64,
}

impl Model {
    /// Returns the log-odds of leaving for predictors in the order of the schema. A missing predictor is imputed as the
    /// model imputes it.
    pub fn log_odds<'a>(&self, predictors: impl IntoIterator<Item = Option<ValueRef<'a>>>) -> f64 {
        let terms = self.effects.iter().zip(predictors).zip(self.schema.predictors());
        terms.map(|((effect, value), predictor)| effect.contribution(value, predictor.transform)).sum::<f64>()
            + self.intercept
    }

    /// Returns the probability of leaving for predictors in the order of the schema. A missing predictor is imputed as
    /// the model imputes it.
    pub fn probability(&self, predictors: &[Option<Value>]) -> f64 {
        probability(self.log_odds(borrowed(predictors)))
    }

    /// Returns the contribution of predictor `j` to the log-odds.
    pub fn contribution(&self, j: usize, value: Option<ValueRef>) -> f64 {
        self.effects[j].contribution(value, self.schema.predictors()[j].transform)
    }

    /// Returns the difference that a change of predictor `j` makes to the log-odds.
    pub fn log_odds_change(&self, j: usize, from: &Value, to: &Value) -> f64 {
        let transform = self.schema.predictors()[j].transform;
        match (&self.effects[j], from.number(), to.number()) {
            (Effect::Number(effect), Some(from), Some(to)) => {
                effect.coefficient * (transform.apply(to) - transform.apply(from))
            }
            _ => self.contribution(j, Some(to.borrowed())) - self.contribution(j, Some(from.borrowed())),
        }
    }

    /// Returns the predictors with missing ones imputed: the training median of a number, the most frequent level of a
    /// category.
    pub fn imputed(&self, predictors: &[Option<Value>]) -> Vec<Value> {
        let impute = |(value, effect): (&Option<Value>, &Effect)| value.clone().unwrap_or_else(|| effect.imputed());
        predictors.iter().zip(&self.effects).map(impute).collect()
    }

    /// Returns the average client's predictors: the mean of a number in the training data, or the median if the model
    /// file holds no mean; the most frequent level of a category.
    pub fn averages(&self) -> Vec<Value> {
        self.effects.iter().map(Effect::average).collect()
    }

    /// Checks that the model was trained on a table with the columns of `schema`, which the error calls `whose`.
    ///
    /// # Errors
    /// Fails with the first difference.
    pub fn check_columns(&self, schema: &Schema, whose: &str) -> Result<()> {
        match self.schema.difference(schema) {
            None => Ok(()),
            Some(difference) => bail!("the model has other columns than {whose}: {difference}"),
        }
    }

    /// Returns the terms of the regression without the intercept: one for each number, one for each level of each
    /// category.
    pub fn terms(&self) -> impl Iterator<Item = Term<'_>> {
        self.effects.iter().zip(self.schema.predictors()).flat_map(|(effect, predictor)| {
            let term = |level, coefficient, standard_error| Term { predictor, level, coefficient, standard_error };
            match effect {
                Effect::Number(number) => vec![term(None, number.coefficient, number.standard_error)],
                Effect::Category(category) => {
                    let levels = category.levels.iter();
                    levels
                        .map(|level| term(Some(level.name.as_str()), level.coefficient, level.standard_error))
                        .collect()
                }
            }
        })
    }

    /// Whether a predictor has a level that no training row had. All indicators of this predictor are then 0.
    pub fn has_unseen_level<'a>(&self, predictors: impl IntoIterator<Item = Option<ValueRef<'a>>>) -> bool {
        self.effects.iter().zip(predictors).any(|(effect, value)| effect.is_unseen(value))
    }

    /// Reads a model file. Returns the model and the checksum of the file.
    ///
    /// # Errors
    /// Fails if the file is missing, cut short, damaged or of an unknown format version. The error names the file and
    /// the fault.
    pub fn load(path: &Path) -> Result<(Self, Checksum)> {
        let mut bytes = Vec::new();
        let file = File::open(path).context("reading the model (run training first if there is none)")?;
        file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes)?;
        let model = Self::decode(&bytes)
            .with_context(|| format!("{} is not a usable model; run training again or roll back", path.display()))?;
        Ok((model, Checksum::of_bytes(&bytes)))
    }

    /// Writes the model file completely or not at all. Returns its checksum.
    ///
    /// # Errors
    /// Fails if the model holds a number that no fit can give, or if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<Checksum> {
        let bytes = self.encode()?;
        atomic::write(path, &bytes)?;
        Ok(Checksum::of_bytes(&bytes))
    }

    fn encode(&self) -> Result<Vec<u8>> {
        self.check().context("the fitted model cannot be used")?;
        Ok(with_header(FORMAT_VERSION, &bincode::serde::encode_to_vec(self, ENCODING)?))
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.len() <= LARGEST_FILE, "it is larger than {LARGEST_FILE} bytes, the limit of a model file");
        let mut rest = bytes;
        let mut take = |length: usize| -> Result<&[u8]> {
            let (head, tail) = rest.split_at_checked(length).context("it is cut short")?;
            rest = tail;
            Ok(head)
        };
        ensure!(take(MAGIC.len())? == MAGIC, "it does not begin with the signature of a model file");
        let version = u32::from_le_bytes(take(4)?.try_into()?);
        ensure!(
            (1..=FORMAT_VERSION).contains(&version),
            "it has format version {version}, this program reads up to {FORMAT_VERSION}"
        );
        let length = u64::from_le_bytes(take(8)?.try_into()?);
        let checksum = take(32)?;
        let found = rest.len();
        ensure!(found as u64 == length, "it is cut short or has something appended: {found} of {length} bytes");
        ensure!(Sha256::digest(rest).as_slice() == checksum, "its checksum does not match its content");
        let model: Self = match version {
            1 | 2 => legacy::decode(version, rest)?,
            // A file of version 3 ends before the moments; an encoded `None` makes it a file of version 4.
            3 => decode_payload(&[rest, &[0]].concat())?,
            _ => decode_payload(rest)?,
        };
        model.check()?;
        Ok(model)
    }

    /// Fails if the model holds a number that no fitted model can have. All users of a model rely on this check.
    fn check(&self) -> Result<()> {
        let Self { schema, effects, intercept, intercept_error, fit, training, moments } = self;
        let fits = |(effect, predictor): (&Effect, &Predictor)| predictor.is_category() == effect.is_category();
        ensure!(
            effects.len() == schema.predictors().len() && effects.iter().zip(schema.predictors()).all(fits),
            "its effects do not belong to its columns"
        );
        let terms = self.terms().map(|term| (term.coefficient, term.standard_error));
        let terms: Vec<(f64, f64)> = terms.chain([(*intercept, *intercept_error)]).collect();
        ensure!(terms.len() - 1 <= MOST_TERMS, "it has more than {MOST_TERMS} terms");
        let numbers = terms.iter().all(|(coefficient, _)| coefficient.is_finite());
        ensure!(numbers && fit.log_likelihood.is_finite(), "it holds a number that is not finite");
        let mut sizes = terms.iter().map(|(_, error)| *error).chain([fit.gradient_norm, fit.newton_decrement]);
        ensure!(
            sizes.all(|size| size.is_finite() && size >= 0.0),
            "a standard error or its certificate is negative or not finite"
        );
        ensure!(Regularization::new(fit.regularization).is_some(), "its regularisation is not a positive number");
        ensure!(training.exited <= training.rows, "its number of clients that left is larger than its number of rows");
        ensure!(effects.iter().all(Effect::is_sound), "its summary of the training data is inconsistent");
        ensure!(
            moments.as_ref().is_none_or(|moments| moments.is_sound(effects)),
            "the moments of its training data are inconsistent"
        );
        Ok(())
    }
}

/// Returns the probability that belongs to log-odds.
pub fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// Decodes the whole payload of a model file.
fn decode_payload<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    let (decoded, read) = bincode::serde::decode_from_slice(payload, ENCODING)?;
    ensure!(read == payload.len(), "bytes follow the model");
    Ok(decoded)
}

/// Returns a model file: the header that the module documentation describes, and the payload.
fn with_header(version: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u64;
    [MAGIC, &version.to_le_bytes()[..], &length.to_le_bytes(), &Sha256::digest(payload), payload].concat()
}

/// The size of the largest model file, and the most memory that decoding may use, in bytes. Real files have fewer than
/// 300,000, those of 500 terms fewer than 800,000.
const LARGEST_FILE: usize = 1024 * 1024;

const MAGIC: &[u8; 8] = b"RISKMODL";
const FORMAT_VERSION: u32 = 4;
/// With this limit bincode checks every length in the payload before it allocates memory for it.
const ENCODING: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<LARGEST_FILE>,
> = bincode::config::standard().with_limit::<LARGEST_FILE>();

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::effect::{CategoryEffect, LevelEffect, NumberEffect};
    use crate::schema::{Columns, Ignored, Kind, Target, Transform};
    use statistics::levels::LevelSummary;
    use statistics::sketch::Sketch;

    /// A model with the default columns, of coefficients, medians and sketches.
    pub(crate) fn with_numbers(numbers: [(f64, f64, Option<Sketch>); 3]) -> Model {
        let effect = |(coefficient, median, sketch)| {
            Effect::Number(NumberEffect { coefficient, standard_error: 0.004, median, sketch })
        };
        Model {
            schema: Schema::default(),
            effects: numbers.map(effect).into(),
            intercept: 0.7,
            intercept_error: 0.5,
            fit: Fit {
                regularization: 1.0,
                gradient_norm: 1e-12,
                newton_decrement: 1e-13,
                newton_steps: 5,
                log_likelihood: -14.5,
            },
            training: TrainingData { dataset_sha256: Checksum::of_bytes(b"d"), rows: 26, exited: 15, left_out: 2 },
            moments: None,
        }
    }

    pub(crate) fn model() -> Model {
        let sketch = |values: [f64; 2]| Sketch::of(values.map(Some));
        with_numbers([
            (-0.01, 73.0, sketch([1.0, 2.0])),
            (7e-5, 955.0, sketch([3.0, 5.0])),
            (0.025, 14.0, sketch([0.0, 9.0])),
        ])
    }

    /// A model of 1,000 clients with a number from 0 to 99 and a category.
    pub(crate) fn with_category() -> Model {
        let columns = Columns {
            id: "customer id".to_owned(),
            target: Target { name: "Churn".to_owned(), positive: "Yes".to_owned(), negative: "No".to_owned() },
            predictors: [("tenure", Kind::Number), ("Contract", Kind::Category)]
                .map(|(name, kind)| Predictor {
                    name: name.to_owned(),
                    kind,
                    transform: if kind == Kind::Number { Transform::Log1p } else { Transform::None },
                    label: name.to_owned(),
                    unit: None,
                })
                .into(),
            ignored: Ignored::All,
        };
        let level = |name: &str, coefficient| LevelEffect { name: name.to_owned(), coefficient, standard_error: 0.1 };
        let sketch = Sketch::of((0..1000).map(|i| Some(f64::from(i % 100))));
        Model {
            schema: columns.try_into().unwrap(),
            effects: vec![
                Effect::Number(NumberEffect { coefficient: -0.3, standard_error: 0.01, median: 49.5, sketch }),
                Effect::Category(CategoryEffect {
                    levels: vec![level("Month-to-month", 0.9), level("Two year", -0.9)],
                    most_frequent: 0,
                    summary: LevelSummary { counts: vec![600, 400], unseen: 0, missing: 0 },
                }),
            ],
            moments: Some(Moments {
                means: vec![3.7, 0.4],
                standard_deviations: vec![0.9, 0.49],
                correlations: vec![0.25],
            }),
            ..model()
        }
    }

    fn number(model: &mut Model, j: usize) -> &mut NumberEffect {
        match &mut model.effects[j] {
            Effect::Number(number) => number,
            Effect::Category(_) => panic!("a category"),
        }
    }

    fn category(model: &mut Model, j: usize) -> &mut CategoryEffect {
        match &mut model.effects[j] {
            Effect::Category(category) => category,
            Effect::Number(_) => panic!("a number"),
        }
    }

    fn moments(model: &mut Model) -> &mut Moments {
        model.moments.as_mut().unwrap()
    }

    fn numbers(values: [Option<f64>; 3]) -> Vec<Option<Value>> {
        values.map(|value| value.map(Value::Number)).into()
    }

    #[test]
    fn what_is_encoded_decodes_and_the_bytes_repeat() {
        for model in [model(), with_category()] {
            let bytes = model.encode().unwrap();
            assert_eq!(Model::decode(&bytes).unwrap(), model);
            assert_eq!(bytes, model.encode().unwrap());
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = with_category().encode().unwrap();
        for length in 0..bytes.len() {
            assert!(Model::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
        }
        for position in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[position / 8] ^= 1 << (position % 8);
            assert!(Model::decode(&damaged).is_err(), "bit {position}");
        }
        let appended = [&bytes[..], b"x"].concat();
        assert!(Model::decode(&appended).unwrap_err().to_string().contains("appended"));
    }

    #[test]
    fn a_file_of_version_3_is_a_model_without_moments() {
        let model = Model { moments: None, ..with_category() };
        let bytes = model.encode().unwrap();
        let payload = bytes[52..].strip_suffix(&[0]).unwrap();
        assert_eq!(Model::decode(&with_header(3, payload)).unwrap(), model);
        assert!(Model::decode(&with_header(3, &bytes[52..])).is_err());
    }

    /// Encodes a model file with the given payload, whether or not it is valid.
    fn sealed(payload: &[u8]) -> Vec<u8> {
        with_header(FORMAT_VERSION, payload)
    }

    #[test]
    fn a_crafted_length_is_an_error_and_takes_no_memory() {
        let payload = &model().encode().unwrap()[52..];
        assert_eq!(Model::decode(&sealed(payload)).unwrap(), model());
        for length in [u64::MAX, 1 << 62, 1 << 40, 1 << 32, 1 << 24] {
            let length = [&[253][..], &length.to_le_bytes()].concat(); // 253 is bincode's tag of an 8-byte integer
            for position in 0..payload.len() {
                // At some positions the changed number is still valid, so only an abort of the process would be a
                // failure.
                let _ = Model::decode(&sealed(&[&payload[..position], &length, &payload[position + 1..]].concat()));
            }
        }
    }

    #[test]
    fn a_file_without_end_is_refused_before_it_is_read() {
        let error = format!("{:#}", Model::load(Path::new("/dev/zero")).unwrap_err());
        assert!(error.contains("/dev/zero") && error.contains("larger than 1048576 bytes"), "{error}");
    }

    #[test]
    fn a_number_that_no_fit_gives_is_neither_written_nor_read() {
        let damaged: [fn(&mut Model); 25] = [
            |model| number(model, 0).coefficient = f64::INFINITY,
            |model| model.intercept = f64::NAN,
            |model| number(model, 0).median = f64::NAN,
            |model| number(model, 0).standard_error = f64::NAN,
            |model| model.intercept_error = f64::INFINITY,
            |model| number(model, 0).standard_error = -1.0,
            |model| model.fit.regularization = 0.0,
            |model| model.fit.newton_decrement = f64::NAN,
            |model| model.fit.gradient_norm = -1.0,
            |model| model.fit.log_likelihood = f64::NEG_INFINITY,
            |model| model.training.exited = 27,
            |model| number(model, 0).sketch.as_mut().unwrap().counts.clear(),
            |model| category(model, 1).levels[1].coefficient = f64::NAN,
            |model| category(model, 1).levels[1].standard_error = -1.0,
            |model| category(model, 1).levels.reverse(),
            |model| category(model, 1).levels.clear(),
            |model| category(model, 1).most_frequent = 2,
            |model| category(model, 1).summary.counts.clear(),
            |model| model.effects.reverse(),
            |model| model.effects.truncate(1),
            |model| moments(model).means.push(0.0),
            |model| moments(model).standard_deviations[1] = -1.0,
            |model| moments(model).correlations[0] = 1.5,
            |model| moments(model).correlations[0] = f32::NAN,
            |model| moments(model).correlations.clear(),
        ];
        for (i, damage) in damaged.iter().enumerate() {
            let mut model = with_category();
            assert!(model.encode().is_ok());
            damage(&mut model);
            assert!(model.encode().is_err(), "damage {i} is written");
            let payload = bincode::serde::encode_to_vec(&model, ENCODING).unwrap();
            assert!(Model::decode(&sealed(&payload)).is_err(), "damage {i} is read");
        }
    }

    #[test]
    fn a_missing_predictor_counts_as_its_imputed_value() {
        let imputed = model().probability(&numbers([Some(10.0), Some(955.0), Some(3.0)]));
        assert_eq!(model().probability(&numbers([Some(10.0), None, Some(3.0)])), imputed);
        assert!((0.0..=1.0).contains(&imputed));
        let model = with_category();
        let known = model.log_odds([Some(ValueRef::Number(49.5)), Some(ValueRef::Level("Month-to-month"))]);
        assert_eq!(model.log_odds([None, None]), known);
        assert_eq!(known, -0.3 * 49.5f64.ln_1p() + 0.9 + 0.7);
    }

    #[test]
    fn an_unseen_level_has_no_effect_and_is_counted() {
        let model = with_category();
        let unseen = [Some(ValueRef::Number(0.0)), Some(ValueRef::Level("weekly"))];
        assert_eq!((model.log_odds(unseen), model.has_unseen_level(unseen)), (0.7, true));
        assert!(!model.has_unseen_level([None, Some(ValueRef::Level("Two year"))]));
    }

    #[test]
    fn terms_are_named_after_column_and_level() {
        let names: Vec<String> = with_category().terms().map(|term| term.name().into_owned()).collect();
        assert_eq!(names, ["tenure", "Contract=Month-to-month", "Contract=Two year"]);
    }

    #[test]
    fn extreme_log_odds_give_probabilities_and_no_nan() {
        for (coefficient, expected) in [(1e3, 1.0), (-1e3, 0.0)] {
            let mut extreme = model();
            number(&mut extreme, 0).coefficient = coefficient;
            assert_eq!(extreme.probability(&numbers([Some(1e6), None, None])), expected);
        }
    }
}
