//! The way to the history. A database that does not answer costs seconds to find out, so after that nobody knocks for a
//! while: pages show what they have at once, and questions get their 503 at once. One that refuses at once is asked again
//! at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use common::config::Config;
use history::History;

/// For how long nobody knocks after a slow failure.
const CLOSED_FOR: Duration = Duration::from_secs(5);

/// A failure that takes longer than this is a slow one.
const SLOW: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Default)]
pub struct Door {
    failed: Mutex<Option<Instant>>,
}

impl Door {
    /// The history; `None` where nothing was recorded yet.
    ///
    /// # Errors
    /// Where it cannot be opened, or could not a moment ago.
    pub fn open(&self, config: &Config) -> Result<Option<History>> {
        let failed = *self.lock();
        if let Some(ago) = failed.map(|at| at.elapsed()).filter(|ago| *ago < CLOSED_FOR) {
            bail!(
                "it could not be opened {} s ago; the next attempt is {} s after that",
                ago.as_secs(),
                CLOSED_FOR.as_secs()
            );
        }
        let clock = Instant::now();
        let opened = History::open_existing(config);
        *self.lock() = (opened.is_err() && clock.elapsed() > SLOW).then(Instant::now);
        opened
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
