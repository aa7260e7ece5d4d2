//! Where header and body meet, and where the parts of a multipart do (RFC 2046 §5.1.1). One pass, nothing copied.

/// Longest boundary taken; the RFC allows 70.
const BOUNDARY_MAX: usize = 200;

/// The header block, with the empty line that ends it, and what stands behind. Without an empty line all is header.
pub(crate) fn entity(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in lines(bytes) {
        at += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            break;
        }
    }
    bytes.split_at(at)
}

/// The parts between the delimiters, `max` of them at most, and whether that is all. What stands before the first and
/// behind the last delimiter is no part.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &[u8], max: usize) -> (Vec<&'a [u8]>, bool) {
    let mut found = Vec::new();
    if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
        return (found, false);
    }
    let (mut at, mut start) = (0, None);
    for line in lines(body) {
        let here = at;
        at += line.len();
        let Some(last) = delimiter(line, boundary) else { continue };
        if let Some(start) = start {
            if found.len() == max {
                return (found, false);
            }
            found.push(part(body, start, here));
        }
        if last {
            return (found, true);
        }
        start = Some(at);
    }
    // A mail that was cut off has no last delimiter.
    match start.and_then(|start| body.get(start..)).filter(|rest| !rest.is_empty()) {
        Some(_) if found.len() == max => (found, false),
        Some(rest) => {
            found.push(rest);
            (found, true)
        }
        None => (found, true),
    }
}

/// "The CRLF preceding the boundary delimiter line is conceptually attached to the boundary": one, and no more.
fn part(body: &[u8], start: usize, end: usize) -> &[u8] {
    let part = body.get(start..end).unwrap_or_default();
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

/// Whether a line is a delimiter, and then whether it is the last.
fn delimiter(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    if rest.starts_with(b"--") {
        return Some(true);
    }
    // The delimiter of an outer multipart can begin like that of an inner one.
    rest.iter().all(u8::is_ascii_whitespace).then_some(false)
}

/// Lines with their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}
