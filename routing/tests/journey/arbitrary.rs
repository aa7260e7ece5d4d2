//! Any order of events.

use proptest::prelude::*;
use vestibule_routing::{
    digit::Digit,
    journey::{Event, FeedEvent, PlaybackId},
    outcome::{Outcome, Reason, Side},
};

use super::bench::{Bench, initial, queue};

proptest! {
    #[test]
    fn any_order_of_events_ends_once_and_nothing_follows(steps in prop::collection::vec((0_u8..8, 0_u8..16, 0_u64..40), 1..120), which in 0..2) {
        let mut bench = Bench::new(if which == 0 { initial() } else { queue() });
        for (kind, value, seconds) in steps {
            match kind {
                0..=2 => bench.tell(Event::Digit(Digit::from_event(value).unwrap())),
                3 => if bench.playing.is_some() { bench.played() },
                4 => bench.tell(Event::PlaybackDone(PlaybackId(u32::from(value)))),
                5 => bench.tell(Event::TechnicalFailure("test")),
                6 => bench.tell(Event::DataDip { request: u32::from(value), values: None }),
                _ => bench.pass(seconds),
            }
        }
        bench.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
        bench.tell(Event::Digit(Digit::from_event(1).unwrap()));
        prop_assert!(bench.ended.is_some());
        prop_assert!(matches!(bench.events.first(), Some(FeedEvent::Started)));
        prop_assert_eq!(bench.events.iter().filter(|e| matches!(e, FeedEvent::Ended(_))).count(), 1);
        prop_assert!(matches!(bench.events.last(), Some(FeedEvent::Ended(_))));
    }
}
