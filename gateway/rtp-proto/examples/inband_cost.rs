//! What the in-band detector costs: microseconds of one core for each frame of 20 ms, the best of ten runs.

use std::{hint::black_box, time::Instant};

use rtp_proto::{
    FRAME_SAMPLES,
    dtmf::Digit,
    g711::Law,
    inband::Detector,
    tone::{self, Tone},
};

fn main() {
    let digits =
        Digit::ALL.into_iter().flat_map(|digit| [tone::dtmf(digit, -10.0, 800), vec![0; 800]].concat());
    let vowel = [120.0, 240.0, 720.0, 1200.0, 2400.0].map(|frequency| Tone { frequency, level_dbm0: -20.0 });
    println!("digits {:.2} us", microseconds_a_frame(&digits.collect::<Vec<_>>()));
    println!("vowel  {:.2} us", microseconds_a_frame(&tone::mix(&vowel, 25_600)));
}

fn microseconds_a_frame(samples: &[i16]) -> f64 {
    let bytes: Vec<u8> = samples.iter().map(|&sample| Law::Mu.encode(sample)).collect();
    let frames = bytes.len() / FRAME_SAMPLES;
    let run = || {
        let mut detector = Detector::new();
        let start = Instant::now();
        for _ in 0..100 {
            for frame in bytes.chunks(FRAME_SAMPLES) {
                detector.handle_g711(Law::Mu, black_box(frame), |digit| {
                    black_box(digit);
                });
            }
        }
        start.elapsed().as_secs_f64() * 1e6 / (100 * frames) as f64
    };
    (0..10).map(|_| run()).fold(f64::INFINITY, f64::min)
}
