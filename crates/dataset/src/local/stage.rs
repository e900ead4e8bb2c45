//! Stages through which numbered pieces of work pass in order, while threads work on them side by side.
//!
//! A thread takes a piece, does what needs no order, and then passes one stage after the other. At each stage the
//! pieces are served in the order of their numbers, one at a time. So a result does not depend on the number of
//! threads, and different pieces are in different stages at the same time.

use std::hint::spin_loop;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Interval at which a waiting thread checks that no other one has panicked.
const CHECK: Duration = Duration::from_millis(100);
/// Number of times that a thread looks whether it is its turn before it sleeps. They take about ten microseconds: most
/// turns are shorter, and waking a thread takes longer.
const LOOKS: usize = 500;

/// A stage with what it works on.
pub struct Stage<T> {
    /// Number of the piece whose turn it is. Changed only while `state` is locked.
    next: AtomicU64,
    state: Mutex<State<T>>,
    passed: Condvar,
}

struct State<T> {
    /// Number of threads that sleep until it is their turn.
    sleeping: usize,
    value: T,
}

/// Whether a thread has panicked, so that its piece will pass no further stage.
#[derive(Default)]
pub struct Panicked(AtomicBool);

impl<T> Stage<T> {
    pub fn new(value: T) -> Self {
        Self { next: AtomicU64::new(0), state: Mutex::new(State { sleeping: 0, value }), passed: Condvar::new() }
    }

    /// Waits until all pieces with lower numbers have passed, and does `work`. Every number from 0 must pass once.
    /// `None` if another thread has panicked.
    pub fn pass<R>(&self, number: u64, panicked: &Panicked, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let is_next = || self.next.load(Ordering::Acquire) == number;
        let mut looks = 0;
        while !is_next() && looks < LOOKS {
            spin_loop();
            looks += 1;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_next() {
            if panicked.0.load(Ordering::Relaxed) {
                return None;
            }
            state.sleeping += 1;
            (state, _) = self.passed.wait_timeout(state, CHECK).unwrap_or_else(PoisonError::into_inner);
            state.sleeping -= 1;
        }
        let result = work(&mut state.value);
        self.next.store(number + 1, Ordering::Release);
        let sleeping = state.sleeping;
        drop(state);
        if sleeping > 0 {
            self.passed.notify_all();
        }
        Some(result)
    }

    pub fn into_inner(self) -> T {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).value
    }
}

/// Runs `work` on so many threads, one of which is the current one; on fewer if the system starts no more. A panic of a
/// thread becomes one of the caller, after all threads have ended.
pub fn on_threads(threads: usize, work: impl Fn(&Panicked) + Sync) {
    struct Noted<'a>(&'a Panicked);
    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                self.0.0.store(true, Ordering::Relaxed);
            }
        }
    }
    let panicked = Panicked::default();
    let noted = || {
        let _noted = Noted(&panicked);
        work(&panicked);
    };
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, noted).ok();
        let others: Vec<_> = (1..threads).map_while(start).collect();
        noted();
        for other in others {
            if let Err(panic) = other.join() {
                resume_unwind(panic);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn pieces_pass_in_order_whichever_thread_is_faster() {
        let (taken, first, second) = (AtomicU64::new(0), Stage::new(Vec::new()), Stage::new(Vec::new()));
        on_threads(4, |panicked| {
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                if number >= 1000 {
                    break;
                }
                if number % 7 == 0 {
                    thread::yield_now();
                }
                for stage in [&first, &second] {
                    stage.pass(number, panicked, |passed| passed.push(number)).unwrap();
                }
            }
        });
        let all: Vec<u64> = (0..1000).collect();
        assert_eq!((first.into_inner(), second.into_inner()), (all.clone(), all));
    }

    #[test]
    fn a_panic_ends_all_threads() {
        for in_stage in [false, true] {
            let (taken, stage) = (AtomicU64::new(0), Stage::new(()));
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                on_threads(3, |panicked| {
                    let number = taken.fetch_add(1, Ordering::Relaxed);
                    assert!(in_stage || number != 1, "a defect");
                    stage.pass(number, panicked, |()| assert!(number != 1, "a defect"));
                });
            }));
            assert!(ended.is_err());
        }
    }
}
