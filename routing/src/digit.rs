//! The sixteen telephone keys.

/// A telephone key (RFC 4733 §3.2, events 0–15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

impl Digit {
    /// The key for a character out of `0-9 * # A-D`, upper or lower case.
    pub fn from_char(key: char) -> Option<Self> {
        KEYS.iter()
            .position(|&k| char::from(k) == key.to_ascii_uppercase())
            .and_then(|i| u8::try_from(i).ok())
            .map(Self)
    }

    /// The key for an RFC 4733 event code; none above 15.
    pub fn from_event(code: u8) -> Option<Self> {
        (code < 16).then_some(Self(code))
    }

    /// The key's character.
    pub fn as_char(self) -> char {
        KEYS.get(usize::from(self.0)).map_or('?', |&k| char::from(k))
    }
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";
