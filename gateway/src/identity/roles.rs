//! Roles of one's own.

use serde::Serialize;

use super::{
    Caller, Identity, IdentityError, Result,
    directory::{Changes, Directory, ROLE},
    must_hold,
    permission::Permissions,
    role::{self, BUILT_IN, CustomRole},
};

/// A role as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RoleView {
    /// Its id, by which users and keys name it.
    pub id: String,
    /// What it is for.
    pub description: String,
    /// What it allows.
    #[schema(value_type = Vec<String>)]
    pub permissions: Permissions,
    /// It always is there, and cannot be changed.
    pub built_in: bool,
}

impl Identity {
    /// All roles, the built-in ones first.
    pub fn roles(&self) -> Vec<RoleView> {
        let built_in = BUILT_IN.iter().map(|role| RoleView {
            id: role.id.to_owned(),
            description: role.description.to_owned(),
            permissions: role.permissions,
            built_in: true,
        });
        built_in.chain(self.read().roles.values().map(view)).collect()
    }

    /// Makes a role, or changes it. Who has it himself cannot.
    ///
    /// # Errors
    /// The id is no id or that of a built-in role, it has or would have more than the caller holds, there are too
    /// many, or the store fails.
    pub fn put_role(&self, caller: &Caller, wanted: &CustomRole) -> Result<RoleView> {
        self.change(&caller.name, |directory| {
            let id = wanted.id.as_str();
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if id.is_empty() || id.len() > 40 || !id.bytes().all(fits) {
                let text = "The id of a role has 1 to 40 lower-case letters, digits and `_`.";
                return Err(IdentityError::Wrong(text.into()));
            }
            if role::built_in(id).is_some() {
                return Err(IdentityError::Wrong(format!("{id} is built in, and stays as it is.")));
            }
            if wanted.description.chars().count() > 500 {
                return Err(IdentityError::Wrong("A description has 500 characters at most.".into()));
            }
            let before = directory.roles.get(id);
            let most = self.shared.settings.roles_max;
            if before.is_none() && directory.roles.len() >= most {
                return Err(IdentityError::Full { what: "roles", most });
            }
            not_ones_own(directory, caller, id)?;
            let held = before.map(|role| role.permissions).unwrap_or_default();
            must_hold(caller, held.with(wanted.permissions))?;
            let mut changes = Changes::default();
            changes.put(ROLE, id, wanted);
            let action = if before.is_some() { "role.changed" } else { "role.added" };
            let shown = |role: &CustomRole| serde_json::to_value(role).unwrap_or_default();
            changes.tell(action, id, before.map(shown), Some(shown(wanted)));
            Ok((changes, view(wanted)))
        })
    }

    /// Removes a role that nobody has.
    ///
    /// # Errors
    /// There is none, somebody has it, it allows more than the caller holds, or the store fails.
    pub fn remove_role(&self, caller: &Caller, id: &str) -> Result<()> {
        self.change(&caller.name, |directory| {
            let role = directory.roles.get(id).ok_or(IdentityError::Unknown("role"))?;
            let has = |roles: &[String]| roles.iter().any(|role| role == id);
            let used = directory.users.values().any(|user| has(&user.roles))
                || directory.keys.values().any(|key| has(&key.roles));
            if used {
                return Err(IdentityError::RoleUsed);
            }
            must_hold(caller, role.permissions)?;
            let mut changes = Changes::default();
            changes.remove(ROLE, id);
            changes.tell("role.removed", id, serde_json::to_value(role).ok(), None);
            Ok((changes, ()))
        })
    }
}

/// A role that the caller has himself would change what he may do.
fn not_ones_own(directory: &Directory, caller: &Caller, id: &str) -> Result<()> {
    let user = directory.users.get(&caller.id).map(|user| &user.roles);
    let roles = user.or_else(|| directory.keys.get(&caller.id).map(|key| &key.roles));
    if roles.is_some_and(|roles| roles.iter().any(|role| role == id)) {
        return Err(IdentityError::Oneself);
    }
    Ok(())
}

/// Roles that somebody is to have must be there.
pub(super) fn must_exist(directory: &Directory, roles: &[String]) -> Result<()> {
    if roles.len() > 20 {
        return Err(IdentityError::Wrong("Nobody needs more than 20 roles.".into()));
    }
    match roles.iter().find(|role| !directory.has_role(role)) {
        Some(role) => Err(IdentityError::Wrong(format!("There is no role \"{role}\"."))),
        None => Ok(()),
    }
}

fn view(role: &CustomRole) -> RoleView {
    RoleView {
        id: role.id.clone(),
        description: role.description.clone(),
        permissions: role.permissions,
        built_in: false,
    }
}
