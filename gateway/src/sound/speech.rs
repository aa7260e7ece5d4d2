//! Texts spoken by an external command, kept on disk by text and voice.
//!
//! The command reads the text on its standard input and writes a WAV file to its standard output. It is
//! never a shell: `{voice}` in an argument is replaced, nothing else.

use std::{
    io::{self, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use vestibule_config::settings::Tts;

/// Largest output taken: ten minutes of 48 kHz stereo.
const OUTPUT_BYTES_MAX: u64 = 120 << 20;

/// Why a text could not be spoken.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// No command is set.
    #[error("text prompts need a speech command; set tts.command, for example to espeak-ng")]
    NoCommand,
    /// The command could not be run, or its result not be kept.
    #[error("the speech command {command} could not be run; install it or set tts.command")]
    Run {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The command said that it failed.
    #[error("the speech command ended with {0}")]
    Failed(std::process::ExitStatus),
    /// It took longer than the setting allows, and was killed.
    #[error("the speech command took longer than tts.timeout_seconds")]
    TimedOut,
}

/// The WAV file of a text, out of the cache or freshly spoken.
pub(super) fn spoken(tts: &Tts, cache: &Path, text: &str, voice: &str) -> Result<Vec<u8>, SpeechError> {
    let mut hash = Sha256::new();
    for part in [tts.command.join("\0").as_str(), voice, text] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let file = cache.join(format!("{name}.wav"));
    if let Ok(bytes) = std::fs::read(&file) {
        return Ok(bytes);
    }
    let bytes = run(tts, text, voice)?;
    // Written beside and renamed, so that a crash leaves no half file behind.
    let beside = cache.join(format!("{name}.part"));
    let kept = std::fs::write(&beside, &bytes).and_then(|()| std::fs::rename(&beside, &file));
    if let Err(error) = kept {
        tracing::warn!(%error, "a spoken text could not be kept; it will be spoken again at the next start");
    }
    Ok(bytes)
}

fn run(tts: &Tts, text: &str, voice: &str) -> Result<Vec<u8>, SpeechError> {
    let (program, arguments) = tts.command.split_first().ok_or(SpeechError::NoCommand)?;
    let fault = |source| SpeechError::Run { command: program.clone(), source };
    let mut child = Command::new(program)
        .args(arguments.iter().map(|argument| argument.replace("{voice}", voice)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(fault)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let text = text.to_owned();
    let writer = std::thread::spawn(move || {
        // A command that does not read its text fails by itself.
        stdin.map(|mut stdin| stdin.write_all(text.as_bytes()).is_ok())
    });
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let Some(stdout) = stdout else { return Ok(bytes) };
        stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = wait(&mut child, Duration::from_secs(tts.timeout_seconds)).map_err(fault)?;
    let _written = writer.join().is_ok();
    let bytes =
        reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader panicked"))).map_err(fault)?;
    match status {
        None => Err(SpeechError::TimedOut),
        Some(status) if status.success() => Ok(bytes),
        Some(status) => Err(SpeechError::Failed(status)),
    }
}

/// The status of a child that ended in time; one that did not is killed.
fn wait(child: &mut Child, within: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tts(command: &[&str]) -> Tts {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Tts { command, voice: "v".into(), timeout_seconds: 1 }
    }

    #[test]
    fn a_text_is_spoken_once_and_then_kept() {
        let cache = tempfile::tempdir().unwrap();
        let counter = cache.path().join("count");
        let script = format!("echo x >> {}; cat", counter.display());
        let command = tts(&["sh", "-c", &script]);
        for _ in 0..2 {
            assert_eq!(spoken(&command, cache.path(), "hello", "v").unwrap(), b"hello");
        }
        assert_eq!(std::fs::read_to_string(&counter).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_command_that_hangs_fails_or_is_missing_says_so() {
        let cache = tempfile::tempdir().unwrap();
        let fault = |command: &[&str]| spoken(&tts(command), cache.path(), "x", "v").unwrap_err();
        assert!(matches!(fault(&["sleep", "30"]), SpeechError::TimedOut));
        assert!(matches!(fault(&["false"]), SpeechError::Failed(_)));
        assert!(matches!(fault(&["there-is-no-such-program"]), SpeechError::Run { .. }));
        assert!(matches!(fault(&[]), SpeechError::NoCommand));
    }
}
