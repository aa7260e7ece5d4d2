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

#[test]
fn the_end_of_the_day_may_be_written_as_24_00() {
    let day = period(
        r#"{"name": "d", "weekdays": ["friday"], "start": "18:00", "end": "24:00", "zone": "Asia/Kathmandu"}"#,
    );
    // Kathmandu is 5:45 ahead.
    assert!(day.covers(at("2026-03-06T12:15:00Z")) && day.covers(at("2026-03-06T18:14:59Z")));
    assert!(!day.covers(at("2026-03-06T18:15:00Z")) && !day.covers(at("2026-03-06T12:14:59Z")));
    for bad in ["24:01", "25:00", "9 o'clock", ""] {
        let json = format!(r#"{{"name": "d", "weekdays": ["friday"], "end": "{bad}", "zone": "UTC"}}"#);
        assert!(serde_json::from_str::<Period>(&json).is_err(), "{bad} was taken");
    }
}

#[test]
fn dates_are_those_of_zones_far_from_greenwich() {
    let new_year = r#"{"first": "2026-12-31", "last": "2027-01-01"}"#;
    for (zone, first, last) in [
        ("Pacific/Kiritimati", "2026-12-30T10:00:00Z", "2027-01-01T09:59:59Z"),
        ("Pacific/Chatham", "2026-12-30T10:15:00Z", "2027-01-01T10:14:59Z"),
        ("Pacific/Pago_Pago", "2026-12-31T11:00:00Z", "2027-01-02T10:59:59Z"),
    ] {
        let days = period(&format!(r#"{{"name": "d", "dates": {new_year}, "zone": "{zone}"}}"#));
        let (first, last) = (at(first), at(last));
        assert!(days.covers(first) && days.covers(last), "{zone}");
        let second = jiff::SignedDuration::from_secs(1);
        assert!(!days.covers(first - second) && !days.covers(last + second), "{zone}");
    }
}

#[test]
fn a_leap_day_and_a_night_over_the_year_end_are_days_like_others() {
    let leap =
        period(r#"{"name": "l", "dates": {"first": "2028-02-29", "last": "2028-02-29"}, "zone": "UTC"}"#);
    assert!(leap.covers(at("2028-02-29T12:00:00Z")) && !leap.covers(at("2028-03-01T00:00:00Z")));
    let night = period(
        r#"{"name": "n", "dates": {"first": "2026-12-31", "last": "2026-12-31"}, "start": "20:00", "end": "04:00", "zone": "Europe/Berlin"}"#,
    );
    assert!(night.covers(at("2027-01-01T02:59:59Z")), "03:59:59 on New Year's Day");
    assert!(!night.covers(at("2027-01-01T03:00:00Z")) && !night.covers(at("2026-12-31T02:00:00Z")));
}

#[test]
fn a_night_over_a_change_of_the_clocks_ends_when_they_show_its_end() {
    // Berlin skips 02:00 to 03:00 on 29 March 2026, and has it twice on 25 October.
    let night = period(
        r#"{"name": "n", "weekdays": ["saturday"], "start": "22:00", "end": "02:30", "zone": "Europe/Berlin"}"#,
    );
    assert!(night.covers(at("2026-03-29T00:59:59Z")), "01:59:59 winter time");
    assert!(!night.covers(at("2026-03-29T01:00:00Z")), "clocks show 03:00");
    assert!(night.covers(at("2026-10-25T00:29:59Z")), "02:29:59 summer time");
    assert!(!night.covers(at("2026-10-25T00:30:00Z")));
    assert!(night.covers(at("2026-10-25T01:29:59Z")), "02:29:59 again, winter time");
    assert!(!night.covers(at("2026-10-25T01:30:00Z")));
}
