"""What is heard: G.711, tones by frequency, and recorded words by correlation. 8 kHz mono throughout."""

import array
import math
import operator
import pathlib
import struct

RATE = 8000
DTMF_ROWS = (697, 770, 852, 941)
DTMF_COLUMNS = (1209, 1336, 1477, 1633)
DTMF_KEYS = ("123A", "456B", "789C", "*0#D")


def _ulaw_to_linear(octet):
    octet = ~octet & 0xFF
    magnitude = (((octet & 0x0F) << 3) + 0x84) << ((octet >> 4) & 7)
    return 0x84 - magnitude if octet & 0x80 else magnitude - 0x84


def _alaw_to_linear(octet):
    octet ^= 0x55
    segment, mantissa = (octet >> 4) & 7, octet & 0x0F
    magnitude = (mantissa << 4) + 8 if segment == 0 else ((mantissa << 4) + 0x108) << (segment - 1)
    return magnitude if octet & 0x80 else -magnitude


ULAW = [_ulaw_to_linear(octet) for octet in range(256)]
ALAW = [_alaw_to_linear(octet) for octet in range(256)]


def _nearest(table):
    """The code word for each linear value, looked up by its upper 13 bits."""
    order = sorted(range(256), key=lambda code: table[code])
    codes, place = [], 0
    for value in range(-32768, 32768, 8):
        while place + 1 < 256 and abs(table[order[place + 1]] - value) <= abs(table[order[place]] - value):
            place += 1
        codes.append(order[place])
    return codes


_CODES = {0: _nearest(ULAW), 8: _nearest(ALAW)}


def encode(samples, payload_type):
    codes = _CODES[payload_type]
    return bytes(codes[(max(-32768, min(32767, int(s))) + 32768) >> 3] for s in samples)


def decode(payload, payload_type):
    table = ULAW if payload_type == 0 else ALAW
    return [table[octet] for octet in payload]


def silence(payload_type):
    return (b"\xff" if payload_type == 0 else b"\xd5") * 160


def dtmf(digit, milliseconds=100, level_dbm0=-10.0):
    """The two tones of a key, each at the given level."""
    row = next(i for i, keys in enumerate(DTMF_KEYS) if digit in keys)
    low, high = DTMF_ROWS[row], DTMF_COLUMNS[DTMF_KEYS[row].index(digit)]
    # 0 dBm0 is a sine 3.14 dB below full scale in G.711.
    peak = 32124 * 10 ** ((level_dbm0 - 3.14) / 20)
    return [
        peak * (math.sin(2 * math.pi * low * n / RATE) + math.sin(2 * math.pi * high * n / RATE))
        for n in range(milliseconds * RATE // 1000)
    ]


def power_at(samples, frequency):
    """Goertzel: the share of the samples' power that stands at a frequency, 0 to 1."""
    total = sum(map(operator.mul, samples, samples))
    if total <= len(samples) * 16:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * frequency / RATE)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    energy = before * before + last * last - turn * before * last
    return min(1.0, 2 * energy / (len(samples) * total))


def loudness(samples):
    """Root mean square."""
    return math.sqrt(sum(map(operator.mul, samples, samples)) / len(samples)) if samples else 0.0


def bursts(samples, frequencies, share=0.8, block=320, gap_blocks=2):
    """Spans of time (start, end in seconds) in which the frequencies together hold most of the power."""
    spans, missing = [], gap_blocks + 1
    for place in range(0, len(samples) - block + 1, block):
        part = samples[place : place + block]
        held = loudness(part) > 60 and sum(power_at(part, f) for f in frequencies) >= share
        if held and missing > gap_blocks:
            spans.append([place / RATE, (place + block) / RATE])
        elif held:
            spans[-1][1] = (place + block) / RATE
        missing = 0 if held else missing + 1
    return [tuple(span) for span in spans]


def read_wav(path, channel=0):
    """Samples of one channel of a WAV file: 16 bits linear, µ-law or A-law, at 8 kHz or a multiple (then averaged)."""
    data = pathlib.Path(path).read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"{path}: not a WAV file")
    place, parts = 12, {}
    while place + 8 <= len(data):
        name, size = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
        # A recorder that was cut off leaves a size of zero or beyond the end: take what is there.
        size = size if 0 < size <= len(data) - place - 8 else len(data) - place - 8
        parts.setdefault(name, data[place + 8 : place + 8 + size])
        place += 8 + size + size % 2
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", parts[b"fmt "])
    raw = parts[b"data"]
    if (kind, bits) in ((6, 8), (7, 8)):
        samples = decode(raw, 8 if kind == 6 else 0)
    elif bits == 16:
        samples = array.array("h", raw[: len(raw) // 2 * 2])
    else:
        raise ValueError(f"{path}: WAV format {kind} with {bits} bits")
    if rate % RATE:
        raise ValueError(f"{path}: {rate} Hz")
    step, mono = rate // RATE, samples[channel::channels]
    return [sum(mono[i : i + step]) / step for i in range(0, len(mono) - step + 1, step)]


def _thin(samples, by):
    return [sum(samples[i : i + by]) for i in range(0, len(samples) - by + 1, by)]


def likeness(heard, wanted):
    """Normalised correlation of two equally long pieces, -1 to 1."""
    length = min(len(heard), len(wanted))
    heard, wanted = heard[:length], wanted[:length]
    both = math.sqrt(sum(map(operator.mul, heard, heard)) * sum(map(operator.mul, wanted, wanted)))
    return sum(map(operator.mul, heard, wanted)) / both if both else 0.0


def find(heard, wanted, by=8):
    """Where recorded words are heard: (start in seconds, likeness over the whole of them or as much as was heard).

    The loudest half second is looked for coarsely, then placed to the sample.
    """
    length = min(4000, len(wanted))
    start = max(range(0, len(wanted) - length + 1, 400), key=lambda i: loudness(wanted[i : i + length]))
    probe, field = _thin(wanted[start : start + length], by), _thin(heard, by)
    width = len(probe)
    if len(field) < width:
        return (0.0, 0.0)
    squares = [0]
    for value in field:
        squares.append(squares[-1] + value * value)
    best, place = -2.0, 0
    for i in range(len(field) - width + 1):
        energy = squares[i + width] - squares[i]
        if energy <= 0:
            continue
        score = sum(map(operator.mul, field[i : i + width], probe)) / math.sqrt(energy)
        if score > best:
            best, place = score, i
    found = (0.0, -2.0)
    for fine in range(place * by - by, place * by + by + 1):
        begin = fine - start
        cut = max(0, -begin)
        score = likeness(heard[begin + cut :], wanted[cut:]) if begin + cut < len(heard) else -2.0
        if score > found[1]:
            found = (begin / RATE, score)
    return found
