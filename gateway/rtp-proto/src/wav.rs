//! WAV files: reading PCM of 8 to 32 bits, float, mu-law and A-law, of any usual rate and up to eight channels;
//! and writing.
//!
//! Reading takes the whole file as bytes and trusts nothing in it. Changing the rate is the caller's matter.

use crate::g711::Law;

/// Audio out of a WAV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wav {
    /// Samples a second, 4000 to 192000.
    pub rate: u32,
    /// One to eight.
    pub channels: u16,
    /// Linear samples, those of several channels taking turns; always whole turns.
    pub samples: Vec<i16>,
}

/// How samples are written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 16-bit linear, format 1.
    Pcm16,
    /// G.711, format 6 (A-law) or 7 (mu-law).
    G711(Law),
}

impl Encoding {
    /// Bytes of one sample of one channel: 1 or 2.
    pub const fn sample_bytes(self) -> u16 {
        match self {
            Self::Pcm16 => 2,
            Self::G711(_) => 1,
        }
    }

    /// Appends one sample to the audio of a file.
    pub fn push(self, sample: i16, data: &mut Vec<u8>) {
        match self {
            Self::Pcm16 => data.extend_from_slice(&sample.to_le_bytes()),
            Self::G711(law) => data.push(law.encode(sample)),
        }
    }
}

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// It does not begin as RIFF/WAVE.
    #[error("not a WAV file: it does not begin with RIFF and WAVE")]
    NotWav,
    /// The format chunk is missing, too short, or comes after the audio.
    #[error("the WAV file has no usable fmt chunk before its data")]
    NoFormat,
    /// No data chunk, or nothing in it.
    #[error("the WAV file holds no audio")]
    NoAudio,
    /// Another way to keep samples than PCM, float, mu-law or A-law.
    #[error(
        "WAV format {format} with {bits} bits a sample is not supported: use PCM, float, mu-law or A-law"
    )]
    Encoding {
        /// The format number (1 is PCM).
        format: u16,
        /// Bits a sample.
        bits: u16,
    },
    /// No channel, or more than eight.
    #[error("{0} channels are not supported: use one to eight")]
    Channels(u16),
    /// Outside 4000 to 192000 Hz.
    #[error("a rate of {0} Hz is not supported: use 4000 to 192000 Hz")]
    Rate(u32),
}

impl Wav {
    /// Reads a file. A data chunk that claims more than there is, as programs that write to a pipe leave it, is
    /// taken to the end of the file.
    pub fn parse(file: &[u8]) -> Result<Self, WavError> {
        let mut chunks = match file.split_first_chunk::<12>() {
            Some(([b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'], rest)) => rest,
            Some(_) | None => return Err(WavError::NotWav),
        };
        let mut format = None;
        while let Some((&[n0, n1, n2, n3, l0, l1, l2, l3], rest)) = chunks.split_first_chunk::<8>() {
            let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
            let body = rest.get(..len).unwrap_or(rest);
            match &[n0, n1, n2, n3] {
                b"fmt " => format = Some(Format::parse(body)?),
                b"data" => return format.ok_or(WavError::NoFormat)?.decode(body),
                _ => {}
            }
            // Chunks begin on even places.
            chunks = rest.get(len.saturating_add(len & 1)..).unwrap_or_default();
        }
        Err(if format.is_some() { WavError::NoAudio } else { WavError::NoFormat })
    }

    /// The samples of one channel: several are added with equal weight.
    pub fn into_mono(self) -> Vec<i16> {
        if self.channels < 2 {
            return self.samples;
        }
        let count = i32::from(self.channels);
        self.samples
            .chunks_exact(usize::from(self.channels))
            .map(|turn| {
                let sum = turn.iter().fold(0_i32, |sum, &sample| sum.saturating_add(i32::from(sample)));
                i16::try_from(sum.checked_div(count).unwrap_or(0)).unwrap_or(0)
            })
            .collect()
    }

    /// Length in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        let frames = self.samples.len().checked_div(usize::from(self.channels)).unwrap_or(0);
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        frames.saturating_mul(1000).checked_div(u64::from(self.rate)).unwrap_or(0)
    }
}

/// A mono WAV file of linear samples.
pub fn write(samples: &[i16], rate: u32, encoding: Encoding) -> Vec<u8> {
    let mut data = Vec::with_capacity(samples.len().saturating_mul(2));
    for &sample in samples {
        encoding.push(sample, &mut data);
    }
    write_encoded(&data, rate, encoding)
}

/// A mono WAV file of samples that are encoded already.
pub fn write_encoded(data: &[u8], rate: u32, encoding: Encoding) -> Vec<u8> {
    let data_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut file = header(rate, 1, encoding, data_len);
    file.extend_from_slice(data);
    if data.len() & 1 == 1 {
        file.push(0);
    }
    file
}

/// The bytes before the audio in a file of so many channels with `data_len` bytes of it. Its own length
/// does not depend on `data_len`: a recorder writes it again in its place as the file grows.
pub fn header(rate: u32, channels: u16, encoding: Encoding, data_len: u32) -> Vec<u8> {
    let format = match encoding {
        Encoding::Pcm16 => PCM,
        Encoding::G711(Law::A) => A_LAW,
        Encoding::G711(Law::Mu) => MU_LAW,
    };
    let bytes = encoding.sample_bytes();
    let block = channels.saturating_mul(bytes);
    // Formats other than PCM have an (empty) extension and a fact chunk.
    let extended = format != PCM;
    let format_len: u32 = if extended { 18 } else { 16 };
    let fact_len: u32 = if extended { 12 } else { 0 };
    let riff_len = data_len
        .saturating_add(data_len & 1)
        .saturating_add(4)
        .saturating_add(8)
        .saturating_add(format_len)
        .saturating_add(fact_len)
        .saturating_add(8);
    let mut file = Vec::with_capacity(64);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&riff_len.to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&format_len.to_le_bytes());
    file.extend_from_slice(&format.to_le_bytes());
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.saturating_mul(u32::from(block)).to_le_bytes());
    file.extend_from_slice(&block.to_le_bytes());
    file.extend_from_slice(&bytes.saturating_mul(8).to_le_bytes());
    if extended {
        file.extend_from_slice(&0_u16.to_le_bytes());
        file.extend_from_slice(b"fact");
        file.extend_from_slice(&4_u32.to_le_bytes());
        // Samples of each channel.
        let samples = data_len.checked_div(u32::from(block)).unwrap_or(0);
        file.extend_from_slice(&samples.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_len.to_le_bytes());
    file
}

/// How a file keeps one sample.
#[derive(Clone, Copy)]
enum Sample {
    /// Eight bits without sign, 128 being silence.
    U8,
    /// Two to four bytes with sign, of which the upper two are taken.
    Linear(usize),
    F32,
    F64,
    G711(Law),
}

/// The part of a fmt chunk that matters.
#[derive(Clone, Copy)]
struct Format {
    sample: Sample,
    channels: u16,
    rate: u32,
}

impl Format {
    fn parse(body: &[u8]) -> Result<Self, WavError> {
        let (fixed, rest) = body.split_first_chunk::<16>().ok_or(WavError::NoFormat)?;
        let [f0, f1, c0, c1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1] = *fixed;
        let bits = u16::from_le_bytes([b0, b1]);
        let mut format = u16::from_le_bytes([f0, f1]);
        if format == EXTENSIBLE {
            // The number stands in front of the GUID, after length, valid bits and channel mask.
            let number = rest.get(8..).and_then(|rest| rest.first_chunk::<2>()).ok_or(WavError::NoFormat)?;
            format = u16::from_le_bytes(*number);
        }
        let sample = match (format, bits) {
            (PCM, 8) => Sample::U8,
            (PCM, 16) => Sample::Linear(2),
            (PCM, 24) => Sample::Linear(3),
            (PCM, 32) => Sample::Linear(4),
            (FLOAT, 32) => Sample::F32,
            (FLOAT, 64) => Sample::F64,
            (A_LAW, 8) => Sample::G711(Law::A),
            (MU_LAW, 8) => Sample::G711(Law::Mu),
            _ => return Err(WavError::Encoding { format, bits }),
        };
        let channels = u16::from_le_bytes([c0, c1]);
        if !(1..=CHANNELS_MAX).contains(&channels) {
            return Err(WavError::Channels(channels));
        }
        let rate = u32::from_le_bytes([r0, r1, r2, r3]);
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return Err(WavError::Rate(rate));
        }
        Ok(Self { sample, channels, rate })
    }

    fn decode(self, data: &[u8]) -> Result<Wav, WavError> {
        let mut samples: Vec<i16> = match self.sample {
            Sample::U8 => data.iter().map(|&byte| i16::from_be_bytes([byte ^ 0x80, 0])).collect(),
            Sample::Linear(width) => data
                .chunks_exact(width)
                .filter_map(|bytes| bytes.last_chunk().map(|&upper| i16::from_le_bytes(upper)))
                .collect(),
            Sample::F32 => {
                data.as_chunks().0.iter().map(|&bytes| linear(f64::from(f32::from_le_bytes(bytes)))).collect()
            }
            Sample::F64 => {
                data.as_chunks().0.iter().map(|&bytes| linear(f64::from_le_bytes(bytes))).collect()
            }
            Sample::G711(law) => data.iter().map(|&byte| law.decode(byte)).collect(),
        };
        let over = samples.len().checked_rem(usize::from(self.channels)).unwrap_or(0);
        samples.truncate(samples.len().saturating_sub(over));
        if samples.is_empty() {
            return Err(WavError::NoAudio);
        }
        Ok(Wav { rate: self.rate, channels: self.channels, samples })
    }
}

/// A float sample, full scale being 1; one that is no number is silence.
fn linear(value: f64) -> i16 {
    // A float cast saturates, and turns what is no number into 0.
    (value * 32_768.0).round() as i16
}

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;
const CHANNELS_MAX: u16 = 8;
const RATE_MIN: u32 = 4000;
const RATE_MAX: u32 = 192_000;
