//! The figures of the in-band detector, over mu-law and A-law, and a quarter of an hour of speech.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot make its speech has failed")]

use std::{fs, path::PathBuf, process::Command};

use rtp_proto::{
    dtmf::Digit,
    g711::Law,
    inband::Detector,
    tone::{self, Tone, dtmf_frequencies},
};

/// How the digits of a test sound.
#[derive(Clone, Copy, Debug)]
struct Sound {
    on_ms: usize,
    off_ms: usize,
    row_dbm0: f64,
    column_dbm0: f64,
    /// Factors of the row's and the column's frequency.
    pitch: (f64, f64),
    /// Signal to noise in dB.
    snr: Option<f64>,
}

const NOMINAL: Sound =
    Sound { on_ms: 100, off_ms: 100, row_dbm0: -10.0, column_dbm0: -10.0, pitch: (1.0, 1.0), snr: None };

/// The shortest that Q.24 lets a keypad send.
const SHORT: Sound = Sound { on_ms: 40, off_ms: 40, ..NOMINAL };

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

/// Forty times the sixteen digits.
fn pressed() -> impl Iterator<Item = Digit> {
    (0..40).flat_map(|_| Digit::ALL)
}

/// Them, with pauses that put them anywhere in frames and blocks.
fn dialled(sound: Sound) -> Vec<i16> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut samples: Vec<i16> = vec![0; 800];
    for digit in pressed() {
        let (row, column) = dtmf_frequencies(digit);
        let tones = [
            Tone { frequency: row * sound.pitch.0, level_dbm0: sound.row_dbm0 },
            Tone { frequency: column * sound.pitch.1, level_dbm0: sound.column_dbm0 },
        ];
        samples.extend(tone::mix(&tones, sound.on_ms * 8));
        samples.extend(vec![0; sound.off_ms * 8 + (chance.next() % 160) as usize]);
    }
    samples.extend(vec![0; 800]);
    if let Some(snr) = sound.snr {
        let power = 10_f64.powf(sound.row_dbm0 / 10.0) + 10_f64.powf(sound.column_dbm0 / 10.0);
        let deviation = tone::PEAK_AT_0_DBM0 * (power / 2.0 / 10_f64.powf(snr / 10.0)).sqrt();
        for sample in &mut samples {
            *sample = (f64::from(*sample) + deviation * chance.noise()).round() as i16;
        }
    }
    samples
}

/// What is heard of them, in either law.
fn heard_of(sound: Sound) -> [Vec<Digit>; 2] {
    let samples = dialled(sound);
    [Law::Mu, Law::A].map(|law| {
        let bytes: Vec<u8> = samples.iter().map(|&sample| law.encode(sample)).collect();
        let mut heard = Vec::new();
        let mut detector = Detector::new();
        for frame in bytes.chunks(160) {
            detector.handle_g711(law, frame, |digit| heard.push(digit));
        }
        heard
    })
}

#[track_caller]
fn assert_all_heard(sound: Sound) {
    for heard in heard_of(sound) {
        let same = pressed().zip(&heard).take_while(|(a, b)| a == *b).count();
        assert_eq!((heard.len(), same), (640, 640), "heard so many, the first so many rightly: {sound:?}");
    }
}

#[track_caller]
fn assert_none_heard(sound: Sound) {
    let counts = heard_of(sound).map(|heard| heard.len());
    assert_eq!(counts, [0, 0], "{sound:?}");
}

/// Either end of the frequency tolerance, for both tones and for each its own.
const OFF_FREQUENCY: [(f64, f64); 4] = [(1.015, 1.015), (0.985, 0.985), (1.015, 0.985), (0.985, 1.015)];

#[test]
fn every_digit_of_100_ms_is_heard() {
    assert_all_heard(NOMINAL);
}

#[test]
fn every_digit_of_40_ms_is_heard_with_pauses_of_30_to_70_ms() {
    for off_ms in [30, 35, 40, 70] {
        assert_all_heard(Sound { off_ms, ..SHORT });
    }
}

#[test]
fn every_digit_of_30_ms_is_heard() {
    assert_all_heard(Sound { on_ms: 30, ..SHORT });
}

#[test]
fn every_short_quiet_digit_off_frequency_and_in_noise_is_heard() {
    for pitch in OFF_FREQUENCY {
        for level in [-10.0, -24.0] {
            let sound = Sound { pitch, snr: Some(15.0), row_dbm0: level, column_dbm0: level, ..SHORT };
            assert_all_heard(sound);
            assert_all_heard(Sound { off_ms: 30, ..sound });
        }
    }
}

#[test]
fn every_digit_off_frequency_is_heard_at_12_db_above_noise() {
    for pitch in [(1.015, 1.015), (0.985, 0.985)] {
        assert_all_heard(Sound { pitch, snr: Some(12.0), ..SHORT });
    }
}

#[test]
fn every_digit_is_heard_from_0_to_minus_29_dbm0() {
    for level in [0.0, -3.0, -20.0, -29.0] {
        let sound = Sound { row_dbm0: level, column_dbm0: level, ..SHORT };
        assert_all_heard(sound);
        assert_all_heard(Sound { pitch: (1.015, 1.015), snr: Some(15.0), ..sound });
    }
}

#[test]
fn no_digit_is_heard_at_minus_35_dbm0() {
    assert_none_heard(Sound { row_dbm0: -35.0, column_dbm0: -35.0, ..NOMINAL });
}

#[test]
fn every_digit_is_heard_when_one_tone_is_stronger() {
    for (column_over_row, snr) in [(6.0, None), (4.0, Some(15.0)), (-6.0, Some(15.0)), (-8.0, None)] {
        let sound = Sound { column_dbm0: NOMINAL.row_dbm0 + column_over_row, snr, ..SHORT };
        assert_all_heard(sound);
        for pitch in OFF_FREQUENCY {
            assert_all_heard(Sound { pitch, ..sound });
        }
    }
}

#[test]
fn a_long_digit_in_noise_is_heard_once() {
    assert_all_heard(Sound { on_ms: 300, pitch: (0.985, 1.015), snr: Some(10.0), ..SHORT });
}

#[test]
fn tones_3_5_percent_off_are_rejected() {
    for pitch in [(1.035, 1.035), (0.965, 0.965), (1.035, 1.0), (1.0, 0.965)] {
        assert_none_heard(Sound { pitch, ..NOMINAL });
    }
    assert_none_heard(Sound { pitch: (1.035, 0.965), snr: Some(15.0), ..NOMINAL });
}

#[test]
fn tones_of_23_ms_and_less_are_rejected() {
    for on_ms in [20, 22, 23] {
        assert_none_heard(Sound { on_ms, ..SHORT });
        assert_none_heard(Sound { on_ms, snr: Some(15.0), ..SHORT });
    }
    for pitch in OFF_FREQUENCY {
        assert_none_heard(Sound { on_ms: 23, pitch, ..SHORT });
    }
}

/// What is heard of a tone of 200 ms with a hole in it, begun at so many samples.
fn heard_around_hole(digit: Digit, start: usize, hole_ms: usize) -> Vec<Digit> {
    let mut samples = vec![0; 400 + start];
    let mut tone = tone::dtmf(digit, -10.0, 1600);
    tone[700..700 + hole_ms * 8].fill(0);
    samples.extend(tone);
    samples.extend([0; 800]);
    let mut heard = Vec::new();
    Detector::new().handle(samples, |digit| heard.push(digit));
    heard
}

#[test]
fn an_interruption_of_15_ms_does_not_double_a_digit() {
    for digit in Digit::ALL {
        for (start, hole_ms) in (0..60).flat_map(|start| [(start, 10), (start, 15)]) {
            assert_eq!(heard_around_hole(digit, start, hole_ms), [digit], "start {start}, {hole_ms} ms");
        }
    }
}

#[test]
fn a_pause_of_30_ms_parts_a_digit_from_the_same_again() {
    for digit in Digit::ALL {
        for start in 0..60 {
            assert_eq!(heard_around_hole(digit, start, 30), [digit, digit], "start {start}");
        }
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
fn a_quarter_of_an_hour_of_speech_holds_no_digit() {
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
    assert!(sample_count >= 900 * 8000, "only {} s of speech", sample_count / 8000);
    assert!(heard.is_empty(), "voice, law, frame, digit: {heard:?}");
}

/// The text in one voice at 8 kHz; made once and kept in the target folder.
fn speech((voice, words_a_minute, pitch): (&str, u16, u8)) -> Vec<i16> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let name = format!("speech-{voice}-{words_a_minute}-{pitch}");
    let made = folder.join(format!("{name}.raw"));
    if !made.exists() {
        let full = folder.join(format!("{name}-{}.wav", std::process::id()));
        let raw = folder.join(format!("{name}-{}.raw", std::process::id()));
        let [speed, pitch] = [words_a_minute.to_string(), pitch.to_string()];
        run(Command::new("espeak-ng")
            .args(["-v", voice, "-s", &speed, "-p", &pitch, "-w"])
            .arg(&full)
            .arg(TEXT));
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

/// Voices, words a minute and pitch from 0 to 99. Those after the first twelve come nearest to digits, of sixty that
/// were tried.
const VOICES: [(&str, u16, u8); 18] = [
    ("en-us", 140, 50),
    ("en-gb", 140, 50),
    ("en-gb-scotland", 140, 50),
    ("en-us+f2", 140, 50),
    ("en-gb+f4", 140, 50),
    ("en-us+m3", 140, 50),
    ("de", 140, 50),
    ("fr", 140, 50),
    ("es", 140, 50),
    ("it", 140, 50),
    ("pl", 140, 50),
    ("nl+f3", 140, 50),
    ("en-us+f3", 240, 95),
    ("en-us+f4", 240, 95),
    ("en-us+croak", 240, 95),
    ("en-us+klatt2", 240, 95),
    ("tr", 240, 95),
    ("sv", 110, 20),
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
