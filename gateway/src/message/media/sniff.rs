//! What a file is: by its first bytes where they tell, else by what is claimed.

/// The media type of a file, in small letters, without parameters. What claims to be of a type that its bytes would show,
/// and do not, is nothing in particular.
pub(crate) fn type_of(bytes: &[u8], claimed: Option<&str>) -> String {
    let claimed = claimed.map(plain).filter(|claimed| claimed.contains('/'));
    let named = claimed.as_deref().unwrap_or(UNKNOWN);
    let is = match found(bytes) {
        Some(found) if refines(named, found) => named,
        // Some forms are known by two letters ("BM", "MZ"), which a text may begin with; what runs or shows as a page
        // is that whatever it claims to be.
        Some(found) if named.starts_with("text/") && is_text(bytes) && !is_active(found) => named,
        Some(found) => found,
        None if named.starts_with("text/") && !is_text(bytes) => UNKNOWN,
        None if claimed.is_none() && is_text(bytes) => "text/plain",
        None if shows(named) => UNKNOWN,
        None => named,
    };
    is.to_owned()
}

const UNKNOWN: &str = "application/octet-stream";

/// `Image/JPEG; name=x` is `image/jpeg`.
fn plain(claimed: &str) -> String {
    claimed.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn found(bytes: &[u8]) -> Option<&'static str> {
    // A picture of vectors is XML with scripts in it, if its maker likes.
    if is_text(bytes) && contains(bytes, b"<svg") {
        return Some("image/svg+xml");
    }
    // It begins like a script.
    if bytes.starts_with(b"#!AMR") {
        return Some("audio/amr");
    }
    if bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..10) == Some(b"3g") {
        return Some("video/3gpp");
    }
    infer::get(bytes).map(|found| found.mime_type())
}

/// Whether a claim says more than the first bytes do: of what is packed in a common form.
fn refines(claimed: &str, found: &str) -> bool {
    let any = |starts: &[&str]| starts.iter().any(|start| claimed.starts_with(start));
    match found {
        "application/zip" => {
            let packed = [
                "application/vnd.openxmlformats-",
                "application/vnd.oasis.opendocument.",
                "application/vnd.apple.",
            ];
            claimed.ends_with("+zip") || any(&packed)
        }
        "application/x-ole-storage" => any(&["application/msword", "application/vnd.ms-"]),
        // One container for sound alone and for sound with pictures.
        "audio/ogg" | "video/ogg" | "video/mp4" | "video/webm" | "video/x-matroska" | "video/3gpp"
        | "video/quicktime" | "audio/m4a" => any(&["audio/", "video/"]),
        _ => false,
    }
}

fn is_active(found: &str) -> bool {
    found.starts_with("text/") || found == "image/svg+xml"
}

/// Whether files of this type show it in their first bytes.
fn shows(claimed: &str) -> bool {
    claimed.starts_with("image/") || infer::is_mime_supported(claimed) || claimed == "audio/mp3"
}

/// Whether it could be read as text: no zero bytes, no control characters but those of lines.
fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let textual = |byte: &u8| *byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    !start.is_empty() && start.iter().all(textual)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    let start = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    start.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// Bytes that are looked at for text.
const LOOKED_AT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_say_what_a_file_is_and_claims_only_what_they_do_not_tell() {
        let zip = b"PK\x03\x04\x14\0\0\0\x08\0rest of it".as_slice();
        let mp4 = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41".as_slice();
        for (bytes, claimed, is) in [
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), Some("image/jpeg"), "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", None, "image/jpeg"),
            (b"%PDF-1.7\n", Some("application/octet-stream"), "application/pdf"),
            (b"MZ\x90\0\x03\0\0\0", Some("image/png"), "application/vnd.microsoft.portable-executable"),
            (b"<html><script>", Some("image/png"), "text/html"),
            (b"<svg onload=a()>", Some("image/png"), "image/svg+xml"),
            (b"plain words", Some("image/png"), UNKNOWN),
            (b"plain words", Some("image/x-own"), UNKNOWN),
            (b"plain words", Some("text/plain; charset=utf-8"), "text/plain"),
            (b"plain words", None, "text/plain"),
            (b"plain words", Some("image"), "text/plain"),
            (b"BEGIN:VCARD\r\n", Some("text/x-vcard"), "text/x-vcard"),
            (b"BMW and MZ", Some("text/plain"), "text/plain"),
            (b"#!/bin/sh\n", Some("text/plain"), "text/x-shellscript"),
            (b"\0\x01\x02", Some("text/plain"), UNKNOWN),
            (b"\0\x01\x02", None, UNKNOWN),
            (b"", None, UNKNOWN),
            (zip, Some("application/vnd.oasis.opendocument.text"), "application/vnd.oasis.opendocument.text"),
            (zip, Some("image/png"), "application/zip"),
            (mp4, Some("audio/mp4"), "audio/mp4"),
            (mp4, Some("text/html"), "video/mp4"),
            (b"\0\0\0\x18ftyp3gp4\0\0\0\0", None, "video/3gpp"),
            (b"#!AMR\n<", Some("audio/amr"), "audio/amr"),
            (b"\x01\x02\x03", Some("APPLICATION/X-Own"), "application/x-own"),
        ] {
            assert_eq!(type_of(bytes, claimed), is, "{claimed:?}");
        }
    }
}
