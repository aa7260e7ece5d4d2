//! Bytes in a character set that their writer claims, into text.

use mail_parser::decoders::charsets::map::charset_decoder;

/// Reads bytes as text. Senders name no set, or a wrong one: what is UTF-8 is read so, the rest as Western European.
pub(crate) fn decode(charset: Option<&str>, bytes: &[u8]) -> String {
    let name = charset.unwrap_or_default().trim().trim_matches('"');
    let unsaid =
        ["", "utf-8", "utf8", "us-ascii", "ascii"].iter().any(|plain| name.eq_ignore_ascii_case(plain));
    // ISO-2022 and UTF-7 are seven bits wide and would pass for UTF-8.
    let decoder = if unsaid { None } else { charset_decoder(name.as_bytes()) };
    match (decoder, std::str::from_utf8(bytes)) {
        (Some(decoder), _) => decoder(bytes),
        (None, Ok(text)) => text.to_owned(),
        (None, Err(_)) if name.to_ascii_lowercase().starts_with("utf") => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        (None, Err(_)) => match charset_decoder(b"windows-1252") {
            Some(decoder) => decoder(bytes),
            None => String::from_utf8_lossy(bytes).into_owned(),
        },
    }
}
