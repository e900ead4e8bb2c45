//! Model files of versions 1 and 2, which knew only the default columns.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use statistics::sketch::Sketch;

use super::effect::{Effect, NumberEffect};
use super::{Fit, Model, TrainingData, decode_payload};
use crate::schema::Schema;

/// The payload of version 2.
#[derive(Serialize, Deserialize)]
struct LegacyModel {
    coefficients: [f64; 3],
    intercept: f64,
    standard_errors: [f64; 4],
    medians: [f64; 3],
    fit: Fit,
    training: TrainingData,
    sketches: Option<[Sketch; 3]>,
}

/// Decodes the payload of a model file of version 1 or 2.
pub(super) fn decode(version: u32, payload: &[u8]) -> Result<Model> {
    // A file of version 1 ends before the sketches; appending an encoded `None` makes it a file of version 2.
    let payload = if version == 1 { [payload, &[0]].concat() } else { payload.to_vec() };
    let model: LegacyModel = decode_payload(&payload)?;
    let [errors @ .., intercept_error] = model.standard_errors;
    let mut sketches = model.sketches.map(|sketches| sketches.into_iter());
    let numbers = model.coefficients.into_iter().zip(errors).zip(model.medians);
    let effects = numbers.map(|((coefficient, standard_error), median)| {
        let sketch = sketches.as_mut().and_then(Iterator::next);
        Effect::Number(NumberEffect { coefficient, standard_error, median, sketch })
    });
    Ok(Model {
        schema: Schema::default(),
        effects: effects.collect(),
        intercept: model.intercept,
        intercept_error,
        fit: model.fit,
        training: model.training,
        moments: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Value;

    /// Files of the shipped practice data, written by the programs of versions 1 and 2.
    const FILES: [&[u8]; 2] =
        [include_bytes!("../../fixtures/model_version_1.bin"), include_bytes!("../../fixtures/model_version_2.bin")];

    #[test]
    fn files_of_earlier_versions_are_models_of_the_default_columns() {
        let [first, second] = FILES.map(|file| Model::decode(file).unwrap());
        for model in [&first, &second] {
            assert_eq!(model.schema, Schema::default());
            let terms: Vec<(f64, f64)> = model.terms().map(|term| (term.coefficient, term.standard_error)).collect();
            assert_eq!(
                terms,
                [
                    (-0.24713724308629442, 0.018332119943089583),
                    (0.017620630195287455, 0.001471282388361133),
                    (-0.0036289305426522775, 0.000968835954964209)
                ]
            );
            assert_eq!((model.intercept, model.intercept_error), (0.2602680020734497, 0.1740019223632206));
            assert_eq!(model.imputed(&[None, None, None]), [19.0, 244.0, 50.0].map(Value::Number));
            assert_eq!((model.training.rows, model.training.exited, model.training.left_out), (943, 360, 7));
        }
        // Only version 2 describes the training data.
        assert_eq!(first.averages(), first.imputed(&[None, None, None]));
        assert_ne!(second.averages(), second.imputed(&[None, None, None]));
        let saved = Model::decode(&second.encode().unwrap()).unwrap();
        assert_eq!(saved, second);
    }

    #[test]
    fn every_cut_of_an_earlier_file_is_noticed() {
        for file in FILES {
            for length in 0..file.len() {
                assert!(Model::decode(&file[..length]).is_err(), "cut to {length} bytes");
            }
        }
    }
}
