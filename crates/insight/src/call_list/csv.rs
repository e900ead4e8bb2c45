//! calllist.csv: all listed clients with every number behind their risk.

use anyhow::{Context, Result};
use common::model::schema::PREDICTORS;

use super::{CallList, neutralised};

/// The list as CSV: one row per client, highest risk first. Numbers have full precision; missing ones are empty.
pub fn csv(list: &CallList) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let first = ["rank", "corporation", "call", "risk", "previous_risk", "change"].map(str::to_owned);
    let shares = PREDICTORS.map(|predictor| format!("{predictor}_log_odds"));
    let header = first.into_iter().chain(PREDICTORS.map(str::to_owned)).chain(shares);
    writer.write_record(header.chain(["reasons".to_owned(), "what_would_help".to_owned()]))?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for call in &list.calls {
        let reasons: Vec<String> = list.reasons(call).map(|reason| reason.to_string()).collect();
        let record = [
            call.rank.to_string(),
            neutralised(&call.corporation),
            u8::from(call.today).to_string(),
            call.risk.to_string(),
            number(call.previous_risk),
            number(call.change()),
        ];
        let shares = list.shares(call).map(|share| share.log_odds.to_string());
        let record = record.into_iter().chain(call.predictors.map(number)).chain(shares);
        writer.write_record(record.chain([reasons.join("; "), list.what_would_help(call).to_string()]))?;
    }
    writer.into_inner().context("writing the call list")
}
