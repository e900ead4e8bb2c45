//! Contacts: the calls that client managers have made, and what came of them. They are not results of a run, so they have
//! tables of their own, to which the service appends. A request adds one or more contacts or none; its idempotency key
//! makes sure that a request that is sent again adds nothing.

mod not_recorded;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use common::files::checksum::Checksum;
use jiff::Timestamp;

use self::not_recorded::UnknownOutcome;
use crate::columns::{Field, columns, columns_of, text_enum};
use crate::connection::{Connection, Dialect};
use crate::error::DatabaseError;
use crate::record::Listed;
use crate::run::timestamp;
use crate::store::History;
use crate::value::Value;

pub use self::not_recorded::NotRecorded;

/// The table of the requests that have added contacts.
pub(crate) const REQUESTS: &str = "contact_requests";
/// The table of the contacts.
pub(crate) const CONTACTS: &str = "contacts";

/// Maximum number of contacts that are read by one query, which has a time limit.
const READ_AT_ONCE: usize = 20_000;

text_enum! {
    /// The outcome of a call.
    CallOutcome {
        /// The call was not answered.
        NotReached = "not_reached",
        /// The client was reached.
        Reached = "reached",
        /// The client has promised to stay.
        PromisedToStay = "promised_to_stay",
        /// The client has said that it is leaving.
        IsLeaving = "is_leaving",
    }
}

/// A call to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The client's id.
    pub client: String,
    /// The outcome of the call.
    pub outcome: CallOutcome,
    /// The name of the person who called.
    pub by: String,
    /// What else is worth knowing; may be empty.
    pub note: String,
    /// When the call was made. The history keeps microseconds.
    pub at: Timestamp,
}

columns! {
    /// A contact as it is listed.
    ContactRow {
        /// Number of the contact; later ones have higher numbers.
        id: i64,
        /// The client's id.
        corporation: String => "client",
        /// The outcome: `not_reached`, `reached`, `promised_to_stay` or `is_leaving`.
        outcome: CallOutcome,
        /// The name of the person who called.
        by: String => "made_by",
        /// What else is worth knowing; may be empty.
        note: String,
        /// When the call was made (UTC, RFC 3339).
        at: Timestamp => "made_at",
    }
}

/// The result of a request to add contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The contacts were recorded.
    Recorded,
    /// An earlier request with the same key and content has recorded them, and nothing was added.
    Repeated,
    /// An earlier request with the same key had another content, and nothing was added.
    Conflict,
}

/// Returns a query of contacts.
fn select(rest: &str) -> String {
    let columns: Vec<_> = columns_of::<ContactRow>().iter().map(|column| column.name).collect();
    format!("SELECT {} FROM {rest}", columns.join(", "))
}

impl Listed for ContactRow {
    fn newest() -> String {
        select("(SELECT * FROM contacts ORDER BY id DESC LIMIT ?) AS newest ORDER BY id")
    }
}

impl From<ContactRow> for Contact {
    fn from(ContactRow { corporation, outcome, by, note, at, .. }: ContactRow) -> Self {
        Self { client: corporation, outcome, by, note, at }
    }
}

impl History {
    /// Adds the contacts of one request, all or none. `key` identifies the request if it is sent again, and `sha256` its
    /// content.
    ///
    /// Contacts become visible in the order of their ids, so a reader that asks for [`contacts_after`] the newest id that
    /// it knows misses none.
    ///
    /// [`contacts_after`]: Self::contacts_after
    ///
    /// # Errors
    /// Fails if the database cannot be written. [`NotRecorded::of`] tells whether it is known that nothing was written.
    pub fn add_contacts(&mut self, key: Option<&str>, sha256: &Checksum, contacts: &[Contact]) -> Result<Added> {
        let mut committing = false;
        let added = self.execute(async |connection| {
            connection.begin().await?;
            lock(connection).await?;
            let added = add(connection, key, sha256, contacts).await?;
            committing = added == Added::Recorded;
            connection.execute_raw("COMMIT").await?;
            unlock(connection).await;
            Ok(added)
        });
        let added = added.map_err(|error| match committing && !DatabaseError::is_refused_commit(&error) {
            true => error.context(UnknownOutcome),
            false => error,
        });
        added.with_context(|| format!("adding contacts to the history {}", self.url()))
    }

    /// Returns all contacts that were recorded after the one with this id, with their ids, in the order of the ids.
    pub fn contacts_after(&mut self, id: i64) -> Result<Vec<(i64, Contact)>> {
        let query = select("contacts WHERE id > ? ORDER BY id LIMIT ?");
        let mut contacts: Vec<(i64, Contact)> = Vec::new();
        loop {
            let last = contacts.last().map_or(id, |(id, _)| *id);
            let rows: Vec<ContactRow> = self.records(&query, &[last.into(), (READ_AT_ONCE as i64).into()])?;
            let is_end = rows.len() < READ_AT_ONCE;
            contacts.extend(rows.into_iter().map(|row| (row.id, row.into())));
            if is_end {
                return Ok(contacts);
            }
        }
    }

    /// Returns the last calls to a client, at most `most`, the last one first.
    pub fn contacts_of(&mut self, client: &str, most: u32) -> Result<Vec<Contact>> {
        let query = select("contacts WHERE client = ? ORDER BY made_at DESC, id DESC LIMIT ?");
        let rows: Vec<ContactRow> = self.records(&query, &[client.into(), i64::from(most).into()])?;
        // MySQL compares texts without regard to spaces at their ends.
        Ok(rows.into_iter().map(Contact::from).filter(|contact| contact.client == client).collect())
    }

    /// Returns the highest id of a contact; `None` if there is no contact.
    pub fn newest_contact(&mut self) -> Result<Option<i64>> {
        let newest: Vec<(Option<i64>,)> = self.fetch("SELECT MAX(id) FROM contacts", &[])?;
        Ok(newest.first().and_then(|(id,)| *id))
    }
}

/// Writes the contacts unless an earlier request had the same key.
async fn add(connection: &mut Connection, key: Option<&str>, sha256: &Checksum, contacts: &[Contact]) -> Result<Added> {
    if let Some(key) = key {
        let earlier = "SELECT sha256 FROM contact_requests WHERE idempotency_key = ?";
        let earlier: Vec<(String,)> = connection.fetch(earlier, &[key.into()]).await?;
        if let Some((earlier,)) = earlier.first() {
            return Ok(if earlier == sha256.as_str() { Added::Repeated } else { Added::Conflict });
        }
    }
    let received = timestamp(Timestamp::now());
    let request = vec![Value::Text(key.map(str::to_owned)), sha256.to_value(), received.as_str().into()];
    let columns = ["idempotency_key", "sha256", "received"];
    let request = connection.insert_with_id(REQUESTS, &columns, &[request]).await?;
    let row = |contact: &Contact| {
        let Contact { client, outcome, by, note, at } = contact;
        vec![request.into(), client.to_value(), outcome.to_value(), by.to_value(), note.to_value(), at.to_value()]
    };
    let rows: Vec<_> = contacts.iter().map(row).collect();
    let columns = ["request_id", "client", "outcome", "made_by", "note", "made_at"];
    connection.insert(CONTACTS, &columns, &rows).await?;
    Ok(Added::Recorded)
}

/// Name of the lock in MySQL, the same as long as the database is.
const MYSQL_LOCK: &str = "SHA1(CONCAT(DATABASE(), ' contacts'))";

/// Serialises the transactions that add contacts. Otherwise two of them could commit in another order than that of the
/// ids that they were given. Unlike locks of tables, these locks need no permission beyond reading and adding rows.
async fn lock(connection: &mut Connection) -> Result<()> {
    match connection.dialect() {
        Dialect::Sqlite => Ok(()), // has one writer
        Dialect::Postgres => {
            let number = i64::from_be_bytes(*b"contacts");
            connection.execute("SELECT pg_advisory_xact_lock(?)", &[number.into()]).await
        }
        Dialect::MySql => {
            let got: Vec<(Option<i64>,)> = connection.fetch(&format!("SELECT GET_LOCK({MYSQL_LOCK}, 50)"), &[]).await?;
            match got.first() {
                Some((Some(1),)) => Ok(()),
                _ => bail!("other requests have been adding contacts for 50 s"),
            }
        }
    }
}

/// Releases the lock that MySQL keeps beyond the transaction. An error is ignored, because the contacts are recorded and
/// the end of the connection releases the lock too.
async fn unlock(connection: &mut Connection) {
    if connection.dialect() == Dialect::MySql {
        let _ = connection.execute(&format!("DO RELEASE_LOCK({MYSQL_LOCK})"), &[]).await;
    }
}
