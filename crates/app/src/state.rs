//! The state that all requests share.

use std::sync::{Arc, Mutex};

use actix_web::web::{self, Data};
use common::config::Config;
use diagnostics::Health;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::door::Door;
use crate::limits::LARGE_BODIES;
use crate::live::{Live, LiveModel};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::turn::{Shared, Turn, broken_off};
use crate::views::Views;

/// The shared state of one running service.
pub struct State {
    pub config: Config,
    /// Rules for who may send requests.
    pub access: Access,
    /// The live model, which answers predictions.
    pub live: Live,
    /// Counters behind the endpoint `/metrics`.
    pub metrics: Metrics,
    /// Access to the history database, with a circuit breaker.
    pub door: Door,
    /// Cached data from which pages and lists are made.
    pub views: Views,
    /// The newest score, shared by requests while it is young enough.
    pub scores: Shared<scoring::Outcome>,
    /// The newest diagnosis, shared in the same way.
    pub diagnoses: Shared<Health>,
    /// Queue for computing scores, diagnoses and statistics.
    pub heavy: Turn,
    /// Queue for database queries.
    pub history: Turn,
    /// Queue for pages and the call list.
    pub pages: Turn,
    /// Queue for predictions from a file on the server. It is separate from `heavy`, so that a diagnosis does not delay
    /// them.
    pub files: Turn,
    /// Permits to receive large bodies.
    pub places: Semaphore,
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
            door: Door::default(),
            views: Views::default(),
            scores: Shared::default(),
            diagnoses: Shared::default(),
            heavy: Turn::default(),
            history: Turn::default(),
            pages: Turn::default(),
            files: Turn::default(),
            places: Semaphore::new(LARGE_BODIES),
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
    web::block(move || state.live.model()).await.map_err(broken_off)?
}
