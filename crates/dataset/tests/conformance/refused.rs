//! Models and tables that are refused, for the same reasons by every engine.

use common::config::{Threshold, schema_of_json};
use common::schema::Schema;
use dataset::{Clients, Ids, open_for};
use statistics::calibration::Calibration;
use testkit::Workspace;

use crate::expected::{Fixture, ODD_COLUMNS};

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
        clients.expected_counts(&model, threshold, &Calibration::NONE).map(drop),
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
