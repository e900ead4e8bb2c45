//! What the name of a column and a label probably mean.

/// Returns the words of a name in lower case: `customerID` has the words `customer` and `id`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_is_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && previous_is_lower) {
            words.push(String::new());
        }
        previous_is_lower = letter.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has(name: &str, list: &[&str]) -> bool {
    words(name).iter().any(|word| list.contains(&word.as_str()))
}

/// How strongly a name indicates an id: 0 if not.
pub(super) fn id_hint(name: &str) -> u32 {
    const KEYS: [&str; 10] =
        ["id", "uuid", "guid", "key", "customerid", "clientid", "accountid", "companyid", "userid", "clientnum"];
    const CLIENTS: [&str; 8] =
        ["customer", "client", "corporation", "company", "account", "user", "subscriber", "member"];
    2 * u32::from(has(name, &KEYS)) + u32::from(has(name, &CLIENTS))
}

/// The hint of a name that says that a client leaves.
pub(super) const LEAVING: u32 = 3;

/// How strongly a name indicates the target: 0 if not.
pub(super) fn target_hint(name: &str) -> u32 {
    const LEAVING_WORDS: [&str; 15] = [
        "churn",
        "churned",
        "exited",
        "exit",
        "left",
        "leave",
        "leaver",
        "attrition",
        "attrited",
        "cancel",
        "cancelled",
        "canceled",
        "closed",
        "quit",
        "gone",
    ];
    const RESULT: [&str; 5] = ["target", "outcome", "label", "class", "y"];
    const STATE: [&str; 2] = ["status", "active"];
    match () {
        () if has(name, &LEAVING_WORDS) => LEAVING,
        () if has(name, &RESULT) => 2,
        () => u32::from(has(name, &STATE)),
    }
}

/// Returns the indices of the positive and the negative of two labels; `None` if no meaning is known.
pub(super) fn positive(labels: [&str; 2], column: &str) -> Option<usize> {
    const LEFT: [&str; 18] = [
        "yes",
        "y",
        "true",
        "t",
        "left",
        "exited",
        "churn",
        "churned",
        "closed",
        "cancelled",
        "canceled",
        "attrited",
        "gone",
        "quit",
        "lost",
        "terminated",
        "inactive",
        "leaver",
    ];
    const STAYED: [&str; 13] = [
        "no",
        "n",
        "false",
        "f",
        "stayed",
        "stay",
        "active",
        "existing",
        "retained",
        "open",
        "current",
        "loyal",
        "remaining",
    ];
    const ACTIVE: [&str; 3] = ["active", "retained", "retention"];
    let numbers = labels.map(|label| label.trim().parse::<f64>().ok());
    let is_left = labels.map(|label| has(label, &LEFT) && !label.to_lowercase().contains("not "));
    let is_stayed = labels.map(|label| has(label, &STAYED));
    let found = match (numbers, is_left, is_stayed) {
        ([Some(a), Some(b)], ..) if (a, b) == (0.0, 1.0) => Some(1),
        ([Some(a), Some(b)], ..) if (a, b) == (1.0, 0.0) => Some(0),
        (_, [true, false], _) | (_, [false, false], [false, true]) => Some(0),
        (_, [false, true], _) | (_, [false, false], [true, false]) => Some(1),
        _ => None,
    };
    // In a column such as "is_active", the label 1 or Yes means that the client stayed.
    let is_word = labels.iter().any(|label| has(label, &["active", "inactive", "retained"]));
    found.map(|index| if has(column, &ACTIVE) && !is_word { 1 - index } else { index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_word_by_word() {
        assert_eq!(words("customerID"), ["customer", "id"]);
        assert_eq!(words("Attrition_Flag 2"), ["attrition", "flag", "2"]);
        assert!(id_hint("CustomerId") > id_hint("Customer name") && id_hint("residence") == 0);
        assert!(target_hint("Churn") > target_hint("status") && target_hint("tenure") == 0);
    }

    #[test]
    fn the_positive_label_is_the_one_of_a_client_that_left() {
        for (labels, column, expected) in [
            (["No", "Yes"], "Churn", Some(1)),
            (["1", "0"], "exited", Some(0)),
            (["Attrited Customer", "Existing Customer"], "Attrition_Flag", Some(0)),
            (["active", "closed"], "status", Some(1)),
            (["0", "1"], "is_active", Some(0)),
            (["a", "b"], "Churn", None),
        ] {
            assert_eq!(positive(labels, column), expected, "{labels:?}");
        }
    }
}
