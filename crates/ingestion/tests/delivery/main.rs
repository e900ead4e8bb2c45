//! Tests of what those who deliver files get: `ingestion --check` and `ingestion --contract`.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

mod check;
mod contract;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use testkit::Workspace;

/// A workspace whose tables have every kind of column.
fn workspace() -> Workspace {
    let mut workspace = Workspace::new();
    workspace.set("columns", columns());
    workspace
}

fn columns() -> Value {
    json!({
        "id": "client", "target": {"name": "left", "positive": "Yes", "negative": "No"},
        "predictors": [
            {"name": "visits", "kind": "count"}, "balance", {"name": "amount", "transform": "log1p"},
            {"name": "plan", "kind": "category"}
        ],
        "ignored": ["note"]
    })
}

/// A client file: a header and rows of fields as they are written.
struct Table(Vec<Vec<String>>);

/// A change to a valid row.
type Change = fn(&mut Vec<String>);

/// Makes a row malformed, by every reason.
const ROW_FAULTS: [(&str, Change); 11] = [
    ("5 fields where the header has 6", |row| drop(row.pop())),
    ("7 fields where the header has 6", |row| row.push("more".to_owned())),
    ("visits is not a number", |row| row[1] = "many".to_owned()),
    ("visits is negative", |row| row[1] = "-1".to_owned()),
    ("visits is larger than", |row| row[1] = "9007199254740994".to_owned()),
    ("balance is not a finite number", |row| row[2] = "-1e999".to_owned()),
    ("amount is not above -1", |row| row[3] = "-1".to_owned()),
    ("amount is not a number", |row| row[3] = "12,5".replace(',', ";")),
    ("plan holds a control character", |row| row[4] = "a\tb".to_owned()),
    ("client holds a control character or is longer", |row| row[0] = "x".repeat(1001)),
    ("left is not No, Yes or missing", |row| row[5] = "perhaps".to_owned()),
];

impl Table {
    /// Returns a table of `rows` valid rows; `missing` is written where a value is missing.
    fn valid(random: &mut Xoshiro256PlusPlus, rows: usize, missing: &str) -> Self {
        let mut table = vec![["client", "visits", "balance", "amount", "plan", "left"].map(str::to_owned).to_vec()];
        for _ in 0..rows {
            // Few different clients and values, so that rows are repeated and clients contradictory.
            let client = ["o'neil ltd", "Größe 株", "\"a, \"\"b\"\"\"", "c1", "c2", "c3"][below(random, 6)];
            let mut row = vec![
                client.to_owned(),
                below(random, 3).to_string(),
                format!("{}.5", below(random, 4) as i64 - 2),
                ["-0.5", "0", "12.25"][below(random, 3)].to_owned(),
                ["basic", "\"full, monthly\"", "Größe"][below(random, 3)].to_owned(),
                ["Yes", "No"][below(random, 2)].to_owned(),
            ];
            if below(random, 8) == 0 {
                row[below(random, 6)] = missing.to_owned();
            }
            table.push(row);
        }
        Self(table)
    }

    /// Makes a row malformed.
    fn break_row(&mut self, random: &mut Xoshiro256PlusPlus, row: usize) {
        let (_, change) = ROW_FAULTS[below(random, ROW_FAULTS.len())];
        change(&mut self.0[row]);
    }

    fn text(&self) -> String {
        self.0.iter().map(|row| row.join(",") + "\n").collect()
    }
}

fn random(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// Returns a random number below `limit`.
fn below(random: &mut Xoshiro256PlusPlus, limit: usize) -> usize {
    random.next_u32() as usize % limit
}
