//! Generates the client tables that the project ships, and larger ones for benchmarks.
//!
//! ```text
//! fabricate [FOLDER]                     practicedata/, sourcedata/ and testdata/ in FOLDER (default: here)
//! fabricate --rows N --files K FOLDER    N rows like sourcedata's, every tenth a repeat, over K files in FOLDER
//! ```
//!
//! All clients are fictitious. The numbers follow these assumptions:
//!
//! - **Size.** A client is a small company (median of 20 employees) or a large one (median of 70). Half of each kind lie
//!   within a factor of 1.35 of the median.
//! - **Activity** is a count of events, such as orders. In its usual month a client has about 45 · employees^0.2 events:
//!   82 with 20 employees, 105 with 70. This varies between clients by a factor of 1.28 (one standard deviation), and
//!   between the months of a client like a Poisson count. Last year's activity covers twelve months and includes last
//!   month's.
//! - **Decline.** Of 100 clients, 22 have reduced their activity: their last month has 10 to 70 % of the usual events.
//! - **Leaving.** A client leaves because its activity has fallen. Every event by which last month is below the mean of
//!   the eleven months before adds 0.1 to the log-odds, that is, it raises the odds by 11 %. A client with 20 employees
//!   leaves with a probability of 2 % if its activity is as usual, and of 52 % if half of 82 events are left. Every
//!   employee changes the log-odds too.
//! - **Why the model can be trusted.** The log-odds are linear in the three predictors, so a logistic regression
//!   estimates the true probabilities, and none can predict every client.
//!
//! There are two regimes, and a model trained on one is poor at the other:
//!
//! - **Before** (practicedata): all clients are small. Of two clients with the same decline, the smaller is likelier to
//!   leave: every employee subtracts 0.08 from the log-odds.
//! - **After** (sourcedata and testdata): the company has won large clients, and a competitor targets them, the largest
//!   first: every employee adds 0.01. All clients of sourcedata are large. For a model from before they look loyal, so
//!   it misses most of those that leave.
//!
//! Of testdata's clients, which are in no other file, six in ten are small. The pipeline therefore shows drift and a
//! replacement: 16 % of practicedata's clients leave, 22 % of sourcedata's and 18 % of testdata's, so the baseline that
//! predicts everyone to leave has an F1 of 0.30 on testdata. The practice model has 0.68 and is worth deploying; on
//! sourcedata it has 0.55, which is drift; the model trained on sourcedata has 0.79 on testdata and replaces it. Its
//! coefficients are near the true ones (last month −0.109, last year 0.0091, employees 0.01), and its risks are
//! calibrated: of the 158 clients of testdata with a risk of at least 90 %, 97 % on average, 154 left.
//!
//! The bytes are reproducible: the random number generator is in this file, so it does not change with a crate, and
//! only whole numbers are written, so the last digit of a platform's `exp` does not matter.

use std::env;
use std::error::Error;
use std::f64::consts::TAU;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: fabricate [FOLDER]\n       fabricate --rows N --files K FOLDER";

const PRACTICE: Population =
    Population { first_client: 0, share_small: 1.0, size_effect: -0.08, share_missing: 0.01, repeat_every: 20 };
const TEST: Population =
    Population { first_client: 10_000, share_small: 0.6, size_effect: 0.01, share_missing: 0.0, repeat_every: NEVER };
const SOURCE: Population =
    Population { first_client: 20_000, share_small: 0.0, size_effect: 0.01, share_missing: 0.002, repeat_every: 51 };
const NEVER: u64 = u64::MAX;

/// Median numbers of employees.
const SMALL: f64 = 20.0;
const LARGE: f64 = 70.0;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments = env::args_os().skip(1).map(OsString::into_string).collect::<Result<Vec<_>, _>>();
    let arguments = arguments.map_err(|argument| format!("{} is not UTF-8", argument.display()))?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ship(Path::new("."))?,
        [folder] if !folder.starts_with('-') => ship(Path::new(folder))?,
        ["--rows", rows, "--files", files, folder] => {
            let rows = rows.parse().map_err(|error| format!("--rows {rows}: {error}"))?;
            let files: NonZeroU32 = files.parse().map_err(|error| format!("--files {files}: {error}"))?;
            let names: Vec<_> = (1..=files.get()).map(|number| format!("dataset{number}.csv")).collect();
            Population { repeat_every: 10, ..SOURCE }.write(rows, Path::new(folder), &names)?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// Writes the shipped files. Of sourcedata's 10,200 rows every 51st is a repeat, so there are 10,000 clients.
fn ship(folder: &Path) -> io::Result<()> {
    PRACTICE.write(1_000, &folder.join("practicedata"), &["dataset1.csv", "dataset2.csv"])?;
    SOURCE.write(10_200, &folder.join("sourcedata"), &["dataset3.csv", "dataset4.csv"])?;
    TEST.write(2_000, &folder.join("testdata"), &["testdata.csv"])
}

/// The clients of one folder, and their distribution over its rows.
struct Population {
    /// The number of the first client; the others have the following numbers.
    first_client: u64,
    /// Share of clients that are small companies.
    share_small: f64,
    /// Change of the log-odds of leaving with every employee.
    size_effect: f64,
    /// Share of clients with a missing value.
    share_missing: f64,
    /// Interval of repeated rows: every `repeat_every`-th row is an exact copy of an earlier row, of its own file or of
    /// a previous one.
    repeat_every: u64,
}

impl Population {
    /// Writes `rows` rows, spread evenly, to the files `names` in `folder`. No row is kept in memory: a client is
    /// determined by its number alone, so a repeated row is generated again.
    fn write(&self, rows: u64, folder: &Path, names: &[impl AsRef<Path>]) -> io::Result<()> {
        fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
        let corporations = Corporations::shuffled();
        let mut repeats = Random::new(SEED_OF_REPEATS);
        let mut start = 0;
        for (index, name) in names.iter().enumerate() {
            let end = start + (rows - start) / (names.len() - index) as u64;
            let clients = (start..end).map(|row| {
                let new = row - row / self.repeat_every;
                let repeat = row % self.repeat_every == self.repeat_every - 1;
                self.first_client + if repeat { repeats.below(new) } else { new }
            });
            let path = folder.join(name);
            self.write_file(&path, clients, &corporations).map_err(|error| at(&path, &error))?;
            start = end;
        }
        Ok(())
    }

    fn write_file(&self, path: &Path, clients: impl Iterator<Item = u64>, names: &Corporations) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        writeln!(out, "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited")?;
        for client in clients {
            names.write_name(client, &mut out)?;
            for value in self.fabricate(client) {
                match value {
                    Some(value) => write!(out, ",{value}")?,
                    None => out.write_all(if client % 2 == 0 { b"," } else { b",NA" })?,
                }
            }
            writeln!(out)?;
        }
        out.flush()
    }

    /// Generates a client: last month's activity, last year's activity, employees, and whether it left, in the order of
    /// the columns.
    fn fabricate(&self, client: u64) -> [Option<u64>; 4] {
        let mut random = Random::new(client);
        let median_size = if random.uniform() <= self.share_small { SMALL } else { LARGE };
        let employees = (median_size * (0.45 * random.normal()).exp()).round().max(1.0);
        let usual_month = 45.0 * employees.powf(0.2) * (0.25 * random.normal()).exp();
        let remaining = if random.uniform() <= 0.22 { 0.1 + 0.6 * random.uniform() } else { 1.0 };
        let eleven_months = random.count(11.0 * usual_month);
        let last_month = random.count(usual_month * remaining);
        let last_year = eleven_months + last_month;
        let log_odds = -4.0 + 0.1 * (eleven_months / 11.0 - last_month) + self.size_effect * (employees - SMALL);
        let exited = random.uniform() <= 1.0 / (1.0 + (-log_odds).exp());

        let mut values = [last_month, last_year, employees, f64::from(exited)].map(|value| Some(value as u64));
        if random.uniform() <= self.share_missing {
            values[random.below(4) as usize] = None;
        }
        values
    }
}

/// All names of four letters, shuffled, except `null`, which is read as missing.
struct Corporations(Vec<[u8; 4]>);

impl Corporations {
    fn shuffled() -> Self {
        let names = (0..26u64.pow(4)).map(|n| [n / 26 / 26 / 26, n / 26 / 26, n / 26, n].map(letter));
        let mut names: Vec<_> = names.filter(|name| name != b"null").collect();
        let mut random = Random::new(SEED_OF_NAMES);
        for last in (1..names.len()).rev() {
            names.swap(last, random.below(last as u64 + 1) as usize);
        }
        Self(names)
    }

    /// Writes the unique name of a client. If a benchmark has more clients than there are names, the names become
    /// longer.
    fn write_name(&self, client: u64, out: &mut impl Write) -> io::Result<()> {
        let names = self.0.len() as u64;
        out.write_all(&self.0[(client % names) as usize])?;
        let mut round = client / names;
        while round > 0 {
            out.write_all(&[letter(round)])?;
            round /= 26;
        }
        Ok(())
    }
}

/// Returns the last digit of a number in base 26, as a letter.
fn letter(number: u64) -> u8 {
    b'a' + (number % 26) as u8
}

// Clients use their numbers as seeds, which are always far below these.
const SEED_OF_NAMES: u64 = u64::MAX;
const SEED_OF_REPEATS: u64 = u64::MAX - 1;

/// SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014, fig. 17).
struct Random(u64);

impl Random {
    /// Creates a generator. Neighbouring seeds give unrelated numbers, because the seed is mixed before it becomes the
    /// state.
    fn new(seed: u64) -> Self {
        Self(Self(seed).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a whole number from 0 to `end` - 1.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Returns a number in (0, 1]; 0 is excluded so that the logarithm is finite.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Returns a standard normal number (Box and Muller, Annals of Mathematical Statistics 29, 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    /// Returns a whole number that varies like a Poisson count: its variance is its mean.
    fn count(&mut self, mean: f64) -> f64 {
        (mean + mean.sqrt() * self.normal()).round().max(0.0)
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
