//! A release that is deployed while old batches are being merged. `history/tests/databases/merge.rs` tests the rest.

use common::files::DataFile;
use history::source::NewBatch;
use testkit::Workspace;

use super::*;

#[test]
fn a_release_that_was_deployed_in_the_meantime_prevents_the_merge() {
    let workspace = Workspace::new();
    let config = workspace.config();
    let releases = Production::of(&config).lock_folder();
    let merge = |releases: &[&str]| {
        workspace.write("ingesteddata/batches/.a.csv.partial", "");
        let [path, final_path] = [".a.csv.partial", "a.csv"].map(|name| ingested::batches(&config).join(name));
        let file = DataFile { name: "a.csv".into(), path, batch: None };
        let batch = NewBatch { file, final_path };
        let releases = releases.iter().map(|id| (*id).to_owned()).collect();
        Merge { files: vec![MergedFile { batch, parts: vec!["b.csv".into()] }], releases }
    };
    for id in ["old", "new"] {
        fs::create_dir_all(releases.join(id)).unwrap();
    }
    let error = merge(&["old"]).publish(&config).err().unwrap().to_string();
    assert!(error.contains("release new was deployed during the ingestion"), "{error}");
    assert!(!workspace.path("ingesteddata/batches/a.csv").exists());
    assert!(!workspace.path("ingesteddata/batches/.merged.json").exists());

    let lock = merge(&["old", "new", "removed"]).publish(&config).unwrap().unwrap();
    assert!(workspace.path("ingesteddata/batches/a.csv").exists());
    assert_eq!(workspace.text("ingesteddata/batches/.merged.json"), r#"["b.csv","a.csv"]"#);
    assert!(Lock::acquire(&releases, "deployment").is_err(), "a deployment could read the old description");
    drop(lock);

    // Both are deleted if ingestion.json names neither, but not without an ingestion.json.
    clean(&config).unwrap();
    assert!(workspace.path("ingesteddata/batches/a.csv").exists());
}
