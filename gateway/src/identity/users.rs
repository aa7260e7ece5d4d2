//! Users: who they are, and what they may do.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Caller, Identity, IdentityError, NewLink, Result,
    directory::{Changes, Directory, USER, is_active_administrator},
    must_hold,
    permission::Permissions,
    record::{Purpose, User},
    secret,
};

/// A user who is wanted.
#[derive(Clone, Debug, Default)]
pub struct UserWanted {
    /// What he signs in with.
    pub login: String,
    /// What he is called.
    pub name: String,
    /// Ids of roles.
    pub roles: Vec<String>,
}

/// What is to be changed of a user; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// What he is called.
    pub name: Option<String>,
    /// Ids of roles.
    pub roles: Option<Vec<String>>,
    /// Whether he cannot sign in.
    pub disabled: Option<bool>,
    /// Whether he must set another password before he may do anything else.
    pub must_change: Option<bool>,
}

/// A user as he is shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct UserView {
    /// `us_…`.
    pub id: String,
    /// What he signs in with.
    pub login: String,
    /// What he is called.
    pub name: String,
    /// Ids of his roles.
    pub roles: Vec<String>,
    /// All that he may do.
    #[schema(value_type = Vec<String>)]
    pub permissions: Permissions,
    /// He cannot sign in.
    pub disabled: bool,
    /// He has set a password.
    pub has_password: bool,
    /// He must set another password before he may do anything else.
    pub must_change: bool,
    /// Since when he is known.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When he last signed in.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_sign_in: Option<Timestamp>,
}

impl Identity {
    /// Users after `after` in the order of their ids, at most `limit`.
    pub fn users(&self, after: Option<&str>, limit: usize) -> Vec<UserView> {
        let directory = self.read();
        let behind =
            directory.users.values().filter(|user| after.is_none_or(|after| user.id.as_str() > after));
        behind.take(limit).map(|user| view(&directory, user)).collect()
    }

    /// One user.
    pub fn user(&self, id: &str) -> Option<UserView> {
        let directory = self.read();
        directory.users.get(id).map(|user| view(&directory, user))
    }

    /// Adds a user, who sets his password by a link that is shown once.
    ///
    /// # Errors
    /// The login is taken or no login, a role does not exist or has more than the caller holds, there are too many,
    /// or the store fails.
    pub fn add_user(
        &self,
        caller: &Caller,
        wanted: &UserWanted,
        now: Timestamp,
    ) -> Result<(UserView, NewLink)> {
        let hours = self.shared.settings.invitation_hours;
        let link = NewLink::new(now, SignedDuration::from_hours(hours));
        let user = self.change(&caller.name, |directory| {
            let user = new_user(directory, wanted, now)?;
            let most = self.shared.settings.users_max;
            if directory.users.len() >= most {
                return Err(IdentityError::Full { what: "users", most });
            }
            super::roles::must_exist(directory, &user.roles)?;
            must_hold(caller, directory.permissions(&user.roles))?;
            let mut changes = Changes::default();
            changes.put(USER, &user.id, &user);
            changes.tell("user.added", &user.id, None, Some(user.shown()));
            link.put(Purpose::Password, Some(&user.id), &mut changes);
            Ok((changes, view(directory, &user)))
        })?;
        Ok((user, link))
    }

    /// Changes a user. A new role holds from his next request on; who is disabled is signed out.
    ///
    /// # Errors
    /// There is none; he has or would have more than the caller holds; he is the caller, or the last administrator; or
    /// the store fails.
    pub fn change_user(&self, caller: &Caller, id: &str, change: &UserChange) -> Result<UserView> {
        self.change(&caller.name, |directory| {
            let before = may_manage(directory, caller, id)?;
            let mut after = User::clone(before);
            if let Some(name) = &change.name {
                super::keys::named(name)?;
                after.name.clone_from(name);
            }
            if let Some(roles) = &change.roles {
                super::roles::must_exist(directory, roles)?;
                must_hold(caller, directory.permissions(roles))?;
                after.roles.clone_from(roles);
            }
            after.disabled = change.disabled.unwrap_or(after.disabled);
            after.must_change = change.must_change.unwrap_or(after.must_change);
            let powers_change = after.roles != before.roles || after.disabled != before.disabled;
            if powers_change && id == caller.id {
                return Err(IdentityError::Oneself);
            }
            one_administrator_stays(directory, before, Some(&after))?;
            let mut changes = Changes::default();
            if after == **before {
                return Ok((changes, view(directory, &after)));
            }
            changes.put(USER, id, &after);
            changes.tell("user.changed", id, Some(before.shown()), Some(after.shown()));
            if after.disabled {
                directory.sign_out(id, None, &mut changes);
            }
            Ok((changes, view(directory, &after)))
        })
    }

    /// Removes a user.
    ///
    /// # Errors
    /// There is none; he has more than the caller holds; he is the caller, or the last administrator; or the store fails.
    pub fn remove_user(&self, caller: &Caller, id: &str) -> Result<()> {
        self.change(&caller.name, |directory| {
            let user = may_manage(directory, caller, id)?;
            if id == caller.id {
                return Err(IdentityError::Oneself);
            }
            one_administrator_stays(directory, user, None)?;
            let mut changes = Changes::default();
            changes.remove(USER, id);
            changes.tell("user.removed", id, Some(user.shown()), None);
            directory.sign_out(id, None, &mut changes);
            Ok((changes, ()))
        })
    }

    /// Makes a link by which a user sets his password anew. Links that were made for him before hold no longer.
    ///
    /// # Errors
    /// There is no such user, he is disabled, he has more than the caller holds, or the store fails.
    pub fn password_link(&self, caller: &Caller, id: &str, now: Timestamp) -> Result<NewLink> {
        let minutes = self.shared.settings.password_link_minutes;
        let link = NewLink::new(now, SignedDuration::from_mins(minutes));
        self.change(&caller.name, |directory| {
            let user = may_manage(directory, caller, id)?;
            if user.disabled {
                return Err(IdentityError::Wrong("This user is disabled: enable him first.".into()));
            }
            let mut changes = Changes::default();
            let earlier = directory.links.iter().filter(|(_, link)| link.user.as_deref() == Some(id));
            earlier.for_each(|(hash, _)| changes.remove(super::directory::LINK, hash));
            link.put(Purpose::Password, Some(id), &mut changes);
            changes.tell("user.password_link_made", id, None, None);
            Ok((changes, ()))
        })?;
        Ok(link)
    }
}

/// A user whom the caller may change: one who holds no more than he. Else changing somebody's password would be a way
/// to what one does not hold.
pub(super) fn may_manage<'a>(directory: &'a Directory, caller: &Caller, id: &str) -> Result<&'a Arc<User>> {
    let user = directory.users.get(id).ok_or(IdentityError::Unknown("user"))?;
    must_hold(caller, directory.permissions(&user.roles))?;
    Ok(user)
}

pub(super) fn new_user(directory: &Directory, wanted: &UserWanted, now: Timestamp) -> Result<User> {
    let login = login(&wanted.login)?;
    super::keys::named(&wanted.name)?;
    if directory.is_taken(&login) {
        return Err(IdentityError::Taken(login));
    }
    Ok(User {
        id: secret::id("us_"),
        login,
        name: wanted.name.clone(),
        password: None,
        roles: wanted.roles.clone(),
        disabled: false,
        must_change: false,
        created: now,
        last_sign_in: None,
    })
}

/// A login as it is kept: lower-case, without blanks.
pub(super) fn login(text: &str) -> Result<String> {
    let login = text.trim().to_lowercase();
    super::keys::named(&login)?;
    if login.contains(' ') {
        return Err(IdentityError::Wrong("A login has no blanks; take a mail address.".into()));
    }
    Ok(login)
}

/// Refuses what would leave nobody who can set everything right.
fn one_administrator_stays(directory: &Directory, before: &User, after: Option<&User>) -> Result<()> {
    let was = is_active_administrator(before);
    let is = after.is_some_and(is_active_administrator);
    if was && !is && directory.administrators().all(|other| other.id == before.id) {
        return Err(IdentityError::LastAdministrator);
    }
    Ok(())
}

pub(super) fn view(directory: &Directory, user: &User) -> UserView {
    UserView {
        id: user.id.clone(),
        login: user.login.clone(),
        name: user.name.clone(),
        roles: user.roles.clone(),
        permissions: directory.permissions(&user.roles),
        disabled: user.disabled,
        has_password: user.password.is_some(),
        must_change: user.must_change,
        created: user.created,
        last_sign_in: user.last_sign_in,
    }
}
