//! Opening hours: rows tried top-down in a time zone.
//!
//! A moment is judged by the civil time that clocks in the zone show. So a period that begins inside the
//! hour that daylight saving skips begins when the clocks jump, and the hour that comes twice is covered
//! twice.

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// A shared calendar: the first row that covers the moment wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Rows, tried top-down.
    pub rows: Vec<Period>,
}

/// One row of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The name of the row.
    pub name: String,
    /// Days of the week on which the period starts; empty with `dates`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// Dates on which the period starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<Dates>,
    /// Start in civil time.
    #[serde(default = "midnight")]
    pub start: civil::Time,
    /// End, exclusive; at or before the start it runs over midnight into the next day. `24:00` is midnight.
    #[serde(default = "midnight", deserialize_with = "end")]
    pub end: civil::Time,
    /// The zone in which days and times are read, an IANA name.
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub zone: TimeZone,
}

/// Dates from first to last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dates {
    /// First date.
    pub first: civil::Date,
    /// Last date.
    pub last: civil::Date,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Schedule {
    /// The first row that covers the moment.
    pub fn row_at(&self, moment: Timestamp) -> Option<&Period> {
        self.rows.iter().find(|row| row.covers(moment))
    }
}

impl Period {
    /// Whether the moment lies in the period.
    pub fn covers(&self, moment: Timestamp) -> bool {
        let local = self.zone.to_datetime(moment);
        let (date, time) = (local.date(), local.time());
        if self.end > self.start {
            return self.starts_on(date) && self.start <= time && time < self.end;
        }
        (self.starts_on(date) && time >= self.start)
            || (time < self.end && date.yesterday().is_ok_and(|yesterday| self.starts_on(yesterday)))
    }

    fn starts_on(&self, date: civil::Date) -> bool {
        self.dates.is_some_and(|dates| dates.first <= date && date <= dates.last)
            || self.weekdays.iter().any(|day| day.civil() == date.weekday())
    }
}

impl Weekday {
    fn civil(self) -> civil::Weekday {
        match self {
            Self::Monday => civil::Weekday::Monday,
            Self::Tuesday => civil::Weekday::Tuesday,
            Self::Wednesday => civil::Weekday::Wednesday,
            Self::Thursday => civil::Weekday::Thursday,
            Self::Friday => civil::Weekday::Friday,
            Self::Saturday => civil::Weekday::Saturday,
            Self::Sunday => civil::Weekday::Sunday,
        }
    }
}

/// A time of day, or 24:00 (ISO 8601) for the end of the day.
fn end<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<civil::Time, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    match text.as_ref() {
        "24:00" | "24:00:00" => Ok(midnight()),
        time => time.parse().map_err(serde::de::Error::custom),
    }
}

fn midnight() -> civil::Time {
    civil::Time::midnight()
}
