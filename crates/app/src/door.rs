//! A circuit breaker before the history. Finding out that a database does not answer takes time, so no attempt is made for
//! some seconds after that: pages show what they have, and questions get their 503, at once. A database that refuses at
//! once is asked again at once.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::config::Config;
use history::History;

use crate::limits::DATABASE_LIMIT;

/// Pause after a slow failure, in which no attempt is made.
const CLOSED_FOR: Duration = Duration::from_secs(5);

/// A failure that takes longer than this is a slow one.
const SLOW: Duration = Duration::from_millis(500);

/// The circuit breaker and the state of its last attempt.
#[derive(Default)]
pub struct Door {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the last attempt failed slowly.
    failed: Option<Instant>,
    /// A token of the attempt that was given up, alive until its thread ends: another attempt would only wait beside it.
    waiting: Weak<()>,
}

impl Door {
    /// Whether the history may be asked now.
    ///
    /// # Errors
    /// Where it could not be opened a moment ago.
    pub fn check(&self) -> Result<()> {
        let state = self.lock();
        let ago = state.failed.map(|at| at.elapsed());
        if let Some(ago) = ago.filter(|ago| *ago < CLOSED_FOR || state.waiting.strong_count() > 0) {
            bail!("it could not be opened {} s ago; the next attempt follows in some seconds", ago.as_secs());
        }
        Ok(())
    }

    /// The history, which answers every question within [`DATABASE_LIMIT`]; `None` where nothing was recorded yet.
    ///
    /// # Errors
    /// Where it cannot be opened within that time, or could not a moment ago.
    pub fn open(&self, config: &Config) -> Result<Option<History>> {
        self.check()?;
        let clock = Instant::now();
        let (send, opened) = channel();
        let config = config.clone();
        // On a thread of its own: the driver waits longer than a request can, for a lock or for a disk that hangs.
        let attempt = Arc::new(());
        let lives = Arc::downgrade(&attempt);
        let open = move || {
            let _attempt = attempt;
            drop(send.send(History::open_existing(&config))); // one that comes too late is closed here
        };
        thread::Builder::new().name("history".to_owned()).spawn(open).context("starting a thread")?;
        let result = opened.recv_timeout(DATABASE_LIMIT);
        let mut state = self.lock();
        state.failed = (!matches!(result, Ok(Ok(_))) && clock.elapsed() > SLOW).then(Instant::now);
        let Ok(result) = result else {
            state.waiting = lives;
            bail!("it did not answer within {} s; is it locked, or its disk busy?", DATABASE_LIMIT.as_secs());
        };
        result.map(|history| {
            history.map(|mut history| {
                history.hurry(DATABASE_LIMIT);
                history
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
