"""The queue music: twelve calm bars for plucked strings, a soft lead and a pad. Our own composition.

The piece is written into a ring: what still sounds at the end goes on at the beginning, so it repeats without a seam.
A bar lasts 2.8 s, the whole 33.6 s, which is a whole number of 20 ms frames.
"""

import math

BAR_SECONDS = 2.8
BEAT = BAR_SECONDS / 4

# Chords by MIDI note, a bar each: bass, then four notes for pad and strings.
CHORDS = [
    (48, (60, 64, 67, 71)),  # C major 7
    (45, (57, 60, 64, 67)),  # A minor 7
    (53, (60, 65, 69, 72)),  # F
    (43, (59, 62, 67, 71)),  # G
    (48, (60, 64, 67, 74)),  # C add 9
    (52, (59, 64, 67, 71)),  # E minor
    (53, (57, 60, 65, 69)),  # F
    (43, (60, 62, 67, 72)),  # G suspended
    (45, (57, 60, 64, 69)),  # A minor
    (53, (57, 60, 64, 69)),  # F major 7
    (50, (57, 62, 65, 72)),  # D minor 7
    (43, (59, 62, 65, 71)),  # G 7
]

# Eighth notes: which chord note, and how many octaves up.
PATTERN = [(0, 0), (2, 0), (1, 1), (3, 0), (2, 0), (0, 1), (3, 0), (1, 1)]

# The lead: bar, beat, length in beats, note.
LEAD = [
    (0, 0, 2, 76), (0, 2, 1, 79), (0, 3, 1, 74),
    (1, 0, 3, 72), (1, 3, 1, 74),
    (2, 0, 2, 76), (2, 2, 2, 72),
    (3, 0, 4, 74),
    (4, 0, 2, 79), (4, 2, 1, 76), (4, 3, 1, 79),
    (5, 0, 3, 83), (5, 3, 1, 79),
    (6, 0, 1, 81), (6, 1, 1, 79), (6, 2, 2, 76),
    (7, 0, 4, 74),
    (8, 0, 2, 76), (8, 2, 1, 72), (8, 3, 1, 76),
    (9, 0, 3, 77), (9, 3, 1, 76),
    (10, 0, 2, 74), (10, 2, 2, 69),
    (11, 0, 3, 71),
]  # fmt: skip


def compose(rate):
    ring = [0.0] * round(len(CHORDS) * BAR_SECONDS * rate)
    for bar, (bass, notes) in enumerate(CHORDS):
        start = bar * BAR_SECONDS
        pluck(ring, rate, start, bass, 2.4, 0.5)
        pluck(ring, rate, start + 2 * BEAT, bass + 12, 1.4, 0.25)
        for note in notes:
            swell(ring, rate, start, note, BAR_SECONDS, 0.09)
        for step, (place, octave) in enumerate(PATTERN):
            pluck(ring, rate, start + step * BEAT / 2, notes[place] + 12 * octave, 1.2, 0.3 if step % 4 == 0 else 0.22)
    for bar, beat, length, note in LEAD:
        sing(ring, rate, bar * BAR_SECONDS + beat * BEAT, note, length * BEAT, 0.3)
    peak = max(map(abs, ring))
    return [round(20000 * value / peak) for value in ring]


def pluck(ring, rate, start, note, seconds, loudness):
    """A string: harmonics that die the sooner the higher they are."""
    for harmonic in range(1, 7):
        frequency = pitch(note) * harmonic
        if frequency < 3300:
            add(ring, rate, start, seconds, frequency, loudness / harmonic**1.3,
                lambda t, h=harmonic: min(1, t / 0.004) * math.exp(-t * (2.2 + 1.1 * h)) * fade(t, seconds))  # fmt: skip


def swell(ring, rate, start, note, seconds, loudness):
    """A pad: two voices a little apart that come and go slowly."""
    whole = seconds + 0.6
    for detune in (0.997, 1.003):
        for harmonic, part in ((1, 1.0), (2, 0.35), (3, 0.15)):
            add(ring, rate, start, whole, pitch(note) * harmonic * detune, loudness * part,
                lambda t: min(1, t / 0.6) * min(1, (whole - t) / 0.6))  # fmt: skip


def sing(ring, rate, start, note, seconds, loudness):
    """The lead: nearly a sine, soft at both ends."""
    whole = seconds + 0.25
    for harmonic, part in ((1, 1.0), (2, 0.25), (3, 0.08)):
        add(ring, rate, start, whole, pitch(note) * harmonic, loudness * part,
            lambda t: min(1, t / 0.06) * math.exp(-t * 0.5) * min(1, (whole - t) / 0.25))  # fmt: skip


def add(ring, rate, start, seconds, frequency, loudness, envelope):
    first = round(start * rate)
    turn = 2 * math.pi * frequency / rate
    for index in range(round(seconds * rate)):
        ring[(first + index) % len(ring)] += loudness * envelope(index / rate) * math.sin(turn * index)


def fade(t, seconds):
    return min(1, (seconds - t) / 0.05)


def pitch(note):
    """Hertz of a MIDI note."""
    return 440 * 2 ** ((note - 69) / 12)
