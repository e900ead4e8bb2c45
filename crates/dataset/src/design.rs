//! The columns of the regression.

/// The columns of the regression.
#[derive(Clone, Debug, PartialEq)]
pub struct Design {
    numbers: usize,
    categories: Vec<Category>,
}

/// A category.
#[derive(Clone, Debug, PartialEq)]
pub struct Category {
    /// Number of levels.
    pub levels: usize,
    /// Level without indicator.
    pub reference: usize,
}

impl Design {
    /// Creates.
    pub fn new(numbers: usize, categories: Vec<Category>) -> Self {
        Self { numbers, categories }
    }
    /// Numbers.
    pub fn numbers(&self) -> usize {
        self.numbers
    }
    /// Categories.
    pub fn categories(&self) -> &[Category] {
        &self.categories
    }
}
