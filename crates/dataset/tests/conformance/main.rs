//! The conformance suite of the traits `Engine`, `Clients` and `TrainingRows`: the same expectations hold for every
//! implementation, for the default columns and for others. Where implementations may differ, the trait's documentation
//! says so and the suite accepts both.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

mod expected;
mod odd;
mod refused;
mod tables;
mod trains;

use dataset::Ids;
use testkit::Workspace;

use crate::expected::Fixture;

#[test]
fn local_conforms() {
    for fixture in [Fixture::default_columns(), Fixture::odd_columns()] {
        let workspace = tables::workspace(&fixture);
        conforms(&fixture, &workspace);
    }
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
    for fixture in [Fixture::default_columns(), Fixture::odd_columns()] {
        let mut workspace = tables::workspace(&fixture);
        workspace.set("engine", serde_json::json!(server.url()));
        workspace.set("dataset_csv", serde_json::json!(true));
        conforms(&fixture, &workspace);
    }
}

#[cfg(not(feature = "cluster"))]
#[test]
fn an_engine_needs_a_program_built_with_the_feature() {
    let mut workspace = Workspace::new();
    workspace.set("engine", serde_json::json!("sc://host:15002/;token=geheim"));
    let error = format!("{:#}", dataset::open(&workspace.config()).err().unwrap());
    assert!(error.contains("--features cluster") && error.contains("\"engine\""), "{error}");
    assert!(error.contains("config.json") && error.contains("sc://host:15002") && !error.contains("geheim"), "{error}");
}

fn conforms(fixture: &Fixture, workspace: &Workspace) {
    let config = workspace.config();
    assert_eq!(config.columns, fixture.schema);
    let engine = dataset::open(&config).unwrap();
    assert_eq!(engine.schema(), &fixture.schema);
    let files = tables::files(workspace, &*engine);
    tables::compiles(fixture, workspace, &*engine, &files);
    let compiled = engine.compiled(&config.output_folder, Ids::Read).unwrap();
    assert_eq!(compiled.malformed(), 0);
    tables::describes(fixture, &*compiled);
    trains::trains(fixture, &*compiled);
    tables::scores(fixture, &*compiled);
    tables::finds_clients(fixture, &*compiled);
    tables::reads(fixture, workspace, &*engine, &files);
    tables::later_labels(fixture, workspace, &*engine);
    tables::predicts(fixture, workspace, &*compiled);
    refused::other_columns(fixture, workspace, &*compiled);
    odd::table(fixture, workspace, &*engine);
    odd::random(fixture, workspace, &*engine);
}
