//! The address of a database, checked once, and shown without its secrets.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use url::Url;

/// What an address must look like.
pub const EXPECTED_URL: &str =
    "sqlite://PATH, postgres://USER:PASSWORD@HOST/DATABASE or mysql://USER:PASSWORD@HOST/DATABASE";

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A PostgreSQL server.
    Postgres(ServerUrl),
    /// A MySQL or MariaDB server.
    MySql(ServerUrl),
}

/// The address of a database on a server. It may hold a password, so nothing shows it but [`ServerUrl::secret`].
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    secret: String,
    /// Scheme, host, port where one is given, and database.
    shown: String,
}

impl DatabaseUrl {
    /// Reads an address; a relative file is one in `folder`.
    ///
    /// # Errors
    /// Say what is wrong without repeating the text, which may hold a password.
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

    /// Whether it names a server, which must be asked, and not a file, which can be looked at.
    pub fn is_server(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
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
            anyhow::anyhow!("{error}; a user or password with special characters needs them percent-encoded (@ is %40)")
        })?;
        let host = url.host_str().filter(|host| !host.is_empty()).context("expected a host after ://")?;
        let database = url.path().trim_start_matches('/');
        if database.is_empty() {
            bail!("expected the name of a database after {host}/");
        }
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if !database.chars().all(plain) {
            // What stands there is not repeated: after a / in a password it is the password's end.
            bail!("expected a database name of letters, digits, _ and - after the host; a / in a password is %2F");
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self { shown: format!("{}://{host}{port}/{database}", url.scheme()), secret: text.to_owned() })
    }

    /// The whole address with its password, for the driver alone.
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

/// A table or query on a database, from which new client rows are taken.
#[derive(Clone, Debug)]
pub struct InputDatabase {
    /// Where it is.
    pub url: DatabaseUrl,
    /// What to read there.
    pub rows: InputRows,
    /// The column that grows: a row is new where it is above the highest value that has been seen.
    pub column: String,
}

/// Where client rows stand in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputRows {
    /// In this table or view, perhaps with its schema.
    Table(String),
    /// In the result of this `SELECT`.
    Query(String),
}

impl InputDatabase {
    /// Checks the names that will stand in SQL.
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

    /// What the rows are called: the table's name, or "query".
    pub fn name(&self) -> &str {
        match &self.rows {
            InputRows::Table(table) => table,
            InputRows::Query(_) => "query",
        }
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
