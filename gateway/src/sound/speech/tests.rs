use rtp_proto::{
    tone,
    wav::{self, Encoding},
};

use super::*;

fn tts(command: &[&str]) -> Tts {
    Tts {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        voice: "v".into(),
        timeout_seconds: 1,
        text_chars_max: 100,
        parallel_max: 2,
        cache_bytes_max: 1 << 20,
    }
}

/// A WAV file of half a second, and a folder for the cache that holds it.
fn sound() -> (tempfile::TempDir, String, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sound");
    let samples = tone::mix(&[tone::Tone { frequency: 500.0, level_dbm0: -30.0 }], 4000);
    std::fs::write(&file, wav::write(&samples, 8000, Encoding::Pcm16)).unwrap();
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    (folder, file.display().to_string(), cache)
}

fn kept(cache: &Path) -> usize {
    std::fs::read_dir(cache).unwrap().count()
}

#[test]
fn a_text_is_spoken_once_and_then_kept() {
    let (folder, sound, cache) = sound();
    let counter = folder.path().join("count");
    let script = format!("cat >> {}; cat {sound}", counter.display());
    let command = tts(&["sh", "-c", &script]);
    for _ in 0..2 {
        assert_eq!(spoken(&command, &cache, "hello", "v").unwrap().duration_ms(), 500);
    }
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "hello");
    assert_eq!(kept(&cache), 1);
}

#[test]
fn what_cannot_be_played_is_not_kept() {
    let (_folder, _, cache) = sound();
    for command in [&["true"][..], &["cat"], &["echo", "RIFF"]] {
        let said = spoken(&tts(command), &cache, "x", "v");
        assert!(matches!(said, Err(SoundError::Wav(_) | SoundError::Compressed(_))), "{command:?}: {said:?}");
    }
    assert_eq!(kept(&cache), 0);
}

#[test]
fn a_damaged_file_is_spoken_again() {
    let (_folder, sound, cache) = sound();
    let command = tts(&["cat", &sound]);
    spoken(&command, &cache, "x", "v").unwrap();
    std::fs::write(cached(&command, &cache, "x", "v"), b"half").unwrap();
    assert_eq!(spoken(&command, &cache, "x", "v").unwrap().duration_ms(), 500);
}

#[test]
fn a_command_that_hangs_fails_or_is_missing_says_so() {
    let (_folder, _, cache) = sound();
    let fault = |command: &[&str]| match spoken(&tts(command), &cache, "x", "v") {
        Err(SoundError::Speech(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(fault(&["sleep", "30"]), SpeechError::TimedOut));
    assert!(matches!(fault(&["false"]), SpeechError::Failed(_)));
    assert!(matches!(fault(&["there-is-no-such-program"]), SpeechError::Run { .. }));
    assert!(matches!(fault(&[]), SpeechError::NoCommand));
}

#[test]
fn a_child_of_the_command_that_keeps_its_output_open_neither_delays_nor_survives() {
    let (folder, sound, cache) = sound();
    let pid = folder.path().join("pid");
    let script = format!("sleep 60 & echo $! > {}; cat {sound}", pid.display());
    let begun = Instant::now();
    spoken(&tts(&["sh", "-c", &script]), &cache, "x", "v").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    let script = format!("sleep 60 & echo $! > {}; wait", pid.display());
    assert!(spoken(&tts(&["sh", "-c", &script]), &cache, "y", "v").is_err());
    let pid = std::fs::read_to_string(&pid).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(5);
    // Gone, or a zombie that waits for its new parent.
    while !(state().is_empty() || state().contains(") Z ")) {
        assert!(Instant::now() < end, "the grandchild lives: {}", state());
        std::thread::sleep(LOOK);
    }
}

#[test]
fn a_voice_that_could_be_an_option_and_a_text_too_long_never_reach_the_command() {
    let (_folder, sound, cache) = sound();
    let command = tts(&["cat", &sound]);
    for voice in ["-w/etc/passwd", "", "a b", "../x", "é", &"v".repeat(65)] {
        let fault = spoken(&command, &cache, "x", voice);
        assert!(matches!(fault, Err(SoundError::Speech(SpeechError::Voice))), "{voice}");
    }
    assert!(spoken(&command, &cache, "x", "en-us+f3").is_ok());
    let fault = spoken(&command, &cache, &"é".repeat(101), "v");
    assert!(matches!(fault, Err(SoundError::Speech(SpeechError::TextTooLong))));
}

#[test]
fn the_cache_keeps_what_was_used_last_within_its_bound() {
    let (_folder, sound, cache) = sound();
    // A file of half a second has 8044 bytes.
    let command = Tts { cache_bytes_max: 3 * 8044, ..tts(&["cat", &sound]) };
    for text in ["a", "b", "c", "a", "d"] {
        spoken(&command, &cache, text, "v").unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let there = ["a", "b", "c", "d"].map(|text| cached(&command, &cache, text, "v").exists());
    assert_eq!(there, [true, false, true, true]);
}
