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
use reporting::call_list::{Call, CallList};
use reporting::charts::{self, Quality, Trends};
use reporting::evidence::Evidence;

use crate::cached::{Cached, FileIdentity};
use crate::door::Door;
use crate::live::LiveModel;
use crate::problem::Problem;

#[derive(Default)]
pub struct Views {
    dataset: Cached<FileIdentity, Box<dyn dataset::Clients>>,
    description: Cached<FileIdentity, Description>,
    clients: Cached<(String, FileIdentity), Clients>,
    overview: Cached<OverviewKey, Overview>,
}

/// The clients with their risks under the live model.
pub struct Clients {
    /// The current clients, highest risk first.
    pub list: Arc<CallList>,
    dataset: Arc<Box<dyn dataset::Clients>>,
}

/// One row of a client with its risk under the live model.
#[derive(Debug)]
pub struct ClientRow {
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
    /// The data of the reports.
    pub evidence: Evidence,
    /// The newest run of `fullprocess`; `None` if none is recorded.
    pub last_process: Option<RunRow>,
    /// The title and the SVG of each chart.
    pub charts: Vec<(&'static str, String)>,
}

impl Views {
    /// Statistics of the compiled dataset's columns.
    pub fn description(&self, config: &Config) -> Result<Arc<Description>, Problem> {
        let (identity, dataset) = self.identified_dataset(config)?;
        self.description
            .get(identity, || dataset.describe())
            .map_err(|error| Problem::not_ready("the statistics failed", &error))
    }

    /// The clients with their risks under `live`.
    pub fn clients(&self, config: &Config, live: &LiveModel) -> Result<Arc<Clients>, Problem> {
        let (identity, dataset) = self.identified_dataset(config)?;
        let capacity = config.call_capacity as usize;
        self.clients.get((live.id.clone(), identity), || {
            let list = CallList::of(&**dataset, &live.id, &live.model, live.threshold, capacity)
                .map_err(|error| Problem::not_ready("the call list failed", &error))?;
            Ok(Clients { list: list.into(), dataset })
        })
    }

    /// The state of the model `live` and of its data.
    ///
    /// # Errors
    /// Returns an error if the history or the compiled dataset cannot be read.
    pub fn overview(&self, config: &Config, door: &Door, live: &LiveModel, clients: &Clients) -> Result<Arc<Overview>> {
        let mut history = door.open(config)?.context("there is no history yet")?;
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
        read().map_err(|error| {
            Problem::not_ready("there is no usable compiled dataset; run ingestion on the server", &error)
        })
    }
}

/// A value that changes whenever the compiled dataset does.
fn identity(config: &Config) -> Result<FileIdentity> {
    let file = if config.engine.is_some() { INGESTION_RECORD } else { FINAL_DATA };
    FileIdentity::of(&config.output_folder.join(file)).with_context(|| format!("looking at {file}"))
}

impl Clients {
    /// All rows of one client, oldest first.
    pub fn rows(&self, corporation: &str, live: &LiveModel) -> Result<Vec<ClientRow>> {
        let rows = self.dataset.rows_of(corporation)?.into_iter();
        Ok(rows
            .map(|dataset::ClientRow { predictors, exited }| ClientRow {
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
        clients: &Clients,
        description: &Description,
    ) -> Result<Self> {
        let last_process = history.newest_process()?;
        let (release, model) = (live.release.clone(), live.model.clone());
        let engine = dataset::open(config)?;
        let evidence =
            Evidence::of(config, &*engine, history, release, model, description.clone(), clients.list.clone())?;
        let trends = Trends::of(&evidence.past);
        let quality = Quality::new(&evidence.pairs, evidence.score.threshold.value());
        let charts = vec![
            ("F1 of the live model over time", charts::screen(|area| charts::f1_over_time(area, &trends))?),
            (
                "How the risks of the test clients are spread",
                charts::screen(|area| charts::risk_distribution(area, &quality))?,
            ),
            ("Missing values over time", charts::screen(|area| charts::missing_over_time(area, &trends))?),
            (
                "Seconds of ingestion and training over time",
                charts::screen(|area| charts::seconds_over_time(area, &trends))?,
            ),
        ];
        Ok(Self { evidence, last_process, charts })
    }
}
