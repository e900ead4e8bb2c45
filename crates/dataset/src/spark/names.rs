//! Names of the columns of a client table in queries and in stored datasets.
//!
//! The names of a schema may contain any characters, which storage formats and engines treat differently. Queries and
//! stored datasets therefore use neutral names; only what people and other programs read has the names of the schema.

use common::schema::Schema;

/// The column of the client's id.
pub const ID: &str = "id";

/// The column of the target: 1 for a client that left, 0 for one that stayed.
pub const TARGET: &str = "target";

/// Returns the column of predictor `j`.
pub fn predictor(j: usize) -> String {
    format!("x{}", j + 1)
}

/// Returns the columns of the predictors, in the order of the schema.
pub fn predictors(schema: &Schema) -> Vec<String> {
    (0..schema.predictors().len()).map(predictor).collect()
}

/// Returns all columns, in the order of [`Schema::columns`].
pub fn columns(schema: &Schema) -> Vec<String> {
    [ID.to_owned()].into_iter().chain(predictors(schema)).chain([TARGET.to_owned()]).collect()
}

/// Quotes a name as an identifier.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A schema with names that need quotes everywhere, a number and a category.
    pub(in crate::spark) fn schema() -> Schema {
        let text = r#"{"id": "key", "target": {"name": "gone", "positive": "yes", "negative": "no"},
            "predictors": ["a \"b\", c", {"name": "SELECT", "kind": "category"}], "ignored": ["skipped"]}"#;
        common::config::schema_of_json(text).unwrap()
    }

    #[test]
    fn names_are_neutral_and_identifiers_quoted() {
        assert_eq!(columns(&Schema::default()), ["id", "x1", "x2", "x3", "target"]);
        assert_eq!(identifier("a`b. \"c\""), "`a``b. \"c\"`");
    }
}
