//! Users and keys from the command line: whoever can write to the data folder may. A running gateway sees it within seconds.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use vestibule_config::settings::Settings;

use super::say;
use crate::{
    app::identity::base_url,
    identity::{Caller, Identity, KeyWanted, permission::Permission},
    vault::Vault,
};

/// What is to be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key; it is printed once.
    Add {
        /// What it is for: the author of what is changed with it.
        name: String,
        /// A role that it has (repeat for more), such as administrator, agent_platform or api.
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        /// A permission beside its roles (repeat for more), such as feed.read.
        #[arg(long, value_name = "PERMISSION")]
        permission: Vec<String>,
        /// Days for which it holds; without, until it is revoked.
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
    },
    /// List keys.
    List,
    /// Revoke a key.
    Revoke {
        /// Its id, `ak_…`.
        id: String,
    },
}

/// Makes a link for somebody who is locked out, and prints it.
pub(super) fn sign_in_link(settings: &Settings, user: Option<&str>) -> anyhow::Result<ExitCode> {
    let (identity, now) = (open(settings)?, Timestamp::now());
    let link = match user {
        Some(login) => {
            let id = identity.user_of_login(login).with_context(|| format!("there is no user {login}"))?;
            identity.password_link(&Caller::operator(), &id, now)?
        }
        None => identity.administrator_link(now)?,
    };
    say(&format!("{}{}", base_url(settings, None), link.path()));
    Ok(ExitCode::SUCCESS)
}

/// Does what is to be done with keys.
pub(super) fn keys(settings: &Settings, command: KeysCommand) -> anyhow::Result<ExitCode> {
    let identity = open(settings)?;
    match command {
        KeysCommand::Add { name, role, permission, days } => {
            let permissions = permission
                .iter()
                .map(|name| Permission::parse(name).with_context(|| format!("there is no permission {name}")))
                .collect::<anyhow::Result<_>>()?;
            let now = Timestamp::now();
            let expires = days.map(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days))));
            let wanted = KeyWanted { name, roles: role, permissions, expires: expires.transpose()? };
            let (_, secret) = identity.add_key(&Caller::operator(), &wanted, now)?;
            say(&secret);
        }
        KeysCommand::List => {
            for key in identity.keys(None, usize::MAX) {
                let expires = key.expires.map_or("never".to_owned(), |at| at.to_string());
                let used = key.last_used.map_or("never".to_owned(), |at| at.to_string());
                let roles = key.roles.join(",");
                say(&format!("{}  {}  roles {roles}  expires {expires}  used {used}", key.id, key.name));
            }
        }
        KeysCommand::Revoke { id } => identity.revoke_key(&Caller::operator(), &id)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn open(settings: &Settings) -> anyhow::Result<Identity> {
    let folder = &settings.data_dir;
    anyhow::ensure!(
        folder.join("config.db").exists(),
        "{} holds no gateway's data yet: start it once, or name its folder with --data-dir",
        folder.display()
    );
    Ok(Identity::open(folder, &settings.identity, Some(Vault::of(settings)?.audit_keys()))?.0)
}
