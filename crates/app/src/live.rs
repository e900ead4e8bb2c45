//! The live model: loaded once, and again when production has switched to another release.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;
use common::checksum::Checksum;
use common::cli::narrate;
use common::config::{Config, Threshold};
use common::model::Model;
use common::release::Production;

use crate::problem::Problem;

/// A loaded release.
#[derive(Debug)]
pub struct LiveModel {
    /// The release's id.
    pub id: String,
    /// Its model.
    pub model: Model,
    /// The probability from which its clients count as leaving.
    pub threshold: Threshold,
    /// Of its model's file.
    pub model_sha256: Checksum,
}

/// Gives every request the model of the release that is live at that moment.
pub struct Live {
    production: Production,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    loaded: Option<Arc<LiveModel>>,
    /// The release that could not be loaded; while another is served it is not tried again until production switches.
    refused: Option<String>,
}

impl Live {
    /// For the production folder that `config` names; loads nothing yet.
    pub fn new(config: &Config) -> Self {
        Self { production: Production::of(config), state: RwLock::default() }
    }

    /// The live model. Asks the file system for the release's id (one system call) and loads only when it has changed;
    /// a release that fails to load leaves the one before serving.
    pub fn model(&self) -> Result<Arc<LiveModel>, Problem> {
        let nothing = || Problem::NotReady("nothing is deployed yet; run fullprocess on the server".to_owned());
        let id = match self.production.current_id() {
            Ok(id) => id.ok_or_else(nothing)?,
            Err(error) => return Err(Problem::not_ready("production cannot be read", &error)),
        };
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(served) = state.serves(&id) {
                return Ok(served);
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(served) = state.serves(&id) {
            return Ok(served); // another request was faster
        }
        match self.load(&id) {
            Ok(model) => {
                let model = Arc::new(model);
                state.loaded = Some(model.clone());
                state.refused = None;
                Ok(model)
            }
            Err(error) => {
                // With nothing else to serve every request tries again, and the first one says why in the log.
                if state.refused.as_ref() != Some(&id) {
                    narrate(format_args!("error: release {id} cannot be loaded: {error:#}"));
                }
                state.refused = Some(id);
                state.loaded.clone().ok_or_else(|| {
                    Problem::NotReady("the deployed release cannot be loaded; the server's log says why".to_owned())
                })
            }
        }
    }

    fn load(&self, id: &str) -> Result<LiveModel> {
        let release = self.production.release(id)?;
        release.verify()?;
        Ok(LiveModel {
            model: release.model()?,
            threshold: release.threshold()?,
            model_sha256: release.manifest.score.model_sha256,
            id: release.id,
        })
    }
}

impl State {
    /// The model to serve while `id` is live, where that needs no loading.
    fn serves(&self, id: &str) -> Option<Arc<LiveModel>> {
        let loaded = self.loaded.as_ref()?;
        (loaded.id == id || self.refused.as_deref() == Some(id)).then(|| loaded.clone())
    }
}
