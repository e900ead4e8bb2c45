//! The page that explains the words of the other pages. Each explanation has an anchor, so that pages can link to it; a
//! link needs neither a mouse nor a script.

use maud::{Markup, html};

use super::layout::{Frame, Place, sentence};

/// A word and what it means.
struct Term {
    /// The anchor on the page, to which other pages link.
    id: &'static str,
    word: &'static str,
    meaning: &'static str,
}

/// Words of the pages for client managers.
const CALLS: [Term; 10] = [
    Term {
        id: "risk",
        word: "Risk",
        meaning: "The probability, according to the model, that the client leaves. Of 100 clients with a risk of 30 %, about 30 \
                  should leave, if the model's probabilities are right. The page \"Calls\" says where they are not.",
    },
    Term {
        id: "threshold",
        word: "Threshold",
        meaning: "The risk from which on a client is predicted to leave. It is 50 % unless the configuration names another one. \
                  The mark in the bar of a risk shows it.",
    },
    Term {
        id: "change",
        word: "Change",
        meaning: "The difference between the risk of the client's newest row and that of its previous row, in percentage points: \
                  from 40 % to 52 % is +12.0. A client with only one row is new.",
    },
    Term {
        id: "today",
        word: "Today's calls",
        meaning: "The first clients in the chosen order, as many as the team can call in a day, without those who pause after a \
                  call and those who are held out.",
    },
    Term {
        id: "paused",
        word: "Paused",
        meaning: "A client who was called is not called again for some days, and the next client of the list takes the place. A \
                  client who was not reached pauses only until the next day.",
    },
    Term {
        id: "held-out",
        word: "Held out",
        meaning: "A share of the clients whom nobody calls on purpose. Only a comparison with them shows whether the calls help. \
                  They are chosen by their id, whatever their risk is.",
    },
    Term {
        id: "value-at-risk",
        word: "Risk × value",
        meaning: "The value of the client's account times the risk: what the company would lose on average. The value is the one \
                  in the file of accounts.",
    },
    Term {
        id: "missing",
        word: "Missing, assumed",
        meaning: "A value that the data lack. The model then assumes the middle value of the training data, or the most frequent \
                  category. Check the data before calling.",
    },
    Term {
        id: "at-random",
        word: "Clients called at random",
        meaning: "The comparison for the calls: if as many clients were picked by lot, this many of them would be expected to \
                  leave.",
    },
    Term {
        id: "interval",
        word: "95 % interval",
        meaning: "The range that contains the true value in 95 of 100 such cases. A wide range means that there are few data.",
    },
];

/// Words of the page for engineers.
const MODEL: [Term; 12] = [
    Term {
        id: "odds",
        word: "Odds",
        meaning: "The probability of leaving divided by the probability of staying: 75 % is odds of 3 (3 to 1). The log-odds are \
                  their natural logarithm. The model adds up log-odds.",
    },
    Term {
        id: "odds-ratio",
        word: "Odds ratio",
        meaning: "The factor by which the odds change if a predictor increases by the given amount and the others stay the same.",
    },
    Term {
        id: "coefficient",
        word: "Coefficient",
        meaning: "The change of the log-odds for one unit of a predictor. The standard error says how precisely it is known.",
    },
    Term {
        id: "imputed",
        word: "Imputed",
        meaning: "Replaced because it is missing: a number by the median of the training data, a category by its most frequent \
                  level.",
    },
    Term { id: "precision", word: "Precision", meaning: "Of the clients predicted to leave, the share that left." },
    Term {
        id: "recall",
        word: "Recall, true positive rate",
        meaning: "Of the clients that left, the share that was predicted to leave.",
    },
    Term {
        id: "f1",
        word: "F1",
        meaning: "The harmonic mean of precision and recall: 1 is perfect, 0 is useless. The baseline \"everyone exits\" predicts \
                  that all leave.",
    },
    Term {
        id: "roc",
        word: "ROC curve, AUC",
        meaning: "The true positive rate against the false positive rate for every possible threshold. The area under the curve \
                  (AUC) is the probability that a client who left has a higher risk than one who stayed.",
    },
    Term {
        id: "calibration",
        word: "Calibration",
        meaning: "Whether risks are right as probabilities: of the test clients with a risk near 30 %, 30 % should have left.",
    },
    Term {
        id: "drift",
        word: "Drift",
        meaning: "The model has become worse: its F1 on new rows is below the one recorded at its deployment, by the configured \
                  test. A new model is then trained and compared.",
    },
    Term {
        id: "psi",
        word: "PSI, KS statistic, chi-square",
        meaning: "Measures of how much the distribution of a predictor in new rows differs from the training data: 0 means no \
                  difference. The cutoff is what chance exceeds in 5 of 100 cases; p (Holm) is the probability of such a \
                  difference by chance, corrected for the number of predictors.",
    },
    Term {
        id: "champion",
        word: "Champion and challenger",
        meaning: "The live model and a newly trained one. Both are scored on the same test rows, and the rule of promotion \
                  decides which one is live.",
    },
];

/// The page of all terms.
pub fn page() -> Markup {
    let content = html! {
        h1 { "What the words mean" }
        section aria-labelledby="calls-title" {
            h2 id="calls-title" { "On the pages about clients" }
            (list(&CALLS))
        }
        section aria-labelledby="model-title" {
            h2 id="model-title" { "On the page about the model" }
            (list(&MODEL))
        }
    };
    Frame { title: "Terms", place: Some(Place::Terms), ..Frame::default() }.around(&content)
}

fn list(terms: &[Term]) -> Markup {
    html! { dl.terms { @for term in terms { div id=(term.id) { dt { (term.word) } dd { (sentence(term.meaning)) } } } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_has_an_anchor_of_its_own() {
        let mut ids: Vec<&str> = CALLS.iter().chain(&MODEL).map(|term| term.id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        let text = page().into_string();
        assert!(ids.iter().all(|id| text.contains(&format!("id=\"{id}\""))));
    }
}
