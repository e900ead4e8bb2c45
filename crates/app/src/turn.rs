//! Work that is done one at a time: a queue of bounded length, and answers that those who waited share.

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

/// How far long work steps back, from 0 to 19.
const NICENESS: i32 = 10;

/// A turn at something, with a queue before it.
#[derive(Default)]
pub struct Turn {
    turn: Arc<Mutex<()>>,
    waiting: AtomicUsize,
}

impl Turn {
    /// Waits for the turn; it lasts as long as the value lives.
    ///
    /// # Errors
    /// [`Problem::Busy`] where too many wait already.
    pub async fn take(&self) -> Result<OwnedMutexGuard<()>, Problem> {
        let _place = Place::take(&self.waiting)?;
        Ok(self.turn.clone().lock_owned().await)
    }
}

/// A place in the queue, given back also where the client hangs up.
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

/// The newest answer to a question that costs seconds, for all who ask within its time.
pub struct Shared<T> {
    newest: Arc<std::sync::Mutex<Option<Made<T>>>>,
}

struct Made<T> {
    /// What it is true for, such as a release.
    of: String,
    at: Instant,
    answer: Arc<T>,
}

/// An answer, and how old it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Aged<T> {
    /// The answer.
    #[serde(flatten)]
    #[schema(value_type = T)]
    pub answer: Arc<T>,
    /// How long ago it was made, in whole seconds.
    pub age_seconds: u64,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { newest: Arc::default() }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// An answer about `of` that is no older than `oldest`: one that there is, else a new one, made by `make` beside the
    /// event loop when it is its turn. An answer that was made while this one waited is shared.
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
            // Before the turn ends: whoever has it next shall find it.
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

/// Does what takes seconds on a thread of its own, which steps back behind all that answer, as do the threads that it starts
/// (on Linux each thread has its own niceness, and passes it on).
async fn stepping_back<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (send, receive) = oneshot::channel();
    let started = thread::Builder::new().name("long work".to_owned()).spawn(move || {
        let _ = rustix::process::nice(NICENESS); // without it the work is as right, and others are a little slower
        let _ = send.send(work()); // nobody waits where the client has hung up
    });
    started.map_err(|error| Problem::not_ready("the work cannot begin", &error.into()))?;
    receive.await.map_err(|error| Problem::not_ready("the work was broken off", &error.into()))?
}

/// Does what takes long beside the event loop, while it holds a `turn`: that ends with the work, and not with the request,
/// so that a client that hangs up does not let the next one begin.
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

/// The problem with work beside the event loop that ended without an answer.
pub fn broken_off(error: actix_web::error::BlockingError) -> Problem {
    Problem::not_ready("the work was broken off", &error.into())
}
