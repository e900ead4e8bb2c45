//! Tests of the steps on real engines: the same test runs in this process, on Sail and on Apache Spark, and must give
//! the same results.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

mod answers;
mod faults;
mod long;
mod many;
mod same;
mod storage;
mod tls;
mod workers;

use testkit::{HEADER, Workspace};

/// Returns rows with a signal and much noise; some are repeated, some have a missing value.
pub fn noisy(prefix: &str, from: u64, n: u64) -> String {
    let mut state = from + 1;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut rows = String::new();
    for i in from..from + n {
        let (month, year, employees) = (300.0 * uniform(), 3000.0 * uniform(), 200.0 * uniform());
        let leaves = uniform() < 1.0 / (1.0 + (0.02 * month - 0.001 * year + 0.3).exp());
        let month = if i % 37 == 0 { "NA".to_owned() } else { format!("{month:.0}") };
        let row = format!("{prefix}{i},{month},{year:.0},{employees:.1},{}\n", u8::from(leaves));
        rows += &row;
        if i % 50 == 0 {
            rows += &row;
        }
    }
    rows
}

/// Creates a workspace whose files contain every variation that client files may have.
pub fn untidy() -> Workspace {
    let workspace = Workspace::new();
    let plain = [noisy("a", 0, 600), "twice,1,2,3,0\ntwice,1,2,3,1\n".to_owned()].concat();
    workspace.csv("practicedata/a.csv", &plain);
    let numbers = "n0, 5 ,+5,007,1.0\nn1,1e3,.5,5.,0\nn2,-0,9007199254740992,0.1,1\nn3,NaN,#N/A,<NA>,\n\
                   n4,\"7\",\" 8 \",\"9\",\"1\"\n\"o'neil, \"\"ltd\"\"\",1,2,3,0\nNA,1,2,3,1\n,,,,\n\u{fc}\u{df} \u{682a},1,2,3,0\n\
                   a\\b'c,4,5,6,1\n  spaced  ,1,2,3,0\n";
    let broken = "b0,1,2,3\nb1,1,2,3,0,9\nb2,one,2,3,0\nb3,1,-2,3,0\nb4,1,2,1e20,0\nb4,1,9007199254740993,2,0\nb5,1,2,3,2\nb6,1,2,3,yes\n\
                  b7,inf,2,3,0\nb8,0x10,2,3,0\nb9,1_000,2,3,0\nb\u{7},1,2,3,0\n\"b10, x\",1,,\"a\",0\n";
    let long = format!("{},1,2,3,0\n", "x".repeat(1001));
    let text = [HEADER, &noisy("b", 600, 500), "\n  \n", numbers, broken, &long, HEADER, "last,1,2,3,0"].concat();
    workspace.write("practicedata/b untidy.csv", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    let reordered: String =
        noisy("a", 300, 400).lines().map(|row| row.split(',').rev().collect::<Vec<_>>().join(",") + "\n").collect();
    let header = HEADER.trim_end().split(',').rev().collect::<Vec<_>>().join(",");
    workspace.write("practicedata/c.CSV", &format!("\n{header}\n{reordered}"));
    workspace.csv("practicedata/d-without-a-row.csv", "");
    workspace.csv("practicedata/.hidden.csv", "x,1,2,3,0\n");
    workspace.write("practicedata/notes.txt", "no table");
    workspace.csv("practicedata/folder/inner.csv", "x,1,2,3,0\n");
    workspace.csv("testdata/testdata.csv", &noisy("t", 5000, 400));
    workspace
}
