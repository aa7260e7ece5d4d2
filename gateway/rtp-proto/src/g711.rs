//! G.711 (ITU-T G.711): mu-law and A-law to and from 16-bit linear, and from one law straight to the other.
//!
//! Decoding and changing laws are table look-ups; encoding is arithmetic, since it happens when prompts are
//! published and not while calls run.

/// The mu-law byte for silence.
pub const ULAW_SILENCE: u8 = 0xff;

/// The A-law byte for silence.
pub const ALAW_SILENCE: u8 = 0xd5;

/// The two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// Mu-law, payload type 0 (PCMU).
    Mu,
    /// A-law, payload type 8 (PCMA).
    A,
}

impl Law {
    /// The byte that stands for silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => ULAW_SILENCE,
            Self::A => ALAW_SILENCE,
        }
    }

    /// One byte to 16-bit linear.
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Mu => ulaw_to_linear(byte),
            Self::A => alaw_to_linear(byte),
        }
    }

    /// One 16-bit linear sample to a byte.
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => linear_to_ulaw(sample),
            Self::A => linear_to_alaw(sample),
        }
    }

    /// Decodes as many samples as both slices hold and returns how many those are.
    pub fn decode_into(self, bytes: &[u8], samples: &mut [i16]) -> usize {
        for (sample, &byte) in samples.iter_mut().zip(bytes) {
            *sample = self.decode(byte);
        }
        bytes.len().min(samples.len())
    }
}

/// A mu-law byte to 16-bit linear.
pub fn ulaw_to_linear(byte: u8) -> i16 {
    look_up(&ULAW_LINEAR, byte)
}

/// An A-law byte to 16-bit linear.
pub fn alaw_to_linear(byte: u8) -> i16 {
    look_up(&ALAW_LINEAR, byte)
}

/// A mu-law byte to the nearest A-law byte.
pub fn ulaw_to_alaw(byte: u8) -> u8 {
    look_up(&ULAW_ALAW, byte)
}

/// An A-law byte to the nearest mu-law byte.
pub fn alaw_to_ulaw(byte: u8) -> u8 {
    look_up(&ALAW_ULAW, byte)
}

/// Changes a whole frame from mu-law to A-law, in place.
pub fn ulaw_to_alaw_in_place(frame: &mut [u8]) {
    for byte in frame {
        *byte = ulaw_to_alaw(*byte);
    }
}

/// Changes a whole frame from A-law to mu-law, in place.
pub fn alaw_to_ulaw_in_place(frame: &mut [u8]) {
    for byte in frame {
        *byte = alaw_to_ulaw(*byte);
    }
}

/// 16-bit linear to mu-law.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "magnitude is at most 32767, so every sum, shift and cast fits"
)]
pub const fn linear_to_ulaw(sample: i16) -> u8 {
    let sign: u8 = if sample < 0 { 0x80 } else { 0 };
    let clipped = if sample.unsigned_abs() > ULAW_CLIP { ULAW_CLIP } else { sample.unsigned_abs() };
    let magnitude = clipped + ULAW_BIAS;
    // The bias makes bit 7 the lowest one that can be the highest set.
    let segment = 8 - magnitude.leading_zeros();
    let mantissa = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | ((segment as u8) << 4) | mantissa as u8)
}

/// 16-bit linear to A-law.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "magnitude has 12 bits, so every sum, shift and cast fits"
)]
pub const fn linear_to_alaw(sample: i16) -> u8 {
    // Ones' complement for negative values: -1 stands as near to zero as 0 does.
    let (sign, magnitude) =
        if sample < 0 { (0, (!sample).cast_unsigned() >> 3) } else { (0x80, sample.cast_unsigned() >> 3) };
    let segment = (16 - magnitude.leading_zeros()).saturating_sub(5);
    let mantissa = if segment < 2 { magnitude >> 1 } else { magnitude >> segment } & 0x0f;
    (sign | ((segment as u8) << 4) | mantissa as u8) ^ 0x55
}

fn look_up<T: Copy + Default>(table: &[T; 256], byte: u8) -> T {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

#[expect(clippy::arithmetic_side_effects, reason = "the largest magnitude is 32124")]
const fn expand_ulaw(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = ((((bits & 0x0f) as i16) << 3) + 132) << ((bits >> 4) & 7);
    if bits & 0x80 == 0 { magnitude - 132 } else { 132 - magnitude }
}

#[expect(clippy::arithmetic_side_effects, reason = "the largest magnitude is 32256")]
const fn expand_alaw(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let step = ((bits & 0x0f) as i16) << 4;
    let segment = (bits >> 4) & 7;
    let magnitude = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Fills a table while the crate is compiled.
macro_rules! table {
    ($of:expr) => {{
        let mut table = [0; 256];
        let mut byte = 0_u8;
        loop {
            #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
            {
                table[byte as usize] = $of(byte);
            }
            if byte == 255 {
                break table;
            }
            byte = byte.wrapping_add(1);
        }
    }};
}

const fn ulaw_as_alaw(byte: u8) -> u8 {
    linear_to_alaw(expand_ulaw(byte))
}

const fn alaw_as_ulaw(byte: u8) -> u8 {
    linear_to_ulaw(expand_alaw(byte))
}

/// Added before the search for the segment (G.711 mu-law in 16-bit scale).
const ULAW_BIAS: u16 = 132;
const ULAW_CLIP: u16 = 32_635;

static ULAW_LINEAR: [i16; 256] = table!(expand_ulaw);
static ALAW_LINEAR: [i16; 256] = table!(expand_alaw);
static ULAW_ALAW: [u8; 256] = table!(ulaw_as_alaw);
static ALAW_ULAW: [u8; 256] = table!(alaw_as_ulaw);
