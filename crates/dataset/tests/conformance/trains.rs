//! What training asks of a table: the rows without missing values, and the sums of a step, computed here with plain
//! formulas.

use common::schema::Transform;
use common::values::Value;
use dataset::basis::Basis;
use dataset::{Clients, PredictorSummary, TrainingRows, most_frequent};

use crate::expected::{Fixture, Row, close, levels, mean, median, standard_deviation};

/// A complete row: the columns of the regression with the constant, and the target.
type Line = (Vec<f64>, bool);

pub fn trains(fixture: &Fixture, clients: &dyn Clients) {
    let training = clients.training_rows().unwrap();
    let complete = fixture.complete();
    let summary = training.summary();
    let exited = complete.iter().filter(|row| row.exited == Some(true)).count() as u64;
    let counted = [summary.rows, summary.exited, summary.left_out];
    assert_eq!(counted, [complete.len() as u64, exited, (fixture.rows.len() - complete.len()) as u64]);
    assert_eq!(summary.predictors.len(), fixture.schema.predictors().len());
    for (j, predictor) in summary.predictors.iter().enumerate() {
        summarises(fixture, &complete, j, predictor);
    }
    let lines = lines(fixture, &complete);
    samples(&*training, &lines);

    let design = training.design();
    assert_eq!(design.width(), lines[0].0.len());
    let numbers = design.numbers();
    let centre: Vec<f64> = (0..numbers).map(|j| 20.0 * j as f64 + 6.0).collect();
    let unmixed = Basis::centred(design, &centre);
    // Rows of an upper triangular matrix with ones on its diagonal; some entries are 0.
    let entry = |i: usize, j: usize| match j.cmp(&i) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 1.0,
        std::cmp::Ordering::Greater => ((3 * i + 5 * j) % 7) as f64 * 0.25 - 0.5,
    };
    let mixing: Vec<Vec<f64>> = (0..numbers).map(|i| (0..design.width()).map(|j| entry(i, j)).collect()).collect();
    let mixed = unmixed.followed_by(&mixing);
    assert!(unmixed.is_only_centred() && !mixed.is_only_centred());
    for basis in [unmixed, mixed] {
        let scale = |j: usize| if j < numbers { 1e-3 } else { 0.3 };
        let parameters: Vec<f64> = (0..design.width())
            .map(|j| scale(j) * (f64::from(u8::from(j % 2 == 0)) - 0.4) * (1.0 + j as f64))
            .collect();
        sums(&*training, &basis, &parameters, &lines);
    }
}

fn summarises(fixture: &Fixture, complete: &[&Row], j: usize, predictor: &PredictorSummary) {
    match predictor {
        PredictorSummary::Number { median: found, sketch } => {
            let values: Vec<f64> =
                complete.iter().map(|row| row.predictors[j].as_ref().and_then(Value::number).unwrap()).collect();
            assert_eq!(*found, Some(median(&values)));
            let sketch = sketch.as_ref().unwrap();
            close(sketch.mean, mean(&fixture.numbers(j)));
            close(sketch.standard_deviation / standard_deviation(&fixture.numbers(j)), 1.0);
            assert_eq!(sketch.missing, fixture.missing()[j + 1]);
        }
        PredictorSummary::Category { levels: found, counts, summary } => {
            let expected = levels(complete.iter().copied(), j);
            assert_eq!(found, &expected.keys().cloned().collect::<Vec<_>>());
            assert_eq!(counts, &expected.values().copied().collect::<Vec<_>>());
            let all = fixture.levels(j);
            assert_eq!(summary.counts, found.iter().map(|level| all[level]).collect::<Vec<_>>());
            assert_eq!(summary.unseen, all.values().sum::<u64>() - summary.counts.iter().sum::<u64>());
            assert_eq!(summary.missing, fixture.missing()[j + 1]);
        }
    }
}

/// Returns the complete rows as columns of the regression.
fn lines(fixture: &Fixture, complete: &[&Row]) -> Vec<Line> {
    let predictors = fixture.schema.predictors();
    let line = |row: &&Row| {
        let (mut numbers, mut indicators) = (Vec::new(), Vec::new());
        for (j, predictor) in predictors.iter().enumerate() {
            match row.predictors[j].as_ref().unwrap() {
                Value::Number(number) if predictor.transform == Transform::Log1p => numbers.push(number.ln_1p()),
                Value::Number(number) => numbers.push(*number),
                Value::Level(own) => {
                    let levels = levels(complete.iter().copied(), j);
                    let reference = most_frequent(&levels.values().copied().collect::<Vec<_>>());
                    let others = levels.keys().enumerate().filter(|(i, _)| *i != reference);
                    indicators.extend(others.map(|(_, level)| f64::from(u8::from(level == own))));
                }
            }
        }
        let columns = numbers.into_iter().chain(indicators).chain([1.0]).collect();
        (columns, row.exited == Some(true))
    };
    complete.iter().map(line).collect()
}

fn samples(training: &dyn TrainingRows, lines: &[Line]) {
    let sample = training.sample(1000).unwrap();
    let mut sampled: Vec<Line> = sample.columns.into_iter().zip(sample.exited).collect();
    let mut all: Vec<Line> =
        lines.iter().map(|(columns, exited)| (columns[..columns.len() - 1].to_vec(), *exited)).collect();
    for rows in [&mut sampled, &mut all] {
        rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    }
    assert_eq!(sampled.len(), all.len());
    for ((found, left), (expected, exited)) in sampled.iter().zip(&all) {
        assert_eq!((left, found.len()), (exited, expected.len()));
        found.iter().zip(expected).for_each(|(found, expected)| close(*found, *expected));
    }
    assert_eq!(training.sample(7).unwrap().columns, training.sample(7).unwrap().columns);
    assert_eq!(training.sample(7).unwrap().exited.len(), 7);
}

fn sums(training: &dyn TrainingRows, basis: &Basis, parameters: &[f64], lines: &[Line]) {
    let sums = training.sums(basis, parameters).unwrap();
    let (width, numbers) = (parameters.len(), basis.design().numbers());
    let (mut likelihood, mut gradient, mut hessian) = (0.0, vec![0.0; width], vec![vec![0.0; width]; width]);
    let mut sizes = vec![0.0; width];
    for (columns, exited) in lines {
        let mut q = columns.clone();
        for j in (0..numbers).rev() {
            q[j] -= (j + 1..width).map(|k| basis.upper()[j][k] * q[k]).sum::<f64>();
        }
        let z: f64 = q.iter().zip(parameters).map(|(q, b)| q * b).sum();
        let (y, p) = (f64::from(u8::from(*exited)), 1.0 / (1.0 + (-z).exp()));
        likelihood += y * z - (1.0 + z.exp()).ln();
        for i in 0..width {
            gradient[i] += (p - y) * q[i];
            sizes[i] += q[i].abs();
            for j in 0..width {
                hessian[i][j] += p * (1.0 - p) * q[i] * q[j];
            }
        }
    }
    close(sums.log_likelihood / likelihood, 1.0);
    for i in 0..width {
        let error = (sums.gradient[i] - gradient[i]).abs();
        assert!(error <= sums.gradient_error[i] + 1e-12 * sizes[i], "{i}: {error} {sums:?}");
        assert!(sums.gradient_error[i] < 1e-9 * sizes[i].max(1.0), "{i}: {sums:?}");
        for j in 0..width {
            let largest = (hessian[i][i] * hessian[j][j]).sqrt();
            assert!((sums.hessian[(i, j)] - hessian[i][j]).abs() <= 1e-11 * largest, "{i} {j} {sums:?} {hessian:?}");
        }
    }
}
