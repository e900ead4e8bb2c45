//! All open connections: how long the service waits for each peer, how much memory and disk space answers hold for them,
//! and which is closed when there is too much of either.
//!
//! A connection that waits for its peer has a deadline. One sweep looks after the deadlines of all, because a timer for
//! each wait would cost more than most requests do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::limits::{MOST_HELD, MOST_STORED};

/// A deadline of a connection that does not wait for its peer.
const NONE: u64 = u64::MAX;

/// The most connections that are given up at once. Each gets an answer that says why, which delays other requests.
const AT_ONCE: usize = 100;

/// All open connections of the process.
pub struct Peers {
    open: Mutex<Open>,
    /// The most connections; from fifteen sixteenths on the one that has waited longest for its peer makes room.
    most: usize,
    began: Instant,
    stopping: AtomicBool,
    closed: Notify,
}

#[derive(Default)]
struct Open {
    peers: HashMap<u64, Arc<State>>,
    next: u64,
    /// How many of them are given up and have not ended yet.
    given_up: usize,
}

/// What one connection tells the sweep. Times are milliseconds since the service began.
struct State {
    /// When the peer must have acted.
    deadline: AtomicU64,
    /// Since when the peer has not acted.
    since: AtomicU64,
    /// Bytes of memory that wait for the peer.
    held: AtomicU64,
    /// Bytes of a temporary file that wait for it.
    stored: AtomicU64,
    given_up: AtomicBool,
    waker: AtomicWaker,
}

/// One open connection, registered as long as the value lives.
pub struct Peer {
    peers: Arc<Peers>,
    id: u64,
    state: Arc<State>,
}

impl Peers {
    /// An empty registry of up to `most` connections.
    pub fn new(most: usize) -> Self {
        Self {
            open: Mutex::default(),
            most: most.max(1),
            began: Instant::now(),
            stopping: AtomicBool::default(),
            closed: Notify::new(),
        }
    }

    /// Registers a connection. Where there are nearly as many as there may be, those that have waited longest for their
    /// peers are closed; where all are at work, waits until one has ended.
    pub async fn admit(self: &Arc<Self>) -> Peer {
        loop {
            let closed = self.closed.notified();
            {
                let mut open = self.open();
                if open.peers.len() - open.given_up >= self.most - self.most / 16 {
                    open.give_up_longest(AT_ONCE.min(self.most / 16 + 1));
                }
                if open.peers.len() < self.most {
                    let (id, state) = (open.next, Arc::<State>::default());
                    open.next += 1;
                    open.peers.insert(id, state.clone());
                    return Peer { peers: self.clone(), id, state };
                }
            }
            closed.await;
        }
    }

    /// Gives up the connections whose peers have missed their deadlines, and those that have waited longest while more is
    /// held than may be.
    pub fn sweep(&self) {
        let now = self.milliseconds(Instant::now());
        let mut open = self.open();
        let late = open.peers.values().filter(|state| state.waits() && state.deadline.load(Ordering::Relaxed) < now);
        open.given_up += late.take(AT_ONCE).map(|state| state.give_up()).count();
        open.relieve();
    }

    /// From now on a connection ends where nothing more has been sent to it.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.open().peers.values().for_each(|state| state.waker.wake());
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.began).as_millis() as u64
    }
}

impl Open {
    /// Gives up the `most` that have waited longest.
    fn give_up_longest(&mut self, most: usize) {
        let mut waiting: Vec<_> = self.peers.values().filter(|state| state.waits()).collect();
        let most = most.min(waiting.len());
        if most > 0 {
            waiting.select_nth_unstable_by_key(most - 1, |state| state.since.load(Ordering::Relaxed));
            waiting[..most].iter().for_each(|state| state.give_up());
        }
        self.given_up += most;
    }

    /// Gives up those that have waited longest, until no more is held than may be; returns whether that is so. The largest
    /// answer is not counted, so that one that is larger than all may be is sent too.
    fn relieve(&mut self) -> bool {
        let held = self.relieve_of(|state| &state.held, MOST_HELD);
        let stored = self.relieve_of(|state| &state.stored, MOST_STORED);
        held && stored
    }

    fn relieve_of(&mut self, amount: fn(&State) -> &AtomicU64, most: u64) -> bool {
        let of = |state: &State| amount(state).load(Ordering::Relaxed);
        let counted = self.peers.values().filter(|state| !state.given_up.load(Ordering::Relaxed));
        let (mut sum, mut largest) = (0, 0);
        for amount in counted.map(|state| of(state)) {
            sum += amount;
            largest = amount.max(largest);
        }
        if sum - largest > most {
            let mut waiting: Vec<_> = self.peers.values().filter(|state| state.waits() && of(state) > 0).collect();
            waiting.sort_by_key(|state| state.since.load(Ordering::Relaxed));
            for state in waiting {
                if sum - largest.min(sum) <= most {
                    break;
                }
                sum -= of(state).min(sum);
                state.give_up();
                self.given_up += 1;
            }
        }
        sum - largest.min(sum) <= most
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            deadline: AtomicU64::new(NONE),
            since: AtomicU64::default(),
            held: AtomicU64::default(),
            stored: AtomicU64::default(),
            given_up: AtomicBool::default(),
            waker: AtomicWaker::new(),
        }
    }
}

impl State {
    /// Whether it waits for its peer.
    fn waits(&self) -> bool {
        self.deadline.load(Ordering::Relaxed) != NONE && !self.given_up.load(Ordering::Relaxed)
    }

    /// Ends the connection; called under the lock, once.
    fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Peer {
    /// Whether the service is stopping.
    pub fn is_stopping(&self) -> bool {
        self.peers.stopping.load(Ordering::Relaxed)
    }

    /// From now on the peer has to act within `patience`, while `held` bytes wait for it; `waker` is woken when that has
    /// passed, or when it makes room for others.
    pub fn waits(&self, since: Instant, patience: Duration, held: u64) {
        self.state.since.store(self.peers.milliseconds(since), Ordering::Relaxed);
        self.state.held.store(held, Ordering::Relaxed);
        self.state.deadline.store(self.peers.milliseconds(since + patience), Ordering::Relaxed);
    }

    /// The peer has acted.
    pub fn acted(&self) {
        self.state.deadline.store(NONE, Ordering::Relaxed);
    }

    /// Whether the connection is to end, because its peer has missed its deadline or others need the room.
    pub fn is_given_up(&self, waker: &std::task::Waker) -> bool {
        self.state.waker.register(waker);
        self.state.given_up.load(Ordering::Acquire)
    }

    /// Counts an answer that waits for the peer: bytes of memory, and of a temporary file. Peers that have waited longest
    /// make room for it; returns whether there is room now.
    pub fn holds(&self, held: u64, stored: u64) -> bool {
        self.state.held.store(held, Ordering::Relaxed);
        self.state.stored.store(stored, Ordering::Relaxed);
        held + stored == 0 || self.peers.open().relieve()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        open.peers.remove(&self.id);
        open.given_up -= usize::from(self.state.given_up.load(Ordering::Relaxed));
        drop(open);
        self.peers.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn waiting(peers: &Arc<Peers>, seconds: u64, held: u64) -> Peer {
        let peer = peers.admit().await;
        peer.waits(peers.began + Duration::from_secs(seconds), Duration::from_secs(60), held);
        peer
    }

    fn given_up(peers: &[Peer]) -> Vec<bool> {
        peers.iter().map(|peer| peer.state.given_up.load(Ordering::Relaxed)).collect()
    }

    #[actix_web::test]
    async fn the_peers_that_have_waited_longest_make_room_for_memory_and_the_largest_answer_is_not_counted() {
        let peers = Arc::new(Peers::new(100));
        let mut all = Vec::new();
        for seconds in [3, 1, 2] {
            all.push(waiting(&peers, seconds, MOST_HELD / 2).await);
        }
        peers.sweep();
        assert_eq!(given_up(&all), [false, false, false]);
        let new = peers.admit().await;
        assert!(new.holds(2 * MOST_HELD, 0));
        assert_eq!(given_up(&all), [false, true, false]);
        // A peer that is being answered is not given up.
        let second = peers.admit().await;
        assert!(!second.holds(3 * MOST_HELD, 0));
        assert_eq!(given_up(&all), [true, true, true]);
        drop(new);
        assert!(second.holds(3 * MOST_HELD, 0));
    }

    #[actix_web::test]
    async fn the_peers_that_have_waited_longest_make_room_for_connections() {
        let peers = Arc::new(Peers::new(16));
        let mut all = vec![peers.admit().await];
        for seconds in 1..15 {
            all.push(waiting(&peers, seconds, 0).await);
        }
        assert!(!given_up(&all).contains(&true));
        let _new = peers.admit().await;
        assert_eq!(given_up(&all)[..4], [false, true, true, false]);
    }

    #[actix_web::test]
    async fn a_missed_deadline_ends_a_connection_only_while_it_waits() {
        let peers = Arc::new(Peers::new(16));
        let all = [peers.admit().await, peers.admit().await, peers.admit().await];
        let past = peers.began;
        all[1].waits(past, Duration::ZERO, 0);
        all[2].waits(past, Duration::ZERO, 0);
        all[2].acted();
        while peers.milliseconds(Instant::now()) < 2 {
            std::thread::yield_now();
        }
        peers.sweep();
        assert_eq!(given_up(&all), [false, true, false]);
    }
}
