//! Who is called for whom, without any telephone.

use super::*;

struct Bench {
    dialler: Dialler,
    start: Instant,
}

fn dial(strategy: Strategy, targets: &[&str]) -> Arc<Dial> {
    let targets = targets.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(Dial { strategy, targets, ring_seconds: 45 })
}

impl Bench {
    fn new() -> Self {
        Self { dialler: Dialler::default(), start: Instant::now() }
    }

    fn wait(&self, contact: &str, second: i64, priority: u8, dial: &Arc<Dial>) -> DialWait {
        let arrived = Timestamp::from_second(second).unwrap();
        self.dialler.wait(&"ib_a".into(), &contact.into(), arrived, priority, dial.clone())
    }

    /// Who is called for whom, so many milliseconds from now.
    fn assign(&self, after_ms: u64) -> Vec<Assignment> {
        self.dialler.inner.assign(self.start + Duration::from_millis(after_ms)).0
    }
}

fn names(assignments: &[Assignment]) -> Vec<(String, Vec<String>)> {
    let phones = |phones: &[PhoneInUse]| phones.iter().map(|phone| phone.target.clone()).collect();
    assignments.iter().map(|one| (one.contact.to_string(), phones(&one.phones))).collect()
}

fn named(wanted: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let phones = |phones: &[&str]| phones.iter().map(|name| (*name).to_owned()).collect();
    wanted.iter().map(|(contact, of)| ((*contact).to_owned(), phones(of))).collect()
}

#[test]
fn telephones_go_to_those_who_came_first_and_priority_goes_before() {
    let bench = Bench::new();
    let dial = dial(Strategy::RoundRobin, &["a", "b"]);
    let _late = bench.wait("ct_late", 30, 5, &dial);
    let _early = bench.wait("ct_early", 10, 5, &dial);
    let _urgent = bench.wait("ct_urgent", 40, 9, &dial);
    let assigned = bench.assign(0);
    assert_eq!(names(&assigned), named(&[("ct_urgent", &["a"]), ("ct_early", &["b"])]));
    assert!(bench.assign(0).is_empty(), "no telephone is left");
    drop(assigned);
    assert_eq!(
        names(&bench.assign(10)),
        named(&[("ct_urgent", &["a"]), ("ct_early", &["b"])]),
        "the same again"
    );
}

#[test]
fn a_contact_that_would_not_be_taken_lets_others_go_before_for_a_second() {
    let bench = Bench::new();
    let dial = dial(Strategy::RingAll, &["a"]);
    let _first = bench.wait("ct_1", 1, 5, &dial);
    let _second = bench.wait("ct_2", 2, 5, &dial);
    let assigned = bench.assign(0);
    assigned[0].phones[0].attempt.refused.store(true, Ordering::Relaxed);
    drop(assigned);
    assert_eq!(names(&bench.assign(10)), named(&[("ct_2", &["a"])]));
    assert_eq!(names(&bench.assign(1500)), named(&[("ct_1", &["a"])]));
}

#[test]
fn a_telephone_has_one_call_whatever_inboxes_name_it() {
    let bench = Bench::new();
    let dial = dial(Strategy::RingAll, &["a"]);
    let _first = bench.wait("ct_1", 1, 5, &dial);
    let arrived = Timestamp::from_second(2).unwrap();
    let _second = bench.dialler.wait(&"ib_b".into(), &"ct_2".into(), arrived, 5, dial);
    let assigned = bench.assign(0);
    assert_eq!(assigned.len(), 1);
    assert!(bench.assign(0).is_empty());
}

#[test]
fn all_free_telephones_ring_for_one_contact_and_the_next_waits_for_one_that_is_free() {
    let bench = Bench::new();
    let dial = dial(Strategy::RingAll, &["a", "b", "c"]);
    let _first = bench.wait("ct_1", 1, 5, &dial);
    let _second = bench.wait("ct_2", 2, 5, &dial);
    let mut assigned = bench.assign(0);
    assert_eq!(names(&assigned), named(&[("ct_1", &["a", "b", "c"])]));
    // One answers; the others are free again, and ring for the next.
    let answered = assigned[0].phones.remove(0);
    drop(assigned);
    let next = bench.assign(0);
    assert_eq!(names(&next), named(&[("ct_2", &["b", "c"])]));
    drop(answered);
}

#[test]
fn a_round_goes_on_where_it_was_and_rest_passes_over_who_did_not_answer() {
    let bench = Bench::new();
    let dial = dial(Strategy::RoundRobin, &["a", "b", "c"]);
    for (contact, wanted) in [("ct_1", "a"), ("ct_2", "b")] {
        let wait = bench.wait(contact, 1, 5, &dial);
        assert_eq!(names(&bench.assign(0)), named(&[(contact, &[wanted])]));
        drop(wait);
    }
    let _third = bench.wait("ct_3", 1, 5, &dial);
    let mut assigned = bench.assign(0);
    assert_eq!(names(&assigned), named(&[("ct_3", &["c"])]));
    assigned[0].phones[0].rest();
    drop(assigned);
    for (after, wanted) in [(10, "a"), (20, "b"), (30, "a")] {
        let assigned = bench.assign(after);
        assert_eq!(names(&assigned), named(&[("ct_3", &[wanted])]), "after {after} ms: c rests");
    }
}

#[test]
fn the_longest_idle_telephone_is_called() {
    let bench = Bench::new();
    let dial = dial(Strategy::LongestIdle, &["a", "b"]);
    let mut called = Vec::new();
    for contact in ["ct_1", "ct_2", "ct_3", "ct_4"] {
        let wait = bench.wait(contact, 1, 5, &dial);
        called.extend(names(&bench.assign(0)).into_iter().flat_map(|(_, phones)| phones));
        drop(wait);
    }
    assert_eq!(called, ["a", "b", "a", "b"]);
}

#[test]
fn a_resting_telephone_is_looked_at_again_when_it_has_rested() {
    let bench = Bench::new();
    let dial = dial(Strategy::RingAll, &["a"]);
    let wait = bench.wait("ct_1", 1, 5, &dial);
    let mut assigned = bench.assign(0);
    assigned[0].phones[0].rest();
    drop(assigned);
    let soon = bench.start + Duration::from_millis(2000);
    let (none, again) = bench.dialler.inner.assign(soon);
    assert!(none.is_empty());
    let wait_for = again.unwrap().saturating_duration_since(soon);
    assert!((7..=10).contains(&wait_for.as_secs()), "{wait_for:?}");
    assert_eq!(bench.assign(11_000).len(), 1);
    drop(wait);
    assert!(bench.dialler.inner.lock().waiting.is_empty(), "nothing is left of who does not wait");
}
