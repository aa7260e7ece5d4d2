//! JSON Web Tokens with a shared secret (RFC 7519, RFC 7515): of sites for their visitors, of providers for what they send.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value};

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is no JWT, or not signed by an algorithm that is asked for.
    #[error("it is no JWT that is signed as it must be")]
    NotReadable,
    /// It is signed with another secret, or was changed.
    #[error("its signature is wrong")]
    WrongSignature,
}

/// A keyed hash that a token may be signed with (RFC 7518 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA256.
    Hs256,
    /// HMAC-SHA384.
    Hs384,
    /// HMAC-SHA512.
    Hs512,
}

impl Algorithm {
    fn of(self) -> (&'static str, hmac::Algorithm) {
        match self {
            Self::Hs256 => ("HS256", hmac::HMAC_SHA256),
            Self::Hs384 => ("HS384", hmac::HMAC_SHA384),
            Self::Hs512 => ("HS512", hmac::HMAC_SHA512),
        }
    }
}

/// Longest token looked at, bytes.
const BYTES_MAX: usize = 8 << 10;

/// What a token says that is signed with one of the secrets, by one of the algorithms. Its times are the caller's business.
///
/// # Errors
/// [`JwtError`] when it is not.
pub fn verify(
    token: &str,
    secrets: &[String],
    algorithms: &[Algorithm],
) -> Result<Map<String, Value>, JwtError> {
    if token.len() > BYTES_MAX {
        return Err(JwtError::NotReadable);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::NotReadable)?;
    let (head, body) = signed.split_once('.').ok_or(JwtError::NotReadable)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::NotReadable)?;
    let head = object(head).ok_or(JwtError::NotReadable)?;
    // Who has the secret decides how a token is proven, never the token (RFC 8725 §3.1).
    let named = head.get("alg").and_then(Value::as_str).filter(|_| !head.contains_key("crit"));
    let known = algorithms.iter().map(|known| known.of()).find(|(name, _)| Some(*name) == named);
    let Some((_, algorithm)) = known else { return Err(JwtError::NotReadable) };
    let good = |secret: &String| {
        let key = hmac::Key::new(algorithm, secret.as_bytes());
        !secret.is_empty() && hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
    };
    if !secrets.iter().any(good) {
        return Err(JwtError::WrongSignature);
    }
    object(body).ok_or(JwtError::NotReadable)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with PyPI `PyJWT` 2.10: jwt.encode({"aud": "shop", "sub": "u-1", "exp": 1900000000}, SECRET, "HS256"),
    // and with algorithm "HS512", and "none".
    const HS256: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJzaG9wIiwic3ViIjoidS0xIiwiZXhwIjoxOTAwMDAwMDAwfQ.N4R9M_O5A3ODKC2SgkpjnCxZuaF4K7m-GvrawWK8NVM";
    const HS512: &str = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJzaG9wIiwic3ViIjoidS0xIiwiZXhwIjoxOTAwMDAwMDAwfQ.Qfb-INZmcSYs2962Y789w7i1q14_Kn0ScyNoWPPYpJIbB9L8AQVNpcTSSLViGKDHBB96asn-Tq-I3d_v3Mfcog";
    const NONE: &str =
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhdWQiOiJzaG9wIiwic3ViIjoidS0xIiwiZXhwIjoxOTAwMDAwMDAwfQ.";
    const SECRET: &str = "a secret of thirty-two bytes long";

    fn hs256(token: &str, secrets: &[&str]) -> Result<Map<String, Value>, JwtError> {
        let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
        verify(token, &secrets, &[Algorithm::Hs256])
    }

    #[test]
    fn an_algorithm_is_taken_where_it_is_asked_for() {
        let both = [Algorithm::Hs256, Algorithm::Hs512];
        assert!(verify(HS512, &[SECRET.into()], &both).is_ok());
        assert_eq!(verify(NONE, &[SECRET.into()], &both), Err(JwtError::NotReadable));
    }

    #[test]
    fn what_a_site_signed_is_read_and_nothing_else() {
        let token = HS256;
        let claims = hs256(token, &["other", SECRET]).unwrap();
        assert_eq!((&claims["aud"], &claims["sub"]), (&Value::from("shop"), &Value::from("u-1")));
        assert_eq!(hs256(token, &["other"]), Err(JwtError::WrongSignature));
        assert_eq!(hs256(token, &[""]), Err(JwtError::WrongSignature));
        let altered = token.replacen("eyJ", "eyK", 1);
        assert_ne!(altered, token);
        assert!(hs256(&altered, &[SECRET]).is_err());
        for other in [HS512, NONE, "", "a.b", "a.b.c", "..", &"x".repeat(10_000)] {
            assert_eq!(hs256(other, &[SECRET]), Err(JwtError::NotReadable), "{other}");
        }
    }
}
