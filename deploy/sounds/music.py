"""The music while callers wait, and while they are on hold: plucked strings, a pad, a soft lead. Our own compositions.

A piece is written into a ring: what still sounds at the end goes on at the beginning, so it repeats without a seam.
It lasts a whole number of 20 ms frames.
"""

import collections
import math

# A piece: seconds of a bar; chords by MIDI note, a bar each: bass, then four notes for pad and strings; eighth notes:
# which chord note, and how many octaves up; the lead: bar, beat, length in beats, note.
Piece = collections.namedtuple("Piece", "bar_seconds chords pattern lead")

_QUEUE_CHORDS = [
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

_QUEUE_PATTERN = [(0, 0), (2, 0), (1, 1), (3, 0), (2, 0), (0, 1), (3, 0), (1, 1)]

_QUEUE_LEAD = [
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


# Twelve bars, 33.6 s.
QUEUE = Piece(2.8, _QUEUE_CHORDS, _QUEUE_PATTERN, _QUEUE_LEAD)

# Eight bars for strings alone, 25.6 s, so that a caller can tell hold from the queue.
HOLD = Piece(
    3.2,
    [
        (50, (62, 66, 69, 73)),  # D major 7
        (47, (59, 62, 66, 71)),  # B minor
        (43, (59, 62, 66, 67)),  # G major 7
        (45, (61, 64, 69, 71)),  # A add 9
        (54, (57, 61, 66, 69)),  # F sharp minor
        (47, (59, 62, 66, 69)),  # B minor 7
        (52, (59, 64, 67, 71)),  # E minor
        (45, (59, 62, 64, 69)),  # A suspended
    ],
    [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (3, 0), (2, 0), (1, 0)],
    [],
)


def compose(piece, rate):
    bar_seconds = piece.bar_seconds
    beat_seconds = bar_seconds / 4
    ring = [0.0] * round(len(piece.chords) * bar_seconds * rate)
    for bar, (bass, notes) in enumerate(piece.chords):
        start = bar * bar_seconds
        pluck(ring, rate, start, bass, 2.4, 0.5)
        pluck(ring, rate, start + 2 * beat_seconds, bass + 12, 1.4, 0.25)
        for note in notes:
            swell(ring, rate, start, note, bar_seconds, 0.09)
        for step, (place, octave) in enumerate(piece.pattern):
            note = notes[place] + 12 * octave
            pluck(ring, rate, start + step * beat_seconds / 2, note, 1.2, 0.3 if step % 4 == 0 else 0.22)
    for bar, beat, length, note in piece.lead:
        sing(ring, rate, bar * bar_seconds + beat * beat_seconds, note, length * beat_seconds, 0.3)
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
