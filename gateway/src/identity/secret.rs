//! Random secrets: 256 bits each, kept as SHA-256 only. A slow hash would add nothing to so many random bits.

use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

/// A secret that was just made, with a prefix that explains it: shown once.
pub(super) fn new(prefix: &str) -> String {
    format!("{prefix}{}", hex(&StdRng::from_os_rng().random::<[u8; 32]>()))
}

/// An id that nobody else has.
pub(super) fn id(prefix: &str) -> String {
    format!("{prefix}{}", hex(&StdRng::from_os_rng().random::<[u8; 8]>()))
}

/// What is kept of a secret, and what it is found by. It tells nothing of the secret, so that finding it by a map gives
/// nothing away either: who tries secrets cannot choose their hashes.
pub(super) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
