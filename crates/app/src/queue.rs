//! Queues and threads for work that would delay other requests on the event loop. `limits` lists who waits for what.

use std::sync::Arc;
use std::thread;

use actix_web::web;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit, oneshot};

use crate::limits::LARGE_BODIES;
use crate::problem::{OrNotReady, Problem};

/// Niceness of work that takes seconds, from 0 to 19; larger values give other threads precedence.
const NICENESS: i32 = 10;

/// A queue for work that is done one request at a time. A bounded number of requests wait; further ones are refused.
pub struct Queue {
    running: Arc<Mutex<()>>,
    waiting: Semaphore,
    longest: usize,
}

/// The permit to do the work of a [`Queue`]. The next request gets it when this one is dropped.
pub struct Permit {
    _running: OwnedMutexGuard<()>,
}

impl Queue {
    /// An empty queue in which `longest` requests may wait.
    pub fn new(longest: usize) -> Self {
        Self { running: Arc::default(), waiting: Semaphore::new(longest), longest }
    }

    /// Waits until no other request does the work. A client that disconnects leaves the queue.
    ///
    /// # Errors
    /// [`Problem::Busy`] if as many requests as may wait are already waiting.
    pub async fn enter(&self) -> Result<Permit, Problem> {
        let full = |_| Problem::Busy(format!("{} requests already wait for this; ask again later", self.longest));
        let _waiting = self.waiting.try_acquire().map_err(full)?;
        Ok(Permit { _running: self.running.clone().lock_owned().await })
    }
}

impl Permit {
    /// Runs `work` outside the event loop. The permit ends with the work and not with the request, so a client that
    /// disconnects does not let the next work start early.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        unqueued(move || {
            let _permit = self;
            work()
        })
        .await
    }

    /// The same for `work` that takes seconds: it runs on its own thread with a raised niceness, so that threads that
    /// answer requests take precedence. Threads that `work` starts inherit the niceness (on Linux each thread has its
    /// own).
    pub async fn run_at_low_priority<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (send, receive) = oneshot::channel();
        let run = move || {
            let _permit = self;
            let _ = rustix::process::nice(NICENESS); // if it fails, other requests are slightly slower
            let _ = send.send(work()); // fails if the client has disconnected and nothing waits for the result
        };
        let started = thread::Builder::new().name("long work".to_owned()).spawn(run);
        started.or_not_ready("the work cannot be started")?;
        receive.await.or_not_ready("the work was aborted")?
    }
}

/// Runs `work` outside the event loop, without a queue.
pub async fn unqueued<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    web::block(work).await.or_not_ready("the work was aborted")?
}

/// Permits to receive large bodies.
pub struct LargeBodies(Semaphore);

impl Default for LargeBodies {
    fn default() -> Self {
        Self(Semaphore::new(LARGE_BODIES))
    }
}

impl LargeBodies {
    /// Acquires a permit without waiting.
    ///
    /// # Errors
    /// [`Problem::Busy`] if all permits are taken.
    pub fn permit(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let full =
            |_| Problem::Busy(format!("{LARGE_BODIES} large bodies are already being received; send this one later"));
        self.0.try_acquire().map_err(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn one_request_works_and_a_bounded_number_wait() {
        const LONGEST: usize = 32;
        let queue = Arc::new(Queue::new(LONGEST));
        let first = queue.enter().await.ok().unwrap();
        let mut waiting = Vec::new();
        for _ in 0..LONGEST {
            let queue = queue.clone();
            waiting.push(actix_web::rt::spawn(async move { queue.enter().await.is_ok() }));
        }
        tokio::task::yield_now().await;
        assert!(matches!(queue.enter().await, Err(Problem::Busy(_))));
        // A request that gives up leaves room for another.
        waiting.pop().unwrap().abort();
        tokio::task::yield_now().await;
        assert_eq!(queue.waiting.available_permits(), 1);
        drop(first);
        for request in waiting {
            assert!(request.await.unwrap());
        }
        assert_eq!(queue.waiting.available_permits(), LONGEST);
    }
}
