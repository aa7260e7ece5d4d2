"""AES_CM_128_HMAC_SHA1_80 for callers (RFC 3711), written apart from the gateway's, with nothing but the standard library."""

import base64
import hashlib
import hmac
import re
import struct

SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY_BYTES = 30
TAG_BYTES = 10


def _sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        p &= 0xFF
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        q ^= 0x09 if q & 0x80 else 0
        x = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
        box[p] = (x ^ 0x63) & 0xFF
        if p == 1:
            break
    box[0] = 0x63
    return box


SBOX = _sbox()
# SubBytes and MixColumns of one byte, as a column.
COLUMNS = []
for value in SBOX:
    double = (value << 1) ^ (0x11B if value & 0x80 else 0)
    COLUMNS.append(double << 24 | value << 16 | value << 8 | (double ^ value))


def _turn(word, bits):
    return (word >> bits | word << (32 - bits)) & 0xFFFFFFFF


TABLES = [[_turn(column, 8 * n) for column in COLUMNS] for n in range(4)]


class Aes128:
    """Encrypts blocks (FIPS 197)."""

    def __init__(self, key):
        words, rcon = list(struct.unpack("!4I", key)), 1
        for i in range(4, 44):
            word = words[-1]
            if i % 4 == 0:
                word = _turn(word, 24)
                word = int.from_bytes(bytes(SBOX[b] for b in word.to_bytes(4, "big")), "big") ^ rcon << 24
                rcon = (rcon << 1) ^ (0x11B if rcon & 0x80 else 0)
            words.append(words[i - 4] ^ word)
        self.words = words

    def block(self, number):
        t0, t1, t2, t3 = TABLES
        key = self.words
        a, b, c, d = ((number >> 96) ^ key[0], (number >> 64 & 0xFFFFFFFF) ^ key[1],
                      (number >> 32 & 0xFFFFFFFF) ^ key[2], (number & 0xFFFFFFFF) ^ key[3])
        for i in range(4, 40, 4):
            a, b, c, d = (
                t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ key[i],
                t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ key[i + 1],
                t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ key[i + 2],
                t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ key[i + 3])
        out = b""
        for n, (w, x, y, z) in enumerate(((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))):
            word = SBOX[w >> 24] << 24 | SBOX[x >> 16 & 255] << 16 | SBOX[y >> 8 & 255] << 8 | SBOX[z & 255]
            out += (word ^ key[40 + n]).to_bytes(4, "big")
        return out

    def keystream(self, start, length):
        blocks = b"".join(self.block(start + n) for n in range((length + 15) // 16))
        return blocks[:length]


class Stream:
    """RTP of one direction under one key."""

    def __init__(self, key):
        master, salt = Aes128(key[:16]), int.from_bytes(key[16:], "big")

        def derive(label, length):
            return master.keystream((salt ^ label << 48) << 16, length)

        self.cipher, self.mac_key = Aes128(derive(0, 16)), derive(1, 20)
        self.salt = int.from_bytes(derive(2, 14), "big")
        self.highest = None

    def _index(self, sequence):
        if self.highest is None:
            return sequence
        distance = (sequence - self.highest) & 0xFFFF
        return self.highest + (distance if distance < 0x8000 else distance - 0x10000)

    def _crypt(self, packet, index):
        start = 12 + 4 * (packet[0] & 0x0F)
        source = int.from_bytes(packet[8:12], "big")
        stream = self.cipher.keystream((self.salt << 16) ^ (source << 64) ^ (index << 16), len(packet) - start)
        return packet[:start] + bytes(a ^ b for a, b in zip(packet[start:], stream))

    def _tag(self, packet, index):
        return hmac.new(self.mac_key, packet + struct.pack("!I", index >> 16), hashlib.sha1).digest()[:TAG_BYTES]

    def protect(self, packet):
        index = self._index(struct.unpack("!H", packet[2:4])[0])
        self.highest = max(index, self.highest or 0)
        packet = self._crypt(packet, index)
        return packet + self._tag(packet, index)

    def unprotect(self, packet):
        """The clear packet; None when it is not authentic."""
        if len(packet) < 12 + TAG_BYTES:
            return None
        packet, tag = packet[:-TAG_BYTES], packet[-TAG_BYTES:]
        index = self._index(struct.unpack("!H", packet[2:4])[0])
        if index < 0 or not hmac.compare_digest(tag, self._tag(packet, index)):
            return None
        self.highest = max(index, self.highest or 0)
        return self._crypt(packet, index)


def line(tag, key):
    return f"a=crypto:{tag} {SUITE} inline:{base64.b64encode(key).decode()}"


def lines(text):
    """Tag, suite and key of each a=crypto line of a description."""
    found = re.findall(r"^a=crypto:(\d+) (\S+) inline:([A-Za-z0-9+/=]+)", text, re.M)
    return [(int(tag), suite, base64.b64decode(key)) for tag, suite, key in found]


def _self_test():
    # RFC 3711, appendix B.2 and B.3.
    stream = Aes128(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")).keystream(
        int("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000", 16), 32)
    assert stream.hex() == "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab", stream.hex()
    derived = Stream(bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"))
    assert derived.mac_key.hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4", derived.mac_key.hex()


_self_test()
