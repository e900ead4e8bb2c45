//! The receivers that are informed about a run: a monitor that expects a message from every run (`heartbeat`), and a
//! webhook that is called when something has changed (`event`, `outbox`, `webhook`).
//!
//! They are called beside the work or after it, for a limited time, and never make a run fail.

mod event;
mod heartbeat;
mod http;
mod outbox;
mod webhook;

use std::fmt::Display;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::cli::narrate;
use common::config::Config;
use common::production::last_run::LastRun;

use crate::outcome::Outcome;
use event::Event;
use heartbeat::Heartbeat;
use outbox::Outbox;
use webhook::Webhook;

/// The receivers of a run, and the messages for them.
#[derive(Default)]
pub struct Receivers {
    time_limit: Duration,
    heartbeat: Option<Heartbeat>,
    webhook: Option<(Webhook, Outbox)>,
    /// Messages that could not be stored and are sent only once.
    unstored: Vec<Event>,
}

impl Receivers {
    /// Reads the addresses and tells the monitor that a run has started, without waiting for an answer.
    ///
    /// # Errors
    /// Fails if an address or the secret is invalid, or refers to a variable that is not set.
    pub fn start(config: &Config) -> Result<Self> {
        let receivers = &config.receivers;
        let key = |key: &'static str| move || format!("config key \"{key}\"");
        let webhook = receivers.webhook.as_ref().map(|webhook| -> Result<_> {
            let url = webhook.url.read().with_context(key("notify_url"))?;
            let secret = webhook.secret.read().with_context(key("notify_secret"))?;
            Ok((Webhook::new(url, secret), Outbox::of(config)))
        });
        let webhook = webhook.transpose()?;
        let heartbeat = receivers.heartbeat.as_ref().map(|url| url.read().with_context(key("heartbeat_url")));
        let heartbeat = heartbeat.transpose()?.map(|url| Heartbeat::start(url, receivers.time_limit));
        Ok(Self { time_limit: receivers.time_limit, heartbeat, webhook, unstored: Vec::new() })
    }

    /// Stores messages about what the run has changed. Call it while the run holds its lock.
    pub fn store(&mut self, previous: Option<&LastRun>, run: &LastRun, outcome: Option<&Outcome>) {
        let Some((_, outbox)) = &self.webhook else { return };
        for event in event::events(previous, run, outcome) {
            if let Err(error) = outbox.store(&event) {
                warn(format_args!("the notification \"{}\" could not be stored: {error:#}", event.kind.name()));
                self.unstored.push(event);
            }
        }
    }

    /// Informs all receivers about the end of a run, and waits for their answers until the limit. Call it after the lock
    /// is released.
    pub fn finish(self, run: &LastRun) {
        let deadline = Instant::now() + self.time_limit;
        let mut answers: Vec<(&str, String, Receiver<Result<()>>)> = Vec::new();
        if let Some(heartbeat) = self.heartbeat {
            answers.push(("heartbeat_url", heartbeat.shown(), heartbeat.finish(run, deadline)));
        }
        if let Some((webhook, outbox)) = self.webhook {
            let (sender, answer) = mpsc::channel();
            let shown = webhook.shown();
            thread::spawn(move || sender.send(outbox.send_all(&webhook, self.unstored, deadline)));
            answers.push(("notify_url", shown, answer));
        }
        for (key, shown, answer) in answers {
            let result = answer.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn(format_args!("{key} ({shown}): {error:#}")),
                Err(_) => warn(format_args!("{key} ({shown}): no answer within {} s", self.time_limit.as_secs_f64())),
            }
        }
    }
}

fn warn(text: impl Display) {
    narrate(format_args!("warning: {text}"));
}
