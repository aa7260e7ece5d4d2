//! G.711 by its tables, frames, tones by frequency and level, and WAV files of every form.

use rtp_proto::{
    FRAME_SAMPLES,
    dtmf::Digit,
    frames::Audio,
    g711::{Law, alaw_to_ulaw, ulaw_to_alaw, ulaw_to_alaw_in_place},
    tone::{self, Tone},
    wav::{self, Encoding, Wav, WavError},
};

#[test]
fn every_code_comes_back_from_linear_and_minus_zero_as_zero() {
    for byte in 0..=255 {
        assert_eq!(Law::A.encode(Law::A.decode(byte)), byte, "A-law {byte:#04x}");
        let expected = if byte == 0x7f { 0xff } else { byte };
        assert_eq!(Law::Mu.encode(Law::Mu.decode(byte)), expected, "mu-law {byte:#04x}");
    }
}

#[test]
fn codes_have_the_values_of_the_tables_in_g_711() {
    // Decision of table 2a times 4 (14 bits to 16), and of table 1a times 8 (13 bits to 16).
    for (byte, value) in [
        (0x80, 8031 * 4),
        (0x8f, 4191 * 4),
        (0x9f, 2079 * 4),
        (0xaf, 1023 * 4),
        (0xbf, 495 * 4),
        (0xfe, 2 * 4),
        (0xff, 0),
    ] {
        assert_eq!(Law::Mu.decode(byte), value, "{byte:#04x}");
        assert_eq!(Law::Mu.decode(byte ^ 0x80), -value, "{byte:#04x}");
    }
    for (byte, value) in [(0xaa, 4032 * 8), (0xa5, 2112 * 8), (0xd5, 8), (0xd4, 3 * 8)] {
        assert_eq!(Law::A.decode(byte), value, "{byte:#04x}");
        assert_eq!(Law::A.decode(byte ^ 0x80), -value, "{byte:#04x}");
    }
}

#[test]
fn coding_is_monotonous_and_ends_are_clipped() {
    for law in [Law::Mu, Law::A] {
        let mut before = i16::MIN;
        for sample in i16::MIN..=i16::MAX {
            let now = law.decode(law.encode(sample));
            assert!(now >= before, "{law:?} {sample}");
            assert!(
                (i32::from(now) - i32::from(sample)).abs() <= 16 + i32::from(sample).abs() / 16,
                "{law:?} {sample}"
            );
            before = now;
        }
        assert_eq!(law.decode(law.silence()).abs() / 16, 0);
    }
}

#[test]
fn one_law_to_the_other_keeps_the_value_within_a_step() {
    for byte in 0..=255 {
        let (value, other) = (Law::Mu.decode(byte), Law::A.decode(ulaw_to_alaw(byte)));
        assert!((value - other).abs() <= 16 + value.abs() / 16, "{byte:#04x}: {value} {other}");
        let (value, other) = (Law::A.decode(byte), Law::Mu.decode(alaw_to_ulaw(byte)));
        assert!((value - other).abs() <= 16 + value.abs() / 16, "{byte:#04x}: {value} {other}");
    }
    let mut frame = [0xff, 0x80];
    ulaw_to_alaw_in_place(&mut frame);
    assert_eq!(frame, [ulaw_to_alaw(0xff), ulaw_to_alaw(0x80)]);
}

#[test]
fn audio_is_whole_frames_filled_up_with_silence() {
    let audio = Audio::encode(&[1000; 161]);
    assert_eq!((audio.frame_count(), audio.duration_ms()), (2, 40));
    for law in [Law::Mu, Law::A] {
        assert_eq!(audio.frame(law, 1).unwrap()[..2], [law.encode(1000), law.silence()]);
        assert_eq!(audio.frame(law, 2), None);
        assert_eq!(audio.bytes(law, 300, 240).unwrap().len(), 20);
    }
    assert_eq!(audio.frame(Law::Mu, usize::MAX), None);
    assert!(Audio::encode(&[]).is_empty());
}

#[test]
fn tones_have_their_frequency_and_level() {
    for (frequency, level_dbm0) in [(440.0, -10.0), (1000.0, 0.0), (3000.0, -40.0)] {
        let samples = tone::mix(&[Tone { frequency, level_dbm0 }], 8000);
        assert!((tone::level_dbm0(&samples) - level_dbm0).abs() < 0.1, "{frequency}");
        assert!(tone::power_share(&samples, frequency) > 0.99, "{frequency}");
        assert!(tone::power_share(&samples, frequency + 50.0) < 0.01, "{frequency}");
    }
    assert_eq!(tone::level_dbm0(&[0; 10]), f64::NEG_INFINITY);
    assert_eq!(tone::power_share(&[], 1.0), 0.0);
}

#[test]
fn each_key_has_its_two_tones_in_equal_parts() {
    for digit in Digit::ALL {
        let samples = tone::dtmf(digit, -10.0, 8000);
        let (row, column) = tone::dtmf_frequencies(digit);
        for frequency in [row, column] {
            assert!((tone::power_share(&samples, frequency) - 0.5).abs() < 0.01, "{digit} {frequency}");
        }
    }
}

#[test]
fn ringback_sounds_for_two_of_six_seconds() {
    let samples = tone::ringback(-19.0);
    assert_eq!(samples.len(), 300 * FRAME_SAMPLES);
    assert!((tone::power_share(&samples[..16_000], 440.0) - 0.5).abs() < 0.01);
    assert!(samples[16_000..].iter().all(|sample| *sample == 0));
}

/// A WAV file with any head: format, channels, rate, bits.
fn file(format: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    file.extend(format.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend([0; 6]);
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

#[test]
fn files_are_read_as_they_were_written() {
    let samples = [0, 1000, -1000, i16::MAX, i16::MIN];
    for encoding in [Encoding::Pcm16, Encoding::G711(Law::Mu), Encoding::G711(Law::A)] {
        let read = Wav::parse(&wav::write(&samples, 16_000, encoding)).unwrap();
        let expected = samples.map(|sample| match encoding {
            Encoding::Pcm16 => sample,
            Encoding::G711(law) => law.decode(law.encode(sample)),
        });
        assert_eq!(read, Wav { rate: 16_000, channels: 1, samples: expected.to_vec() });
    }
}

#[test]
fn samples_of_every_width_come_to_16_bits() {
    let float: Vec<u8> =
        [0.5_f32, -1.0, f32::NAN, 9.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let double: Vec<u8> = [0.5_f64, -1.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for (format, bits, data, expected) in [
        (1, 8, &[0x80, 0x00, 0xff][..], &[0, i16::MIN, 0x7f00][..]),
        (1, 24, &[0xaa, 0x34, 0x12, 0xff, 0x00, 0x80], &[0x1234, i16::MIN]),
        (1, 32, &[1, 2, 0x34, 0x12], &[0x1234]),
        (3, 32, &float, &[16_384, i16::MIN, 0, i16::MAX]),
        (3, 64, &double, &[16_384, i16::MIN]),
    ] {
        assert_eq!(
            Wav::parse(&file(format, 1, 8000, bits, data)).unwrap().samples,
            expected,
            "{format} {bits}"
        );
    }
}

#[test]
fn channels_are_added_with_equal_weight_and_half_turns_left_out() {
    let data: Vec<u8> =
        [300_i16, -100, 100, 32_767, 32_767, 32_767, 5].iter().flat_map(|s| s.to_le_bytes()).collect();
    let read = Wav::parse(&file(1, 3, 8000, 16, &data)).unwrap();
    assert_eq!(read.samples.len(), 6);
    assert_eq!(read.into_mono(), [100, 32_767]);
}

#[test]
fn the_extensible_form_is_read_by_its_inner_format() {
    let mut bytes = b"RIFF\0\0\0\0WAVEJUNK\x03\0\0\0abc\0fmt \x28\0\0\0\xfe\xff\x01\0".to_vec();
    bytes.extend(8000_u32.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 2, 0, 16, 0, 22, 0, 16, 0, 0, 0, 0, 0, 1, 0]);
    bytes.extend([0; 14]);
    bytes.extend(b"data\xff\xff\xff\xff\x34\x12");
    assert_eq!(Wav::parse(&bytes).unwrap().samples, [0x1234], "also with a length that is not known");
}

#[test]
fn files_that_are_none_are_refused_with_the_reason() {
    let refused = |bytes: &[u8]| Wav::parse(bytes).unwrap_err();
    let good = file(1, 1, 8000, 16, &[1, 2]);
    for len in 0..good.len() - 1 {
        assert!(Wav::parse(&good[..len]).is_err(), "{len}");
    }
    assert_eq!(refused(b"OggS00000000000000"), WavError::NotWav);
    assert_eq!(refused(b"RIFF\0\0\0\0WAVEdata\x02\0\0\0ab"), WavError::NoFormat);
    assert_eq!(refused(&file(1, 1, 8000, 16, &[])), WavError::NoAudio);
    assert_eq!(refused(&file(1, 1, 8000, 12, &[1, 2])), WavError::Encoding { format: 1, bits: 12 });
    assert_eq!(refused(&file(85, 1, 8000, 16, &[1, 2])), WavError::Encoding { format: 85, bits: 16 });
    assert_eq!(refused(&file(1, 0, 8000, 16, &[1, 2])), WavError::Channels(0));
    assert_eq!(refused(&file(1, 9, 8000, 16, &[1, 2])), WavError::Channels(9));
    assert_eq!(refused(&file(1, 1, 0, 16, &[1, 2])), WavError::Rate(0));
}

#[test]
fn a_header_of_two_channels_says_so_and_keeps_its_length() {
    for encoding in [Encoding::Pcm16, Encoding::G711(Law::Mu), Encoding::G711(Law::A)] {
        let mut data = Vec::new();
        for at in 0..400_i16 {
            encoding.push(encoded(encoding, at * 50), &mut data);
            encoding.push(encoded(encoding, at * -70), &mut data);
        }
        let len = u32::try_from(data.len()).unwrap();
        let mut file = wav::header(8000, 2, encoding, len);
        assert_eq!(file.len(), wav::header(8000, 2, encoding, 0).len());
        file.extend_from_slice(&data);
        let read = Wav::parse(&file).unwrap();
        assert_eq!((read.rate, read.channels, read.duration_ms()), (8000, 2, 50));
        for (at, turn) in (0..400_i16).zip(read.samples.chunks_exact(2)) {
            assert_eq!(turn, [encoded(encoding, at * 50), encoded(encoding, at * -70)]);
        }
    }
}

/// What an encoding keeps of a sample.
fn encoded(encoding: Encoding, sample: i16) -> i16 {
    match encoding {
        Encoding::Pcm16 => sample,
        Encoding::G711(law) => law.decode(law.encode(sample)),
    }
}
