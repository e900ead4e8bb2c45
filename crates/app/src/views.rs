//! The data that pages and lists are made of, computed once and cached until a file, the release or the history
//! changes.

mod agendas;
mod origins;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use common::config::Config;
use common::config::is_address;
use common::files::ingested::Ingested;
use common::files::{FINAL_DATA, INGESTION_RECORD, csv_files};
use common::schema::Schema;
use common::values::Predictors;
use dataset::{ClientRow, Clients, Description, Ids};
use history::{History, RunRow};
use insight::{Agenda, Call, CallList, Compiled, Contacts, Evidence, Figures, Ranking, Section};
use jiff::Timestamp;

use self::agendas::Agendas;
use self::origins::Origins;
use crate::cache::{FileIdentity, SourceCache};
use crate::circuit_breaker::CircuitBreaker;
use crate::live::LiveModel;
use crate::problem::{OrNotReady, Problem};

#[derive(Default)]
pub struct Views {
    dataset: SourceCache<DatasetKey, Dataset>,
    description: SourceCache<DatasetKey, Description>,
    clients: SourceCache<(String, FileIdentity), RankedClients>,
    agendas: Agendas,
    overview: SourceCache<OverviewKey, Overview>,
}

/// The compiled dataset, and the columns with which it is to be read.
type DatasetKey = (FileIdentity, Schema);

/// The compiled dataset, opened.
struct Dataset {
    clients: Box<dyn Clients>,
    /// How its columns differ from those of the live release, if it could not be read with those.
    difference: Option<String>,
    /// The files from which the rows come, if that is known.
    origins: Option<Origins>,
}

/// The clients with their risks under the live model.
pub struct RankedClients {
    /// The current clients, highest risk first.
    pub list: Arc<CallList>,
    dataset: Arc<Dataset>,
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
}

impl Views {
    /// Statistics of the compiled dataset's columns. These are the columns of the `live` release, or those of the
    /// config if there is none or if the data cannot be read with its columns.
    pub fn description(&self, config: &Config, live: Option<&LiveModel>) -> Result<Arc<Description>, Problem> {
        let (key, dataset) = self.dataset(config, live)?;
        self.description.get(key, || dataset.clients.describe()).or_not_ready("the statistics cannot be computed")
    }

    /// The clients with their risks under `live`.
    ///
    /// # Errors
    /// [`Problem::NotReady`] if there is no usable dataset, or if it has other columns than the release.
    pub fn clients(&self, config: &Config, live: &LiveModel) -> Result<Arc<RankedClients>, Problem> {
        let ((identity, _), dataset) = self.dataset(config, Some(live))?;
        if let Some(difference) = &dataset.difference {
            return Err(Problem::NotReady(format!(
                "the compiled data have other columns than release {}: {difference}; run fullprocess on the server",
                live.id
            )));
        }
        let capacity = config.call_capacity as usize;
        self.clients.get((live.id.clone(), identity), || {
            let list = CallList::of(&*dataset.clients, &live.id, &live.model, live.threshold, capacity)
                .or_not_ready("the call list cannot be made")?;
            Ok(RankedClients { list: list.into(), dataset })
        })
    }

    /// The current clients in the order in which to call them at `now`: with their accounts, the calls that were recorded,
    /// and the test clients from which the headline follows. Without one of these sources, for example while the database
    /// is away, the agenda has a warning.
    ///
    /// # Errors
    /// The errors of [`Self::clients`].
    pub fn agenda(
        &self,
        config: &Config,
        circuit_breaker: &CircuitBreaker,
        live: &LiveModel,
        ranking: Ranking,
        now: Timestamp,
    ) -> Result<Arc<Agenda>, Problem> {
        let clients = self.clients(config, live)?;
        Ok(self.agendas.get(config, circuit_breaker, live, &clients.list, ranking, now))
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
        let key = OverviewKey {
            release: live.id.clone(),
            data: identity(config)?,
            test: test_identity(config)?,
            run: newest.first().map(|run| run.run),
        };
        let description = self.description(config, Some(live)).map_err(|problem| anyhow!("{problem}"))?;
        self.overview.get(key, || {
            let contacts = self.agendas.contacts_in(&mut history, Timestamp::now())?;
            Overview::new(config, &mut history, live, clients, &description, contacts)
        })
    }

    fn dataset(&self, config: &Config, live: Option<&LiveModel>) -> Result<(DatasetKey, Arc<Dataset>), Problem> {
        let columns = live.map_or(&config.columns, |live| &live.model.schema);
        let read = || -> Result<_> {
            let key = (identity(config)?, columns.clone());
            let dataset = self.dataset.get(key.clone(), || Dataset::open(config, columns))?;
            Ok((key, dataset))
        };
        read().or_not_ready("there is no usable compiled dataset; run ingestion on the server")
    }
}

impl Dataset {
    /// Opens the compiled dataset with `columns`, or else with those of the config: between an ingestion and the next
    /// deployment, the data may have other columns than the live release.
    fn open(config: &Config, columns: &Schema) -> Result<Self> {
        let open = |columns| dataset::open_for(config, columns)?.compiled(&config.output_folder, Ids::Read);
        let (clients, difference) = open(columns).map(|clients| (clients, None)).or_else(|error| {
            let difference = config.columns.difference(columns);
            match difference.is_some().then(|| open(&config.columns)) {
                Some(Ok(clients)) => Ok((clients, difference)),
                _ => Err(error),
            }
        })?;
        let origins = Ingested::read(&config.output_folder).ok().and_then(Origins::of);
        Ok(Self { clients, difference, origins })
    }
}

/// When the compiled data were written; `None` if that cannot be read.
pub fn compiled(config: &Config) -> Option<Timestamp> {
    let written = fs::metadata(config.output_folder.join(INGESTION_RECORD)).and_then(|file| file.modified());
    Timestamp::try_from(written.ok()?).ok()
}

/// A value that changes whenever the compiled dataset does.
fn identity(config: &Config) -> Result<FileIdentity> {
    let file = if config.engine.is_some() { INGESTION_RECORD } else { FINAL_DATA };
    FileIdentity::of(&config.output_folder.join(file)).with_context(|| format!("reading the metadata of {file}"))
}

/// A value that changes whenever the test data do. Those on shared storage count as unchanged: they are read again when
/// the release changes.
fn test_identity(config: &Config) -> Result<Vec<FileIdentity>> {
    let files = if is_address(&config.test_data) { Vec::new() } else { csv_files(&config.test_data)? };
    Ok(files.iter().map(|file| FileIdentity::of(&file.path)).collect::<Result<_, _>>()?)
}

impl RankedClients {
    /// All rows of one client, oldest first.
    pub fn rows(&self, id: &str, live: &LiveModel) -> Result<Vec<ScoredRow>> {
        let rows = self.dataset.clients.rows_of(id)?.into_iter();
        Ok(rows
            .map(|ClientRow { predictors, exited }| ScoredRow {
                risk: live.model.probability(&predictors),
                predictors,
                exited,
            })
            .collect())
    }

    /// The names of the input files from which these rows come; `None` if they are unknown.
    pub fn files(&self, id: &str) -> Result<Option<Vec<String>>> {
        let Some(origins) = &self.dataset.origins else { return Ok(None) };
        let positions = self.dataset.clients.positions_of(id)?;
        let file = |row: u64| origins.file(row).map(str::to_owned);
        Ok(positions.and_then(|rows| rows.into_iter().map(file).collect()))
    }

    /// The client's entry in the call list; `None` if it is not in the list.
    pub fn call(&self, id: &str) -> Option<&Call> {
        self.list.calls.iter().find(|call| call.id == id)
    }

    /// The clients outside the call list whose names contain `part`, ignoring case, by name: those that have left, and
    /// those beyond the end of an incomplete list. At most `most` names are searched.
    pub fn unlisted(&self, part: &str, most: usize) -> Result<Vec<String>> {
        let (mut names, _) = self.dataset.clients.search(part, most)?;
        let lower = part.to_lowercase();
        let listed = self.list.calls.iter().map(|call| call.id.as_str());
        let listed: BTreeSet<&str> = listed.filter(|id| id.to_lowercase().contains(&lower)).collect();
        names.retain(|name| !listed.contains(name.as_str()));
        Ok(names)
    }
}

impl Overview {
    fn new(
        config: &Config,
        history: &mut History,
        live: &LiveModel,
        clients: &RankedClients,
        description: &Description,
        contacts: Arc<Contacts>,
    ) -> Result<Self> {
        let (release, model) = (live.release.clone(), live.model.clone());
        let engine = dataset::open_for(config, &live.model.schema)?;
        let compiled = Compiled {
            clients: &*clients.dataset.clients,
            description: description.clone(),
            calls: clients.list.clone(),
            contacts,
        };
        let evidence = Evidence::of(config, &*engine, history, release, model, compiled)?;
        let sections = insight::sections(&evidence, &Figures::draw(&evidence)?);
        Ok(Self { sections })
    }
}
