//! Keys in descriptions (RFC 4568): reading `a=crypto`, choosing one of those offered, offering our own.
//!
//! A line that asks for what we do not do (a mandatory parameter we do not know, no encryption, several keys)
//! is passed over, as RFC 4568 §5.1.2 and §6.3 want it; the others still count.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use rand::CryptoRng;

use super::Media;

/// Whether media of a call is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Srtp {
    /// Never: a stream that must be encrypted is refused.
    Off,
    /// When the other side offers it. Our own offers are clear.
    #[default]
    Allowed,
    /// Always: our own offers ask for it, and clear streams are refused.
    Required,
}

/// A crypto suite (RFC 4568 §6.2, RFC 7714 §14.1). The order is that of our preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CryptoSuite {
    /// `AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `AES_CM_128_HMAC_SHA1_80`.
    AesCm128HmacSha1Tag80,
    /// `AES_CM_128_HMAC_SHA1_32`.
    AesCm128HmacSha1Tag32,
}

impl CryptoSuite {
    /// Every suite, the most wanted first.
    pub const ALL: [Self; 4] =
        [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::AesCm128HmacSha1Tag80, Self::AesCm128HmacSha1Tag32];

    /// The name in descriptions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1Tag32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Bytes of the master key and the master salt together.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32 + 12,
            Self::AeadAes128Gcm => 16 + 12,
            Self::AesCm128HmacSha1Tag80 | Self::AesCm128HmacSha1Tag32 => 16 + 14,
        }
    }
}

/// A master key and its salt; never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CryptoKey {
    suite: CryptoSuite,
    /// Zeros behind the suite's length.
    bytes: [u8; KEY_LEN_MAX],
}

impl CryptoKey {
    /// A key that nobody has used.
    fn random(suite: CryptoSuite, rng: &mut impl CryptoRng) -> Self {
        let mut key = Self { suite, bytes: [0; KEY_LEN_MAX] };
        rng.fill_bytes(key.bytes.get_mut(..suite.key_len()).unwrap_or_default());
        key
    }

    fn decode(suite: CryptoSuite, text: &str) -> Option<Self> {
        let mut key = Self { suite, bytes: [0; KEY_LEN_MAX] };
        // Longer than any key: a longer text does not fit, and is none.
        let mut decoded = [0; KEY_LEN_MAX];
        let len = BASE64.decode_slice(text, &mut decoded).ok()?;
        if len != suite.key_len() {
            return None;
        }
        key.bytes.get_mut(..len)?.copy_from_slice(decoded.get(..len)?);
        Some(key)
    }

    /// The suite that the key is for.
    pub const fn suite(&self) -> CryptoSuite {
        self.suite
    }

    /// The master key with the salt behind it.
    pub fn key_and_salt(&self) -> &[u8] {
        self.bytes.get(..self.suite.key_len()).unwrap_or_default()
    }
}

impl fmt::Debug for CryptoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptoKey({}, ..)", self.suite.name())
    }
}

/// What a sender writes into each packet to name its key (RFC 4568 §6.1, MKI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyIdentifier {
    /// The number; it fits the length.
    pub value: u128,
    /// Bytes that it takes in a packet, 1 to 128.
    pub len: usize,
}

/// The keys of an encrypted stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// What we send is protected by this one.
    pub ours: CryptoKey,
    /// What the other side sends is protected by this one, of the same suite.
    pub theirs: CryptoKey,
    /// What stands in each packet of the other side. Ours have none.
    pub key_identifier: Option<KeyIdentifier>,
}

/// A line that we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crypto {
    pub(super) tag: u32,
    pub(super) key: CryptoKey,
    key_identifier: Option<KeyIdentifier>,
}

impl Crypto {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (tag, suite, key) = (tag(words.next()?)?, words.next()?, words.next()?);
        let suite = CryptoSuite::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(suite))?;
        // RFC 4568 §6.3: what we do not know must not be passed over, unless its name says that it may.
        if !words.all(|parameter| parameter.starts_with('-') || is_window_hint(parameter)) {
            return None;
        }
        let (method, info) = key.split_once(':')?;
        // Several keys in one line end here too: `;` is no letter of base64.
        let mut fields = info.split('|');
        let key =
            CryptoKey::decode(suite, fields.next()?).filter(|_| method.eq_ignore_ascii_case("inline"))?;
        let (lifetime, identifier) = match (fields.next(), fields.next(), fields.next()) {
            (None, _, _) => (None, None),
            (Some(field), None, _) if field.contains(':') => (None, Some(field)),
            (Some(lifetime), identifier, None) => (Some(lifetime), identifier),
            (Some(_), _, Some(_)) => return None,
        };
        if !lifetime.is_none_or(is_lifetime) {
            return None;
        }
        let key_identifier = match identifier {
            Some(field) => Some(key_identifier(field)?),
            None => None,
        };
        Some(Self { tag, key, key_identifier })
    }

    /// The line that answers with, or offers, a key.
    pub(super) fn write(tag: u32, key: &CryptoKey) -> String {
        format!("a=crypto:{tag} {} inline:{}\r\n", key.suite.name(), BASE64.encode(key.key_and_salt()))
    }

    /// The keys of a stream whose sides have agreed on this line of theirs.
    pub(super) fn with(&self, ours: CryptoKey) -> SrtpKeys {
        SrtpKeys { ours, theirs: self.key, key_identifier: self.key_identifier }
    }
}

/// The lines of a stream that we can use. "The tag MUST be unique": one that is not names no line.
fn usable(media: &Media<'_>) -> impl Iterator<Item = Crypto> {
    let tag_of = |line: &str| line.split_ascii_whitespace().next().and_then(tag);
    media.crypto.iter().filter_map(|line| Crypto::read(line)).filter(move |crypto| {
        media.crypto.iter().filter(|line| tag_of(line) == Some(crypto.tag)).count() == 1
    })
}

/// The offered line that we answer: the one of the suite we want most.
pub(super) fn choose(media: &Media<'_>) -> Option<Crypto> {
    usable(media).min_by_key(|crypto| crypto.key.suite)
}

/// The keys that an answer agrees on: it names one of our lines by tag and suite (RFC 4568 §5.1.3).
pub(super) fn agreed(offered: &Media<'_>, answered: &Media<'_>) -> Option<SrtpKeys> {
    usable(answered).find_map(|theirs| {
        let ours = usable(offered).find(|ours| ours.tag == theirs.tag)?;
        (ours.key.suite == theirs.key.suite).then(|| theirs.with(ours.key))
    })
}

/// Our key in the answer to a line: the one in use as long as the other side keeps its own, so that both go on
/// counting; else a new one, since a key must never protect two streams.
pub(super) fn answer(theirs: &Crypto, in_use: Option<SrtpKeys>, rng: &mut impl CryptoRng) -> SrtpKeys {
    match in_use.filter(|keys| theirs.with(keys.ours) == *keys) {
        Some(keys) => keys,
        None => theirs.with(CryptoKey::random(theirs.key.suite, rng)),
    }
}

/// Lines with new keys, one for each suite.
pub(super) fn offer(rng: &mut impl CryptoRng) -> String {
    (1..)
        .zip(CryptoSuite::ALL)
        .map(|(tag, suite)| Crypto::write(tag, &CryptoKey::random(suite, rng)))
        .collect()
}

/// `1*9DIGIT`.
fn tag(text: &str) -> Option<u32> {
    digits(text).filter(|_| text.len() <= 9).and_then(|tag| tag.try_into().ok())
}

/// Packets that a key may protect, as a number or a power of two. How many those are is the sender's matter.
fn is_lifetime(text: &str) -> bool {
    let packets = match text.strip_prefix("2^") {
        Some(power) => digits(power).and_then(|power| 1_u128.checked_shl(power.try_into().ok()?)),
        None => digits(text),
    };
    packets.is_some_and(|packets| (1..=LIFETIME_MAX).contains(&packets))
}

/// `value:length`.
fn key_identifier(text: &str) -> Option<KeyIdentifier> {
    let (value, len) = text.split_once(':')?;
    let (value, len) = (digits(value)?, usize::try_from(digits(len)?).ok()?);
    let bits = u32::try_from(len.checked_mul(8)?).ok()?;
    let fits = value.checked_shr(bits).unwrap_or(0) == 0;
    (fits && (1..=KEY_IDENTIFIER_LEN_MAX).contains(&len)).then_some(KeyIdentifier { value, len })
}

/// A hint at how many late packets to expect (RFC 4568 §6.3.7); nothing depends on it.
fn is_window_hint(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, size)| name == "WSH" && digits(size).is_some())
}

fn digits(text: &str) -> Option<u128> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// "Padding characters are discarded" (RFC 4568 §6.1): they come or are missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const KEY_LEN_MAX: usize = 46;
const KEY_IDENTIFIER_LEN_MAX: usize = 128;
/// SRTP counts 2^48 packets (RFC 3711 §9.2).
const LIFETIME_MAX: u128 = 1 << 48;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_30: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";
    const KEY_28: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw";

    fn identifier(line: &str) -> Option<Option<(u128, usize)>> {
        Crypto::read(line).map(|crypto| crypto.key_identifier.map(|mki| (mki.value, mki.len)))
    }

    #[test]
    fn a_line_is_read_with_lifetime_and_key_identifier() {
        let with = |rest: &str| identifier(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}{rest}"));
        for rest in ["", "|2^48", "|2^0", "|1", "|281474976710656", " WSH=64", " -FUTURE=1 -X WSH=1024"] {
            assert_eq!(with(rest), Some(None), "{rest}");
        }
        for (rest, wanted) in [
            ("|2^20|1:4", (1, 4)),
            ("|1:1", (1, 1)),
            ("|2^31|255:1", (255, 1)),
            ("|0:128", (0, 128)),
            ("|340282366920938463463374607431768211455:16", (u128::MAX, 16)),
        ] {
            assert_eq!(with(rest), Some(Some(wanted)), "{rest}");
        }
        for rest in [
            "|2^49",
            "|0",
            "|281474976710657",
            "|2^",
            "|^2",
            "|-1",
            "|+1",
            "|2^20|",
            "|",
            "|1:0",
            "|1:129",
            "|256:1",
            "|1:+1",
            "|:1",
            "|1:",
            "|2^20|1:4|",
            "|1:4|2^20",
            "|340282366920938463463374607431768211456:17",
        ] {
            assert_eq!(with(rest), None, "{rest}");
        }
    }

    #[test]
    fn a_line_that_asks_for_what_we_do_not_do_is_passed_over() {
        for parameter in [
            "UNENCRYPTED_SRTP",
            "UNENCRYPTED_SRTCP",
            "UNAUTHENTICATED_SRTP",
            "KDR=1",
            "FEC_ORDER=FEC_SRTP",
            "WSH",
            "WSH=",
            "WSH=x",
            "FUTURE=1",
            "WSH=64 KDR=20",
        ] {
            let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30} {parameter}");
            assert_eq!(Crypto::read(&line), None, "{parameter}");
        }
        for line in [
            String::new(),
            "1".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:".to_owned(),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY_30}"),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"),
            format!("1000000000 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 outline:{KEY_30}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 {KEY_30}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}|2^20|1:4;inline:{KEY_30}|2^20|2:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30};inline:{KEY_30}"),
        ] {
            assert_eq!(Crypto::read(&line), None, "{line}");
        }
    }

    #[test]
    fn a_key_is_base64_of_the_length_of_its_suite() {
        let reads = |suite: &str, key: &str| Crypto::read(&format!("1 {suite} inline:{key}")).is_some();
        assert!(reads("AES_CM_128_HMAC_SHA1_32", KEY_30) && reads("aes_cm_128_hmac_sha1_80", KEY_30));
        assert!(reads("AEAD_AES_128_GCM", KEY_28) && reads("AEAD_AES_128_GCM", &format!("{KEY_28}==")));
        let long = BASE64.encode([7; 44]);
        assert!(reads("AEAD_AES_256_GCM", &long) && !reads("AEAD_AES_128_GCM", &long));
        assert!(!reads("AEAD_AES_128_GCM", KEY_30) && !reads("AES_CM_128_HMAC_SHA1_80", KEY_28));
        for key in ["", "=", "AAAA", &KEY_30.replace('A', "_"), &KEY_30.replace('A', "é"), &"A".repeat(4000)]
        {
            assert!(!CryptoSuite::ALL.iter().any(|suite| reads(suite.name(), key)), "{key}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let shown = format!("{:?}", Crypto::read(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY_30}")));
        assert!(shown.contains("AES_CM_128_HMAC_SHA1_80, .."), "{shown}");
        assert!(!shown.contains(", 2, 3"), "{shown}");
    }
}
