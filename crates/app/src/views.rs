//! The data that pages and lists are made of, computed once and cached until a file, the release or the history
//! changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use common::config::Config;
use common::config::is_address;
use common::files::{FINAL_DATA, INGESTION_RECORD, csv_files};
use common::model::schema::Predictors;
use dataset::Description;
use history::{History, RunRow};
use insight::{Call, CallList, Evidence, Figures, Section};

use crate::cache::{FileIdentity, SourceCache};
use crate::circuit_breaker::CircuitBreaker;
use crate::live::LiveModel;
use crate::problem::{OrNotReady, Problem};

#[derive(Default)]
pub struct Views {
    dataset: SourceCache<FileIdentity, Box<dyn dataset::Clients>>,
    description: SourceCache<FileIdentity, Description>,
    clients: SourceCache<(String, FileIdentity), RankedClients>,
    overview: SourceCache<OverviewKey, Overview>,
}

/// The clients with their risks under the live model.
pub struct RankedClients {
    /// The current clients, highest risk first.
    pub list: Arc<CallList>,
    dataset: Arc<Box<dyn dataset::Clients>>,
}

/// One row of a client with its risk under the live model.
#[derive(Debug)]
pub struct ScoredRow {
    /// The row's predictors; `None` for a missing value.
    pub predictors: Predictors,
    /// Whether the client left; `None` if unknown.
    pub exited: Option<bool>,
    /// The probability of leaving.
    pub risk: f64,
}

/// A client found by a search.
#[derive(Debug)]
pub struct Found {
    /// The client's name.
    pub corporation: String,
    /// The client's entry in the call list; `None` if the client has left, or if the list is incomplete and ends before
    /// it.
    pub call: Option<Call>,
}

#[derive(PartialEq)]
struct OverviewKey {
    release: String,
    data: FileIdentity,
    test: Vec<FileIdentity>,
    run: Option<i64>,
}

/// The state of the model and its data.
pub struct Overview {
    /// The sections of the report.
    pub sections: Vec<Section>,
    /// The newest run of `fullprocess`; `None` if none is recorded.
    pub last_process: Option<RunRow>,
}

impl Views {
    /// Statistics of the compiled dataset's columns.
    pub fn description(&self, config: &Config) -> Result<Arc<Description>, Problem> {
        let (identity, dataset) = self.identified_dataset(config)?;
        self.description.get(identity, || dataset.describe()).or_not_ready("the statistics cannot be computed")
    }

    /// The clients with their risks under `live`.
    pub fn clients(&self, config: &Config, live: &LiveModel) -> Result<Arc<RankedClients>, Problem> {
        let (identity, dataset) = self.identified_dataset(config)?;
        let capacity = config.call_capacity as usize;
        self.clients.get((live.id.clone(), identity), || {
            let list = CallList::of(&**dataset, &live.id, &live.model, live.threshold, capacity)
                .or_not_ready("the call list cannot be made")?;
            Ok(RankedClients { list: list.into(), dataset })
        })
    }

    /// The state of the model `live` and of its data.
    ///
    /// # Errors
    /// Returns an error if the history or the compiled dataset cannot be read.
    pub fn overview(
        &self,
        config: &Config,
        circuit_breaker: &CircuitBreaker,
        live: &LiveModel,
        clients: &RankedClients,
    ) -> Result<Arc<Overview>> {
        let mut history = circuit_breaker.open(config)?.context("there is no history yet")?;
        let newest = history.newest::<RunRow>(1)?;
        // Test data on shared storage are read again only when the release or the history changes.
        let test = if is_address(&config.test_data) { Vec::new() } else { csv_files(&config.test_data)? };
        let key = OverviewKey {
            release: live.id.clone(),
            data: identity(config)?,
            test: test.iter().map(|file| FileIdentity::of(&file.path)).collect::<Result<_, _>>()?,
            run: newest.first().map(|run| run.run),
        };
        let description = self.description(config).map_err(|problem| anyhow!("{problem}"))?;
        self.overview.get(key, || Overview::new(config, &mut history, live, clients, &description))
    }

    fn identified_dataset(&self, config: &Config) -> Result<(FileIdentity, Arc<Box<dyn dataset::Clients>>), Problem> {
        let read = || -> Result<_> {
            let identity = identity(config)?;
            let dataset =
                self.dataset.get(identity.clone(), || dataset::open(config)?.compiled(&config.output_folder))?;
            Ok((identity, dataset))
        };
        read().or_not_ready("there is no usable compiled dataset; run ingestion on the server")
    }
}

/// A value that changes whenever the compiled dataset does.
fn identity(config: &Config) -> Result<FileIdentity> {
    let file = if config.engine.is_some() { INGESTION_RECORD } else { FINAL_DATA };
    FileIdentity::of(&config.output_folder.join(file)).with_context(|| format!("reading the metadata of {file}"))
}

impl RankedClients {
    /// All rows of one client, oldest first.
    pub fn rows(&self, corporation: &str, live: &LiveModel) -> Result<Vec<ScoredRow>> {
        let rows = self.dataset.rows_of(corporation)?.into_iter();
        Ok(rows
            .map(|dataset::ClientRow { predictors, exited }| ScoredRow {
                predictors,
                exited,
                risk: live.model.probability(&predictors),
            })
            .collect())
    }

    /// The client's entry in the call list; `None` if it is not in the list.
    pub fn call(&self, corporation: &str) -> Option<&Call> {
        self.list.calls.iter().find(|call| call.corporation == corporation)
    }

    /// Searches current and former clients for names that contain `part`, ignoring case. Returns the first `most` of
    /// them, current clients by risk and then former ones by name, and the total number of matches.
    pub fn search(&self, part: &str, most: usize) -> Result<(Vec<Found>, usize)> {
        let lower = part.to_lowercase();
        let calls = self.list.calls.iter().filter(|call| call.corporation.to_lowercase().contains(&lower));
        let current: Vec<&Call> = calls.take(most).collect();
        let (names, total) = self.dataset.search(part, most)?;
        let listed: BTreeSet<&str> = current.iter().map(|call| call.corporation.as_str()).collect();
        let others = names.iter().filter(|name| !listed.contains(name.as_str()));
        let mut found: Vec<Found> = current
            .iter()
            .map(|call| Found { corporation: call.corporation.clone(), call: Some((*call).clone()) })
            .collect();
        found.extend(others.map(|name| Found { corporation: name.clone(), call: self.call(name).cloned() }));
        found.truncate(most);
        Ok((found, total))
    }
}

impl Overview {
    fn new(
        config: &Config,
        history: &mut History,
        live: &LiveModel,
        clients: &RankedClients,
        description: &Description,
    ) -> Result<Self> {
        let last_process = history.newest_process()?;
        let (release, model) = (live.release.clone(), live.model.clone());
        let engine = dataset::open(config)?;
        let evidence =
            Evidence::of(config, &*engine, history, release, model, description.clone(), clients.list.clone())?;
        let sections = insight::sections(&evidence, &Figures::draw(&evidence)?);
        Ok(Self { sections, last_process })
    }
}
