//! The migrations of the schema. Versions 1 to 3 are SQL files, one for each database. From version 4 on, a migration is
//! a list of [`Change`]s that is stated once.
//!
//! An applied migration must never change: sqlx compares its checksum with the one recorded in the database.

mod change;

use self::change::{Change, ColumnType};
use crate::connection::Dialect;

/// Version and name of each migration, and the changes to the version before. The first one follows the SQL files.
const CHANGES: &[(i64, &str, &[Change])] = &[
    (
        4,
        "names",
        &[
            Change::RenameColumn { table: "predictor_shifts", from: "ks_distance", to: "ks_statistic" },
            Change::RenameColumn { table: "promotions", from: "model_sha256", to: "challenger_sha256" },
            Change::RenameTable { from: "contestants", to: "compared_models" },
            Change::RenameColumn { table: "compared_models", from: "contestant", to: "model" },
            Change::RenameColumn { table: "timings", from: "what", to: "operation" },
            Change::RenameColumn { table: "models", from: "left_out", to: "incomplete_rows" },
        ],
    ),
    (
        5,
        "categories",
        &[
            Change::AddColumn { table: "predictor_shifts", column: "chi_square", kind: ColumnType::Real },
            Change::Widen { table: "coefficients", column: "term" },
            Change::CreateTable {
                table: "category_levels",
                columns: &[
                    ("column_name", ColumnType::Name, false),
                    ("level", ColumnType::Text, false),
                    ("row_count", ColumnType::Integer, false),
                    ("share", ColumnType::Real, false),
                ],
                index: &[],
            },
        ],
    ),
    (
        6,
        "contacts",
        &[
            Change::CreateOwnTable {
                table: "contact_requests",
                columns: &[
                    ("idempotency_key", ColumnType::Name, true),
                    ("sha256", ColumnType::Name, false),
                    ("received", ColumnType::Name, false),
                ],
                unique: Some("idempotency_key"),
                index: None,
                parent: None,
            },
            Change::CreateOwnTable {
                table: "contacts",
                columns: &[
                    ("request_id", ColumnType::Integer, false),
                    ("client", ColumnType::Text, false),
                    ("outcome", ColumnType::Name, false),
                    ("made_by", ColumnType::Name, false),
                    ("note", ColumnType::Text, false),
                    ("made_at", ColumnType::Name, false),
                ],
                unique: None,
                index: Some(("client", ColumnType::Text)),
                parent: Some(("request_id", "contact_requests")),
            },
        ],
    ),
    (
        7,
        "lists",
        &[
            Change::CreateTable {
                table: "published_lists",
                columns: &[
                    ("release_id", ColumnType::Name, false),
                    ("sha256", ColumnType::Name, false),
                    ("dataset_sha256", ColumnType::Name, false),
                    ("clients", ColumnType::Integer, false),
                    ("called", ColumnType::Integer, false),
                    ("held_out", ColumnType::Integer, false),
                    ("expected", ColumnType::Real, true),
                    ("expected_low", ColumnType::Integer, true),
                    ("expected_high", ColumnType::Integer, true),
                    ("at_random", ColumnType::Real, true),
                ],
                index: &[],
            },
            Change::CreateTable {
                table: "listed_clients",
                columns: &[
                    ("client", ColumnType::Text, false),
                    ("list_rank", ColumnType::Integer, false),
                    ("risk", ColumnType::Real, false),
                    ("called", ColumnType::Integer, false),
                ],
                index: &[],
            },
        ],
    ),
    (
        8,
        "pending files",
        &[
            Change::CreateTable {
                table: "pending_files",
                columns: &[
                    ("release_id", ColumnType::Name, false),
                    ("name", ColumnType::Name, false),
                    ("sha256", ColumnType::Name, false),
                    ("state", ColumnType::Name, false),
                ],
                index: &[],
            },
            // Earlier versions compared an F1 of 0 with the recorded one, although no client was known to have left.
            Change::Update {
                table: "drift_checks",
                set: "verdict = 'cannot be judged'",
                rows: "true_positives + false_negatives = 0",
            },
        ],
    ),
    (
        9,
        "estimates",
        &[Change::CreateTable {
            table: "estimated_quality",
            columns: &[
                ("release_id", ColumnType::Name, false),
                ("data", ColumnType::Text, false),
                ("row_count", ColumnType::Integer, false),
                ("calibrated", ColumnType::Integer, false),
                ("f1", ColumnType::Real, false),
                ("f1_low", ColumnType::Real, false),
                ("f1_high", ColumnType::Real, false),
                ("precision_score", ColumnType::Real, false),
                ("precision_low", ColumnType::Real, false),
                ("precision_high", ColumnType::Real, false),
                ("recall_score", ColumnType::Real, false),
                ("recall_low", ColumnType::Real, false),
                ("recall_high", ColumnType::Real, false),
            ],
            index: &[],
        }],
    ),
    (
        10,
        "comparisons",
        &[
            Change::AddColumn { table: "promotions", column: "test_sha256", kind: ColumnType::Name },
            Change::AddColumn { table: "promotions", column: "f1_difference_low", kind: ColumnType::Real },
            Change::AddColumn { table: "promotions", column: "f1_difference_high", kind: ColumnType::Real },
            Change::AddColumn { table: "promotions", column: "top_clients", kind: ColumnType::Integer },
            Change::AddColumn { table: "promotions", column: "top_precision", kind: ColumnType::Real },
            Change::AddColumn { table: "promotions", column: "top_precision_deployed", kind: ColumnType::Real },
            Change::AddColumn { table: "promotions", column: "top_difference_low", kind: ColumnType::Real },
            Change::AddColumn { table: "promotions", column: "top_difference_high", kind: ColumnType::Real },
            Change::AddColumn { table: "scores", column: "repeated_rows", kind: ColumnType::Integer },
            Change::AddColumn { table: "scores", column: "repeated_clients", kind: ColumnType::Integer },
            Change::AddColumn { table: "scores", column: "separating", kind: ColumnType::Text },
        ],
    ),
];

/// The newest schema version, which is the one that this program reads and writes.
pub const VERSION: i64 = CHANGES[CHANGES.len() - 1].0;

/// The frozen files. SQLite has one more, because it was supported before the other two databases.
const SQLITE: &[(i64, &str, &str)] = &[
    (1, "runs", include_str!("../migrations/sqlite/1_runs.sql")),
    (2, "facts", include_str!("../migrations/sqlite/2_facts.sql")),
    (3, "evidence", include_str!("../migrations/sqlite/3_evidence.sql")),
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (2, "facts", include_str!("../migrations/postgres/2_facts.sql")),
    (3, "evidence", include_str!("../migrations/postgres/3_evidence.sql")),
];
const MYSQL: &[(i64, &str, &str)] = &[
    (2, "facts", include_str!("../migrations/mysql/2_facts.sql")),
    (3, "evidence", include_str!("../migrations/mysql/3_evidence.sql")),
];

/// Returns version, name and SQL text of each migration, in order.
pub(crate) fn migrations(dialect: Dialect) -> Vec<(i64, &'static str, String)> {
    let files = match dialect {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
        Dialect::MySql => MYSQL,
    };
    let files = files.iter().map(|(version, name, sql)| (*version, *name, (*sql).to_owned()));
    let changes = CHANGES.iter().map(|(version, name, changes)| {
        let statements: Vec<_> = changes.iter().map(|change| change.sql(dialect)).collect();
        (*version, *name, statements.join("\n"))
    });
    files.chain(changes).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use common::config::database::DatabaseUrl;
    use common::files::checksum::Checksum;
    use testkit::databases::{Kind, fresh_name, shared};

    use super::*;
    use crate::connection::{Connection, Opening, runtime};
    use crate::schema;
    use crate::value::Value;

    const NOTES: Change = Change::CreateTable {
        table: "notes",
        columns: &[
            ("name", ColumnType::Name, false),
            ("n", ColumnType::Integer, false),
            ("share", ColumnType::Real, true),
            ("remark", ColumnType::Name, true),
            ("content", ColumnType::Text, false),
        ],
        index: &["name"],
    };

    /// Returns the statement by which version 8 changes rows of earlier versions.
    pub(crate) fn update_of_version_8() -> String {
        let (.., changes) = CHANGES.iter().find(|(version, ..)| *version == 8).unwrap();
        changes[1].sql(Dialect::Sqlite)
    }

    /// Creates a table, twice where that must be possible, and writes and reads a row.
    fn create_a_table(url: &DatabaseUrl) {
        let work = async {
            let mut connection = Connection::open(url, Opening::Create).await?;
            schema::migrate(&mut connection).await?;
            let dialect = connection.dialect();
            for _ in 0..if dialect == Dialect::MySql { 2 } else { 1 } {
                for statement in NOTES.sql(dialect).split_inclusive(';') {
                    connection.execute(statement, &[]).await?;
                }
            }
            let run =
                "INSERT INTO runs (step, version, started, seconds, ended, outcome) VALUES ('', '', '', 0, '', '')";
            connection.execute(run, &[]).await?;
            let ids: Vec<(i64,)> = connection.fetch("SELECT id FROM runs", &[]).await?;
            let text = "a line\n".repeat(100_000);
            let row = [
                ids[0].0.into(),
                "größe".into(),
                Value::Integer(Some(7)),
                Value::Real(None),
                Value::Text(None),
                text.as_str().into(),
            ];
            let columns = ["run_id", "name", "n", "share", "remark", "content"];
            connection.insert("notes", &columns, &[row.to_vec()]).await?;
            let read: Vec<(String, i64, Option<f64>)> =
                connection.fetch("SELECT name, n, share FROM notes", &[]).await?;
            assert_eq!(read, [("größe".to_owned(), 7, None)]);
            let read: Vec<(Option<String>, String)> =
                connection.fetch("SELECT remark, content FROM notes", &[]).await?;
            assert_eq!(read, [(None, text)]);
            connection.execute("DELETE FROM runs", &[]).await?;
            let left: Vec<(i64,)> = connection.fetch("SELECT COUNT(*) FROM notes", &[]).await?;
            if dialect != Dialect::Sqlite {
                assert_eq!(left, [(0,)], "the rows are deleted with their run");
            }
            connection.close().await;
            anyhow::Ok(())
        };
        runtime().unwrap().block_on(work).unwrap();
    }

    /// sqlx refuses a database in which a migration was applied with another text.
    #[test]
    fn the_text_of_a_published_migration_never_changes() {
        let published = [Dialect::Sqlite, Dialect::Postgres, Dialect::MySql].map(|dialect| {
            let texts = migrations(dialect).into_iter().filter(|(version, ..)| [4, 5, 6, 7].contains(version));
            texts.map(|(.., sql)| Checksum::of_bytes(sql.as_bytes()).short().to_owned()).collect::<Vec<_>>()
        });
        let expected = [
            ["74b116e0ffcf", "b3b5fb03a287", "709d2b7e8f7d", "2aa8786cf4ea"],
            ["74b116e0ffcf", "44681da8c569", "4fa7a7d3fd8a", "60e2cf3e0cc0"],
            ["8ed25b9c8a61", "a1119196b403", "1d7ca4379e78", "8c0ff0ea2836"],
        ];
        assert_eq!(published, expected);
    }

    #[test]
    fn a_new_table_is_stated_once_for_all_databases() {
        let folder = tempfile::tempdir().unwrap();
        create_a_table(&DatabaseUrl::parse("sqlite://new.sqlite", folder.path()).unwrap());
        for server in [Kind::Postgres, Kind::MariaDb].into_iter().filter_map(shared) {
            let name = fresh_name("table");
            server.sql("", &format!("CREATE DATABASE {name}"));
            create_a_table(&DatabaseUrl::parse(&server.url(&name), Path::new("/")).unwrap());
        }
    }
}
