//! The few lexical tools every header parser shares: byte slices in, byte slices out.

/// Linear white space, folds included (RFC 3261 §25.1 LWS).
pub(crate) fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without leading and trailing white space.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_lws(*first) {
            break;
        }
        bytes = rest;
    }
    while let [rest @ .., last] = bytes {
        if !is_lws(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

/// Quoted pairs resolved and folds made spaces (RFC 3261 §25.1), as text; bytes that are not UTF-8 are
/// replaced.
pub(crate) fn quoted_text(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'\\', [escaped, after @ ..]) => {
                plain.push(*escaped);
                rest = after;
            }
            (b'\r' | b'\n' | b'\t', _) => plain.push(b' '),
            _ => plain.push(*first),
        }
    }
    let text = String::from_utf8_lossy(&plain);
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether every byte may stand in a token (RFC 3261 §25.1), and there is at least one.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(b))
}

/// The bytes before and after the first `separator`; the separator belongs to neither.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&b| b == separator)?;
    Some((bytes.get(..at)?, bytes.get(at.checked_add(1)?..)?))
}

/// A decimal number that fits; no sign, no white space, any leading zeros.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The end of a quoted string: the position after its closing quote. `bytes` begins with the opening one.
pub(crate) fn quoted_end(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at.checked_add(1),
            _ => {}
        }
    }
    None
}

/// Splits at a separator that stands outside quoted strings and angle brackets.
///
/// Yields the pieces as they are, untrimmed; an unterminated quote swallows the rest.
pub(crate) fn split_outside(bytes: &[u8], separator: u8) -> SplitOutside<'_> {
    SplitOutside { rest: Some(bytes), separator }
}

/// See [`split_outside`].
#[derive(Clone, Debug)]
pub(crate) struct SplitOutside<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for SplitOutside<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (mut quoted, mut escaped, mut angle) = (false, false, false);
        for (at, &byte) in rest.iter().enumerate() {
            if quoted {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => quoted = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if !angle => quoted = true,
                b'<' => angle = true,
                b'>' => angle = false,
                _ if byte == self.separator && !angle => {
                    self.rest = rest.get(at.saturating_add(1)..);
                    return rest.get(..at);
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(rest)
    }
}

/// A `name` or `name=value` parameter; the value without its quotes.
pub(crate) fn parameter(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match split_once(bytes, b'=') {
        None => (trim(bytes), None),
        Some((name, value)) => {
            let value = trim(value);
            let unquoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
            (trim(name), Some(unquoted))
        }
    }
}
