//! The messages that wait for the webhook, one file each, so that a receiver that is away for hours misses none. A message
//! is removed after the receiver has accepted it; a run that is killed in between sends it again under the same id.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use common::files::atomic;
use common::files::lock::Lock;
use fs_err as fs;
use jiff::{SignedDuration, Timestamp};

use super::event::Event;
use super::webhook::Webhook;

/// Name of the folder, which is beside the reports.
const FOLDER: &str = "notifications";

/// Age from which a message is not worth sending any more.
const OLDEST: SignedDuration = SignedDuration::from_hours(72);

/// Maximum number of messages that wait. The oldest are dropped first.
const MOST: usize = 100;

/// The folder of the messages.
pub struct Outbox {
    folder: PathBuf,
}

impl Outbox {
    /// Returns the outbox of a config. Nothing is created yet.
    pub fn of(config: &Config) -> Self {
        Self { folder: config.output_model.join(FOLDER) }
    }

    /// Stores a message. The order of the names is that of the messages.
    pub fn store(&self, event: &Event) -> Result<()> {
        let time = event.time.strftime("%Y%m%dT%H%M%S%6fZ");
        let path = self.folder.join(format!("{time}-{}-{}.json", event.kind as u8, event.kind.name()));
        atomic::write(&path, &serde_json::to_vec(event)?)
    }

    /// Sends all messages, oldest first, and those that were not stored. It stops at the first that is not accepted, so
    /// that the order is kept.
    ///
    /// # Errors
    /// Fails if a message was not accepted; the message and those after it wait for the next run.
    pub fn send_all(&self, webhook: &Webhook, unstored: Vec<Event>, deadline: Instant) -> Result<()> {
        if self.folder.is_dir() {
            // Another run may be sending; it sends these too.
            let Ok(_lock) = Lock::acquire(&self.folder, "fullprocess") else { return Ok(()) };
            let mut waiting = self.waiting()?;
            waiting.drain(..waiting.len().saturating_sub(MOST)).try_for_each(fs::remove_file)?;
            let number = waiting.len();
            for (sent, path) in waiting.iter().enumerate() {
                // A file that was damaged, or written by another version, would stop all others for ever.
                let event = serde_json::from_slice::<Event>(&fs::read(path)?).ok();
                if let Some(event) = event.filter(|event| Timestamp::now().duration_since(event.time) < OLDEST) {
                    webhook.send(&event, deadline).with_context(|| match number - sent {
                        1 => "one notification waits and is sent again by the next run".to_owned(),
                        waiting => format!("{waiting} notifications wait and are sent again by the next run"),
                    })?;
                }
                fs::remove_file(path)?;
            }
        }
        unstored.iter().try_for_each(|event| webhook.send(event, deadline))
    }

    /// The paths of the stored messages, oldest first.
    fn waiting(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.folder)?.collect::<std::io::Result<Vec<_>>>()?;
        let is_message = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "json")
                && !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_message).collect();
        paths.sort();
        Ok(paths)
    }
}
