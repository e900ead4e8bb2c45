//! Test utilities: a workspace in a temporary folder, with its own config, CSV files and history.

pub mod browser;
pub mod databases;
pub mod engines;
pub mod faults;
pub mod proxy;
pub mod storage;
pub mod tls;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::config::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The header of every client table.
pub const HEADER: &str = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n";

/// A folder with config.json, practicedata/ and testdata/, deleted when dropped.
///
/// Its methods panic if they fail, because a test that cannot build its workspace has failed.
pub struct Workspace {
    folder: TempDir,
    config: Value,
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::unwrap_used, reason = "see the type")]
impl Workspace {
    /// Creates an empty workspace: a config, and the two input folders without files.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "input_folder_path": "practicedata", "output_folder_path": "ingesteddata", "test_data_path": "testdata",
            "output_model_path": "practicemodels", "prod_deployment_path": "production_deployment",
        });
        let workspace = Self { folder, config };
        for name in ["practicedata", "testdata"] {
            fs::create_dir(workspace.path(name)).unwrap();
        }
        workspace.write("config.json", &workspace.config.to_string());
        workspace
    }

    /// Creates a workspace with two practice files of 60 rows and a test file of 8 rows, on which a model can be
    /// trained.
    pub fn with_data() -> Self {
        let workspace = Self::new();
        workspace.csv("practicedata/dataset1.csv", &rows("a", 60, false));
        workspace.csv("practicedata/dataset2.csv", &rows("b", 60, false));
        workspace.csv("testdata/testdata.csv", &rows("t", 8, false));
        workspace
    }

    /// Sets a key of the config.
    pub fn set(&mut self, key: &str, value: Value) {
        self.config[key] = value;
        self.write("config.json", &self.config.to_string());
    }

    /// Returns the path of a file or folder in the workspace.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a client table: the header, followed by `rows`.
    pub fn csv(&self, name: &str, rows: &str) {
        self.write(name, &format!("{HEADER}{rows}"));
    }

    /// Writes a file and creates its folder.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Reads a file as bytes.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a file as text.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Loads and checks the config.
    pub fn config(&self) -> Config {
        Config::load(Some(&self.path("config.json"))).unwrap()
    }

    /// Returns every file and link below some folders with its content, to check that nothing has changed. The file about
    /// the last run is left out, because every real run replaces it.
    pub fn snapshot(&self, folders: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for folder in folders {
            collect(&self.path(folder), &mut found);
        }
        found.retain(|(path, _)| !path.ends_with("lastrun.json"));
        found.sort();
        found
    }

    /// Returns the command of one of the ten binaries with the config of this workspace; its working directory is
    /// another folder.
    pub fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(self::binary(binary));
        command.current_dir("/").arg("--config").arg(self.path("config.json"));
        command
    }

    /// Runs a binary to its end.
    pub fn output(&self, binary: &str, arguments: &[&str]) -> Output {
        self.command(binary).args(arguments).output().unwrap()
    }

    /// Runs a binary that must succeed; returns its stdout.
    pub fn run(&self, binary: &str, arguments: &[&str]) -> String {
        let output = self.output(binary, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{binary} {arguments:?}: {}\n{stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a binary that must succeed, with `--json`; returns its outcome.
    pub fn run_json(&self, binary: &str, arguments: &[&str]) -> Value {
        let text = self.run(binary, &[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{binary}: {error}: {text}"))
    }

    /// Runs a binary that must fail with exit code 1; returns its stderr.
    pub fn fail(&self, binary: &str, arguments: &[&str]) -> String {
        let output = self.output(binary, arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{binary} {arguments:?}: {stderr}");
        stderr
    }

    /// Runs ingestion, training, scoring and deployment through their binaries.
    pub fn deploy(&self) {
        for step in ["ingestion", "training", "scoring", "deployment"] {
            self.run(step, &[]);
        }
    }

    /// Returns a command like [`Workspace::command`], in an environment without cargo, so that no registry is queried.
    pub fn command_without_cargo(&self, binary: &str) -> Command {
        let nowhere = self.path(".nowhere");
        fs::create_dir_all(&nowhere).unwrap();
        let mut command = self.command(binary);
        command.env_clear().env("PATH", &nowhere).env("HOME", &nowhere);
        command
    }

    /// Returns a command like [`Workspace::command`], in which the shell script `cargo` replaces cargo. The command
    /// runs in the folder in which Cargo.lock is expected.
    pub fn command_with_cargo(&self, binary: &str, cargo: &str) -> Command {
        let folder = self.path(".stand-in");
        self.write(".stand-in/cargo", &format!("#!/bin/sh\n{cargo}\n"));
        fs::set_permissions(folder.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = self.command_without_cargo(binary);
        command.env("PATH", std::env::join_paths([&folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap());
        command
    }

    /// Starts the service on a free port and waits until it listens; it has no cargo.
    pub fn serve(&self) -> Server {
        Server::start(&mut self.command_without_cargo("app"))
    }
}

/// A running `app`. It is killed when dropped; if the test itself is killed, it ends because its stdin closes.
pub struct Server {
    /// The process of the app.
    pub child: Child,
    /// The URL on which it listens.
    pub url: String,
}

#[expect(clippy::unwrap_used, reason = "see Workspace")]
impl Server {
    /// Starts `app` on a free port, without a log, and waits until it listens.
    pub fn start(app: &mut Command) -> Self {
        Self::logging(app, "none")
    }

    /// Starts `app` on the address that the command specifies, or on a free port, with a log in `format`, and waits
    /// until it listens.
    pub fn logging(app: &mut Command, format: &str) -> Self {
        if !app.get_args().any(|argument| argument == "--bind") {
            app.args(["--bind", "127.0.0.1:0"]);
        }
        app.args(["--stop-with-stdin", "--json", "--log-format", format]);
        let mut child = app.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("app wrote {line:?}: {error}"));
        Self { child, url: ready["url"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failure here would only hide why the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path of a binary of this workspace, which cargo puts next to the folder of the running test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built; run the tests of the whole workspace, not of one crate", path.display());
    path
}

/// Whether the tests run as root.
fn runs_as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Reports that the running test is skipped and why. The message bypasses cargo's capture of test output.
pub fn skipped(why: &str) {
    let test = std::thread::current();
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {why}", test.name().unwrap_or("a test"));
}

/// Returns the root of the project's checkout.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns `n` rows named `{prefix}0`…: one half are large with little activity and left, the other half stayed.
/// `inverted` swaps the outcomes, so that a model trained on the other rows is wrong about every row.
pub fn rows(prefix: &str, n: usize, inverted: bool) -> String {
    (0..n)
        .map(|i| {
            let leaves = i % 2 == 1;
            let (month, year, employees) = if leaves { (5 + i % 7, 40, 60) } else { (800 - i % 9, 4000, 3) };
            format!("{prefix}{i},{month},{year},{employees},{}\n", u8::from(leaves != inverted))
        })
        .collect()
}

/// Returns `n` rows with a signal, generated by a linear congruential generator: the columns of the predictors, and the
/// target.
pub fn signal(n: usize) -> ([Vec<f64>; 3], Vec<f64>) {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    let mut target = Vec::new();
    for _ in 0..n {
        let x = [(400.0 * uniform()).floor(), (9000.0 * uniform()).floor(), (200.0 * uniform()).floor()];
        let z = 0.5 - 0.01 * x[0] + 0.0001 * x[1] + 0.005 * x[2];
        for (column, x) in columns.iter_mut().zip(x) {
            column.push(x);
        }
        target.push(f64::from(uniform() < 1.0 / (1.0 + f64::exp(-z))));
    }
    (columns, target)
}

fn collect(path: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    if let Ok(target) = fs::read_link(path) {
        found.push((path.to_owned(), target.into_os_string().into_encoded_bytes()));
    } else if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten() {
            collect(&entry.path(), found);
        }
    } else if let Ok(content) = fs::read(path) {
        found.push((path.to_owned(), content));
    }
}
