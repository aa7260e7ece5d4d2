//! Opening hours: rows tried top-down in a time zone, with exact DST behaviour.

use jiff::{civil, tz::TimeZone};

/// A schedule or calendar: the first row that covers the moment wins.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Rows, tried top-down.
    pub rows: Vec<Row>,
}

/// One row of a schedule.
#[derive(Clone, Debug)]
pub struct Row {
    /// The days on which a period starts.
    pub days: Days,
    /// Start of the period in civil time.
    pub start: civil::Time,
    /// End of the period, exclusive; an end at or before the start runs over midnight into the next day.
    pub end: civil::Time,
    /// The zone in which days and times are read.
    pub zone: TimeZone,
    /// The name of the row: the transition it leads to.
    pub name: String,
}

/// The days on which a row's period starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Days {
    /// Days of the week.
    Weekdays(Vec<civil::Weekday>),
    /// Dates from first to last, both included.
    Dates {
        /// First date.
        first: civil::Date,
        /// Last date.
        last: civil::Date,
    },
}
