//! The tables. Each module declares the records of one table, or of tables that are always written together, and the
//! queries that read them.

pub mod checked_files;
pub mod datasets;
pub mod decisions;
pub mod dependencies;
pub mod drift;
pub mod lists;
pub mod models;
pub mod pending_files;
pub mod promotions;
pub mod releases;
pub mod runs;
pub mod scores;
pub mod statistics;
pub mod timings;

use anyhow::Result;

use crate::contacts;
use crate::record::Table;
use crate::store::History;

/// All tables except sqlx's own; `runs` comes first, because the others refer to it.
pub(crate) const TABLES: &[&str] = &[
    runs::RunRecord::TABLE,
    datasets::IngestedFileRecord::TABLE,
    datasets::MissingValues::TABLE,
    datasets::DatasetRecord::TABLE,
    models::ModelRecord::TABLE,
    models::Coefficient::TABLE,
    scores::ScoredData::TABLE,
    drift::DriftCheck::TABLE,
    drift::PredictorShift::TABLE,
    promotions::PromotionDecision::TABLE,
    promotions::ComparedModel::TABLE,
    decisions::DecisionRecord::TABLE,
    releases::WentLive::TABLE,
    timings::StepTiming::TABLE,
    statistics::MissingPercentage::TABLE,
    statistics::SummaryStatistics::TABLE,
    statistics::CategoryLevel::TABLE,
    checked_files::CheckedFile::TABLE,
    dependencies::DependencyVersions::TABLE,
    contacts::REQUESTS,
    contacts::CONTACTS,
    lists::PublishedList::TABLE,
    lists::ListedClient::TABLE,
    pending_files::PendingFile::TABLE,
    datasets::CLIENTS,
];

impl History {
    /// Returns the names of the tables, each with its number of rows.
    pub fn row_counts(&mut self) -> Result<Vec<(&'static str, u64)>> {
        let count = |table: &'static str| {
            let query = format!("SELECT COUNT(*) FROM {table}");
            let counts: Vec<(i64,)> = self.fetch(&query, &[])?;
            Ok((table, counts.first().map_or(0, |(count,)| *count as u64)))
        };
        TABLES.iter().copied().map(count).collect()
    }
}
