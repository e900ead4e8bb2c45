//! A client table on the cluster. Every operation on it is one or two queries.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use crate::spark::compile::label;
use crate::{
    CategoryStatistics, Client, ClientRow, Clients, ColumnStatistics, Counts, Description, MissingPercent, Newest,
    PREDICTION_COLUMNS, TrainingRows, VisitRow,
};
use anyhow::{Context, Result, bail};
use common::config::Threshold;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::model::Model;
use common::model::metrics::Confusion;
use common::schema::Schema;
use common::values::{ColumnDistribution, Predictors, Value, borrowed};
use statistics::calibration::Calibration;
use statistics::distribution::Distribution;
use statistics::expected::{ExpectedCounts, Group};
use statistics::levels::LevelCounts;

use crate::spark::connection::Connection;
use crate::spark::distribution::{Column, Moments, count, count_levels, every, moments, sum_where};
use crate::spark::names::{self, ID, TARGET, identifier};
use crate::spark::plan::{Existing, Format};
use crate::spark::row_rules::{FILE, READABLE};
use crate::spark::sql::{self, Cells};
use crate::spark::training::ClusterRows;
use crate::spark::view::View;

/// Maximum number of ids in one query.
const IDS_PER_QUERY: usize = 5000;

/// A table on the cluster.
pub struct ClusterTable {
    pub(super) connection: Arc<Connection>,
    pub(super) schema: Arc<Schema>,
    /// A FROM clause with [`names::columns`] and `readable` (whether the row is valid).
    pub(super) relation: String,
    /// The views that the relation reads.
    _views: Vec<View>,
    malformed: u64,
    /// Checksum and number of rows according to ingestion; `None` if the table is not the compiled dataset.
    pub(super) ingested: Option<(Checksum, u64)>,
}

impl ClusterTable {
    /// Opens the compiled dataset that `relation` reads (see [`crate::spark::stored::relation`]).
    pub fn compiled(connection: Arc<Connection>, schema: Arc<Schema>, relation: String, ingested: &Ingested) -> Self {
        let ingested = Some((ingested.dataset_sha256.clone(), ingested.rows));
        Self { connection, schema, relation, _views: Vec::new(), malformed: 0, ingested }
    }

    /// Creates a table from the rows of CSV files; `rows` is a query of [`crate::spark::lines::Lines::rows`] that reads
    /// `views`.
    pub fn of_lines(
        connection: Arc<Connection>,
        schema: Arc<Schema>,
        rows: String,
        views: Vec<View>,
        malformed: u64,
    ) -> Self {
        Self { connection, schema, relation: format!("({rows})"), _views: views, malformed, ingested: None }
    }

    /// Fails if the dataset is incomplete. Sail does not report an error for a deleted folder, but returns no
    /// rows.
    pub(super) fn check_whole(&self, rows: u64) -> Result<()> {
        match &self.ingested {
            Some((_, ingested)) if *ingested != rows => {
                bail!("the compiled dataset has {rows} rows, but {ingested} were ingested; run ingestion again")
            }
            _ => Ok(()),
        }
    }
}

impl ClusterTable {
    /// Checks that `model` was trained on a table with these columns.
    ///
    /// # Errors
    /// Fails with the first difference.
    fn check(&self, model: &Model) -> Result<()> {
        match model.schema.difference(&self.schema) {
            None => Ok(()),
            Some(difference) => bail!("the model has other columns than the table: {difference}"),
        }
    }

    /// Returns the columns of numbers or of categories.
    pub(super) fn columns_of(&self, categories: bool) -> Vec<String> {
        let predictors = self.schema.predictors().iter().enumerate();
        let chosen = predictors.filter(|(_, predictor)| predictor.is_category() == categories);
        chosen.map(|(j, _)| names::predictor(j)).collect()
    }

    fn predictors(&self, cells: &mut Cells) -> Predictors {
        let value = |is_category: bool| match is_category {
            true => cells.text().map(Value::Level),
            false => cells.number().map(Value::Number),
        };
        self.schema.predictors().iter().map(|predictor| predictor.is_category()).map(value).collect()
    }

    fn client_row(&self, cells: &mut Cells) -> ClientRow {
        ClientRow { predictors: self.predictors(cells), exited: cells.number().map(|exited| exited == 1.0) }
    }
}

impl Clients for ClusterTable {
    fn malformed(&self) -> u64 {
        self.malformed
    }

    fn describe(&self) -> Result<Description> {
        let what = "describing the columns";
        let numeric: Vec<String> = self.columns_of(false).into_iter().chain([TARGET.to_owned()]).collect();
        let columns = names::columns(&self.schema);
        let known: Vec<String> = columns.iter().map(|column| format!("count({column})")).collect();
        let Moments { rows, columns: moments, others: known } =
            moments(&self.connection, what, &self.relation, &numeric, &known)?;
        self.check_whole(rows)?;
        let asked: Vec<Column> = numeric.iter().map(|column| every(column)).collect();
        let counted = count(&self.connection, what, &self.relation, &asked)?;
        let predictors = || self.schema.predictors().iter();
        let numbers = predictors().filter(|predictor| !predictor.is_category()).map(|predictor| &predictor.name);
        let numbers = numbers.chain([&self.schema.target().name]);
        let summary = numbers.zip(&moments).zip(counted).map(|((column, (_, mean, std)), counted)| ColumnStatistics {
            column: column.clone(),
            mean: *mean,
            median: counted.distribution.median(),
            std: *std,
            mode: counted.mode,
        });
        let levels = count_levels(&self.connection, what, &self.relation, &self.columns_of(true))?;
        let categories = predictors().filter(|predictor| predictor.is_category()).zip(levels);
        let missing = self.schema.columns().zip(known);
        Ok(Description {
            summary: summary.collect(),
            categories: categories
                .map(|(predictor, counts)| CategoryStatistics::of(&predictor.name, &LevelCounts { counts, missing: 0 }))
                .collect(),
            missing: missing.map(|(column, known)| MissingPercent::of(column, rows - known as u64, rows)).collect(),
        })
    }

    fn training_rows(&self) -> Result<Box<dyn TrainingRows + '_>> {
        Ok(Box::new(ClusterRows::of(self)?))
    }

    fn score(&self, model: &Model, threshold: Threshold) -> Result<Counts> {
        self.check(model)?;
        let positive = format!("{} >= {}", sql::probability(model), sql::number(threshold.value()));
        let missing: Vec<String> =
            names::predictors(&self.schema).iter().map(|column| format!("{column} IS NULL")).collect();
        let unseen = sql::is_unseen(model);
        // The probability is computed once for each row, not once for each count.
        let rows = format!(
            "SELECT readable, {TARGET}, {positive} AS positive, {} AS imputed, {} AS unseen FROM {}",
            missing.join(" OR "),
            unseen.as_deref().unwrap_or("false"),
            self.relation
        );
        let counts = [
            format!("{TARGET} = 1 AND positive"),
            format!("{TARGET} = 0 AND positive"),
            format!("{TARGET} = 1 AND NOT positive"),
            format!("{TARGET} = 0 AND NOT positive"),
            format!("{READABLE} AND {TARGET} IS NULL"),
            format!("{TARGET} IS NOT NULL AND imputed"),
            format!("{TARGET} IS NOT NULL AND unseen"),
        ];
        let counts = counts.map(|condition| sum_where(&condition, "1")).join(", ");
        let row = self.connection.row("scoring", format!("SELECT {counts} FROM ({rows})"))?;
        let mut cells = Cells::of(&row);
        let mut next = || cells.count();
        Ok(Counts {
            confusion: Confusion {
                true_positives: next(),
                false_positives: next(),
                false_negatives: next(),
                true_negatives: next(),
            },
            unlabelled: next(),
            imputed: next(),
            unseen: next(),
        })
    }

    fn expected_counts(
        &self,
        model: &Model,
        threshold: Threshold,
        calibration: &Calibration,
    ) -> Result<ExpectedCounts> {
        self.check(model)?;
        let scored = format!("SELECT readable, {} AS log_odds FROM {}", sql::log_odds(model), self.relation);
        let rows = sql::calibrated(calibration, threshold.value(), &scored);
        let derivatives = sql::terms(calibration).map(|term| format!("q * (1D - q) * {term}"));
        let sums_of = |side: &str| {
            let condition = format!("{READABLE} AND {side}");
            let terms = ["1", "q"].into_iter().chain(derivatives.iter().map(String::as_str));
            terms.map(|term| sum_where(&condition, term)).collect::<Vec<_>>().join(", ")
        };
        let query = format!("SELECT {}, {} FROM ({rows})", sums_of("positive"), sums_of("NOT positive"));
        let row = self.connection.row("estimating the quality of the model", query)?;
        let mut cells = Cells::of(&row);
        let mut group = || Group {
            rows: cells.count(),
            leave: cells.sum(),
            derivatives: derivatives.each_ref().map(|_| cells.sum()),
        };
        Ok(ExpectedCounts { positives: group(), negatives: group() })
    }

    fn distributions(&self) -> Result<Vec<ColumnDistribution>> {
        let what = "comparing the predictors with the training data";
        let (numbers, categories) = (self.columns_of(false), self.columns_of(true));
        let known: Vec<String> = categories.iter().map(|column| format!("count({column})")).collect();
        let Moments { rows, columns, others } = moments(&self.connection, what, &self.relation, &numbers, &known)?;
        let asked: Vec<Column> = numbers.iter().map(|column| every(column)).collect();
        let counted = count(&self.connection, what, &self.relation, &asked)?;
        let levels = count_levels(&self.connection, what, &self.relation, &categories)?;
        let numbers = counted.into_iter().zip(columns).map(|(counted, (known, ..))| {
            ColumnDistribution::Numbers(Distribution { missing: rows - known, ..counted.distribution })
        });
        let levels = levels
            .into_iter()
            .zip(others)
            .map(|(counts, known)| ColumnDistribution::Levels(LevelCounts { counts, missing: rows - known as u64 }));
        let (mut numbers, mut levels) = (numbers, levels);
        let next = |is_category: bool| if is_category { levels.next() } else { numbers.next() };
        let all = self.schema.predictors().iter().map(|predictor| predictor.is_category()).map(next);
        all.collect::<Option<Vec<_>>>().context("a column without a distribution")
    }

    fn newest(&self, model: &Model, most: usize) -> Result<Newest> {
        let what = "looking for the clients at risk";
        self.check(model)?;
        let names = names::predictors(&self.schema);
        let columns = names.join(", ");
        // The order of several rows within one file is unknown; the row of the highest risk is taken as the newest.
        let ranked = format!(
            "SELECT {ID}, {columns}, {TARGET}, risk, row_number() OVER (PARTITION BY {ID} \
             ORDER BY {FILE} DESC, risk DESC, {TARGET} DESC, {columns}) AS recency FROM (SELECT *, {} AS risk FROM {} \
             WHERE {ID} IS NOT NULL)",
            sql::log_odds(model),
            self.relation
        );
        let of_rank = |rank: usize| {
            let of_rank =
                |column: &String| format!("max(CASE WHEN recency = {rank} THEN {column} END) AS {column}_{rank}");
            names.iter().map(of_rank).collect::<Vec<_>>().join(", ")
        };
        let current = format!(
            "SELECT {ID}, count(*) AS n, {}, {}, max(CASE WHEN recency = 1 THEN risk END) AS risk FROM ({ranked}) \
             WHERE recency <= 2 GROUP BY {ID} HAVING max(CASE WHEN recency = 1 THEN coalesce({TARGET}, 0) END) = 0",
            of_rank(1),
            of_rank(2)
        );
        let totals =
            self.connection.row(what, format!("SELECT count(*), sum(1D / (1D + exp(-risk))) FROM ({current})"))?;
        let nameless = format!("SELECT count(*) FROM {} WHERE {READABLE} AND {ID} IS NULL", self.relation);
        let without_name = Cells::of(&self.connection.row(what, nameless)?).count();
        let mut totals = Cells::of(&totals);
        let mut newest = Newest { clients: Vec::new(), total: totals.count(), risk: totals.sum(), without_name };
        let riskiest = format!("SELECT * FROM ({current}) ORDER BY risk DESC, {ID} LIMIT {most}");
        self.connection.each(what, riskiest, |row| {
            let mut cells = Cells::of(&row);
            let id = cells.text().context("a client without an id")?;
            let rows = cells.count();
            let (predictors, previous) = (self.predictors(&mut cells), self.predictors(&mut cells));
            newest.clients.push(Client { id, predictors, previous: (rows > 1).then_some(previous) });
            Ok(())
        })?;
        Ok(newest)
    }

    fn rows_of(&self, id: &str) -> Result<Vec<ClientRow>> {
        let query = format!(
            "SELECT {}, {TARGET} FROM {} WHERE {ID} = {} ORDER BY {FILE}",
            names::predictors(&self.schema).join(", "),
            self.relation,
            sql::text(id)
        );
        let rows = self.connection.rows("reading the rows of a client", query)?;
        Ok(rows.iter().map(|row| self.client_row(&mut Cells::of(row))).collect())
    }

    fn positions_of(&self, _id: &str) -> Result<Option<Vec<u64>>> {
        Ok(None)
    }

    fn search(&self, part: &str, most: usize) -> Result<(Vec<String>, usize)> {
        let what = "searching for a client";
        let found = format!(
            "SELECT DISTINCT {ID} FROM {} WHERE instr(lower({ID}), {}) > 0",
            self.relation,
            sql::text(&part.to_lowercase())
        );
        let first = format!("SELECT {ID} FROM ({found}) ORDER BY {ID} LIMIT {most}");
        let names: Vec<String> =
            self.connection.rows(what, first)?.iter().filter_map(|row| Cells::of(row).text()).collect();
        // A separate query, because Sail applies the limit before it evaluates a window function.
        let total = match names.len() == most {
            true => Cells::of(&self.connection.row(what, format!("SELECT count(*) FROM ({found})"))?).count() as usize,
            false => names.len(),
        };
        Ok((names, total))
    }

    fn known(&self, ids: &HashSet<&str>) -> Result<HashSet<String>> {
        let mut known = HashSet::new();
        let ids: Vec<&str> = ids.iter().copied().collect();
        for ids in ids.chunks(IDS_PER_QUERY) {
            let ids: Vec<String> = ids.iter().map(|id| sql::text(id)).collect();
            let (relation, ids) = (&self.relation, ids.join(", "));
            let query = format!("SELECT DISTINCT {ID} FROM {relation} WHERE {ID} IN ({ids})");
            let rows = self.connection.rows("looking for clients", query)?;
            known.extend(rows.iter().filter_map(|row| Cells::of(row).text()));
        }
        Ok(known)
    }

    fn each(&self, visit: &mut VisitRow) -> Result<()> {
        let query = format!("SELECT readable, {} FROM {}", names::columns(&self.schema).join(", "), self.relation);
        self.connection.each("reading the rows", query, |row| {
            let mut cells = Cells::of(&row);
            if cells.count() == 1 {
                let id = cells.text();
                let ClientRow { predictors, exited } = self.client_row(&mut cells);
                visit(id.as_deref(), &borrowed(&predictors).collect::<Vec<_>>(), exited);
            }
            Ok(())
        })
    }

    fn write_predictions(&self, model: &Model, threshold: Threshold, path: &Path) -> Result<u64> {
        self.check(model)?;
        let address = sql::address(path)?;
        let columns = names::columns(&self.schema);
        let fields: Vec<String> = columns.iter().map(|column| format!("'{column}', {column}")).collect();
        // Not a filter, for which Sail would compute every column of the lines again.
        let readable = format!(
            "SELECT explode(CASE WHEN {READABLE} THEN array(named_struct({}, 'p', {})) END) AS r FROM {}",
            fields.join(", "),
            sql::probability(model),
            self.relation
        );
        let target = self.schema.width() - 1;
        let named = self.schema.columns().zip(&columns).enumerate().map(|(k, (name, column))| match k == target {
            true => format!("{} AS {}", label(&self.schema, &format!("r.{column}")), identifier(name)),
            false => format!("r.{column} AS {}", identifier(name)),
        });
        let [probability, prediction] = PREDICTION_COLUMNS.map(|name| identifier(&self.schema.free_name(name)));
        let threshold = sql::number(threshold.value());
        let query = format!(
            "SELECT {}, r.p AS {probability}, CASE WHEN r.p >= {threshold} THEN 1 ELSE 0 END AS {prediction} \
             FROM ({readable})",
            named.collect::<Vec<_>>().join(", ")
        );
        let format = if address.ends_with(".csv") { Format::Csv } else { Format::Parquet };
        self.connection.write("writing the predictions", query, format, Existing::Refuse, address)?;
        let rows = format!("SELECT count(CASE WHEN {READABLE} THEN 1 END) FROM {}", self.relation);
        Ok(Cells::of(&self.connection.row("counting the predictions", rows)?).count())
    }
}
