//! Trunks that must prove who they are: digest authentication of new calls (RFC 3261 §22, RFC 8760).
//!
//! Asked after the trunk's networks have matched, for INVITEs that begin a call; what belongs to a call is known
//! by its dialog. Owned by one SIP thread.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::{
    digest::{Algorithm, Authenticator, Refusal, ReplayGuard},
    endpoint::Invite,
};
use vestibule_config::{
    compile::Trunk,
    document::{Digest, DigestAlgorithm},
};

use super::gate::Gate;

/// Checks credentials; makes challenges.
pub(super) struct Credentials {
    realm: String,
    key: [u8; 32],
    rng: StdRng,
    started: Instant,
    replays: ReplayGuard,
    expired_at: u64,
}

/// What to do with a new call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take it.
    Admitted,
    /// Ask for credentials with these WWW-Authenticate values.
    Challenge(Vec<String>),
    /// Refuse it with this status.
    Refused(u16),
}

impl Credentials {
    pub(super) fn new(realm: String, mut rng: StdRng, started: Instant) -> Self {
        let key = rng.random();
        let rng = StdRng::from_rng(&mut rng);
        Self { realm, key, rng, started, replays: ReplayGuard::new(NONCES_MAX), expired_at: 0 }
    }

    /// Judges a new call of a trunk.
    pub(super) fn judge(&mut self, gate: &Gate, trunk: &Trunk, invite: &Invite, now: Instant) -> Verdict {
        let Some(digest) = &trunk.digest else { return Verdict::Admitted };
        let Some(secret) = gate.secret(&trunk.id) else {
            tracing::error!(trunk = %trunk.id, "calls are refused: the trunk's secret cannot be read");
            return Verdict::Refused(503);
        };
        let seconds = now.saturating_duration_since(self.started).as_secs();
        self.forget_old(seconds);
        let known = |algorithm: &DigestAlgorithm| match algorithm {
            DigestAlgorithm::Sha256 => Algorithm::Sha256,
            DigestAlgorithm::Md5 => Algorithm::Md5,
        };
        let algorithms: Vec<Algorithm> = digest.algorithms.iter().map(known).collect();
        let authenticator = Authenticator::new(&self.realm, self.key, NONCE_LIFE.as_secs(), &algorithms);
        let mut stale = false;
        for authorization in &invite.authorization {
            match self.check(&authenticator, authorization, invite, (digest, &secret), seconds) {
                Ok(()) => return Verdict::Admitted,
                Err(Refusal::Stale) => stale = true,
                Err(Refusal::NotForUs | Refusal::Algorithm) => {}
                Err(Refusal::Malformed | Refusal::OtherRequest) => return Verdict::Refused(400),
                Err(Refusal::Wrong) => return Verdict::Refused(403),
            }
        }
        Verdict::Challenge(authenticator.challenges(seconds, self.rng.random(), stale))
    }

    fn check(
        &mut self,
        authenticator: &Authenticator,
        authorization: &str,
        invite: &Invite,
        (digest, secret): (&Digest, &str),
        seconds: u64,
    ) -> Result<(), Refusal> {
        let password_of = |user: &str| (user == digest.user).then(|| secret.to_owned());
        let request = (&b"INVITE"[..], invite.request_uri.as_bytes());
        let accepted = authenticator.verify(authorization.as_bytes(), request, password_of, seconds)?;
        self.replays.admit(&accepted)
    }

    fn forget_old(&mut self, seconds: u64) {
        if seconds >= self.expired_at + NONCE_LIFE.as_secs() {
            self.replays.expire(seconds, NONCE_LIFE.as_secs());
            self.expired_at = seconds;
        }
    }
}

/// How long a nonce may be used: a carrier that keeps it saves a round trip for each call.
const NONCE_LIFE: Duration = Duration::from_secs(300);
/// Nonces whose counts are remembered, about 2 MB.
const NONCES_MAX: usize = 65_536;
