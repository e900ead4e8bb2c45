//! A circuit breaker for the history database. Finding out that a database does not answer takes time, so after a slow
//! failure no connection is attempted for some seconds: pages show what they have, and requests for history data get
//! status 503 immediately. After a fast failure the next request tries again.

use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use common::config::Config;
use history::History;

use crate::limits::{CIRCUIT_OPEN, CONTACT_LIMIT, DATABASE_LIMIT, SLOW_FAILURE};

/// Pauses connection attempts after a slow failure.
#[derive(Default)]
pub struct CircuitBreaker(Mutex<LastAttempt>);

#[derive(Default)]
struct LastAttempt {
    /// When it failed slowly; `None` if it succeeded or failed fast.
    failed: Option<Instant>,
    /// Thread of an attempt that was abandoned. Until it ends no new attempt is made, because it would only wait too.
    abandoned: Option<JoinHandle<()>>,
}

impl CircuitBreaker {
    /// Checks whether an attempt may be made now.
    ///
    /// # Errors
    /// Returns an error if the last attempt failed slowly less than `CIRCUIT_OPEN` ago or is still blocked.
    pub fn check(&self) -> Result<()> {
        let last = self.lock();
        let ago = last.failed.map(|at| at.elapsed());
        let is_blocked = last.abandoned.as_ref().is_some_and(|thread| !thread.is_finished());
        if let Some(ago) = ago.filter(|ago| *ago < CIRCUIT_OPEN || is_blocked) {
            bail!(
                "the database could not be opened {} s ago; attempts are paused for {} s",
                ago.as_secs(),
                CIRCUIT_OPEN.as_secs()
            );
        }
        Ok(())
    }

    /// Opens the history, which then answers every query within `DATABASE_LIMIT`; `None` if nothing is recorded yet.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened within that time, or if [`check`](Self::check) permits no attempt.
    pub fn open(&self, config: &Config) -> Result<Option<History>> {
        let mut history = self.attempt(config, History::open_existing)?;
        if let Some(history) = &mut history {
            history.set_query_limit(DATABASE_LIMIT);
        }
        Ok(history)
    }

    /// Opens the history for adding contacts, which then takes at most `CONTACT_LIMIT`.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened within `DATABASE_LIMIT`, if it has not the schema of this program, or if
    /// [`check`](Self::check) permits no attempt.
    pub fn open_for_contacts(&self, config: &Config) -> Result<History> {
        let mut history = self.attempt(config, History::open_for_contacts)?;
        history.set_query_limit(CONTACT_LIMIT);
        Ok(history)
    }

    fn attempt<T: Send + 'static>(&self, config: &Config, open: fn(&Config) -> Result<T>) -> Result<T> {
        self.check()?;
        let clock = Instant::now();
        let (send, opened) = channel();
        let config = config.clone();
        // On a separate thread, because the driver may wait longer for a lock or a hanging disk than a request can. A
        // connection that arrives too late is closed there.
        let attempt = move || drop(send.send(open(&config)));
        let thread = thread::Builder::new().name("history".to_owned()).spawn(attempt).context("starting a thread")?;
        let result = opened.recv_timeout(DATABASE_LIMIT);
        let mut last = self.lock();
        last.failed = (!matches!(result, Ok(Ok(_))) && clock.elapsed() > SLOW_FAILURE).then(Instant::now);
        let Ok(result) = result else {
            last.abandoned = Some(thread);
            bail!(
                "the database did not answer within {} s; it may be locked, or its disk may be busy",
                DATABASE_LIMIT.as_secs()
            );
        };
        result
    }

    fn lock(&self) -> MutexGuard<'_, LastAttempt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
