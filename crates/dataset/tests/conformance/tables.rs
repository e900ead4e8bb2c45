//! What engines and tables are asked, except for training.

use std::fs;
use std::path::PathBuf;

use common::config::Threshold;
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::values::{ColumnDistribution, ValueRef, write_csv_text};
use dataset::{ClientRow, Clients, Engine, Reading};
use serde_json::Value as Json;
use testkit::Workspace;

use crate::expected::{FIRST_FILE, Fixture, Row, close, mean, median, mode, standard_deviation};

/// Returns a row as a line, in the order of the schema or, with a column that is ignored, in the reverse order.
pub fn line(fixture: &Fixture, row: &Row, reverse: bool) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let value = |value: Option<ValueRef>| match value {
        None => "NA".to_owned(),
        Some(ValueRef::Number(number)) => number.to_string(),
        Some(ValueRef::Level(level)) => quoted(level),
    };
    let predictors = common::values::borrowed(&row.predictors).map(value);
    let target = row.exited.map_or_else(String::new, |exited| quoted(fixture.schema.target().label(exited)));
    let mut fields: Vec<String> = [quoted(&row.id)].into_iter().chain(predictors).chain([target]).collect();
    if reverse {
        fields.reverse();
        if fixture.columns.is_some() {
            fields.insert(2, "\"ignored, too\"".to_owned());
        }
    }
    fields.join(",") + "\n"
}

/// Returns the header that belongs to [`line`].
pub fn header(fixture: &Fixture, reverse: bool) -> String {
    let mut names: Vec<&str> = fixture.schema.columns().collect();
    if reverse {
        names.reverse();
        if fixture.columns.is_some() {
            names.insert(2, "skip me, please");
        }
    }
    let mut header = Vec::new();
    for (i, name) in names.into_iter().enumerate() {
        if i > 0 {
            header.push(b',');
        }
        write_csv_text(&mut header, name);
    }
    String::from_utf8(header).unwrap() + "\n"
}

/// A row whose first number is not one, in the reverse order.
fn malformed(fixture: &Fixture) -> String {
    line(fixture, fixture.rows.last().unwrap(), true)
        .replace(&fixture.rows.last().unwrap().predictors[0].as_ref().unwrap().number().unwrap().to_string(), "x")
}

/// Creates the input files. Together they have the rows of the fixture, two duplicates and one malformed row.
pub fn workspace(fixture: &Fixture) -> Workspace {
    let mut workspace = Workspace::new();
    if let Some(columns) = fixture.columns {
        workspace.set("columns", serde_json::from_str(columns).unwrap());
    }
    let lines = |rows: &[Row], reverse| -> String { rows.iter().map(|row| line(fixture, row, reverse)).collect() };
    let (first, second) = fixture.rows.split_at(FIRST_FILE);
    let (first, again) = (lines(first, false), lines(&second[..1], true));
    let text = [header(fixture, false).as_str(), &first, first.lines().next().unwrap(), "\n"].concat();
    workspace.write("practicedata/a.csv", &text);
    let text = [header(fixture, true), lines(second, true), malformed(fixture), again].concat();
    workspace.write("practicedata/b.CSV", &format!("\u{feff}{}", text.trim_end().replace('\n', "\r\n")));
    let hidden = [header(fixture, false).as_str(), &first].concat();
    workspace.write("practicedata/.hidden.csv", &hidden);
    workspace.write("practicedata/folder/inner.csv", &hidden);
    workspace.write("practicedata/notes.txt", "not a table");
    let label = [header(fixture, false), line(fixture, &fixture.rows[0], false)].concat();
    let stayed = fixture.schema.target().negative.as_str();
    workspace.write("practicedata/folder/other/bad.csv", &label.replace(&format!("\"{stayed}\""), "7"));
    fs::create_dir_all(workspace.path("ingesteddata")).unwrap();
    fs::create_dir_all(workspace.path("empty")).unwrap();
    workspace
}

/// Checks the list of files and their checksums.
pub fn files(workspace: &Workspace, engine: &dyn Engine) -> Vec<DataFile> {
    let files = engine.files(&workspace.config().input_folder).unwrap();
    assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a.csv", "b.CSV"]);
    let error = format!("{:#}", engine.files(&workspace.path("empty")).unwrap_err());
    assert!(error.contains("no CSV file"), "{error}");
    let checksums: Vec<Checksum> = ["a.csv", "b.CSV"]
        .map(|name| Checksum::of_bytes(&workspace.read(format!("practicedata/{name}").as_str())))
        .into();
    assert_eq!(engine.checksums(&files).unwrap(), checksums);
    files
}

/// Checks what ingestion records, and the dataset as CSV.
pub fn compiles(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine, files: &[DataFile]) {
    let output = workspace.config().output_folder;
    let ingested = engine.compile(files, &output, &output).unwrap();
    fs::write(output.join("ingestion.json"), serde_json::to_vec(&ingested).unwrap()).unwrap();
    let checksums = engine.checksums(files).unwrap();
    assert_eq!(ingested.files.iter().map(|file| file.sha256.clone()).collect::<Vec<_>>(), checksums);
    let rows = fixture.rows.len() as u64;
    assert_eq!(ingested.rows, rows);
    let counts: Vec<[u64; 3]> =
        ingested.files.iter().map(|file| [file.rows, file.duplicates, file.quarantined]).collect();
    assert_eq!(counts, [[FIRST_FILE as u64 + 1, 1, 0], [rows + 1 - FIRST_FILE as u64, 1, 1]]);
    assert_eq!(ingested.missing, fixture.schema.by_column(&fixture.missing()));
    assert_eq!(
        (ingested.contradictory_corporations, &ingested.contradictory_examples[..]),
        (1, &["bold".to_owned()][..])
    );
    let quarantine = fs::read_to_string(output.join("quarantine.csv")).unwrap();
    let mut line = format!("b.CSV,{},", fixture.rows.len() - FIRST_FILE + 2).into_bytes();
    write_csv_text(&mut line, &format!("{} is not a number", fixture.schema.predictors()[0].name));
    line.push(b',');
    write_csv_text(&mut line, malformed(fixture).trim_end());
    assert_eq!(quarantine, format!("file,line,reason,row\n{}\n", String::from_utf8(line).unwrap()));
    let lonely = DataFile::at(&workspace.path("practicedata/folder/other/bad.csv")).unwrap();
    let error = format!("{:#}", engine.compile(&[lonely], &output, &workspace.path("empty")).unwrap_err());
    let target = fixture.schema.target();
    let reason = format!("line 2: {} is not {}, {} or missing", target.name, target.negative, target.positive);
    assert!(error.contains("bad.csv") && error.contains(&reason), "{error}");

    let csv = match &ingested.location {
        Some(location) => PathBuf::from(format!("{}.csv", location.strip_prefix("file://").unwrap())),
        None => output.join("finaldata.csv"),
    };
    let (header, mut found) = read_csv(&csv);
    assert_eq!(header, fixture.schema.columns().collect::<Vec<_>>());
    let mut expected: Vec<Vec<String>> = fixture.rows.iter().map(|row| fields(fixture, row)).collect();
    for rows in [&mut found, &mut expected] {
        rows.sort();
    }
    assert_eq!(found, expected);
}

/// Returns a row as the fields of a file that this program writes, with numbers in one spelling.
fn fields(fixture: &Fixture, row: &Row) -> Vec<String> {
    let value = |value: Option<ValueRef>| match value {
        None => String::new(),
        Some(ValueRef::Number(number)) => number.to_string(),
        Some(ValueRef::Level(level)) => level.to_owned(),
    };
    let predictors = common::values::borrowed(&row.predictors).map(value);
    let target = row.exited.map_or_else(String::new, |exited| fixture.schema.target().label(exited).to_owned());
    [row.id.clone()].into_iter().chain(predictors).chain([target]).collect()
}

/// Checks the statistics against the definitions of pandas.
pub fn describes(fixture: &Fixture, clients: &dyn Clients) {
    let description = clients.describe().unwrap();
    let predictors = fixture.schema.predictors();
    let numbers = (0..predictors.len()).filter(|j| !predictors[*j].is_category());
    let mut expected: Vec<(&str, Vec<f64>)> =
        numbers.map(|j| (predictors[j].name.as_str(), fixture.numbers(j))).collect();
    expected.push((&fixture.schema.target().name, fixture.targets()));
    assert_eq!(description.summary.len(), expected.len());
    for (column, (name, values)) in description.summary.iter().zip(expected) {
        assert_eq!(column.column, name);
        close(column.mean.unwrap(), mean(&values));
        assert_eq!(column.median, Some(median(&values)), "{name}");
        close(column.std.unwrap() / standard_deviation(&values), 1.0);
        assert_eq!(column.mode, Some(mode(&values)), "{name}");
    }
    let categories: Vec<usize> = (0..predictors.len()).filter(|j| predictors[*j].is_category()).collect();
    assert_eq!(description.categories.len(), categories.len());
    for (column, j) in description.categories.iter().zip(categories) {
        let levels = fixture.levels(j);
        let known: u64 = levels.values().sum();
        assert_eq!(column.column, predictors[j].name);
        let found: Vec<(&str, u64)> = column.levels.iter().map(|level| (level.level.as_str(), level.count)).collect();
        assert_eq!(found, levels.iter().map(|(level, count)| (level.as_str(), *count)).collect::<Vec<_>>());
        column.levels.iter().for_each(|level| close(level.share, level.count as f64 / known as f64));
        let most = levels.values().max().unwrap();
        assert_eq!(column.mode.as_ref(), levels.iter().find(|(_, count)| *count == most).map(|(level, _)| level));
    }
    let missing = fixture.missing();
    for ((column, name), missing) in description.missing.iter().zip(fixture.schema.columns()).zip(&missing) {
        assert_eq!(column.column, name);
        close(column.percent, 100.0 * *missing as f64 / fixture.rows.len() as f64);
    }
    let distributions = clients.distributions().unwrap();
    assert_eq!(distributions.len(), predictors.len());
    for (j, distribution) in distributions.iter().enumerate() {
        match distribution {
            ColumnDistribution::Numbers(distribution) => {
                assert_eq!(distribution.missing, missing[j + 1]);
                assert_eq!(distribution.median(), Some(median(&fixture.numbers(j))));
            }
            ColumnDistribution::Levels(counts) => {
                assert_eq!((counts.missing, &counts.counts), (missing[j + 1], &fixture.levels(j)));
            }
        }
    }
}

/// Checks the confusion counts at several thresholds, one of which equals a probability.
pub fn scores(fixture: &Fixture, clients: &dyn Clients) {
    let model = fixture.model();
    let borrowed =
        |row: &Row| common::values::borrowed(&row.predictors).map(|v| v.map(ValueRef::to_owned)).collect::<Vec<_>>();
    let probability = |row: &Row| model.probability(&borrowed(row));
    let mut thresholds = vec![0.1, 0.5, 0.9];
    if fixture.columns.is_none() {
        thresholds.push(probability(&fixture.rows[0])); // other sums may differ in their last bit
    }
    for threshold in thresholds {
        let counts = clients.score(&model, Threshold::new(threshold).unwrap()).unwrap();
        let labelled = || fixture.rows.iter().filter(|row| row.exited.is_some());
        let count = |left: bool, warned: bool| {
            labelled().filter(|row| row.exited == Some(left) && (probability(row) >= threshold) == warned).count()
                as u64
        };
        let confusion = counts.confusion;
        assert_eq!([confusion.true_positives, confusion.false_negatives], [count(true, true), count(true, false)]);
        assert_eq!([confusion.false_positives, confusion.true_negatives], [count(false, true), count(false, false)]);
        assert_eq!(counts.unlabelled, (fixture.rows.len() - labelled().count()) as u64);
        assert_eq!(counts.imputed, labelled().filter(|row| row.predictors.contains(&None)).count() as u64);
        let unseen = |row: &&Row| model.has_unseen_level(common::values::borrowed(&row.predictors));
        assert_eq!(counts.unseen, labelled().filter(unseen).count() as u64);
        assert_eq!(counts.unseen > 0, fixture.columns.is_some());
    }
}

/// Checks the current clients, the rows of one client, the search, and that every row is visited.
pub fn finds_clients(fixture: &Fixture, clients: &dyn Clients) {
    let model = fixture.model();
    let newest = clients.newest(&model, 1000).unwrap();
    let mut ids: Vec<&str> = newest.clients.iter().map(|client| client.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, fixture.current());
    assert_eq!((newest.total, newest.without_name), (ids.len() as u64, 1));
    for client in &newest.clients {
        let rows = fixture.rows_of(&client.id);
        let (last, earlier) = rows.split_last().unwrap();
        assert_eq!(client.predictors, last.predictors, "{}", client.id);
        assert_eq!(client.previous, earlier.last().map(|row| row.predictors.clone()), "{}", client.id);
    }
    close(newest.risk, newest.clients.iter().map(|client| model.probability(&client.predictors)).sum());
    let riskiest = |clients: &[dataset::Client]| {
        clients.iter().map(|client| model.probability(&client.predictors)).fold(f64::MIN, f64::max)
    };
    assert_eq!(riskiest(&clients.newest(&model, 1).unwrap().clients), riskiest(&newest.clients));

    for id in ["acme", "o'neil, \"ltd\"", "nobody", "o'neil", "%", "a_me"] {
        let expected: Vec<ClientRow> = fixture.rows_of(id).into_iter().map(Row::client_row).collect();
        assert_eq!(clients.rows_of(id).unwrap(), expected, "{id}");
        let positions = (0..fixture.rows.len() as u64).filter(|row| fixture.rows[*row as usize].id == id);
        let found = clients.positions_of(id).unwrap();
        assert!(found.is_none_or(|found| found == positions.collect::<Vec<_>>()), "{id}");
    }
    let found = |part: &str, most: usize| clients.search(part, most).unwrap();
    assert_eq!(found("CÔT", 9), (vec!["côté".to_owned()], 1));
    assert_eq!(found("L", 2), (vec!["bold".to_owned(), "delta".to_owned()], 3));
    assert_eq!(found("'", 9).1, 1);
    assert_eq!((found("%", 9), found("_", 9)), ((vec![], 0), (vec![], 0)));

    let known = |ids: &[&str]| {
        let mut known: Vec<_> = clients.known(&ids.iter().copied().collect()).unwrap().into_iter().collect();
        known.sort_unstable();
        known
    };
    assert_eq!(known(&["acme", "nobody", "o'neil, \"ltd\"", "o'neil", "Acme", "%", ""]), ["acme", "o'neil, \"ltd\""]);
    assert_eq!(known(&[]), Vec::<String>::new());
    let many: Vec<String> = (0..12_000).map(|number| format!("nobody {number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["bold"]).collect();
    assert_eq!(known(&many), ["bold"]);

    let mut visited = Vec::new();
    let mut visit = |id: Option<&str>, predictors: &[Option<ValueRef>], exited: Option<bool>| {
        let predictors = predictors.iter().map(|value| value.map(ValueRef::to_owned)).collect();
        visited.push((id.unwrap_or_default().to_owned(), ClientRow { predictors, exited }));
    };
    clients.each(&mut visit).unwrap();
    let mut expected: Vec<(String, ClientRow)> =
        fixture.rows.iter().map(|row| (row.id.clone(), row.client_row())).collect();
    for rows in [&mut visited, &mut expected] {
        rows.sort_by_key(|row| format!("{row:?}"));
    }
    assert_eq!(visited, expected);
}

/// Checks the three ways of reading files that are not ingested.
pub fn reads(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine, files: &[DataFile]) {
    let table = engine.read(files, Reading::LENIENT).unwrap();
    assert_eq!(table.malformed(), 1);
    let mut visited = 0;
    table.each(&mut |_, _, _| visited += 1).unwrap();
    assert_eq!(visited, fixture.rows.len() + 2, "repeated rows are kept");
    describes_all(fixture, &*table);
    let error = format!("{:#}", engine.read(files, Reading::WHOLE).err().unwrap());
    let reason = format!("{} is not a number", fixture.schema.predictors()[0].name);
    assert!(error.contains("b.CSV") && error.contains(&reason), "{error}");
    // Without the target, the first column in the reverse order.
    let without = |line: String| line.split_once(',').unwrap().1.to_owned();
    let row = Row { exited: None, ..copy(&fixture.rows[0]) };
    let text = [without(header(fixture, true)), without(line(fixture, &row, true))].concat();
    workspace.write("unlabelled.csv", &text);
    let unlabelled = [DataFile::at(&workspace.path("unlabelled.csv")).unwrap()];
    let error = format!("{:#}", engine.read(&unlabelled, Reading::WHOLE).err().unwrap());
    let reason = format!("{} is missing", fixture.schema.target().name);
    assert!(error.contains("unlabelled.csv") && error.contains(&reason), "{error}");
    let table = engine.read(&unlabelled, Reading::TO_PREDICT).unwrap();
    assert_eq!(table.rows_of(&row.id).unwrap(), [row.client_row()]);
}

/// Checks that unlabelled rows take the newest label of their client in a later file, and only with this option.
pub fn later_labels(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine) {
    let clients = |labels: &[(&str, Option<bool>)]| -> String {
        let row = |(id, exited): &(&str, Option<bool>)| {
            line(fixture, &Row { id: (*id).to_owned(), exited: *exited, ..copy(&fixture.rows[0]) }, false)
        };
        labels.iter().map(row).collect()
    };
    let quote = "o'neil, \"ltd\"";
    let files = [
        clients(&[("kept", Some(true)), (quote, None), ("both", None), ("never", None), ("first", None)]),
        // The first file's own clients, one of which has a newer label, and one that has none.
        clients(&[("first", Some(true)), ("kept", Some(false)), ("again", None), ("never", None)]),
        clients(&[(quote, Some(true)), ("both", Some(false)), ("both", Some(true)), ("first", Some(false))]),
    ];
    let files: Vec<DataFile> = (0..)
        .zip(files)
        .map(|(index, rows)| {
            let name = format!("labels/{index}.csv");
            workspace.write(&name, &(header(fixture, false) + &rows));
            DataFile::at(&workspace.path(&name)).unwrap()
        })
        .collect();
    let counts = |reading: Reading| {
        let table = engine.read(&files, reading.without_ids()).unwrap();
        let counts = table.score(&fixture.model(), Threshold::new(0.5).unwrap()).unwrap();
        (counts.confusion.positives(), counts.confusion.n(), counts.unlabelled)
    };
    assert_eq!(counts(Reading::LENIENT), (4, 7, 6));
    // One client of the first file has left and one that both labels are known of, one has stayed; three stay unlabelled.
    assert_eq!(counts(Reading::LENIENT.with_later_labels()), (6, 10, 3));
}

/// Checks statistics of files with two repeated rows, which are the first of each file.
fn describes_all(fixture: &Fixture, table: &dyn Clients) {
    let repeated = [0, FIRST_FILE].map(|i| &fixture.rows[i]);
    for (j, distribution) in table.distributions().unwrap().iter().enumerate() {
        match distribution {
            ColumnDistribution::Numbers(distribution) => {
                let again = repeated.iter().filter(|row| row.predictors[j].is_some()).count();
                assert_eq!(distribution.n() as usize, fixture.numbers(j).len() + again);
            }
            ColumnDistribution::Levels(counts) => {
                let all = fixture.rows.iter().chain(repeated);
                assert_eq!(counts.counts, crate::expected::levels(all, j));
            }
        }
    }
}

fn copy(row: &Row) -> Row {
    Row { id: row.id.clone(), predictors: row.predictors.clone(), exited: row.exited }
}

/// Checks the file of predictions.
pub fn predicts(fixture: &Fixture, workspace: &Workspace, clients: &dyn Clients) {
    let (path, model) = (workspace.path("predictions.csv"), fixture.model());
    let written = clients.write_predictions(&model, Threshold::new(0.5).unwrap(), &path).unwrap();
    assert_eq!(written, fixture.rows.len() as u64);
    let (header, mut predictions) = read_csv(&path);
    assert_eq!(header, fixture.schema.columns().chain(["probability", "prediction"]).collect::<Vec<_>>());
    let mut expected: Vec<Vec<String>> = fixture
        .rows
        .iter()
        .map(|row| {
            let probability = model.probability(&row.predictors);
            let predicted = u8::from(probability >= 0.5).to_string();
            let mut fields = fields(fixture, row);
            fields.extend([format!("{probability:.12}"), predicted]);
            fields
        })
        .collect();
    for fields in &mut predictions {
        let k = fields.len() - 2;
        fields[k] = format!("{:.12}", fields[k].parse::<f64>().unwrap());
    }
    predictions.sort();
    expected.sort();
    assert_eq!(predictions, expected);
    // Parquet has no rows that this test can read, but its writer must accept the names.
    if clients.write_predictions(&model, Threshold::new(0.5).unwrap(), &workspace.path("predictions")).is_err() {
        panic!("names of columns were refused");
    }
}

/// Reads the header and the rows of a CSV file, or of all CSV files in a folder; numbers in one spelling.
fn read_csv(path: &PathBuf) -> (Vec<String>, Vec<Vec<String>>) {
    let parts: Vec<PathBuf> = match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect(),
        false => vec![path.clone()],
    };
    let mut header = Vec::new();
    let mut rows = Vec::new();
    for part in parts.into_iter().filter(|part| part.extension().is_some_and(|extension| extension == "csv")) {
        let mut reader = csv::Reader::from_path(part).unwrap();
        header = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let number = |field: &str| field.parse::<f64>().map_or(field.to_owned(), |number| number.to_string());
        rows.extend(reader.records().map(|record| record.unwrap().iter().map(number).collect::<Vec<_>>()));
    }
    (header, rows)
}

/// Returns the location of the compiled dataset, if it is on a cluster.
pub fn location(workspace: &Workspace) -> Option<String> {
    let record: Json = serde_json::from_str(&workspace.text("ingesteddata/ingestion.json")).unwrap();
    record["location"].as_str().map(str::to_owned)
}
