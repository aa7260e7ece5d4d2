//! `kill -9` loses nothing that was receipted (D1), and every contact ends exactly once.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use vestibule::{
    journal::{ContactEnd, ContactStart, Entry, EventKind, Journal, Options},
    telemetry::JournalMetrics,
};
use vestibule_routing::{
    channel::Channel,
    id::ContactId,
    outcome::{Outcome, Reason, Side},
};

const FOLDER: &str = "VESTIBULE_TEST_DURABILITY_FOLDER";
const ROUNDS: u32 = 25;

fn open(folder: &Path) -> Journal {
    let options = Options::new(folder.join("journal.sqlite"));
    Journal::open(options, JournalMetrics::unregistered().unwrap()).unwrap().0
}

fn start() -> ContactStart {
    ContactStart {
        channel: Channel::Voice,
        from: String::new(),
        to: "+14155550100".into(),
        arrived: Timestamp::now(),
        entry_point: None,
        revision: None,
        trunk: None,
        call_id: None,
        callback: None,
        diverted_from: None,
    }
}

/// Not a test of its own: the process that is killed. It prints a line for each receipt that it got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let journal = open(Path::new(&folder));
    let run = std::process::id();
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for call in 0_u32.. {
                    let id = ContactId::new(format!("ct_{run}_{task}_{call}"));
                    let receipt = journal.append(Entry::started(id.clone(), start())).await.unwrap();
                    say(&format!("RECEIPT {id} contact.started {}", receipt.first_seq()));
                    let end =
                        ContactEnd::new(Timestamp::now(), Outcome::new(Side::Caller, Reason::Completed));
                    let receipt = journal.append(Entry::ended(id.clone(), end)).await.unwrap();
                    say(&format!("RECEIPT {id} contact.ended {}", receipt.first_seq()));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn say(line: &str) {
    // One write a line, so that a kill cannot leave half of one that counts.
    std::io::stdout().lock().write_all(format!("\n{line} .\n").as_bytes()).unwrap();
}

#[test]
fn nothing_receipted_is_lost_by_kill_nine() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(20);
    let mut receipted = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal_durability::child_that_appends_until_it_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || lines.lines().map_while(Result::ok).collect::<Vec<_>>());
        std::thread::sleep(Duration::from_millis(rng.random_range(40..300)));
        // Child::kill is SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            if let ["RECEIPT", id, kind, seq, "."] = line.split(' ').collect::<Vec<_>>().as_slice() {
                receipted.insert(seq.parse::<u64>().unwrap(), (id.to_string(), kind.to_string()));
            }
        }
    }
    assert!(receipted.len() > 1000, "only {} receipts: the test shows nothing", receipted.len());
    check(folder.path(), &receipted);
}

fn check(folder: &Path, receipted: &BTreeMap<u64, (String, String)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let journal = open(folder);
        let mut stored = BTreeMap::new();
        let mut ends = BTreeMap::<String, u32>::new();
        let mut after = 0;
        loop {
            let page = journal.reader().events(after, 1000, Vec::new()).await.unwrap();
            if page.rows.is_empty() {
                break;
            }
            for row in page.rows {
                assert_eq!(row.seq, after + 1, "a gap in the sequences");
                after = row.seq;
                let end = u32::from(row.kind == EventKind::ContactEnded);
                *ends.entry(row.contact.clone()).or_default() += end;
                stored.insert(row.seq, (row.contact, row.kind.as_str().to_owned()));
            }
        }
        for (seq, event) in receipted {
            assert_eq!(stored.get(seq), Some(event), "receipted event {seq} is lost");
        }
        assert!(ends.values().all(|count| *count == 1), "a contact without, or with two, ends");
    });
    let database = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let open: i64 = database
        .query_row("SELECT count(*) FROM contact WHERE ended_us IS NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(open, 0);
}
