//! Simulations of what the pages promise: the interval of the leavers among today's calls, and the effect of calls.
//!
//! CI runs some rounds; `cargo test --release -p insight --test simulation -- --ignored --nocapture` runs all of them and
//! prints the tables.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use insight::{Effect, Headline, Verdict};

/// The generator SplitMix64 (Steele, Lea & Flood, Fast splittable pseudorandom number generators, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A standard normal number (Box & Muller).
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// A world: from the log-odds that the model gives a client, the true probability of leaving.
type World = (&'static str, fn(f64, &mut Random) -> f64);

const WORLDS: [World; 4] = [
    ("well specified", |log_odds, _| logistic(log_odds)),
    ("over-confident", |log_odds, _| logistic(0.5 * log_odds)),
    ("wrong link", |log_odds, _| 1.0 - (-log_odds.exp()).exp()), // complementary log-log
    // Half of the clients are in a regime that the model does not know.
    ("regime mixture", |log_odds, random| logistic(log_odds + if random.uniform() < 0.5 { -2.0 } else { 1.0 })),
];

/// A client: the model's risk and whether the client leaves.
fn client(world: World, random: &mut Random) -> (f64, bool) {
    let log_odds = -1.5 + 2.0 * random.normal();
    let probability = (world.1)(log_odds, random);
    (logistic(log_odds), random.uniform() < probability)
}

/// Which clients are called.
#[derive(Clone, Copy, Debug)]
enum Selection {
    /// Those of the highest risk.
    Riskiest,
    /// The same, but of the four times as many riskiest ones nine tenths pause.
    AfterPauses,
    /// Those of the highest risk times value.
    ByValue,
}

fn select(selection: Selection, calls: usize, current: &mut Vec<(f64, bool)>, random: &mut Random) {
    current.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    match selection {
        Selection::Riskiest => {}
        Selection::AfterPauses => {
            let mut index = 0;
            current.retain(|_| {
                index += 1;
                index > 4 * calls || random.uniform() < 0.1
            });
        }
        Selection::ByValue => {
            let mut valued: Vec<_> = current.iter().map(|client| (client.0 * random.normal().exp(), *client)).collect();
            valued.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
            *current = valued.into_iter().map(|(_, client)| client).collect();
        }
    }
    current.truncate(calls);
}

/// Coverage of the interval among the rounds in which a test client is comparable, and the share of these rounds.
fn coverage(
    world: World,
    selection: Selection,
    tested: usize,
    calls: usize,
    clients: usize,
    rounds: usize,
) -> (f64, f64) {
    let mut random = Random((tested * 31 + calls * 17 + clients) as u64);
    let (mut known, mut covered) = (0, 0);
    for _ in 0..rounds {
        let mut draw = |n: usize| -> Vec<(f64, bool)> { (0..n).map(|_| client(world, &mut random)).collect() };
        let (test, mut called) = (draw(tested), draw(clients));
        select(selection, calls, &mut called, &mut random);
        let risks: Vec<f64> = called.iter().map(|(risk, _)| *risk).collect();
        let headline = Headline::of(&risks, &test).unwrap();
        let left = called.iter().filter(|(_, left)| *left).count() as u64;
        if headline.comparable > 0 {
            known += 1;
            covered += u32::from((headline.low..=headline.high).contains(&left));
        }
    }
    (f64::from(covered) / f64::from(known.max(1)), f64::from(known) / rounds as f64)
}

fn coverages(rounds: usize, least: f64) {
    println!("model            calls        test clients  calls  of clients  covered  promised");
    let mut worst: f64 = 1.0;
    for world in WORLDS {
        for selection in [Selection::Riskiest, Selection::AfterPauses, Selection::ByValue] {
            for (calls, clients) in [(10, 1000), (50, 1000), (10, 6000), (50, 6000)] {
                for tested in [200, 2000] {
                    let (covered, promised) = coverage(world, selection, tested, calls, clients, rounds);
                    println!(
                        "{:<15}  {:<11}  {tested:>12}  {calls:>5}  {clients:>10}  {covered:>7.3}  {promised:>8.3}",
                        world.0,
                        format!("{selection:?}")
                    );
                    worst = worst.min(covered);
                }
            }
        }
    }
    assert!(worst >= least, "{worst}");
}

#[test]
fn the_interval_of_leavers_covers_with_wrong_models_too() {
    coverages(200, 0.88); // 0.95 minus four standard deviations of 200 rounds
}

#[test]
#[ignore = "takes minutes"]
fn the_interval_of_leavers_covers_in_many_rounds() {
    coverages(2000, 0.93);
}

/// Coverage of the interval of the effect and the share of claims, right and wrong.
struct Claims {
    covered: f64,
    right: f64,
    wrong: f64,
}

/// Calls multiply the odds of leaving by `odds`; so many `clients` would be called, of whom a share is held out.
fn claims(odds: f64, clients: usize, share: f64, rounds: usize) -> Claims {
    let mut random = Random(clients as u64 * 1000 + (1000.0 * share) as u64 + (10.0 * odds) as u64);
    let (mut known, mut covered, mut right, mut wrong) = (0, 0, 0, 0);
    for _ in 0..rounds {
        let (mut called, mut held_out, mut differences) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..clients {
            let log_odds = 0.5 + 1.5 * random.normal();
            // The model is over-confident and does not see everything.
            let truth = 0.6 * log_odds + 0.7 * random.normal();
            let [without, with] = [truth, truth + odds.ln()].map(logistic);
            let is_called = random.uniform() >= share;
            let left = random.uniform() < if is_called { with } else { without };
            if is_called {
                called.push((logistic(log_odds), left))
            } else {
                held_out.push((logistic(log_odds), left))
            }
            differences.push(with - without);
        }
        let effect = Effect::of(&called, &held_out);
        let truth = differences.iter().sum::<f64>() / clients as f64;
        if let (Some(low), Some(high)) = (effect.low, effect.high) {
            known += 1;
            covered += u32::from((low..=high).contains(&truth));
        }
        let (helps, harms) = (effect.verdict == Verdict::FewerLeave, effect.verdict == Verdict::MoreLeave);
        right += u32::from(helps && odds < 1.0);
        wrong += u32::from(harms || (helps && odds == 1.0));
    }
    let share = |count: u32, of: u32| f64::from(count) / f64::from(of.max(1));
    let rounds = rounds as u32;
    Claims { covered: share(covered, known), right: share(right, rounds), wrong: share(wrong, rounds) }
}

fn effects(rounds: usize, least: f64, most: f64) {
    let (mut worst, mut wrongest): (f64, f64) = (1.0, 0.0);
    println!("odds factor  clients  held out  covered  right claims  wrong claims");
    for odds in [1.0, 0.6, 0.3] {
        for clients in [100, 300, 1000, 5000] {
            for share in [0.05, 0.1, 0.3] {
                let Claims { covered, right, wrong } = claims(odds, clients, share, rounds);
                println!("{odds:>11}  {clients:>7}  {share:>8}  {covered:>7.3}  {right:>12.3}  {wrong:>12.3}");
                (worst, wrongest) = (worst.min(covered), wrongest.max(wrong));
            }
        }
    }
    assert!(worst >= least && wrongest <= most, "{worst} {wrongest}");
}

#[test]
fn the_effect_covers_and_is_not_claimed_wrongly() {
    effects(200, 0.88, 0.12);
}

#[test]
#[ignore = "takes minutes"]
fn the_effect_covers_and_is_not_claimed_wrongly_in_many_rounds() {
    effects(4000, 0.93, 0.05);
}
