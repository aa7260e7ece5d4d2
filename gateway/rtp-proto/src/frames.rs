//! Audio encoded once and shared by every call that plays it.
//!
//! A running call keeps its own handle, so publishing anew never cuts a prompt that is playing.

use std::sync::Arc;

use crate::{
    FRAME_SAMPLES,
    g711::{Law, linear_to_alaw, linear_to_ulaw},
};

/// Mono audio at 8 kHz in both G.711 laws: frames of 20 ms (160 bytes) end to end, the last one filled up
/// with silence. Other packet times are cut from the same bytes with [`Audio::bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Mu-law, whole frames.
    pub pcmu: Arc<[u8]>,
    /// A-law, of the same length.
    pub pcma: Arc<[u8]>,
}

impl Audio {
    /// Encodes linear samples at 8 kHz.
    pub fn encode(samples: &[i16]) -> Self {
        let len = samples.len().next_multiple_of(FRAME_SAMPLES);
        let law = |encode: fn(i16) -> u8, silence: u8| -> Arc<[u8]> {
            let padding = std::iter::repeat_n(silence, len.saturating_sub(samples.len()));
            samples.iter().map(|&sample| encode(sample)).chain(padding).collect()
        };
        Self { pcmu: law(linear_to_ulaw, Law::Mu.silence()), pcma: law(linear_to_alaw, Law::A.silence()) }
    }

    /// How many frames of 20 ms it has.
    pub fn frame_count(&self) -> usize {
        self.pcmu.len() / FRAME_SAMPLES
    }

    /// Length in milliseconds, a multiple of 20.
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.pcmu.len() / 8).unwrap_or(u64::MAX)
    }

    /// Whether there is nothing to play.
    pub fn is_empty(&self) -> bool {
        self.pcmu.is_empty()
    }

    /// The bytes of one law from first to last.
    pub fn law(&self, law: Law) -> &Arc<[u8]> {
        match law {
            Law::Mu => &self.pcmu,
            Law::A => &self.pcma,
        }
    }

    /// The frame at an index; `None` past the end.
    pub fn frame(&self, law: Law, index: usize) -> Option<&[u8]> {
        self.bytes(law, index.checked_mul(FRAME_SAMPLES)?, FRAME_SAMPLES)
    }

    /// `len` bytes from byte `start`, fewer at the end; `None` past the end.
    pub fn bytes(&self, law: Law, start: usize, len: usize) -> Option<&[u8]> {
        let rest = self.law(law).get(start..)?;
        let bytes = rest.get(..len.min(rest.len()))?;
        (!bytes.is_empty()).then_some(bytes)
    }
}
