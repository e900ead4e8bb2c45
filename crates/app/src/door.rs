//! A circuit breaker for the history database. Finding out that a database does not answer takes time, so after a slow
//! failure no attempt is made for some seconds: pages show what they have, and requests for history data get status 503
//! at once. After a fast failure the next request tries again at once.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::config::Config;
use history::History;

use crate::limits::DATABASE_LIMIT;

/// Pause after a slow failure in which no attempt is made.
const CLOSED_FOR: Duration = Duration::from_secs(5);

/// A failure that takes longer than this counts as slow.
const SLOW: Duration = Duration::from_millis(500);

/// The circuit breaker with the state of the last attempt.
#[derive(Default)]
pub struct Door {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the last attempt failed slowly; `None` if it succeeded or failed fast.
    failed: Option<Instant>,
    /// Alive until the thread of an abandoned attempt ends. Until then no new attempt is made, because it would only
    /// wait too.
    waiting: Weak<()>,
}

impl Door {
    /// Checks whether an attempt may be made now.
    ///
    /// # Errors
    /// Returns an error if the last attempt failed slowly less than `CLOSED_FOR` ago or is still blocked.
    pub fn check(&self) -> Result<()> {
        let state = self.lock();
        let ago = state.failed.map(|at| at.elapsed());
        if let Some(ago) = ago.filter(|ago| *ago < CLOSED_FOR || state.waiting.strong_count() > 0) {
            bail!("it could not be opened {} s ago; the next attempt follows in some seconds", ago.as_secs());
        }
        Ok(())
    }

    /// Opens the history, which then answers every query within `DATABASE_LIMIT`; `None` if nothing is recorded yet.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened within that time, or if [`check`](Self::check) permits no attempt.
    pub fn open(&self, config: &Config) -> Result<Option<History>> {
        self.check()?;
        let clock = Instant::now();
        let (send, opened) = channel();
        let config = config.clone();
        // On a separate thread, because the driver may wait longer for a lock or a hanging disk than a request can.
        let attempt = Arc::new(());
        let lives = Arc::downgrade(&attempt);
        let open = move || {
            let _attempt = attempt;
            drop(send.send(History::open_existing(&config))); // a connection that arrives too late is closed here
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
                history.set_query_limit(DATABASE_LIMIT);
                history
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
