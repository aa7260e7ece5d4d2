//! The figures of the in-band detector, over mu-law and A-law, and ten minutes of speech.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot make its speech has failed")]

use std::{fs, path::PathBuf, process::Command};

use rtp_proto::{
    dtmf::Digit,
    g711::Law,
    inband::Detector,
    tone::{self, Tone, dtmf_frequencies},
};

/// How the digits of a test sound.
#[derive(Clone, Copy)]
struct Sound {
    on_ms: usize,
    off_ms: usize,
    row_dbm0: f64,
    column_dbm0: f64,
    /// Factor of both frequencies.
    pitch: f64,
    /// Signal to noise in dB.
    snr: Option<f64>,
    law: Law,
}

const NOMINAL: Sound = Sound {
    on_ms: 100,
    off_ms: 100,
    row_dbm0: -10.0,
    column_dbm0: -10.0,
    pitch: 1.0,
    snr: None,
    law: Law::Mu,
};

/// A small generator (xorshift), so that every run is the same.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Nearly Gaussian, of variance 1.
    fn noise(&mut self) -> f64 {
        let sum: f64 = (0..12).map(|_| (self.next() % 1_000_000) as f64 / 1e6).sum();
        sum - 6.0
    }
}

/// Forty times the sixteen digits, with pauses that put them anywhere in frames and blocks: what was pressed and heard.
fn dialled(sound: Sound) -> (Vec<Digit>, Vec<Digit>) {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut pressed = Vec::new();
    let mut samples: Vec<i16> = vec![0; 800];
    for digit in (0..40).flat_map(|_| Digit::ALL) {
        let (row, column) = dtmf_frequencies(digit);
        let tones = [
            Tone { frequency: row * sound.pitch, level_dbm0: sound.row_dbm0 },
            Tone { frequency: column * sound.pitch, level_dbm0: sound.column_dbm0 },
        ];
        samples.extend(tone::mix(&tones, sound.on_ms * 8));
        samples.extend(vec![0; sound.off_ms * 8 + (chance.next() % 160) as usize]);
        pressed.push(digit);
    }
    samples.extend(vec![0; 800]);
    if let Some(snr) = sound.snr {
        let power = 10_f64.powf(sound.row_dbm0 / 10.0) + 10_f64.powf(sound.column_dbm0 / 10.0);
        let deviation = tone::PEAK_AT_0_DBM0 * (power / 2.0 / 10_f64.powf(snr / 10.0)).sqrt();
        for sample in &mut samples {
            *sample = (f64::from(*sample) + deviation * chance.noise()).round() as i16;
        }
    }
    let bytes: Vec<u8> = samples.into_iter().map(|sample| sound.law.encode(sample)).collect();
    let mut heard = Vec::new();
    let mut detector = Detector::new();
    for frame in bytes.chunks(160) {
        detector.handle_g711(sound.law, frame, |digit| heard.push(digit));
    }
    (pressed, heard)
}

#[track_caller]
fn assert_all_heard(sound: Sound) {
    for law in [Law::Mu, Law::A] {
        let (pressed, heard) = dialled(Sound { law, ..sound });
        assert_eq!(pressed.len(), 640);
        let same = pressed.iter().zip(&heard).take_while(|(a, b)| a == b).count();
        assert_eq!((heard.len(), same), (640, 640), "{law:?}: heard so many, the first so many rightly");
    }
}

#[test]
fn every_digit_of_100_ms_is_heard() {
    assert_all_heard(NOMINAL);
}

#[test]
fn every_digit_of_40_ms_with_pauses_of_40_ms_is_heard() {
    assert_all_heard(Sound { on_ms: 40, off_ms: 40, ..NOMINAL });
}

#[test]
fn every_digit_is_heard_at_either_end_of_the_frequency_tolerance() {
    for pitch in [1.015, 0.985] {
        assert_all_heard(Sound { on_ms: 50, off_ms: 50, pitch, ..NOMINAL });
        assert_all_heard(Sound { on_ms: 40, off_ms: 40, pitch, ..NOMINAL });
    }
}

#[test]
fn every_quiet_digit_is_heard() {
    assert_all_heard(Sound { on_ms: 40, off_ms: 40, row_dbm0: -24.0, column_dbm0: -24.0, ..NOMINAL });
}

#[test]
fn every_loud_digit_is_heard() {
    assert_all_heard(Sound { on_ms: 40, off_ms: 40, row_dbm0: -3.0, column_dbm0: -3.0, ..NOMINAL });
}

#[test]
fn every_digit_is_heard_at_15_db_above_noise() {
    assert_all_heard(Sound { on_ms: 60, off_ms: 60, snr: Some(15.0), ..NOMINAL });
    assert_all_heard(Sound { on_ms: 40, off_ms: 40, snr: Some(15.0), ..NOMINAL });
}

#[test]
fn every_digit_is_heard_when_one_tone_is_stronger() {
    assert_all_heard(Sound { on_ms: 50, off_ms: 50, column_dbm0: -6.5, ..NOMINAL });
    assert_all_heard(Sound { on_ms: 50, off_ms: 50, column_dbm0: -17.0, ..NOMINAL });
}

#[test]
fn tones_3_5_percent_off_are_rejected() {
    for pitch in [1.035, 0.965] {
        let (_, heard) = dialled(Sound { pitch, ..NOMINAL });
        assert_eq!(heard, [], "pitch {pitch}");
    }
}

#[test]
fn tones_of_20_ms_are_hardly_ever_taken() {
    let (_, heard) = dialled(Sound { on_ms: 20, ..NOMINAL });
    assert!(heard.len() <= 12, "{} of 640 heard", heard.len());
}

#[test]
fn an_interruption_of_10_ms_does_not_double_a_digit() {
    for start in 0..102 {
        let mut samples = vec![0; 400 + start];
        let mut tone = tone::dtmf(Digit::Five, -10.0, 1600);
        tone[700..780].fill(0);
        samples.extend(tone);
        samples.extend([0; 800]);
        let mut heard = Vec::new();
        Detector::new().handle(samples, |digit| heard.push(digit));
        assert_eq!(heard, [Digit::Five], "start {start}");
    }
}

#[test]
fn a_single_tone_or_ringback_is_no_digit() {
    let mut samples = tone::ringback(-10.0);
    for frequency in tone::DTMF_ROWS.into_iter().chain(tone::DTMF_COLUMNS) {
        samples.extend(tone::mix(&[Tone { frequency, level_dbm0: -10.0 }], 8000));
    }
    Detector::new().handle(samples, |digit| panic!("heard {digit}"));
}

#[test]
fn frames_of_any_size_give_the_same_digits() {
    let mut samples = Vec::new();
    for digit in Digit::ALL {
        samples.extend(tone::dtmf(digit, -12.0, 400));
        samples.extend([0; 400]);
    }
    for size in [1, 7, 80, 160, 240, 480, 5000] {
        let mut heard = Vec::new();
        let mut detector = Detector::new();
        for frame in samples.chunks(size) {
            detector.handle(frame.iter().copied(), |digit| heard.push(digit));
        }
        assert_eq!(heard, Digit::ALL, "frames of {size}");
    }
}

#[test]
fn ten_minutes_of_speech_hold_no_digit() {
    let mut sample_count = 0;
    let mut heard = Vec::new();
    for voice in VOICES {
        let speech = speech(voice);
        sample_count += speech.len();
        for law in [Law::Mu, Law::A] {
            let bytes: Vec<u8> = speech.iter().map(|&sample| law.encode(sample)).collect();
            let mut detector = Detector::new();
            for (frame, payload) in bytes.chunks(160).enumerate() {
                detector.handle_g711(law, payload, |digit| heard.push((voice, law, frame, digit)));
            }
        }
    }
    assert!(sample_count >= 600 * 8000, "only {} s of speech", sample_count / 8000);
    assert!(heard.is_empty(), "voice, law, frame, digit: {heard:?}");
}

/// The text in one voice at 8 kHz; made once and kept in the target folder.
fn speech(voice: &str) -> Vec<i16> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let made = folder.join(format!("speech-{voice}-1.raw"));
    if !made.exists() {
        let full = folder.join(format!("speech-{voice}-{}.wav", std::process::id()));
        let raw = folder.join(format!("speech-{voice}-{}.raw", std::process::id()));
        run(Command::new("espeak-ng").args(["-v", voice, "-s", "140", "-w"]).arg(&full).arg(TEXT));
        run(Command::new("sox")
            .arg(&full)
            .args("-r 8000 -c 1 -b 16 -e signed -t raw".split(' '))
            .arg(&raw)
            .args(["norm", "-3"]));
        fs::rename(&raw, &made).expect("the speech can be put in place");
        fs::remove_file(&full).expect("the full-rate speech can be removed");
    }
    let bytes = fs::read(&made).expect("the speech can be read");
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn run(command: &mut Command) {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) => assert!(status.success(), "{command:?} ended with {status}"),
        Err(error) => panic!("this test needs {name} (deploy/setup installs it): {error}"),
    }
}

const VOICES: [&str; 12] = [
    "en-us",
    "en-gb",
    "en-gb-scotland",
    "en-us+f2",
    "en-gb+f4",
    "en-us+m3",
    "de",
    "fr",
    "es",
    "it",
    "pl",
    "nl+f3",
];

const TEXT: &str = "Good morning, and thank you for calling. My name is Eleanor, and I am ringing about the \
    parcel that was to be delivered on Thursday between nine and eleven. The driver rang the bell once, waited \
    for a moment, and left a card which says that I should call this number and give you a code of eight letters. \
    I have tried it twice; each time a voice asked me to hold the line, and then there was music, which was rather \
    pleasant, and then nothing at all. Could you please look it up? The street is called Mill Lane, the house is the \
    old school, and the town is Aldeburgh. Oh, you would like to know whether the weather is fine here? It is \
    blowing a gale, the sea is grey, and the gulls are screaming over the roofs. Well, we do not mind. When I was \
    a girl, my uncle used to say that a real storm was worth more than seven sunny days, because afterwards one \
    could find amber on the beach. He had a blue bowl full of it. Where were we? Yes, the parcel. It ought to be a \
    brown box, about two feet long, quite heavy, and it is marked fragile, since it holds a mirror. If you could \
    send it again on Monday, I shall be at home all day; or leave it with my neighbour, who works in the evening. \
    No, there is no need to ring me back. Thank you ever so much, and have a lovely weekend. Goodbye.";
