//! What the start does about contacts that were live when the gateway stopped without saying good-bye.

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use vestibule_routing::{id::ContactId, outcome::Reason};

use super::{
    JournalError, Recovered, schema,
    writer::{apply_entry, ended_by_us},
};

/// Ends every contact that stands open, in batches: exactly one record for each call, also after a crash.
pub(super) fn recover(
    connection: &mut Connection,
    run: u64,
    now: Timestamp,
) -> Result<Recovered, JournalError> {
    let mut seq = schema::last_seq(connection)?;
    let mut recovered = Recovered::default();
    loop {
        let open: Vec<String> = connection
            .prepare_cached("SELECT id FROM contact WHERE ended_us IS NULL LIMIT 1000")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if open.is_empty() {
            return Ok(recovered);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in &open {
            let entry = ended_by_us(ContactId::from(id.as_str()), now, Reason::Restarted);
            // Read as open just now, by the only writer: the end is always written.
            let _receipt = apply_entry(&transaction, &entry, run, now, &mut seq)??;
        }
        transaction.commit()?;
        recovered.contacts += open.len();
    }
}
