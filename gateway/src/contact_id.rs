//! Ids of contacts and conversations: `ct_` or `cv_` and 26 characters that sort by time of arrival.

use rand::Rng;
use vestibule_routing::id::{ContactId, ConversationId};

/// Crockford's base 32: no I, L, O, U, so that an id read aloud is not misheard.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new contact's id.
pub(crate) fn new_contact_id(arrived: jiff::Timestamp, rng: &mut impl Rng) -> ContactId {
    ContactId::new(new_id("ct_", arrived, rng))
}

/// A new conversation's id.
pub(crate) fn new_conversation_id(begun: jiff::Timestamp, rng: &mut impl Rng) -> ConversationId {
    ConversationId::new(new_id("cv_", begun, rng))
}

/// A new erasure's id.
pub(crate) fn new_erasure_id(asked: jiff::Timestamp, rng: &mut impl Rng) -> String {
    new_id("er_", asked, rng)
}

/// 48 bits of milliseconds, then 80 random bits.
fn new_id(prefix: &str, arrived: jiff::Timestamp, rng: &mut impl Rng) -> String {
    let millis = u128::try_from(arrived.as_millisecond()).unwrap_or(0) & ((1 << 48) - 1);
    let random: u128 = rng.random::<u128>() & ((1 << 80) - 1);
    let bits = millis << 80 | random;
    let mut text = String::with_capacity(29);
    text.push_str(prefix);
    for shift in (0..26).rev() {
        let index = usize::try_from(bits >> (shift * 5) & 31).unwrap_or(0);
        text.push(ALPHABET.get(index).copied().map_or('0', char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn ids_sort_by_arrival_and_differ_within_a_millisecond() {
        let mut rng = StdRng::seed_from_u64(7);
        let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap();
        let ids = [
            new_contact_id(at(1_795_000_000_000), &mut rng),
            new_contact_id(at(1_795_000_000_001), &mut rng),
            new_contact_id(at(1_795_000_000_001), &mut rng),
        ];
        assert!(ids[0] < ids[1] && ids[1] != ids[2]);
        assert!(ids.iter().all(|id| id.as_str().len() == 29 && id.as_str().starts_with("ct_")));
    }
}
