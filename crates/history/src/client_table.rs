//! The table `clients` with the columns of the config, in each kind of database. The table is replaced when these
//! columns change.

use anyhow::{Context, Result, bail};
use common::schema::{Kind, Schema, Target, free_name};

use crate::connection::{Connection, DATASET_LIMIT, Dialect};
use crate::error::DatabaseError;
use crate::tables::datasets::CLIENTS;

/// Name of the new table until it replaces `clients`.
const NEW: &str = "clients_being_written";
/// Name of the previous table in MySQL while the two are exchanged.
const OLD: &str = "clients_being_replaced";

/// The table's columns, in order.
pub(crate) struct ClientTable {
    pub dialect: Dialect,
    pub columns: Vec<ClientColumn>,
}

/// A column of the table.
pub(crate) struct ClientColumn {
    name: String,
    pub content: Content,
}

/// What the values of a column are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Number of the row in finaldata.csv, from 1.
    RowNumber,
    /// The client's id.
    Id,
    /// A count or a number.
    Number,
    /// The level of a category.
    Level,
    /// A target with the labels 1 and 0.
    ZeroOrOne,
    /// A target with other labels.
    Label,
}

impl ClientTable {
    /// Returns the table for the columns of `schema`. The row number comes first; its name is `number`, or the next free
    /// name if a column has that name.
    pub fn of(schema: &Schema, dialect: Dialect) -> Self {
        let is_taken = |name: &str| schema.columns().any(|column| column.to_lowercase() == name);
        let row_number = free_name("number", is_taken).into_owned();
        let content = |kind| if kind == Kind::Category { Content::Level } else { Content::Number };
        let predictors = schema.predictors().iter().map(|predictor| (predictor.name.clone(), content(predictor.kind)));
        let target = schema.target();
        let of_target = if has_numeric_labels(target) { Content::ZeroOrOne } else { Content::Label };
        let columns = [(row_number, Content::RowNumber), (schema.id().to_owned(), Content::Id)].into_iter();
        let columns = columns.chain(predictors).chain([(target.name.clone(), of_target)]);
        Self { dialect, columns: columns.map(|(name, content)| ClientColumn { name, content }).collect() }
    }

    /// Returns the names of the columns as identifiers, separated by commas.
    pub fn column_list(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| self.dialect.identifier(&column.name)).collect();
        names.join(", ")
    }

    /// Returns whether the database's table has exactly these columns, and no replacement was interrupted.
    pub async fn is_current(&self, connection: &mut Connection) -> Result<bool> {
        let found = columns(connection).await?;
        let expected = |column: &ClientColumn| (column.name.clone(), column.content.type_name(self.dialect).to_owned());
        let expected: Vec<_> = self.columns.iter().map(expected).collect();
        Ok(found == expected && !was_interrupted(connection).await?)
    }

    /// Replaces the table by one with these columns, whose rows `fill` writes to the table of the given name. Readers see
    /// the previous rows until all new ones are written.
    ///
    /// Must be called in a transaction that has not written anything: MySQL commits it before each change of a table,
    /// and a new one is begun. If the process ends in between, the table has either the previous or the new rows.
    pub async fn replace(
        &self,
        connection: &mut Connection,
        fill: impl AsyncFnOnce(&mut Connection, &'static str) -> Result<()>,
    ) -> Result<()> {
        match self.dialect {
            // Other connections see no change of a table before it is committed.
            Dialect::Sqlite => {
                change(connection, &format!("DROP TABLE IF EXISTS {CLIENTS}")).await?;
                self.create(connection, CLIENTS).await?;
                fill(connection, CLIENTS).await
            }
            // A reader would wait from the removal of the old table until the commit, so that comes last.
            Dialect::Postgres => {
                self.create(connection, NEW).await?;
                fill(connection, NEW).await?;
                let dropped = change(connection, &format!("DROP TABLE IF EXISTS {CLIENTS}")).await;
                dropped.map_err(|error| match DatabaseError::is_used_by_view(&error) {
                    true => error.context("drop the views that use it, and create them again afterwards"),
                    false => error,
                })?;
                change(connection, &format!("ALTER TABLE {NEW} RENAME TO {CLIENTS}")).await
            }
            Dialect::MySql => {
                lock(connection).await?;
                // An earlier run may have been interrupted.
                change(connection, &format!("DROP TABLE IF EXISTS {NEW}, {OLD}")).await?;
                self.create(connection, NEW).await?;
                connection.begin().await?;
                fill(connection, NEW).await?;
                let is_missing = columns(connection).await?.is_empty();
                let exchange = match is_missing {
                    true => format!("RENAME TABLE {NEW} TO {CLIENTS}"),
                    false => format!("RENAME TABLE {CLIENTS} TO {OLD}, {NEW} TO {CLIENTS}"),
                };
                change(connection, &exchange).await?;
                change(connection, &format!("DROP TABLE IF EXISTS {OLD}")).await?;
                connection.begin().await
            }
        }
    }

    async fn create(&self, connection: &mut Connection, table: &str) -> Result<()> {
        change(connection, &self.definition(table)).await.context(
            "creating its table clients with the columns of the config; if the database cannot hold them, set \"store_dataset\" \
             to false",
        )
    }

    fn definition(&self, table: &str) -> String {
        let column = |ClientColumn { name, content }: &ClientColumn| {
            let constraint = match (content, self.dialect) {
                // An index would make replacing all rows three times as slow in PostgreSQL.
                (Content::RowNumber, Dialect::Postgres) => " NOT NULL",
                (Content::RowNumber, _) => " PRIMARY KEY",
                _ => "",
            };
            let length = if content.type_name(self.dialect) == "varchar" { "(1000)" } else { "" };
            format!("{} {}{length}{constraint}", self.dialect.identifier(name), content.type_name(self.dialect))
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        let options = if self.dialect == Dialect::MySql { " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" } else { "" };
        format!("CREATE TABLE {table} ({}){options}", columns.join(", "))
    }
}

impl Content {
    /// Returns the type as the database describes it, without a length.
    fn type_name(self, dialect: Dialect) -> &'static str {
        match (dialect, self) {
            (Dialect::Sqlite, Self::RowNumber | Self::ZeroOrOne) => "INTEGER",
            (Dialect::Sqlite, Self::Number) => "NUMERIC",
            (Dialect::Sqlite, Self::Id | Self::Level | Self::Label) => "TEXT",
            (_, Self::RowNumber) => "bigint",
            (_, Self::ZeroOrOne) => "smallint",
            (Dialect::Postgres, Self::Number) => "double precision",
            (Dialect::MySql, Self::Number) => "double",
            (Dialect::MySql, Self::Id) => "varchar",
            // A hundred columns of VARCHAR(1000) would exceed the length of a row in MySQL.
            (_, Self::Id | Self::Level | Self::Label) => "text",
        }
    }
}

/// Whether the labels are 1 and 0.
pub(crate) fn has_numeric_labels(target: &Target) -> bool {
    [&target.positive, &target.negative].iter().all(|label| matches!(label.as_str(), "1" | "0"))
}

/// Fails if this kind of database cannot hold a column of this name.
pub(crate) fn check_names(schema: &Schema, dialect: Dialect) -> Result<()> {
    /// Columns that every table of PostgreSQL has.
    const OF_POSTGRES: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
    for name in schema.columns() {
        let reason = match dialect {
            Dialect::Postgres if OF_POSTGRES.contains(&name) => "PostgreSQL uses this name itself",
            Dialect::MySql if name.chars().any(|letter| letter > '\u{FFFF}') => {
                "MySQL allows no character above U+FFFF in a name"
            }
            _ => continue,
        };
        bail!(
            "its table clients cannot have the column \"{name}\": {reason}; rename the column in the data and in the config \
             key \"columns\", or set \"store_dataset\" to false"
        );
    }
    Ok(())
}

/// Returns name and type of each column of the table; none if there is no table.
async fn columns(connection: &mut Connection) -> Result<Vec<(String, String)>> {
    let query = match connection.dialect() {
        Dialect::Sqlite => format!("SELECT name, type FROM pragma_table_info('{CLIENTS}') ORDER BY cid"),
        Dialect::Postgres => format!(
            "SELECT CAST(attname AS TEXT), format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = to_regclass('{CLIENTS}') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
        Dialect::MySql => format!(
            "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = '{CLIENTS}' ORDER BY ordinal_position"
        ),
    };
    connection.fetch(&query, &[]).await.context("reading the columns of its table clients")
}

/// Returns whether a replacement was interrupted, or is in progress, in MySQL.
async fn was_interrupted(connection: &mut Connection) -> Result<bool> {
    if connection.dialect() != Dialect::MySql {
        return Ok(false);
    }
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_name IN ('{NEW}', '{OLD}')"
    );
    let counts: Vec<(i64,)> = connection.fetch(&query, &[]).await?;
    Ok(counts.first().is_some_and(|(count,)| *count > 0))
}

/// Waits for another process that exchanges the table in MySQL. Closing the connection releases the lock.
async fn lock(connection: &mut Connection) -> Result<()> {
    let lock = "SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), ' clients')), 50)";
    let got: Vec<(Option<i64>,)> = connection.fetch(lock, &[]).await?;
    if got.first().and_then(|(got,)| *got) != Some(1) {
        bail!("another run has been replacing its table clients for 50 s; try again when that has ended");
    }
    Ok(())
}

async fn change(connection: &mut Connection, statement: &str) -> Result<()> {
    connection.execute_within(DATASET_LIMIT, statement, &[]).await.context("replacing its table clients")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_number(predictors: &str) -> String {
        let columns = format!(r#"{{"id": "id", "target": "t", "predictors": {predictors}}}"#);
        let schema = common::config::schema_of_json(&columns).unwrap();
        ClientTable::of(&schema, Dialect::Sqlite).columns[0].name.clone()
    }

    #[test]
    fn the_row_number_has_a_free_name() {
        assert_eq!(row_number(r#"["a"]"#), "number");
        assert_eq!(row_number(r#"["number"]"#), "number_");
        assert_eq!(row_number(r#"["Number", "NUMBER_"]"#), "number__", "databases do not distinguish case");
    }

    #[test]
    fn the_default_table_is_that_of_the_migrations() {
        let table = |dialect| ClientTable::of(&Schema::default(), dialect).definition(CLIENTS);
        assert_eq!(
            table(Dialect::Sqlite),
            r#"CREATE TABLE clients ("number" INTEGER PRIMARY KEY, "corporation" TEXT, "lastmonth_activity" NUMERIC, "lastyear_activity" NUMERIC, "number_of_employees" NUMERIC, "exited" INTEGER)"#
        );
        assert_eq!(
            table(Dialect::MySql),
            "CREATE TABLE clients (`number` bigint PRIMARY KEY, `corporation` varchar(1000), `lastmonth_activity` double, \
             `lastyear_activity` double, `number_of_employees` double, `exited` smallint) \
             CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        );
    }
}
