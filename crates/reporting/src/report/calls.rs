//! The first page, for the client manager: today's calls.

use anyhow::Result;

use crate::pdf::{Column, Document, Table};
use insight::call_list::Call;
use insight::evidence::Evidence;
use insight::words::{grouped, percent, points};

/// Maximum number of calls that are printed; calllist.csv contains all of them.
const PRINTED: usize = 100;

/// Adds the page of today's calls.
pub fn page(document: &mut Document, evidence: &Evidence) -> Result<()> {
    let calls = &evidence.calls;
    document.title("Whom to call today, and why");
    document.paragraph(&format!(
        "{} current clients, by their risk of leaving. The first {} are today's calls: of them {:.1} are expected to leave \
         ({} to {} with 95 % confidence, if the model's probabilities are right). Of as many called at random it would be \
         {:.1}.",
        grouped(calls.clients as u64),
        grouped(calls.called as u64),
        calls.expected.expected,
        calls.expected.low,
        calls.expected.high,
        calls.at_random
    ));
    let shown = calls.called.min(PRINTED);
    let rows = calls.calls[..shown].iter().map(|call| row(evidence, call)).collect();
    document.table(&Table {
        columns: vec![
            Column::right("", 0.04),
            Column::left("corporation", 0.12),
            Column::right("risk", 0.065),
            Column::right("change", 0.065),
            Column::left("why, against the average client", 0.53),
            Column::left("under the threshold with", 0.18),
        ],
        rows,
        small: true,
    });
    if calls.clients == 0 {
        document.paragraph("There is no current client in the compiled data.");
    }
    if shown < calls.called {
        document.note(&format!("The other {} calls stand in calllist.csv.", grouped((calls.called - shown) as u64)));
    }
    document.note(&format!(
        "Change: percentage points since the client's row before, by the same model. From a risk of {} on a client counts as \
         leaving. calllist.csv holds all clients with every predictor's share.",
        percent(evidence.score.threshold.value())
    ));
    Ok(())
}

/// The table row of a client, with the two strongest reasons on a line each.
fn row(evidence: &Evidence, call: &Call) -> Vec<String> {
    let calls = &evidence.calls;
    let reasons: Vec<String> = calls.reasons(call).take(2).map(|reason| reason.to_string()).collect();
    vec![
        call.rank.to_string(),
        call.corporation.clone(),
        percent(call.risk),
        call.change().map_or_else(|| "new".to_owned(), points),
        reasons.join("\n"),
        calls.what_would_help(call).to_string(),
    ]
}
