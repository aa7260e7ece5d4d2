//! The client's side: answers the challenges of whoever we call.

use super::Algorithm;
use crate::{
    header::HeaderName,
    lex::{is_lws, parameter, split_outside, trim},
    message::Message,
};

/// Challenges kept: one for each server on the way that asks.
const CHALLENGES_MAX: usize = 4;

/// Refusals in a row after which nothing is tried any more, whatever the server says.
const REFUSALS_MAX: u8 = 4;

/// A user name and its secret, and what servers have asked of them so far.
#[derive(Clone)]
pub struct Login {
    username: String,
    secret: String,
    challenges: Vec<Challenge>,
    /// Refusals since something was accepted.
    refusals: u8,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What one server asked for.
#[derive(Clone, Debug)]
struct Challenge {
    /// A proxy asked (407), not the other side itself (401).
    proxy: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The server said which algorithm; one that did not may not understand the parameter.
    algorithm_named: bool,
    /// Quality of protection `auth`; without it the older form is used.
    qop: bool,
    /// How often the nonce was used.
    count: u32,
    /// An answer to it was taken.
    accepted: bool,
}

impl Login {
    /// Credentials that nobody has asked for yet. Quotes and control characters, which no header could carry,
    /// are left out of the user name.
    pub fn new(username: &str, secret: &str) -> Self {
        let username = username.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
        Self { username, secret: secret.to_owned(), challenges: Vec::new(), refusals: 0 }
    }

    /// Takes the challenges of a 401 or 407; whether the request is worth sending again. It is not when none of
    /// them can be answered, nor when one was answered before, never accepted, and is not said to be stale: the
    /// secret is wrong.
    pub(crate) fn challenged(&mut self, response: &Message<'_>) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        let mut worth = false;
        for (name, proxy) in [(HeaderName::WwwAuthenticate, false), (HeaderName::ProxyAuthenticate, true)] {
            let mut taken: Vec<String> = Vec::new();
            for value in response.all(name) {
                let Some((challenge, stale)) = Challenge::parse(value, proxy) else { continue };
                // The first of a realm that we can answer is the one the server prefers (RFC 8760 §2.4).
                if !taken.contains(&challenge.realm) {
                    taken.push(challenge.realm.clone());
                    worth |= self.take(challenge, stale);
                }
            }
        }
        worth && self.refusals < REFUSALS_MAX
    }

    /// Takes one challenge; whether answering it may help.
    fn take(&mut self, challenge: Challenge, stale: bool) -> bool {
        let same = |known: &&mut Challenge| known.proxy == challenge.proxy && known.realm == challenge.realm;
        if let Some(known) = self.challenges.iter_mut().find(same) {
            let worth = stale || known.count == 0 || known.accepted;
            *known = challenge;
            return worth;
        }
        let room = self.challenges.len() < CHALLENGES_MAX;
        if room {
            self.challenges.push(challenge);
        }
        room
    }

    /// A request with our answers was taken: a server that asks again wants a fresh answer, not another secret.
    pub(crate) fn accepted(&mut self) {
        self.refusals = 0;
        self.challenges.iter_mut().for_each(|challenge| challenge.accepted = challenge.count > 0);
    }

    /// The headers that prove us for a request: name and value. `cnonce` is random.
    pub(crate) fn headers(&mut self, method: &str, uri: &[u8], cnonce: u64) -> Vec<(&'static str, String)> {
        let Self { username, secret, challenges, .. } = self;
        challenges
            .iter_mut()
            .map(|challenge| {
                let name = if challenge.proxy { "Proxy-Authorization" } else { "Authorization" };
                (name, challenge.answer(username, secret, method, uri, cnonce))
            })
            .collect()
    }
}

impl Challenge {
    /// A challenge that we can answer, and whether it says that the last nonce was only too old.
    fn parse(value: &[u8], proxy: bool) -> Option<(Self, bool)> {
        let value = trim(value);
        let end = value.iter().position(|&b| is_lws(b))?;
        let (scheme, rest) = value.split_at_checked(end)?;
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let find = |wanted: &str| {
            split_outside(rest, b',').find_map(|piece| {
                let (name, value) = parameter(piece);
                name.eq_ignore_ascii_case(wanted.as_bytes()).then_some(value).flatten()
            })
        };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let named = find("algorithm");
        let algorithm = match named {
            None => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"MD5") => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case(b"SHA-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        let qop = match find("qop") {
            None => false,
            Some(list) if list.split(|&b| b == b',').any(|q| trim(q).eq_ignore_ascii_case(b"auth")) => true,
            Some(_) => return None,
        };
        let stale = find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case(b"true"));
        let challenge = Self {
            proxy,
            realm: text(find("realm")?)?,
            nonce: text(find("nonce")?)?,
            opaque: match find("opaque") {
                Some(opaque) => Some(text(opaque)?),
                None => None,
            },
            algorithm,
            algorithm_named: named.is_some(),
            qop,
            count: 0,
            accepted: false,
        };
        Some((challenge, stale))
    }

    /// RFC 7616 §3.4; without `qop` as RFC 2069 had it, which old servers still want.
    fn answer(&mut self, username: &str, secret: &str, method: &str, uri: &[u8], cnonce: u64) -> String {
        self.count = self.count.wrapping_add(1);
        let (realm, nonce) = (&self.realm, &self.nonce);
        let a1 = self.algorithm.hash(&[username.as_bytes(), realm.as_bytes(), secret.as_bytes()]);
        let a2 = self.algorithm.hash(&[method.as_bytes(), uri]);
        let uri = String::from_utf8_lossy(uri);
        let mut value =
            format!("Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\"");
        let mut put = |text: String| value.push_str(&text);
        if self.qop {
            let (count, cnonce) = (format!("{:08x}", self.count), format!("{cnonce:016x}"));
            let parts: [&[u8]; 6] = [
                a1.as_bytes(),
                nonce.as_bytes(),
                count.as_bytes(),
                cnonce.as_bytes(),
                b"auth",
                a2.as_bytes(),
            ];
            let response = self.algorithm.hash(&parts);
            put(format!(", response=\"{response}\", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        } else {
            let response = self.algorithm.hash(&[a1.as_bytes(), nonce.as_bytes(), a2.as_bytes()]);
            put(format!(", response=\"{response}\""));
        }
        if self.algorithm_named {
            put(format!(", algorithm={}", self.algorithm.as_str()));
        }
        if let Some(opaque) = &self.opaque {
            put(format!(", opaque=\"{opaque}\""));
        }
        value
    }
}
