//! Which event a consumer that takes nothing is tried with.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn row(seq: u64, subject: &str, due: i64) -> OutboxRow {
    let (conversation, error) = (String::new(), String::new());
    OutboxRow { seq, subject: subject.into(), conversation, attempts: 1, due: at(due), error, dead: false }
}

fn probes(waiting: &[OutboxRow], mut probed: u64, now: i64, times: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..times {
        let (index, _) = next_probe(waiting, probed, at(now)).unwrap();
        probed = waiting[index].seq;
        seqs.push(probed);
    }
    seqs
}

#[test]
fn the_one_that_was_due_first_is_tried_and_never_one_behind_another() {
    let waiting = [row(1, "a", 50), row(2, "a", 0), row(3, "b", 20), row(4, "c", 10)];
    assert_eq!(probes(&waiting, 0, 30, 1), [4]);
    assert_eq!(next_probe(&waiting[..2], 0, at(30)), Some((0, true)), "only one waits behind none");
    assert_eq!(next_probe(&[], 0, at(30)), None);
}

#[test]
fn while_none_is_due_each_has_its_turn() {
    let waiting = [row(1, "a", 500), row(2, "b", 100), row(3, "b", 0), row(4, "c", 900)];
    assert_eq!(
        probes(&waiting, 0, 30, 5),
        [1, 2, 4, 1, 2],
        "an event that is refused stands in nobody's way"
    );
}
