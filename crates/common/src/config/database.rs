//! Addresses of databases. They are checked once and are displayed without their secrets.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::config::values::SecretText;

/// The expected form of an address, for error messages.
const EXPECTED_URL: &str =
    "sqlite://PATH, postgres://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE";

/// The address of a database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretText")]
pub enum DatabaseUrl {
    /// Path of an SQLite file.
    Sqlite(PathBuf),
    /// Address of a PostgreSQL server.
    Postgres(ServerUrl),
    /// Address of a MySQL or MariaDB server.
    MySql(ServerUrl),
}

/// The address of a database on a server. It may contain a password, so only [`ServerUrl::secret`] returns it
/// unchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    secret: String,
    /// Scheme, host, port if one is given, and database.
    shown: String,
}

impl DatabaseUrl {
    /// Parses an address. A relative path of an SQLite file is resolved against `folder`.
    ///
    /// # Errors
    /// Fails if the address is invalid. The error does not repeat the text, which may contain a password.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").with_context(|| format!("expected {EXPECTED_URL}"))?;
        match scheme {
            "sqlite" if rest.is_empty() => bail!("expected sqlite://PATH"),
            "sqlite" => Ok(Self::Sqlite(folder.join(rest))),
            "postgres" | "postgresql" => Ok(Self::Postgres(ServerUrl::parse(text)?)),
            "mysql" | "mariadb" => Ok(Self::MySql(ServerUrl::parse(text)?)),
            _ => bail!("expected {EXPECTED_URL}"),
        }
    }

    /// Resolves the path of an SQLite file against `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        if let Self::Sqlite(path) = self {
            *path = folder.join(&*path);
        }
    }

    /// Whether the address names a server and not a file. A server must be asked whether the database exists; a file
    /// can be checked directly.
    pub fn is_server(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
    }
}

impl Default for DatabaseUrl {
    fn default() -> Self {
        Self::Sqlite("history.sqlite".into())
    }
}

impl TryFrom<SecretText> for DatabaseUrl {
    type Error = Error;

    fn try_from(text: SecretText) -> Result<Self> {
        Self::parse(&text.expanded()?, Path::new(""))
    }
}

impl ServerUrl {
    fn parse(text: &str) -> Result<Self> {
        // The first / ? or # ends the host. An @ after it means that the password contains one of these characters, and
        // the rest of the password would be shown as the name of the database.
        let behind_host = text.split_once("://").and_then(|(_, rest)| rest.split_once(['/', '?', '#']));
        if behind_host.is_some_and(|(_, behind)| behind.contains('@')) {
            bail!(
                "an @ follows the host; special characters of a user, a password or a parameter must be \
                 percent-encoded (/ is %2F, ? is %3F, # is %23, @ is %40)"
            );
        }
        let url = Url::parse(text).map_err(|error| {
            anyhow!("{error}; a user or password with special characters needs them percent-encoded (@ is %40)")
        })?;
        let host = url.host_str().filter(|host| !host.is_empty()).context("expected a host after ://")?;
        let database = url.path().trim_start_matches('/');
        if database.is_empty() {
            bail!("expected the name of a database after {host}/");
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if !database.chars().all(plain) {
            // The invalid name is not repeated: if the password contains a /, the name is the end of the password.
            bail!("expected a database name of letters, digits, _ and - after the host; a / in a password is %2F");
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self { shown: format!("{}://{host}{port}/{database}", url.scheme()), secret: text.to_owned() })
    }

    /// Returns the whole address with its password; only the driver may use it.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(server) | Self::MySql(server) => f.write_str(&server.shown),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A table or query of a database, from which new client rows are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub struct InputDatabase {
    /// Address of the database.
    pub url: DatabaseUrl,
    /// Table or query that gives the rows.
    pub rows: InputRows,
    /// The growing column: a row is new if its value is above the highest value seen so far (the watermark).
    pub column: String,
}

/// The source of client rows within a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputRows {
    /// A table or view, with or without its schema.
    Table(String),
    /// The result of a `SELECT` statement.
    Query(String),
}

impl InputDatabase {
    /// Creates the input and checks the names that become part of SQL statements.
    ///
    /// # Errors
    /// Fails if the table or the column is not a plain name, or the query contains a semicolon.
    pub fn new(url: DatabaseUrl, rows: InputRows, column: &str) -> Result<Self> {
        let name = |text: &str| {
            text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
                && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        };
        match &rows {
            InputRows::Table(table) if !table.split('.').all(name) => {
                bail!(
                    "\"table\": expected a name such as activity or crm.activity, found \"{table}\"; use \"query\" for others"
                )
            }
            InputRows::Query(query) if query.contains(';') => {
                bail!("\"query\": expected one SELECT without a semicolon")
            }
            _ => {}
        }
        if !name(column) {
            bail!("\"column\": expected the name of a column, found \"{column}\"");
        }
        Ok(Self { url, rows, column: column.to_owned() })
    }

    /// Returns the display name of the rows: the name of the table, or "query".
    pub fn name(&self) -> &str {
        match &self.rows {
            InputRows::Table(table) => table,
            InputRows::Query(_) => "query",
        }
    }
}

/// The keys of `input_database` in the config.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputKeys {
    url: DatabaseUrl,
    table: Option<String>,
    query: Option<String>,
    column: String,
}

impl TryFrom<Value> for InputDatabase {
    type Error = Error;

    fn try_from(value: Value) -> Result<Self> {
        // Another value is not repeated in the error, because it may be an address with a password.
        ensure!(value.is_object(), "expected an object of \"url\", \"table\" or \"query\", and \"column\", all texts");
        let keys: InputKeys = serde_path_to_error::deserialize(value).map_err(|error| anyhow!("{error}"))?;
        let rows = match (keys.table, keys.query) {
            (Some(table), None) => InputRows::Table(table),
            (None, Some(query)) => InputRows::Query(query),
            _ => bail!("expected either \"table\" or \"query\""),
        };
        Self::new(keys.url, rows, &keys.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl> {
        DatabaseUrl::parse(text, Path::new("/home"))
    }

    #[test]
    fn three_kinds_are_shown_without_their_secrets() {
        for (text, shown) in [
            ("sqlite://history.sqlite", "/home/history.sqlite"),
            ("sqlite:///var/größe.db", "/var/größe.db"),
            ("postgres://risk:secret@db.example:5433/risk?sslmode=require", "postgres://db.example:5433/risk"),
            ("postgresql://risk:se%40cret@db/risk", "postgresql://db/risk"),
            ("mysql://risk:secret@[::1]/risk", "mysql://[::1]/risk"),
            ("mariadb://risk@127.0.0.1/risk_2", "mariadb://127.0.0.1/risk_2"),
        ] {
            let url = parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"), "{url:?}");
            if let DatabaseUrl::Postgres(server) | DatabaseUrl::MySql(server) = &url {
                assert_eq!(server.secret(), text);
            }
        }
    }

    #[test]
    fn faults_are_named_and_the_text_is_not_repeated() {
        for (text, expected) in [
            ("history.sqlite", "expected sqlite://PATH, postgres://"),
            ("oracle://risk:secret@db/risk", "expected sqlite://PATH, postgres://"),
            ("sqlite://", "expected sqlite://PATH"),
            ("postgres://risk:secret@db", "name of a database"),
            ("postgres://risk:secret@db/ri`sk", "letters, digits"),
            ("mysql://risk:se/secret@db/risk", "percent-encoded"),
            ("mysql://risk:2024/secret@db/risk", "%2F"),
            ("postgres://risk:12/secret?more@db/risk", "%3F"),
            ("postgres://risk:12?secret@db/risk", "%3F"),
            ("postgres://risk:12/secret#more@db/risk", "%23"),
            ("postgres://risk:12#secret@db/risk", "%23"),
            ("postgres://risk:12/secret?a=b@c@db/risk", "%40"),
            ("postgres:///risk", "expected a host"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn names_that_are_none_do_not_get_into_sql() {
        let url = parse("sqlite://crm.db").unwrap();
        let input = |rows, column: &str| InputDatabase::new(url.clone(), rows, column);
        assert_eq!(input(InputRows::Table("crm.activity".into()), "id").unwrap().name(), "crm.activity");
        assert_eq!(input(InputRows::Query("SELECT * FROM a".into()), "größe").unwrap().name(), "query");
        for (rows, column) in [
            (InputRows::Table("activity; DROP TABLE runs".into()), "id"),
            (InputRows::Table("crm.".into()), "id"),
            (InputRows::Query("SELECT 1; SELECT 2".into()), "id"),
            (InputRows::Table("activity".into()), "id > 0 OR 1"),
            (InputRows::Table("activity".into()), ""),
        ] {
            assert!(input(rows.clone(), column).is_err(), "{rows:?} {column}");
        }
    }
}
