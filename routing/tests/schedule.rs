//! Opening hours across midnight and daylight saving.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use jiff::Timestamp;
use vestibule_routing::plan::schedule::Period;

fn period(json: &str) -> Period {
    serde_json::from_str(json).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn weekdays_are_those_of_the_zone() {
    let hours = period(
        r#"{"name": "open", "weekdays": ["monday"], "start": "09:00", "end": "17:00", "zone": "America/New_York"}"#,
    );
    assert!(!hours.covers(at("2026-03-02T13:59:59Z")));
    assert!(hours.covers(at("2026-03-02T14:00:00Z")), "09:00 in New York, winter");
    assert!(!hours.covers(at("2026-03-02T22:00:00Z")), "the end is exclusive");
    assert!(hours.covers(at("2026-03-09T13:00:00Z")), "09:00 in New York, summer time");
    assert!(!hours.covers(at("2026-03-03T14:00:00Z")));
}

#[test]
fn a_period_over_midnight_belongs_to_the_day_it_starts_on() {
    let night = period(
        r#"{"name": "night", "weekdays": ["friday"], "start": "22:00", "end": "02:00", "zone": "UTC"}"#,
    );
    assert!(night.covers(at("2026-03-06T23:00:00Z")));
    assert!(night.covers(at("2026-03-07T01:59:59Z")));
    assert!(!night.covers(at("2026-03-07T02:00:00Z")));
    assert!(!night.covers(at("2026-03-06T01:00:00Z")), "Thursday night is not covered");
}

#[test]
fn equal_start_and_end_cover_a_whole_day() {
    let day =
        period(r#"{"name": "all", "dates": {"first": "2026-12-25", "last": "2026-12-25"}, "zone": "UTC"}"#);
    assert!(day.covers(at("2026-12-25T00:00:00Z")) && day.covers(at("2026-12-25T23:59:59Z")));
    assert!(!day.covers(at("2026-12-26T00:00:00Z")) && !day.covers(at("2026-12-24T23:59:59Z")));
}

#[test]
fn the_skipped_hour_begins_at_the_jump_and_the_doubled_hour_counts_twice() {
    let early = period(
        r#"{"name": "early", "weekdays": ["sunday"], "start": "02:30", "end": "04:00", "zone": "America/New_York"}"#,
    );
    assert!(!early.covers(at("2026-03-08T06:59:59Z")), "01:59:59 standard time");
    assert!(early.covers(at("2026-03-08T07:00:00Z")), "clocks show 03:00");
    let doubled = period(
        r#"{"name": "d", "weekdays": ["sunday"], "start": "01:00", "end": "02:00", "zone": "America/New_York"}"#,
    );
    assert!(doubled.covers(at("2026-11-01T05:30:00Z")) && doubled.covers(at("2026-11-01T06:30:00Z")));
    assert!(!doubled.covers(at("2026-11-01T07:00:00Z")));
    let lord_howe = period(
        r#"{"name": "l", "weekdays": ["sunday"], "start": "02:00", "end": "02:30", "zone": "Australia/Lord_Howe"}"#,
    );
    assert!(!lord_howe.covers(at("2026-10-03T15:30:00Z")), "half an hour is skipped there");
}
