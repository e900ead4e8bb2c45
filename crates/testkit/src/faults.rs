//! Deliberate faults: processes killed at any moment, and a full disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

use crate::{Workspace, runs_as_root, skipped};

/// Repeatedly runs the command that `command` returns, and kills it (SIGKILL) at `kills` moments. These are spread over
/// its duration, denser towards its end, where files are given their final names, and some are after it. `check`
/// examines what each run leaves.
///
/// One run before the first kill is not killed, to measure the duration.
#[expect(clippy::unwrap_used, reason = "a test that cannot start a process has failed")]
pub fn kill_at_many_moments(kills: u32, mut command: impl FnMut() -> Command, mut check: impl FnMut()) {
    const GOLDEN_RATIO: f64 = 0.618_033_988_749_895; // any number of its multiples fill the unit interval evenly
    let clock = Instant::now();
    let output = command().output().unwrap();
    let mut duration = clock.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check();

    let mut killed = 0;
    for kill in 1..=kills {
        let moment = duration.mul_f64(1.2 * (f64::from(kill) * GOLDEN_RATIO).fract().sqrt());
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(moment); // the moment of the kill, which need not be exact
        child.kill().unwrap();
        let status = child.wait().unwrap();
        // The speed of the machine varies: the measured duration of a run that was not killed adjusts the later kills.
        if status.signal() == Some(9) {
            killed += 1;
            duration = duration.max(moment);
        } else {
            assert!(status.success(), "a run failed by itself: {status}");
            duration = duration.min(moment);
        }
        check();
    }
    assert!((kills / 4..kills).contains(&killed), "{killed} of {kills} runs were killed: all too early, or too late");
}

impl Workspace {
    /// Prepares the workspace for a user who may write everything in it except the file `read_only`. Returns a function
    /// that creates the command of a binary for this user. `None`, with a message, if the tests run as root and no
    /// other user may run the binary.
    #[expect(clippy::unwrap_used, reason = "see the type")]
    pub fn as_other_user(&self, read_only: &str) -> Option<impl Fn(&str) -> Command> {
        const NOBODY: &str = "65534";
        fs::set_permissions(self.path(read_only), Permissions::from_mode(0o444)).unwrap();
        let by_root = runs_as_root();
        if by_root {
            let given = Command::new("chown").args(["-R", NOBODY]).arg(self.path(".")).status().unwrap();
            assert!(given.success());
            std::os::unix::fs::chown(self.path(read_only), Some(0), None).unwrap();
        }
        let run = move |command: Command| {
            let mut other = Command::new("setpriv");
            other.args(["--reuid", NOBODY, "--clear-groups", "--"]).arg(command.get_program()).args(command.get_args());
            other.current_dir("/");
            if by_root { other } else { command }
        };
        let mut version = Command::new(crate::binary("dbsetup"));
        version.arg("--version");
        if !run(version).output().is_ok_and(|output| output.status.success()) {
            skipped("another user than root cannot run the binaries here (setpriv of util-linux is needed)");
            return None;
        }
        let config = self.path("config.json");
        Some(move |binary: &str| {
            let mut command = Command::new(crate::binary(binary));
            command.current_dir("/").arg("--config").arg(&config);
            run(command)
        })
    }

    /// Runs a binary that cannot write any file beyond `kilobytes`, which simulates a full disk.
    #[expect(clippy::unwrap_used, reason = "see the type")]
    pub fn output_on_a_full_disk(&self, binary: &str, kilobytes: u32) -> Output {
        // `ulimit -f` counts blocks of 512 bytes, in some shells of 1024. With the signal ignored, writing beyond the
        // limit is an error.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * kilobytes);
        let command = self.command(binary);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.output().unwrap()
    }

    /// Returns the number of rows of a table in the history.
    pub fn history_rows(&self, table: &str) -> u64 {
        let summary = self.run_json("dbsetup", &[]);
        let tables = summary["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows = tables.iter().find(|entry| entry["table"] == table).and_then(|entry| entry["rows"].as_u64());
        rows.unwrap_or_else(|| panic!("the history has no table {table}: {summary}"))
    }

    /// Checks that no writer has left an unfinished file below `folder`.
    pub fn assert_no_leftovers(&self, folder: &str) {
        let mut found = Vec::new();
        search(&self.path(folder), &mut found);
        assert!(found.is_empty(), "unfinished files are left: {found:?}");
    }
}

fn search(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "partial") {
            found.push(path);
        } else if !path.is_symlink() {
            search(&path, found);
        }
    }
}
