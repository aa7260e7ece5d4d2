//! Nonce counts: each request under one nonce must count up, so that none can be repeated.

use std::collections::BTreeMap;

use super::{Accepted, NonceId, Refusal};

/// Remembers the last count of every nonce in use, a bounded number of them.
///
/// At its bound the oldest nonce is forgotten, and with it every nonce as old is refused as stale: a
/// client then only needs one more round trip, while a forgotten count could be replayed.
#[derive(Debug)]
pub struct ReplayGuard {
    counts: BTreeMap<NonceId, u32>,
    nonces_max: usize,
    /// Nonces up to here are refused unless they are remembered.
    forgotten: Option<NonceId>,
}

impl ReplayGuard {
    /// A guard that remembers so many nonces, at least one; about 30 bytes each.
    pub fn new(nonces_max: usize) -> Self {
        Self { counts: BTreeMap::new(), nonces_max: nonces_max.max(1), forgotten: None }
    }

    /// Lets a request pass when its nonce count is higher than the last one seen.
    ///
    /// A retransmission of the same request never comes here: its transaction answers it.
    ///
    /// # Errors
    /// [`Refusal::Stale`] when the count was used before, or may have been.
    pub fn admit(&mut self, accepted: &Accepted) -> Result<(), Refusal> {
        let nonce = accepted.nonce;
        if let Some(last) = self.counts.get_mut(&nonce) {
            if accepted.nonce_count <= *last {
                return Err(Refusal::Stale);
            }
            *last = accepted.nonce_count;
            return Ok(());
        }
        if self.forgotten.is_some_and(|forgotten| nonce <= forgotten) {
            return Err(Refusal::Stale);
        }
        self.counts.insert(nonce, accepted.nonce_count);
        if self.counts.len() > self.nonces_max
            && let Some((oldest, _)) = self.counts.pop_first()
        {
            self.forgotten = self.forgotten.max(Some(oldest));
            if oldest == nonce {
                return Err(Refusal::Stale);
            }
        }
        Ok(())
    }

    /// Forgets nonces that are too old to be accepted anyway.
    pub fn expire(&mut self, now: u64, nonce_seconds: u64) {
        let oldest = NonceId { issued_at: now.saturating_sub(nonce_seconds), salt: 0 };
        self.counts = self.counts.split_off(&oldest);
    }
}
