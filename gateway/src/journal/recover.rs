//! What the start does about contacts that were live when the gateway stopped without saying good-bye.
//!
//! They are ended at once, but for those that a caller may still be asking for: the INVITE was journalled in
//! the last moment before the stop, so its 200 may never have left, and the caller repeats it (RFC 3261
//! timer A). Such a contact stays open until the next repetition must have come; if it comes, the call goes on
//! under the same record, so that there is one record for each call, also after a crash.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use vestibule_routing::{id::ContactId, outcome::Reason};

use super::{
    JournalError, Recovered, Undecided, schema,
    writer::{apply_entry, ended_by_us},
};

/// How long before the last write an unanswered contact must have arrived to be surely settled.
const LAST_MOMENT: SignedDuration = SignedDuration::from_secs(1);
/// A caller gives up after 64·T1.
const CALLER_PATIENCE: SignedDuration = SignedDuration::from_secs(32);
/// Room for lost repetitions and slow starts, beyond the next repetition.
const MARGIN: SignedDuration = SignedDuration::from_secs(1);
/// Most contacts kept open; beyond, they are ended like the others.
const UNDECIDED_MAX: usize = 65_536;

/// Ends contacts that stand open, in batches, and lists those that are left open for a moment.
pub(super) fn recover(
    connection: &mut Connection,
    run: u64,
    now: Timestamp,
) -> Result<Recovered, JournalError> {
    let mut seq = schema::last_seq(connection)?;
    let stopped = last_write(connection)?.unwrap_or(now);
    let mut recovered = Recovered::default();
    let mut after = String::new();
    loop {
        let open = open_contacts(connection, &after)?;
        let Some(last) = open.last() else { return Ok(recovered) };
        after = last.undecided.contact.to_string();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for contact in open {
            if let Some(until) = contact.undecided_until(stopped, now)
                && recovered.undecided.len() < UNDECIDED_MAX
            {
                recovered.undecided.push(Undecided { until, ..contact.undecided });
                continue;
            }
            let entry = ended_by_us(contact.undecided.contact, now, Reason::Restarted);
            // Read as open just now, by the only writer: the end is always written.
            let _receipt = apply_entry(&transaction, &entry, run, now, &mut seq)??;
            recovered.contacts += 1;
        }
        transaction.commit()?;
    }
}

/// A contact that stands open.
struct Open {
    undecided: Undecided,
    arrived: Timestamp,
    answered: bool,
}

impl Open {
    /// Until when its INVITE may be repeated; none when it was answered, or is too old for that.
    fn undecided_until(&self, stopped: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let age = now.duration_since(self.arrived);
        let in_the_last_moment = stopped.duration_since(self.arrived) <= LAST_MOMENT;
        if self.answered || self.undecided.call_id.is_empty() || !in_the_last_moment || age > CALLER_PATIENCE
        {
            return None;
        }
        // Intervals double, so the next repetition comes before the call is twice as old as now, and a T1.
        now.checked_add(age.saturating_add(MARGIN).min(CALLER_PATIENCE)).ok()
    }
}

fn last_write(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let micros: Option<i64> = connection
        .query_row("SELECT written_us FROM event ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    Ok(micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()))
}

fn open_contacts(connection: &Connection, after: &str) -> rusqlite::Result<Vec<Open>> {
    connection
        .prepare_cached(
            "SELECT id, call_id, from_address, to_address, arrived_us, answered_us FROM contact \
             WHERE ended_us IS NULL AND channel = 'voice' AND id > ?1 ORDER BY id LIMIT 1000",
        )?
        .query_map(params![after], |row| {
            let undecided = Undecided {
                contact: ContactId::from(row.get_ref(0)?.as_str()?),
                call_id: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                from: row.get(2)?,
                to: row.get(3)?,
                until: Timestamp::UNIX_EPOCH,
            };
            let arrived = Timestamp::from_microsecond(row.get(4)?).unwrap_or(Timestamp::UNIX_EPOCH);
            Ok(Open { undecided, arrived, answered: row.get::<_, Option<i64>>(5)?.is_some() })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(arrived: Timestamp, answered: bool) -> Open {
        let undecided = Undecided {
            contact: "ct_a".into(),
            call_id: "a@b".into(),
            from: String::new(),
            to: String::new(),
            until: Timestamp::UNIX_EPOCH,
        };
        Open { undecided, arrived, answered }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + millis).unwrap()
    }

    #[test]
    fn only_a_contact_of_the_last_moment_waits_and_only_for_the_next_repetition() {
        let stopped = at(10_000);
        let until = |open: Open, now| open.undecided_until(stopped, at(now));
        assert_eq!(until(open(at(9_990), false), 10_490), Some(at(10_490 + 1_500)));
        assert_eq!(until(open(at(8_990), false), 10_490), None, "its 200 left long before");
        assert_eq!(until(open(at(9_990), true), 10_490), None, "answered");
        assert_eq!(until(open(at(9_990), false), 50_000), None, "its caller has given up");
    }
}
