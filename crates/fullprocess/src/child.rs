//! A step as a subprocess with a time limit. It has a process group of its own, so that everything it has started ends
//! with it.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};
use common::cli::{STEP_OF_VARIABLE, narrate};
use rustix::process::{Pid, Signal, kill_process_group};

/// The prefix of a step's error on stderr.
pub const ERROR: &str = "error: ";

/// The time that a process has to end after SIGTERM before it gets SIGKILL, and that its output has to end after it.
const GRACE: Duration = Duration::from_secs(5);

/// A step that runs. Its output is read while it runs, so a full pipe never stops it.
pub struct Child {
    name: &'static str,
    group: Option<Pid>,
    events: Receiver<Event>,
    /// The writing end of the step's stdin, if the command has a pipe there.
    pub stdin: Option<ChildStdin>,
    stdout: Vec<u8>,
    stderr: Option<String>,
    stdout_is_open: bool,
    status: Option<io::Result<ExitStatus>>,
}

/// The end of a step.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    /// The error of the step, or its last lines on stderr if it has named no error.
    pub error: String,
}

enum Event {
    Line(Vec<u8>),
    StdoutEnded,
    /// The end of stderr; the text is that of [`Ended::error`].
    StderrEnded(String),
    Exited(io::Result<ExitStatus>),
}

impl Child {
    /// Starts `command`. Its stderr is narrated as it arrives, each line prefixed with `name`.
    ///
    /// Call it only on the main thread: the step ends when the thread that has started it ends.
    ///
    /// # Errors
    /// Fails if the program cannot be started.
    pub fn spawn(name: &'static str, mut command: Command) -> io::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.env(STEP_OF_VARIABLE, std::process::id().to_string()).spawn()?;
        let (sender, events) = mpsc::channel();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if let Some(stdout) = stdout {
            let sender = sender.clone();
            thread::spawn(move || read_lines(stdout, &sender));
        }
        if let Some(stderr) = stderr {
            let sender = sender.clone();
            thread::spawn(move || sender.send(Event::StderrEnded(narrate_lines(name, stderr))));
        }
        thread::spawn(move || sender.send(Event::Exited(child.wait())));
        Ok(Self { name, group, events, stdin, stdout: Vec::new(), stderr: None, stdout_is_open: true, status: None })
    }

    /// Waits for the first line of stdout. `None` if the step has ended without one. After `limit` the step is ended.
    ///
    /// # Errors
    /// Fails if the step had to be ended.
    pub fn first_line(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + limit;
        while self.stdout.is_empty() && self.stdout_is_open {
            if !self.next(deadline) {
                return Err(self.stop("begin to answer", limit));
            }
        }
        Ok((!self.stdout.is_empty()).then(|| self.stdout.clone()))
    }

    /// Waits for the end of the step. After `limit` the step is ended, with everything that it has started.
    ///
    /// # Errors
    /// Fails if the step had to be ended.
    pub fn wait(mut self, limit: Duration) -> Result<Ended> {
        let deadline = Instant::now() + limit;
        while self.status.is_none() && self.next(deadline) {}
        if self.status.is_none() {
            return Err(self.stop("end", limit));
        }
        let error = self.last_words();
        let status = self.status.take().with_context(|| format!("waiting for {}", self.name))??;
        Ok(Ended { status, stdout: self.stdout, error })
    }

    /// Ends a step that has exceeded `limit`, and returns the error about it.
    fn stop(&mut self, task: &str, limit: Duration) -> Error {
        self.kill();
        let words = self.last_words();
        let last = words.lines().last().map(|line| format!("; its last line was: {line}")).unwrap_or_default();
        anyhow!(
            "{} did not {task} within {} s (config key \"step_time_limit\"), so it was ended with everything that it had \
             started{last}",
            self.name,
            limit.as_secs_f64()
        )
    }

    /// Reads the rest of the output of a step that has ended. Another process may have inherited the pipes, so this has a
    /// limit of its own.
    fn last_words(&mut self) -> String {
        let deadline = Instant::now() + GRACE;
        while (self.stdout_is_open || self.stderr.is_none()) && self.next(deadline) {}
        self.stderr.take().unwrap_or_default()
    }

    /// Ends the process group: first so that the step can end its work elsewhere, then by force.
    fn kill(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            // The group may have ended in this moment.
            let _ = self.group.map(|group| kill_process_group(group, signal));
            let deadline = Instant::now() + GRACE;
            while self.status.is_none() && self.next(deadline) {}
        }
    }

    /// Takes in the next event. Returns whether there was one before `deadline`.
    fn next(&mut self, deadline: Instant) -> bool {
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Line(line)) => self.stdout.extend(line),
            Ok(Event::StdoutEnded) => self.stdout_is_open = false,
            Ok(Event::StderrEnded(text)) => self.stderr = Some(text),
            Ok(Event::Exited(status)) => self.status = Some(status),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        }
        true
    }
}

fn read_lines(stdout: impl Read, events: &Sender<Event>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(1..) if events.send(Event::Line(line)).is_ok() => {}
            _ => break,
        }
    }
    let _ = events.send(Event::StdoutEnded); // nobody waits for it any more
}

/// Narrates lines as they arrive, each prefixed with the child's name. The error, which comes last, is not narrated but
/// returned; if there is none, the last lines are returned.
fn narrate_lines(name: &'static str, stderr: impl Read) -> String {
    const LAST_LINES: usize = 20;
    let (mut last, mut has_failed) = (Vec::new(), false);
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if !has_failed && line.starts_with(ERROR) {
            has_failed = true;
            last.clear();
        }
        if !has_failed {
            narrate(format_args!("{name}: {line}"));
            last.drain(..last.len().saturating_sub(LAST_LINES - 1));
        }
        last.push(line);
    }
    last.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Child::spawn("sh", command).unwrap()
    }

    #[test]
    fn a_step_returns_its_output_and_its_error() {
        let ended = shell("echo one; echo two; echo narrated >&2; echo 'error: it failed' >&2; exit 3");
        let ended = ended.wait(Duration::from_secs(60)).unwrap();
        assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(3), b"one\ntwo\n".as_slice()));
        assert_eq!(ended.error, "error: it failed");
        let mut child = shell("echo one; sleep 0.1; echo two");
        assert_eq!(child.first_line(Duration::from_secs(60)).unwrap().unwrap(), b"one\n");
        assert_eq!(child.wait(Duration::from_secs(60)).unwrap().stdout, b"one\ntwo\n");
        assert_eq!(shell("exit 1").first_line(Duration::from_secs(60)).unwrap(), None);
    }

    #[test]
    fn everything_that_a_step_has_started_ends_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let alive = folder.path().join("alive");
        // Neither the step nor its own child reacts to SIGTERM.
        let script =
            format!("trap '' TERM; (trap '' TERM; while :; do touch {}; sleep 0.05; done) & wait", alive.display());
        let child = shell(&format!("echo begun >&2; {script}"));
        let error = child.wait(Duration::from_millis(300)).err().unwrap().to_string();
        for part in ["sh did not end within 0.3 s", "step_time_limit", "its last line was: begun"] {
            assert!(error.contains(part), "{error}");
        }
        std::fs::remove_file(&alive).unwrap();
        thread::sleep(Duration::from_millis(500));
        assert!(!alive.exists(), "a process of the step still runs");
    }

    #[test]
    fn a_process_that_keeps_the_output_open_does_not_hold_up_a_step_that_has_ended() {
        let clock = Instant::now();
        let ended = shell("setsid sleep 60 & echo done").wait(Duration::from_secs(50)).unwrap();
        assert!(ended.status.success() && ended.stdout == b"done\n");
        assert!(clock.elapsed() < Duration::from_secs(50), "it has waited for the other process");
    }
}
