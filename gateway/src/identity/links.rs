//! Links that can be used once: for the first administrator, for those who are locked out, for passwords.

use jiff::{SignedDuration, Timestamp};

use super::{
    Identity, IdentityError, NewSession, Result,
    directory::{Changes, LINK, USER},
    record::{Link, Purpose, User},
    role::ADMINISTRATOR,
    secret, users,
    users::UserWanted,
};

/// A link that was just made: its token is shown once.
#[derive(Clone)]
pub struct NewLink {
    /// The token of `/console/sign-in?token=…`.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSays {
    /// What it is for.
    pub purpose: Purpose,
    /// Whose password it sets; none for a new administrator.
    pub login: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
}

/// What somebody chooses who uses a link.
#[derive(Clone, Debug, Default)]
pub struct Promised {
    /// The password.
    pub password: String,
    /// For a new administrator: what he signs in with.
    pub login: Option<String>,
    /// For a new administrator: what he is called.
    pub name: Option<String>,
}

impl std::fmt::Debug for NewLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLink").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl NewLink {
    pub(super) fn new(now: Timestamp, lasting: SignedDuration) -> Self {
        let expires = now.checked_add(lasting).unwrap_or(Timestamp::MAX);
        Self { token: secret::new("vl_"), expires }
    }

    pub(super) fn put(&self, purpose: Purpose, user: Option<&str>, changes: &mut Changes) {
        let sha256 = secret::digest(&self.token);
        let link = Link { sha256, purpose, user: user.map(str::to_owned), expires: self.expires };
        changes.put(LINK, &link.sha256, &link);
    }

    /// The path of the console's page with it.
    pub fn path(&self) -> String {
        format!("/console/sign-in?token={}", self.token)
    }
}

impl Identity {
    /// Makes the link of the first administrator; none once somebody can sign in. Earlier ones hold no longer.
    ///
    /// # Errors
    /// The store fails.
    pub fn first_link(&self, now: Timestamp) -> Result<Option<NewLink>> {
        if self.has_users() { Ok(None) } else { self.administrator_link(now).map(Some) }
    }

    /// Makes a link by which somebody becomes an administrator: for who has the data folder, and is locked out. Earlier
    /// ones hold no longer.
    ///
    /// # Errors
    /// The store fails.
    pub fn administrator_link(&self, now: Timestamp) -> Result<NewLink> {
        let minutes = self.shared.settings.first_link_minutes;
        let link = NewLink::new(now, SignedDuration::from_mins(minutes));
        self.change("system", |directory| {
            let mut changes = Changes::default();
            let earlier = directory.links.iter().filter(|(_, link)| link.user.is_none());
            earlier.for_each(|(hash, _)| changes.remove(LINK, hash));
            link.put(Purpose::Administrator, None, &mut changes);
            changes.tell("administrator_link.made", "", None, None);
            Ok((changes, ()))
        })?;
        Ok(link)
    }

    /// The id of the user of a login.
    pub fn user_of_login(&self, login: &str) -> Option<String> {
        let login = users::login(login).ok()?;
        self.read().user_of_login(&login).map(|user| user.id.clone())
    }

    /// What a link is for; it can still be used afterwards. Waits for the disk: the command line may have made it.
    ///
    /// # Errors
    /// It was used, has ended, or never was; or the store fails.
    pub fn read_link(&self, token: &str, now: Timestamp) -> Result<LinkSays> {
        self.catch_up()?;
        let directory = self.read();
        let link = directory.links.get(&secret::digest(token)).filter(|link| link.expires > now);
        let link = link.ok_or(IdentityError::NoLink)?;
        let user = link.user.as_deref().map(|id| directory.users.get(id).ok_or(IdentityError::NoLink));
        let login = user.transpose()?.map(|user| user.login.clone());
        Ok(LinkSays { purpose: link.purpose, login, expires: link.expires })
    }

    /// Uses a link: the password is set, for a new administrator too, and he is signed in. His other sessions end.
    ///
    /// # Errors
    /// It was used, has ended, or never was; the password may not be chosen; the login is taken; or the store fails.
    pub async fn use_link(
        &self,
        token: String,
        promised: Promised,
        agent: &str,
        now: Timestamp,
    ) -> Result<NewSession> {
        let asked = token.clone();
        let says = self.blocking(move |identity| identity.read_link(&asked, now)).await?;
        let login = match (&says.login, &promised.login) {
            (Some(login), _) => login.clone(),
            (None, Some(login)) => users::login(login)?,
            (None, None) => return Err(IdentityError::Wrong("`login` is needed.".into())),
        };
        self.shared.passwords.allowed(&promised.password, &login)?;
        let hash = self.shared.passwords.hash(promised.password).await?;
        let wanted = UserWanted {
            name: promised.name.unwrap_or_else(|| login.clone()),
            login: login.clone(),
            roles: vec![ADMINISTRATOR.to_owned()],
        };
        let agent = agent.to_owned();
        self.blocking(move |identity| {
            identity.begin_session(&login, &agent, now, |directory, changes| {
                let sha256 = secret::digest(&token);
                let link = directory.links.get(&sha256).filter(|link| link.expires > now);
                let link = link.ok_or(IdentityError::NoLink)?;
                let before = link.user.as_deref().map(|id| directory.users.get(id));
                let before = before.map(|user| user.filter(|user| !user.disabled));
                let user = match before {
                    Some(user) => User::clone(user.ok_or(IdentityError::NoLink)?),
                    None => users::new_user(directory, &wanted, now)?,
                };
                let shown = link.user.is_some().then(|| user.shown());
                let user = User {
                    password: Some(hash.clone()),
                    must_change: false,
                    last_sign_in: Some(now),
                    ..user
                };
                changes.remove(LINK, &sha256);
                directory.sign_out(&user.id, None, changes);
                changes.put(USER, &user.id, &user);
                let action = if shown.is_some() { "user.password_set" } else { "user.added" };
                changes.tell(action, &user.id, shown, Some(user.shown()));
                Ok(user)
            })
        })
        .await
    }
}
