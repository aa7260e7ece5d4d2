//! JSON Web Tokens with a shared secret (RFC 7519, RFC 7515), as sites make them for their visitors: HS256 only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Value};

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is no JWT, or not signed with HS256.
    #[error("it is no JWT that is signed with HS256")]
    NotReadable,
    /// It is signed with another secret, or was changed.
    #[error("its signature is wrong")]
    WrongSignature,
}

/// Longest token looked at, bytes.
const BYTES_MAX: usize = 8 << 10;

/// What a token says that is signed with one of the secrets. Its times are the caller's business.
///
/// # Errors
/// [`JwtError`] when it is not.
pub fn verify(token: &str, secrets: &[String]) -> Result<Map<String, Value>, JwtError> {
    if token.len() > BYTES_MAX {
        return Err(JwtError::NotReadable);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::NotReadable)?;
    let (head, body) = signed.split_once('.').ok_or(JwtError::NotReadable)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| JwtError::NotReadable)?;
    let head = object(head).ok_or(JwtError::NotReadable)?;
    // The secret decides how a token is proven, never the token (RFC 8725 §3.1).
    if head.get("alg").and_then(Value::as_str) != Some("HS256") || head.contains_key("crit") {
        return Err(JwtError::NotReadable);
    }
    let good = |secret: &String| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
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

    #[test]
    fn what_a_site_signed_is_read_and_nothing_else() {
        let token = HS256;
        let claims = verify(token, &["other".into(), SECRET.into()]).unwrap();
        assert_eq!((&claims["aud"], &claims["sub"]), (&Value::from("shop"), &Value::from("u-1")));
        assert_eq!(verify(token, &["other".into()]), Err(JwtError::WrongSignature));
        assert_eq!(verify(token, &[String::new()]), Err(JwtError::WrongSignature));
        let altered = token.replacen("eyJ", "eyK", 1);
        assert_ne!(altered, token);
        assert!(verify(&altered, &[SECRET.into()]).is_err());
        for other in [HS512, NONE, "", "a.b", "a.b.c", "..", &"x".repeat(10_000)] {
            assert_eq!(verify(other, &[SECRET.into()]), Err(JwtError::NotReadable), "{other}");
        }
    }
}
