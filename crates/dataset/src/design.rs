//! The columns of the regression, made from the predictors of a table.

/// A predictor with levels instead of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Number of levels, including the reference level.
    pub levels: usize,
    /// Index of the level without an indicator, usually the most frequent one.
    pub reference: usize,
}

/// The columns of the regression: the numbers in the order of the schema, then one indicator for each level of each
/// category except its reference level, then the constant 1.
///
/// The indicators of *all* levels of a category would add up to the constant, so one of them is left out. The *terms* of
/// the model are the numbers and every level, including the reference levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Design {
    numbers: usize,
    categories: Vec<Category>,
    /// The column of the first indicator of each category.
    first: Vec<usize>,
    width: usize,
}

impl Design {
    /// Creates the design of so many `numbers`, followed by `categories`.
    pub fn new(numbers: usize, categories: Vec<Category>) -> Self {
        let mut next = numbers;
        let mut first = Vec::with_capacity(categories.len());
        for category in &categories {
            first.push(next);
            next += category.levels.saturating_sub(1);
        }
        Self { numbers, categories, first, width: next + 1 }
    }

    /// Returns the number of columns that hold numbers.
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// Returns the categories in the order of their indicators.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    /// Returns the number of columns, including the constant.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the index of the constant, the last column.
    pub fn constant(&self) -> usize {
        self.width - 1
    }

    /// Returns the number of terms: every number and every level of every category.
    pub fn terms(&self) -> usize {
        self.numbers + self.categories.iter().map(|category| category.levels).sum::<usize>()
    }

    /// Returns the column of the indicator of a level; `None` for the reference level.
    pub fn indicator(&self, category: usize, level: usize) -> Option<usize> {
        let reference = self.categories[category].reference;
        (level != reference).then(|| self.first[category] + level - usize::from(level > reference))
    }

    /// Returns the columns of the indicators of a category.
    pub fn indicators(&self, category: usize) -> std::ops::Range<usize> {
        let first = self.first[category];
        first..first + self.categories[category].levels.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_except_the_reference_has_a_column() {
        let category = |levels, reference| Category { levels, reference };
        let design = Design::new(2, vec![category(3, 1), category(1, 0), category(2, 0)]);
        assert_eq!((design.width(), design.terms(), design.constant()), (6, 8, 5));
        assert_eq!([0, 1, 2].map(|level| design.indicator(0, level)), [Some(2), None, Some(3)]);
        assert_eq!(design.indicator(1, 0), None);
        assert_eq!([0, 1].map(|level| design.indicator(2, level)), [None, Some(4)]);
        assert_eq!([0, 1, 2].map(|category| design.indicators(category)), [2..4, 4..4, 4..5]);
        assert_eq!(Design::new(0, Vec::new()).width(), 1);
    }
}
