//! Texts spoken by an external command, kept on disk by command, text and voice.
//!
//! The command reads the text on its standard input and writes a WAV file to its standard output. It is
//! never a shell: `{voice}` in an argument is replaced, nothing else. Both ends are files, and the command
//! leads a process group of its own: a child of it that goes on neither holds us up nor stays behind.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rtp_proto::frames::Audio;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use sha2::{Digest, Sha256};
use vestibule_config::{file::write_whole, settings::Tts};

use super::SoundError;

/// Largest output taken: more than ten minutes of 48 kHz stereo.
const OUTPUT_BYTES_MAX: u64 = 120 << 20;

/// Between two looks at the command.
const LOOK: Duration = Duration::from_millis(5);

/// Why a text could not be spoken.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// No command is set.
    #[error("text prompts need a speech command; set tts.command, for example to espeak-ng")]
    NoCommand,
    /// The text is longer than the settings allow.
    #[error("the text is longer than tts.text_chars_max")]
    TextTooLong,
    /// The voice's name could be taken for something else.
    #[error("a voice is at most 64 letters, digits and . _ + -, beginning with a letter or digit")]
    Voice,
    /// The command could not be run.
    #[error("the speech command {command} could not be run: {source}; install it or set tts.command")]
    Run {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The command said that it failed.
    #[error("the speech command ended with {0}")]
    Failed(ExitStatus),
    /// It took longer than the setting allows, and was killed.
    #[error("the speech command took longer than tts.timeout_seconds")]
    TimedOut,
    /// It wrote more than ten minutes can need, and was killed.
    #[error("the speech command wrote more than 120 MiB")]
    TooMuch,
}

/// The sound of a text, out of the cache or freshly spoken. Only what can be played is kept.
pub(super) fn spoken(tts: &Tts, cache: &Path, text: &str, voice: &str) -> Result<Audio, SoundError> {
    if text.chars().count() > tts.text_chars_max {
        return Err(SpeechError::TextTooLong.into());
    }
    if !Tts::is_voice(voice) {
        return Err(SpeechError::Voice.into());
    }
    let file = cached(tts, cache, text, voice);
    // One that is damaged is spoken again.
    if let Some(audio) = std::fs::read(&file).ok().and_then(|bytes| super::decode(&bytes).ok()) {
        let used = File::open(&file).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = used {
            tracing::debug!(%error, "a spoken text could not be marked as used");
        }
        return Ok(audio);
    }
    let recording = super::canonical(&run(tts, cache, text, voice)?)?;
    let kept = write_whole(&file, &recording).and_then(|()| prune(cache, tts.cache_bytes_max, &file));
    if let Err(error) = kept {
        tracing::warn!(%error, "a spoken text could not be kept; it will be spoken again at the next start");
    }
    super::decode(&recording)
}

fn cached(tts: &Tts, cache: &Path, text: &str, voice: &str) -> PathBuf {
    let mut hash = Sha256::new();
    for part in [tts.command.join("\0").as_str(), voice, text] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    cache.join(format!("{name}.wav"))
}

/// Removes the files that were not used for longest, until the rest fits; never the newest.
fn prune(cache: &Path, bytes_max: u64, newest: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(cache)? {
        let entry = entry?;
        // Another publish may have removed it just now.
        if let Ok(data) = entry.metadata() {
            files.push((data.modified()?, data.len(), entry.path()));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files.into_iter().filter(|(_, _, path)| path != newest) {
        if total <= bytes_max {
            break;
        }
        if std::fs::remove_file(&path).is_ok() {
            total -= bytes;
        }
    }
    Ok(())
}

/// What the command wrote.
fn run(tts: &Tts, folder: &Path, text: &str, voice: &str) -> Result<Vec<u8>, SpeechError> {
    let (program, arguments) = tts.command.split_first().ok_or(SpeechError::NoCommand)?;
    let fault = |source| SpeechError::Run { command: program.clone(), source };
    let input = tempfile::tempfile_in(folder)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        })
        .map_err(fault)?;
    let mut output = tempfile::tempfile_in(folder).map_err(fault)?;
    let child = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace("{voice}", voice)))
        .stdin(input)
        .stdout(output.try_clone().map_err(fault)?)
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(fault)?;
    let status = Group(child).end(&output, Duration::from_secs(tts.timeout_seconds), fault)?;
    if !status.success() {
        return Err(SpeechError::Failed(status));
    }
    let mut bytes = Vec::new();
    output
        .seek(SeekFrom::Start(0))
        .and_then(|_| output.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(fault)?;
    Ok(bytes)
}

/// A command and all that it started. Killed and reaped when it goes.
struct Group(Child);

impl Group {
    /// The status of a command that ends within the time and writes no more than it may.
    fn end(
        mut self,
        output: &File,
        within: Duration,
        fault: impl Fn(io::Error) -> SpeechError,
    ) -> Result<ExitStatus, SpeechError> {
        let end = Instant::now() + within;
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            // Looked at without being reaped, so that the group's number is still its own when it is killed.
            let over = pid.map(|pid| waitid(WaitId::Pid(pid), look)).transpose();
            if output.metadata().map_err(&fault)?.len() > OUTPUT_BYTES_MAX {
                return Err(SpeechError::TooMuch);
            }
            if over.map_err(|error| fault(error.into()))?.flatten().is_some() {
                self.kill();
                return self.0.wait().map_err(fault);
            }
            if Instant::now() >= end {
                return Err(SpeechError::TimedOut);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn kill(&self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // Nobody of the group may be left.
            let _killed = kill_process_group(pid, Signal::KILL).is_ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // One that was waited for has its number no more.
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
            let _reaped = self.0.wait().is_ok();
        }
    }
}

#[cfg(test)]
mod tests;
