//! Work that is done one request at a time: a queue of bounded length, and answers that are shared by waiting requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::web;
use serde::Serialize;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use utoipa::ToSchema;

use crate::limits::{LONGEST_QUEUE, RETRY_AFTER};
use crate::problem::Problem;

/// Niceness of long work, from 0 to 19; larger values give other threads precedence.
const NICENESS: i32 = 10;

/// A mutex with a bounded queue of waiting requests.
#[derive(Default)]
pub struct Turn {
    turn: Arc<Mutex<()>>,
    waiting: AtomicUsize,
}

impl Turn {
    /// Waits for the mutex; it is held as long as the returned guard lives.
    ///
    /// # Errors
    /// [`Problem::Busy`] if `LONGEST_QUEUE` requests are already waiting.
    pub async fn take(&self) -> Result<OwnedMutexGuard<()>, Problem> {
        let _place = Place::take(&self.waiting)?;
        Ok(self.turn.clone().lock_owned().await)
    }
}

/// An entry in the queue; dropping it leaves the queue, also when the client disconnects.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, Problem> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= LONGEST_QUEUE {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Problem::Busy(
                format!("{LONGEST_QUEUE} requests wait for this already; ask again later"),
                RETRY_AFTER,
            ));
        }
        Ok(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The newest answer to a question that takes seconds to compute, reused until it is too old.
pub struct Shared<T> {
    newest: Arc<std::sync::Mutex<Option<Made<T>>>>,
}

struct Made<T> {
    /// What the answer refers to, such as a release id.
    of: String,
    at: Instant,
    answer: Arc<T>,
}

/// An answer and its age.
#[derive(Debug, Serialize, ToSchema)]
pub struct Aged<T> {
    /// The answer itself; its fields appear next to `age_seconds`.
    #[serde(flatten)]
    #[schema(value_type = T)]
    pub answer: Arc<T>,
    /// Age of the answer in whole seconds.
    pub age_seconds: u64,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { newest: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// Returns an answer for `of` that is younger than `oldest`: the stored one if there is one, else a new one, which
    /// `make` computes on a separate thread while `turn` is held. A request that waited for `turn` reuses an answer
    /// that was computed in the meantime.
    pub async fn get(
        &self,
        turn: &Turn,
        of: String,
        oldest: Duration,
        make: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<Aged<T>, Problem> {
        if let Some(answer) = self.young(&of, oldest) {
            return Ok(answer);
        }
        let turn = turn.take().await?;
        if let Some(answer) = self.young(&of, oldest) {
            return Ok(answer);
        }
        let newest = self.newest.clone();
        stepping_back(move || {
            let _turn = turn;
            let answer = Arc::new(make()?);
            // Stored before the turn ends, so that the next request that gets the turn finds it.
            *lock(&newest) = Some(Made { of, at: Instant::now(), answer: answer.clone() });
            Ok(Aged { answer, age_seconds: 0 })
        })
        .await
    }

    fn young(&self, of: &str, oldest: Duration) -> Option<Aged<T>> {
        let newest = lock(&self.newest);
        let made = newest.as_ref().filter(|made| made.of == of && made.at.elapsed() < oldest)?;
        Some(Aged { answer: made.answer.clone(), age_seconds: made.at.elapsed().as_secs() })
    }
}

fn lock<T>(newest: &std::sync::Mutex<Option<T>>) -> std::sync::MutexGuard<'_, Option<T>> {
    newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs `work`, which takes seconds, on its own thread with a raised niceness, so that threads that answer requests
/// take precedence. Threads that `work` starts inherit the niceness (on Linux each thread has its own).
async fn stepping_back<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (send, receive) = oneshot::channel();
    let started = thread::Builder::new().name("long work".to_owned()).spawn(move || {
        // if it fails, the result is the same and other requests are slightly slower
        let _ = rustix::process::nice(NICENESS);
        let _ = send.send(work()); // fails if the client has disconnected and nothing waits for the result
    });
    started.map_err(|error| Problem::not_ready("the work cannot begin", &error.into()))?;
    receive.await.map_err(|error| Problem::not_ready("the work was broken off", &error.into()))?
}

/// Runs long `work` outside the event loop while the `turn` is held. The turn ends with the work and not with the
/// request, so a client that disconnects does not let the next work start early.
pub async fn beside<T: Send + 'static>(
    turn: OwnedMutexGuard<()>,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = web::block(move || {
        let _turn = turn;
        work()
    });
    done.await.map_err(broken_off)?
}

/// The problem document for work outside the event loop that ended without a result.
pub fn broken_off(error: actix_web::error::BlockingError) -> Problem {
    Problem::not_ready("the work was broken off", &error.into())
}
