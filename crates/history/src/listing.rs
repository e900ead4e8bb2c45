//! Listings of the history for people and for the API: the newest rows of one kind.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use common::schema::Schema as ClientSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::columns::{Column, columns_of, schema_of, serialize_row, values_of};
use crate::contacts::ContactRow;
use crate::record::Listed;
use crate::store::History;
use crate::tables::drift::{CheckRow, ShiftRow};
use crate::tables::lists::PublishedListRow;
use crate::tables::pending_files::PendingRow;
use crate::tables::promotions::ComparisonRow;
use crate::tables::releases::ReleaseRow;
use crate::tables::runs::RunRow;
use crate::tables::scores::ScoreRow;
use crate::tables::statistics::MissingRow;
use crate::tables::timings::TimingRow;
use crate::value::Value;

/// Declares the kinds of listings, each with its name, the type of its rows and their description.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $Kind:ident = $name:literal, $Row:ident: $description:literal;)+) => {
        /// The kinds of listings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum ListingKind {
            $($(#[doc = $doc])* $Kind,)+
        }

        impl ListingKind {
            /// All kinds, in the order in which they are declared.
            pub const ALL: &[Self] = &[$(Self::$Kind),+];

            /// Returns the name, as in `dbsetup --history NAME`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Kind => $name,)+
                }
            }

            fn columns(self, clients: &ClientSchema) -> Vec<Column> {
                match self {
                    $(Self::$Kind => $Row::columns(clients),)+
                }
            }

            fn newest(self, history: &mut History, clients: &ClientSchema, last: u32) -> Result<Vec<Vec<Value>>> {
                match self {
                    $(Self::$Kind => $Row::newest_values(history, clients, last),)+
                }
            }

            /// Returns the query of the newest rows.
            #[cfg(test)]
            fn query(self, clients: &ClientSchema) -> String {
                match self {
                    $(Self::$Kind => $Row::query(clients),)+
                }
            }
        }

        /// Returns the name and the schema of each kind of row, for the description of the API.
        fn row_schemas() -> Vec<(&'static str, Schema)> {
            let clients = ClientSchema::default();
            vec![$((stringify!($Row), schema_of($Row::columns(&clients), $description)),)+]
        }
    };
}

/// Rows of a listing. Their columns may depend on those of the client table.
pub(crate) trait ListingRow {
    /// Returns the columns in order.
    fn columns(clients: &ClientSchema) -> Vec<Column>;
    /// Returns the query of the newest rows.
    fn query(clients: &ClientSchema) -> String;
    /// Returns the values of the newest `last` rows, oldest first.
    fn newest_values(history: &mut History, clients: &ClientSchema, last: u32) -> Result<Vec<Vec<Value>>>;
}

impl<T: Listed> ListingRow for T {
    fn columns(_: &ClientSchema) -> Vec<Column> {
        columns_of::<T>()
    }

    fn query(_: &ClientSchema) -> String {
        <T as Listed>::newest()
    }

    fn newest_values(history: &mut History, _: &ClientSchema, last: u32) -> Result<Vec<Vec<Value>>> {
        Ok(history.newest::<T>(last)?.iter().map(values_of).collect())
    }
}

kinds! {
    /// Every step that ran.
    Runs = "runs", RunRow: "A step that ran.";
    /// F1 scores of models on labelled data.
    Scores = "scores", ScoreRow: "The score of a model on labelled data.";
    /// Durations of the steps.
    Timings = "timings", TimingRow: "The duration of a step or of a trial of it.";
    /// Percentage of missing values, by column.
    Missing = "missing", MissingRow: "Percentage of missing values in the compiled dataset.";
    /// Releases, with the period in which each was live.
    Releases = "releases", ReleaseRow: "A period in which a release was live.";
    /// Drift checks: the score of the live release on new rows.
    Checks = "checks", CheckRow: "The score of the live release on new rows.";
    /// Files that wait for their judgement.
    Pending = "pending", PendingRow: "A file that waits for its judgement, or no longer does.";
    /// Shift of each predictor in the rows of a drift check.
    Shifts = "shifts", ShiftRow: "The shift of one predictor between the training data and new rows.";
    /// Comparisons of champion, challenger and baselines on the same test rows.
    Comparisons = "comparisons", ComparisonRow: "The result of one model or baseline on the test rows of a comparison.";
    /// Contacts: the calls that client managers have made.
    Contacts = "contacts", ContactRow: "A call to a client.";
    /// Call lists that were published, with what was expected of them.
    Lists = "lists", PublishedListRow: "A call list that was published.";
}

/// The newest rows of one kind, oldest first.
#[derive(Clone, Debug)]
pub struct Listing {
    kind: ListingKind,
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

impl Listing {
    /// Returns a listing without rows and columns, for a history that does not exist yet.
    pub fn empty(kind: ListingKind) -> Self {
        Self { kind, columns: Vec::new(), rows: Vec::new() }
    }

    /// Returns the names of the columns, and the rows as texts.
    pub fn table(&self) -> (Vec<&str>, Vec<Vec<String>>) {
        let cells = |row: &Vec<Value>| row.iter().map(Value::cell).collect();
        (self.columns.iter().map(|column| &*column.key).collect(), self.rows.iter().map(cells).collect())
    }
}

impl History {
    /// Returns the newest `last` rows of one kind, oldest first. Rows about the columns of the client table list those of
    /// `clients`.
    pub fn listing(&mut self, kind: ListingKind, clients: &ClientSchema, last: u32) -> Result<Listing> {
        Ok(Listing { kind, columns: kind.columns(clients), rows: kind.newest(self, clients, last)? })
    }

    /// Returns the newest `last` rows of one type, oldest first.
    pub fn newest<T: Listed>(&mut self, last: u32) -> Result<Vec<T>> {
        self.records(&T::newest(), &[i64::from(last).into()])
    }
}

impl Serialize for Listing {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        struct Row<'a>(&'a [Column], &'a [Value]);
        impl Serialize for Row<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                serialize_row(self.0, self.1, to)
            }
        }
        let rows: Vec<_> = self.rows.iter().map(|row| Row(&self.columns, row)).collect();
        let mut listing = to.serialize_struct("Listing", 2)?;
        listing.serialize_field("what", &self.kind)?;
        listing.serialize_field("rows", &rows)?;
        listing.end()
    }
}

impl PartialSchema for Listing {
    fn schema() -> RefOr<Schema> {
        // `anyOf` rather than `oneOf`, because an empty list matches every kind.
        let lists = row_schemas().into_iter().fold(AnyOfBuilder::new(), |lists, (name, _)| {
            lists.item(ArrayBuilder::new().items(Ref::from_schema_name(name)))
        });
        let object = ObjectBuilder::new().description(Some("The newest rows of one kind, oldest first."));
        let kind = Ref::from_schema_name(ListingKind::name());
        object.property("what", kind).property("rows", lists).required("what").required("rows").into()
    }
}

impl ToSchema for Listing {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ListingKind::name().into(), ListingKind::schema()));
        schemas.extend(row_schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema.into())));
    }
}

impl fmt::Display for ListingKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ListingKind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match Self::ALL.iter().find(|kind| kind.as_str() == text) {
            Some(kind) => Ok(*kind),
            None => {
                let names: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
                bail!("expected {}, found {text:?}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::newest_with;
    use crate::tables::drift::DriftCheck;
    use crate::tables::releases::live_at;
    use crate::tests::config;

    #[test]
    fn every_listing_reads_from_the_end_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::open(&config(folder.path())).unwrap();
        for query in ListingKind::ALL
            .iter()
            .map(|kind| kind.query(&ClientSchema::default()))
            .chain([live_at(), newest_with::<DriftCheck>("release_id = ?")])
        {
            let values = vec![Value::from(1i64); query.matches('?').count()];
            let plan: Vec<(i64, i64, i64, String)> =
                history.fetch(&format!("EXPLAIN QUERY PLAN {query}"), &values).unwrap();
            let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
            let scanned = |step: &&&str| step.starts_with("SCAN") && !step.contains("INDEX");
            // `runs` and `contacts` are scanned in the order of their ids; the others are the few rows of an inner SELECT.
            for step in steps.iter().filter(scanned) {
                let few = ["SCAN runs", "SCAN contacts", "SCAN newest", "SCAN recent", "SCAN (subquery"]
                    .iter()
                    .any(|few| step.starts_with(few));
                assert!(few, "{step} in {steps:#?}");
            }
            assert!(plan.len() > 1, "{steps:#?}");
        }
    }
}
