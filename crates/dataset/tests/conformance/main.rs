//! The conformance suite of the traits `Engine`, `Clients` and `TrainingRows`: the same expectations hold for every
//! implementation. Where implementations may differ, the trait's documentation says so and the suite accepts both.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

mod expected;

use std::fs;
use std::path::PathBuf;

use common::config::Threshold;
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::model::schema::{COLUMNS, PREDICTORS};
use common::model::{Fit, Model, TrainingData};
use dataset::basis::Basis;
use dataset::{ClientRow, Clients, Engine, Reading};
use testkit::{HEADER, Workspace};

use crate::expected::{FIRST_FILE, Row, close, known, mean, median, mode, rows, rows_of, standard_deviation};

#[test]
fn local_conforms() {
    let workspace = workspace();
    conforms(&workspace, &*dataset::open(&workspace.config()).unwrap());
}

#[cfg(feature = "cluster")]
#[test]
fn sail_conforms() {
    on_cluster(testkit::engines::Engine::Sail);
}

#[cfg(feature = "cluster")]
#[test]
fn spark_conforms() {
    on_cluster(testkit::engines::Engine::Spark);
}

#[cfg(feature = "cluster")]
fn on_cluster(engine: testkit::engines::Engine) {
    let Some(server) = testkit::engines::EngineServer::start(engine) else { return };
    let mut workspace = workspace();
    workspace.set("engine", serde_json::json!(server.url()));
    conforms(&workspace, &*dataset::open(&workspace.config()).unwrap());
}

#[cfg(not(feature = "cluster"))]
#[test]
fn an_engine_needs_a_program_built_with_the_feature() {
    let mut workspace = workspace();
    workspace.set("engine", serde_json::json!("sc://host:15002/;token=geheim"));
    let error = format!("{:#}", dataset::open(&workspace.config()).err().unwrap());
    assert!(error.contains("--features cluster") && error.contains("\"engine\""), "{error}");
    assert!(error.contains("config.json") && error.contains("sc://host:15002") && !error.contains("geheim"), "{error}");
}

/// Creates the input files. Together they have the rows of [`expected::rows`], two duplicates and one malformed row.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let rows = rows();
    let (first, second) = rows.split_at(FIRST_FILE);
    let line = |row: &Row| {
        let number = |value: Option<f64>| value.map_or("NA".to_owned(), |value| value.to_string());
        let [month, year, employees] = row.predictors.map(number);
        let exited = row.exited.map_or_else(String::new, |exited| u8::from(exited).to_string());
        let name = row.name.replace('"', "\"\"");
        format!("\"{name}\",{month},{year},{employees},{exited}\n")
    };
    let first: String = first.iter().map(line).collect();
    workspace.csv("practicedata/a.csv", &[first.as_str(), first.lines().next().unwrap(), "\n"].concat());
    let second: String = second.iter().map(line).collect();
    let text = [HEADER, second.as_str(), "bad,x,2,3,0\n", second.lines().next().unwrap()].concat();
    workspace.write("practicedata/b.CSV", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    workspace.csv("practicedata/.hidden.csv", "hidden,1,2,3,0\n");
    workspace.csv("practicedata/folder/inner.csv", "inner,1,2,3,0\n");
    workspace.write("practicedata/notes.txt", "not a table");
    workspace.csv("practicedata/folder/other/bad.csv", "bad,1,2,3,7\n");
    fs::create_dir_all(workspace.path("ingesteddata")).unwrap();
    fs::create_dir_all(workspace.path("empty")).unwrap();
    workspace
}

fn conforms(workspace: &Workspace, engine: &dyn Engine) {
    let config = workspace.config();
    let files = engine.files(&config.input_folder).unwrap();
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a.csv", "b.CSV"]);
    let error = format!("{:#}", engine.files(&workspace.path("empty")).unwrap_err());
    assert!(error.contains("no CSV file"), "{error}");
    let checksums: Vec<Checksum> = ["a.csv", "b.CSV"]
        .map(|name| Checksum::of_bytes(&workspace.read(format!("practicedata/{name}").as_str())))
        .into();
    assert_eq!(engine.checksums(&files).unwrap(), checksums);

    let ingested = compile(workspace, engine, &files);
    assert_eq!(ingested.files.iter().map(|file| file.sha256.clone()).collect::<Vec<_>>(), checksums);
    let compiled = engine.compiled(&config.output_folder).unwrap();
    assert_eq!(compiled.malformed(), 0);
    describes(&*compiled);
    trains(&*compiled);
    scores(&*compiled);
    finds_clients(&*compiled);
    reads(workspace, engine, &files);
    predicts(workspace, &*compiled);
}

/// Checks what ingestion records.
fn compile(workspace: &Workspace, engine: &dyn Engine, files: &[DataFile]) -> Ingested {
    let output = workspace.config().output_folder;
    let ingested = engine.compile(files, &output, &output).unwrap();
    fs::write(output.join("ingestion.json"), serde_json::to_vec(&ingested).unwrap()).unwrap();
    assert_eq!(ingested.rows, rows().len() as u64);
    let counts: Vec<[u64; 3]> =
        ingested.files.iter().map(|file| [file.rows, file.duplicates, file.quarantined]).collect();
    assert_eq!(counts, [[6, 1, 0], [rows().len() as u64 - 4, 1, 1]]);
    for (j, column) in PREDICTORS.iter().enumerate() {
        let missing = rows().iter().filter(|row| row.predictors[j].is_none()).count() as u64;
        assert_eq!(ingested.missing[*column], missing, "{column}");
    }
    assert_eq!(
        (ingested.contradictory_corporations, &ingested.contradictory_examples[..]),
        (1, &["bold".to_owned()][..])
    );
    let quarantine = fs::read_to_string(output.join("quarantine.csv")).unwrap();
    let line = rows().len() - FIRST_FILE + 2;
    let row = format!("b.CSV,{line},lastmonth_activity is not a number,\"bad,x,2,3,0\"\n");
    assert_eq!(quarantine, format!("file,line,reason,row\n{row}"));
    let lonely = DataFile::at(&workspace.path("practicedata/folder/other/bad.csv")).unwrap();
    let error = format!("{:#}", engine.compile(&[lonely], &output, &workspace.path("empty")).unwrap_err());
    assert!(error.contains("bad.csv") && error.contains("line 2: exited is not 0, 1 or missing"), "{error}");
    ingested
}

/// Checks the statistics against the definitions of pandas.
fn describes(clients: &dyn Clients) {
    let description = clients.describe().unwrap();
    assert_eq!(description.summary.iter().map(|column| column.column).collect::<Vec<_>>(), COLUMNS[1..]);
    for (j, column) in description.summary.iter().enumerate() {
        let values = known(j);
        close(column.mean.unwrap(), mean(&values));
        assert_eq!(column.median, Some(median(&values)), "{}", column.column);
        close(column.std.unwrap(), standard_deviation(&values));
        assert_eq!(column.mode, Some(mode(&values)), "{}", column.column);
    }
    let missing = |j: usize| match j {
        0 => rows().iter().filter(|row| row.name.is_empty()).count(),
        _ => rows().len() - known(j - 1).len(),
    };
    for (j, column) in description.missing.iter().enumerate() {
        assert_eq!(column.column, COLUMNS[j]);
        close(column.percent, 100.0 * missing(j) as f64 / rows().len() as f64);
    }
    for (j, distribution) in clients.distributions().unwrap().iter().enumerate() {
        assert_eq!(distribution.missing, missing(j + 1) as u64);
        assert_eq!(distribution.median(), Some(median(&known(j))));
    }
}

/// Checks the rows of training and the sums of a step, computed here with plain formulas.
fn trains(clients: &dyn Clients) {
    let complete: Vec<([f64; 3], bool)> = rows()
        .iter()
        .filter_map(|row| match (row.predictors, row.exited) {
            ([Some(month), Some(year), Some(employees)], Some(exited)) => Some(([month, year, employees], exited)),
            _ => None,
        })
        .collect();
    let training = clients.training_rows().unwrap();
    let summary = training.summary();
    let exited = complete.iter().filter(|(_, exited)| *exited).count() as u64;
    let counted = [summary.rows, summary.exited, summary.left_out];
    assert_eq!(counted, [complete.len() as u64, exited, (rows().len() - complete.len()) as u64]);
    for j in 0..3 {
        let values: Vec<f64> = complete.iter().map(|(predictors, _)| predictors[j]).collect();
        assert_eq!(summary.medians[j], Some(median(&values)));
        let sketch = &summary.sketches.as_ref().unwrap()[j];
        close(sketch.mean, mean(&known(j)));
        close(sketch.standard_deviation, standard_deviation(&known(j)));
    }
    let sample = training.sample(1000).unwrap();
    let mut sampled: Vec<([f64; 3], bool)> = sample.predictors.iter().copied().zip(sample.exited).collect();
    let mut all = complete.clone();
    for rows in [&mut sampled, &mut all] {
        rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
    }
    assert_eq!(sampled, all);
    assert_eq!(training.sample(7).unwrap().predictors, training.sample(7).unwrap().predictors);
    assert_eq!(training.sample(7).unwrap().exited.len(), 7);

    let unmixed = Basis::centred([20.0, 150.0, 6.0]);
    let mixed = unmixed.followed_by(&[
        [1.0, 0.25, 2.0, 1.0],
        [0.0, 1.0, -3.0, 0.5],
        [0.0, 0.0, 1.0, 0.25],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    for basis in [unmixed, mixed] {
        let parameters = [0.02, -0.003, 0.1, -0.5];
        let sums = training.sums(&basis, &parameters).unwrap();
        let (mut likelihood, mut gradient, mut hessian) = (0.0, [0.0; 4], [[0.0; 4]; 4]);
        for (predictors, exited) in &complete {
            let [q1, q2, q3] = basis.columns(*predictors).0;
            let q = [q1, q2, q3, 1.0];
            let z: f64 = q.iter().zip(parameters).map(|(q, b)| q * b).sum();
            let (y, p) = (f64::from(u8::from(*exited)), 1.0 / (1.0 + (-z).exp()));
            likelihood += y * z - (1.0 + z.exp()).ln();
            for i in 0..4 {
                gradient[i] += (p - y) * q[i];
                for j in 0..4 {
                    hessian[i][j] += p * (1.0 - p) * q[i] * q[j];
                }
            }
        }
        close(sums.log_likelihood, likelihood);
        for i in 0..4 {
            assert!((sums.gradient[i] - gradient[i]).abs() <= sums.gradient_error[i] + 1e-10, "{sums:?} {gradient:?}");
            assert!(sums.gradient_error[i] < 1e-9, "{sums:?}");
            (0..4).for_each(|j| close(sums.hessian[i][j], hessian[i][j]));
        }
    }
}

/// A model that is certain of few clients, with medians unlike any value.
fn model() -> Model {
    Model {
        coefficients: [-0.05, 0.001, 0.1],
        intercept: 0.25,
        standard_errors: [1.0; 4],
        medians: [33.0, 333.0, 3.0],
        fit: Fit {
            regularization: 1.0,
            gradient_norm: 0.0,
            newton_decrement: 0.0,
            newton_steps: 1,
            log_likelihood: 0.0,
        },
        training: TrainingData { dataset_sha256: Checksum::of_bytes(b""), rows: 1, exited: 1, left_out: 0 },
        sketches: None,
    }
}

/// Checks the confusion counts at several thresholds, one of which equals a probability.
fn scores(clients: &dyn Clients) {
    let model = model();
    let tie = model.probability(&rows()[0].predictors);
    for threshold in [0.1, 0.5, tie, 0.9] {
        let counts = clients.score(&model, Threshold::new(threshold).unwrap()).unwrap();
        let count = |left: bool, warned: bool| {
            let is =
                |row: &&Row| row.exited == Some(left) && (model.probability(&row.predictors) >= threshold) == warned;
            rows().iter().filter(is).count() as u64
        };
        let confusion = counts.confusion;
        assert_eq!([confusion.true_positives, confusion.false_negatives], [count(true, true), count(true, false)]);
        assert_eq!([confusion.false_positives, confusion.true_negatives], [count(false, true), count(false, false)]);
        let rows = rows();
        let labelled = || rows.iter().filter(|row| row.exited.is_some());
        assert_eq!(counts.unlabelled, (rows.len() - labelled().count()) as u64);
        assert_eq!(counts.imputed, labelled().filter(|row| row.predictors.contains(&None)).count() as u64);
    }
}

/// Checks the current clients, the rows of one client, the search, and that every row is visited.
fn finds_clients(clients: &dyn Clients) {
    let newest = clients.newest(&model(), 1000).unwrap();
    let mut names: Vec<&str> = newest.clients.iter().map(|client| client.corporation.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, expected::current());
    assert_eq!((newest.total, newest.without_name), (names.len() as u64, 1));
    for client in &newest.clients {
        let rows = rows_of(&client.corporation);
        let (last, earlier) = rows.split_last().unwrap();
        assert_eq!(client.predictors, last.predictors, "{}", client.corporation);
        assert_eq!(client.previous, earlier.last().map(|row| row.predictors), "{}", client.corporation);
    }
    close(newest.risk, newest.clients.iter().map(|client| model().probability(&client.predictors)).sum());
    let riskiest = |clients: &[dataset::Client]| {
        clients.iter().map(|client| model().log_odds(&model().imputed(&client.predictors))).fold(f64::MIN, f64::max)
    };
    assert_eq!(riskiest(&clients.newest(&model(), 1).unwrap().clients), riskiest(&newest.clients));

    for name in ["acme", "o'neil, \"ltd\"", "nobody", "o'neil", "%", "a_me"] {
        let expected: Vec<ClientRow> = rows_of(name).iter().map(client_row).collect();
        assert_eq!(clients.rows_of(name).unwrap(), expected, "{name}");
    }
    let found = |part: &str, most: usize| clients.search(part, most).unwrap();
    assert_eq!(found("CÔT", 9), (vec!["côté".to_owned()], 1));
    assert_eq!(found("L", 2), (vec!["bold".to_owned(), "delta".to_owned()], 3));
    assert_eq!(found("'", 9).1, 1);
    assert_eq!((found("%", 9), found("_", 9)), ((vec![], 0), (vec![], 0)));

    let mut visited = Vec::new();
    clients.each(&mut |name, row| visited.push((name.unwrap_or_default().to_owned(), *row))).unwrap();
    let mut expected: Vec<(String, ClientRow)> =
        rows().iter().map(|row| (row.name.to_owned(), client_row(row))).collect();
    for rows in [&mut visited, &mut expected] {
        rows.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    }
    assert_eq!(visited, expected);
}

fn client_row(row: &Row) -> ClientRow {
    ClientRow { predictors: row.predictors, exited: row.exited }
}

/// Checks the three ways of reading files that are not ingested.
fn reads(workspace: &Workspace, engine: &dyn Engine, files: &[DataFile]) {
    let table = engine.read(files, Reading::LENIENT).unwrap();
    assert_eq!(table.malformed(), 1);
    let mut visited = 0;
    table.each(&mut |_, _| visited += 1).unwrap();
    assert_eq!(visited, rows().len() + 2, "repeated rows are kept");
    let error = format!("{:#}", engine.read(files, Reading::WHOLE).err().unwrap());
    assert!(error.contains("b.CSV") && error.contains("lastmonth_activity is not a number"), "{error}");
    workspace.write("unlabelled.csv", &format!("{}\nx,1,2,3\n", COLUMNS[..4].join(",")));
    let unlabelled = [DataFile::at(&workspace.path("unlabelled.csv")).unwrap()];
    let error = format!("{:#}", engine.read(&unlabelled, Reading::WHOLE).err().unwrap());
    assert!(error.contains("unlabelled.csv") && error.contains("exited is missing"), "{error}");
    let table = engine.read(&unlabelled, Reading::TO_PREDICT).unwrap();
    let row = ClientRow { predictors: [Some(1.0), Some(2.0), Some(3.0)], exited: None };
    assert_eq!(table.rows_of("x").unwrap(), [row]);
}

/// Checks the file of predictions.
fn predicts(workspace: &Workspace, clients: &dyn Clients) {
    let path = workspace.path("predictions.csv");
    assert_eq!(clients.write_predictions(&model(), Threshold::new(0.5).unwrap(), &path).unwrap(), rows().len() as u64);
    let mut predictions = read_csv(&path);
    let mut expected: Vec<Vec<String>> = rows()
        .iter()
        .map(|row| {
            let probability = model().probability(&row.predictors);
            let exited = row.exited.map_or_else(String::new, |exited| u8::from(exited).to_string());
            let predicted = u8::from(probability >= 0.5).to_string();
            vec![row.name.to_owned(), exited, format!("{probability:.12}"), predicted]
        })
        .collect();
    predictions.sort();
    expected.sort();
    assert_eq!(predictions, expected);
}

/// Reads name, target, probability (12 decimals) and prediction of a CSV file, or of all CSV files in a folder.
fn read_csv(path: &PathBuf) -> Vec<Vec<String>> {
    let parts: Vec<PathBuf> = match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect(),
        false => vec![path.clone()],
    };
    let parts = parts.into_iter().filter(|part| part.extension().is_some_and(|extension| extension == "csv"));
    parts
        .flat_map(|part| {
            let mut reader = csv::Reader::from_path(part).unwrap();
            let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
            assert_eq!(columns, [&COLUMNS[..], &["probability", "prediction"]].concat());
            reader.records().map(Result::unwrap).collect::<Vec<_>>()
        })
        .map(|row| {
            let probability: f64 = row[5].parse().unwrap();
            vec![row[0].to_owned(), row[4].to_owned(), format!("{probability:.12}"), row[6].to_owned()]
        })
        .collect()
}
