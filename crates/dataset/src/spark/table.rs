//! A client table on the cluster. Every operation on it is one or two queries.

use std::path::Path;
use std::sync::Arc;

use crate::basis::Basis;
use crate::likelihood::{Parameters, Sums};
use crate::{
    Client, ClientRow, Clients, ColumnStatistics, Counts, Description, MissingPercent, Newest, PREDICTION_COLUMNS,
    Sample, TrainingRows, TrainingSummary,
};
use anyhow::{Context, Result, bail};
use common::config::Threshold;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::model::Model;
use common::model::metrics::Confusion;
use common::model::schema::{COLUMNS, CORPORATION, PREDICTORS, TARGET};
use statistics::distribution::Distribution;
use statistics::sketch::Sketch;

use crate::spark::connection::Connection;
use crate::spark::distribution::{Column, Moments, count, every, moments, sum_where};
use crate::spark::plan::{Existing, Format};
use crate::spark::row_rules::{FILE, READABLE};
use crate::spark::sql::{self, Cells};
use crate::spark::view::View;

/// A table on the cluster.
pub struct ClusterTable {
    connection: Arc<Connection>,
    /// A FROM clause with [`COLUMNS`] and `readable` (whether the row is valid).
    relation: String,
    /// The views that the relation reads.
    _views: Vec<View>,
    malformed: u64,
    /// Checksum and number of rows according to ingestion; `None` if the table is not the compiled dataset.
    ingested: Option<(Checksum, u64)>,
}

impl ClusterTable {
    /// Opens the compiled dataset at `location`.
    pub fn compiled(connection: Arc<Connection>, location: &str, ingested: &Ingested) -> Self {
        Self {
            connection,
            relation: format!("(SELECT *, 1 AS readable FROM {})", sql::files("parquet", location)),
            _views: Vec::new(),
            malformed: 0,
            ingested: Some((ingested.dataset_sha256.clone(), ingested.rows)),
        }
    }

    /// Creates a table from the rows of CSV files; `rows` is a query of [`crate::spark::lines::Lines::rows`] that reads
    /// `views`.
    pub fn of_lines(connection: Arc<Connection>, rows: String, views: Vec<View>, malformed: u64) -> Self {
        Self { connection, relation: format!("({rows})"), _views: views, malformed, ingested: None }
    }

    /// Fails if the dataset is incomplete. Sail does not report an error for a deleted folder, but returns no
    /// rows.
    fn check_whole(&self, rows: u64) -> Result<()> {
        match &self.ingested {
            Some((_, ingested)) if *ingested != rows => {
                bail!("the compiled dataset has {rows} rows, but {ingested} were ingested; run ingestion again")
            }
            _ => Ok(()),
        }
    }
}

/// Returns the condition that training uses a row.
fn complete() -> String {
    let known: Vec<String> = PREDICTORS.iter().chain([&TARGET]).map(|column| format!("{column} IS NOT NULL")).collect();
    known.join(" AND ")
}

fn predictors(cells: &mut Cells) -> [Option<f64>; 3] {
    std::array::from_fn(|_| cells.number())
}

fn client_row(cells: &mut Cells) -> ClientRow {
    ClientRow { predictors: predictors(cells), exited: cells.number().map(|exited| exited == 1.0) }
}

impl Clients for ClusterTable {
    fn malformed(&self) -> u64 {
        self.malformed
    }

    fn describe(&self) -> Result<Description> {
        let numeric: Vec<&'static str> = COLUMNS.into_iter().filter(|column| *column != CORPORATION).collect();
        let named = [format!("count({CORPORATION})")];
        let what = "describing the columns";
        let Moments { rows, columns, others } = moments(&self.connection, what, &self.relation, &numeric, &named)?;
        self.check_whole(rows)?;
        let asked: Vec<Column> = numeric.iter().map(|column| every(column)).collect();
        let counted = count(&self.connection, what, &self.relation, &asked)?;
        let summary =
            numeric.iter().zip(&columns).zip(counted).map(|((column, (_, mean, std)), counted)| ColumnStatistics {
                column,
                mean: *mean,
                median: counted.distribution.median(),
                std: *std,
                mode: counted.mode,
            });
        let known = others.iter().map(|named| *named as u64).chain(columns.iter().map(|(known, ..)| *known));
        let missing =
            COLUMNS.into_iter().zip(known).map(|(column, known)| MissingPercent::of(column, rows - known, rows));
        Ok(Description { summary: summary.collect(), missing: missing.collect() })
    }

    fn training_rows(&self) -> Result<Box<dyn TrainingRows + '_>> {
        let what = "preparing the training";
        let complete = complete();
        let others = [sum_where(&complete, "1"), sum_where(&complete, TARGET)];
        let Moments { rows, columns, others } = moments(&self.connection, what, &self.relation, &PREDICTORS, &others)?;
        self.check_whole(rows)?;
        let in_complete = |column: &str| Column { condition: complete.clone(), ..every(column) };
        let asked: Vec<Column> = PREDICTORS.map(every).into_iter().chain(PREDICTORS.map(in_complete)).collect();
        let counted = count(&self.connection, what, &self.relation, &asked)?;
        let sketches = columns.iter().zip(&counted).map(|((known, mean, std), counted)| {
            let distribution = Distribution { missing: rows - known, ..counted.distribution.clone() };
            Sketch::of_distribution(&distribution, (*mean)?, std.unwrap_or(0.0))
        });
        let complete_rows = others[0] as u64;
        let summary = TrainingSummary {
            dataset_sha256: match &self.ingested {
                Some((checksum, _)) => checksum.clone(),
                None => bail!("only the compiled dataset can be trained on"),
            },
            rows: complete_rows,
            exited: others[1] as u64,
            left_out: rows - complete_rows,
            medians: std::array::from_fn(|j| counted[PREDICTORS.len() + j].distribution.median()),
            sketches: sketches.collect::<Option<Vec<_>>>().and_then(|sketches| sketches.try_into().ok()),
        };
        Ok(Box::new(ClusterRows { table: self, summary, step: std::cell::Cell::new(0) }))
    }

    fn score(&self, model: &Model, threshold: Threshold) -> Result<Counts> {
        let positive = format!("{} >= {}", sql::probability(model), sql::number(threshold.value()));
        let any_missing = PREDICTORS.map(|column| format!("{column} IS NULL")).join(" OR ");
        let counts = [
            format!("{TARGET} = 1 AND {positive}"),
            format!("{TARGET} = 0 AND {positive}"),
            format!("{TARGET} = 1 AND NOT {positive}"),
            format!("{TARGET} = 0 AND NOT {positive}"),
            format!("{READABLE} AND {TARGET} IS NULL"),
            format!("{TARGET} IS NOT NULL AND ({any_missing})"),
        ];
        let counts = counts.map(|condition| sum_where(&condition, "1")).join(", ");
        let row = self.connection.row("scoring", format!("SELECT {counts} FROM {}", self.relation))?;
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
        })
    }

    fn distributions(&self) -> Result<[Distribution; 3]> {
        let what = "comparing the predictors with the training data";
        let Moments { rows, columns, .. } = moments(&self.connection, what, &self.relation, &PREDICTORS, &[])?;
        let counted = count(&self.connection, what, &self.relation, &PREDICTORS.map(every))?;
        let mut distributions = counted
            .into_iter()
            .zip(&columns)
            .map(|(counted, (known, ..))| Distribution { missing: rows - known, ..counted.distribution });
        Ok(std::array::from_fn(|_| distributions.next().unwrap_or_default()))
    }

    fn newest(&self, model: &Model, most: usize) -> Result<Newest> {
        let what = "looking for the clients at risk";
        let columns = PREDICTORS.join(", ");
        // The order of several rows within one file is unknown; the row of the highest risk is taken as the newest.
        let ranked = format!(
            "SELECT {CORPORATION}, {columns}, {TARGET}, risk, row_number() OVER (PARTITION BY {CORPORATION} \
             ORDER BY {FILE} DESC, risk DESC, {TARGET} DESC, {columns}) AS recency FROM (SELECT *, {} AS risk FROM {} \
             WHERE {CORPORATION} IS NOT NULL)",
            sql::log_odds(model),
            self.relation
        );
        let of_rank = |rank: usize| {
            PREDICTORS
                .map(|column| format!("max(CASE WHEN recency = {rank} THEN {column} END) AS {column}_{rank}"))
                .join(", ")
        };
        let current = format!(
            "SELECT {CORPORATION}, count(*) AS n, {}, {}, max(CASE WHEN recency = 1 THEN risk END) AS risk FROM ({ranked}) \
             WHERE recency <= 2 GROUP BY {CORPORATION} HAVING max(CASE WHEN recency = 1 THEN coalesce({TARGET}, 0) END) = 0",
            of_rank(1),
            of_rank(2)
        );
        let totals =
            self.connection.row(what, format!("SELECT count(*), sum(1D / (1D + exp(-risk))) FROM ({current})"))?;
        let nameless = format!("SELECT count(*) FROM {} WHERE {READABLE} AND {CORPORATION} IS NULL", self.relation);
        let without_name = Cells::of(&self.connection.row(what, nameless)?).count();
        let mut totals = Cells::of(&totals);
        let mut newest = Newest { clients: Vec::new(), total: totals.count(), risk: totals.sum(), without_name };
        let riskiest = format!("SELECT * FROM ({current}) ORDER BY risk DESC, {CORPORATION} LIMIT {most}");
        self.connection.each(what, riskiest, |row| {
            let mut cells = Cells::of(&row);
            let corporation = cells.text().context("a client without a name")?;
            let rows = cells.count();
            let (predictors, previous) = (predictors(&mut cells), predictors(&mut cells));
            newest.clients.push(Client { corporation, predictors, previous: (rows > 1).then_some(previous) });
            Ok(())
        })?;
        Ok(newest)
    }

    fn rows_of(&self, corporation: &str) -> Result<Vec<ClientRow>> {
        let query = format!(
            "SELECT {}, {TARGET} FROM {} WHERE {CORPORATION} = {} ORDER BY {FILE}",
            PREDICTORS.join(", "),
            self.relation,
            sql::text(corporation)
        );
        let rows = self.connection.rows("reading the rows of a client", query)?;
        Ok(rows.iter().map(|row| client_row(&mut Cells::of(row))).collect())
    }

    fn search(&self, part: &str, most: usize) -> Result<(Vec<String>, usize)> {
        let what = "searching for a client";
        let found = format!(
            "SELECT DISTINCT {CORPORATION} FROM {} WHERE instr(lower({CORPORATION}), {}) > 0",
            self.relation,
            sql::text(&part.to_lowercase())
        );
        let first = format!("SELECT {CORPORATION} FROM ({found}) ORDER BY {CORPORATION} LIMIT {most}");
        let names: Vec<String> =
            self.connection.rows(what, first)?.iter().filter_map(|row| Cells::of(row).text()).collect();
        // A separate query, because Sail applies the limit before it evaluates a window function.
        let total = match names.len() == most {
            true => Cells::of(&self.connection.row(what, format!("SELECT count(*) FROM ({found})"))?).count() as usize,
            false => names.len(),
        };
        Ok((names, total))
    }

    fn each(&self, visit: &mut dyn FnMut(Option<&str>, &ClientRow)) -> Result<()> {
        let query = format!("SELECT readable, {} FROM {}", COLUMNS.join(", "), self.relation);
        self.connection.each("reading the rows", query, |row| {
            let mut cells = Cells::of(&row);
            if cells.count() == 1 {
                let corporation = cells.text();
                visit(corporation.as_deref(), &client_row(&mut cells));
            }
            Ok(())
        })
    }

    fn write_predictions(&self, model: &Model, threshold: Threshold, path: &Path) -> Result<u64> {
        let address = sql::address(path)?;
        let [probability, prediction] = PREDICTION_COLUMNS;
        let threshold = sql::number(threshold.value());
        let fields = COLUMNS.map(|column| format!("'{column}', {column}")).join(", ");
        // Not a filter, for which Sail would compute every column of the lines again.
        let readable = format!(
            "SELECT explode(CASE WHEN {READABLE} THEN array(named_struct({fields}, '{probability}', {})) END) AS r FROM {}",
            sql::probability(model),
            self.relation
        );
        let query = format!(
            "SELECT {}, r.{probability}, CASE WHEN r.{probability} >= {threshold} THEN 1 ELSE 0 END AS {prediction} \
             FROM ({readable})",
            COLUMNS.map(|column| format!("r.{column}")).join(", ")
        );
        let format = if address.ends_with(".csv") { Format::Csv } else { Format::Parquet };
        self.connection.write("writing the predictions", query, format, Existing::Refuse, address)?;
        let rows = format!("SELECT count(CASE WHEN {READABLE} THEN 1 END) FROM {}", self.relation);
        Ok(Cells::of(&self.connection.row("counting the predictions", rows)?).count())
    }
}

/// The rows of a table without missing values.
struct ClusterRows<'a> {
    table: &'a ClusterTable,
    summary: TrainingSummary,
    step: std::cell::Cell<u32>,
}

impl TrainingRows for ClusterRows<'_> {
    fn summary(&self) -> &TrainingSummary {
        &self.summary
    }

    fn sample(&self, most: usize) -> Result<Sample> {
        // Selected by a hash of the row: any sample would do, and this one is reproducible.
        let columns = PREDICTORS.join(", ");
        let query = format!(
            "SELECT {columns}, {TARGET} FROM (SELECT {columns}, {TARGET}, xxhash64({}) AS h FROM {} WHERE {}) \
             ORDER BY h LIMIT {most}",
            COLUMNS.join(", "),
            self.table.relation,
            complete()
        );
        let mut sample = Sample::default();
        for row in &self.table.connection.rows("taking a sample", query)? {
            let mut cells = Cells::of(row);
            sample.predictors.push(std::array::from_fn(|_| cells.sum()));
            sample.exited.push(cells.sum() == 1.0);
        }
        Ok(sample)
    }

    fn sums(&self, basis: &Basis, parameters: &Parameters) -> Result<Sums> {
        self.step.set(self.step.get() + 1);
        let [b1, b2, b3, b0] = parameters.map(sql::number);
        let z = format!("{b1} * q1 + {b2} * q2 + {b3} * q3 + {b0}");
        let size = format!("abs({b1}) * a1 + abs({b2}) * a2 + abs({b3}) * a3 + abs({b0})");
        let columns = format!("q1, q2, q3, a1, a2, a3, {TARGET} AS y");
        let with_z = format!("SELECT {columns}, {z} AS z, {size} AS s FROM ({})", self.columns(basis));
        // e is at most 1, so nothing overflows. Both p and 1 − p are computed without a subtraction, so a residual near
        // 0 keeps its digits.
        let columns = "q1, q2, q3, a1, a2, a3, y, z, s";
        let with_e = format!("SELECT {columns}, exp(-abs(z)) AS e FROM ({with_z})");
        let with_q = format!("SELECT {columns}, e, 1D / (1D + e) AS q FROM ({with_e})");
        let terms = format!(
            "SELECT q1, q2, q3, a1, a2, a3, s, y * z - greatest(z, 0D) - ln(1D + e) AS l, \
             (1D - y) * (CASE WHEN z >= 0D THEN q ELSE e * q END) - y * (CASE WHEN z >= 0D THEN e * q ELSE q END) AS r, \
             e * q * q AS w FROM ({with_q})"
        );
        let q = ["q1", "q2", "q3", "1D"];
        let gradient = q.map(|q| format!("sum(r * {q})"));
        // The engine determines the order of summation. The error of a sum of n terms is at most n ε/2 times the sum of
        // their magnitudes, and with overwhelming probability at most a small multiple of √n ε times it (Higham & Mary,
        // SIAM J. Sci. Comput. 41, 2019).
        let n = self.summary.rows as f64;
        let summation = sql::number(n.min(10.0 * n.sqrt()) + 8.0);
        let errors = q.iter().zip(["a1", "a2", "a3", "1D"]);
        let errors = errors.map(|(q, a)| format!("sum({summation} * abs(r) * {a} + 4D * w * abs({q}) * s)"));
        let hessian = (0..4).flat_map(|i| (i..4).map(move |j| format!("sum(w * {} * {})", q[i], q[j])));
        let sums: Vec<String> = ["count(*)", "sum(l)"]
            .map(str::to_owned)
            .into_iter()
            .chain(gradient)
            .chain(errors)
            .chain(hessian)
            .collect();
        let what = format!("step {} of the training", self.step.get());
        let row = self.table.connection.row(&what, format!("SELECT {} FROM ({terms})", sums.join(", ")))?;
        let mut cells = Cells::of(&row);
        let rows = cells.count();
        if rows != self.summary.rows {
            // A concurrent ingestion has emptied the folder that this training reads.
            bail!("the compiled dataset changed while it was trained on; run again");
        }
        let log_likelihood = cells.sum();
        let gradient = std::array::from_fn(|_| cells.sum());
        let gradient_error = std::array::from_fn(|_| f64::EPSILON * cells.sum());
        Ok(Sums::new(log_likelihood, gradient, gradient_error, std::array::from_fn(|_| cells.sum())))
    }
}

impl ClusterRows<'_> {
    /// Returns a query with the columns of `basis` as q1 to q3, the target, and, as a1 to a3, the magnitude of the
    /// terms from which each column was computed: the rounding error of a column is a small multiple of ε times that
    /// magnitude.
    fn columns(&self, basis: &Basis) -> String {
        let [x1, x2, x3] = PREDICTORS;
        let [m1, m2, m3] = basis.centre().map(sql::number);
        let from = format!("FROM {} WHERE {}", self.table.relation, complete());
        let centred = format!("{x1} - {m1} AS u1, {x2} - {m2} AS u2, {x3} - {m3} AS q3, {TARGET} {from}");
        if basis.is_only_centred() {
            return format!(
                "SELECT u1 AS q1, u2 AS q2, q3, abs(u1) AS a1, abs(u2) AS a2, abs(q3) AS a3, {TARGET} FROM (SELECT {centred})"
            );
        }
        let [[_, u12, u13, _], [_, _, u23, _], ..] = basis.upper().map(|row| row.map(sql::number));
        let second = format!(
            "SELECT u1, u2 - {u23} * q3 AS q2, abs(u2) + abs({u23} * q3) AS a2, q3, {TARGET} FROM (SELECT {centred})"
        );
        format!(
            "SELECT u1 - {u12} * q2 - {u13} * q3 AS q1, q2, q3, abs(u1) + abs({u12}) * a2 + abs({u13} * q3) AS a1, a2, \
             abs(q3) AS a3, {TARGET} FROM ({second})"
        )
    }
}
