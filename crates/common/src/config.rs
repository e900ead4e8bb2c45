//! The configuration. Raw JSON becomes a checked [`Config`] once, in this module; every error names the file, the key
//! and the expected value.

pub mod cluster;
pub mod database;
pub mod service;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fs_err as fs;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::cluster::{Cluster, EngineAddress};
use crate::config::database::{DatabaseUrl, InputDatabase, InputRows};
use crate::config::service::{Bind, HostName, TokenSource};

/// The checked configuration of all steps. All paths on this machine are resolved against the folder of the config
/// file.
#[derive(Clone, Debug)]
pub struct Config {
    /// Path of the config file.
    pub file: PathBuf,
    /// Folder of the config file, against which relative paths are resolved.
    pub folder: PathBuf,
    /// Folder in which new client data arrive. With an engine it may be an address on shared storage.
    pub input_folder: PathBuf,
    /// Folder on this machine of the compiled dataset. If a cluster keeps the dataset on shared storage, only its
    /// description is here.
    pub output_folder: PathBuf,
    /// Folder of the test data. With an engine it may be an address on shared storage.
    pub test_data: PathBuf,
    /// Folder of the trained model, its score and its reports.
    pub output_model: PathBuf,
    /// Folder of the deployed releases.
    pub production: PathBuf,
    /// Database of the history; by default the SQLite file `history.sqlite` beside the config file.
    pub database: DatabaseUrl,
    /// Cluster that processes the data; `None` if this process does.
    pub engine: Option<Cluster>,
    /// Whether the compiled dataset is stored in the database too; by default `true` without a cluster, and always
    /// `false` with one.
    pub store_dataset: bool,
    /// Database from which client rows are read, in addition to the files of the input folder or instead of them.
    pub input_database: Option<InputDatabase>,
    /// Addresses and sockets on which `app` listens; by default 127.0.0.1:8000.
    pub bind: Vec<Bind>,
    /// Source of the token that clients of `app` must present; `None` if they need none.
    pub api_token: Option<TokenSource>,
    /// Host names that clients may use to reach `app`, in addition to IP addresses and `localhost`.
    pub allowed_hosts: Vec<HostName>,
    /// Maximum age of a shared answer of `app`. Answers that take seconds to compute are shared between clients; by
    /// default for 10 s.
    pub answer_max_age: Duration,
    /// Probability of leaving from which a client is predicted to leave; by default 0.5.
    pub threshold: Threshold,
    /// Inverse L2 penalty strength C of training; by default 1. Larger means weaker regularisation.
    pub regularization: Regularization,
    /// Test that decides about drift; by default [`DriftTest::Raw`].
    pub drift_test: DriftTest,
    /// Rule by which a new model replaces the live one; by default [`Promotion::OnDrift`].
    pub promotion: Promotion,
    /// Number of clients that the managers can call in a day, from 1 to 1,000,000; by default 50.
    pub call_capacity: u32,
}

/// The test that decides whether the live model has drifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftTest {
    /// The F1 on the new rows is lower than the recorded F1.
    Raw,
    /// The F1 is lower than the recorded F1 by more than chance explains ([`statistics::interval::f1_difference`]).
    Interval,
    /// The F1 is below a limit computed from the past scores ([`statistics::trend::Limits`]).
    History,
}

impl DriftTest {
    /// Returns the name that the config uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Interval => "interval",
            Self::History => "history",
        }
    }
}

/// The rule that decides when a new model replaces the live one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Replace the live model whenever it has drifted.
    OnDrift,
    /// Replace the live model only if the new one is not worse on the same test rows and is better than predicting that
    /// everyone exits.
    IfBetter,
}

impl Promotion {
    /// Returns the name that the config uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnDrift => "on_drift",
            Self::IfBetter => "if_better",
        }
    }
}

/// Whether a configured path is an address on storage that a cluster shares (`s3a://bucket/folder`) and not a path on
/// this machine.
pub fn is_address(place: &Path) -> bool {
    place.to_str().is_some_and(|place| place.contains("://"))
}

const REQUIRED: [&str; 5] =
    ["input_folder_path", "output_folder_path", "test_data_path", "output_model_path", "prod_deployment_path"];
const OPTIONAL: [&str; 17] = [
    "engine",
    "engine_time_limit",
    "local_output_path",
    "dataset_csv",
    "database_url",
    "store_dataset",
    "input_database",
    "bind",
    "api_token",
    "api_token_file",
    "allowed_hosts",
    "answer_max_age",
    "threshold",
    "regularization",
    "drift_test",
    "promotion",
    "call_capacity",
];

impl Config {
    /// Reads and checks the config at `path`; without it the one at `$RISK_CONFIG`, and without that `./config.json`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not a JSON object, and if a key is missing, unknown or has an invalid
    /// value.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let path = match (path, env::var_os("RISK_CONFIG")) {
            (Some(path), _) => path.to_owned(),
            (None, Some(path)) => path.into(),
            (None, None) => "config.json".into(),
        };
        let text = fs::read_to_string(&path).with_context(|| {
            format!("reading the config {} (name another with --config PATH or $RISK_CONFIG)", path.display())
        })?;
        let file = fs::canonicalize(&path)?;
        RawConfig::parse(&text).and_then(|raw| raw.check(file)).with_context(|| format!("in {}", path.display()))
    }
}

/// A decision threshold: a probability strictly between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Threshold(f64);

impl Threshold {
    /// Creates a threshold; `None` unless 0 < `value` < 1.
    pub fn new(value: f64) -> Option<Self> {
        (value > 0.0 && value < 1.0).then_some(Self(value))
    }

    /// Returns the threshold as a number.
    pub fn value(self) -> f64 {
        self.0
    }
}

/// Inverse L2 penalty strength C as in scikit-learn, positive and finite; larger means weaker regularisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regularization(f64);

impl Regularization {
    /// Creates a regularisation; `None` unless `c` and 1 / `c` are positive and finite.
    pub fn new(c: f64) -> Option<Self> {
        (c > 0.0 && c.is_finite() && (1.0 / c).is_finite()).then_some(Self(c))
    }

    /// Returns C as a number.
    pub fn c(self) -> f64 {
        self.0
    }
}

/// The keys and values of the file before any check.
#[derive(Debug)]
struct RawConfig(BTreeMap<String, Value>);

impl RawConfig {
    fn parse(text: &str) -> Result<Self> {
        let raw: UniqueKeys =
            serde_json::from_str(text).context("expected one JSON object with the keys that README.md lists")?;
        let unknown = raw.0.keys().find(|key| !REQUIRED.contains(&key.as_str()) && !OPTIONAL.contains(&key.as_str()));
        if let Some(key) = unknown {
            bail!("key \"{key}\" is unknown; expected {} and optionally {}", REQUIRED.join(", "), OPTIONAL.join(", "));
        }
        Ok(Self(raw.0))
    }

    fn check(&self, file: PathBuf) -> Result<Config> {
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let path = |key| -> Result<PathBuf> {
            match self.text(key)? {
                Some("") => bail!("key \"{key}\": expected a folder, found an empty text"),
                Some(text) => Ok(folder.join(text)),
                None => bail!("key \"{key}\" is missing; expected a folder"),
            }
        };
        let path_if_any = |key| -> Result<Option<PathBuf>> {
            match self.text(key)? {
                Some("") => bail!("key \"{key}\": expected a path, found an empty text"),
                text => Ok(text.map(|text| folder.join(text))),
            }
        };
        let engine = self.engine().context("key \"engine\"")?;
        let has_engine = engine.is_some();
        let shared = |key| -> Result<Option<PathBuf>> {
            let Some(place) = self.text(key)?.map(PathBuf::from).filter(|place| is_address(place)) else {
                return Ok(None);
            };
            if !has_engine {
                bail!("key \"{key}\": {} is on shared storage, which only an \"engine\" can reach", place.display());
            }
            Ok(Some(place))
        };
        let input = |key| -> Result<PathBuf> {
            if let Some(place) = shared(key)? {
                return Ok(place);
            }
            let path = path(key)?;
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => Ok(path),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("key \"{key}\""))
                }
                _ => {
                    bail!("key \"{key}\": {} is not an existing folder; create it or correct the path", path.display())
                }
            }
        };
        let output = |key| -> Result<PathBuf> {
            if let Some(place) = self.text(key)?.filter(|text| is_address(Path::new(text))) {
                bail!("key \"{key}\": {place} is an address; expected a folder on this machine");
            }
            let path = path(key)?;
            if path.exists() && !path.is_dir() {
                bail!("key \"{key}\": {} is a file; expected a folder", path.display());
            }
            Ok(path)
        };
        let store_dataset = self.truth("store_dataset")?;
        let cluster_only = ["engine_time_limit", "local_output_path", "dataset_csv"];
        if let Some(key) = cluster_only.into_iter().find(|key| engine.is_none() && self.0.contains_key(*key)) {
            bail!("key \"{key}\" is for an \"engine\", and there is none");
        }
        if engine.is_some() && store_dataset == Some(true) {
            bail!("key \"store_dataset\": the data of an \"engine\" stay where they are; expected false");
        }
        if engine.is_some() && self.0.contains_key("input_database") {
            bail!("key \"input_database\": an \"engine\" takes files alone; write the rows to files, or do without it");
        }
        let input_folder = input("input_folder_path")?;
        let shared_output = shared("output_folder_path")?;
        let (output_key, output_folder) = match (&shared_output, self.0.contains_key("local_output_path")) {
            (Some(_), true) => ("local_output_path", output("local_output_path")?),
            (Some(_), false) => ("local_output_path", folder.join("ingesteddata")),
            (None, true) => bail!("key \"local_output_path\" is for an \"output_folder_path\" that is an address"),
            (None, false) => ("output_folder_path", output("output_folder_path")?),
        };
        let test_data = input("test_data_path")?;
        let output_model = output("output_model_path")?;
        let production = output("prod_deployment_path")?;
        differ(&[
            ("input_folder_path", Some(&input_folder)),
            ("output_folder_path", shared_output.as_ref()),
            (output_key, Some(&output_folder)),
            ("test_data_path", Some(&test_data)),
            ("output_model_path", Some(&output_model)),
            ("prod_deployment_path", Some(&production)),
        ])?;
        let engine = match engine {
            None => None,
            Some(address) => Some(Cluster {
                address,
                time_limit: self.number("engine_time_limit", 3600.0, "seconds from 1 to 1000000", |seconds| {
                    (1.0..=1e6).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
                })?,
                output: shared_output.as_ref().unwrap_or(&output_folder).display().to_string(),
                dataset_csv: self.truth("dataset_csv")?.unwrap_or(false),
            }),
        };
        Ok(Config {
            input_folder,
            output_folder,
            test_data,
            output_model,
            production,
            database: database_url(self.text("database_url")?.unwrap_or("sqlite://history.sqlite"), &folder)
                .context("key \"database_url\"")?,
            store_dataset: store_dataset.unwrap_or(engine.is_none()),
            engine,
            input_database: match self.0.get("input_database") {
                None => None,
                Some(value) => Some(input_database(value, &folder).context("key \"input_database\"")?),
            },
            bind: self.bind(&folder).context("key \"bind\"")?,
            api_token: match (self.text("api_token")?, path_if_any("api_token_file")?) {
                (None, None) => None,
                (Some(text), None) => Some(TokenSource::variable(text).context("key \"api_token\"")?),
                (None, Some(path)) => Some(TokenSource::File(path)),
                (Some(_), Some(_)) => bail!("keys \"api_token\" and \"api_token_file\": expected one of them"),
            },
            allowed_hosts: self.allowed_hosts().context("key \"allowed_hosts\"")?,
            answer_max_age: self.number("answer_max_age", 10.0, "seconds from 0 to 86400", |seconds| {
                (0.0..=86400.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
            })?,
            threshold: self.number("threshold", 0.5, "a probability between 0 and 1", Threshold::new)?,
            regularization: self.number("regularization", 1.0, "a positive number", Regularization::new)?,
            drift_test: match self.text("drift_test")? {
                None | Some("raw") => DriftTest::Raw,
                Some("interval") => DriftTest::Interval,
                Some("history") => DriftTest::History,
                Some(other) => {
                    bail!("key \"drift_test\": expected \"raw\", \"interval\" or \"history\", found \"{other}\"")
                }
            },
            promotion: match self.text("promotion")? {
                None | Some("on_drift") => Promotion::OnDrift,
                Some("if_better") => Promotion::IfBetter,
                Some(other) => bail!("key \"promotion\": expected \"on_drift\" or \"if_better\", found \"{other}\""),
            },
            call_capacity: self.number("call_capacity", 50.0, "a whole number from 1 to 1000000", |number| {
                ((1.0..=1e6).contains(&number) && number.fract() == 0.0).then_some(number as u32)
            })?,
            folder,
            file,
        })
    }

    fn allowed_hosts(&self) -> Result<Vec<HostName>> {
        const EXPECTED: &str = "expected a list of host names such as [\"risk.example\"]";
        match self.0.get("allowed_hosts") {
            None => Ok(Vec::new()),
            Some(Value::Array(names)) => {
                names.iter().map(|name| HostName::parse(name.as_str().context(EXPECTED)?)).collect()
            }
            Some(_) => bail!(EXPECTED),
        }
    }

    fn bind(&self, folder: &Path) -> Result<Vec<Bind>> {
        const EXPECTED: &str = "expected ADDRESS:PORT or unix:PATH, or a list of them";
        let texts = match self.0.get("bind") {
            None => return Ok(vec![Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 8000)))]),
            Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
            Some(one) => vec![one],
        };
        texts.into_iter().map(|text| Bind::parse(text.as_str().context(EXPECTED)?, folder)).collect()
    }

    /// The address of the cluster, with environment variables expanded.
    fn engine(&self) -> Result<Option<EngineAddress>> {
        let Some(text) = self.text("engine")? else { return Ok(None) };
        Ok(Some(EngineAddress::parse(&expand(text, |name| env::var(name).ok())?)?))
    }

    fn truth(&self, key: &str) -> Result<Option<bool>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(other) => bail!("key \"{key}\": expected true or false, found {}", kind(other)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => bail!("key \"{key}\": expected a text, found {}", kind(other)),
        }
    }

    fn number<T>(&self, key: &str, default: f64, expected: &str, check: impl Fn(f64) -> Option<T>) -> Result<T> {
        let value = match self.0.get(key) {
            None => Some(default),
            Some(value) => value.as_f64(),
        };
        value.and_then(check).with_context(|| {
            format!("key \"{key}\": expected {expected}, found {}", self.0.get(key).unwrap_or(&Value::Null))
        })
    }
}

/// Checks that no two keys name the same folder: what one step writes must not be the input of another step, or be
/// locked by another step.
fn differ(folders: &[(&str, Option<&PathBuf>)]) -> Result<()> {
    // A folder that does not exist yet is resolved through its nearest existing parent.
    let real = |path: &Path| {
        let mut parents = path.ancestors();
        let found = parents.find_map(|parent| Some((fs::canonicalize(parent).ok()?, path.strip_prefix(parent).ok()?)));
        found.map_or_else(|| path.to_owned(), |(parent, rest)| parent.join(rest))
    };
    let folders: Vec<_> = folders.iter().filter_map(|(key, path)| Some((key, real(path.as_deref()?)))).collect();
    for (i, (key, path)) in folders.iter().enumerate() {
        if let Some((other, _)) = folders[..i].iter().find(|(_, earlier)| earlier == path) {
            bail!("keys \"{other}\" and \"{key}\": both are {}; expected a folder for each", path.display());
        }
    }
    Ok(())
}

/// Parses the address of a database, with environment variables expanded.
fn database_url(text: &str, folder: &Path) -> Result<DatabaseUrl> {
    DatabaseUrl::parse(&expand(text, |name| env::var(name).ok())?, folder)
}

fn input_database(value: &Value, folder: &Path) -> Result<InputDatabase> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        url: String,
        table: Option<String>,
        query: Option<String>,
        column: String,
    }
    const EXPECTED: &str = "expected an object of \"url\", \"table\" or \"query\", and \"column\", all texts";
    if !value.is_object() {
        bail!(EXPECTED); // the value is not repeated: it may be an address with a password
    }
    let raw = Raw::deserialize(value).context(EXPECTED)?;
    let rows = match (raw.table, raw.query) {
        (Some(table), None) => InputRows::Table(table),
        (None, Some(query)) => InputRows::Query(query),
        _ => bail!("expected either \"table\" or \"query\""),
    };
    InputDatabase::new(database_url(&raw.url, folder).context("\"url\"")?, rows, &raw.column)
}

/// A JSON object in which each key occurs only once.
struct UniqueKeys(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = UniqueKeys;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if keys.insert(key.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("key \"{key}\" stands twice; keep one")));
                    }
                }
                Ok(UniqueKeys(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Replaces each `${NAME}` in `text` by `variable(NAME)`.
fn expand(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("expected } after ${NAME")?;
        expanded += before;
        expanded += &variable(name).with_context(|| format!("the environment has no variable {name}; set it"))?;
        rest = after;
    }
    Ok(expanded + rest)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Loads a valid config changed by `change`; returns the config or the whole error message.
    fn load(change: impl Fn(&mut serde_json::Map<String, Value>)) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["in", "test"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut config = json!({
            "input_folder_path": "in", "output_folder_path": "out", "test_data_path": "test",
            "output_model_path": "models", "prod_deployment_path": "production",
        });
        change(config.as_object_mut().unwrap());
        let path = folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        Config::load(Some(&path)).map_err(|error| format!("{error:#}"))
    }

    fn set(key: &'static str, value: Value) -> impl Fn(&mut serde_json::Map<String, Value>) {
        move |map| {
            map.insert(key.to_owned(), value.clone());
        }
    }

    #[test]
    fn defaults_and_paths_beside_the_config_file() {
        let config = load(|_| {}).unwrap();
        assert_eq!(config.input_folder, config.folder.join("in"));
        assert_eq!(config.database, DatabaseUrl::Sqlite(config.folder.join("history.sqlite")));
        assert!(config.store_dataset && config.input_database.is_none());
        assert_eq!((config.threshold.value(), config.regularization.c()), (0.5, 1.0));
        assert_eq!((config.promotion, config.call_capacity), (Promotion::OnDrift, 50));
        assert_eq!(config.bind, [Bind::Tcp("127.0.0.1:8000".parse().unwrap())]);
        assert_eq!((config.api_token, config.answer_max_age), (None, Duration::from_secs(10)));
    }

    #[test]
    fn the_service_may_listen_in_several_places_and_ask_for_a_token() {
        let config = load(set("bind", json!(["[::1]:80", "unix:risk.sock"]))).unwrap();
        let socket = Bind::Unix(config.folder.join("risk.sock"));
        assert_eq!(config.bind, [Bind::Tcp("[::1]:80".parse().unwrap()), socket]);
        let config = load(set("api_token", json!("${TOKEN}"))).unwrap();
        assert_eq!(config.api_token, Some(TokenSource::Variable("TOKEN".to_owned())));
        let config = load(set("api_token_file", json!("token"))).unwrap();
        assert_eq!(config.api_token, Some(TokenSource::File(config.folder.join("token"))));
        let both = load(|map| {
            set("api_token", json!("${TOKEN}"))(map);
            set("api_token_file", json!("token"))(map);
        });
        assert!(both.unwrap_err().contains("expected one of them"));
    }

    #[test]
    fn an_engine_may_have_its_data_elsewhere() {
        let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
            load(|config| {
                config.insert("engine".to_owned(), json!("sc://host:15002"));
                change(config);
            })
        };
        let config = with(&|_| ()).unwrap();
        let engine = config.engine.unwrap();
        assert_eq!((engine.output.as_str(), config.store_dataset), (config.output_folder.to_str().unwrap(), false));
        assert_eq!(engine.time_limit, Duration::from_secs(3600));
        let config = with(&|config| {
            config.insert("input_folder_path".to_owned(), json!("s3a://bucket/in"));
            config.insert("output_folder_path".to_owned(), json!("s3a://bucket/out"));
            config.insert("engine_time_limit".to_owned(), json!(60));
        });
        let config = config.unwrap();
        assert_eq!(config.input_folder, Path::new("s3a://bucket/in"));
        assert_eq!(config.engine.unwrap().output, "s3a://bucket/out");
        assert!(config.output_folder.ends_with("ingesteddata") && config.output_folder.is_absolute());
        for (key, value, expected) in [
            ("local_output_path", json!("elsewhere"), "that is an address"),
            ("output_model_path", json!("s3a://bucket/models"), "expected a folder on this machine"),
            ("engine", json!("spark:7077"), "sc://host:15002"),
            ("engine", json!(1), "a text"),
            ("engine_time_limit", json!(0), "seconds from 1"),
            ("store_dataset", json!(true), "expected false"),
            ("input_database", json!({}), "files alone"),
        ] {
            let error = with(&|config| {
                config.insert(key.to_owned(), value.clone());
            });
            let error = error.unwrap_err();
            assert!(error.contains(&format!("key \"{key}\"")) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_local_part_of_a_shared_output_is_a_folder_of_its_own() {
        for (key, value, expected) in [
            ("local_output_path", "in", "keys \"input_folder_path\" and \"local_output_path\": both are"),
            ("local_output_path", "", "expected a folder, found an empty text"),
            ("local_output_path", "s3a://bucket/local", "expected a folder on this machine"),
            ("output_model_path", "ingesteddata", "keys \"local_output_path\" and \"output_model_path\""),
            ("input_folder_path", "s3a://bucket/out/", "keys \"input_folder_path\" and \"output_folder_path\""),
        ] {
            let error = load(|config| {
                config.insert("engine".to_owned(), json!("sc://host:15002"));
                config.insert("output_folder_path".to_owned(), json!("s3a://bucket/out"));
                config.insert(key.to_owned(), json!(value));
            });
            let error = error.unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn shared_storage_is_for_an_engine() {
        for (key, value) in [
            ("input_folder_path", json!("s3a://bucket/in")),
            ("engine_time_limit", json!(5)),
            ("dataset_csv", json!(true)),
        ] {
            let error = load(|config| {
                config.insert(key.to_owned(), value.clone());
            });
            let error = error.unwrap_err();
            assert!(error.contains(&format!("key \"{key}\"")) && error.contains("\"engine\""), "{error}");
        }
    }

    #[test]
    fn each_fault_names_the_file_the_key_and_what_was_expected() {
        for (key, value, expected) in [
            ("input_folder_path", json!(3), "expected a text, found a number"),
            ("input_folder_path", json!("nowhere"), "is not an existing folder"),
            ("output_folder_path", json!(""), "expected a folder"),
            ("output_folder_path", json!("config.json"), "is a file; expected a folder"),
            ("bind", json!("localhost"), "expected ADDRESS:PORT"),
            ("bind", json!([]), "or a list of them"),
            ("bind", json!(["127.0.0.1:80", 3]), "or a list of them"),
            ("api_token", json!("secret secret secret"), "expected ${NAME}"),
            ("allowed_hosts", json!("risk.example"), "expected a list of host names"),
            ("allowed_hosts", json!(["risk.example", 7]), "expected a list of host names"),
            ("allowed_hosts", json!(["http://risk.example:80"]), "without scheme and port"),
            ("answer_max_age", json!(-1), "expected seconds from 0 to 86400, found -1"),
            ("threshold", json!(1.0), "expected a probability between 0 and 1, found 1.0"),
            ("threshold", json!("0.5"), "expected a probability between 0 and 1, found \"0.5\""),
            ("regularization", json!(0), "expected a positive number, found 0"),
            ("drift_test", json!("guess"), "expected \"raw\", \"interval\" or \"history\", found \"guess\""),
            ("database_url", json!("oracle://user:secret@host/db"), "expected sqlite://PATH, postgres://"),
            ("database_url", json!("postgres://user:secret@host"), "name of a database"),
            ("store_dataset", json!("no"), "expected true or false, found a text"),
            ("input_database", json!("postgres://u:secret@host/db"), "expected an object"),
            ("input_database", json!({"url": "postgres://u:secret@h/db", "column": "id"}), "\"table\" or \"query\""),
            (
                "input_database",
                json!({"url": "postgres://u:secret@h/db", "table": "a b", "column": "id"}),
                "expected a name such as",
            ),
            ("database_url", json!("sqlite://${NO_SUCH_VARIABLE}"), "no variable NO_SUCH_VARIABLE"),
            ("output_model_path", json!("./in"), "keys \"input_folder_path\" and"),
            ("test_data_path", json!("in"), "expected a folder for each"),
            ("output_model_path", json!("in/../production"), "and \"prod_deployment_path\": both are"),
            ("output_model_path", json!("s3a://bucket/models"), "expected a folder on this machine"),
            ("prod_deployment_path", json!("s3a://bucket/production"), "expected a folder on this machine"),
            ("output_folder_path", json!("s3a://bucket/out"), "only an \"engine\" can reach"),
            ("api_token_file", json!(""), "expected a path, found an empty text"),
            ("regularization", json!(5e-324), "expected a positive number"),
            ("promotion", json!("never"), "expected \"on_drift\" or \"if_better\", found \"never\""),
            ("call_capacity", json!(0), "expected a whole number from 1 to 1000000, found 0"),
            ("call_capacity", json!(1.5), "expected a whole number"),
            ("colour", json!("red"), "is unknown; expected input_folder_path"),
        ] {
            let error = load(set(key, value)).unwrap_err();
            for part in ["config.json", key, expected] {
                assert!(error.contains(part), "{part:?} is not in {error:?}");
            }
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_missing_key_a_key_twice_and_no_json_are_errors() {
        let missing = load(|map| drop(map.remove("prod_deployment_path"))).unwrap_err();
        assert!(missing.contains("key \"prod_deployment_path\" is missing; expected a folder"), "{missing}");
        let twice = RawConfig::parse("{\"bind\": \"a\", \"bind\": \"b\"}").unwrap_err();
        assert!(format!("{twice:#}").contains("key \"bind\" stands twice"), "{twice:#}");
        let cut = RawConfig::parse("{\"bind\": ").unwrap_err();
        assert!(format!("{cut:#}").contains("line 1"), "{cut:#}");
        let absent = Config::load(Some(Path::new("/no/config.json"))).unwrap_err();
        assert!(format!("{absent:#}").contains("/no/config.json"), "{absent:#}");
    }

    #[test]
    fn variables_are_taken_from_the_environment() {
        let variable = |name: &str| (name == "HOME").then(|| "/home/x".to_owned());
        assert_eq!(expand("sqlite://${HOME}/h.db", variable).unwrap(), "sqlite:///home/x/h.db");
        assert!(expand("${HOME", variable).is_err());
    }
}
