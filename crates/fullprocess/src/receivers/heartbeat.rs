//! Messages to a monitor that expects one from every run and raises an alarm if none arrives: the protocol of
//! healthchecks.io (<https://healthchecks.io/docs/http_api/>). `/start` is called at the beginning of a run, the address
//! itself after a success, and `/fail` after a failure; the last line of the run is the body.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::config::receivers;
use common::production::last_run::LastRun;
use ureq::http::HeaderMap;
use url::Url;

use super::http::post;

/// Maximum length of a body in bytes; the service keeps at least this much.
const LONGEST_BODY: usize = 10_000;

/// A monitor that was called at the start of this run.
pub struct Heartbeat {
    shown: String,
    end: Sender<End>,
    result: Receiver<Result<()>>,
}

/// The message at the end of a run.
struct End {
    succeeded: bool,
    line: String,
    deadline: Instant,
}

impl Heartbeat {
    /// Sends the message about the start in the background. It may take `limit`.
    pub fn start(url: Url, limit: Duration) -> Self {
        let shown = receivers::shown(&url);
        let (end, ends) = mpsc::channel::<End>();
        let (sender, result) = mpsc::channel();
        thread::spawn(move || {
            // The order of the messages matters, so the second one waits for the first.
            let started = call(&url, Some("start"), "", Instant::now() + limit).context("the start of the run");
            if let Ok(End { succeeded, line, deadline }) = ends.recv() {
                let ended = call(&url, (!succeeded).then_some("fail"), &line, deadline).context("the end of the run");
                // The error of the first call explains that of the second. After the limit the channel is closed.
                let _ = sender.send(started.and(ended));
            }
        });
        Self { shown, end, result }
    }

    /// What may be shown of its address.
    pub fn shown(&self) -> String {
        self.shown.clone()
    }

    /// Sends the message about the end of the run in the background, and returns where its result arrives.
    pub fn finish(self, run: &LastRun, deadline: Instant) -> Receiver<Result<()>> {
        let _ = self.end.send(End { succeeded: run.succeeded, line: run.line.clone(), deadline });
        self.result
    }
}

fn call(url: &Url, path: Option<&str>, body: &str, deadline: Instant) -> Result<()> {
    let mut url = url.clone();
    if let (Some(path), Ok(mut segments)) = (path, url.path_segments_mut()) {
        segments.pop_if_empty().push(path);
    }
    let length = body.floor_char_boundary(LONGEST_BODY);
    post(&url, &HeaderMap::new(), &body.as_bytes()[..length], deadline)
}
