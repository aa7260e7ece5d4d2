//! What callers hear: built-in prompts and music, recordings, spoken texts, ringing tone.
//!
//! Everything is encoded once, when routing that names it becomes active, and shared by all calls from
//! then on; a call that plays a sound keeps it even when routing changes. Looking a prompt up takes no
//! lock.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use rtp_proto::{
    frames::Audio,
    tone,
    wav::{Wav, WavError},
};
use vestibule_config::{
    compile::{PromptSource, PromptTable},
    settings::Tts,
};
use vestibule_routing::id::PromptId;

mod resample;
mod speech;

pub use speech::SpeechError;

/// Longest recording, in seconds.
const SECONDS_MAX: usize = 600;

/// Level of the ringing tone.
const RINGBACK_DBM0: f64 = -19.0;

/// All sounds of the process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Library {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    tts: Tts,
    /// What the active routing names.
    prompts: ArcSwap<HashMap<PromptId, Audio>>,
    /// Every source that was encoded while the process runs.
    encoded: DashMap<PromptSource, Audio>,
}

/// Why a prompt has no sound.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// A recording is not where it should be.
    #[error("the recording {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A recording is not usable.
    #[error("the recording is not usable")]
    Wav(#[from] WavError),
    /// A recording is too long.
    #[error("the recording is longer than 10 minutes")]
    TooLong,
    /// A text could not be spoken.
    #[error("the text could not be spoken")]
    Speech(#[from] SpeechError),
}

impl Library {
    /// A library whose recordings and spoken texts are kept below `folder`.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn open(folder: PathBuf, tts: Tts) -> io::Result<Self> {
        std::fs::create_dir_all(folder.join("prompts"))?;
        std::fs::create_dir_all(folder.join("speech"))?;
        let inner = Inner { folder, tts, prompts: ArcSwap::default(), encoded: DashMap::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes every sound of a table ready. A prompt that fails is logged and missing: an IVR that plays it
    /// goes the way of a technical failure. May take as long as texts take to be spoken.
    pub fn install(&self, table: &PromptTable) {
        let mut prompts = HashMap::new();
        for (id, source) in table.iter() {
            match self.audio(source) {
                Ok(audio) => {
                    prompts.insert(id.clone(), audio);
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(prompt = %id, error, "a prompt has no sound");
                }
            }
        }
        self.inner.prompts.store(Arc::new(prompts));
    }

    /// The sound of a prompt of the active routing.
    pub fn prompt(&self, id: &PromptId) -> Option<Audio> {
        self.inner.prompts.load().get(id).cloned()
    }

    /// One cadence of the North American ringing tone: 2 s on, 4 s off.
    pub fn ringback(&self) -> Audio {
        static RINGBACK: OnceLock<Audio> = OnceLock::new();
        RINGBACK.get_or_init(|| Audio::encode(&tone::ringback(RINGBACK_DBM0))).clone()
    }

    fn audio(&self, source: &PromptSource) -> Result<Audio, SoundError> {
        if let Some(audio) = self.inner.encoded.get(source) {
            return Ok(audio.clone());
        }
        let audio = match source {
            PromptSource::Builtin(name) => decode(builtin(name))?,
            PromptSource::File { sha256 } => {
                let path = self.inner.folder.join("prompts").join(sha256);
                let bytes = std::fs::read(&path).map_err(|source| SoundError::Unreadable { path, source })?;
                decode(&bytes)?
            }
            PromptSource::Text { text, voice } => {
                let voice = voice.as_deref().unwrap_or(&self.inner.tts.voice);
                decode(&speech::spoken(&self.inner.tts, &self.inner.folder.join("speech"), text, voice)?)?
            }
        };
        self.inner.encoded.insert(source.clone(), audio.clone());
        Ok(audio)
    }
}

/// A WAV file as encoded frames of 8 kHz.
///
/// # Errors
/// When it is no usable WAV file, or too long.
pub fn decode(file: &[u8]) -> Result<Audio, SoundError> {
    let wav = Wav::parse(file)?;
    let rate = wav.rate;
    let samples = wav.into_mono();
    if samples.len() / usize::try_from(rate).unwrap_or(1).max(1) > SECONDS_MAX {
        return Err(SoundError::TooLong);
    }
    Ok(Audio::encode(&resample::to_8_khz(&samples, rate)))
}

/// The WAV file of a built-in sound; empty for a name that is none, which then is no WAV file.
fn builtin(name: &str) -> &'static [u8] {
    macro_rules! sounds {
        ($($name:literal: $file:literal),* $(,)?) => {
            match name {
                $($name => include_bytes!(concat!("../assets/sounds/", $file, ".wav")),)*
                _ => &[],
            }
        };
    }
    sounds! {
        "welcome": "welcome",
        "menu": "menu",
        "hours": "hours",
        "no_match": "no_match",
        "no_input": "no_input",
        "closed": "closed",
        "transfer": "transfer",
        "goodbye": "goodbye",
        "queue_message": "queue",
        "queue_music": "music",
        "hold_music": "music",
    }
}

#[cfg(test)]
mod tests {
    use rtp_proto::g711::Law;

    use super::*;

    fn library(folder: &std::path::Path) -> Library {
        let tts = Tts { command: vec!["false".into()], voice: "en-us".into(), timeout_seconds: 5 };
        Library::open(folder.to_owned(), tts).unwrap()
    }

    #[test]
    fn every_built_in_sound_is_there_and_is_audible() {
        let folder = tempfile::tempdir().unwrap();
        let library = library(folder.path());
        library.install(&PromptTable::default());
        for name in vestibule_config::compile::BUILTINS {
            let audio = library.prompt(&PromptId::new(format!("builtin:{name}"))).expect(name);
            assert!(audio.duration_ms() > 1000, "{name}");
            let samples: Vec<i16> = audio.law(Law::Mu).iter().map(|byte| Law::Mu.decode(*byte)).collect();
            let level = tone::level_dbm0(&samples);
            assert!((-35.0..-8.0).contains(&level), "{name}: {level} dBm0");
        }
    }

    #[test]
    fn a_missing_recording_leaves_the_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let missing = library(folder.path()).audio(&PromptSource::File { sha256: "00".repeat(32) });
        assert!(matches!(missing, Err(SoundError::Unreadable { .. })));
    }

    #[test]
    fn the_ringing_tone_has_its_cadence() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(library(folder.path()).ringback().duration_ms(), 6000);
    }
}
