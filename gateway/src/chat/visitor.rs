//! Who a visitor is: a stranger whom we remember by a token of ours, or somebody whom the site names by a JWT.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use ring::hmac;
use serde::{Deserialize, Serialize};
use vestibule_routing::id::ChatAppId;

use crate::jwt;

/// A visitor of a chat app. Only our own token and the site's JWT make one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    app: String,
    customer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Seconds since 1970 at which its token is worth nothing.
    expires: i64,
    /// 0 to 99, by which a throttle chooses.
    draw: u8,
    /// Until when the draw stands, in seconds since 1970.
    drawn_until: i64,
}

/// How long a stranger is remembered after the last visit.
const STRANGER_DAYS: i64 = 365;
/// How far ahead the end of a site's JWT may be: it stands for somebody who is logged in now.
const NAMED_HOURS_MAX: i64 = 24;
/// How long a throttle's choice stands.
const DRAW_HOURS: i64 = 24;
/// Longest word that a site says of a visitor, bytes.
const WORD_BYTES_MAX: usize = 200;
/// How far the site's clock may be from ours.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

impl Visitor {
    /// Somebody whom nobody knows.
    pub(super) fn stranger(app: ChatAppId, now: Timestamp, rng: &mut impl Rng) -> Self {
        let customer = format!("visitor:{:032x}", rng.random::<u128>());
        let expires = seconds_after(now, SignedDuration::from_hours(STRANGER_DAYS * 24));
        Self { app: app.to_string(), customer, name: None, expires, draw: 0, drawn_until: 0 }
    }

    /// Somebody whom the site names.
    ///
    /// # Errors
    /// What is wrong with the JWT.
    pub(super) fn named(
        token: &str,
        secrets: &[String],
        app: &ChatAppId,
        now: Timestamp,
    ) -> Result<Self, String> {
        let claims =
            jwt::verify(token, secrets, &[jwt::Algorithm::Hs256]).map_err(|error| error.to_string())?;
        let text = |name: &str| claims.get(name).and_then(serde_json::Value::as_str);
        let bounded = |name: &str| text(name).filter(|text| !text.is_empty() && text.len() <= WORD_BYTES_MAX);
        if text("aud") != Some(app.as_str()) {
            return Err("`aud` is not this chat app".to_owned());
        }
        let subject = bounded("sub").ok_or("`sub` names nobody")?;
        let time = |name: &str| claims.get(name).and_then(serde_json::Value::as_f64).map(whole_seconds);
        let expires = time("exp").ok_or("`exp` is missing")?;
        if expires <= now.as_second().saturating_sub(LEEWAY.as_secs()) {
            return Err("it is over (`exp`)".to_owned());
        }
        if expires > seconds_after(now, SignedDuration::from_hours(NAMED_HOURS_MAX) + LEEWAY) {
            return Err("`exp` is more than 24 hours ahead".to_owned());
        }
        if time("nbf").is_some_and(|begins| begins > seconds_after(now, LEEWAY)) {
            return Err("it is not good yet (`nbf`)".to_owned());
        }
        Ok(Self {
            app: app.to_string(),
            customer: format!("user:{subject}"),
            name: bounded("name").or_else(|| bounded("email")).map(str::to_owned),
            expires,
            draw: 0,
            drawn_until: 0,
        })
    }

    /// Draws by lot, unless the draw of less than a day ago stands.
    pub(super) fn draw_again(&mut self, now: Timestamp, rng: &mut impl Rng) {
        if self.drawn_until <= now.as_second() {
            self.draw = rng.random_range(0..100);
            self.drawn_until = seconds_after(now, SignedDuration::from_hours(DRAW_HOURS));
        }
        if !self.is_named() {
            self.expires = seconds_after(now, SignedDuration::from_hours(STRANGER_DAYS * 24));
        }
    }

    /// The throttle has chosen already: a log-in is no other draw.
    pub(super) fn keeps_draw_of(&mut self, before: &Self) {
        (self.draw, self.drawn_until) = (before.draw, before.drawn_until);
    }

    pub(super) fn draw(&self) -> u8 {
        self.draw
    }

    /// The name that the site gives it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the site says who it is.
    pub fn is_named(&self) -> bool {
        self.customer.starts_with("user:")
    }

    /// The customer's address: `visitor:` and 32 hexadecimal digits, or `user:` and the site's name for it.
    pub fn customer(&self) -> &str {
        &self.customer
    }

    /// The chat app.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The chat app and the customer: a thread of its own.
    pub fn thread(&self) -> (String, String) {
        (self.app.clone(), self.customer.clone())
    }
}

/// Makes tokens and opens them again.
pub(super) struct Sealer {
    key: hmac::Key,
}

impl Sealer {
    /// Reads the key, or makes it: 32 random bytes that only the owner can read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) if bytes.len() == KEY_BYTES => bytes,
            Ok(_) => {
                let sentence =
                    format!("{} is no key: delete it, and visitors are strangers again", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, sentence));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes: [u8; KEY_BYTES] = StdRng::from_os_rng().random();
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                bytes.to_vec()
            }
            Err(error) => return Err(error),
        };
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// The token of a visitor: what it says, and our seal on it.
    pub(super) fn token(&self, visitor: &Visitor) -> String {
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(visitor).unwrap_or_default());
        let seal = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, said.as_bytes()));
        format!("{said}.{seal}")
    }

    /// The visitor of a token of ours for that chat app, while it is good.
    pub(super) fn open_token(&self, token: &str, app: &ChatAppId, now: Timestamp) -> Option<Visitor> {
        let (said, seal) = token.split_once('.')?;
        hmac::verify(&self.key, said.as_bytes(), &URL_SAFE_NO_PAD.decode(seal).ok()?).ok()?;
        let visitor: Visitor = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        (visitor.app == app.as_str() && visitor.expires > now.as_second()).then_some(visitor)
    }
}

const KEY_BYTES: usize = 32;

fn seconds_after(now: Timestamp, time: SignedDuration) -> i64 {
    now.as_second().saturating_add(time.as_secs())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, which is as good as any other time out of range"
)]
fn whole_seconds(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of thirty-two bytes long";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn jwt(claims: &serde_json::Value) -> String {
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&serde_json::json!({"alg": "HS256"})), part(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
    }

    #[test]
    fn a_stranger_is_known_again_by_the_token_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat-key");
        let sealer = Sealer::open(&path).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let mut visitor = Visitor::stranger("shop".into(), at(1000), &mut rng);
        visitor.draw_again(at(1000), &mut rng);
        let token = sealer.token(&visitor);
        let again = Sealer::open(&path).unwrap();
        let opened = |token: &str, app: &str, second| again.open_token(token, &app.into(), at(second));
        assert_eq!(opened(&token, "shop", 2000), Some(visitor.clone()));
        assert_eq!(opened(&token, "other", 2000), None, "of another app");
        assert_eq!(opened(&token, "shop", 1000 + 366 * 86_400), None, "too old");
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(opened(&changed, "shop", 2000), None, "changed at {index}");
        }
        assert!(Sealer::open(folder.path()).is_err());
        std::fs::write(&path, "short").unwrap();
        assert!(Sealer::open(&path).is_err());
    }

    #[test]
    fn a_draw_stands_for_a_day() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut visitor = Visitor::stranger("shop".into(), at(0), &mut rng);
        visitor.draw_again(at(1000), &mut rng);
        let first = visitor.draw();
        for second in (1000..1000 + 86_400).step_by(3600) {
            visitor.draw_again(at(second), &mut rng);
            assert_eq!(visitor.draw(), first);
        }
        let draws: std::collections::BTreeSet<u8> = (2..40)
            .map(|day| {
                visitor.draw_again(at(1000 + day * 86_400), &mut rng);
                visitor.draw()
            })
            .collect();
        assert!(draws.len() > 10 && draws.iter().all(|draw| *draw < 100));
    }

    #[test]
    fn a_site_names_its_visitors_for_a_day_at_most() {
        let named = |claims: serde_json::Value| {
            Visitor::named(&jwt(&claims), &[SECRET.into()], &"shop".into(), at(1000))
        };
        let good = serde_json::json!({"aud": "shop", "sub": "u 1", "exp": 4600, "name": "Ann"});
        let visitor = named(good.clone()).unwrap();
        assert_eq!((visitor.customer(), visitor.name(), visitor.is_named()), ("user:u 1", Some("Ann"), true));
        for (name, value) in [
            ("aud", "other".into()),
            ("sub", "".into()),
            ("sub", "x".repeat(201).into()),
            ("exp", 900.into()),
            ("exp", (1000 + 25 * 3600).into()),
            ("exp", "soon".into()),
            ("nbf", 2000.into()),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            assert!(named(claims.clone()).is_err(), "{claims}");
        }
    }
}
