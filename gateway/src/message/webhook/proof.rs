//! Keyed hashes and how they are compared: in constant time, always.

use std::fmt::Write as _;

use axum::http::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::{Refused, header};

/// Whether `signature` is the keyed hash of these parts, one behind the other, under the key.
pub(super) fn is_hmac(algorithm: hmac::Algorithm, key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    parts.iter().for_each(|part| context.update(part));
    same(context.sign().as_ref(), signature)
}

/// Compares in a time that tells nothing of where they differ.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    left.ct_eq(right).into()
}

/// Reads base64 of the standard alphabet, padded.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Reads hexadecimal digits of either case.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// A name for a body that has no id of its own.
pub(super) fn fingerprint(body: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(body))
}

/// Whether the request carries the Basic credentials (RFC 7617) of one of the secrets, each `user:password`.
pub(super) fn basic(headers: &HeaderMap, secrets: &[String]) -> Result<(), Refused> {
    let given = header(headers, "authorization")?;
    let (scheme, encoded) = given.split_once(' ').ok_or(Refused::Unsigned)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refused::Unsigned);
    }
    let given = base64(encoded.trim()).ok_or(Refused::Unsigned)?;
    // A secret without a colon would be met by a name without a password.
    let good = |secret: &String| secret.contains(':') && same(secret.as_bytes(), &given);
    if secrets.iter().any(good) { Ok(()) } else { Err(Refused::WrongSignature) }
}
