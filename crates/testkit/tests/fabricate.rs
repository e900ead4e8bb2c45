//! Tests that the shipped tables are exactly what their generator writes, that is, they have not been edited manually.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{binary, project};

/// Returns the tables of a folder, sorted.
fn tables(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_generator_makes_the_shipped_tables_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    // Examples are built before tests run.
    let status = Command::new(binary("examples/fabricate")).arg(folder.path()).status().unwrap();
    assert!(status.success());
    for name in ["practicedata", "sourcedata", "testdata"] {
        let [made, shipped] = [folder.path(), &project()].map(|root| tables(&root.join(name)));
        let names =
            |paths: &[PathBuf]| paths.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(&made), names(&shipped));
        for (made, shipped) in made.iter().zip(&shipped) {
            assert!(
                fs::read(made).unwrap() == fs::read(shipped).unwrap(),
                "{} is not as it is made",
                shipped.display()
            );
        }
    }
}

#[test]
fn wrong_usage_of_the_generator_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["--rows", "10"][..], &["--rows", "ten", "--files", "1", "."], &["--rows", "10", "--files", "0", "."]]
    {
        let output = Command::new(binary("examples/fabricate")).args(arguments).current_dir(&folder).output().unwrap();
        assert!(!output.status.success() && !output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
