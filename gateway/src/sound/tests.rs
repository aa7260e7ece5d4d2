use rtp_proto::g711::Law;
use vestibule_config::store::{Options, Store};

use super::*;

fn library(folder: &std::path::Path, command: &[&str]) -> Library {
    let tts = Tts {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        voice: "en-us".into(),
        timeout_seconds: 5,
        text_chars_max: 100,
        parallel_max: 2,
        cache_bytes_max: 1 << 20,
    };
    Library::open(folder.to_owned(), tts).unwrap()
}

/// A store and the library that makes its sounds ready, as the gateway joins them.
fn joined(folder: &std::path::Path, command: &[&str]) -> (Store, Library) {
    let store = Store::open(folder, Options { speech: true, ..Options::default() }).unwrap();
    store.seed(vestibule_config::sample::SAMPLE).unwrap();
    let library = library(folder, command);
    let (ready, active) = (library.clone(), library.clone());
    store.prepare_with(move |table| ready.prepare(table));
    store.active().subscribe(move |routing| active.install(&routing.prompts));
    (store, library)
}

fn put(store: &Store, id: &str, body: serde_json::Value) {
    let key = vestibule_config::document::Key::new(vestibule_config::document::Kind::Prompts, id);
    store.edit(&key, Some(&body), None).unwrap();
}

/// A script that speaks a second of tone.
fn speaker(folder: &std::path::Path) -> String {
    let file = folder.join("spoken");
    let samples = tone::mix(&[tone::Tone { frequency: 500.0, level_dbm0: -30.0 }], 8000);
    std::fs::write(&file, wav::write(&samples, 8000, Encoding::Pcm16)).unwrap();
    file.display().to_string()
}

#[test]
fn every_built_in_sound_is_there_and_is_audible() {
    let folder = tempfile::tempdir().unwrap();
    let library = library(folder.path(), &[]);
    let table = Arc::new(PromptTable::default());
    library.install(&table);
    for name in vestibule_config::compile::BUILTINS {
        let audio = library.of(&table).get(&PromptId::new(format!("builtin:{name}"))).expect(name);
        assert!(audio.duration_ms() > 400, "{name}");
        let samples: Vec<i16> = audio.law(Law::Mu).iter().map(|byte| Law::Mu.decode(*byte)).collect();
        let level = tone::level_dbm0(&samples);
        assert!((-35.0..-8.0).contains(&level), "{name}: {level} dBm0");
    }
    let music = |name: &str| library.of(&table).get(&PromptId::new(format!("builtin:{name}")));
    assert_ne!(music("queue_music"), music("hold_music"));
}

#[test]
fn the_tone_before_a_message_is_short_and_loud() {
    let folder = tempfile::tempdir().unwrap();
    let beep = library(folder.path(), &[]).beep();
    let samples: Vec<i16> = beep.law(Law::Mu).iter().map(|byte| Law::Mu.decode(*byte)).collect();
    assert_eq!(beep.duration_ms(), 400);
    assert!((tone::level_dbm0(&samples) + 15.0).abs() < 0.5);
}

#[test]
fn the_ringing_tone_has_its_cadence() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(library(folder.path(), &[]).ringback().duration_ms(), 6000);
}

#[test]
fn a_recording_of_any_usual_form_comes_to_8_khz_mono_at_one_level() {
    for rate in [8000, 16_000, 44_100, 48_000] {
        let samples: Vec<i16> = (0..rate)
            .map(|i| (3000.0 * (std::f64::consts::TAU * 800.0 * f64::from(i) / f64::from(rate)).sin()) as i16)
            .collect();
        let wav = Wav::parse(&canonical(&wav::write(&samples, rate, Encoding::Pcm16)).unwrap()).unwrap();
        assert_eq!((wav.rate, wav.channels, wav.duration_ms()), (8000, 1, 1000), "{rate}");
        assert!((tone::level_dbm0(&wav.samples) + 20.0).abs() < 0.3, "{rate}");
    }
}

#[test]
fn a_recording_of_more_than_ten_minutes_is_refused() {
    let file = wav::write(&vec![1; 4000 * 601], 4000, Encoding::G711(Law::Mu));
    assert!(matches!(canonical(&file), Err(SoundError::TooLong)));
}

#[test]
fn texts_are_spoken_before_the_routing_that_names_them_is_active() {
    let folder = tempfile::tempdir().unwrap();
    let sound = speaker(folder.path());
    let gate = folder.path().join("gate");
    let script = format!("while [ ! -e {} ]; do sleep 0.01; done; cat {sound}", gate.display());
    let (store, library) = joined(folder.path(), &["sh", "-c", &script]);
    put(&store, "hello", serde_json::json!({"text": "Hello."}));
    let revision = store.active().load().revision;
    std::thread::scope(|scope| {
        let publish = scope.spawn(|| store.publish("me", "speaks", None));
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(store.active().load().revision, revision, "active before it can speak");
        // The store is not locked while the program speaks.
        store.revisions(None, 1).unwrap();
        std::fs::write(&gate, "").unwrap();
        publish.join().unwrap().unwrap();
    });
    let routing = store.active().load();
    assert_eq!(library.of(&routing.prompts).get(&PromptId::new("hello")).unwrap().duration_ms(), 1000);
}

#[test]
fn a_text_that_cannot_be_spoken_stops_the_publish_and_only_that_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _library) = joined(folder.path(), &["false"]);
    put(&store, "hello", serde_json::json!({"text": "Hello."}));
    let Err(vestibule_config::store::StoreError::Invalid(findings)) = store.publish("me", "speaks", None)
    else {
        panic!("published");
    };
    assert_eq!((findings[0].code, findings[0].path.as_str()), (Code::NoSound, "/prompts/hello"));
    assert!(store.publish("me", "tries again", None).is_err(), "the second try went through");
    store.discard_draft(None).unwrap();
    put(&store, "other", serde_json::json!({"builtin": "welcome"}));
    store.publish("me", "is silent about it", None).unwrap();
}

#[test]
fn a_call_keeps_the_sounds_of_its_routing_and_the_last_call_takes_them_along() {
    let folder = tempfile::tempdir().unwrap();
    let (store, library) = joined(folder.path(), &["cat", &speaker(folder.path())]);
    put(&store, "hello", serde_json::json!({"text": "Hello."}));
    store.publish("me", "speaks", None).unwrap();
    let mine = library.of(&store.active().load().prompts);
    put(&store, "hello", serde_json::json!({"builtin": "welcome"}));
    store.publish("me", "speaks otherwise", None).unwrap();
    let next = library.of(&store.active().load().prompts);
    let hello = PromptId::new("hello");
    assert_ne!(mine.get(&hello), next.get(&hello));
    let audio = mine.get(&hello).unwrap();
    drop(mine);
    assert_eq!(Arc::strong_count(&audio.pcmu), 1, "somebody else keeps a sound that no routing names");
}
