//! What all requests share.

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

/// One service.
pub struct State {
    /// What it was told.
    pub config: Config,
    /// Who may ask.
    pub access: Access,
    /// The model that answers.
    pub live: Live,
    /// What it counts.
    pub metrics: Metrics,
    /// The way to the history.
    pub door: Door,
    /// What pages and lists are made of.
    pub views: Views,
    /// The newest score and diagnosis.
    pub scores: Shared<scoring::Outcome>,
    /// See `scores`.
    pub diagnoses: Shared<Health>,
    /// At a score, a diagnosis, or statistics.
    pub heavy: Turn,
    /// At the database.
    pub history: Turn,
    /// At pages and the call list.
    pub pages: Turn,
    /// At a file of the server; not `heavy`, so that a diagnosis does not hold it up.
    pub files: Turn,
    /// Where large bodies are taken in.
    pub places: Semaphore,
    /// Held by the one large prediction that computes.
    pub computing: Mutex<()>,
}

impl State {
    /// For one config.
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

/// The live model. A new release is loaded on another thread; requests that arrive meanwhile get the release before it.
pub async fn live(state: &Data<State>) -> Result<Arc<LiveModel>, Problem> {
    if let Some(live) = state.live.at_once()? {
        return Ok(live);
    }
    let state = Arc::clone(state);
    web::block(move || state.live.model()).await.map_err(broken_off)?
}
