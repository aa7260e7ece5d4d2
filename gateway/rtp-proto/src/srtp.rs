//! SRTP and SRTCP: packets encrypted and authenticated in place (RFC 3711, RFC 7714).
//!
//! A [`Sender`] protects what one source of ours says, a [`Receiver`] opens what the other side says; each has
//! a master key of its own, as SDP exchanges them (RFC 4568). Nothing is allocated for a packet, and nothing is
//! remembered of a packet before it was authenticated. The rollover counter is estimated for each source
//! (RFC 3711 §3.3.1), replays are refused in a window of 128 packets, and a sender refuses to use an index
//! twice: with a counter mode that would give both contents away.
//!
//! It is not a key exchange: there is no SDP, DTLS or randomness here. Key derivation happens once (a rate of
//! zero); header extensions stay in the clear.

mod keys;
mod receiver;
mod replay;
mod sender;
#[cfg(test)]
mod tests;
mod transform;

use std::fmt;

pub use self::{receiver::Receiver, sender::Sender};

/// A pair of algorithms, as SDP names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// AES-256 in GCM with a tag of 16 bytes (RFC 7714).
    AeadAes256Gcm,
    /// AES-128 in GCM with a tag of 16 bytes (RFC 7714).
    AeadAes128Gcm,
    /// AES-128 in counter mode, HMAC-SHA1 with a tag of 10 bytes (RFC 3711 §8.2: every implementation has it).
    AesCm128HmacSha1Tag80,
    /// The same with a tag of 4 bytes on RTP; RTCP keeps its 10 (RFC 4568 §6.2.2).
    AesCm128HmacSha1Tag32,
}

impl Suite {
    /// Every suite, the strongest first.
    pub const ALL: [Self; 4] =
        [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::AesCm128HmacSha1Tag80, Self::AesCm128HmacSha1Tag32];

    /// Bytes of the master key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1Tag80 | Self::AesCm128HmacSha1Tag32 => 16,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            Self::AesCm128HmacSha1Tag80 | Self::AesCm128HmacSha1Tag32 => 14,
        }
    }

    /// Bytes that protection adds to an RTP packet.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 16,
            Self::AesCm128HmacSha1Tag80 => 10,
            Self::AesCm128HmacSha1Tag32 => 4,
        }
    }

    /// Bytes of the tag of an RTCP packet; the index takes [`INDEX_LEN`] more.
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 16,
            Self::AesCm128HmacSha1Tag80 | Self::AesCm128HmacSha1Tag32 => 10,
        }
    }

    /// Whether the tag stands behind the key identifier (RFC 3711 §3.1) or before it (RFC 7714 §8.3).
    const fn tag_is_last(self) -> bool {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => false,
            Self::AesCm128HmacSha1Tag80 | Self::AesCm128HmacSha1Tag32 => true,
        }
    }
}

/// A master key and salt; never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    key: [u8; KEY_LEN_MAX],
    /// Padded on the right with zeros to 112 bits, as key derivation wants it.
    salt: [u8; SALT_LEN_MAX],
}

impl MasterKey {
    /// The key and the salt behind it, as `inline:` carries both; none unless the length is the suite's.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        let (key, salt) = key_and_salt.split_at_checked(suite.key_len())?;
        if salt.len() != suite.salt_len() {
            return None;
        }
        let mut master = Self { suite, key: [0; KEY_LEN_MAX], salt: [0; SALT_LEN_MAX] };
        master.key.get_mut(..key.len())?.copy_from_slice(key);
        master.salt.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(master)
    }

    /// The suite that the key is for.
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?}, ..)", self.suite)
    }
}

/// The identifier that a sender puts into each packet to name its master key (RFC 3711 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIdentifier {
    len: usize,
    bytes: [u8; KEY_IDENTIFIER_LEN_MAX],
}

impl KeyIdentifier {
    /// A number of so many bytes, 1 to 128 (RFC 4568 §6.1); none when it does not fit them.
    pub fn new(value: u128, len: usize) -> Option<Self> {
        let mut bytes = [0; KEY_IDENTIFIER_LEN_MAX];
        let field = bytes.get_mut(..len).filter(|field| !field.is_empty())?;
        let mut rest = value;
        for byte in field.iter_mut().rev() {
            *byte = (rest & 0xff) as u8;
            rest = rest.wrapping_shr(8);
        }
        (rest == 0).then_some(Self { len, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Why a packet was not protected, or not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Too short for what protects it, or no RTP or RTCP header.
    #[error("not a packet of SRTP or SRTCP")]
    Malformed,
    /// The tag does not fit: another key, or changed on its way.
    #[error("the packet is not authentic")]
    Authentication,
    /// A packet of this index came before, or it is older than the window reaches.
    #[error("the packet was received before, or is too old to tell")]
    Replayed,
    /// The packet names another master key than the one agreed.
    #[error("the packet names another master key")]
    KeyIdentifier,
    /// The buffer has no room for the tag.
    #[error("the buffer has no room for the tag")]
    NoRoom,
    /// A sender protects one source only.
    #[error("the packet is of another source than the sender's")]
    OtherSource,
    /// The index was used before, or all of them were: the key protects nothing more (RFC 3711 §9.2).
    #[error("the index of the packet cannot be used again under this key")]
    IndexUsed,
}

/// Bytes that protection adds to a packet at most: a tag and the index of RTCP.
pub const OVERHEAD_MAX: usize = 20;

/// Bytes of the index in an RTCP packet (RFC 3711 §3.4).
pub const INDEX_LEN: usize = 4;

const KEY_LEN_MAX: usize = 32;
const SALT_LEN_MAX: usize = 14;
const KEY_IDENTIFIER_LEN_MAX: usize = 128;
