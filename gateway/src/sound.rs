//! What callers hear: built-in prompts and music, recordings, spoken texts, ringing tone.
//!
//! The sounds of a routing are made ready before it becomes active, and then shared by all its calls. A call
//! takes the sounds of its routing along ([`Library::of`]), so that a publish changes nothing for it; they go
//! with the last call that has them. Finding a sound takes no lock.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::ArcSwap;
use rtp_proto::{
    SAMPLE_RATE,
    frames::Audio,
    g711::Law,
    tone,
    wav::{self, Encoding, Wav, WavError},
};
use vestibule_config::{
    compile::{PromptSource, PromptTable},
    diagnostic::{Code, Diagnostic},
    settings::Tts,
};
use vestibule_routing::{id::PromptId, journey::PROMPT_SECONDS_MAX};

mod compressed;
mod level;
mod resample;
mod speech;

pub use compressed::CompressedError;
pub use speech::SpeechError;

/// Tables kept ready: the active one, and those whose publish is under way.
const TABLES_MAX: usize = 4;

/// The tone after which a message is recorded.
const BEEP: tone::Tone = tone::Tone { frequency: 1000.0, level_dbm0: -15.0 };

/// Its length.
const BEEP_MS: u32 = 400;

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
    /// The newest first.
    tables: ArcSwap<Vec<Ready>>,
    /// Held while a table is made ready, so that no more programs speak than the settings allow.
    making: Mutex<()>,
}

/// A table with its sounds.
#[derive(Clone, Debug)]
struct Ready {
    table: Arc<PromptTable>,
    prompts: Prompts,
    /// It was active: what it lacks is no news. A table that was refused must be refused again.
    active: bool,
}

/// The sounds of one routing; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Prompts(Arc<HashMap<PromptId, Audio>>);

impl Prompts {
    /// The sound of a prompt; none when it could not be made.
    pub fn get(&self, id: &PromptId) -> Option<Audio> {
        self.0.get(id).cloned()
    }
}

/// Why a prompt has no sound.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// A recording is not where it should be.
    #[error("the recording {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A recording is not usable.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// A recording that is no WAV is not usable.
    #[error(transparent)]
    Compressed(#[from] CompressedError),
    /// A recording is too long.
    #[error("the recording is longer than 10 minutes")]
    TooLong,
    /// A text could not be spoken.
    #[error(transparent)]
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
        let inner = Inner { folder, tts, tables: ArcSwap::default(), making: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes every sound of a table ready, and tells which cannot be made. Those that the active table lacks
    /// as well are only logged: they must not hold up a publish that has nothing to do with them. May take as
    /// long as texts take to be spoken.
    pub fn prepare(&self, table: &Arc<PromptTable>) -> Vec<Diagnostic> {
        if self.ready(table).is_some() {
            return Vec::new();
        }
        let _making = self.inner.making.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.inner.tables.load_full();
        let mut prompts = HashMap::new();
        let mut missing = Vec::new();
        for (id, source) in table.iter() {
            let known = before.iter().find(|ready| ready.table.get(id) == Some(source));
            match known.and_then(|ready| ready.prompts.get(id)) {
                Some(audio) => drop(prompts.insert(id.clone(), audio)),
                None => {
                    let lacked = |ready: &Ready| ready.active && ready.table.get(id) == Some(source);
                    missing.push((id, source, before.iter().any(lacked)));
                }
            }
        }
        let mut findings = Vec::new();
        for ((id, _, known), made) in missing.iter().zip(self.make(&missing)) {
            match made {
                Some(Ok(audio)) => drop(prompts.insert((*id).clone(), audio)),
                Some(Err(error)) => {
                    tracing::error!(prompt = %id, %error, "a prompt has no sound");
                    if !known {
                        let name = id.as_str().replace('~', "~0").replace('/', "~1");
                        findings.push(Diagnostic::new(
                            Code::NoSound,
                            format!("/prompts/{name}"),
                            error.to_string(),
                        ));
                    }
                }
                None => {}
            }
        }
        let ready = Ready { table: table.clone(), prompts: Prompts(Arc::new(prompts)), active: false };
        let tables = std::iter::once(ready).chain(before.iter().cloned()).take(TABLES_MAX).collect();
        self.inner.tables.store(Arc::new(tables));
        findings
    }

    /// Lets go of the sounds of all tables but the active one. A prompt that has no sound is logged: an IVR
    /// that plays it goes the way of a technical failure.
    pub fn install(&self, table: &Arc<PromptTable>) {
        // Ready already, but for the start and when many publishes were under way at once.
        let _told = self.prepare(table);
        let _making = self.inner.making.lock().unwrap_or_else(PoisonError::into_inner);
        let active = self.inner.tables.load().iter().find(|ready| Arc::ptr_eq(&ready.table, table)).cloned();
        let active = active.map(|ready| Ready { active: true, ..ready });
        self.inner.tables.store(Arc::new(active.into_iter().collect()));
    }

    /// The sounds of a routing that is active.
    pub fn of(&self, table: &Arc<PromptTable>) -> Prompts {
        // Active only a moment ago: the sounds of its successor are all there is.
        self.ready(table)
            .or_else(|| self.inner.tables.load().first().map(|ready| ready.prompts.clone()))
            .unwrap_or_default()
    }

    /// The sound of a prompt as a WAV file for people to hear; a text is spoken when it was not before.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn wav(&self, source: &PromptSource) -> Result<Vec<u8>, SoundError> {
        let audio = self.audio(source)?;
        let samples: Vec<i16> = audio.law(Law::Mu).iter().map(|byte| Law::Mu.decode(*byte)).collect();
        Ok(wav::write(&samples, SAMPLE_RATE, Encoding::Pcm16))
    }

    /// The tone after which a message is recorded.
    pub fn beep(&self) -> Audio {
        static TONE: OnceLock<Audio> = OnceLock::new();
        let samples = (SAMPLE_RATE / 1000 * BEEP_MS) as usize;
        TONE.get_or_init(|| Audio::encode(&tone::mix(&[BEEP], samples))).clone()
    }

    /// One cadence of the North American ringing tone: 2 s on, 4 s off.
    pub fn ringback(&self) -> Audio {
        static RINGBACK: OnceLock<Audio> = OnceLock::new();
        RINGBACK.get_or_init(|| Audio::encode(&tone::ringback(RINGBACK_DBM0))).clone()
    }

    fn ready(&self, table: &Arc<PromptTable>) -> Option<Prompts> {
        let tables = self.inner.tables.load();
        tables.iter().find(|ready| Arc::ptr_eq(&ready.table, table)).map(|ready| ready.prompts.clone())
    }

    /// Makes sounds, as many at once as the settings allow.
    fn make(
        &self,
        wanted: &[(&PromptId, &PromptSource, bool)],
    ) -> impl Iterator<Item = Option<Result<Audio, SoundError>>> {
        let made: Vec<OnceLock<Result<Audio, SoundError>>> = wanted.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let (Some((_, source, _)), Some(place)) = (wanted.get(index), made.get(index))
            {
                let _first = place.set(self.audio(source)).is_ok();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.inner.tts.parallel_max.min(wanted.len()) {
                scope.spawn(work);
            }
        });
        made.into_iter().map(OnceLock::into_inner)
    }

    fn audio(&self, source: &PromptSource) -> Result<Audio, SoundError> {
        match source {
            PromptSource::Builtin(name) => decode(builtin(name)),
            PromptSource::File { sha256 } => {
                let path = self.inner.folder.join("prompts").join(sha256);
                let bytes = std::fs::read(&path).map_err(|source| SoundError::Unreadable { path, source })?;
                decode(&bytes)
            }
            PromptSource::Text { text, voice } => {
                let voice = voice.as_deref().unwrap_or(&self.inner.tts.voice);
                speech::spoken(&self.inner.tts, &self.inner.folder.join("speech"), text, voice)
            }
        }
    }
}

/// A WAV file as encoded frames of 8 kHz.
///
/// # Errors
/// When it is no usable WAV file, or too long.
pub fn decode(file: &[u8]) -> Result<Audio, SoundError> {
    Ok(Audio::encode(&at_8_khz(file)?))
}

/// A WAV file of any usual form as one of 16 bits, 8 kHz, one channel, at the level of a telephone voice.
///
/// # Errors
/// When it is no usable WAV file, or too long.
pub fn canonical(file: &[u8]) -> Result<Vec<u8>, SoundError> {
    Ok(wav::write(&level::levelled(&at_8_khz(file)?), SAMPLE_RATE, Encoding::Pcm16))
}

fn at_8_khz(file: &[u8]) -> Result<Vec<i16>, SoundError> {
    if !file.starts_with(b"RIFF") {
        let (samples, rate) = compressed::decode(file)?;
        return Ok(resample::to_8_khz(&samples, rate));
    }
    let wav = Wav::parse(file)?;
    if wav.duration_ms() > u64::from(PROMPT_SECONDS_MAX) * 1000 {
        return Err(SoundError::TooLong);
    }
    let rate = wav.rate;
    let samples = resample::to_8_khz(&wav.into_mono(), rate);
    if samples.is_empty() { Err(WavError::NoAudio.into()) } else { Ok(samples) }
}

/// The WAV file of a built-in sound; empty for a name that is none, which then is no WAV file.
fn builtin(name: &str) -> &'static [u8] {
    macro_rules! sounds {
        ($($name:literal),* $(,)?) => {
            match name {
                $($name => include_bytes!(concat!("../assets/sounds/", $name, ".wav")),)*
                _ => &[],
            }
        };
    }
    sounds! {
        "welcome",
        "menu",
        "hours",
        "no_match",
        "no_input",
        "closed",
        "transfer",
        "goodbye",
        "queue_message",
        "voicemail_greeting",
        "voicemail_thanks",
        "position_next",
        "position_before",
        "position_after",
        "wait_under_a_minute",
        "wait_before",
        "wait_minute",
        "wait_minutes",
        "wait_over_an_hour",
        "callback_offer",
        "callback_number",
        "callback_keys",
        "callback_keys_or_other",
        "callback_enter",
        "callback_stored",
        "callback_greeting",
        "number_0",
        "number_1",
        "number_2",
        "number_3",
        "number_4",
        "number_5",
        "number_6",
        "number_7",
        "number_8",
        "number_9",
        "number_10",
        "number_11",
        "number_12",
        "number_13",
        "number_14",
        "number_15",
        "number_16",
        "number_17",
        "number_18",
        "number_19",
        "number_20",
        "number_30",
        "number_40",
        "number_50",
        "number_60",
        "number_70",
        "number_80",
        "number_90",
        "number_100",
        "closing",
        "queue_music",
        "hold_music",
    }
}

#[cfg(test)]
mod tests;
