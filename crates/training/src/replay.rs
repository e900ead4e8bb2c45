//! The models that could have been trained while files arrived, as counts of their predictions, for
//! `fullprocess --replay`. Nothing is written.
//!
//! Every model is fitted exactly as a run of training would have fitted it. Each file is read once for the distinct rows
//! and once for its own rows; the models share the columns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use common::cli::{self, Progress};
use common::config::{Config, Threshold};
use common::files::{DataFile, csv_files};
use common::model::Model;
use common::model::metrics::Confusion;
pub use common::outcomes::replay::ReplayOutcome;
use common::outcomes::replay::{ReplayedComparison, ReplayedModel};
use dataset::local::Table;
use dataset::local::arrivals::Arrivals;
use dataset::local::predicted::{KnownOutcomes, Predictions};
use dataset::{Clients, Reading};
use serde::Serialize;
use statistics::paired::Joint;

use crate::fitted;

/// Trains a model on the first n of `files`, given in the order of their arrival, for every n from `first` on, with the
/// settings of `config`, and counts what each predicts on the test data and on the files after its training data.
///
/// # Errors
/// Fails if the config names an engine, a file cannot be used, no model can be trained, a fit does not converge, or no
/// row of the test data is labelled.
pub fn run(config: &Config, files: &[PathBuf], first: usize) -> Result<ReplayOutcome> {
    if config.engine.is_some() {
        bail!(
            "a replay reads all files in this process, but key \"engine\" in {} sends them to a cluster; copy the files to \
             this machine and use a config without the key",
            config.file.display()
        );
    }
    ensure!((1..=files.len()).contains(&first), "expected a first model of 1 to {} files, found {first}", files.len());
    let (schema, threads) = (&config.columns, config.threads as usize);
    let files: Vec<DataFile> = files.iter().map(|path| DataFile::at(path)).collect::<Result<_>>()?;
    let arrivals = Arrivals::read(schema, &files, first, threads)?;
    let test = Table::read_all(schema, &csv_files(&config.test_data)?, Reading::WHOLE.without_ids(), threads)?;

    let fits = in_parallel(threads, files.len() + 1 - first, "models trained", |m| {
        fit(&arrivals, first + m, config).with_context(|| format!("training on the first {} files", first + m))
    })?;
    // The files before the first model are those that contain only one class, so no model lies between them.
    let models: Vec<Model> = fits.into_iter().flatten().collect();
    let first = files.len() + 1 - models.len();
    let target = &schema.target().name;
    ensure!(!models.is_empty(), "the {} files have no complete rows of both classes of {target}", files.len());

    // The test data, then every file after the first model.
    let mut counts = in_parallel(threads, files.len() + 1 - first, "tables scored", |index| {
        match index.checked_sub(1).map(|later| first + later) {
            None => Counts::of(&test, &models, Pairs::All, config.threshold),
            Some(file) => {
                let table = arrivals.file(file).context("a file was not read")?;
                Counts::of(table, &models[..=file - first], Pairs::OfTheLast, config.threshold)
            }
        }
    })?;
    let later = counts.split_off(1);
    let pending = pending(config, &files, first, &later)?;
    let with_pending = in_parallel(threads, pending.len(), "pending files scored", |group| {
        let files = &files[pending[group].clone()];
        let reading = Reading::LENIENT.without_ids().with_later_labels();
        let table = Table::read_all(schema, files, reading, 1)?;
        // A file that is pending came after the training data of the live model.
        Counts::of(&table, &models[..=pending[group].start - first], Pairs::None, config.threshold)
    })?;
    let test = counts.pop().context("the test data were not scored")?;
    ensure!(
        test.alone[0].n() > 0,
        "{} contains no row whose {target} is known; add labelled rows",
        config.test_data.display()
    );
    let mut replayed: Vec<ReplayedModel> = (0..models.len()).map(|m| combined(m, &test, &later)).collect();
    for (group, counts) in pending.iter().zip(with_pending) {
        for (model, confusion) in replayed.iter_mut().zip(counts.alone) {
            model.with_pending.insert(group.end - 1, confusion);
        }
    }
    Ok(ReplayOutcome { files: files.into_iter().map(|file| file.name).collect(), first, models: replayed })
}

/// Returns the groups of files that are judged together because all but the last one were pending. Whether files can be
/// judged depends on their labels alone, so the groups are the same for every model. `later` are the counts on every file
/// from `first` on.
fn pending(config: &Config, files: &[DataFile], first: usize, later: &[Counts]) -> Result<Vec<Range<usize>>> {
    let (mut groups, mut start) = (Vec::new(), first);
    for (file, counts) in (first..).zip(later) {
        let left = match start == file {
            true => counts.alone[0].true_positives + counts.alone[0].false_negatives,
            false => {
                let reading = Reading::LENIENT.without_ids().with_later_labels();
                let table = Table::read_all(&config.columns, &files[start..=file], reading, config.threads as usize)?;
                KnownOutcomes::of(&table)?.left()
            }
        };
        if left >= u64::from(config.drift_min_positives) {
            groups.extend((start < file).then_some(start..file + 1));
            start = file + 1;
        }
    }
    Ok(groups)
}

/// Fits a model on the distinct rows of the first `files` files; `None` if these are not of both classes.
fn fit(arrivals: &Arrivals, files: usize, config: &Config) -> Result<Option<Model>> {
    let known = arrivals.after(files);
    let rows = known.training_rows()?;
    match rows.summary().has_both_classes() {
        true => Ok(Some(fitted(&config.columns, &*rows, config.regularization)?.model)),
        false => Ok(None),
    }
}

/// The pairs of models that are compared on a table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    All,
    None,
    /// The last model with every earlier one.
    OfTheLast,
}

/// The counts of models on one table.
struct Counts {
    alone: Vec<Confusion>,
    /// For each model that is compared, its comparisons with all earlier ones.
    joint: Vec<Vec<Joint>>,
}

impl Counts {
    fn of(table: &Table, models: &[Model], pairs: Pairs, threshold: Threshold) -> Result<Self> {
        let labels = KnownOutcomes::of(table)?;
        let predicted: Vec<Predictions> =
            models.iter().map(|model| Predictions::of(table, model, threshold)).collect::<Result<_>>()?;
        let compared = match pairs {
            Pairs::All => 0,
            Pairs::OfTheLast => models.len().saturating_sub(1),
            Pairs::None => models.len(),
        };
        let joint = |challenger: usize| {
            let earlier = predicted[..challenger].iter();
            earlier.map(|champion| labels.joint(&predicted[challenger], champion)).collect()
        };
        Ok(Self {
            alone: predicted.iter().map(|predicted| labels.confusion(predicted)).collect(),
            joint: (compared..models.len()).map(joint).collect(),
        })
    }
}

/// Combines what is known about model `m`, from the counts on the `test` data and on every file after the first model.
fn combined(m: usize, test: &Counts, later: &[Counts]) -> ReplayedModel {
    let next = later.get(m).and_then(|next| next.joint.first());
    let against = test.joint[m].iter().enumerate().map(|(champion, test)| ReplayedComparison {
        test: *test,
        next: next.and_then(|next| next.get(champion)).copied(),
    });
    ReplayedModel {
        test: test.alone[m],
        later: later[m..].iter().map(|counts| counts.alone[m]).collect(),
        with_pending: BTreeMap::new(),
        against: against.collect(),
    }
}

/// Does `work` for 0 to `n` − 1 with so many threads, the last ones first, because they take longest. Returns the results
/// in order, or the first error. Holds no more than the results and what each thread works on.
fn in_parallel<T: Send>(
    threads: usize,
    n: usize,
    what: &str,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let mut results: Vec<Option<T>> = Vec::new();
    results.resize_with(n, || None);
    let (taken, done) = (AtomicUsize::new(0), Mutex::new((results, Ok(()), Progress::new(what))));
    let work_on = || {
        loop {
            let number = taken.fetch_add(1, Ordering::Relaxed);
            if number >= n {
                return;
            }
            let result = work(n - 1 - number);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(result) => done.0[n - 1 - number] = Some(result),
                Err(error) => {
                    taken.store(n, Ordering::Relaxed);
                    done.1 = Err(error);
                }
            }
            done.2.show(number as u64 + 1);
        }
    };
    thread::scope(|scope| (0..threads.min(n)).for_each(|_| drop(scope.spawn(work_on))));
    let (results, outcome, _) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.map(|()| results.into_iter().flatten().collect())
}

/// Shows the outcome of a replay to people.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Shown(pub ReplayOutcome);

impl cli::Outcome for Shown {}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let ReplayOutcome { files, first, models } = &self.0;
        write!(f, "{} files; number of files of the first model: {first}", files.len())?;
        for (m, model) in models.iter().enumerate() {
            write!(f, "\n  trained up to {}: F1 {:.4} on the test data", files[first + m - 1], model.test.f1())?;
            if let Some(next) = model.later.first() {
                write!(f, ", {:.4} on {}", next.f1(), files[first + m])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use statistics::paired::Predicted;

    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_error_ends_the_work() {
        for threads in [1, 3, 100] {
            let squares = in_parallel(threads, 20, "squares", |n| Ok(n * n)).unwrap();
            assert_eq!(squares, (0..20).map(|n| n * n).collect::<Vec<_>>());
        }
        assert_eq!(in_parallel(4, 0, "nothing", |_| Ok(())).unwrap(), []);
        let done = AtomicUsize::new(0);
        let error = in_parallel(2, 1000, "numbers", |n| {
            done.fetch_add(1, Ordering::Relaxed);
            ensure!(n != 10, "10 is refused");
            thread::sleep(Duration::from_millis(1)); // otherwise the other thread may do all the rest in this moment
            Ok(n)
        });
        assert_eq!(error.unwrap_err().to_string(), "10 is refused");
        assert!(done.into_inner() < 1000, "the work went on");
    }

    /// Counts that say which model, file and pair they belong to.
    fn marked(models: std::ops::Range<usize>, file: u64, compared: usize) -> Counts {
        let confusion = |m| Confusion { true_positives: m as u64, true_negatives: file, ..Confusion::default() };
        let joint = |challenger: usize| {
            let champions = 0..challenger as u64;
            champions.map(move |champion| Joint {
                left: Predicted {
                    both: challenger as u64,
                    only_champion: champion,
                    neither: file,
                    ..Predicted::default()
                },
                ..Joint::default()
            })
        };
        Counts {
            alone: models.clone().map(confusion).collect(),
            joint: (compared..models.end).map(|challenger| joint(challenger).collect()).collect(),
        }
    }

    #[test]
    fn every_model_gets_its_own_counts() {
        // Three models; two files after the first model. Files are numbered from 1, the test data have 0.
        let test = marked(0..3, 0, 0);
        let later = [marked(0..1, 1, 0), marked(0..2, 2, 1)];
        for m in 0..3 {
            let model = combined(m, &test, &later);
            assert_eq!((model.test.true_positives, model.test.true_negatives), (m as u64, 0));
            let files: Vec<u64> = model.later.iter().map(|counts| counts.true_negatives).collect();
            assert_eq!(files, (m as u64 + 1..=2).collect::<Vec<_>>());
            assert!(model.later.iter().all(|counts| counts.true_positives == m as u64));
            assert_eq!(model.against.len(), m);
            for (champion, against) in model.against.iter().enumerate() {
                let expected = |file| Predicted {
                    both: m as u64,
                    only_champion: champion as u64,
                    neither: file,
                    ..Predicted::default()
                };
                assert_eq!(against.test.left, expected(0));
                assert_eq!(against.next.map(|next| next.left), (m < 2).then(|| expected(m as u64 + 1)));
            }
        }
    }
}
