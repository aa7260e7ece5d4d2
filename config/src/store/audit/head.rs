//! The head: the number and hash of the newest line, signed, in the transaction that writes the line.

use std::sync::{Arc, PoisonError, RwLock};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, TransactionBehavior, params};
use serde_json::json;
use sha2::Sha256;

use super::{By, Line, append, hex};
use crate::store::StoreError;

/// What heads are signed with (HMAC-SHA-256); cheap to clone, and shared with whoever changes the keys.
#[derive(Clone, Default)]
pub struct AuditKeys(Arc<RwLock<Vec<[u8; 32]>>>);

impl std::fmt::Debug for AuditKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("AuditKeys").field("count", &count).finish_non_exhaustive()
    }
}

impl AuditKeys {
    /// The first one signs, every one proves.
    pub fn new(keys: Vec<[u8; 32]>) -> Self {
        Self(Arc::new(RwLock::new(keys)))
    }

    /// Other keys from now on, for everybody who has these.
    pub fn set(&self, keys: Vec<[u8; 32]>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn sign(&self, seq: i64, hash: &[u8]) -> Option<Vec<u8>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(mac(keys.first()?, seq, hash)?.finalize().into_bytes().to_vec())
    }

    /// Whether one of them made this signature.
    pub(super) fn holds(&self, head: &Head) -> bool {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(signature) = &head.mac else { return false };
        let proves =
            |key| mac(key, head.seq, &head.hash).is_some_and(|mac| mac.verify_slice(signature).is_ok());
        keys.iter().any(proves)
    }
}

fn mac(key: &[u8; 32], seq: i64, hash: &[u8]) -> Option<Hmac<Sha256>> {
    // It takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("vestibule audit head\n{seq}\n{}", hex(hash)).as_bytes());
    Some(mac)
}

/// The newest line, as the head has it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: Vec<u8>,
    pub(super) mac: Option<Vec<u8>>,
}

pub(super) fn read(connection: &Connection) -> Result<Head, StoreError> {
    let mut statement = connection.prepare_cached("SELECT seq, hash, mac FROM audit_head")?;
    Ok(statement.query_row([], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)?, mac: row.get(2)? }))?)
}

/// Moves the head on to a new line. Only a head that holds is signed again: else whoever had put another in its place would
/// have it signed by the next change.
pub(super) fn move_on(
    connection: &Connection,
    before: &Head,
    (seq, hash): (i64, &[u8]),
    keys: Option<&AuditKeys>,
) -> Result<(), StoreError> {
    let mac = match keys {
        Some(keys) if keys.holds(before) => keys.sign(seq, hash),
        // Without the keys a signature cannot be made, and one that does not hold stays one that does not hold.
        _ => before.mac.as_ref().map(|_| Vec::new()),
    };
    write(connection, seq, hash, mac.as_deref())
}

fn write(connection: &Connection, seq: i64, hash: &[u8], mac: Option<&[u8]>) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE audit_head SET seq = ?1, hash = ?2, mac = ?3")?
        .execute(params![seq, hash, mac])?;
    Ok(())
}

/// Signs a head that was never signed.
pub(in crate::store) fn begin_signing(
    connection: &mut Connection,
    keys: &AuditKeys,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = read(&transaction)?;
    if before.mac.is_some() {
        return Ok(());
    }
    sign(&transaction, keys)?;
    // Said in the log itself: a signature that somebody took away is made anew here, too.
    let after = (before.seq > 0).then(|| json!({ "unsigned_through": before.seq }));
    let line = Line { action: SIGNED, subject: "audit".into(), before: None, after };
    append(&transaction, By { actor: "system", keys: Some(keys) }, &line)?;
    Ok(transaction.commit()?)
}

/// Signs a head whatever its signature was, and says so in a line.
pub(super) fn sign_anew(
    transaction: &Connection,
    (actor, note): (&str, &str),
    keys: Option<&AuditKeys>,
) -> Result<(), StoreError> {
    let Some(keys) = keys else { return Ok(()) };
    let held = keys.holds(&read(transaction)?);
    sign(transaction, keys)?;
    let after = json!({"note": note, "signature_held_before": held});
    let line =
        Line { action: "audit.signed_anew", subject: "audit".into(), before: None, after: Some(after) };
    append(transaction, By { actor, keys: Some(keys) }, &line)
}

/// What the line says by which signing begins.
pub(super) const SIGNED: &str = "audit.signed";

fn sign(connection: &Connection, keys: &AuditKeys) -> Result<(), StoreError> {
    let head = read(connection)?;
    write(connection, head.seq, &head.hash, keys.sign(head.seq, &head.hash).as_deref())
}
