//! Checks that the shipped data are what their generator, crates/testkit/examples/fabricate.rs, says.

use common::files::{DataFile, MODEL};
use common::model::{Model, probability};
use dataset::local::Local;
use dataset::{Engine, Reading};
use testkit::{Workspace, project};

use crate::scikit_learn::copy_data;

/// Trains on sourcedata. Returns the model, and for each client of testdata the risk and whether it left, with rising
/// risks.
fn fitted() -> (Model, Vec<(f64, bool)>) {
    let workspace = Workspace::new();
    copy_data(&workspace, "sourcedata");
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let model = Model::load(&workspace.path("practicemodels").join(MODEL)).unwrap().0;
    let file = DataFile::at(&project().join("testdata/testdata.csv")).unwrap();
    let mut clients = Vec::new();
    let table = Local::new(&model.schema).read(&[file], Reading::WHOLE).unwrap();
    let mut add = |risk: f64, exited: Option<bool>| clients.push((risk, exited.unwrap()));
    table.each(&mut |_, values, exited| add(probability(model.log_odds(values.iter().copied())), exited)).unwrap();
    clients.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    (model, clients)
}

#[test]
fn falling_activity_raises_the_risk_as_the_generator_says() {
    let (model, _) = fitted();
    // An event less in the last month, while the eleven months before stay the same, lowers the year's events too.
    let truth: [f64; 3] = [-0.1 * 12.0 / 11.0, 0.1 / 11.0, 0.01];
    for (term, truth) in model.terms().zip(truth) {
        let (coefficient, standard_error) = (term.coefficient, term.standard_error);
        assert_eq!(coefficient.signum(), truth.signum(), "{coefficient} is not {truth}");
        assert!((coefficient - truth).abs() < 3.0 * standard_error, "{coefficient} is not {truth}");
    }
}

#[test]
fn the_risks_of_the_test_clients_are_calibrated() {
    let (_, clients) = fitted();
    let high: Vec<_> = clients.iter().filter(|(risk, _)| *risk >= 0.9).collect();
    let left = high.iter().filter(|(_, exited)| *exited).count();
    assert_eq!((high.len(), left), (158, 154));
    for tenth in clients.chunks(clients.len() / 10) {
        let expected: f64 = tenth.iter().map(|(risk, _)| risk).sum();
        let standard_deviation = tenth.iter().map(|(risk, _)| risk * (1.0 - risk)).sum::<f64>().sqrt();
        let left = tenth.iter().filter(|(_, exited)| *exited).count() as f64;
        assert!((left - expected).abs() < 1.96 * standard_deviation, "{left} left, {expected} expected");
    }
}
