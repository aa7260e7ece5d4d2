//! Digest authentication (RFC 7616 as RFC 8760 has it for SIP): the server's side, and [`Login`], the client's.
//!
//! Nonces need no memory: each carries its time of issue and a MAC. Replays are stopped by
//! [`ReplayGuard`], which remembers the last nonce count of every nonce in use. Quality of protection
//! is `auth`. SHA-256 and MD5 are known, asked for in the order that the trunk wants.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    lex::{is_lws, parameter, split_outside, trim},
    uri::Uri,
};

mod client;
mod replay;

pub use client::Login;
pub use replay::ReplayGuard;

/// A hash function that passwords are proven with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `SHA-256` (RFC 8760 §2.1).
    Sha256,
    /// `MD5`: broken as a hash, still all that many devices know.
    Md5,
}

impl Algorithm {
    /// The name in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// The hash of the parts, joined by colons, in lower-case hex.
    fn hash(self, parts: &[&[u8]]) -> String {
        let joined = parts.join(&b':');
        match self {
            Self::Sha256 => hex(&Sha256::digest(joined)),
            Self::Md5 => hex(&Md5::digest(joined)),
        }
    }
}

/// Makes challenges and checks what comes back.
#[derive(Clone)]
pub struct Authenticator {
    realm: String,
    key: [u8; 32],
    nonce_seconds: u64,
    algorithms: Vec<Algorithm>,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator")
            .field("realm", &self.realm)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// Sound credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Who proved to know the password.
    pub username: String,
    /// By which hash.
    pub algorithm: Algorithm,
    /// The nonce's identity, for [`ReplayGuard::admit`].
    pub nonce: NonceId,
    /// How often the client has used the nonce, from 1.
    pub nonce_count: u32,
}

/// Names a nonce: the time of its issue, then 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NonceId {
    /// Seconds, on the clock that was given to [`Authenticator::challenges`].
    pub issued_at: u64,
    /// Tells nonces of the same second apart.
    pub salt: u64,
}

/// Why credentials do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not Digest, or for another realm: challenge.
    #[error("no credentials for this realm")]
    NotForUs,
    /// A parameter is missing, doubled or not of its form: 400.
    #[error("malformed credentials")]
    Malformed,
    /// The nonce is ours and too old, or was used up: challenge again with `stale=true`.
    #[error("stale nonce")]
    Stale,
    /// An algorithm or quality of protection that was not offered: challenge.
    #[error("algorithm not offered")]
    Algorithm,
    /// The credentials are for another Request-URI: 400 (RFC 7616 §3.4.6).
    #[error("credentials for another request")]
    OtherRequest,
    /// Unknown user or wrong password, which must look the same outside: challenge or 403.
    #[error("wrong user name or password")]
    Wrong,
}

impl Authenticator {
    /// An authenticator for a realm. `key` is secret and random; `nonce_seconds` is how long a nonce
    /// may be used; `algorithms` are those that clients may use, the most wanted first.
    pub fn new(realm: &str, key: [u8; 32], nonce_seconds: u64, algorithms: &[Algorithm]) -> Self {
        // The realm stands in a quoted string.
        let realm = realm.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
        Self { realm, key, nonce_seconds, algorithms: algorithms.to_vec() }
    }

    /// The values of the WWW-Authenticate headers of a 401, the most wanted first.
    ///
    /// `now` is in seconds on any clock that is also given to [`Authenticator::verify`]; `salt` is
    /// random.
    pub fn challenges(&self, now: u64, salt: u64, stale: bool) -> Vec<String> {
        let nonce = self.nonce(NonceId { issued_at: now, salt });
        let stale = if stale { ", stale=true" } else { "" };
        self.algorithms
            .iter()
            .map(|algorithm| {
                format!(
                    "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                    self.realm,
                    algorithm.as_str()
                )
            })
            .collect()
    }

    /// Checks the value of an Authorization header.
    ///
    /// `method` and `uri` are the request's, as received; `password_of` knows the users. A replay is not
    /// seen here: pass what comes back to [`ReplayGuard::admit`].
    ///
    /// # Errors
    /// [`Refusal`] says what to answer.
    pub fn verify(
        &self,
        authorization: &[u8],
        (method, uri): (&[u8], &[u8]),
        password_of: impl FnOnce(&str) -> Option<String>,
        now: u64,
    ) -> Result<Accepted, Refusal> {
        let given = Credentials::parse(authorization)?;
        if given.realm != self.realm.as_bytes() {
            return Err(Refusal::NotForUs);
        }
        let algorithm = match given.algorithm {
            None => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"MD5") => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"SHA-256") => Algorithm::Sha256,
            Some(_) => return Err(Refusal::Algorithm),
        };
        if !self.offers(algorithm) || !given.qop.is_some_and(|qop| qop.eq_ignore_ascii_case(b"auth")) {
            return Err(Refusal::Algorithm);
        }
        // A nonce that we never made is as good as one that is too old: a restart changes the key.
        let nonce = self.nonce_id(given.nonce).ok_or(Refusal::Stale)?;
        let age = now.checked_sub(nonce.issued_at).ok_or(Refusal::Stale)?;
        if age > self.nonce_seconds {
            return Err(Refusal::Stale);
        }
        if !same_target(given.uri, uri) {
            return Err(Refusal::OtherRequest);
        }
        let cnonce = given.cnonce.filter(|c| !c.is_empty()).ok_or(Refusal::Malformed)?;
        let (count_text, nonce_count) = given.nonce_count()?;
        let username = std::str::from_utf8(given.username).map_err(|_| Refusal::Wrong)?;
        let password = password_of(username);
        // An unknown user costs the same time as a known one.
        let known = subtle::Choice::from(u8::from(password.is_some()));
        let secret = password.unwrap_or_default();
        let a1 = algorithm.hash(&[given.username, given.realm, secret.as_bytes()]);
        let a2 = algorithm.hash(&[method, given.uri]);
        let wanted = algorithm.hash(&[
            a1.as_bytes(),
            given.nonce,
            count_text,
            cnonce,
            given.qop.unwrap_or_default(),
            a2.as_bytes(),
        ]);
        let right = wanted.as_bytes().ct_eq(&given.response.to_ascii_lowercase());
        if bool::from(right & known) {
            Ok(Accepted { username: username.to_owned(), algorithm, nonce, nonce_count })
        } else {
            Err(Refusal::Wrong)
        }
    }

    fn offers(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Time, salt, MAC: 64 hex digits.
    fn nonce(&self, id: NonceId) -> String {
        let mac = self.mac(id);
        format!("{:016x}{:016x}{}", id.issued_at, id.salt, hex(&mac))
    }

    fn nonce_id(&self, nonce: &[u8]) -> Option<NonceId> {
        let text = std::str::from_utf8(nonce).ok().filter(|text| text.len() == 64)?;
        let field = |range| text.get(range).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let id = NonceId { issued_at: field(0..16)?, salt: field(16..32)? };
        bool::from(self.nonce(id).as_bytes().ct_eq(nonce)).then_some(id)
    }

    /// 128 bits that only we can make.
    fn mac(&self, id: NonceId) -> Vec<u8> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Vec::new() };
        mac.update(&id.issued_at.to_be_bytes());
        mac.update(&id.salt.to_be_bytes());
        mac.update(self.realm.as_bytes());
        mac.finalize().into_bytes().iter().take(16).copied().collect()
    }
}

/// What stands in an Authorization header, unquoted.
#[derive(Debug, Default)]
struct Credentials<'a> {
    username: &'a [u8],
    realm: &'a [u8],
    nonce: &'a [u8],
    uri: &'a [u8],
    response: &'a [u8],
    algorithm: Option<&'a [u8]>,
    qop: Option<&'a [u8]>,
    cnonce: Option<&'a [u8]>,
    count: Option<&'a [u8]>,
}

impl<'a> Credentials<'a> {
    fn parse(value: &'a [u8]) -> Result<Self, Refusal> {
        let value = trim(value);
        let end = value.iter().position(|&b| is_lws(b)).ok_or(Refusal::NotForUs)?;
        let (scheme, rest) = value.split_at_checked(end).ok_or(Refusal::NotForUs)?;
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return Err(Refusal::NotForUs);
        }
        let mut found = [None; 9];
        for piece in split_outside(rest, b',').filter(|piece| !trim(piece).is_empty()) {
            let (name, value) = parameter(piece);
            let value = value.ok_or(Refusal::Malformed)?;
            let Some(slot) = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known)) else {
                continue;
            };
            let slot = found.get_mut(slot).ok_or(Refusal::Malformed)?;
            if slot.replace(value).is_some() {
                return Err(Refusal::Malformed);
            }
        }
        let [
            Some(username),
            Some(realm),
            Some(nonce),
            Some(uri),
            Some(response),
            algorithm,
            qop,
            cnonce,
            count,
        ] = found
        else {
            return Err(Refusal::Malformed);
        };
        Ok(Self { username, realm, nonce, uri, response, algorithm, qop, cnonce, count })
    }

    /// `nc`: eight hex digits (RFC 7616 §3.4).
    fn nonce_count(&self) -> Result<(&'a [u8], u32), Refusal> {
        let text = self.count.filter(|text| text.len() == 8 && text.iter().all(u8::is_ascii_hexdigit));
        let text = text.ok_or(Refusal::Malformed)?;
        let digits = std::str::from_utf8(text).map_err(|_| Refusal::Malformed)?;
        let count = u32::from_str_radix(digits, 16).map_err(|_| Refusal::Malformed)?;
        if count == 0 { Err(Refusal::Malformed) } else { Ok((text, count)) }
    }
}

const NAMES: [&[u8]; 9] =
    [b"username", b"realm", b"nonce", b"uri", b"response", b"algorithm", b"qop", b"cnonce", b"nc"];

/// Whether credentials made for `signed` may stand in a request to `requested`. What lies between may
/// have rewritten the host and the parameters, but never whom the request is for.
fn same_target(signed: &[u8], requested: &[u8]) -> bool {
    signed == requested
        || match (Uri::parse(signed), Uri::parse(requested)) {
            (Ok(signed), Ok(requested)) => signed.user_text() == requested.user_text(),
            _ => false,
        }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests;
