//! The tables `published_lists` and `listed_clients`: the call lists that reporting has published.

use anyhow::Result;
use common::files::checksum::Checksum;

use crate::columns::{columns, columns_of};
use crate::record::{Recorded, Table};
use crate::store::History;

columns! {
    /// A call list that was published. A list with the same clients as the newest one is not recorded again.
    PublishedList in "published_lists" {
        /// The id of the release that computed the risks.
        release: String => "release_id",
        /// SHA-256 of the release, the ids, the ranks and the risks of the listed clients.
        sha256: Checksum,
        /// SHA-256 of the compiled dataset from which the list was made.
        dataset_sha256: Checksum,
        /// Number of current clients.
        clients: u64,
        /// Number of clients to call.
        called: u64,
        /// Number of held-out clients who would be among them without the hold-out.
        held_out: u64,
        /// Number of the clients to call that are expected to leave; `None` if no test client is comparable.
        expected: Option<f64>,
        /// Lower end of the 95 % interval of this number.
        expected_low: Option<u64>,
        /// Upper end of the 95 % interval of this number.
        expected_high: Option<u64>,
        /// Number of clients that are expected to leave of as many clients chosen at random.
        at_random: Option<f64>,
    }
}

columns! {
    /// A client of a published list: one to call, or a held-out one who would be called without the hold-out.
    ListedClient in "listed_clients" then "list_rank" {
        /// The client's id.
        client: String,
        /// Position in the list, starting at 1.
        rank: u64 => "list_rank",
        /// The probability of leaving.
        risk: f64,
        /// Whether the client was to be called; otherwise it was held out.
        called: bool,
    }
}

/// A published list with the run that published it.
pub type PublishedListRow = Recorded<PublishedList>;

/// A client of a published list with the run that published it.
pub type ListedClientRow = Recorded<ListedClient>;

impl History {
    /// Returns the clients of the list that a run has published, by their rank.
    pub fn clients_of_list(&mut self, run: i64) -> Result<Vec<ListedClient>> {
        let columns: Vec<_> = columns_of::<ListedClient>().iter().map(|column| column.name).collect();
        let (columns, table) = (columns.join(", "), ListedClient::TABLE);
        let query = format!("SELECT {columns} FROM {table} WHERE run_id = ? ORDER BY list_rank");
        self.records(&query, &[run.into()])
    }
}
