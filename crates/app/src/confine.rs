//! Which files a client may name: CSV files inside the configured data folders, all links resolved.

use std::fs;
use std::path::PathBuf;

use common::config::Config;
use common::files::has_csv_suffix;

use crate::problem::Problem;

/// The file that a client's `filepath` names, relative to the config file's folder.
///
/// Every refusal is the same, so that nobody learns which other files exist.
pub fn confine(config: &Config, filepath: &str) -> Result<PathBuf, Problem> {
    allowed(config, filepath).ok_or_else(|| {
        let folders = [&config.input_folder, &config.output_folder, &config.test_data];
        let names: Vec<_> = folders
            .into_iter()
            .filter_map(|folder| folder.strip_prefix(&config.folder).ok())
            .map(|folder| folder.display().to_string())
            .collect();
        Problem::NotFound(format!(
            "filepath must name an existing CSV file in one of the data folders ({}), such as testdata/testdata.csv",
            names.join(", ")
        ))
    })
}

fn allowed(config: &Config, filepath: &str) -> Option<PathBuf> {
    let path = fs::canonicalize(config.folder.join(filepath)).ok()?;
    let folders = [&config.input_folder, &config.output_folder, &config.test_data];
    let inside =
        folders.into_iter().any(|folder| fs::canonicalize(folder).is_ok_and(|folder| path.starts_with(folder)));
    (inside && has_csv_suffix(&path) && path.is_file()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use testkit::Workspace;

    #[test]
    fn only_csv_files_inside_the_data_folders_are_allowed() {
        let workspace = Workspace::with_data();
        workspace.csv("secrets/salaries.csv", "");
        workspace.write("testdata/notes.txt", "");
        symlink(workspace.path("secrets/salaries.csv"), workspace.path("testdata/link.csv")).unwrap();
        symlink(workspace.path("secrets"), workspace.path("testdata/folder")).unwrap();
        symlink("testdata.csv", workspace.path("testdata/inner.csv")).unwrap();
        let config = workspace.config();
        let absolute = workspace.path("testdata/testdata.csv").display().to_string();
        for allowed in
            ["testdata/testdata.csv", "./practicedata/../testdata/testdata.csv", "testdata/inner.csv", &absolute]
        {
            assert!(confine(&config, allowed).is_ok(), "{allowed}");
        }
        for refused in [
            "",
            ".",
            "testdata",
            "testdata/none.csv",
            "testdata/notes.txt",
            "testdata/link.csv",
            "testdata/folder/salaries.csv",
            "secrets/salaries.csv",
            "config.json",
            "../../etc/passwd",
            "/etc/passwd",
            "testdata/\0.csv",
            "testdata/testdata.csv/",
            "testdata/testdata.csv/../../config.json",
        ] {
            let problem = confine(&config, refused).unwrap_err().to_string();
            assert_eq!(problem, confine(&config, "no such file").unwrap_err().to_string(), "{refused:?}");
            assert!(!problem.contains(workspace.path("").to_str().unwrap()), "{problem}");
        }
    }
}
