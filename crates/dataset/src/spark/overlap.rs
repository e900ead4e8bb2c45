//! Rows and clients of the test data that are also in the compiled dataset, counted by one query.

use anyhow::Result;
use common::model::leaks::Overlap;
use common::schema::Schema;

use crate::spark::connection::Connection;
use crate::spark::distribution::sum_where;
use crate::spark::names::{self, ID, TARGET};
use crate::spark::row_rules::READABLE;
use crate::spark::sql::Cells;

/// Counts what of the labelled rows of the relation `test` is also in the relation `compiled`. Grouping finds equal rows,
/// because it takes a missing value as equal to a missing one, which a join does not.
pub fn overlap(connection: &Connection, schema: &Schema, test: &str, compiled: &str) -> Result<Overlap> {
    let columns = names::columns(schema).join(", ");
    // Rows of the test data that are not scored count as neither; a filter would compute every column again.
    let labelled = format!("{READABLE} AND {TARGET} IS NOT NULL");
    let both = format!(
        "SELECT {columns}, CASE WHEN {labelled} THEN 1 ELSE 0 END AS tested, 0 AS trained FROM {test} \
         UNION ALL SELECT {columns}, 0 AS tested, 1 AS trained FROM {compiled}"
    );
    let rows =
        format!("SELECT {columns}, sum(tested) AS tested, sum(trained) AS trained FROM ({both}) GROUP BY {columns}");
    let clients = format!(
        "SELECT {ID}, {} AS repeated, sum(tested) AS tested, sum(trained) AS trained FROM ({rows}) GROUP BY {ID}",
        sum_where("trained > 0", "tested")
    );
    let is_client = format!("{ID} IS NOT NULL AND tested > 0 AND trained > 0");
    let query = format!(
        "SELECT sum(repeated), {}, min(CASE WHEN repeated > 0 THEN {ID} END) FROM ({clients})",
        sum_where(&is_client, "1")
    );
    let row = connection.row("comparing the test data with the training data", query)?;
    let mut cells = Cells::of(&row);
    Ok(Overlap { rows: cells.count(), clients: cells.count(), example: cells.text() })
}
