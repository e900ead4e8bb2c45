//! Rows, models and tables that are refused, for the same reasons by every engine.

use std::fs;

use common::config::{Threshold, schema_of_json};
use common::files::DataFile;
use common::files::ingested::IngestedFile;
use common::schema::Schema;
use dataset::local::Local;
use dataset::{Clients, Engine, Ids, open_for};
use testkit::Workspace;

use crate::expected::{Fixture, ODD_COLUMNS};
use crate::tables::{header, line};

/// Fields of each kind of column that are malformed, missing or spelled in an unusual way.
const FIELDS: [&str; 44] = [
    "",
    " ",
    "\t",
    "\u{c}",
    "f",
    "NA",
    " NA ",
    "nan",
    "NAN",
    "+nan",
    "<NA>",
    "x",
    "1d",
    "1f",
    "2D",
    "3.F",
    "0x10",
    "0x1p3",
    "1e",
    ".",
    "5.",
    ".5",
    "+5",
    "-0",
    "-1",
    "-1.0",
    "-2.5",
    "1e3",
    "1E-3",
    "1e999",
    "-1e999",
    "inf",
    "-Infinity",
    "INFINITY",
    "9007199254740993",
    "9007199254740992",
    "1_000",
    "1,5",
    "Yes",
    "No",
    "1.0",
    " 0 ",
    "Yes, left",
    "a\u{7}b",
];

/// Checks that an engine compiles a file of unusual rows as this process does.
pub fn rows(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine) {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let plain: Vec<String> = {
        let text = line(fixture, &fixture.rows[0], false);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect()
    };
    let mut lines = vec![
        "too,few\n".to_owned(),
        format!("{},one more\n", line(fixture, &fixture.rows[0], false).trim_end()),
        "  \n".to_owned(),
        header(fixture, false),
    ];
    let texts = ["a\u{85}b".to_owned(), "x".repeat(1000), "x".repeat(1001), "ü".repeat(501), "say \"no\"".to_owned()];
    for column in 0..plain.len() {
        for (i, field) in FIELDS.iter().copied().chain(texts.iter().map(String::as_str)).enumerate() {
            let mut fields: Vec<String> = plain.iter().map(|field| quoted(field)).collect();
            let bare = i % 2 == 0 && !field.contains([',', '"']) && !field.contains(char::is_control);
            fields[column] = if bare { field.to_owned() } else { quoted(field) };
            lines.push(fields.join(",") + "\n");
        }
    }
    // Malformed rows must be few.
    let filler: String = (0..8000)
        .map(|i| {
            let mut fields: Vec<String> = plain.iter().map(|field| quoted(field)).collect();
            fields[0] = format!("filler{i}");
            fields.join(",") + "\n"
        })
        .collect();
    let text = [header(fixture, false), lines.concat(), filler].concat();
    workspace.write("unusual.csv", &text);
    let files = [DataFile::at(&workspace.path("unusual.csv")).unwrap()];
    let compile = |engine: &dyn Engine, stage: &str| {
        let stage = workspace.path(stage);
        fs::create_dir_all(&stage).unwrap();
        let ingested = engine.compile(&files, &workspace.config().output_folder, &stage).unwrap();
        let quarantine = fs::read_to_string(stage.join("quarantine.csv")).unwrap();
        (ingested, quarantine)
    };
    let (here, expected) = compile(&Local::new(&fixture.schema), "stage/here");
    let (there, found) = compile(engine, "stage/there");
    let differing = |a: &str, b: &str| -> Vec<String> {
        a.lines().filter(|line| !b.lines().any(|other| other == *line)).map(str::to_owned).collect()
    };
    assert_eq!(differing(&expected, &found), differing(&found, &expected));
    assert!(expected.lines().count() > 100, "{expected}");
    assert_eq!((here.rows, here.missing), (there.rows, there.missing));
    let counts = |files: &[IngestedFile]| -> Vec<_> {
        files.iter().map(|file| (file.rows, file.duplicates, file.quarantined, file.missing.clone())).collect()
    };
    assert_eq!(counts(&here.files), counts(&there.files));
}

/// Checks that a model or a compiled dataset of other columns is refused with the difference.
pub fn other_columns(fixture: &Fixture, workspace: &Workspace, clients: &dyn Clients) {
    let other = match fixture.columns {
        None => Fixture::odd_columns(),
        Some(_) => Fixture::default_columns(),
    };
    let model = other.model();
    let difference = model.schema.difference(&fixture.schema).unwrap();
    let threshold = Threshold::new(0.5).unwrap();
    for refused in [
        clients.score(&model, threshold).map(drop),
        clients.newest(&model, 1).map(drop),
        clients.write_predictions(&model, threshold, &workspace.path("other.csv")).map(drop),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(&difference), "{error}");
    }
    assert!(!workspace.path("other.csv").exists());
    // The order of predictors and the labels matter too, although the names are the same.
    let swapped = match fixture.columns {
        Some(_) => ODD_COLUMNS.replace("\"Yes, left\", \"negative\": \"No\"", "\"No\", \"negative\": \"Yes, left\""),
        None => return,
    };
    let config = workspace.config();
    let compiled =
        |schema: &Schema| open_for(&config, schema).unwrap().compiled(&config.output_folder, Ids::Read).err().unwrap();
    let error = format!("{:#}", compiled(&other.schema));
    assert!(error.contains("a.b") || error.contains("corporation"), "{error}");
    if crate::tables::location(workspace).is_some() {
        let error = format!("{:#}", compiled(&schema_of_json(&swapped).unwrap()));
        assert!(error.contains("labels") && error.contains("run ingestion again"), "{error}");
    }
}
