//! Unusual fields, rows and files, which every engine must read as this process does: a table of them, and random ones.

use std::collections::BTreeMap;
use std::env;
use std::fs;

use common::files::DataFile;
use common::files::ingested::IngestedFile;
use dataset::local::Local;
use dataset::local::reader::{Next, RowReader};
use dataset::{Engine, Reading};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use testkit::Workspace;

use crate::expected::Fixture;
use crate::tables::{header, line};

/// A field, a row or a file that is unusual.
enum Odd {
    /// A field as it is in a file, for every column.
    Field(&'static str),
    /// A row, in which `ROW` stands for a valid row and `HEADER` for the header.
    Row(&'static str),
    /// A file, in which lines of `ROW` and `HEADER` stand for a valid row and the header.
    File(&'static str),
    /// A file that is refused.
    Refused(&'static str),
}

use Odd::{Field, File, Refused, Row};

const ODD: &[(&str, Odd)] = &[
    ("empty", Field("")),
    ("a space", Field(" ")),
    ("a tab", Field("\t")),
    ("a form feed", Field("\u{c}")),
    ("a vertical tab, which is not white space", Field("\u{b}")),
    ("a no-break space, which is not white space", Field("\u{a0}")),
    ("a next line, a control character", Field("\u{85}")),
    ("NUL", Field("\0")),
    ("a control character before a number, which Java trims", Field("\u{1}1")),
    ("a no-break space after a number", Field("1\u{a0}")),
    ("an em space before a number", Field("\u{2003}1")),
    ("a line separator after a number", Field("1\u{2028}")),
    ("white space around a number", Field(" \t1\u{c} ")),
    ("a carriage return in a field", Field("1\r1")),
    ("a carriage return after a number", Field("1\r")),
    ("missing", Field("NA")),
    ("missing", Field("N/A")),
    ("missing", Field("n/a")),
    ("missing", Field("NaN")),
    ("missing", Field("nan")),
    ("missing", Field("-NaN")),
    ("missing", Field("-nan")),
    ("missing", Field("NULL")),
    ("missing", Field("null")),
    ("missing", Field("None")),
    ("missing", Field("<NA>")),
    ("missing", Field("#NA")),
    ("missing", Field("#N/A")),
    ("missing", Field("#N/A N/A")),
    ("missing", Field("1.#IND")),
    ("missing", Field("1.#QNAN")),
    ("missing", Field("-1.#IND")),
    ("missing", Field("-1.#QNAN")),
    ("missing with white space", Field(" NA ")),
    ("missing with white space and a sign", Field("\t-NaN ")),
    ("missing and quoted", Field("\"NA\"")),
    ("another spelling of missing", Field("NAN")),
    ("another spelling of missing", Field("+nan")),
    ("another spelling of missing", Field("-NAN")),
    ("another spelling of missing", Field("na")),
    ("NaN as Java does not know it", Field("nanf")),
    ("a text", Field("x")),
    ("a letter that SQL knows", Field("f")),
    ("a double as Java writes it", Field("1d")),
    ("a double as Java writes it", Field("2D")),
    ("a double as Java writes it", Field("1.D")),
    ("a double as Java writes it, with white space", Field(" 1d ")),
    ("a float as Java writes it", Field("1f")),
    ("a float as Java writes it", Field("1F")),
    ("a float as Java writes it", Field("3.F")),
    ("a float as Java writes it", Field(".5f")),
    ("a float as Java writes it", Field("1e3f")),
    ("a long as Java writes it", Field("1L")),
    ("infinity with a suffix", Field("infd")),
    ("infinity with a suffix", Field("Infinityf")),
    ("hexadecimal", Field("0x10")),
    ("a hexadecimal double", Field("0x1p3")),
    ("a hexadecimal double", Field("0X1.8P1")),
    ("binary", Field("0b1")),
    ("octal, which is decimal", Field("010")),
    ("an exponent without digits", Field("1e")),
    ("an exponent without digits", Field("1e+")),
    ("an exponent without a number", Field("e5")),
    ("an exponent with a point", Field("1e1.5")),
    ("a decimal comma and a grouping point", Field("\"1.000,5\"")),
    ("a decimal comma", Field("\"1,5\"")),
    ("a point", Field(".")),
    ("a point after the digits", Field("5.")),
    ("a point before the digits", Field(".5")),
    ("two points", Field("1..5")),
    ("a sign alone", Field("+")),
    ("a sign alone", Field("-")),
    ("a plus", Field("+5")),
    ("two signs", Field("++1")),
    ("two signs", Field("--1")),
    ("a sign after the number", Field("1-")),
    ("a space after the sign", Field("- 1")),
    ("a minus sign that is not ASCII", Field("\u{2212}1")),
    ("minus zero", Field("-0")),
    ("minus zero", Field("-0.0e5")),
    ("negative", Field("-1")),
    ("negative", Field("-1.0")),
    ("negative and nearly zero", Field("-1e-400")),
    ("negative", Field("-0.999")),
    ("negative", Field("-2.5")),
    ("an exponent", Field("1e3")),
    ("an exponent", Field("1E-3")),
    ("too large for a double", Field("1e999")),
    ("too small for a double", Field("-1e999")),
    ("an exponent beyond 64 bits", Field("1e99999999999999999999")),
    ("an exponent beyond 64 bits, of zero", Field("0e99999999999999999999")),
    ("zero by its exponent", Field("1e-99999999999999999999")),
    ("infinite", Field("inf")),
    ("infinite", Field("+inf")),
    ("infinite", Field("-Infinity")),
    ("infinite", Field("INFINITY")),
    ("infinite in part", Field("infin")),
    ("the largest count", Field("9007199254740992")),
    ("the largest count", Field("+0009007199254740992.000")),
    ("the largest count", Field("9.007199254740992e15")),
    ("the largest count", Field("90071992547409920e-1")),
    ("above the largest count, rounded to it", Field("9007199254740993")),
    ("above the largest count, rounded to it", Field("9007199254740992.00000000000000000001")),
    ("above the largest count, rounded to it", Field("0.9007199254740993E16")),
    ("above the largest count", Field("9007199254740994")),
    ("more digits than a double has", Field("0.1000000000000000055511151231257827021181583404541015625")),
    ("between two doubles", Field("1.00000000000000011102230246251565404236316680908203125")),
    ("the smallest double", Field("4.9e-324")),
    ("digits with underscores", Field("1_000")),
    ("digits of full width", Field("\u{ff11}")),
    ("Arabic digits", Field("\u{663}")),
    ("a digit in a superscript", Field("\u{b2}")),
    ("an amount", Field("$5")),
    ("a percentage", Field("5%")),
    ("a label of another table", Field("Yes")),
    ("a label in other letters", Field("no")),
    ("a label", Field("No")),
    ("a label with white space", Field(" No\t")),
    ("a label with a comma", Field("\"Yes, left\"")),
    ("a label that is a number", Field("1.0")),
    ("a label that is a number", Field("+0e7")),
    ("a label that is a number, with white space", Field(" 0 ")),
    ("true", Field("true")),
    ("a byte order mark", Field("\u{feff}")),
    ("a byte order mark before a number", Field("\u{feff}1")),
    ("a byte order mark before a quote, which is then text", Field("\u{feff}\"1\"")),
    ("a control character", Field("a\u{7}b")),
    ("a control character of Latin-1", Field("a\u{85}b")),
    ("delete", Field("a\u{7f}b")),
    ("a character without a width", Field("a\u{200b}b")),
    ("a character of private use", Field("\u{e000}")),
    ("a character that is none", Field("\u{ffff}")),
    ("the last character", Field("\u{10ffff}")),
    ("composed and decomposed", Field("\u{e9}e\u{301}")),
    ("a quoted number", Field("\"1\"")),
    ("a quoted number with white space", Field("\" 1 \"")),
    ("a quote and nothing in it", Field("\"\"")),
    ("quoted white space", Field("\"  \"")),
    ("text after the closing quote", Field("\"a\"b")),
    ("digits after the closing quote", Field("\"1\"2")),
    ("white space after the closing quote", Field("\"1\" ")),
    ("quotes after the closing quote", Field("\"a\"b\"c\"\"d")),
    ("a quoted text after the closing quote", Field("\"a\" \"b\"")),
    ("two quotes in quotes", Field("\"a\"\"b\"")),
    ("only two quotes in quotes", Field("\"\"\"\"")),
    ("quotes at both ends of the quoted text", Field("\"\"\"a\"\"\"")),
    ("a quote that closes after two", Field("\"a\"\"\"b\"\"c")),
    ("white space before the quote, which is then text", Field(" \"1\"")),
    ("a quote in a text", Field("a\"b")),
    ("two quotes in a text", Field("a\"\"b\"")),
    ("a comma in quotes", Field("\"a,\"\",b\"")),
    ("an apostrophe and a backslash", Field("o'neil\\\"n\\")),
    ("SQL", Field("'; DROP TABLE x; -- ${y} {z} :a ?")),
    ("an email of more than eight characters", Field("123456789@example.org")),
    ("too few fields", Row("too,few")),
    ("one field", Row("one")),
    ("one comma", Row(",")),
    ("one field too many", Row("ROW,more")),
    ("an empty field too many", Row("ROW,")),
    ("an empty field too many, quoted", Row("ROW,\"\"")),
    ("a blank line", Row("")),
    ("a blank line", Row(" \t\u{c}\r")),
    ("a blank line in quotes", Row("\"\"")),
    ("a blank line in quotes", Row("\" \t\" \r")),
    ("quotes after white space, which are text", Row(" \"\"")),
    ("two quotes in quotes", Row("\"\"\"\"")),
    ("a no-break space", Row("\u{a0}")),
    ("a vertical tab", Row("\u{b}")),
    ("the header again", Row("HEADER")),
    ("a byte order mark and the header", Row("\u{feff}HEADER")),
    ("a byte order mark alone", Row("\u{feff}")),
    ("a byte order mark and quotes", Row("\u{feff}\"\"")),
    ("a byte order mark before a row", Row("\u{feff}ROW")),
    ("a byte order mark before a quote", Row("\u{feff}\"a\"b,1")),
    ("CRLF", Row("ROW\r")),
    ("two carriage returns", Row("ROW\r\r")),
    ("a carriage return at the start", Row("\rROW")),
    ("a tab at the end", Row("ROW\t")),
    ("a row again", Row("ROW")),
    ("a byte order mark", File("\u{feff}HEADER\nROW\nROW")),
    ("a byte order mark and a row with one", File("\u{feff}HEADER\n\u{feff}ROW\nROW\n")),
    ("a byte order mark on a line of its own", File("\u{feff}\nHEADER\nROW")),
    ("a byte order mark on a line of its own, with white space", File("\u{feff} \r\nHEADER\r\nROW\r\n")),
    ("blank lines before the header", File("\n \r\n\"\"\n\t\nHEADER\nROW\n\n")),
    ("white space around the names", File("HEADER \nROW")),
    ("only a header", File("HEADER")),
    ("only a header and blank lines", File("HEADER\n\n \n\"\"\r\n")),
    ("CRLF and LF", File("HEADER\r\nROW\nROW\r\n")),
    ("the last line ends with a carriage return", File("HEADER\nROW\r")),
    ("blank lines at the end", File("HEADER\nROW\n\n\r\n  ")),
    ("only a byte order mark", Refused("\u{feff}")),
    ("two byte order marks", Refused("\u{feff}\u{feff}HEADER\nROW\n")),
    ("a byte order mark on the second line", Refused("\n\u{feff}HEADER\nROW\n")),
    ("only blank lines", Refused("\n \n\t\r\n")),
    ("a no-break space on the first line", Refused("\u{a0}\nHEADER\nROW\n")),
    ("no line breaks but carriage returns", Refused("HEADER\rROW\rROW")),
    ("more malformed rows than tolerated", Refused("HEADER\nROW\nx\n")),
];

/// Texts that are cut and joined for random fields.
const PIECES: [&str; 40] = [
    "a",
    "Z",
    "0",
    "1",
    "7",
    "42",
    "-",
    "+",
    ".",
    "e",
    "E",
    "5e",
    "f",
    "d",
    "x",
    "_",
    " ",
    "\t",
    "\u{c}",
    "\u{b}",
    "\u{a0}",
    "\r",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{ff11}",
    "\u{ffff}",
    "\u{10ffff}",
    "e\u{301}",
    "\u{df}",
    "\"",
    "\"\"",
    "'",
    "\\",
    ",",
    "inf",
    "NaN",
    "9007199254740992",
];

/// Number of random rows, unless the environment says otherwise.
const ROWS: usize = 100_000;
/// Seed of the random rows, unless the environment says otherwise.
const SEED: u64 = 16;

/// Checks that an engine reads everything in the table as this process does.
pub fn table(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine) {
    let row = line(fixture, &fixture.rows[0], false).trim_end().to_owned();
    let header = header(fixture, false).trim_end().to_owned();
    let plain = quoted_fields(&row);
    let long = ["x".repeat(1000), "x".repeat(1001), "\u{fc}".repeat(501), format!("\"{}\"", "\"\"".repeat(20_000))];
    let long = long.iter().map(|field| ("a long text", field.as_str()));
    let mut lines = vec![header.clone()];
    let mut files = Vec::new();
    let fields = ODD.iter().filter_map(|(what, odd)| if let Field(text) = odd { Some((*what, *text)) } else { None });
    for (_, field) in fields.chain(long) {
        for column in 0..plain.len() {
            let mut fields = plain.clone();
            fields[column] = field.to_owned();
            lines.push(fields.join(","));
        }
    }
    let filled = |text: &str| text.replace("ROW", &row).replace("HEADER", &header);
    for (what, odd) in ODD {
        match odd {
            Field(_) => {}
            Row(text) => lines.push(filled(text)),
            File(text) => {
                // Malformed rows must be few.
                let more = if text.contains("\n\u{feff}ROW") { format!("{row}\n").repeat(30) } else { String::new() };
                files.push((format!("file {}.csv", files.len()), filled(text) + &more));
            }
            Refused(text) => {
                workspace.write("refused.csv", &filled(text));
                let file = [DataFile::at(&workspace.path("refused.csv")).unwrap()];
                let local = Local::new(&fixture.schema);
                assert!(local.read(&file, Reading::LENIENT).is_err(), "{what} is not refused here");
                assert!(engine.read(&file, Reading::LENIENT).is_err(), "{what} is not refused there");
            }
        }
    }
    lines.push(format!("\"a\"{},x", ",\"b\"".repeat(20_000)));
    let filler = plain[1..].join(",");
    lines.extend((0..25_000).map(|i| format!("filler{i},{filler}")));
    files.push(("fields and rows.csv".to_owned(), lines.join("\n")));
    alike(fixture, workspace, engine, &files);
}

/// Checks that an engine reads random rows as this process does, in files of several dialects.
pub fn random(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine) {
    let number = |name: &str, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, rows) = (number("ODD_SEED", SEED), number("ODD_ROWS", ROWS as u64) as usize);
    println!("{rows} random rows of the seed ODD_SEED={seed}");
    let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut files = Vec::new();
    for (i, share) in [40, 30, 20, 10].into_iter().enumerate() {
        let (reverse, mark, end) = (i % 2 == 1, i % 3 == 0, if i >= 2 { "\r\n" } else { "\n" });
        let header = header(fixture, reverse);
        let mut text = [if mark { "\u{feff}" } else { "" }, header.trim_end()].concat();
        for line in random.lines(fixture, reverse, end, rows * share / 100) {
            text += end;
            text += &line;
        }
        files.push((format!("random {i}.csv"), text));
    }
    alike(fixture, workspace, engine, &files);
}

/// A generator of unusual rows.
struct Random(Xoshiro256PlusPlus);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    /// Returns so many lines, of which as many are malformed as a file may have, and as many have an unusual field.
    fn lines(&mut self, fixture: &Fixture, reverse: bool, end: &str, wanted: usize) -> Vec<String> {
        let header = header(fixture, reverse);
        let plain = quoted_fields(line(fixture, &fixture.rows[0], reverse).trim_end());
        let mut lines: Vec<String> = Vec::new();
        let mut malformed = 0;
        while lines.len() < wanted {
            let candidates: Vec<String> = (0..wanted.min(20_000)).map(|_| self.line(&plain)).collect();
            let candidates: Vec<String> = candidates.into_iter().filter(|line| is_closed(line)).collect();
            let text = [header.as_str(), &candidates.join(end), end].concat();
            let mut reader = RowReader::new(&fixture.schema, text.as_bytes()).unwrap();
            let mut is_malformed = vec![false; candidates.len()];
            while let Some(next) = reader.read_next().unwrap() {
                if let Next::Malformed(row) = next {
                    is_malformed[row.line as usize - 2] = true;
                }
            }
            for (line, is_malformed) in candidates.into_iter().zip(is_malformed) {
                if !is_malformed || malformed * 25 < lines.len() {
                    malformed += usize::from(is_malformed);
                    lines.push(line);
                }
            }
        }
        lines.truncate(wanted);
        lines
    }

    fn line(&mut self, plain: &[String]) -> String {
        let mut fields = plain.to_vec();
        for _ in 0..1 + self.below(3) {
            let column = self.below(fields.len());
            fields[column] = self.field();
        }
        match self.below(60) {
            0 => fields.push(self.field()),
            1 => drop(fields.pop()),
            2 => fields.truncate(1),
            _ => {}
        }
        let line = fields.join(",");
        match self.below(60) {
            0 => format!("\u{feff}{line}"),
            1 => line + self.one_of(&["\r", "\r\r", " ", "\t\r"]),
            2 => self.one_of(&["", " ", "\t", "\"\"", "\" \"", "\r", "\u{a0}", "\u{feff}"]).to_owned(),
            _ => line,
        }
    }

    fn field(&mut self) -> String {
        let text = match self.below(6) {
            0 => match &ODD[self.below(ODD.len())].1 {
                Field(text) => (*text).to_owned(),
                _ => String::new(),
            },
            1 => self.below(1000).to_string(),
            2 => f64::from_bits(self.0.next_u64()).to_string(),
            3 => format!("{:e}", f64::from_bits(self.0.next_u64() >> 2)),
            4 => self.number(),
            _ => (0..self.below(6)).map(|_| self.one_of(&PIECES)).collect(),
        };
        match self.below(8) {
            0 | 1 => format!("\"{}\"", text.replace('"', "\"\"")),
            2 => format!("\"{text}\"{}", self.one_of(&PIECES)),
            3 => format!("{}{text}", self.one_of(&PIECES)),
            _ => text,
        }
    }

    /// Returns a number in any spelling.
    fn number(&mut self) -> String {
        let digits = |random: &mut Self| -> String {
            let most = random.one_of(&["1", "2", "4", "18"]).parse::<usize>().unwrap_or(1);
            (0..random.below(most + 1)).map(|_| random.one_of(&["0", "1", "5", "9"])).collect()
        };
        let (sign, whole) = (self.one_of(&["", "", "", "+", "-"]), digits(self));
        let fraction = if self.below(2) == 0 { format!(".{}", digits(self)) } else { String::new() };
        let exponent = match self.below(3) {
            0 => format!("{}{}{}", self.one_of(&["e", "E"]), self.one_of(&["", "+", "-"]), self.below(330)),
            _ => String::new(),
        };
        format!("{}{sign}{whole}{fraction}{exponent}", self.one_of(&["", "", "", " "]))
    }
}

/// Returns the fields of a valid line in quotes.
fn quoted_fields(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let record = reader.records().next().unwrap().unwrap();
    record.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect()
}

/// Returns whether every quote of a line is closed, so that it is one row in this process too.
fn is_closed(line: &str) -> bool {
    if !line.contains('"') {
        return true;
    }
    let text = format!("{line}\nend");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(256)
        .from_reader(text.as_bytes());
    reader.byte_records().last().unwrap().unwrap() == vec!["end"]
}

/// Checks that an engine finds the same rows, counts and malformed rows as this process in files with these contents.
fn alike(fixture: &Fixture, workspace: &Workspace, engine: &dyn Engine, texts: &[(String, String)]) {
    let file = |(name, text): &(String, String)| {
        workspace.write(name, text);
        DataFile::at(&workspace.path(name)).unwrap()
    };
    let files: Vec<DataFile> = texts.iter().map(file).collect();
    let (here, there) = (read(&Local::new(&fixture.schema), workspace, &files), read(engine, workspace, &files));
    assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    let mut differences = Vec::new();
    for (name, expected) in &here {
        let mut missing = expected.clone();
        let found = &there[name];
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        expected.iter().for_each(|line| *counts.entry(line).or_default() += 1);
        found.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
        missing.clear();
        missing.extend(counts.iter().filter(|(_, n)| **n != 0).map(|(line, n)| format!("{n:+} {line:.400}")));
        if expected != found {
            missing.truncate(30);
            differences.push(format!("{name}, + only here, - only there:\n{}", missing.join("\n")));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Reads files in every way. Returns what was found as texts, by what it is.
fn read(engine: &dyn Engine, workspace: &Workspace, files: &[DataFile]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let output = workspace.config().output_folder;
    let stage = workspace.path("stage");
    fs::create_dir_all(&stage).unwrap();
    let ingested = engine.compile(files, &output, &stage).unwrap();
    let counts = |file: &IngestedFile| {
        format!("{} {} {} {} {:?}", file.name, file.rows, file.duplicates, file.quarantined, file.missing)
    };
    found.insert("counts of files".to_owned(), ingested.files.iter().map(counts).collect());
    let clients =
        [format!("{}", ingested.contradictory_corporations), format!("{:?}", ingested.contradictory_examples)];
    let all = [format!("{} {:?}", ingested.rows, ingested.missing)].into_iter().chain(clients);
    found.insert("counts of the dataset".to_owned(), all.collect());
    let quarantine = fs::read_to_string(stage.join("quarantine.csv")).unwrap();
    assert!(quarantine.lines().count() > 1);
    found.insert("quarantine".to_owned(), quarantine.split('\n').map(str::to_owned).collect());
    // Small files are read together, because each query takes a while.
    let (large, small): (Vec<DataFile>, _) =
        files.iter().cloned().partition(|file| file.path.metadata().unwrap().len() > 10_000);
    for files in large.chunks(1).chain([small.as_slice()]).filter(|files| !files.is_empty()) {
        let mut rows = Vec::new();
        let table = engine.read(files, Reading::LENIENT).unwrap();
        table.each(&mut |id, predictors, exited| rows.push(format!("{id:?} {predictors:?} {exited:?}"))).unwrap();
        rows.sort_unstable();
        rows.push(format!("{} malformed", table.malformed()));
        found.insert(format!("rows of {} and {} others", files[0].name, files.len() - 1), rows);
    }
    engine.retire(&ingested);
    found
}
