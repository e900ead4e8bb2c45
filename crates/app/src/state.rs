//! The state that all requests share.

use std::sync::{Arc, Mutex};

use actix_web::web::Data;
use common::config::Config;
use diagnostics::Health;

use crate::access::Access;
use crate::cache::AnswerCache;
use crate::circuit_breaker::CircuitBreaker;
use crate::limits::{LONGEST_CONTACT_QUEUE, LONGEST_INFERENCE_QUEUE, LONGEST_PAGE_QUEUE, LONGEST_QUEUE};
use crate::live::{Live, LiveModel};
use crate::metrics::{LastKnown, Metrics};
use crate::problem::Problem;
use crate::queue::{LargeBodies, Queue, unqueued};
use crate::views::Views;

/// The shared state of one running service. `limits` says how requests wait for its queues and caches.
pub struct State {
    pub config: Config,
    /// Rules for who may send requests.
    pub access: Access,
    /// The live model, which answers predictions.
    pub live: Live,
    /// Counters behind the endpoint `/metrics`.
    pub metrics: Metrics,
    /// What the history said when the metrics were read last.
    pub last_known: LastKnown,
    /// Opens the history database.
    pub circuit_breaker: CircuitBreaker,
    /// Cached data from which pages and lists are made.
    pub views: Views,
    pub scores: AnswerCache<scoring::Outcome>,
    pub diagnoses: AnswerCache<Health>,
    /// Queue for computing scores, diagnoses and statistics.
    pub scoring_queue: Queue,
    /// Queue for database queries.
    pub history_queue: Queue,
    /// Queue for recording contacts. It is separate from `history_queue`, so that readers do not delay it.
    pub contact_queue: Queue,
    /// Queue for pages and the call list.
    pub page_queue: Queue,
    /// Queue for predictions from a file on the server. It is separate from `scoring_queue`, so that a diagnosis does
    /// not delay them.
    pub file_queue: Queue,
    /// Queue for inference requests.
    pub inference_queue: Queue,
    /// Permits to receive large bodies.
    pub large_bodies: LargeBodies,
    /// Lock of the one large prediction that is computing.
    pub computing: Mutex<()>,
}

impl State {
    /// The initial state for one config; loads no model yet.
    pub fn new(config: Config, access: Access) -> Self {
        Self {
            access,
            live: Live::new(&config),
            config,
            metrics: Metrics::default(),
            last_known: LastKnown::default(),
            circuit_breaker: CircuitBreaker::default(),
            views: Views::default(),
            scores: AnswerCache::default(),
            diagnoses: AnswerCache::default(),
            scoring_queue: Queue::new(LONGEST_QUEUE),
            history_queue: Queue::new(LONGEST_QUEUE),
            contact_queue: Queue::new(LONGEST_CONTACT_QUEUE),
            page_queue: Queue::new(LONGEST_PAGE_QUEUE),
            file_queue: Queue::new(LONGEST_QUEUE),
            inference_queue: Queue::new(LONGEST_INFERENCE_QUEUE),
            large_bodies: LargeBodies::default(),
            computing: Mutex::default(),
        }
    }
}

/// Returns the live model. A new release is loaded on another thread; requests that arrive meanwhile get the previous
/// release.
pub async fn live(state: &Data<State>) -> Result<Arc<LiveModel>, Problem> {
    if let Some(live) = state.live.at_once()? {
        return Ok(live);
    }
    let state = Arc::clone(state);
    unqueued(move || state.live.model()).await
}
