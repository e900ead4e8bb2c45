//! The changes of which migrations are made, as SQL of each database.
//!
//! The text of a change that a migration has used must not change, not even its spaces.

use crate::connection::Dialect;

/// A change of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// A new table of records, with a `run_id` and the index that lists its newest rows.
    CreateTable {
        table: &'static str,
        /// The name and type of each column, and whether it may be NULL.
        columns: &'static [(&'static str, ColumnType, bool)],
        /// The columns of the index after `run_id`. Their type must not be [`ColumnType::Text`], which MySQL cannot
        /// index.
        index: &'static [&'static str],
    },
    /// A new table whose rows belong to no run. They have an `id` that grows in the order in which they are added.
    CreateOwnTable {
        table: &'static str,
        /// The name and type of each column, and whether it may be NULL.
        columns: &'static [(&'static str, ColumnType, bool)],
        /// A column whose values differ. NULL may repeat.
        unique: Option<&'static str>,
        /// The name and type of a column with an index.
        index: Option<(&'static str, ColumnType)>,
        /// A column with ids of another table, with whose rows the rows of this one are deleted.
        parent: Option<(&'static str, &'static str)>,
    },
    /// A new column, NULL in the rows that exist.
    AddColumn {
        table: &'static str,
        column: &'static str,
        kind: ColumnType,
    },
    /// A text of at most 255 characters becomes one of any length. It must not be NULL.
    Widen {
        table: &'static str,
        column: &'static str,
    },
    /// Other values in the rows that a condition selects. It must be repeatable.
    Update {
        table: &'static str,
        set: &'static str,
        rows: &'static str,
    },
    RenameTable {
        from: &'static str,
        to: &'static str,
    },
    RenameColumn {
        table: &'static str,
        from: &'static str,
        to: &'static str,
    },
}

/// The type of a new column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ColumnType {
    /// A whole number or a boolean.
    Integer,
    Real,
    /// A text of at most 255 characters.
    Name,
    /// A text of any length, or a list.
    Text,
}

impl Change {
    /// Returns the statements. MySQL commits each statement separately, so there they must be repeatable after an
    /// interruption.
    pub fn sql(self, dialect: Dialect) -> String {
        match (self, dialect) {
            (Self::CreateTable { table, columns, index }, _) => {
                let columns = definitions(columns, dialect);
                let run_id = format!("run_id {} NOT NULL", ColumnType::Integer.sql(dialect));
                let reference = "FOREIGN KEY (run_id) REFERENCES runs (id) ON DELETE CASCADE";
                let (columns, keys) = (columns.join(", "), [&["run_id"], index].concat().join(", "));
                match dialect {
                    Dialect::MySql => format!(
                        "CREATE TABLE IF NOT EXISTS {table} ({run_id}, {columns}, KEY {table}_by_run ({keys}), {reference})
                        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"
                    ),
                    _ => format!(
                        "CREATE TABLE {table} ({run_id}, {columns}, {reference});
                        CREATE INDEX {table}_by_run ON {table} ({keys});"
                    ),
                }
            }
            (Self::CreateOwnTable { table, columns, unique, index, parent }, _) => {
                let mut parts = vec![format!("id {}", own_id(dialect))];
                parts.extend(definitions(columns, dialect));
                parts.extend(unique.map(|column| format!("UNIQUE ({column})")));
                parts.extend(parent.map(|(column, table)| {
                    format!("FOREIGN KEY ({column}) REFERENCES {table} (id) ON DELETE CASCADE")
                }));
                match dialect {
                    Dialect::MySql => {
                        parts.extend(index.map(|(column, kind)| {
                            format!("KEY {table}_by_{column} ({column}{})", kind.mysql_key_length())
                        }));
                        let parts = parts.join(", ");
                        format!(
                            "CREATE TABLE IF NOT EXISTS {table} ({parts}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"
                        )
                    }
                    _ => {
                        let index = index
                            .map(|(column, _)| format!("\nCREATE INDEX {table}_by_{column} ON {table} ({column});"));
                        format!("CREATE TABLE {table} ({});{}", parts.join(", "), index.unwrap_or_default())
                    }
                }
            }
            (Self::AddColumn { table, column, kind }, _) => {
                let add = format!("ALTER TABLE {table} ADD COLUMN {column} {}", kind.sql(dialect));
                match dialect {
                    Dialect::MySql => mysql_if("NOT EXISTS", &column_of(table, column), &add),
                    _ => format!("{add};"),
                }
            }
            (Self::Widen { table, column }, Dialect::MySql) => {
                format!("ALTER TABLE {table} MODIFY {column} {} NOT NULL;", ColumnType::Text.sql(dialect))
            }
            (Self::Widen { .. }, _) => String::new(), // a text has no limit
            (Self::Update { table, set, rows }, _) => format!("UPDATE {table} SET {set} WHERE {rows};"),
            (Self::RenameTable { from, to }, Dialect::MySql) => mysql_if(
                "EXISTS",
                &format!("tables WHERE table_name = '{from}'"),
                &format!("ALTER TABLE {from} RENAME TO {to}"),
            ),
            (Self::RenameTable { from, to }, _) => format!("ALTER TABLE {from} RENAME TO {to};"),
            (Self::RenameColumn { table, from, to }, Dialect::MySql) => mysql_if(
                "EXISTS",
                &column_of(table, from),
                &format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}"),
            ),
            (Self::RenameColumn { table, from, to }, _) => format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to};"),
        }
    }
}

/// Returns the definitions of columns.
fn definitions(columns: &[(&str, ColumnType, bool)], dialect: Dialect) -> Vec<String> {
    let definition = |(name, kind, nullable): &(&str, ColumnType, bool)| {
        format!("{name} {}{}", kind.sql(dialect), if *nullable { "" } else { " NOT NULL" })
    };
    columns.iter().map(definition).collect()
}

/// Returns the definition of an id that the database assigns and never uses again.
fn own_id(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
        Dialect::Postgres => "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        Dialect::MySql => "BIGINT AUTO_INCREMENT PRIMARY KEY",
    }
}

/// Returns the part of a query that finds a column in the information schema.
fn column_of(table: &str, column: &str) -> String {
    format!("columns WHERE table_name = '{table}' AND column_name = '{column}'")
}

/// Returns statements that execute `statement` only if a row of the information schema `EXISTS`, or `NOT EXISTS`. MySQL
/// has no `IF EXISTS` for a column.
fn mysql_if(exists: &str, row: &str, statement: &str) -> String {
    format!(
        "SET @change = IF({exists}(SELECT 1 FROM information_schema.{row} AND table_schema = DATABASE()), '{statement}', 'DO 0');
        PREPARE change_schema FROM @change;
        EXECUTE change_schema;
        DEALLOCATE PREPARE change_schema;"
    )
}

impl ColumnType {
    fn sql(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::Integer, Dialect::Sqlite) => "INTEGER",
            (Self::Integer, _) => "BIGINT",
            (Self::Real, Dialect::Sqlite) => "REAL",
            (Self::Real, _) => "DOUBLE PRECISION",
            (Self::Name, Dialect::MySql) => "VARCHAR(255)",
            (Self::Text, Dialect::MySql) => "MEDIUMTEXT",
            (Self::Name | Self::Text, _) => "TEXT",
        }
    }

    /// Returns the part of a column that MySQL puts into an index. It indexes only the beginning of a long text.
    fn mysql_key_length(self) -> &'static str {
        match self {
            Self::Text => "(255)",
            Self::Integer | Self::Real | Self::Name => "",
        }
    }
}
