//! Files in the order of their arrival: the rows that were known after each of them, and the rows of each.

use std::io;

use anyhow::{Context, Result, bail, ensure};
use common::cli::Progress;
use common::files::DataFile;
use common::files::atomic::Scratch;
use common::files::ingested::IngestedFile;
use common::schema::Schema;
use fs_err::File;

use crate::Reading;
use crate::local::Table;
use crate::local::compile::compile;
use crate::local::parallel::WatchedFile;

/// Files in the order of their arrival.
pub struct Arrivals {
    /// The distinct rows of all files, as ingestion would keep them.
    distinct: Table,
    /// Number of distinct rows after each file.
    known: Vec<usize>,
    /// Index of the first file in `files`.
    from: usize,
    files: Vec<Table>,
}

impl Arrivals {
    /// Reads `files`, which have the columns of `schema`, with so many threads. The rows of a single file are kept only
    /// for those from index `from` on. The distinct rows pass through a temporary file, which is gone afterwards.
    ///
    /// # Errors
    /// Fails if a file cannot be used, or if it changes meanwhile; the error names the file.
    pub fn read(schema: &Schema, files: &[DataFile], from: usize, threads: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        let path = scratch.path().join("distinct.csv");
        let progress = Progress::new("rows read");
        let mut show = move |rows| progress.show(rows);
        let compiled = compile(schema, files, threads, &mut File::create(&path)?, &mut io::sink(), &mut show)?;
        let whole = Reading::WHOLE.without_ids();
        let distinct = Table::from_stream(schema, WatchedFile::open(&path)?, whole, threads)
            .with_context(|| format!("reading {}", path.display()))?;

        let mut known = Vec::new();
        for file in &compiled.files {
            known.push(known.last().unwrap_or(&0) + (file.rows - file.duplicates) as usize);
        }
        ensure!(known.last() == Some(&distinct.height()), "the distinct rows cannot be read back; run again");
        let single = |(file, compiled): (&DataFile, &IngestedFile)| {
            let table = Table::read_all(schema, std::slice::from_ref(file), Reading::LENIENT.without_ids(), threads)?;
            if *table.checksum() != compiled.sha256 {
                bail!("{} changed while it was read; run again when its writer has finished", file.path.display());
            }
            Ok(table)
        };
        let files = files.iter().zip(&compiled.files).skip(from).map(single).collect::<Result<_>>()?;
        Ok(Self { distinct, known, from, files })
    }

    /// Returns the distinct rows of the first `files` files. Questions about them are answered with one thread, so that
    /// several such tables can be worked on at the same time.
    pub fn after(&self, files: usize) -> Table {
        let rows = files.checked_sub(1).and_then(|last| self.known.get(last)).copied().unwrap_or(0);
        self.distinct.head(rows, 1)
    }

    /// Returns the rows of one file, including those that repeat earlier ones; `None` before `from` and after the last
    /// file.
    pub fn file(&self, index: usize) -> Option<&Table> {
        self.files.get(index.checked_sub(self.from)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Local;
    use crate::local::predicted::{KnownOutcomes, Predictions};
    use crate::local::table::tests::HEADER;
    use crate::{Clients, Engine, Ids};
    use common::config::{Threshold, schema_of_json};
    use common::model::effect::{CategoryEffect, Effect, LevelEffect, NumberEffect};
    use common::model::{Fit, Model, TrainingData};
    use statistics::levels::LevelSummary;
    use std::path::Path;

    fn write(folder: &Path, schema: &Schema, files: &[String]) -> Vec<DataFile> {
        let write = |(i, rows): (usize, &String)| {
            let path = folder.join(format!("file{i}.csv"));
            std::fs::write(&path, format!("{}\n{rows}", schema.header())).unwrap();
            DataFile::at(&path).unwrap()
        };
        files.iter().enumerate().map(write).collect()
    }

    /// Four files with missing values, repeated rows, malformed rows, levels that only later files have, and numbers
    /// that need ever wider types.
    fn mixed() -> (Schema, Vec<String>) {
        let text = r#"{"id": "key", "target": "left", "predictors": ["amount", {"name": "plan", "kind": "category"}]}"#;
        let row = |file: usize, i: usize| {
            let amount = match (file, i % 9) {
                (_, 0) => String::new(),
                (0, _) => format!("{}", i % 200),
                (1, _) => format!("{}", i * 3),
                (2, _) => format!("{}", i * 70_000),
                _ => format!("{}.5", i),
            };
            let plan = if i.is_multiple_of(11) { String::new() } else { format!("plan{}", i % (3 + file)) };
            let left =
                if i.is_multiple_of(13) { String::new() } else { format!("{}", usize::from(i.is_multiple_of(3))) };
            format!("c{},{amount},{plan},{left}\n", i % (90 - file))
        };
        let files = (0..4).map(|file| (0..150 + file).map(|i| row(file, i)).collect::<String>());
        let mut files: Vec<String> = files.collect();
        files[2].push_str("bad,row\n");
        let repeated: String = files[1].lines().take(70).map(|line| format!("{line}\n")).collect();
        files[3].push_str(&repeated);
        (schema_of_json(text).unwrap(), files)
    }

    #[test]
    fn the_rows_after_each_file_are_those_that_an_ingestion_of_these_files_gives() {
        let (schema, files) = mixed();
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), &schema, &files);
        let arrivals = Arrivals::read(&schema, &files, 1, 2).unwrap();
        for n in 1..=files.len() {
            let stage = tempfile::tempdir().unwrap();
            let engine = Local::with_threads(&schema, 2);
            engine.compile(&files[..n], stage.path(), stage.path()).unwrap();
            let expected = engine.compiled(stage.path(), Ids::Skipped).unwrap();
            let found = arrivals.after(n);
            let [found_rows, expected_rows] = [&found as &dyn Clients, &*expected].map(|clients| {
                let mut rows = Vec::new();
                clients.each(&mut |_, values, exited| rows.push(format!("{values:?} {exited:?}"))).unwrap();
                rows
            });
            assert!(found_rows == expected_rows, "{n} files");
            let [found, expected] = [&found as &dyn Clients, &*expected].map(|clients| {
                let rows = clients.training_rows().unwrap();
                let sums =
                    rows.sums(&crate::basis::Basis::centred(rows.design(), &[3.0]), &vec![0.1; rows.design().width()]);
                (format!("{:?} {:?}", rows.summary().predictors, rows.design()), format!("{:?}", sums.unwrap()))
            });
            assert_eq!(found, expected, "{n} files");
        }
        assert!(arrivals.file(0).is_none() && arrivals.file(4).is_none());
        assert_eq!(arrivals.after(0).height(), 0);
    }

    #[test]
    fn predictions_as_bits_have_the_counts_of_scoring() {
        let (schema, files) = mixed();
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), &schema, &files);
        let arrivals = Arrivals::read(&schema, &files, 0, 1).unwrap();
        let model = |coefficient: f64, intercept: f64| {
            let level = |(name, coefficient): (&str, f64)| LevelEffect {
                name: name.to_owned(),
                coefficient,
                standard_error: 1.0,
            };
            Model {
                schema: schema.clone(),
                effects: vec![
                    Effect::Number(NumberEffect { coefficient, standard_error: 1.0, median: 50.0, sketch: None }),
                    Effect::Category(CategoryEffect {
                        levels: [("plan0", 1.0), ("plan1", -1.0)].map(level).into(),
                        most_frequent: 1,
                        summary: LevelSummary { counts: vec![1, 1], unseen: 0, missing: 0 },
                    }),
                ],
                intercept,
                intercept_error: 1.0,
                fit: Fit {
                    regularization: 1.0,
                    gradient_norm: 0.0,
                    newton_decrement: 0.0,
                    newton_steps: 1,
                    log_likelihood: -1.0,
                },
                training: TrainingData {
                    dataset_sha256: common::files::checksum::Checksum::of_bytes(b"d"),
                    rows: 2,
                    exited: 1,
                    left_out: 0,
                },
                moments: None,
            }
        };
        let threshold = Threshold::new(0.5).unwrap();
        for (index, file) in files.iter().enumerate() {
            let table = arrivals.file(index).unwrap();
            let labels = KnownOutcomes::of(table).unwrap();
            let models = [model(0.01, -0.7), model(-0.02, 1.5)];
            let [challenger, champion] =
                models.each_ref().map(|model| Predictions::of(table, model, threshold).unwrap());
            let joint = labels.joint(&challenger, &champion);
            let read = Local::new(&schema).read(std::slice::from_ref(file), Reading::LENIENT.without_ids()).unwrap();
            for (model, predicted, of_joint) in
                [(&models[0], &challenger, joint.challenger()), (&models[1], &champion, joint.champion())]
            {
                let expected = read.score(model, threshold).unwrap().confusion;
                assert!(expected.true_positives > 0 && expected.errors() > 0, "{expected:?}");
                assert_eq!((labels.confusion(predicted), of_joint), (expected, expected));
            }
        }
    }

    #[test]
    fn a_bad_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.csv");
        std::fs::write(&path, format!("{HEADER}a,1\n")).unwrap();
        let error = Arrivals::read(&Schema::default(), &[DataFile::at(&path).unwrap()], 0, 1).err().unwrap();
        assert!(format!("{error:#}").contains("bad.csv"), "{error:#}");
    }
}
