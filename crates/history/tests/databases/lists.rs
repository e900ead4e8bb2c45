//! Published call lists: each is recorded once, with its clients, and read back.

use common::files::checksum::Checksum;
use history::{CallOutcome, Contact, History, ListedClientRow, PublishedListRow};
use jiff::Timestamp;
use serde_json::json;
use testkit::Workspace;

use crate::on_each_history;

/// The lists and their clients, oldest first.
fn read(workspace: &Workspace) -> (Vec<PublishedListRow>, Vec<ListedClientRow>) {
    let mut history = History::open_existing(&workspace.config()).unwrap().unwrap();
    (history.newest(100).unwrap(), history.newest(1000).unwrap())
}

/// The ids of the clients to call and of the held-out ones, in the order of one list.
fn ids(list: &PublishedListRow, listed: &[ListedClientRow]) -> [Vec<String>; 2] {
    [true, false].map(|called| {
        let listed = listed.iter().filter(|row| row.run == list.run && row.called == called);
        listed.map(|row| row.client.clone()).collect()
    })
}

#[test]
fn a_list_is_recorded_once_and_again_when_it_changes() {
    let set_up = || {
        let mut workspace = Workspace::with_data();
        workspace.set("call_capacity", json!(5));
        // An id that needs care in every database.
        workspace.csv("practicedata/odd.csv", &format!("\"o'neil, \\ 漢字 {}\",5,40,600,0\n", "x".repeat(900)));
        workspace
    };
    on_each_history(set_up, |workspace, database| {
        workspace.deploy();
        for _ in 0..2 {
            assert_eq!(workspace.run_json("reporting", &[])["calls"], 5);
        }
        let (lists, listed) = read(workspace);
        assert_eq!((lists.len(), listed.len()), (1, 5), "the second reporting has published the same list");
        let release = common::production::release::Production::of(&workspace.config()).live().unwrap();
        let first = &lists[0];
        assert_eq!((&first.release, first.clients, first.called, first.held_out), (&release.id, 61, 5, 0));
        assert_eq!(first.dataset_sha256, Checksum::of_file(&workspace.path("ingesteddata/finaldata.csv")).unwrap());
        assert!(first.expected_low.unwrap() as f64 <= first.expected.unwrap());
        assert!(first.expected.unwrap() <= first.expected_high.unwrap() as f64);
        // The recorded clients are the called ones of the file.
        let file = workspace.text("practicemodels/calllist.csv");
        for (row, line) in listed.iter().zip(file.lines().skip(1)) {
            let quoted = format!("{},\"{}\",1,{}", row.rank, row.client, row.risk);
            let plain = format!("{},{},1,{}", row.rank, row.client, row.risk);
            assert!(line.starts_with(&quoted) || line.starts_with(&plain), "{row:?}: {line}");
        }
        assert!(listed.iter().any(|row| row.client.contains("漢字") && row.client.len() > 900));

        // A call changes the list: the client that was called pauses.
        let called = Contact {
            client: listed[0].client.clone(),
            outcome: CallOutcome::Reached,
            by: "Anna".to_owned(),
            note: String::new(),
            at: Timestamp::now(),
        };
        let mut history = History::open_for_contacts(&workspace.config()).unwrap();
        history.add_contacts(None, &Checksum::of_bytes(b"1"), &[called]).unwrap();
        drop(history);
        workspace.run("reporting", &[]);
        let (lists, listed) = read(workspace);
        assert_eq!((lists.len(), lists[1].called, lists[1].held_out), (2, 5, 0));
        let [before, _] = ids(&lists[0], &listed);
        let [after, _] = ids(&lists[1], &listed);
        assert_eq!(after[..4], before[1..]);

        // With a hold-out, those who would have been called are recorded too.
        workspace.set("call_holdout", json!(0.5));
        workspace.run("reporting", &[]);
        workspace.run("reporting", &[]);
        let (lists, listed) = read(workspace);
        assert_eq!((lists.len(), lists[2].called), (3, 5));
        let [called, held_out] = ids(&lists[2], &listed);
        let holdout = workspace.config().call_holdout;
        assert!(called.iter().all(|id| !holdout.contains(id)) && held_out.iter().all(|id| holdout.contains(id)));
        assert_eq!(held_out.len() as u64, lists[2].held_out);
        assert_eq!(database.count("FROM listed_clients WHERE called = 0"), lists[2].held_out);
    });
}
