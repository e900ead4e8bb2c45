//! The columns of a table that is being read: each in the narrowest type that holds all values exactly.
//!
//! [`PieceColumns`] are those of one piece, made by any thread. [`Columns`] takes them in order.

use std::collections::HashMap;

use anyhow::Result;
use common::schema::{Predictor, Schema};
use common::values::ValueRef;
use polars::prelude::*;
use polars_core::utils::arrow::bitmap::Bitmap;

use crate::local::reader::Row;

/// The columns of the rows of one piece.
pub struct PieceColumns {
    ids: Option<StringChunkedBuilder>,
    missing_ids: u64,
    predictors: Vec<PieceColumn>,
    target: PieceColumn,
    pub rows: usize,
}

/// A column of one piece.
struct PieceColumn {
    values: PieceValues,
    /// The rows whose value is missing; they have a 0 among the values.
    missing: Vec<u32>,
}

enum PieceValues {
    Numbers(Vec<f64>),
    Levels(Vec<u32>, Dictionary),
}

impl PieceColumns {
    /// Creates the columns of `schema` without rows; without the ids if they are not needed.
    pub fn new(schema: &Schema, with_ids: bool) -> Self {
        let column = |predictor: &Predictor| match predictor.is_category() {
            true => PieceColumn::new(PieceValues::Levels(Vec::new(), Dictionary::default())),
            false => PieceColumn::new(PieceValues::Numbers(Vec::new())),
        };
        Self {
            ids: with_ids.then(|| StringChunkedBuilder::new(schema.id().into(), 0)),
            missing_ids: 0,
            predictors: schema.predictors().iter().map(column).collect(),
            target: PieceColumn::new(PieceValues::Numbers(Vec::new())),
            rows: 0,
        }
    }

    pub fn push(&mut self, row: &Row) {
        if let Some(ids) = &mut self.ids {
            ids.append_option(row.id);
        }
        self.missing_ids += u64::from(row.id.is_none());
        for (column, value) in self.predictors.iter_mut().zip(row.predictors()) {
            column.push(self.rows, value);
        }
        self.target.push(self.rows, row.exited.map(|exited| ValueRef::Number(f64::from(exited))));
        self.rows += 1;
    }
}

impl PieceColumn {
    fn new(values: PieceValues) -> Self {
        Self { values, missing: Vec::new() }
    }

    fn push(&mut self, row: usize, value: Option<ValueRef>) {
        if value.is_none() {
            self.missing.push(row as u32);
        }
        match &mut self.values {
            PieceValues::Numbers(numbers) => numbers.push(value.and_then(ValueRef::number).unwrap_or(0.0)),
            PieceValues::Levels(indices, dictionary) => {
                indices.push(value.and_then(ValueRef::level).map_or(0, |level| dictionary.index(level)));
            }
        }
    }
}

/// The levels of a category, numbered in the order of their first occurrence.
#[derive(Default)]
struct Dictionary {
    levels: Vec<String>,
    indices: HashMap<String, u32>,
}

impl Dictionary {
    /// Number of levels that are compared one by one, which is faster than hashing for few short texts.
    const COMPARED: usize = 8;

    fn index(&mut self, level: &str) -> u32 {
        if let Some(index) = self.levels.iter().take(Self::COMPARED).position(|known| known == level) {
            return index as u32;
        }
        if let Some(index) = self.indices.get(level) {
            return *index;
        }
        let index = self.levels.len() as u32;
        self.levels.push(level.to_owned());
        self.indices.insert(level.to_owned(), index);
        index
    }
}

/// The columns of a table that is being read.
pub struct Columns<'s> {
    schema: &'s Schema,
    ids: Option<StringChunked>,
    pub missing_ids: u64,
    predictors: Vec<Column>,
    target: Column,
    pub rows: usize,
}

/// A column that is being read.
#[derive(Default)]
struct Column {
    values: Narrow,
    known: KnownBits,
    dictionary: Dictionary,
}

impl<'s> Columns<'s> {
    pub fn new(schema: &'s Schema, with_ids: bool) -> Self {
        Self {
            schema,
            ids: with_ids.then(|| StringChunked::full_null(schema.id().into(), 0)),
            missing_ids: 0,
            predictors: schema.predictors().iter().map(|_| Column::default()).collect(),
            target: Column::default(),
            rows: 0,
        }
    }

    /// Appends the rows of a piece.
    pub fn append(&mut self, piece: PieceColumns) -> Result<()> {
        if let (Some(all), Some(ids)) = (&mut self.ids, piece.ids) {
            all.append_owned(ids.finish())?;
        }
        self.missing_ids += piece.missing_ids;
        let columns = self.predictors.iter_mut().chain([&mut self.target]);
        for (column, of_piece) in columns.zip(piece.predictors.into_iter().chain([piece.target])) {
            column.append(self.rows, of_piece);
        }
        self.rows += piece.rows;
        Ok(())
    }

    /// Returns the columns as a frame, and the levels of each predictor; none for a number.
    pub fn finish(self) -> Result<(DataFrame, Vec<Vec<String>>)> {
        let mut columns: Vec<polars::prelude::Column> = self.ids.map(|ids| ids.into_column()).into_iter().collect();
        let mut levels = Vec::new();
        for (column, predictor) in self.predictors.into_iter().zip(self.schema.predictors()) {
            let known = column.known.finish(self.rows);
            columns.push(column.values.finish(&predictor.name, known));
            levels.push(column.dictionary.levels);
        }
        let known = self.target.known.finish(self.rows);
        columns.push(self.target.values.finish(&self.schema.target().name, known));
        Ok((DataFrame::new(self.rows, columns)?, levels))
    }
}

impl Column {
    fn append(&mut self, rows: usize, piece: PieceColumn) {
        let PieceColumn { values, missing } = piece;
        match values {
            PieceValues::Numbers(numbers) => {
                self.known.append(rows, numbers.len(), &missing);
                self.values.append(&numbers);
            }
            PieceValues::Levels(indices, of_piece) => {
                self.known.append(rows, indices.len(), &missing);
                // Of a piece in which every value is missing, the index 0 belongs to no level.
                let mut all: Vec<f64> =
                    of_piece.levels.iter().map(|level| f64::from(self.dictionary.index(level))).collect();
                all.resize(all.len().max(1), 0.0);
                let indices: Vec<f64> = indices.iter().map(|index| all[*index as usize]).collect();
                self.values.append(&indices);
            }
        }
    }
}

/// Numbers in the narrowest type that holds all of them exactly.
enum Narrow {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    F64(Vec<f64>),
}

/// The types of [`Narrow`], from the narrowest to the widest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    U8,
    U16,
    I32,
    F64,
}

impl Default for Narrow {
    fn default() -> Self {
        Self::U8(Vec::new())
    }
}

impl Narrow {
    fn append(&mut self, numbers: &[f64]) {
        self.widen(Width::of(numbers));
        // The casts are exact.
        match self {
            Self::U8(all) => all.extend(numbers.iter().map(|number| *number as u8)),
            Self::U16(all) => all.extend(numbers.iter().map(|number| *number as u16)),
            Self::I32(all) => all.extend(numbers.iter().map(|number| *number as i32)),
            Self::F64(all) => all.extend_from_slice(numbers),
        }
    }

    fn width(&self) -> Width {
        match self {
            Self::U8(_) => Width::U8,
            Self::U16(_) => Width::U16,
            Self::I32(_) => Width::I32,
            Self::F64(_) => Width::F64,
        }
    }

    fn widen(&mut self, width: Width) {
        fn widened<A: Copy, B: From<A>>(all: &[A]) -> Vec<B> {
            all.iter().map(|number| B::from(*number)).collect()
        }
        if width <= self.width() {
            return;
        }
        *self = match (&*self, width) {
            (Self::U8(all), Width::U16) => Self::U16(widened(all)),
            (Self::U8(all), Width::I32) => Self::I32(widened(all)),
            (Self::U8(all), _) => Self::F64(widened(all)),
            (Self::U16(all), Width::I32) => Self::I32(widened(all)),
            (Self::U16(all), _) => Self::F64(widened(all)),
            (Self::I32(all), _) => Self::F64(widened(all)),
            (Self::F64(_), _) => return,
        };
    }

    fn finish(self, name: &str, known: Option<Bitmap>) -> polars::prelude::Column {
        let name = PlSmallStr::from_str(name);
        match self {
            Self::U8(all) => UInt8Chunked::from_vec_validity(name, all, known).into_column(),
            Self::U16(all) => UInt16Chunked::from_vec_validity(name, all, known).into_column(),
            Self::I32(all) => Int32Chunked::from_vec_validity(name, all, known).into_column(),
            Self::F64(all) => Float64Chunked::from_vec_validity(name, all, known).into_column(),
        }
    }
}

impl Width {
    /// Returns the narrowest type for `numbers`.
    fn of(numbers: &[f64]) -> Self {
        let (mut low, mut high, mut whole) = (0.0f64, 0.0f64, true);
        for number in numbers {
            low = if *number < low { *number } else { low };
            high = if *number > high { *number } else { high };
            whole &= f64::from(*number as i32) == *number;
        }
        match whole {
            true if low == 0.0 && high <= f64::from(u8::MAX) => Self::U8,
            true if low == 0.0 && high <= f64::from(u16::MAX) => Self::U16,
            true => Self::I32,
            false => Self::F64,
        }
    }
}

/// Which values of a column are known: a bitmap as in Arrow, once one is missing.
#[derive(Default)]
struct KnownBits {
    /// Bits after the last row are 1.
    bits: Option<Vec<u8>>,
}

impl KnownBits {
    /// Appends `more` rows after `rows`; those in `missing` are not known.
    fn append(&mut self, rows: usize, more: usize, missing: &[u32]) {
        if missing.is_empty() && self.bits.is_none() {
            return;
        }
        let bits = self.bits.get_or_insert_with(Vec::new);
        bits.resize((rows + more).div_ceil(8), u8::MAX);
        for row in missing {
            let row = rows + *row as usize;
            bits[row / 8] &= !(1 << (row % 8));
        }
    }

    fn finish(self, rows: usize) -> Option<Bitmap> {
        self.bits.map(|bits| Bitmap::from_u8_vec(bits, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_levels_than_are_compared_keep_their_indices() {
        let mut dictionary = Dictionary::default();
        for _ in 0..2 {
            for index in 0..50 {
                assert_eq!(dictionary.index(&format!("level {index}")), index);
            }
        }
    }

    #[test]
    fn a_column_is_as_narrow_as_its_values_allow() {
        for (numbers, width) in [
            (&[][..], Width::U8),
            (&[0.0, 255.0], Width::U8),
            (&[256.0], Width::U16),
            (&[65_536.0], Width::I32),
            (&[-1.0], Width::I32),
            (&[0.5], Width::F64),
            (&[2_147_483_648.0], Width::F64),
            (&[1e300, -1e300], Width::F64),
        ] {
            assert!(Width::of(numbers) == width, "{numbers:?}");
        }
    }

    #[test]
    fn a_column_becomes_wider_without_changing() {
        let pieces: [&[f64]; 6] = [&[1.0, 255.0], &[0.0], &[300.0], &[7.0, -5.0], &[1e10], &[0.1, 3.0]];
        for first in 0..pieces.len() {
            let mut narrow = Narrow::default();
            pieces[first..].iter().for_each(|piece| narrow.append(piece));
            let all: Vec<f64> = match narrow {
                Narrow::U8(all) => all.into_iter().map(f64::from).collect(),
                Narrow::U16(all) => all.into_iter().map(f64::from).collect(),
                Narrow::I32(all) => all.into_iter().map(f64::from).collect(),
                Narrow::F64(all) => all,
            };
            assert_eq!(all, pieces[first..].concat());
        }
    }

    #[test]
    fn unknown_values_are_known_as_such_wherever_pieces_begin() {
        let mut known = KnownBits::default();
        known.append(0, 11, &[]);
        known.append(11, 6, &[1, 5]);
        known.append(17, 100, &[]);
        known.append(117, 1, &[0]);
        let bits = known.finish(118).unwrap();
        let unknown: Vec<usize> = (0..118).filter(|row| !bits.get_bit(*row)).collect();
        assert_eq!(unknown, [12, 16, 117]);
    }
}
