//! What all requests share.

use std::sync::{Arc, Mutex};

use actix_web::web::{self, Data};
use common::config::Config;
use diagnostics::Health;
use tokio::sync::{OwnedMutexGuard, Semaphore};

use crate::access::Access;
use crate::limits::LARGE_BODIES;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::turn::{Shared, Turn};
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

/// Does what takes long beside the event loop, while it holds a `turn`: that ends with the work, and not with the request,
/// so that a client that hangs up does not let the next one begin.
pub async fn beside<T: Send + 'static>(
    state: &Data<State>,
    turn: OwnedMutexGuard<()>,
    work: impl FnOnce(&State) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let state = Arc::clone(state);
    let done = web::block(move || {
        let _turn = turn;
        work(&state)
    });
    done.await.map_err(|error| Problem::not_ready("the work was broken off", &error.into()))?
}
