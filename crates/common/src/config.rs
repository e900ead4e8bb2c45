//! The configuration. [`Config::load`] reads config.json once; afterwards every value has a type that allows only valid
//! values.
//!
//! A key is a field of [`Config`], with its type, its default and its range. Only rules between keys are functions.

pub mod cluster;
mod columns;
pub mod database;
mod paths;
mod policy;
pub mod receivers;
pub mod service;
mod values;

use std::env;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use fs_err as fs;
use serde::Deserialize;

use crate::config::cluster::{Cluster, EngineAddress};
use crate::config::database::{DatabaseUrl, InputDatabase};
use crate::config::paths::{check_distinct, check_input, check_output, resolve};
use crate::config::receivers::{ReceiverUrl, Receivers, SigningSecret, Webhook};
use crate::config::service::{Bind, HostName, TokenSource};
use crate::production::drift::DriftRule;
use crate::schema::Schema;

pub use columns::schema_of_json;
pub use paths::is_address;
pub use policy::{DriftTest, Holdout, Promotion, Regularization, TestOverlap, Threshold};

/// The checked configuration of all steps. Create it with [`Config::load`]: deserialising alone checks each key but not
/// the rules between keys.
///
/// Public fields are for the steps. Private fields hold keys that take effect through a public one, whose value then
/// depends on several keys (`serde(skip)`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Path of the config file.
    #[serde(skip)]
    pub file: PathBuf,
    /// Folder of the config file, against which relative paths are resolved.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Folder in which new client data arrive. With an engine it may be an address on shared storage.
    #[serde(rename = "input_folder_path")]
    pub input_folder: PathBuf,
    /// Folder on this machine of the compiled dataset. If a cluster keeps the dataset on shared storage, only its
    /// description is here.
    #[serde(rename = "output_folder_path")]
    pub output_folder: PathBuf,
    /// Folder of the test data. With an engine it may be an address on shared storage.
    #[serde(rename = "test_data_path")]
    pub test_data: PathBuf,
    /// Folder of the trained model, its score and its reports.
    #[serde(rename = "output_model_path")]
    pub output_model: PathBuf,
    /// Folder of the deployed releases.
    #[serde(rename = "prod_deployment_path")]
    pub production: PathBuf,
    /// The columns of the client table.
    #[serde(default, deserialize_with = "columns::schema")]
    pub columns: Schema,
    /// Database of the history; by default the SQLite file `history.sqlite` beside the config file.
    #[serde(rename = "database_url", default)]
    pub database: DatabaseUrl,
    /// Database from which client rows are read, in addition to the files of the input folder or instead of them.
    #[serde(default, deserialize_with = "values::some")]
    pub input_database: Option<InputDatabase>,
    /// Addresses and sockets on which `app` listens.
    #[serde(default = "Bind::default_list", deserialize_with = "values::one_or_more")]
    pub bind: Vec<Bind>,
    /// Source of the token that clients of `app` must present; `None` if they need none.
    #[serde(default, deserialize_with = "values::some")]
    pub api_token: Option<TokenSource>,
    #[serde(default, deserialize_with = "values::some")]
    api_token_file: Option<PathBuf>,
    /// Host names that clients may use to reach `app`, in addition to IP addresses and `localhost`.
    #[serde(default)]
    pub allowed_hosts: Vec<HostName>,
    /// Maximum age of a shared answer of `app`. Answers that take seconds to compute are shared between clients.
    #[serde(default = "values::seconds::<10>", deserialize_with = "values::seconds_within::<0, 86_400, _, _>")]
    pub answer_max_age: Duration,
    /// Probability of leaving from which a client is predicted to leave.
    #[serde(default)]
    pub threshold: Threshold,
    /// Inverse L2 penalty strength C of training. Larger means weaker regularisation.
    #[serde(default)]
    pub regularization: Regularization,
    /// Test that decides about drift.
    #[serde(default, deserialize_with = "values::name")]
    pub drift_test: DriftTest,
    /// Number of clients in new files that must be known to have left before their score is judged.
    #[serde(default = "values::number::<5>", deserialize_with = "values::number_within::<1, 1_000_000, _>")]
    pub drift_min_positives: u32,
    /// Rule by which a new model replaces the live one.
    #[serde(default, deserialize_with = "values::name")]
    pub promotion: Promotion,
    /// What follows if rows of the test data are also in the training data.
    #[serde(default, deserialize_with = "values::name")]
    pub test_overlap: TestOverlap,
    /// Number of clients that the managers can call in a day.
    #[serde(default = "values::number::<50>", deserialize_with = "values::number_within::<1, 1_000_000, _>")]
    pub call_capacity: u32,
    /// CSV file with the owner and the value of each client; never used as a predictor.
    #[serde(rename = "accounts_path", default, deserialize_with = "values::some")]
    pub accounts: Option<PathBuf>,
    /// Number of days for which a client is not called again after a call.
    #[serde(default = "values::number::<14>", deserialize_with = "values::number_within::<0, 365, _>")]
    pub call_pause_days: u32,
    /// Share of the clients that are never called, so that the effect of the calls can be measured.
    #[serde(default)]
    pub call_holdout: Holdout,
    /// Maximum duration of a step that `fullprocess` has started.
    #[serde(skip)]
    pub step_time_limit: Duration,
    #[serde(rename = "step_time_limit", default, deserialize_with = "values::seconds_within::<1, 1_000_000, _, _>")]
    may_step_time_limit: Option<Duration>,
    /// Programs that `fullprocess` informs about its runs.
    #[serde(skip)]
    pub receivers: Receivers,
    #[serde(default, deserialize_with = "values::some")]
    heartbeat_url: Option<ReceiverUrl>,
    #[serde(default, deserialize_with = "values::some")]
    notify_url: Option<ReceiverUrl>,
    #[serde(default, deserialize_with = "values::some")]
    notify_secret: Option<SigningSecret>,
    #[serde(default = "values::seconds::<5>", deserialize_with = "values::seconds_within::<1, 60, _, _>")]
    notify_time_limit: Duration,
    /// Number of threads that work on client data; by default one per processor.
    #[serde(default = "threads", deserialize_with = "values::number_within::<1, 1_000, _>")]
    pub threads: u32,
    /// Cluster that processes the data; `None` if this process does.
    #[serde(skip)]
    pub engine: Option<Cluster>,
    #[serde(rename = "engine", default, deserialize_with = "values::some")]
    engine_address: Option<EngineAddress>,
    #[serde(default, deserialize_with = "values::seconds_within::<1, 1_000_000, _, _>")]
    engine_time_limit: Option<Duration>,
    #[serde(default, deserialize_with = "values::some")]
    engine_ca_path: Option<PathBuf>,
    #[serde(default, deserialize_with = "values::some")]
    local_output_path: Option<PathBuf>,
    #[serde(default, deserialize_with = "values::some")]
    dataset_csv: Option<bool>,
    /// Whether the compiled dataset is stored in the database too; by default `true` without a cluster, and always
    /// `false` with one.
    #[serde(skip)]
    pub store_dataset: bool,
    #[serde(rename = "store_dataset", default, deserialize_with = "values::some")]
    may_store_dataset: Option<bool>,
}

/// Returns the default number of threads.
fn threads() -> u32 {
    available_parallelism().map_or(1, |processors| processors.get().min(1_000) as u32)
}

impl Config {
    /// Reads and checks the config at `path`; without it the one at `$RISK_CONFIG`, and without that `./config.json`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not a JSON object, and if a key is missing, unknown or has an invalid
    /// value. The error names the file, the key and the expected value, and repeats no secret.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let path = match (path, env::var_os("RISK_CONFIG")) {
            (Some(path), _) => path.to_owned(),
            (None, Some(path)) => path.into(),
            (None, None) => "config.json".into(),
        };
        let text = fs::read_to_string(&path)
            .context("reading the config (name another file with --config PATH or $RISK_CONFIG)")?;
        let file = fs::canonicalize(&path)?;
        Self::parse(&text).and_then(|config| config.resolved(file)).with_context(|| format!("in {}", path.display()))
    }

    /// Deserialises the keys, each checked on its own.
    fn parse(text: &str) -> Result<Self> {
        // Without this check, serde would also accept a list of the values.
        ensure!(text.trim_start().starts_with('{'), "expected a JSON object with the keys that README.md lists");
        let mut json = serde_json::Deserializer::from_str(text);
        let config = serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().iter().next() {
            Some(_) => anyhow!("key \"{}\": {}", error.path(), error.inner()),
            None => anyhow!("{}; README.md describes all keys", error.inner()),
        })?;
        json.end().context("expected nothing after the JSON object")?;
        Ok(config)
    }

    /// Resolves relative paths and applies the rules between keys.
    fn resolved(mut self, file: PathBuf) -> Result<Self> {
        self.folder = file.parent().map(Path::to_owned).unwrap_or_default();
        self.file = file;
        self.resolve_paths()?;
        self.apply_engine()?;
        self.check_folders()?;
        self.store_dataset = self.may_store_dataset.unwrap_or(self.engine.is_none());
        // A step may ask an engine several queries, each with a limit of its own.
        let hours = if self.engine.is_some() { 24 } else { 1 };
        self.step_time_limit = self.may_step_time_limit.unwrap_or(Duration::from_secs(hours * 3600));
        self.receivers = Receivers {
            heartbeat: self.heartbeat_url.take(),
            webhook: match (self.notify_url.take(), self.notify_secret.take()) {
                (Some(url), Some(secret)) => Some(Webhook { url, secret }),
                (None, None) => None,
                (Some(_), None) => {
                    bail!(
                        "key \"notify_url\" needs \"notify_secret\", which signs the messages; create one with: \
                         echo whsec_$(openssl rand -base64 32)"
                    )
                }
                (None, Some(_)) => bail!("key \"notify_secret\" has an effect only with \"notify_url\"; remove it"),
            },
            time_limit: self.notify_time_limit,
        };
        self.api_token = match (self.api_token.take(), self.api_token_file.take()) {
            (Some(_), Some(_)) => bail!("keys \"api_token\" and \"api_token_file\": expected one of them"),
            (None, Some(path)) => Some(TokenSource::File(path)),
            (token, None) => token,
        };
        Ok(self)
    }

    /// Returns the rule that decides about drift.
    pub fn drift_rule(&self) -> DriftRule {
        DriftRule { test: self.drift_test, min_positives: self.drift_min_positives }
    }

    fn resolve_paths(&mut self) -> Result<()> {
        let folder = &self.folder;
        for (key, path) in [
            ("input_folder_path", Some(&mut self.input_folder)),
            ("output_folder_path", Some(&mut self.output_folder)),
            ("test_data_path", Some(&mut self.test_data)),
            ("output_model_path", Some(&mut self.output_model)),
            ("prod_deployment_path", Some(&mut self.production)),
            ("engine_ca_path", self.engine_ca_path.as_mut()),
            ("local_output_path", self.local_output_path.as_mut()),
            ("api_token_file", self.api_token_file.as_mut()),
            ("accounts_path", self.accounts.as_mut()),
        ] {
            path.map_or(Ok(()), |path| resolve(key, path, folder))?;
        }
        self.database.resolve(folder);
        self.input_database.iter_mut().for_each(|input| input.url.resolve(folder));
        self.bind.iter_mut().for_each(|bind| bind.resolve(folder));
        Ok(())
    }

    /// Checks the keys that depend on `engine` and creates [`Config::engine`].
    fn apply_engine(&mut self) -> Result<()> {
        let Some(address) = self.engine_address.take() else {
            for (key, is_set) in [
                ("engine_time_limit", self.engine_time_limit.is_some()),
                ("engine_ca_path", self.engine_ca_path.is_some()),
                ("local_output_path", self.local_output_path.is_some()),
                ("dataset_csv", self.dataset_csv.is_some()),
            ] {
                ensure!(!is_set, "key \"{key}\" has an effect only with \"engine\"; remove it or set \"engine\"");
            }
            for (key, path) in [
                ("input_folder_path", &self.input_folder),
                ("output_folder_path", &self.output_folder),
                ("test_data_path", &self.test_data),
            ] {
                let path_is_local = !is_address(path);
                ensure!(path_is_local, "key \"{key}\": only an \"engine\" can reach the address {}", path.display());
            }
            return Ok(());
        };
        ensure!(
            self.may_store_dataset != Some(true),
            "key \"store_dataset\": expected false, because an \"engine\" does not copy its data to the database"
        );
        ensure!(
            self.input_database.is_none(),
            "key \"input_database\": an \"engine\" reads only files; write the rows to files or remove this key"
        );
        let output = self.output_folder.display().to_string();
        match (is_address(&self.output_folder), self.local_output_path.take()) {
            (true, local) => self.output_folder = local.unwrap_or_else(|| self.folder.join("ingesteddata")),
            (false, None) => {}
            (false, Some(_)) => {
                bail!("key \"local_output_path\" has an effect only if \"output_folder_path\" is an address; remove it")
            }
        }
        self.engine = Some(Cluster {
            address,
            ca_path: self.engine_ca_path.take(),
            time_limit: self.engine_time_limit.unwrap_or(Duration::from_secs(3600)),
            output,
            dataset_csv: self.dataset_csv.unwrap_or(false),
        });
        Ok(())
    }

    fn check_folders(&self) -> Result<()> {
        let shared = self.engine.as_ref().map(|engine| Path::new(&engine.output)).filter(|path| is_address(path));
        let output_key = if shared.is_some() { "local_output_path" } else { "output_folder_path" };
        let inputs = [("input_folder_path", self.input_folder.as_path()), ("test_data_path", &self.test_data)];
        let outputs = [
            (output_key, self.output_folder.as_path()),
            ("output_model_path", &self.output_model),
            ("prod_deployment_path", &self.production),
        ];
        inputs.iter().try_for_each(|(key, path)| check_input(key, path))?;
        outputs.iter().try_for_each(|(key, path)| check_output(key, path))?;
        let shared = shared.map(|path| ("output_folder_path", path));
        check_distinct(&inputs.into_iter().chain(shared).chain(outputs).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    type Map = serde_json::Map<String, Value>;

    const REQUIRED: [&str; 5] =
        ["input_folder_path", "output_folder_path", "test_data_path", "output_model_path", "prod_deployment_path"];

    /// Loads a valid config changed by `change`; returns the config or the whole error message.
    fn load(change: impl Fn(&mut Map)) -> Result<Config, String> {
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

    fn set(key: &'static str, value: Value) -> impl Fn(&mut Map) {
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
        assert_eq!(config.test_overlap, TestOverlap::Warn);
        assert_eq!((config.drift_test, config.drift_min_positives), (DriftTest::Raw, 5));
        assert_eq!((config.accounts.clone(), config.call_pause_days, config.call_holdout.share()), (None, 14, 0.0));
        assert_eq!(config.threads as usize, available_parallelism().unwrap().get());
        assert_eq!(config.bind, [Bind::Tcp("127.0.0.1:8000".parse().unwrap())]);
        assert_eq!((config.api_token, config.answer_max_age), (None, Duration::from_secs(10)));
    }

    #[test]
    fn the_service_may_listen_on_several_addresses_and_require_a_token() {
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
        let with = |change: &dyn Fn(&mut Map)| {
            load(|config| {
                config.insert("engine".to_owned(), json!("sc://host:15002"));
                change(config);
            })
        };
        let config = with(&|_| ()).unwrap();
        let engine = config.engine.unwrap();
        assert_eq!((engine.output.as_str(), config.store_dataset), (config.output_folder.to_str().unwrap(), false));
        assert_eq!((engine.time_limit, engine.ca_path), (Duration::from_secs(3600), None));
        let config = with(&|config| {
            config.insert("engine_ca_path".to_owned(), json!("ca.pem"));
            config.insert("input_folder_path".to_owned(), json!("s3a://bucket/in"));
            config.insert("output_folder_path".to_owned(), json!("s3a://bucket/out"));
            config.insert("engine_time_limit".to_owned(), json!(60));
        });
        let config = config.unwrap();
        assert_eq!(config.input_folder, Path::new("s3a://bucket/in"));
        let engine = config.engine.unwrap();
        assert_eq!((engine.output.as_str(), engine.ca_path), ("s3a://bucket/out", Some(config.folder.join("ca.pem"))));
        assert!(config.output_folder.ends_with("ingesteddata") && config.output_folder.is_absolute());
        for (key, value, expected) in [
            ("local_output_path", json!("elsewhere"), "is an address; remove it"),
            ("output_model_path", json!("s3a://bucket/models"), "expected a folder on this machine"),
            ("engine", json!("spark:7077"), "sc://host:15002"),
            ("engine", json!(1), "a text"),
            ("engine", json!("sc://a secret"), "sc://host:15002"),
            ("engine_time_limit", json!(0), "seconds from 1"),
            ("engine_ca_path", json!(""), "expected a path, found an empty text"),
            ("store_dataset", json!(true), "expected false"),
            ("input_database", json!({"url": "sqlite://crm.db", "table": "t", "column": "id"}), "reads only files"),
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
            ("local_output_path", "", "expected a path, found an empty text"),
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
            ("engine_ca_path", json!("ca.pem")),
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
    fn each_error_names_the_file_the_key_and_what_was_expected() {
        for (key, value, expected) in [
            ("input_folder_path", json!(3), "invalid type: integer `3`, expected path string"),
            ("input_folder_path", json!("nowhere"), "is not an existing folder"),
            ("output_folder_path", json!(""), "expected a path, found an empty text"),
            ("output_folder_path", json!("config.json"), "is a file; expected a folder"),
            ("bind", json!("localhost"), "expected ADDRESS:PORT"),
            ("bind", json!([]), "expected at least one value"),
            ("bind", json!(["127.0.0.1:80", 3]), "invalid type: integer `3`, expected a string"),
            ("api_token", json!("secret secret secret"), "expected ${NAME}"),
            ("allowed_hosts", json!("risk.example"), "expected a sequence"),
            (
                "allowed_hosts",
                json!(["risk.example", 7]),
                "allowed_hosts[1]\": invalid type: integer `7`, expected a string",
            ),
            ("allowed_hosts", json!(["http://risk.example:80"]), "without scheme and port"),
            ("answer_max_age", json!(-1), "expected seconds from 0 to 86400, found -1"),
            ("threshold", json!(1.0), "expected a probability between 0 and 1, found 1.0"),
            ("threshold", json!("0.5"), "expected a probability between 0 and 1, found \"0.5\""),
            ("regularization", json!(0), "expected a positive number, found 0"),
            ("drift_test", json!("guess"), "unknown variant `guess`, expected one of `raw`, `interval`, `history`"),
            ("drift_test", json!(3), "invalid type: integer `3`, expected a string"),
            ("drift_test", json!({"raw": null}), "expected a string"),
            ("api_token", Value::Null, "expected a text"),
            ("api_token", json!(["secret"]), "expected a text"),
            ("engine", json!({"secret": 1}), "expected a text"),
            ("database_url", json!(["secret"]), "expected a text"),
            ("store_dataset", Value::Null, "expected a boolean"),
            ("input_database", Value::Null, "expected an object"),
            ("database_url", json!("oracle://user:secret@host/db"), "expected sqlite://PATH, postgres://"),
            ("database_url", json!("postgres://user:secret@host"), "name of a database"),
            ("store_dataset", json!("no"), "expected a boolean"),
            ("input_database", json!("postgres://u:secret@host/db"), "expected an object"),
            ("input_database", json!({"url": "postgres://u:secret@h/db", "column": "id"}), "\"table\" or \"query\""),
            (
                "input_database",
                json!({"url": "mysql://u:secret@h", "table": "a", "column": "id"}),
                "url: expected the name",
            ),
            ("input_database", json!({"url": ["secret"], "table": "a", "column": "id"}), "url: expected a text"),
            (
                "input_database",
                json!({"uri": "postgres://u:secret@h/db"}),
                "unknown field `uri`, expected one of `url`",
            ),
            (
                "input_database",
                json!({"url": "postgres://u:secret@h/db", "table": "a b", "column": "id"}),
                "expected a name such as",
            ),
            ("database_url", json!("sqlite://${NO_SUCH_VARIABLE}"), "no variable NO_SUCH_VARIABLE"),
            ("output_model_path", json!("./in"), "keys \"input_folder_path\" and"),
            ("test_data_path", json!("in"), "expected different folders"),
            ("output_model_path", json!("in/../production"), "and \"prod_deployment_path\": both are"),
            ("output_model_path", json!("s3a://bucket/models"), "expected a folder on this machine"),
            ("prod_deployment_path", json!("s3a://bucket/production"), "expected a folder on this machine"),
            ("output_folder_path", json!("s3a://bucket/out"), "only an \"engine\" can reach"),
            ("api_token_file", json!(""), "expected a path, found an empty text"),
            ("regularization", json!(5e-324), "expected a positive number"),
            (
                "promotion",
                json!("never"),
                "unknown variant `never`, expected one of `on_drift`, `if_better`, `if_surely_better`",
            ),
            ("test_overlap", json!(true), "expected a string"),
            ("test_overlap", json!("fail"), "unknown variant `fail`, expected `warn` or `refuse`"),
            ("call_capacity", json!(0), "expected a whole number from 1 to 1000000, found 0"),
            ("accounts_path", json!(null), "invalid type: null"),
            ("drift_min_positives", json!(0), "expected a whole number from 1 to 1000000, found 0"),
            ("call_pause_days", json!(366), "expected a whole number from 0 to 365, found 366"),
            ("call_holdout", json!(0.6), "expected a share from 0 to 0.5, found 0.6"),
            ("step_time_limit", json!(0.5), "expected seconds from 1 to 1000000, found 0.5"),
            ("heartbeat_url", json!("https://host/secret#"), "a fragment"),
            ("heartbeat_url", json!(["secret"]), "expected a text"),
            ("notify_url", json!("mailto:secret@host"), "expected an address such as https://HOST/PATH"),
            ("notify_time_limit", json!(61), "expected seconds from 1 to 60, found 61"),
            ("threads", json!(0), "expected a whole number from 1 to 1000, found 0"),
            ("call_capacity", json!(1.5), "expected a whole number"),
            (
                "colour",
                json!("secret"),
                "unknown field `colour`, expected one of `input_folder_path`, `output_folder_path`",
            ),
        ] {
            let error = load(set(key, value)).unwrap_err();
            for part in ["config.json", key, expected] {
                assert!(error.contains(part), "{part:?} is not in {error:?}");
            }
            let error = error.replace("notify_secret", ""); // the name of a key, which the list of all keys contains
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_webhook_needs_a_secret_and_a_secret_a_webhook() {
        let alone = |key: &'static str| load(set(key, json!("https://host/hidden"))).unwrap_err();
        assert!(alone("notify_url").contains("key \"notify_url\" needs \"notify_secret\""));
        let error = alone("notify_secret");
        assert!(error.contains("only with \"notify_url\"; remove it") && !error.contains("hidden"), "{error}");
    }

    #[test]
    fn a_missing_key_a_repeated_key_and_other_text_than_an_object_are_errors() {
        let missing = load(|map| drop(map.remove("prod_deployment_path"))).unwrap_err();
        assert!(missing.contains("missing field `prod_deployment_path`") && missing.contains("README.md"), "{missing}");
        for (text, expected) in [
            ("{\"bind\": \"[::1]:80\", \"bind\": \"[::1]:81\"}", "duplicate field `bind`"),
            ("{\"bind\": ", "line 1"),
            ("[\"in\", \"out\", \"test\", \"models\", \"production\"]", "expected a JSON object"),
            ("", "expected a JSON object"),
            (
                &format!(
                    "{} {{}}",
                    json!(REQUIRED.map(|key| (key.to_owned(), json!(key))).into_iter().collect::<Map>())
                ),
                "nothing after",
            ),
        ] {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains(expected), "{text}: {error}");
        }
        let absent = Config::load(Some(Path::new("/no/config.json"))).unwrap_err();
        assert!(format!("{absent:#}").contains("/no/config.json"), "{absent:#}");
    }

    /// The keys that the error about an unknown key lists.
    fn keys() -> BTreeSet<String> {
        let error = Config::parse("{\"colour\": 1}").unwrap_err().to_string();
        let (_, list) = error.split_once("expected one of").unwrap();
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_configuration_table_of_the_readme_lists_every_key_and_no_other() {
        let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
        let (_, section) = readme.split_once("\n## Configuration\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let rows: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect();
        assert_eq!(rows.iter().map(|(key, _)| (*key).to_owned()).collect::<BTreeSet<_>>(), keys());
        assert_eq!(rows.len(), keys().len(), "a key has two rows");
        let required = rows.iter().filter(|(_, rest)| rest.starts_with("required |")).map(|(key, _)| *key);
        assert_eq!(required.collect::<Vec<_>>(), REQUIRED);
    }
}
