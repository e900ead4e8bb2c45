//! Registry of all open connections: how long the service waits for each peer, how much memory and disk space answers
//! hold for the peers, and which connections are closed if there is too much of either.
//!
//! A connection that waits for its peer has a deadline. One periodic sweep checks all deadlines, because one timer per
//! wait would cost more than most requests do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::limits::{MOST_HELD, MOST_STORED};

/// The deadline of a connection that does not wait for its peer.
const NONE: u64 = 0;

/// Maximum number of connections that are given up at once. Each gets an answer with the reason, which delays other
/// requests.
const AT_ONCE: usize = 100;

/// All open connections of the process.
pub struct Peers {
    open: Mutex<Open>,
    /// Maximum number of connections. From fifteen sixteenths of it on, the connections that have waited longest for
    /// their peers are closed to make room.
    most: usize,
    began: Instant,
    stopping: AtomicBool,
    closed: Notify,
}

#[derive(Default)]
struct Open {
    peers: HashMap<u64, Arc<PeerState>>,
    next: u64,
    /// Number of connections in `peers` that are given up but have not ended yet.
    given_up: usize,
}

/// The part of a connection's state that the sweep reads. Times are milliseconds since the service started, plus one.
#[derive(Default)]
struct PeerState {
    /// When the peer must have acted; [`NONE`] if the connection does not wait for it.
    deadline: AtomicU64,
    /// When the peer last acted.
    since: AtomicU64,
    /// Bytes of memory that are held for the peer.
    held: AtomicU64,
    /// Bytes of a temporary file that are held for the peer.
    stored: AtomicU64,
    given_up: AtomicBool,
    waker: AtomicWaker,
}

/// An open connection; dropping the value removes it from the registry.
pub struct Peer {
    peers: Arc<Peers>,
    id: u64,
    state: Arc<PeerState>,
}

impl Peers {
    /// An empty registry for up to `most` connections.
    pub fn new(most: usize) -> Self {
        Self {
            open: Mutex::default(),
            most: most.max(1),
            began: Instant::now(),
            stopping: AtomicBool::default(),
            closed: Notify::new(),
        }
    }

    /// Registers a connection. If the maximum is nearly reached, the connections that have waited longest for their
    /// peers are closed. If all connections are busy, waits until one has ended.
    pub async fn admit(self: &Arc<Self>) -> Peer {
        loop {
            let closed = self.closed.notified();
            {
                let mut open = self.open();
                if open.peers.len() - open.given_up >= self.most - self.most / 16 {
                    open.give_up_longest(AT_ONCE.min(self.most / 16 + 1));
                }
                if open.peers.len() < self.most {
                    let (id, state) = (open.next, Arc::<PeerState>::default());
                    open.next += 1;
                    open.peers.insert(id, state.clone());
                    return Peer { peers: self.clone(), id, state };
                }
            }
            closed.await;
        }
    }

    /// Gives up connections whose peers have missed their deadlines. If answers hold too much memory or disk space,
    /// also gives up the connections that have waited longest.
    pub fn sweep(&self) {
        let now = self.milliseconds(Instant::now());
        let mut open = self.open();
        let late = open.peers.values().filter(|state| state.waits() && state.deadline.load(Ordering::Relaxed) < now);
        open.given_up += late.take(AT_ONCE).map(|state| state.give_up()).count();
        open.relieve();
    }

    /// Starts the shutdown: each connection ends as soon as its peer has sent no further request.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.open().peers.values().for_each(|state| state.waker.wake());
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.began).as_millis() as u64 + 1
    }
}

impl Open {
    /// Gives up the `most` connections that have waited longest.
    fn give_up_longest(&mut self, most: usize) {
        let mut waiting: Vec<_> = self.peers.values().filter(|state| state.waits()).collect();
        let most = most.min(waiting.len());
        if most > 0 {
            waiting.select_nth_unstable_by_key(most - 1, |state| state.since.load(Ordering::Relaxed));
            waiting[..most].iter().for_each(|state| state.give_up());
        }
        self.given_up += most;
    }

    /// Gives up connections that have waited longest until answers hold no more than the limits allow; returns whether
    /// this was achieved. The largest answer is not counted, so that even an answer larger than the limit can be sent.
    fn relieve(&mut self) -> bool {
        let held = self.relieve_of(|state| &state.held, MOST_HELD);
        let stored = self.relieve_of(|state| &state.stored, MOST_STORED);
        held && stored
    }

    fn relieve_of(&mut self, amount: fn(&PeerState) -> &AtomicU64, most: u64) -> bool {
        let of = |state: &PeerState| amount(state).load(Ordering::Relaxed);
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

impl PeerState {
    /// Whether the connection waits for its peer and has not been given up.
    fn waits(&self) -> bool {
        self.deadline.load(Ordering::Relaxed) != NONE && !self.given_up.load(Ordering::Relaxed)
    }

    /// Marks the connection as given up and wakes its task. Must be called under the lock and only once.
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

    /// Starts a wait: the peer must act within `patience` from `since` on, while `held` bytes of memory are held for
    /// it. The waker that [`is_given_up`](Self::is_given_up) registers is woken when that time has passed, or when the
    /// connection must make room for others.
    pub fn waits(&self, since: Instant, patience: Duration, held: u64) {
        self.state.since.store(self.peers.milliseconds(since), Ordering::Relaxed);
        self.state.held.store(held, Ordering::Relaxed);
        self.state.deadline.store(self.peers.milliseconds(since + patience), Ordering::Relaxed);
    }

    /// Ends the wait, because the peer has acted.
    pub fn acted(&self) {
        self.state.deadline.store(NONE, Ordering::Relaxed);
    }

    /// Whether the connection must end, because its peer has missed its deadline or because others need its resources.
    /// Registers `waker` to be woken at that time.
    pub fn is_given_up(&self, waker: &std::task::Waker) -> bool {
        self.state.waker.register(waker);
        self.state.given_up.load(Ordering::Acquire)
    }

    /// Counts an answer that waits for the peer, in bytes of memory and of a temporary file. Connections that have
    /// waited longest are closed to make room for it; returns whether there is room now.
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
        // A connection whose request is being processed is not given up.
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
