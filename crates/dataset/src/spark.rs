//! The engine for data beyond one machine: Apache Spark or Sail through Spark Connect.
//!
//! Every request is one SQL query that returns sums, counts or few rows; the data stay on the cluster. `connection`
//! sends requests and waits for answers, `execution` follows an answer to its end while `heartbeat` watches the server,
//! `client` makes the remote calls, `tls` checks whom it talks to; `plan` and `view` build statements, `row` decodes
//! answers. `files` finds files and computes their checksums, `lines` reads and counts them, `split` splits them into
//! columns, `row_rules` expresses in SQL what a valid row is; `compile` merges files into a dataset on the storage that
//! the cluster shares, and `stored` knows where it is and which columns it has; `table` queries a table, `distribution`
//! counts its values, `training` selects the rows of a training, `step` computes the sums of a Newton step, with those
//! of categories in `cells`. `names` names columns, `sql` formats numbers and texts so that both engines read them alike.
//!
//! Only features that both engines share are used, with one exception: Spark determines the file of each line, Sail
//! only the file of a whole content (`lines`). A filter over computed columns makes Sail compute them again for every
//! use, so invalid rows are marked instead of filtered; `monotonically_increasing_id()` is not a line number.

mod cells;
mod client;
mod compile;
pub mod connection;
mod distribution;
mod endpoint;
mod execution;
mod files;
mod heartbeat;
mod lines;
mod names;
mod plan;
pub mod row;
mod row_rules;
mod split;
mod sql;
mod step;
mod stored;
mod table;
mod tls;
mod training;
mod view;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Clients, Engine, Ids, Labels, Reading};
use anyhow::{Context, Result, bail};
use common::cli::narrate;
use common::config::Config;
use common::config::cluster::Cluster;
use common::files::atomic;
use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, IngestedFile};
use common::files::{DataFile, INGESTED_FILES, INGESTION_RECORD, QUARANTINE};
use common::schema::Schema;

use crate::spark::connection::Connection;
use crate::spark::files::{InputFile, State};
use crate::spark::lines::Lines;
use crate::spark::table::ClusterTable;

/// The file in the output folder that names the folder being written, so that the folder of a killed ingestion can be
/// found.
const UNFINISHED: &str = ".unfinished";

/// Opens a session on the cluster that `config` names, for tables with the columns of `schema`.
pub fn connect(config: &Config, cluster: &Cluster, schema: &Schema) -> Result<Box<dyn Engine>> {
    Ok(Box::new(SparkConnect {
        schema: Arc::new(schema.clone()),
        connection: Arc::new(Connection::open(cluster)?),
        cluster: cluster.clone(),
        output: config.output_folder.clone(),
        listed: Mutex::default(),
    }))
}

/// An engine that is used through Spark Connect.
struct SparkConnect {
    schema: Arc<Schema>,
    connection: Arc<Connection>,
    cluster: Cluster,
    /// The folder that contains the record of the newest ingestion.
    output: PathBuf,
    /// The states of the files that were listed last. To look again, Sail would read every file.
    listed: Mutex<HashMap<PathBuf, State>>,
}

impl Engine for SparkConnect {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn files(&self, folder: &Path) -> Result<Vec<DataFile>> {
        let files = files::list(&self.connection, &sql::address(folder)?)?;
        let states = files.iter().map(|(file, state)| (file.path.clone(), state.clone()));
        *self.listed() = states.collect();
        Ok(files.into_iter().map(|(file, _)| file).collect())
    }

    fn checksums(&self, files: &[DataFile]) -> Result<Vec<Checksum>> {
        // A file that has not changed since its ingestion is not read again, because there may be very many files.
        let known = Ingested::read(&self.output).map(|ingested| ingested.files).unwrap_or_default();
        let known: HashMap<&str, &IngestedFile> = known.iter().map(|known| (known.name.as_str(), known)).collect();
        let listed: Vec<Option<State>> = files.iter().map(|file| self.listed().get(&file.path).cloned()).collect();
        let states = match listed.iter().all(Option::is_some) {
            true => listed,
            false => files::states(&self.connection, files)?,
        };
        let known: Vec<Option<Checksum>> = files
            .iter()
            .zip(&states)
            .map(|(file, state)| {
                let known = known.get(file.name.as_str())?;
                let same = known.state.as_ref() == state.as_ref().map(|(state, _)| state);
                (known.state.is_some() && same).then(|| known.sha256.clone())
            })
            .collect();
        let unknown = files.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(file, _)| file.clone());
        let unknown: Vec<DataFile> = unknown.collect();
        let mut probed = files::probe(&self.connection, &self.schema, &unknown)?.into_iter();
        let checksums = known.into_iter().map(|known| known.or_else(|| probed.next().map(|file| file.sha256)));
        checksums.collect::<Option<Vec<_>>>().context("a file was deleted while it was read")
    }

    fn compile(&self, files: &[DataFile], output: &Path, stage: &Path) -> Result<Ingested> {
        self.retire_unfinished(output);
        let location = stored::new_location(&self.cluster, &self.schema)?;
        atomic::write(&output.join(UNFINISHED), location.as_bytes())?;
        compile::compile(&self.connection, &self.schema, location, self.cluster.dataset_csv, files, stage)
    }

    fn compiled_files(&self) -> &'static [&'static str] {
        &[INGESTED_FILES, QUARANTINE, INGESTION_RECORD]
    }

    fn compiled(&self, output: &Path, _: Ids) -> Result<Box<dyn Clients>> {
        let ingested = Ingested::read(output).context("there is no compiled dataset; run ingestion first")?;
        let Some(location) = &ingested.location else {
            bail!("the dataset in {} was compiled without an engine; run ingestion again", output.display());
        };
        let relation = stored::relation(&self.schema, location, &ingested)?;
        Ok(Box::new(ClusterTable::compiled(self.connection.clone(), self.schema.clone(), relation, &ingested)))
    }

    fn read(&self, files: &[DataFile], reading: Reading) -> Result<Box<dyn Clients>> {
        let probed = files::probe(&self.connection, &self.schema, files)?;
        let inputs = probed.into_iter().map(|file| InputFile::new(&self.schema, file, reading.target));
        let lines = Lines::open(&self.connection, &self.schema, inputs.collect::<Result<Vec<_>>>()?);
        let rows = lines.rows();
        let counted = lines.count(&rows, reading.malformed)?;
        let malformed = counted.iter().map(|file| file.malformed).sum();
        let rows = match reading.labels {
            Labels::Own => rows,
            Labels::Later => row_rules::with_later_labels(&self.schema, &rows),
        };
        Ok(Box::new(ClusterTable::of_lines(self.connection.clone(), self.schema.clone(), rows, lines.views, malformed)))
    }

    fn retire(&self, ingested: &Ingested) {
        if let Some(location) = &ingested.location {
            self.empty(location);
        }
    }
}

impl SparkConnect {
    fn listed(&self) -> MutexGuard<'_, HashMap<PathBuf, State>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the storage of an ingestion that failed or was killed before it was published.
    fn retire_unfinished(&self, output: &Path) {
        let Ok(location) = fs::read_to_string(output.join(UNFINISHED)) else { return };
        let current = Ingested::read(output).ok().and_then(|ingested| ingested.location);
        if current.as_ref() != Some(&location) {
            self.empty(&location);
        }
    }

    /// Empties the folders of a dataset that is no longer used. Errors are ignored, because the caller's work does not
    /// depend on it.
    fn empty(&self, location: &str) {
        if !stored::is_location(&self.cluster, location) {
            narrate(format_args!("warning: {location} is no folder of this project's datasets and is left as it is"));
            return;
        }
        let csv = self.cluster.dataset_csv.then(|| stored::csv_copy(location));
        for folder in [location.to_owned(), stored::split_lines(location)].into_iter().chain(csv) {
            if let Err(error) = stored::empty(&self.connection, &folder) {
                narrate(format_args!("warning: {folder} is no longer used and could not be emptied: {error:#}"));
            }
        }
    }
}
