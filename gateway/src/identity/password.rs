//! Passwords: argon2id (RFC 9106) with 19 MiB and two passes, as OWASP advises; few at a time, away from the tasks.

use std::{sync::Arc, time::Duration};

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::Semaphore;

use super::IdentityError;

/// Longest password looked at, bytes.
const PASSWORD_BYTES_MAX: usize = 256;

/// How long a check waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// Makes and checks hashes.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    chars_min: usize,
    /// The hash of nothing anybody could type: checked for logins that do not exist, so that they take as long.
    nobody: Arc<str>,
}

impl Passwords {
    pub(super) fn new(parallel_max: usize, chars_min: usize) -> Result<Self, IdentityError> {
        let nobody = hash(&super::secret::new(""))?.into();
        Ok(Self { turns: Arc::new(Semaphore::new(parallel_max)), chars_min, nobody })
    }

    /// Whether a password may be chosen by somebody.
    pub(super) fn allowed(&self, password: &str, login: &str) -> Result<(), IdentityError> {
        let short = password.chars().count() < self.chars_min;
        let names_login = login.len() >= 4 && password.to_lowercase().contains(login);
        let one_letter = password.chars().skip(1).all(|c| password.starts_with(c));
        if short || password.len() > PASSWORD_BYTES_MAX || names_login || one_letter {
            return Err(IdentityError::WeakPassword { chars_min: self.chars_min });
        }
        Ok(())
    }

    /// The hash to keep of a password.
    pub(super) async fn hash(&self, password: String) -> Result<String, IdentityError> {
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether a password is the one of a hash; never without one, after as much work.
    pub(super) async fn is_right(
        &self,
        password: String,
        kept: Option<String>,
    ) -> Result<bool, IdentityError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let there = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.to_string());
        let right = self.in_turn(move || {
            PasswordHash::new(&kept)
                .is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok())
        });
        Ok(right.await? && there)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, IdentityError> {
        let turn = tokio::time::timeout(TURN_WITHIN, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(IdentityError::Busy) };
        let done = crate::blocking::blocking(move || {
            // The turn ends with the work, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| IdentityError::Busy)
    }
}

fn hash(password: &str) -> Result<String, IdentityError> {
    let salt = StdRng::from_os_rng().random::<[u8; 16]>();
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| IdentityError::Hash(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only_and_hashes_differ() {
        let passwords = Passwords::new(1, 12).unwrap();
        let kept = passwords.hash("correct horse battery".into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash("correct horse battery".into()).await.unwrap());
        assert!(passwords.is_right("correct horse battery".into(), Some(kept.clone())).await.unwrap());
        assert!(!passwords.is_right("correct horse batterz".into(), Some(kept)).await.unwrap());
        assert!(!passwords.is_right("correct horse battery".into(), None).await.unwrap());
    }

    #[test]
    fn short_passwords_and_those_made_of_the_login_are_refused() {
        let passwords = Passwords::new(1, 12).unwrap();
        for weak in ["", "elevenchars", "aaaaaaaaaaaaaaaa", "ann@example.com1", &"ab".repeat(200)] {
            assert!(passwords.allowed(weak, "ann@example.com").is_err(), "{weak}");
        }
        assert!(passwords.allowed("twelve chars", "ann@example.com").is_ok());
    }
}
