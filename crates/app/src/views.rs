//! What the pages and lists are made of, read once and kept until a file, the release or the history has changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result};
use common::config::Config;
use common::files::{FINAL_DATA, csv_files};
use common::schema::Predictors;
use dataset::Table;
use history::History;
use history::listing::RunRow;
use reporting::call_list::{Call, CallList};
use reporting::charts::{self, Quality, Trends};
use reporting::evidence::Evidence;

use crate::cached::{Cached, FileIdentity};
use crate::door::Door;
use crate::live::LiveModel;
use crate::problem::Problem;

/// All views.
#[derive(Default)]
pub struct Views {
    dataset: Cached<FileIdentity, Table>,
    clients: Cached<(String, FileIdentity), Clients>,
    overview: Cached<OverviewKey, Overview>,
}

/// The clients as the live model judges them.
pub struct Clients {
    /// The current ones, highest risk first.
    pub list: Arc<CallList>,
    table: Arc<Table>,
}

/// One row of a client, as the live model judges it.
#[derive(Debug)]
pub struct ClientRow {
    /// What is known of it.
    pub predictors: Predictors,
    /// Whether it left.
    pub exited: Option<bool>,
    /// The probability of leaving.
    pub risk: f64,
}

/// A client that a search has found.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its name.
    pub corporation: &'a str,
    /// Its place in the call list; `None` where it has left.
    pub call: Option<&'a Call>,
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
    /// What the reports tell.
    pub evidence: Evidence,
    /// The newest `fullprocess`.
    pub last_process: Option<RunRow>,
    /// What each chart shows, and its SVG.
    pub charts: Vec<(&'static str, String)>,
}

impl Views {
    /// The compiled dataset.
    pub fn dataset(&self, config: &Config) -> Result<Arc<Table>, Problem> {
        self.identified_dataset(config).map(|(_, table)| table)
    }

    /// The clients, judged by `live`.
    pub fn clients(&self, config: &Config, live: &LiveModel) -> Result<Arc<Clients>, Problem> {
        let (identity, table) = self.identified_dataset(config)?;
        let capacity = config.call_capacity as usize;
        self.clients.get((live.id.clone(), identity), || {
            let list = CallList::of(&table, &live.id, &live.model, live.threshold, capacity)
                .map_err(|error| Problem::not_ready("the call list failed", &error))?;
            Ok(Clients { list: list.into(), table })
        })
    }

    /// The state of the model `live` and of the data.
    pub fn overview(&self, config: &Config, door: &Door, live: &LiveModel, clients: &Clients) -> Result<Arc<Overview>> {
        let mut history = door.open(config)?.context("there is no history yet")?;
        let newest = history.runs(1)?;
        let test = csv_files(&config.test_data)?;
        let key = OverviewKey {
            release: live.id.clone(),
            data: FileIdentity::of(&config.output_folder.join(FINAL_DATA))?,
            test: test.iter().map(|file| FileIdentity::of(&file.path)).collect::<Result<_, _>>()?,
            run: newest.first().map(|run| run.run),
        };
        self.overview.get(key, || Overview::new(config, &mut history, live, clients))
    }

    fn identified_dataset(&self, config: &Config) -> Result<(FileIdentity, Arc<Table>), Problem> {
        let read = || -> Result<_> {
            let identity =
                FileIdentity::of(&config.output_folder.join(FINAL_DATA)).context("looking at finaldata.csv")?;
            let table = self.dataset.get(identity.clone(), || diagnostics::compiled_dataset(config))?;
            Ok((identity, table))
        };
        read().map_err(|error| {
            Problem::not_ready("there is no usable compiled dataset; run ingestion on the server", &error)
        })
    }
}

impl Clients {
    /// All rows of one client, oldest first.
    pub fn rows(&self, corporation: &str, live: &LiveModel) -> Result<Vec<ClientRow>> {
        let rows = self.table.rows()?.filter(|row| row.corporation == Some(corporation));
        Ok(rows
            .map(|row| ClientRow {
                predictors: row.predictors,
                exited: row.exited,
                risk: live.model.probability(&row.predictors),
            })
            .collect())
    }

    /// A current client.
    pub fn call(&self, corporation: &str) -> Option<&Call> {
        self.list.calls.iter().find(|call| call.corporation == corporation)
    }

    /// The first `most` clients, present and past, whose name holds `part` in any case: the current ones by their risk,
    /// then those who left, by name; and how many there are in all.
    pub fn search(&self, part: &str, most: usize) -> Result<(Vec<Found<'_>>, usize)> {
        let part = part.to_lowercase();
        let matches = |name: &str| name.to_lowercase().contains(&part);
        let current: Vec<&Call> = self.list.calls.iter().filter(|call| matches(&call.corporation)).collect();
        let names: BTreeSet<&str> = current.iter().map(|call| call.corporation.as_str()).collect();
        let known = self.table.rows()?.filter_map(|row| row.corporation);
        let past: BTreeSet<&str> = known.filter(|name| !names.contains(name) && matches(name)).collect();
        let total = current.len() + past.len();
        let current = current.into_iter().map(|call| Found { corporation: &call.corporation, call: Some(call) });
        let past = past.into_iter().map(|corporation| Found { corporation, call: None });
        Ok((current.chain(past).take(most).collect(), total))
    }
}

impl Overview {
    fn new(config: &Config, history: &mut History, live: &LiveModel, clients: &Clients) -> Result<Self> {
        let last_process = history.newest_process()?;
        let (release, model) = (live.release.clone(), live.model.clone());
        let evidence = Evidence::of(config, history, release, model, &clients.table, clients.list.clone())?;
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
