//! The sums of one Newton step as one query.

use anyhow::{Context, Result, ensure};
use common::schema::Schema;

use crate::basis::Basis;
use crate::design::Design;
use crate::likelihood::Sums;
use crate::spark::cells::{CellIndex, CellSums};
use crate::spark::connection::Connection;
use crate::spark::names::{self, TARGET};
use crate::spark::row::Value;
use crate::spark::sql;

/// The rows, the columns and the parameters for which the sums are computed.
pub struct Step<'a> {
    /// The columns of the table.
    pub schema: &'a Schema,
    /// The FROM clause of the table.
    pub relation: &'a str,
    /// The condition that training uses a row.
    pub complete: &'a str,
    /// The levels of each category.
    pub levels: &'a [&'a [String]],
    /// The number of rows.
    pub rows: u64,
    /// The coordinates in which the sums are computed.
    pub basis: &'a Basis,
    /// The parameters of the columns.
    pub parameters: &'a [f64],
}

impl Step<'_> {
    /// Computes the sums, and counts the rows.
    pub fn sums(&self, connection: &Connection, what: &str) -> Result<(u64, Sums)> {
        let design = self.basis.design();
        let cells = CellIndex::of(design);
        let terms = self.terms(&cells);
        let totals = self.totals();
        let mut query = format!("SELECT -1 AS cell, array({}) AS sums FROM ({terms})", totals.join(", "));
        if !self.levels.is_empty() {
            let of_row = cells.of_row(|pack| format!("k{pack}"));
            let weighted = (0..design.numbers()).map(|j| format!("w{j}"));
            let summed: Vec<String> = ["w", "r", "f"].map(str::to_owned).into_iter().chain(weighted.clone()).collect();
            let products: String = (0..design.numbers()).map(|j| format!(", w * q{j} AS w{j}")).collect();
            query = format!(
                "{query} UNION ALL SELECT cell, array({}) AS sums FROM (SELECT explode(array({})) AS cell, w, r, f\
                 {products} FROM ({terms})) GROUP BY cell",
                summed.iter().map(|column| format!("sum({column})")).collect::<Vec<_>>().join(", "),
                of_row.join(", ")
            );
        }
        let mut sums = Sums::zero(design.width());
        let mut rows = 0;
        connection.each(what, query, |row| {
            let (cell, numbers) = match &row[..] {
                [Value::Whole(cell), Value::Numbers(numbers)] => (*cell, numbers),
                _ => anyhow::bail!("{what}: a sum is missing"),
            };
            match usize::try_from(cell) {
                Err(_) => rows = self.add_totals(design, numbers, &mut sums)?,
                Ok(cell) => {
                    let [weight, residual, residual_error, weighted @ ..] = &numbers[..] else {
                        anyhow::bail!("{what}: a sum is missing");
                    };
                    let of_cell = CellSums {
                        weight: *weight,
                        residual: *residual,
                        residual_error: *residual_error,
                        weighted: weighted.to_vec(),
                    };
                    ensure!(cells.add_to(design, cell, &of_cell, &mut sums), "{what}: an unknown cell");
                }
            }
            Ok(())
        })?;
        sums.gradient_error.iter_mut().for_each(|error| *error *= f64::EPSILON);
        sums.hessian.fill_lower_triangle_with_upper_triangle();
        Ok((rows, sums))
    }

    /// Returns a query with a row for each row of the training, and these columns: the numeric columns q, the magnitudes
    /// a of the terms from which they were computed, the log-likelihood l, the residual r, the weight w, and f, the
    /// bound of the error of r in a sum; and the code k of each pack of categories.
    fn terms(&self, cells: &CellIndex) -> String {
        let design = self.basis.design();
        let numbers = design.numbers();
        let codes: Vec<String> = (0..cells.packs()).map(|pack| format!("k{pack}")).collect();
        let list = |columns: &[String]| columns.iter().map(|column| format!(", {column}")).collect::<String>();
        let q: Vec<String> = (0..numbers).map(|j| format!("q{j}")).collect();
        let a: Vec<String> = (0..numbers).map(|j| format!("a{j}")).collect();
        let kept = format!("y{}{}{}", list(&q), list(&a), list(&codes));

        let parameter = |column: usize| sql::number(self.parameters[column]);
        let z: String = (0..numbers).map(|j| format!("{} * q{j} + ", parameter(j))).collect();
        let of_levels: String = (0..self.levels.len())
            .map(|category| format!("{} + ", self.by_level(category, |column| self.parameters[column])))
            .collect();
        let intercept = self.parameters[design.constant()];
        let largest = |category: usize| {
            design.indicators(category).map(|column| self.parameters[column].abs()).fold(0.0, f64::max)
        };
        let constant = intercept.abs() + (0..self.levels.len()).map(largest).sum::<f64>();
        let size: String = (0..numbers).map(|j| format!("abs({}) * a{j} + ", parameter(j))).collect();
        let codes = cells.codes(|category| format!("l{category}"));
        let codes: String = codes.iter().enumerate().map(|(pack, code)| format!(", {code} AS k{pack}")).collect();
        let with_z = format!(
            "SELECT y{}{}{codes}, {z}{of_levels}{} AS z, {size}{} AS s FROM ({})",
            list(&q),
            list(&a),
            sql::number(intercept),
            sql::number(constant),
            self.columns()
        );
        // e is at most 1, so nothing overflows. Both p and 1 − p are computed without a subtraction, so a residual near
        // 0 keeps its digits.
        let with_e = format!("SELECT {kept}, z, s, exp(-abs(z)) AS e FROM ({with_z})");
        let with_p = format!("SELECT {kept}, z, s, e, 1D / (1D + e) AS p FROM ({with_e})");
        let with_r = format!(
            "SELECT {kept}, s, y * z - greatest(z, 0D) - ln(1D + e) AS l, \
             (1D - y) * (CASE WHEN z >= 0D THEN p ELSE e * p END) - y * (CASE WHEN z >= 0D THEN e * p ELSE p END) AS r, \
             e * p * p AS w FROM ({with_p})"
        );
        format!(
            "SELECT {kept}, s, l, r, w, {} * abs(r) + {} * w * s AS f FROM ({with_r})",
            sql::number(self.summation()),
            sql::number(self.roundings())
        )
    }

    /// Returns the factor of the error of a sum. The engine determines the order of summation. The error of a sum of n
    /// terms is at most n ε/2 times the sum of their magnitudes, and with overwhelming probability at most a small
    /// multiple of √n ε times it (Higham & Mary, SIAM J. Sci. Comput. 41, 2019).
    fn summation(&self) -> f64 {
        let n = self.rows as f64;
        n.min(10.0 * n.sqrt()) + 4.0 + self.roundings()
    }

    /// Returns the factor of the error of a numeric column: ε times this factor times the magnitude of the terms from
    /// which the column was computed bounds it. A column that is computed from others inherits their errors.
    fn roundings(&self) -> f64 {
        let constant = self.basis.design().constant();
        let mixed = |(j, row): (usize, &Vec<f64>)| row[j + 1..constant].iter().filter(|entry| **entry != 0.0).count();
        4.0 + self.basis.upper().iter().enumerate().map(mixed).sum::<usize>() as f64
    }

    /// Returns the sums over all rows: their number, the log-likelihood, and for the numeric columns and the constant
    /// the gradient, its error and the upper half of the Hessian row by row.
    fn totals(&self) -> Vec<String> {
        let numbers = self.basis.design().numbers();
        let summation = sql::number(self.summation());
        let roundings = sql::number(self.roundings());
        let mut totals = vec!["CAST(count(*) AS DOUBLE)".to_owned(), "sum(l)".to_owned()];
        totals.extend((0..numbers).map(|j| format!("sum(r * q{j})")));
        totals.push("sum(r)".to_owned());
        totals.extend(
            (0..numbers).map(|j| format!("sum({summation} * abs(r) * a{j} + {roundings} * w * abs(q{j}) * s)")),
        );
        totals.push("sum(f)".to_owned());
        for j in 0..numbers {
            totals.extend((j..numbers).map(|k| format!("sum(w * q{j} * q{k})")));
            totals.push(format!("sum(w * q{j})"));
        }
        totals.push("sum(w)".to_owned());
        totals
    }

    /// Adds the answer to [`Step::totals`]; returns the number of rows.
    fn add_totals(&self, design: &Design, totals: &[f64], sums: &mut Sums) -> Result<u64> {
        let mut totals = totals.iter().copied();
        let mut next = || totals.next().context("a sum of the training is missing");
        let rows = next()?;
        sums.log_likelihood = next()?;
        let columns: Vec<usize> = (0..design.numbers()).chain([design.constant()]).collect();
        for j in &columns {
            sums.gradient[*j] = next()?;
        }
        for j in &columns {
            sums.gradient_error[*j] = next()?;
        }
        for (position, j) in columns.iter().enumerate() {
            for k in &columns[position..] {
                sums.hessian[(*j, *k)] = next()?;
            }
        }
        Ok(rows as u64)
    }

    /// Returns an expression for a value that depends on the level of a category; 0 for the reference level.
    fn by_level(&self, category: usize, value: impl Fn(usize) -> f64) -> String {
        let design = self.basis.design();
        let cases: String = (0..self.levels[category].len())
            .filter_map(|level| Some((level, value(design.indicator(category, level)?))))
            .filter(|(_, value)| *value != 0.0)
            .map(|(level, value)| format!(" WHEN {level} THEN {}", sql::number(value)))
            .collect();
        match cases.is_empty() {
            true => "0D".to_owned(),
            false => format!("CASE l{category}{cases} ELSE 0D END"),
        }
    }

    /// Returns a query with the numeric columns of the basis, the magnitudes of the terms from which each was computed
    /// (its rounding error is a small multiple of ε times that magnitude), the target y and the index l of each
    /// category's level.
    fn columns(&self) -> String {
        let design = self.basis.design();
        let (mut numbers, mut categories) = (Vec::new(), Vec::new());
        for (j, predictor) in self.schema.predictors().iter().enumerate() {
            let x = names::predictor(j);
            match predictor.is_category() {
                false => numbers.push(sql::transformed(&x, predictor.transform)),
                true => categories.push(x),
            }
        }
        let centred = numbers.iter().zip(self.basis.centre()).enumerate();
        let centred = centred.map(|(j, (x, centre))| format!(", {x} - {} AS u{j}", sql::number(centre)));
        let levels = categories.iter().zip(self.levels).enumerate().map(|(category, (x, levels))| {
            let cases: String =
                levels.iter().enumerate().map(|(i, level)| format!(" WHEN {} THEN {i}", sql::text(level))).collect();
            format!(", CASE {x}{cases} END AS l{category}")
        });
        let mut query = format!(
            "SELECT CAST({TARGET} AS DOUBLE) AS y{}{} FROM {} WHERE {}",
            centred.collect::<String>(),
            levels.collect::<String>(),
            self.relation,
            self.complete
        );
        let mut kept: String = (0..categories.len()).map(|category| format!(", l{category}")).collect();
        let all: Vec<usize> = (0..design.numbers()).collect();
        let rest = |below: usize| all[..below].iter().map(|j| format!(", u{j}")).collect::<String>();
        if self.basis.is_only_centred() {
            let columns: String = all.iter().map(|j| format!(", u{j} AS q{j}, abs(u{j}) AS a{j}")).collect();
            return format!("SELECT y{columns}{kept} FROM ({query})");
        }
        // A column is computed from those after it, so each needs a subquery.
        for j in all.iter().rev() {
            let row = &self.basis.upper()[*j];
            let (mut column, mut size) = (format!("u{j}"), format!("abs(u{j})"));
            for k in (j + 1..design.numbers()).filter(|k| row[*k] != 0.0) {
                column += &format!(" - {} * q{k}", sql::number(row[k]));
                size += &format!(" + {} * a{k}", sql::number(row[k].abs()));
            }
            for category in 0..categories.len() {
                if design.indicators(category).any(|column| row[column] != 0.0) {
                    column += &format!(" - {}", self.by_level(category, |column| row[column]));
                    size += &format!(" + {}", self.by_level(category, |column| row[column].abs()));
                }
            }
            query = format!("SELECT y{}{kept}, {column} AS q{j}, {size} AS a{j} FROM ({query})", rest(*j));
            kept += &format!(", q{j}, a{j}");
        }
        query
    }
}
