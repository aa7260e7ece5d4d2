//! Content-Transfer-Encoding (RFC 2045 §6). Broken encodings are read as far as they make sense.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes that are meant.
pub(super) fn decode<'a>(encoding: Option<&str>, body: &'a [u8]) -> Cow<'a, [u8]> {
    let encoding = encoding.unwrap_or_default().trim();
    if encoding.eq_ignore_ascii_case("base64") {
        Cow::Owned(base64(body))
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        Cow::Owned(quoted_printable(body))
    } else {
        Cow::Borrowed(body)
    }
}

/// Reads base64; line ends and anything else outside the alphabet are passed over, as RFC 2045 §6.8 asks.
pub(crate) fn base64(body: &[u8]) -> Vec<u8> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    // What stands behind the padding is no more of it (a mailing list's footer).
    let end = body.iter().position(|&byte| byte == b'=').unwrap_or(body.len());
    let mut digits: Vec<u8> = body.iter().take(end).copied().filter(is_digit).collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    LENIENT.decode(digits).unwrap_or_default()
}

/// Reads quoted-printable; what is not an escape stays as it is.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let bare = line.trim_ascii_end();
        let end = match line.strip_suffix(b"\n") {
            Some(rest) if rest.ends_with(b"\r") => &b"\r\n"[..],
            Some(_) => b"\n",
            None => b"",
        };
        // "Any white space at the end of a line must be deleted"; `=` there joins two lines.
        let (bare, end) = match bare.strip_suffix(b"=") {
            Some(bare) => (bare, &b""[..]),
            None => (bare, end),
        };
        let mut bytes = bare.iter();
        while let Some(&byte) = bytes.next() {
            let escaped = (byte == b'=').then(|| escape(bytes.as_slice())).flatten();
            out.push(escaped.unwrap_or(byte));
            if escaped.is_some() {
                bytes.nth(1);
            }
        }
        out.extend_from_slice(end);
    }
    out
}

fn escape(rest: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let &[high, low, ..] = rest else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
