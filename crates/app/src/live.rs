//! The live model: loaded once, and again when production switches to another release.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, TryLockError};

use anyhow::{Result, ensure};
use common::config::{Config, Threshold};
use common::model::Model;
use common::model::effect::Effect;
use common::production::release::{Production, Release};
use common::schema::Schema;
use common::values::{Value, ValueRef};
use insight::CallList;

use crate::problem::{OrNotReady, Problem};

/// A loaded release that has passed its self-test.
#[derive(Debug)]
pub struct LiveModel {
    /// The release's id.
    pub id: String,
    /// The release's model.
    pub model: Model,
    /// The probability from which a client is predicted to leave.
    pub threshold: Threshold,
    /// The release itself, with its manifest.
    pub release: Release,
    reasons: OnceLock<CallList>,
}

impl LiveModel {
    /// A call list without clients, which explains the risk of any client.
    pub fn reasons(&self) -> &CallList {
        self.reasons.get_or_init(|| CallList::without_clients(&self.id, &self.model, self.threshold))
    }
}

/// Provides the model of the release that is live at the time of each request.
pub struct Live {
    production: Production,
    /// The columns of the config, whose labels and units are used if the release has the same columns.
    columns: Schema,
    loaded: RwLock<Loaded>,
    /// Lock of the request that loads a release; meanwhile other requests are answered with the previous release.
    loading: Mutex<()>,
}

#[derive(Clone, Default)]
struct Loaded {
    model: Option<Arc<LiveModel>>,
    /// Id of a release that could not be loaded. While another one is served, loading is not tried again until
    /// production switches.
    refused: Option<String>,
    /// Number of releases that could not be loaded.
    failures: u64,
}

/// The served model and the state of the live release.
#[derive(Debug)]
pub struct Status {
    /// The model that answers, or the reason why there is none.
    pub served: Result<Arc<LiveModel>, Problem>,
    /// Id of the live release if it could not be loaded.
    pub refused: Option<String>,
    /// Number of releases that could not be loaded since the service started.
    pub failures: u64,
}

impl Live {
    /// Uses the production folder of `config`; loads nothing yet.
    pub fn new(config: &Config) -> Self {
        let (production, columns) = (Production::of(config), config.columns.clone());
        Self { production, columns, loaded: RwLock::default(), loading: Mutex::default() }
    }

    /// Returns the live model if this needs no loading; `None` if it does, which takes a millisecond or more.
    pub fn at_once(&self) -> Result<Option<Arc<LiveModel>>, Problem> {
        let id = self.id()?;
        Ok(self.read().serves(&id))
    }

    /// Returns the live model. Reads the live release's id (one system call) and loads the release only if the id has
    /// changed. If loading fails, the previous release continues to be served.
    ///
    /// # Errors
    /// [`Problem::NotReady`] if nothing is deployed, or if loading fails and there is no previous release.
    pub fn model(&self) -> Result<Arc<LiveModel>, Problem> {
        let id = self.id()?;
        if let Some(served) = self.read().serves(&id) {
            return Ok(served);
        }
        let _loading = match self.loading.try_lock() {
            Ok(loading) => loading,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => match self.read().model {
                Some(previous) => return Ok(previous),
                None => self.loading.lock().unwrap_or_else(PoisonError::into_inner),
            },
        };
        let before = self.read();
        if let Some(served) = before.serves(&id) {
            return Ok(served); // another request was faster
        }
        match self.load(&id) {
            Ok(model) => {
                let model = Arc::new(model);
                tracing::info!(release = id, "serving a new release");
                self.write(Loaded { model: Some(model.clone()), refused: None, failures: before.failures });
                Ok(model)
            }
            Err(error) => {
                let again = before.refused.as_ref() == Some(&id);
                // If nothing else can be served, every request tries again, but only the first failure of a release is
                // logged.
                if !again {
                    tracing::error!(release = id, "the release cannot be loaded: {error:#}");
                }
                let failures = before.failures + u64::from(!again);
                self.write(Loaded { model: before.model.clone(), refused: Some(id), failures });
                before.model.ok_or_else(|| {
                    Problem::NotReady(
                        "the deployed release cannot be loaded; the server's log gives the reason".to_owned(),
                    )
                })
            }
        }
    }

    /// Checks production for a new release, and returns the resulting state.
    pub fn status(&self) -> Status {
        let served = self.model();
        let Loaded { refused, failures, .. } = self.read();
        // A refused release that is no longer live is not reported.
        let live = self.production.current_id().ok().flatten();
        Status { served, refused: refused.filter(|refused| Some(refused) == live.as_ref()), failures }
    }

    fn id(&self) -> Result<String, Problem> {
        let nothing = || Problem::NotReady("nothing is deployed yet; run fullprocess on the server".to_owned());
        self.production.current_id().or_not_ready("production cannot be read")?.ok_or_else(nothing)
    }

    fn load(&self, id: &str) -> Result<LiveModel> {
        let release = self.production.release(id)?;
        release.verify()?;
        let mut model = release.model()?;
        self_test(&model)?;
        model.schema = model.schema.presented_as(&self.columns);
        Ok(LiveModel {
            id: release.id.clone(),
            model,
            threshold: release.threshold()?,
            release,
            reasons: OnceLock::new(),
        })
    }

    fn read(&self) -> Loaded {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, loaded: Loaded) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }
}

impl Loaded {
    /// The model to serve while `id` is live, if this needs no loading.
    fn serves(&self, id: &str) -> Option<Arc<LiveModel>> {
        let model = self.model.as_ref()?;
        (model.id == id || self.refused.as_deref() == Some(id)).then(|| model.clone())
    }
}

/// Checks predictions whose results are known in advance: a client with only missing values equals one with the imputed
/// values; a higher number, or another level, raises or lowers the risk as its coefficient says; a level that no
/// training row had changes nothing.
fn self_test(model: &Model) -> Result<()> {
    let imputed: Vec<Option<Value>> = model.effects.iter().map(|effect| Some(effect.imputed())).collect();
    let ordinary = model.probability(&imputed);
    ensure!((0.0..=1.0).contains(&ordinary), "the risk of a client with the imputed values is {ordinary}");
    let unknown = model.probability(&vec![None; imputed.len()]);
    ensure!(unknown == ordinary, "an unknown client's risk is {unknown}, that of the imputed values {ordinary}");
    for (j, (effect, predictor)) in model.effects.iter().zip(model.schema.predictors()).enumerate() {
        let risk_with = |value: Value| {
            let mut values = imputed.clone();
            values[j] = Some(value);
            model.probability(&values)
        };
        let in_order = match effect {
            Effect::Number(number) => {
                let more = number.median + number.median.abs().max(1.0);
                let risk = risk_with(Value::Number(more.min(f64::MAX)));
                (0.0..=1.0).contains(&risk) && has_sign_of(number.coefficient, ordinary, risk)
            }
            Effect::Category(category) => {
                let risk = |name: &str| risk_with(Value::from(name));
                let risks = category.levels.iter().map(|level| (level.coefficient, risk(&level.name)));
                let (now, unseen) = (category.imputed().coefficient, ValueRef::Level(UNSEEN));
                model.contribution(j, Some(unseen)) == 0.0
                    && risks.into_iter().all(|(coefficient, risk)| has_sign_of(coefficient - now, ordinary, risk))
            }
        };
        ensure!(in_order, "another {} changes the risk against its coefficient", predictor.name);
    }
    Ok(())
}

/// A text that is no level, because a level holds no control character.
const UNSEEN: &str = "\0";

/// Whether the step from the risk `before` to `after` has the sign of `effect`. Rounding may make it 0.
fn has_sign_of(effect: f64, before: f64, after: f64) -> bool {
    match effect {
        effect if effect > 0.0 => after >= before,
        effect if effect < 0.0 => after <= before,
        _ => after == before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::production::release::Production;
    use testkit::Workspace;

    #[test]
    fn a_model_that_contradicts_itself_fails_its_self_test() {
        let workspace = Workspace::with_data();
        workspace.deploy();
        let model = Production::of(&workspace.config()).live().unwrap().model().unwrap();
        self_test(&model).unwrap();
        assert!(self_test(&Model { intercept: f64::NAN, ..model.clone() }).is_err());
        let mut broken = model;
        let Effect::Number(effect) = &mut broken.effects[0] else { panic!("{broken:?}") };
        effect.coefficient = f64::NAN;
        assert!(self_test(&broken).is_err());
    }
}
