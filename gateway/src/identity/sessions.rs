//! Signing in and out, and what is open.

use std::{net::IpAddr, sync::atomic::Ordering};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use vestibule_config::store::AuditLine;

use super::{
    Caller, CallerKind, Identity, IdentityError, Result,
    directory::{Changes, Directory, NOBODY, SESSION, USER},
    record::{Seen, Session, User},
    secret, throttle, users,
    users::UserView,
};

/// A session that was just begun.
#[derive(Clone)]
pub struct NewSession {
    /// Its secret, for the cookie.
    pub secret: String,
    /// Whose it is.
    pub user: UserView,
    /// When it ends in any case.
    pub expires: Timestamp,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").field("user", &self.user.id).finish_non_exhaustive()
    }
}

/// A session as it is shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SessionView {
    /// `ss_…`.
    pub id: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When it ends in any case.
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// When something was last asked for by it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// The program that it began with, as it calls itself.
    pub agent: String,
    /// It is the one that asks.
    pub current: bool,
}

/// Where somebody signs in from.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// The address, when it is known.
    pub address: Option<IpAddr>,
    /// The program, as it calls itself.
    pub agent: &'a str,
    /// When.
    pub now: Timestamp,
}

impl Identity {
    /// Signs somebody in.
    ///
    /// # Errors
    /// Login and password do not fit, too many attempts failed before, or the store fails.
    pub async fn sign_in(&self, typed_login: &str, password: String, from: From<'_>) -> Result<NewSession> {
        let login = users::login(typed_login).map_err(|_| IdentityError::WrongPassword)?;
        let user = self.prove(&login, password, from.address).await?;
        let (agent, now) = (from.agent.to_owned(), from.now);
        self.blocking(move |identity| {
            identity.begin_session(&user.login, &agent, now, |directory, changes| {
                // What was proven must hold still.
                let user = directory.users.get(&user.id).filter(|now| now.password == user.password);
                let mut user = User::clone(user.ok_or(IdentityError::WrongPassword)?);
                user.last_sign_in = Some(now);
                changes.put(USER, &user.id, &user);
                Ok(user)
            })
        })
        .await
    }

    /// Proves by password who somebody is, and counts failures.
    async fn prove(&self, login: &str, password: String, address: Option<IpAddr>) -> Result<User> {
        let network = address.map(throttle::network);
        let failures = (&self.shared.addresses_failed, &self.shared.logins_failed);
        if let Some(network) = network {
            failures.0.begin(&network).map_err(IdentityError::TooManyFailures)?;
        }
        failures.1.begin(&login.to_owned()).map_err(IdentityError::TooManyFailures)?;
        let user = self.read().user_of_login(login).map(|user| User::clone(user));
        let kept = user.as_ref().filter(|user| !user.disabled).and_then(|user| user.password.clone());
        let right = self.shared.passwords.is_right(password, kept).await?;
        let Some(user) = user.clone().filter(|_| right) else {
            self.tell_of_failure(login, user).await?;
            return Err(IdentityError::WrongPassword);
        };
        failures.1.forget(&login.to_owned());
        network.inspect(|network| failures.0.take_back(network));
        Ok(user)
    }

    /// A wrong password stands in the audit log. What was typed as a login does not, unless somebody has it: it may be the
    /// password.
    async fn tell_of_failure(&self, login: &str, user: Option<User>) -> Result<()> {
        let mut after = user.as_ref().map(|user| json!({ "disabled": user.disabled }));
        let (actor, subject) = match user {
            Some(user) => (login.to_owned(), user.id),
            None => {
                // Anybody can do that as often as he likes: the log tells of some, and then how many more there were.
                let untold = &self.shared.strangers_untold;
                if self.shared.strangers_told.begin(&()).is_err() {
                    untold.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                let more = untold.swap(0, Ordering::Relaxed);
                after = (more > 0).then(|| json!({ "untold_before": more }));
                (NOBODY.to_owned(), String::new())
            }
        };
        self.tell(actor, AuditLine { action: "user.sign_in_failed", subject, before: None, after }).await
    }

    /// Begins a session of a user, with what `prepare` changes beside it.
    pub(super) fn begin_session(
        &self,
        login: &str,
        agent: &str,
        now: Timestamp,
        prepare: impl Fn(&Directory, &mut Changes) -> Result<User>,
    ) -> Result<NewSession> {
        let settings = &self.shared.settings;
        let made = secret::new("");
        let expires =
            now.checked_add(SignedDuration::from_hours(settings.session_hours_max)).unwrap_or(Timestamp::MAX);
        let user = self.change(login, |directory| {
            let mut changes = Changes::default();
            let user = prepare(directory, &mut changes)?;
            let open = directory.sessions_of(&user.id);
            let surplus = (open.len() + 1).saturating_sub(settings.sessions_per_user_max);
            open.iter().take(surplus).for_each(|session| changes.remove(SESSION, &session.sha256));
            let session = Session {
                id: secret::id("ss_"),
                sha256: secret::digest(&made),
                user: user.id.clone(),
                created: now,
                expires,
                last_seen: Seen::at(now),
                agent: agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS_MAX).collect(),
            };
            changes.put(SESSION, &session.sha256, &session);
            let begun = json!({"session": session.id, "agent": session.agent});
            changes.tell("user.signed_in", &user.id, None, Some(begun));
            Ok((changes, users::view(directory, &user)))
        })?;
        Ok(NewSession { secret: made, user, expires })
    }

    /// Sets the caller's own password; his other sessions end.
    ///
    /// # Errors
    /// He is no user, the current password is wrong, the new one may not be chosen, or the store fails.
    pub async fn set_own_password(
        &self,
        caller: &Caller,
        current: String,
        new: String,
        address: Option<IpAddr>,
    ) -> Result<()> {
        let CallerKind::User { session, .. } = &caller.kind else {
            return Err(IdentityError::Wrong("Keys have no password: sign in.".into()));
        };
        let user = self.prove(&caller.name, current.clone(), address).await?;
        self.shared.passwords.allowed(&new, &user.login)?;
        if new == current {
            return Err(IdentityError::Wrong("The new password is the one before.".into()));
        }
        let hash = self.shared.passwords.hash(new).await?;
        let session = session.clone();
        self.blocking(move |identity| {
            identity.change(&user.login, |directory| {
                let before = directory.users.get(&user.id).ok_or(IdentityError::Unknown("user"))?;
                let after = User { password: Some(hash.clone()), must_change: false, ..User::clone(before) };
                let mut changes = Changes::default();
                changes.put(USER, &after.id, &after);
                changes.tell("user.password_set", &after.id, Some(before.shown()), Some(after.shown()));
                directory.sign_out(&after.id, Some(&session), &mut changes);
                Ok((changes, ()))
            })
        })
        .await
    }

    /// The sessions of a user that have not ended, the oldest first; `current` is that which asks.
    pub fn sessions(&self, user: &str, current: Option<&str>, now: Timestamp) -> Vec<SessionView> {
        let open = self.read().sessions_of(user);
        let alive = open.iter().filter(|session| super::directory::is_alive(session, now, self.idle()));
        alive
            .map(|session| SessionView {
                id: session.id.clone(),
                created: session.created,
                expires: session.expires,
                last_seen: session.last_seen.get(),
                agent: session.agent.clone(),
                current: current == Some(session.id.as_str()),
            })
            .collect()
    }

    /// Ends one of a user's sessions, or all.
    ///
    /// # Errors
    /// He has no such session, or more permissions than the caller holds; or the store fails.
    pub fn end_sessions(&self, caller: &Caller, user: &str, session: Option<&str>) -> Result<()> {
        self.change(&caller.name, |directory| {
            if user != caller.id {
                users::may_manage(directory, caller, user)?;
            }
            let mut changes = Changes::default();
            let ended = directory.sessions.iter().filter(|(_, open)| open.user == user);
            for (hash, open) in ended.filter(|(_, open)| session.is_none_or(|id| id == open.id)) {
                changes.remove(SESSION, hash);
                let of = json!({ "session": open.id });
                changes.tell("user.session_ended", user, Some(of), None);
            }
            if session.is_some() && changes.records.is_empty() {
                return Err(IdentityError::Unknown("session"));
            }
            Ok((changes, ()))
        })
    }
}

const AGENT_CHARS_MAX: usize = 200;
