//! What a suite does to one packet whose index is known: AES in counter mode with HMAC-SHA1 (RFC 3711 §4),
//! or AES in GCM (RFC 7714 §8 and §9).

use std::fmt;

use aes::{Aes128, Aes256};
use aes_gcm::{
    AesGcm, Nonce, Tag,
    aead::{AeadInOut, consts::U12},
};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{
    INDEX_LEN, SALT_LEN_MAX, SrtpError, Suite,
    keys::{SessionKeys, apply_keystream},
};
use crate::rtp::{HEADER_LEN, Ssrc};

/// The algorithms with their keys, for one kind of packet.
pub(super) enum Transform {
    Counter(Counter),
    Gcm128(Gcm<Aes128>),
    Gcm256(Gcm<Aes256>),
}

/// AES-128 in counter mode, and HMAC-SHA1.
pub(super) struct Counter {
    cipher: Aes128,
    salt: [u8; SALT_LEN_MAX],
    /// Keyed once; cloned for each packet.
    mac: Hmac<Sha1>,
    rtp_tag_len: usize,
    rtcp_tag_len: usize,
}

/// AES in GCM.
pub(super) struct Gcm<C> {
    aead: AesGcm<C, U12>,
    salt: [u8; SALT_LEN_MAX],
}

/// What protection needs to know of an RTP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpHeader {
    pub(super) source: Ssrc,
    pub(super) sequence: u16,
    /// With CSRC list and extension: what stays in the clear.
    len: usize,
}

/// Reads the header of an RTP packet, also of a protected one.
pub(super) fn rtp_header(packet: &[u8]) -> Result<RtpHeader, SrtpError> {
    let (fixed, rest) = packet.split_first_chunk::<HEADER_LEN>().ok_or(SrtpError::Malformed)?;
    let [first, _, s0, s1, _, _, _, _, c0, c1, c2, c3] = *fixed;
    if first >> 6 != 2 {
        return Err(SrtpError::Malformed);
    }
    let mut clear = usize::from(first & 0x0f).wrapping_mul(4);
    if first & 0x10 != 0 {
        let head = rest.get(clear..).and_then(<[u8]>::first_chunk::<4>).ok_or(SrtpError::Malformed)?;
        let [_, _, l0, l1] = *head;
        clear = clear.wrapping_add(4).wrapping_add(usize::from(u16::from_be_bytes([l0, l1])).wrapping_mul(4));
    }
    if rest.len() < clear {
        return Err(SrtpError::Malformed);
    }
    Ok(RtpHeader {
        source: Ssrc::new(u32::from_be_bytes([c0, c1, c2, c3])),
        sequence: u16::from_be_bytes([s0, s1]),
        len: HEADER_LEN.wrapping_add(clear),
    })
}

/// The source of an RTCP packet, also of a protected one.
pub(super) fn rtcp_source(packet: &[u8]) -> Result<Ssrc, SrtpError> {
    match packet.first_chunk::<RTCP_HEADER_LEN>() {
        Some([first, _, _, _, c0, c1, c2, c3]) if first >> 6 == 2 => {
            Ok(Ssrc::new(u32::from_be_bytes([*c0, *c1, *c2, *c3])))
        }
        Some(_) | None => Err(SrtpError::Malformed),
    }
}

impl Transform {
    pub(super) fn new(suite: Suite, keys: &SessionKeys) -> Self {
        let salt = keys.salt;
        match suite {
            Suite::AeadAes256Gcm => Self::Gcm256(Gcm { aead: keys.aes_256().into(), salt }),
            Suite::AeadAes128Gcm => Self::Gcm128(Gcm { aead: keys.aes_128().into(), salt }),
            Suite::AesCm128HmacSha1Tag80 | Suite::AesCm128HmacSha1Tag32 => Self::Counter(Counter {
                cipher: keys.aes_128(),
                salt,
                mac: keyed(&keys.authentication),
                rtp_tag_len: suite.rtp_tag_len(),
                rtcp_tag_len: suite.rtcp_tag_len(),
            }),
        }
    }

    /// Encrypts an RTP packet, and writes the tag into the space at its end.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header: &RtpHeader,
        index: u64,
    ) -> Result<(), SrtpError> {
        match self {
            Self::Counter(counter) => counter.seal_rtp(packet, header, index),
            Self::Gcm128(gcm) => gcm.seal_rtp(packet, header, index),
            Self::Gcm256(gcm) => gcm.seal_rtp(packet, header, index),
        }
    }

    /// Opens an RTP packet; how long it is without its tag.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: &RtpHeader,
        index: u64,
    ) -> Result<usize, SrtpError> {
        match self {
            Self::Counter(counter) => counter.open_rtp(packet, header, index),
            Self::Gcm128(gcm) => gcm.open_rtp(packet, header, index),
            Self::Gcm256(gcm) => gcm.open_rtp(packet, header, index),
        }
    }

    /// Encrypts an RTCP packet, and writes tag and index into the space at its end.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], source: Ssrc, index: u32) -> Result<(), SrtpError> {
        let word = index | ENCRYPTED;
        match self {
            Self::Counter(counter) => counter.seal_rtcp(packet, source, word),
            Self::Gcm128(gcm) => gcm.seal_rtcp(packet, source, word),
            Self::Gcm256(gcm) => gcm.seal_rtcp(packet, source, word),
        }
    }

    /// The word of an RTCP packet that holds its index and says whether it is encrypted.
    pub(super) fn rtcp_word(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        let behind = match self {
            Self::Counter(counter) => counter.rtcp_tag_len,
            Self::Gcm128(_) | Self::Gcm256(_) => 0,
        };
        let end = packet.len().checked_sub(behind).and_then(|end| packet.get(..end));
        let word = end.and_then(<[u8]>::last_chunk::<INDEX_LEN>).ok_or(SrtpError::Malformed)?;
        Ok(u32::from_be_bytes(*word))
    }

    /// Opens an RTCP packet; how long it is without tag and index.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], source: Ssrc, word: u32) -> Result<usize, SrtpError> {
        match self {
            Self::Counter(counter) => counter.open_rtcp(packet, source, word),
            Self::Gcm128(gcm) => gcm.open_rtcp(packet, source, word),
            Self::Gcm256(gcm) => gcm.open_rtcp(packet, source, word),
        }
    }
}

impl Counter {
    fn seal_rtp(&self, packet: &mut [u8], header: &RtpHeader, index: u64) -> Result<(), SrtpError> {
        let (content, tag) = split_end(packet, self.rtp_tag_len)?;
        let payload = content.get_mut(header.len..).ok_or(SrtpError::Malformed)?;
        self.apply_keystream(header.source, index, payload);
        write_tag(self.rtp_mac(content, index), tag);
        Ok(())
    }

    fn open_rtp(&self, packet: &mut [u8], header: &RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let (content, tag) = split_end(packet, self.rtp_tag_len)?;
        let mac = self.rtp_mac(content, index);
        mac.verify_truncated_left(tag).map_err(|_| SrtpError::Authentication)?;
        let payload = content.get_mut(header.len..).ok_or(SrtpError::Malformed)?;
        self.apply_keystream(header.source, index, payload);
        Ok(content.len())
    }

    fn seal_rtcp(&self, packet: &mut [u8], source: Ssrc, word: u32) -> Result<(), SrtpError> {
        let (content, tag) = split_end(packet, self.rtcp_tag_len)?;
        let (report, place) = split_end(content, INDEX_LEN)?;
        place.copy_from_slice(&word.to_be_bytes());
        let reports = report.get_mut(RTCP_HEADER_LEN..).ok_or(SrtpError::Malformed)?;
        self.apply_keystream(source, u64::from(word & !ENCRYPTED), reports);
        write_tag(self.mac.clone().chain_update(content), tag);
        Ok(())
    }

    fn open_rtcp(&self, packet: &mut [u8], source: Ssrc, word: u32) -> Result<usize, SrtpError> {
        let (content, tag) = split_end(packet, self.rtcp_tag_len)?;
        let mac = self.mac.clone().chain_update(&*content);
        mac.verify_truncated_left(tag).map_err(|_| SrtpError::Authentication)?;
        let (report, _) = split_end(content, INDEX_LEN)?;
        let reports = report.get_mut(RTCP_HEADER_LEN..).ok_or(SrtpError::Malformed)?;
        if word & ENCRYPTED != 0 {
            self.apply_keystream(source, u64::from(word & !ENCRYPTED), reports);
        }
        Ok(report.len())
    }

    /// "M = Authenticated Portion || ROC" (RFC 3711 §4.2).
    fn rtp_mac(&self, content: &[u8], index: u64) -> Hmac<Sha1> {
        let [_, _, r0, r1, r2, r3, _, _] = index.to_be_bytes();
        self.mac.clone().chain_update(content).chain_update([r0, r1, r2, r3])
    }

    /// "IV = (k_s * 2^16) XOR (SSRC * 2^64) XOR (i * 2^16)" (RFC 3711 §4.1.1); the last two bytes count blocks.
    fn apply_keystream(&self, source: Ssrc, index: u64, bytes: &mut [u8]) {
        let [c0, c1, c2, c3] = source.value().to_be_bytes();
        let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
        let numbers = [0, 0, 0, 0, c0, c1, c2, c3, i0, i1, i2, i3, i4, i5];
        let mut start = [0; 16];
        for ((byte, salt), number) in start.iter_mut().zip(self.salt).zip(numbers) {
            *byte = salt ^ number;
        }
        apply_keystream(&self.cipher, &start, bytes);
    }
}

impl<C> Gcm<C>
where
    AesGcm<C, U12>: AeadInOut<NonceSize = U12, TagSize = aes_gcm::aead::consts::U16>,
{
    fn seal_rtp(&self, packet: &mut [u8], header: &RtpHeader, index: u64) -> Result<(), SrtpError> {
        let (content, tag) = split_end(packet, GCM_TAG_LEN)?;
        let (head, payload) = content.split_at_mut_checked(header.len).ok_or(SrtpError::Malformed)?;
        self.seal(&self.nonce(header.source, index), head, payload, tag)
    }

    fn open_rtp(&self, packet: &mut [u8], header: &RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let (content, tag) = split_end(packet, GCM_TAG_LEN)?;
        let (head, payload) = content.split_at_mut_checked(header.len).ok_or(SrtpError::Malformed)?;
        self.open(&self.nonce(header.source, index), head, payload, tag)?;
        Ok(content.len())
    }

    fn seal_rtcp(&self, packet: &mut [u8], source: Ssrc, word: u32) -> Result<(), SrtpError> {
        let (rest, place) = split_end(packet, INDEX_LEN)?;
        place.copy_from_slice(&word.to_be_bytes());
        let (report, tag) = split_end(rest, GCM_TAG_LEN)?;
        let (head, reports) = report.split_at_mut_checked(RTCP_HEADER_LEN).ok_or(SrtpError::Malformed)?;
        let nonce = self.nonce(source, u64::from(word & !ENCRYPTED));
        self.seal(&nonce, &rtcp_associated(head, word), reports, tag)
    }

    /// What is not encrypted is associated data as a whole (RFC 7714 §9.3).
    fn open_rtcp(&self, packet: &mut [u8], source: Ssrc, word: u32) -> Result<usize, SrtpError> {
        let nonce = self.nonce(source, u64::from(word & !ENCRYPTED));
        let (rest, _) = split_end(packet, INDEX_LEN)?;
        let (report, tag) = split_end(rest, GCM_TAG_LEN)?;
        let len = report.len();
        if word & ENCRYPTED != 0 {
            let (head, reports) = report.split_at_mut_checked(RTCP_HEADER_LEN).ok_or(SrtpError::Malformed)?;
            self.open(&nonce, &rtcp_associated(head, word), reports, tag)?;
            return Ok(len);
        }
        // The index moves up to the report, over the tag, so that both are one piece.
        let mut kept = [0; GCM_TAG_LEN];
        kept.copy_from_slice(tag);
        let end = len.saturating_add(INDEX_LEN);
        let associated = packet.get_mut(..end).ok_or(SrtpError::Malformed)?;
        split_end(associated, INDEX_LEN)?.1.copy_from_slice(&word.to_be_bytes());
        self.open(&nonce, associated, &mut [], &kept)?;
        Ok(len)
    }

    fn seal(
        &self,
        nonce: &Nonce<U12>,
        associated: &[u8],
        bytes: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), SrtpError> {
        // Fails past 64 GiB only.
        let made = self.aead.encrypt_inout_detached(nonce, associated, bytes.into());
        tag.copy_from_slice(&made.map_err(|_| SrtpError::Malformed)?);
        Ok(())
    }

    fn open(
        &self,
        nonce: &Nonce<U12>,
        associated: &[u8],
        bytes: &mut [u8],
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        let tag = <&Tag>::try_from(tag).map_err(|_| SrtpError::Malformed)?;
        let opened = self.aead.decrypt_inout_detached(nonce, associated, bytes.into(), tag);
        opened.map_err(|_| SrtpError::Authentication)
    }

    /// Two zero bytes, source and index, added to the salt (RFC 7714 §8.1 and §9.1).
    fn nonce(&self, source: Ssrc, index: u64) -> Nonce<U12> {
        let [c0, c1, c2, c3] = source.value().to_be_bytes();
        let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
        let mut nonce = [0, 0, c0, c1, c2, c3, i0, i1, i2, i3, i4, i5];
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        nonce.into()
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter(_) => "Counter(..)",
            Self::Gcm128(_) => "Gcm128(..)",
            Self::Gcm256(_) => "Gcm256(..)",
        })
    }
}

fn keyed(key: &[u8; 20]) -> Hmac<Sha1> {
    let mut block = [0; 64];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    // RFC 2104 §2: a key shorter than a block is filled up with zeros.
    Hmac::new(&block.into())
}

fn write_tag(mac: Hmac<Sha1>, tag: &mut [u8]) {
    let whole = mac.finalize();
    for (place, byte) in tag.iter_mut().zip(whole.as_bytes()) {
        *place = *byte;
    }
}

fn split_end(packet: &mut [u8], len: usize) -> Result<(&mut [u8], &mut [u8]), SrtpError> {
    let middle = packet.len().checked_sub(len).ok_or(SrtpError::Malformed)?;
    packet.split_at_mut_checked(middle).ok_or(SrtpError::Malformed)
}

/// The header in the clear and the word behind the tag.
fn rtcp_associated(head: &[u8], word: u32) -> [u8; RTCP_HEADER_LEN + INDEX_LEN] {
    let mut associated = [0; RTCP_HEADER_LEN + INDEX_LEN];
    for (place, byte) in associated.iter_mut().zip(head.iter().copied().chain(word.to_be_bytes())) {
        *place = byte;
    }
    associated
}

/// The flag in front of an RTCP index: the packet is encrypted (RFC 3711 §3.4).
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// What stays in the clear of an RTCP packet: the first header and the source.
pub(super) const RTCP_HEADER_LEN: usize = 8;

const GCM_TAG_LEN: usize = 16;
