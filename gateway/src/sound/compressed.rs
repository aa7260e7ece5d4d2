//! Recordings that are no WAV: MP3, FLAC, Ogg with Vorbis or FLAC, M4A with AAC. Read when they are uploaded, and kept as WAV.

use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    errors::Error,
    formats::{FormatOptions, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};
use vestibule_routing::journey::PROMPT_SECONDS_MAX;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CompressedError {
    /// It is of no form that we know.
    #[error("it is no WAV, MP3, FLAC, Ogg (Vorbis or FLAC) or M4A (AAC) file")]
    UnknownForm,
    /// It is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It plays too fast, too slowly, or in too many channels.
    #[error("it has {rate} samples a second in {channels} channels")]
    OutOfRange {
        /// Samples a second.
        rate: u32,
        /// Channels.
        channels: usize,
    },
    /// It is too long.
    #[error("it is longer than 10 minutes")]
    TooLong,
}

/// The samples of a recording, mixed to one channel, and their rate.
pub(super) fn decode(file: &[u8]) -> Result<(Vec<i16>, u32), CompressedError> {
    // The decoders are foreign, and the file comes from anywhere: a fault of theirs must stay with this file.
    catch_unwind(AssertUnwindSafe(|| decode_whole(file)))
        .unwrap_or_else(|_| Err(CompressedError::Damaged("its decoder gave up".to_owned())))
}

fn decode_whole(file: &[u8]) -> Result<(Vec<i16>, u32), CompressedError> {
    let damaged = |error: Error| CompressedError::Damaged(error.to_string());
    let source = MediaSourceStream::new(Box::new(Cursor::new(file.to_vec())), Default::default());
    let (formats, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), source, formats, metadata)
        .map_err(|_| CompressedError::UnknownForm)?;
    let track = format.default_track(TrackType::Audio).ok_or(CompressedError::UnknownForm)?;
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters.ok_or(CompressedError::UnknownForm)?, &AudioDecoderOptions::default())
        .map_err(|_| CompressedError::UnknownForm)?;
    let (mut mono, mut rate, mut frame) = (Vec::new(), 0, Vec::<f32>::new());
    while let Some(packet) = format.next_packet().map_err(damaged)? {
        if packet.track_id != id {
            continue;
        }
        let audio = match decoder.decode(&packet) {
            Ok(audio) => audio,
            // One bad packet is a click.
            Err(Error::DecodeError(_)) => continue,
            Err(error) => return Err(damaged(error)),
        };
        let (now, channels) = (audio.spec().rate(), audio.spec().channels().count());
        if !(4_000..=192_000).contains(&now) || !(1..=8).contains(&channels) || (rate != 0 && rate != now) {
            return Err(CompressedError::OutOfRange { rate: now, channels });
        }
        rate = now;
        frame.resize(audio.samples_interleaved(), 0.0);
        audio.copy_to_slice_interleaved(&mut frame);
        mono.extend(frame.chunks_exact(channels).map(mixed));
        if mono.len() as u64 > u64::from(PROMPT_SECONDS_MAX) * u64::from(rate) {
            return Err(CompressedError::TooLong);
        }
    }
    if mono.is_empty() {
        Err(CompressedError::Damaged("it holds no sound".to_owned()))
    } else {
        Ok((mono, rate))
    }
}

/// The mean of one sample of all channels.
fn mixed(frame: &[f32]) -> i16 {
    let mean = frame.iter().sum::<f32>() / frame.len() as f32;
    (mean * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16
}
