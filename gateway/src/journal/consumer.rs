//! Consumers that have a cursor in the feed, and the lease by which several processes of one take turns.
//!
//! A lease has an end and an epoch. Epochs of a name only grow, so that a process that slept through the end of its
//! lease is refused, whatever it believes: the epoch that it sends is not the one of now.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::JournalError;

/// The table of leases. A row outlives its lease: it has the epoch.
pub(super) const TABLE: &str = "
CREATE TABLE lease(
  consumer TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seconds INTEGER NOT NULL,
  until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Who reads for a consumer, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who, in its own words.
    pub holder: String,
    /// Which of the consumer's leases this is.
    pub epoch: u64,
    /// Seconds that it is taken and renewed for.
    pub seconds: u32,
    /// When it ends, unless it is renewed.
    pub until: Timestamp,
}

/// A consumer of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// Events up to here are behind it.
    pub cursor: u64,
    /// When it was heard of last.
    pub updated: Timestamp,
    /// Its lease, while there is one.
    pub lease: Option<Lease>,
}

/// What becomes of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerChange {
    /// Its cursor moves from where it is expected, which renews the lease of that epoch.
    Move {
        /// Where it stands, as far as the consumer knows; 0 when it never stored one.
        expected: u64,
        /// Where it shall stand.
        cursor: u64,
        /// The lease that is used; none where nobody has one.
        epoch: Option<u64>,
    },
    /// Somebody wants to read for it, or goes on to.
    Lease {
        /// Who.
        holder: String,
        /// For how long.
        seconds: u32,
        /// The lease to renew; none to begin one.
        epoch: Option<u64>,
        /// Whether a consumer that there was not yet begins at the newest event, not the oldest.
        from_newest: bool,
    },
    /// The lease is given back.
    Release {
        /// Which.
        epoch: u64,
    },
    /// It is no more.
    Forget,
}

/// Changes a consumer, or says why not; gives back how it stands then. `last` is the newest event.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    name: &str,
    change: &ConsumerChange,
    last: u64,
    now: Timestamp,
) -> rusqlite::Result<Result<Consumer, JournalError>> {
    // As it is kept, so that what is answered is what will be read.
    let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
    let found = transaction
        .prepare_cached(&format!("{SELECT} WHERE consumer.name = ?"))?
        .query_row([name], row)
        .optional()?;
    let known = found.is_some();
    let (mut consumer, begun) = match found {
        Some(Found { consumer, lease }) => (consumer, lease),
        None => (Consumer { name: name.to_owned(), cursor: 0, updated: now, lease: None }, None),
    };
    let live = begun.clone().filter(|lease| lease.until > now);
    let lease = match settle(&mut consumer, change, (begun, live), last, known, now) {
        Ok(lease) => lease,
        Err(refused) => return Ok(Err(refused)),
    };
    if *change == ConsumerChange::Forget {
        transaction.prepare_cached("DELETE FROM consumer WHERE name = ?")?.execute([name])?;
        transaction.prepare_cached("DELETE FROM lease WHERE consumer = ?")?.execute([name])?;
        transaction.prepare_cached("DELETE FROM outbox WHERE consumer = ?")?.execute([name])?;
        return Ok(Ok(consumer));
    }
    if !known {
        let consumers: u32 =
            transaction.prepare_cached("SELECT count(*) FROM consumer")?.query_row([], |row| row.get(0))?;
        if consumers >= CONSUMERS_MAX {
            return Ok(Err(JournalError::TooManyConsumers { max: CONSUMERS_MAX }));
        }
    }
    transaction
        .prepare_cached("INSERT OR REPLACE INTO consumer(name, cursor, updated_us) VALUES(?,?,?)")?
        .execute(params![name, signed(consumer.cursor), now.as_microsecond()])?;
    if let Some(lease) = &lease {
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO lease(consumer, holder, epoch, seconds, until_us) VALUES(?,?,?,?,?)",
            )?
            .execute(params![
                name,
                lease.holder,
                signed(lease.epoch),
                lease.seconds,
                lease.until.as_microsecond()
            ])?;
    }
    consumer.updated = now;
    consumer.lease = lease.filter(|lease| lease.until > now);
    Ok(Ok(consumer))
}

/// Decides, and moves the cursor; gives back the lease to be written, which may have ended.
fn settle(
    consumer: &mut Consumer,
    change: &ConsumerChange,
    (begun, live): (Option<Lease>, Option<Lease>),
    last: u64,
    known: bool,
    now: Timestamp,
) -> Result<Option<Lease>, JournalError> {
    // Nobody took it since, even if it has ended: then it goes on.
    let own = |epoch: u64| begun.clone().filter(|lease| lease.epoch == epoch).ok_or(JournalError::LeaseLost);
    let renewed = |lease: Lease| Lease { until: after(now, lease.seconds), ..lease };
    match change {
        ConsumerChange::Move { expected, cursor, epoch } => {
            let lease = match (epoch, live) {
                (Some(epoch), _) => Some(renewed(own(*epoch)?)),
                (None, Some(lease)) => return Err(held(lease, consumer.cursor)),
                (None, None) => begun,
            };
            if consumer.cursor != *expected {
                return Err(JournalError::CursorMoved { expected: *expected, current: consumer.cursor });
            }
            if *cursor > last {
                return Err(JournalError::CursorAhead { cursor: *cursor, last });
            }
            consumer.cursor = *cursor;
            Ok(lease)
        }
        ConsumerChange::Lease { holder, seconds, epoch, from_newest } => {
            let epoch = match (epoch, live) {
                (Some(epoch), _) => own(*epoch)?.epoch,
                (None, Some(lease)) if lease.holder != *holder => {
                    return Err(held(lease, consumer.cursor));
                }
                // The same holder anew, after a restart: what it was before is refused from now on. By the clock, so
                // that one who comes back after the consumer was deleted is not taken for another.
                (None, _) => {
                    let clock = u64::try_from(now.as_microsecond()).unwrap_or(0);
                    begun.map_or(0, |lease| lease.epoch).saturating_add(1).max(clock)
                }
            };
            if !known && *from_newest {
                consumer.cursor = last;
            }
            let until = after(now, *seconds);
            Ok(Some(Lease { holder: holder.clone(), epoch, seconds: *seconds, until }))
        }
        ConsumerChange::Release { epoch } => own(*epoch).map(|lease| Some(Lease { until: now, ..lease })),
        ConsumerChange::Forget if !known => Err(JournalError::NoSuchConsumer),
        ConsumerChange::Forget => live.map_or(Ok(None), |lease| Err(held(lease, consumer.cursor))),
    }
}

fn held(lease: Lease, cursor: u64) -> JournalError {
    JournalError::LeaseHeld { holder: lease.holder, until: lease.until, cursor }
}

fn after(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(now)
}

/// Every consumer, by name; those of deliveries too.
pub(super) fn all(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Consumer>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY consumer.name"))?;
    let found = statement.query_map([], row)?;
    found
        .map(|found| {
            let Found { mut consumer, lease } = found?;
            consumer.lease = lease.filter(|lease| lease.until > now);
            Ok(consumer)
        })
        .collect()
}

struct Found {
    consumer: Consumer,
    /// Also one that has ended.
    lease: Option<Lease>,
}

fn row(row: &Row<'_>) -> rusqlite::Result<Found> {
    let whole = |value: i64| u64::try_from(value).unwrap_or(0);
    let time = |value: i64| Timestamp::from_microsecond(value).unwrap_or(Timestamp::UNIX_EPOCH);
    let holder: Option<String> = row.get(3)?;
    let lease = match holder {
        None => None,
        Some(holder) => {
            Some(Lease { holder, epoch: whole(row.get(4)?), seconds: row.get(5)?, until: time(row.get(6)?) })
        }
    };
    let consumer =
        Consumer { name: row.get(0)?, cursor: whole(row.get(1)?), updated: time(row.get(2)?), lease: None };
    Ok(Found { consumer, lease })
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const SELECT: &str = "SELECT consumer.name, cursor, updated_us, holder, epoch, seconds, until_us FROM consumer \
                      LEFT JOIN lease ON lease.consumer = consumer.name";

const CONSUMERS_MAX: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_itself_and_goes_on_late_only_while_nobody_took_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(&format!(
                "{TABLE}CREATE TABLE consumer(name TEXT PRIMARY KEY, cursor INTEGER, updated_us INTEGER)"
            ))
            .unwrap();
        let transaction = connection.transaction().unwrap();
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |second: i64, change: ConsumerChange| {
            let now = start.checked_add(SignedDuration::from_secs(second)).unwrap();
            apply(&transaction, "crm", &change, 9, now).unwrap()
        };
        let lease = |holder: &str, epoch| ConsumerChange::Lease {
            holder: holder.into(),
            seconds: 10,
            epoch,
            from_newest: false,
        };
        let to = |expected, cursor, epoch| ConsumerChange::Move { expected, cursor, epoch: Some(epoch) };
        let first = at(0, lease("a", None)).unwrap().lease.unwrap().epoch;
        assert!(matches!(at(9, lease("b", None)), Err(JournalError::LeaseHeld { .. })));
        // A move renews; late, but nobody else was there.
        assert_eq!(at(25, to(0, 3, first)).unwrap().cursor, 3);
        assert!(matches!(at(34, lease("b", None)), Err(JournalError::LeaseHeld { cursor: 3, .. })));
        let second = at(36, lease("b", None)).unwrap().lease.unwrap().epoch;
        assert!(second > first);
        assert!(matches!(at(37, to(3, 5, first)), Err(JournalError::LeaseLost)));
        assert!(matches!(at(37, lease("a", Some(first))), Err(JournalError::LeaseLost)));
        // After its end a single reader without leases may store as ever.
        let alone = ConsumerChange::Move { expected: 3, cursor: 4, epoch: None };
        assert!(matches!(at(40, alone.clone()), Err(JournalError::LeaseHeld { .. })));
        assert_eq!(at(50, alone).unwrap().cursor, 4);
        // The clock was set back meanwhile: epochs still grow.
        assert!(at(-9999, lease("b", None)).unwrap().lease.unwrap().epoch > second);
    }
}
