//! Opening hours across midnight and daylight saving.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use jiff::Timestamp;
use vestibule_routing::plan::schedule::{Period, Schedule};

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

/// Compares a period with the definition, minute by minute: a civil moment belongs to the start day whose
/// interval holds it.
fn covers_by_definition(period: &Period, moment: Timestamp) -> bool {
    let local = period.zone.to_datetime(moment);
    let starts = |date: jiff::civil::Date| {
        let named = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let today = named[usize::try_from(date.weekday().to_monday_zero_offset()).unwrap()];
        let weekday = period.weekdays.iter().any(|day| serde_json::to_value(day).unwrap() == today);
        weekday || period.dates.is_some_and(|dates| (dates.first..=dates.last).contains(&date))
    };
    let nights = i64::from(period.end <= period.start);
    [0, 1].into_iter().any(|back| {
        let Ok(first) = local.date().checked_sub(jiff::Span::new().days(back)) else { return false };
        let Ok(last) = first.checked_add(jiff::Span::new().days(nights)) else { return false };
        starts(first) && first.to_datetime(period.start) <= local && local < last.to_datetime(period.end)
    })
}

#[test]
fn every_minute_around_changes_of_clocks_and_years_is_judged_by_the_clock_on_the_wall() {
    let zones = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "America/Sao_Paulo",
        "Africa/Casablanca",
    ];
    let rows = [
        r#""weekdays": ["saturday"], "start": "22:00", "end": "02:30""#,
        r#""weekdays": ["sunday"], "start": "01:45", "end": "02:15""#,
        r#""weekdays": ["sunday"], "start": "02:30", "end": "02:30""#,
        r#""weekdays": ["sunday"], "start": "09:00", "end": "00:00""#,
        r#""weekdays": ["sunday", "monday"], "end": "24:00""#,
        r#""dates": {"first": "2026-12-31", "last": "2027-01-01"}, "start": "23:59", "end": "00:01""#,
        r#""dates": {"first": "2028-02-29", "last": "2028-02-29"}, "start": "12:00", "end": "11:59""#,
    ];
    // Spring and autumn of both halves of the earth, the year's end, and the leap day.
    let days = [
        "2026-03-07",
        "2026-03-28",
        "2026-04-04",
        "2026-10-03",
        "2026-10-24",
        "2026-10-31",
        "2026-12-30",
        "2028-02-28",
    ];
    let mut covered = 0;
    for zone in zones {
        for row in rows {
            let row = period(&format!(r#"{{"name": "r", {row}, "zone": "{zone}"}}"#));
            for day in days {
                let first = at(&format!("{day}T00:00:00Z"));
                for minute in (0..4 * 24 * 60).step_by(5) {
                    let moment = first + jiff::SignedDuration::from_mins(minute);
                    let expected = covers_by_definition(&row, moment);
                    assert_eq!(row.covers(moment), expected, "{row:?} at {moment}");
                    covered += u32::from(expected);
                }
            }
        }
    }
    assert!(covered > 10_000, "{covered} moments are too few to say anything");
}

#[test]
fn a_period_inside_the_skipped_time_is_not_held_that_day() {
    let hours = |zone: &str, start: &str, end: &str| {
        period(&format!(
            r#"{{"name": "h", "weekdays": ["sunday"], "start": "{start}", "end": "{end}", "zone": "{zone}"}}"#
        ))
    };
    // Berlin, 29 March 2026: 02:00 to 03:00 does not exist; a week later it does.
    let gap = hours("Europe/Berlin", "02:10", "02:50");
    for minute in 0..180 {
        let moment = at("2026-03-29T00:00:00Z") + jiff::SignedDuration::from_mins(minute);
        assert!(!gap.covers(moment), "{moment}");
    }
    assert!(gap.covers(at("2026-04-05T00:10:00Z")));
    // Lord Howe, 4 October 2026: 02:00 to 02:30 does not exist. A row over its edge ends as written.
    let half = hours("Australia/Lord_Howe", "01:30", "02:45");
    assert!(half.covers(at("2026-10-03T15:29:59Z")), "01:59:59, half an hour before summer time");
    assert!(half.covers(at("2026-10-03T15:30:00Z")), "02:30:00");
    assert!(!half.covers(at("2026-10-03T15:45:00Z")), "02:45:00");
    // And 5 April 2026 has 01:30 to 02:00 twice.
    let twice = hours("Australia/Lord_Howe", "01:30", "02:00");
    assert!(twice.covers(at("2026-04-04T14:45:00Z")) && twice.covers(at("2026-04-04T15:15:00Z")));
    assert!(!twice.covers(at("2026-04-04T14:29:59Z")) && !twice.covers(at("2026-04-04T15:30:00Z")));
}

#[test]
fn an_end_before_the_start_runs_into_the_next_day_only() {
    let row = |end: &str| {
        period(&format!(
            r#"{{"name": "r", "weekdays": ["wednesday"], "start": "08:00", "end": "{end}", "zone": "UTC"}}"#
        ))
    };
    // Wednesday is 4 March 2026.
    for (end, last) in [
        ("07:59", "2026-03-05T07:58:59Z"),
        ("08:00", "2026-03-05T07:59:59Z"),
        ("00:00", "2026-03-04T23:59:59Z"),
        ("24:00", "2026-03-04T23:59:59Z"),
        ("08:01", "2026-03-04T08:00:59Z"),
    ] {
        let (row, last) = (row(end), at(last));
        assert!(row.covers(at("2026-03-04T08:00:00Z")), "{end}");
        assert!(row.covers(last) && !row.covers(last + jiff::SignedDuration::from_secs(1)), "{end}");
        assert!(!row.covers(at("2026-03-04T07:59:59Z")), "{end}: not before the start");
        assert!(!row.covers(at("2026-03-05T08:00:00Z")), "{end}: not a second day");
    }
}

#[test]
fn a_row_over_midnight_of_consecutive_days_has_no_seam() {
    let nights = period(
        r#"{"name": "n", "weekdays": ["friday", "saturday"], "start": "20:00", "end": "06:00", "zone": "UTC"}"#,
    );
    assert!(nights.covers(at("2026-03-07T05:59:59Z")) && nights.covers(at("2026-03-07T20:00:00Z")));
    assert!(!nights.covers(at("2026-03-07T06:00:00Z")) && !nights.covers(at("2026-03-07T19:59:59Z")));
    assert!(nights.covers(at("2026-03-08T05:59:59Z")), "Saturday's night ends on Sunday");
    assert!(!nights.covers(at("2026-03-08T20:00:00Z")));
}

#[test]
fn a_calendar_is_read_from_the_top_so_that_holidays_go_before_weekdays() {
    let calendar: Schedule = serde_json::from_str(
        r#"{"rows": [
            {"name": "christmas", "dates": {"first": "2026-12-25", "last": "2026-12-26"}, "zone": "Europe/Berlin"},
            {"name": "eve", "dates": {"first": "2026-12-24", "last": "2026-12-24"}, "start": "12:00", "end": "24:00", "zone": "Europe/Berlin"},
            {"name": "open", "weekdays": ["monday", "tuesday", "wednesday", "thursday", "friday"],
             "start": "08:00", "end": "18:00", "zone": "Europe/Berlin"},
            {"name": "night", "weekdays": ["thursday"], "start": "18:00", "end": "08:00", "zone": "Europe/Berlin"}]}"#,
    )
    .unwrap();
    for (moment, row) in [
        ("2026-12-24T10:59:59Z", Some("open")),
        ("2026-12-24T11:00:00Z", Some("eve")),
        ("2026-12-24T22:59:59Z", Some("eve")),
        ("2026-12-24T23:00:00Z", Some("christmas")),
        ("2026-12-25T10:00:00Z", Some("christmas")),
        ("2026-12-26T22:59:59Z", Some("christmas")),
        ("2026-12-26T23:00:00Z", None),
        ("2026-12-28T07:00:00Z", Some("open")),
        ("2026-12-31T17:00:00Z", Some("night")),
        ("2027-01-01T06:59:59Z", Some("night")),
        ("2027-01-01T07:00:00Z", Some("open")),
    ] {
        assert_eq!(calendar.row_at(at(moment)).map(|row| row.name.as_str()), row, "{moment}");
    }
}

#[test]
fn rows_at_the_ends_of_time_are_judged_without_a_panic() {
    let always =
        period(r#"{"name": "a", "weekdays": ["monday"], "start": "23:00", "end": "22:00", "zone": "UTC"}"#);
    for moment in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(always.covers(moment), covers_by_definition(&always, moment));
    }
    let ever = period(
        r#"{"name": "e", "dates": {"first": "-009999-01-01", "last": "9999-12-31"}, "zone": "Pacific/Kiritimati"}"#,
    );
    assert!(ever.covers(Timestamp::MAX) && ever.covers(at("2026-03-04T08:00:00Z")));
}
