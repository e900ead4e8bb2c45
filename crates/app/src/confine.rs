//! Restricts which files a client may name: CSV files inside the configured data folders.
//!
//! A process that can write to a data folder could replace a file or a folder by a symbolic link between two system
//! calls. Therefore the path is resolved first and then opened from the data folder down, folder by folder, without
//! following any link. The opened file is inside the data folder by construction, and only this open file is read.

use std::fs::{self, File};
use std::path::{Component, Path};

use common::config::Config;
use common::files::has_csv_suffix;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::problem::{OrNotReady, Problem};

/// The number of attempts to open a path that changes meanwhile, as that of the compiled dataset does when it is
/// replaced.
const ATTEMPTS: usize = 5;

/// Opens the file that a client's `filepath` names, relative to the config file's folder.
///
/// All refusals have the same text, so that they do not reveal which other files exist.
pub fn open(config: &Config, filepath: &str) -> Result<File, Problem> {
    let opened = (0..ATTEMPTS).find_map(|_| allowed(config, filepath)).ok_or_else(|| {
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
    })?;
    opened.or_not_ready("the service is not allowed to read this file")
}

/// The opened file or the error of the system; `None` if clients may not read this path.
fn allowed(config: &Config, filepath: &str) -> Option<Result<File, Errno>> {
    let path = fs::canonicalize(config.folder.join(filepath)).ok()?;
    let folders = [&config.input_folder, &config.output_folder, &config.test_data];
    let (folder, inside) = folders.into_iter().find_map(|folder| {
        let folder = fs::canonicalize(folder).ok()?;
        let inside = path.strip_prefix(&folder).ok()?.to_owned();
        Some((folder, inside))
    })?;
    has_csv_suffix(&path).then(|| open_beneath(&folder, &inside))?
}

/// Opens the regular file at `inside` below `folder`; `None` if it does not exist or the path contains a symbolic link.
fn open_beneath(folder: &Path, inside: &Path) -> Option<Result<File, Errno>> {
    const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
    let mut parent = openat(CWD, folder, OPEN | OFlags::DIRECTORY, Mode::empty()).ok()?;
    for component in inside.parent()?.components() {
        let Component::Normal(name) = component else { return None };
        parent = openat(&parent, name, OPEN | OFlags::DIRECTORY, Mode::empty()).ok()?;
    }
    // Without `NONBLOCK`, opening a pipe would block until a writer opens it.
    match openat(&parent, inside.file_name()?, OPEN | OFlags::NONBLOCK, Mode::empty()).map(File::from) {
        Ok(file) => file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(Ok(file)),
        Err(denied @ Errno::ACCESS) => Some(Err(denied)),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
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
            assert!(open(&config, allowed).is_ok(), "{allowed}");
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
            let problem = open(&config, refused).unwrap_err().to_string();
            assert_eq!(problem, open(&config, "no such file").unwrap_err().to_string(), "{refused:?}");
            assert!(!problem.contains(workspace.path("").to_str().unwrap()), "{problem}");
        }
    }

    #[test]
    fn a_path_that_changes_while_it_is_opened_leads_nowhere_else() {
        const ATTEMPTS: usize = 3000;
        let workspace = Workspace::with_data();
        workspace.csv("secrets/clients.csv", "topsecret,1,2,3,0\n");
        workspace.csv("testdata/good/clients.csv", "good,1,2,3,0\n");
        let pipe = workspace.path("testdata/pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // A file is exchanged for a link and for a pipe, and a folder is exchanged for a link.
        let exchange = |name: &str, targets: &[PathBuf]| {
            for target in targets {
                let new = workspace.path(format!("testdata/.{name}"));
                symlink(target, &new).unwrap();
                fs::rename(new, workspace.path(format!("testdata/{name}"))).unwrap();
            }
        };
        let good = [workspace.path("testdata/good/clients.csv"), workspace.path("testdata/good")];
        exchange("file.csv", &good[..1]);
        exchange("folder", &good[1..]);
        let config = workspace.config();
        let done = AtomicBool::new(false);
        let opened = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    exchange("file.csv", &[workspace.path("secrets/clients.csv"), pipe.clone(), good[0].clone()]);
                    exchange("folder", &[workspace.path("secrets"), good[1].clone()]);
                    // The same without a link in the resolved path: the folder itself is moved away.
                    fs::rename(&good[1], workspace.path("testdata/moved")).unwrap();
                    symlink(workspace.path("secrets"), &good[1]).unwrap();
                    fs::remove_file(&good[1]).unwrap();
                    fs::rename(workspace.path("testdata/moved"), &good[1]).unwrap();
                }
            });
            let mut opened = 0;
            for path in ["testdata/file.csv", "testdata/folder/clients.csv", "testdata/good/clients.csv"] {
                for _ in 0..ATTEMPTS {
                    let Ok(mut file) = open(&config, path) else { continue };
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    assert!(text.contains("good"), "{path} led to {text:?}");
                    opened += 1;
                }
            }
            done.store(true, Ordering::Relaxed);
            opened
        });
        assert!(opened > 0);
    }

    #[test]
    fn a_pipe_is_refused_at_once() {
        let workspace = Workspace::with_data();
        let pipe = workspace.path("testdata/pipe.csv");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(open(&workspace.config(), "testdata/pipe.csv").is_err());
        let parent = fs::canonicalize(workspace.path("testdata")).unwrap();
        assert!(open_beneath(&parent, Path::new("pipe.csv")).is_none());
    }
}
