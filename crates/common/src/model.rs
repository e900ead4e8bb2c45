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

pub mod pickle;
pub mod schema;
pub mod score;
pub mod shift;

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err::File;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use statistics::sketch::Sketch;

use crate::config::Regularization;
use crate::files::atomic;
use crate::files::checksum::Checksum;
use crate::model::schema::Predictors;

/// The metrics of a set of predictions, re-exported.
pub use statistics::confusion as metrics;

/// A fitted L2-penalised logistic regression, with the quality of its fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Change of the log-odds of leaving per unit of each predictor, in the order of [`crate::model::schema::PREDICTORS`].
    pub coefficients: [f64; 3],
    /// Log-odds of leaving if every predictor is 0.
    pub intercept: f64,
    /// Standard errors of the three coefficients and, last, of the intercept.
    pub standard_errors: [f64; 4],
    /// Median of each predictor in the training rows, which is imputed for a missing value.
    pub medians: [f64; 3],
    /// How the optimum was reached and certified.
    pub fit: Fit,
    /// The rows on which the model was trained.
    pub training: TrainingData,
    /// Summary of each predictor's values in the dataset on which the model was trained; `None` in a model file of
    /// version 1.
    pub sketches: Option<[Sketch; 3]>,
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
    /// Returns the log-odds of leaving for complete predictors.
    pub fn log_odds(&self, predictors: &[f64; 3]) -> f64 {
        self.coefficients.iter().zip(predictors).map(|(b, x)| b * x).sum::<f64>() + self.intercept
    }

    /// Returns the probability of leaving. The training median is imputed for a missing predictor.
    pub fn probability(&self, predictors: &Predictors) -> f64 {
        1.0 / (1.0 + (-self.log_odds(&self.imputed(predictors))).exp())
    }

    /// Returns the predictors, with the training median imputed for missing ones.
    pub fn imputed(&self, predictors: &Predictors) -> [f64; 3] {
        std::array::from_fn(|i| predictors[i].unwrap_or(self.medians[i]))
    }

    /// Returns the average client's predictors: the means of the training data, or the medians if the model file holds
    /// no means.
    pub fn averages(&self) -> [f64; 3] {
        self.sketches.as_ref().map_or(self.medians, |sketches| sketches.each_ref().map(|sketch| sketch.mean))
    }

    /// Returns the standard deviation of each predictor in the training data, or 0 if the model file holds none.
    pub fn standard_deviations(&self) -> [f64; 3] {
        self.sketches.as_ref().map_or([0.0; 3], |sketches| sketches.each_ref().map(|sketch| sketch.standard_deviation))
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
        // A file of version 1 ends before the sketches; appending an encoded `None` makes it a file of version 2.
        let payload = if version == 1 { [rest, &[0]].concat() } else { rest.to_vec() };
        let (model, read): (Self, usize) = bincode::serde::decode_from_slice(&payload, ENCODING)?;
        ensure!(read == payload.len(), "bytes follow the model");
        model.check()?;
        Ok(model)
    }

    /// Fails if the model holds a number that no fitted model can have. All users of a model rely on this check.
    fn check(&self) -> Result<()> {
        let Self { coefficients, intercept, standard_errors, medians, fit, training, sketches } = self;
        let mut numbers = coefficients.iter().chain(medians).chain([intercept, &fit.log_likelihood]);
        ensure!(numbers.all(|number| number.is_finite()), "it holds a number that is not finite");
        let mut sizes = standard_errors.iter().chain([&fit.gradient_norm, &fit.newton_decrement]);
        ensure!(
            sizes.all(|size| size.is_finite() && *size >= 0.0),
            "a standard error or its certificate is negative or not finite"
        );
        ensure!(Regularization::new(fit.regularization).is_some(), "its regularisation is not a positive number");
        ensure!(training.exited <= training.rows, "its number of clients that left is larger than its number of rows");
        let sound = sketches.iter().flatten().all(Sketch::is_sound);
        ensure!(sound, "its summary of the training data is inconsistent");
        Ok(())
    }
}

/// Returns a model file: the header that the module documentation describes, and the payload.
fn with_header(version: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u64;
    [MAGIC, &version.to_le_bytes()[..], &length.to_le_bytes(), &Sha256::digest(payload), payload].concat()
}

/// The size of the largest model file, and the most memory that decoding may use, in bytes. Real files have fewer than
/// 20,000.
const LARGEST_FILE: usize = 1024 * 1024;

const MAGIC: &[u8; 8] = b"RISKMODL";
const FORMAT_VERSION: u32 = 2;
/// With this limit bincode checks every length in the payload before it allocates memory for it.
const ENCODING: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<LARGEST_FILE>,
> = bincode::config::standard().with_limit::<LARGEST_FILE>();

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn model() -> Model {
        Model {
            coefficients: [-0.01, 7e-5, 0.025],
            intercept: 0.7,
            standard_errors: [0.004, 1e-4, 0.02, 0.5],
            medians: [73.0, 955.0, 14.0],
            fit: Fit {
                regularization: 1.0,
                gradient_norm: 1e-12,
                newton_decrement: 1e-13,
                newton_steps: 5,
                log_likelihood: -14.5,
            },
            training: TrainingData { dataset_sha256: Checksum::of_bytes(b"d"), rows: 26, exited: 15, left_out: 2 },
            sketches: Some([[1.0, 2.0], [3.0, 5.0], [0.0, 9.0]].map(|values| Sketch::of(values.map(Some)).unwrap())),
        }
    }

    #[test]
    fn what_is_encoded_decodes_and_the_bytes_repeat() {
        let bytes = model().encode().unwrap();
        assert_eq!(Model::decode(&bytes).unwrap(), model());
        assert_eq!(bytes, model().encode().unwrap());
    }

    #[test]
    fn a_file_of_version_1_is_a_model_without_sketches() {
        let model = Model { sketches: None, ..model() };
        let newer = model.encode().unwrap();
        let payload = &newer[52..newer.len() - 1];
        let read = Model::decode(&with_header(1, payload)).unwrap();
        assert_eq!(read, model);
        assert_eq!((read.averages(), read.standard_deviations()), (model.medians, [0.0; 3]));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = model().encode().unwrap();
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
        let sketch = || Sketch::of([1.0, 2.0, 3.0].map(Some)).unwrap();
        let damaged: [fn(&mut Model); 12] = [
            |model| model.coefficients[1] = f64::INFINITY,
            |model| model.intercept = f64::NAN,
            |model| model.medians[2] = f64::NAN,
            |model| model.standard_errors[0] = f64::NAN,
            |model| model.standard_errors[3] = f64::INFINITY,
            |model| model.standard_errors[1] = -1.0,
            |model| model.fit.regularization = 0.0,
            |model| model.fit.newton_decrement = f64::NAN,
            |model| model.fit.gradient_norm = -1.0,
            |model| model.fit.log_likelihood = f64::NEG_INFINITY,
            |model| model.training.exited = 27,
            |model| model.sketches.iter_mut().flatten().for_each(|sketch| sketch.counts.clear()),
        ];
        for (i, damage) in damaged.iter().enumerate() {
            let mut model = Model { sketches: Some([sketch(), sketch(), sketch()]), ..model() };
            assert!(model.encode().is_ok());
            damage(&mut model);
            assert!(model.encode().is_err(), "damage {i} is written");
            let payload = bincode::serde::encode_to_vec(&model, ENCODING).unwrap();
            assert!(Model::decode(&sealed(&payload)).is_err(), "damage {i} is read");
        }
    }

    #[test]
    fn a_missing_predictor_counts_as_its_median() {
        let imputed = model().probability(&[Some(10.0), Some(955.0), Some(3.0)]);
        assert_eq!(model().probability(&[Some(10.0), None, Some(3.0)]), imputed);
        assert!((0.0..=1.0).contains(&imputed));
    }

    #[test]
    fn extreme_log_odds_give_probabilities_and_no_nan() {
        let extreme = Model { coefficients: [1e3, 0.0, 0.0], ..model() };
        assert_eq!(extreme.probability(&[Some(1e6), None, None]), 1.0);
        let extreme = Model { coefficients: [-1e3, 0.0, 0.0], ..model() };
        assert_eq!(extreme.probability(&[Some(1e6), None, None]), 0.0);
    }
}
