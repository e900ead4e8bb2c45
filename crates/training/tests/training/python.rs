//! Runs Python scripts for tests that need Python packages. A test whose packages are missing is reported as skipped.

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether `python3` can import `modules`. If not, prints that the test is skipped and what to install.
pub fn has(modules: &str) -> bool {
    let import = Command::new("python3").args(["-c", &format!("import {modules}")]).output();
    let found = import.is_ok_and(|output| output.status.success());
    if !found {
        testkit::skipped(&format!("python3 cannot import {modules}; install numpy, pandas, scikit-learn and mpmath"));
    }
    found
}

/// Runs a script and returns its output.
pub fn run(script: &str, arguments: &[&str]) -> String {
    let mut python = Command::new("python3")
        .arg("-")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
