use std::sync::LazyLock;

use super::answer::Question;
use super::number::Number;
use super::parts::Parts;
use super::*;
use crate::MOST_VALUES;
use rayon::{ThreadPool, ThreadPoolBuilder};
use statistics::distribution::median_ranks;
use statistics::moments::Summable;

/// Fabricated integers, the same in every run (the generator SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A bitmap of `n` bits, and some more, in which each bit is set with the probability `share`. Some bytes are full.
    fn mask(&mut self, n: usize, share: f64) -> Vec<u8> {
        let bit = |random: &mut Self| u8::from(random.uniform() < share);
        let byte = |random: &mut Self| (0..8).fold(0, |byte, _| byte << 1 | bit(random));
        let full = |i: usize| share > 0.0 && i / 16 % 3 == 1;
        (0..n.div_ceil(8)).map(|i| if full(i) { u8::MAX } else { byte(self) }).collect()
    }
}

fn is_set(mask: Option<&[u8]>, i: usize) -> bool {
    mask.is_none_or(|mask| mask[i / 8] >> (i % 8) & 1 == 1)
}

/// The values of the selected rows, as the functions of the crate `statistics` expect them.
fn options(column: &NumberColumn) -> Vec<Option<f64>> {
    let values: Vec<f64> = match column.numbers {
        Numbers::U8(values) => values.iter().copied().map(f64::from).collect(),
        Numbers::U16(values) => values.iter().copied().map(f64::from).collect(),
        Numbers::I32(values) => values.iter().copied().map(f64::from).collect(),
        Numbers::F64(values) => values.to_vec(),
    };
    let selected = (0..values.len()).filter(|i| is_set(column.within, *i));
    selected.map(|i| is_set(column.known, i).then_some(values[i])).collect()
}

/// Runs `of` with pools of one and of three threads, and checks that the results are the same.
fn with_threads<R: PartialEq + std::fmt::Debug + Send>(of: impl Fn() -> R + Send + Sync) -> R {
    static POOLS: LazyLock<[ThreadPool; 2]> =
        LazyLock::new(|| [1, 3].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap()));
    let [one, three] = &*POOLS;
    let result = one.install(&of);
    assert_eq!(three.install(&of), result);
    result
}

fn near(ours: f64, exact: f64) -> bool {
    ours == exact || (ours - exact).abs() <= 1e-9 * exact.abs()
}

/// Checks all results of a column, collecting few values at a time as well.
fn check(what: &str, column: NumberColumn) {
    let options = options(&column);
    let exact = Distribution::of(options.iter().copied());
    let exact_sketch = Sketch::of(options);
    let (distribution, sketch, median, statistics) =
        with_threads(|| (column.distribution(), column.sketch(), column.median(), column.statistics("a column")));
    assert_eq!(distribution, exact, "{what}");
    assert_eq!(median, exact.median(), "{what}");
    assert_eq!(column.missing(), exact.missing, "{what}");
    let is_many = exact.values.len() as u64 > MOST_VALUES;
    let mut comparable = sketch.clone();
    if let (Some(ours), Some(exact), true) = (&mut comparable, &exact_sketch, is_many) {
        assert!(near(ours.standard_deviation, exact.standard_deviation), "{what}: {ours:?} {exact:?}");
        let error = (ours.mean - exact.mean).abs();
        assert!(error <= 1e-12 * (exact.mean - exact.min).abs().max(exact.mean.abs()), "{what}: {ours:?} {exact:?}");
        (ours.mean, ours.standard_deviation) = (exact.mean, exact.standard_deviation);
    }
    assert_eq!(comparable, exact_sketch, "{what}");
    let expected = ColumnStatistics {
        column: "a column".to_owned(),
        mean: sketch.as_ref().map(|sketch| sketch.mean),
        median: exact.median(),
        std: sketch.as_ref().filter(|sketch| sketch.n > 1).map(|sketch| sketch.standard_deviation),
        mode: exact.mode(),
    };
    assert_eq!(statistics, expected, "{what}");
    let collected: &[usize] = if exact.n() < 10_000 { &[1, 50, 1000] } else { &[20_000] };
    for most in collected {
        of_any_type!(column, known => check_sorted(what, &known, &exact, *most));
    }
}

/// Checks the answers that are found by sorting at most `most` values at a time.
fn check_sorted<T: Number>(what: &str, known: &Known<T>, exact: &Distribution, most: usize) {
    let middle = median_ranks(known.n());
    let sketch = statistics::sketch::ranks(known.n());
    for ranks in [None, Some(&middle[..]), Some(&sketch)] {
        for mode in [false, true] {
            let question = Question { ranks, mode };
            let answer = with_threads(|| {
                let answer = sorted::answer(known, &question, most);
                (answer.mode(), answer.counts())
            });
            assert_eq!(answer.1, thinned(exact, ranks), "{what}");
            assert!(!mode || answer.0 == exact.mode(), "{what}");
            check_bound(what, known, &question, most);
        }
    }
}

/// Returns the values of `ranks`, with counts that include the omitted values.
fn thinned(exact: &Distribution, ranks: Option<&[u64]>) -> Vec<(f64, u64)> {
    let (mut up_to, mut omitted, mut kept) = (0, 0, Vec::new());
    for (value, count) in &exact.values {
        up_to += count;
        omitted += count;
        let next = |ranks: &[u64]| ranks.get(ranks.partition_point(|rank| *rank <= up_to - count)).copied();
        if ranks.is_none_or(|ranks| next(ranks).is_some_and(|rank| rank <= up_to)) {
            kept.push((*value, std::mem::take(&mut omitted)));
        }
    }
    kept
}

/// Checks that at most `most` values are collected at a time, in few passes.
fn check_bound<T: Number>(what: &str, known: &Known<T>, question: &Question, most: usize) {
    let Some(parts) = Parts::of(known, question, most) else { return };
    let groups = sorted::groups(&parts.bins, most);
    assert!(groups.iter().all(|bins| sorted::to_collect(bins) <= most), "{what}, {most}: {groups:?}");
    let passes = match question.ranks {
        Some(ranks) if !question.mode && ranks.len() <= most => 1,
        _ => 2 * known.n() as usize / most + 1,
    };
    assert!(groups.len() <= passes, "{what}, {most}: {groups:?}");
}

/// Checks a column with no, some and many values missing, and some of its rows.
fn check_masked(what: &str, numbers: Numbers) {
    let n = of_any_type!(NumberColumn::new(numbers, None), known => known.len());
    let mut random = Random(n as u64);
    check(what, NumberColumn::new(numbers, None));
    let rows = random.mask(n, 0.7);
    for share in [0.0, 0.2, 0.95] {
        let known = random.mask(n, share);
        let column = NumberColumn::new(numbers, Some(&known));
        check(what, column);
        check(what, column.within(Some(&rows)));
    }
    check(what, NumberColumn::new(numbers, None).within(Some(&rows)));
}

#[test]
fn small_integers() {
    let mut random = Random(1);
    for n in [0, 1, 2, 63, 64, 65, 1000, 1025, 5000] {
        for levels in [1, 2, 7, 256] {
            let values: Vec<u8> = (0..n).map(|_| (255 - random.below(levels)) as u8).collect();
            check_masked("u8", Numbers::U8(&values));
            let values: Vec<u16> = (0..n).map(|_| (random.below(levels * levels)) as u16).collect();
            check_masked("u16", Numbers::U16(&values));
        }
    }
}

#[test]
fn wide_integers() {
    let mut random = Random(2);
    for n in [0, 1, 2, 200, 4000] {
        for levels in [1, 2, 300, 70_000, 1 << 32] {
            let random: Vec<i32> = (0..n).map(|_| (random.below(levels) as u32 ^ (1 << 31)) as i32).collect();
            check_masked("i32", Numbers::I32(&random));
            let centred: Vec<i32> = random.iter().map(|value| value / 3 + 5).collect();
            check_masked("i32, centred", Numbers::I32(&centred));
        }
    }
    check("extremes", NumberColumn::new(Numbers::I32(&[i32::MAX, i32::MIN, 0, -1, i32::MIN]), None));
}

/// Columns of any numbers, with what they are.
fn floats(n: usize) -> Vec<(&'static str, Vec<f64>)> {
    let mut random = Random(3);
    let mut column = |of: &mut dyn FnMut(&mut Random, usize) -> f64| (0..n).map(|i| of(&mut random, i)).collect();
    vec![
        ("uniform", column(&mut |random, _| random.uniform())),
        ("around zero", column(&mut |random, _| (random.uniform() - 0.5) * 1000.0)),
        ("hundredths", column(&mut |random, _| random.below(500) as f64 / 100.0)),
        ("constant", column(&mut |_, _| -0.7)),
        ("two values", column(&mut |random, _| [0.1, 1e300][random.below(2) as usize])),
        ("half zero", column(&mut |random, i| if i % 2 == 0 { 0.0 } else { random.uniform() })),
        ("two frequent values", column(&mut |random, i| [-5.5, random.uniform(), 77.7][i % 3])),
        ("sorted", column(&mut |_, i| i as f64 / 7.0)),
        ("reverse", column(&mut |_, i| -(i as f64) / 7.0)),
        ("narrow", column(&mut |random, _| 1.0 + random.below(1000) as f64 * f64::EPSILON)),
        ("narrow and far", column(&mut |random, i| if i == 5 { 1e300 } else { 1.0 + random.uniform() * 1e-9 })),
        ("all sizes", column(&mut |random, _| (random.uniform() * 1400.0 - 700.0).exp())),
        ("tiny", column(&mut |random, _| (random.below(2 * n as u64) as f64 - n as f64 / 2.0) * 5e-324)),
        ("huge", column(&mut |random, _| (random.uniform() - 0.5) * f64::MAX)),
        ("extremes", column(&mut |random, _| [f64::MIN, f64::MAX, 0.0][random.below(3) as usize])),
        ("rounded roots", column(&mut |_, i| ((i * i % 1009) as f64).sqrt())),
    ]
}

#[test]
fn any_numbers() {
    for n in [0, 1, 150, 1100, 4000] {
        for (what, values) in floats(n) {
            check_masked(what, Numbers::F64(&values));
        }
    }
}

#[test]
fn many_distinct_values() {
    for (what, values) in floats(300_000) {
        check(what, NumberColumn::new(Numbers::F64(&values), None));
    }
    let mut random = Random(4);
    let known = random.mask(300_000, 0.9);
    let integers: Vec<i32> = (0..300_000).map(|_| random.next() as i32).collect();
    check("i32", NumberColumn::new(Numbers::I32(&integers), Some(&known)));
    let integers: Vec<i32> = (0..300_000).map(|i| i * 13 - 5_000_000).collect();
    check("distinct i32", NumberColumn::new(Numbers::I32(&integers), Some(&known)));
    let integers: Vec<i32> = (0..300_000).rev().collect();
    check("i32 in a table", NumberColumn::new(Numbers::I32(&integers), Some(&known)));
}

#[test]
fn the_number_of_distinct_values_that_are_all_counted() {
    for distinct in [MOST_VALUES, MOST_VALUES + 1] {
        let values: Vec<f64> = (0..250_000).map(|i| (i % distinct) as f64 / 3.0).collect();
        let known = Known::new(&values, [None, None]);
        assert_eq!(few::few(&known, MOST_VALUES as usize).is_some(), distinct == MOST_VALUES);
        check("thirds", NumberColumn::new(Numbers::F64(&values), None));
    }
}

#[test]
fn bits_after_the_last_row_do_not_count() {
    let column = NumberColumn::new(Numbers::U8(&[1, 2, 9]), Some(&[0b1111_1011, 0xff]));
    assert_eq!((column.median(), column.missing()), (Some(1.5), 1));
    assert_eq!(column.within(Some(&[0b1111_1110])).distribution(), Distribution { values: vec![(2.0, 1)], missing: 1 });
}

#[test]
fn keys_are_in_the_order_of_the_numbers() {
    let numbers = [f64::MIN, -1e300, -1.0, -5e-324, 0.0, 5e-324, 0.3, 1.0, f64::MAX];
    assert!(numbers.is_sorted_by_key(|number| number.key()));
    assert!(numbers.iter().all(|number| f64::of_key(number.key()).to_bits() == number.to_bits()));
    let numbers = [i32::MIN, -2, -1, 0, 1, i32::MAX];
    assert!(numbers.is_sorted_by_key(|number| number.key()));
    assert!(numbers.iter().all(|number| i32::of_key(number.key().into()) == f64::from(*number)));
}
