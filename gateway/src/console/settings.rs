//! Everything that is set up once and looked at now and then.

mod audit;
mod beside;
mod blocked;
mod customers;
mod documents;
mod fields;
mod mail;
mod people;

use askama::Template;
use axum::{Router, routing::get};

use super::{
    Console,
    ask::{Desk, Shown},
    page,
    shell::{Section, Shell},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/settings", get(show))
        .route("/console/settings/about", get(about))
        .merge(people::routes())
        .merge(audit::routes())
        .merge(mail::routes())
        .merge(blocked::routes())
        .merge(customers::routes())
        .merge(beside::routes())
        .merge(documents::routes())
}

/// A page of the settings, as the first page names it.
struct Card {
    href: String,
    icon: &'static str,
    name: &'static str,
    words: &'static str,
}

impl Card {
    fn new(page: &str, icon: &'static str, name: &'static str, words: &'static str) -> Self {
        Self { href: format!("/console/settings/{page}"), icon, name, words }
    }
}

/// The pages that somebody may open, in their groups; a new one is named here.
fn groups(desk: &Desk) -> Vec<(&'static str, Vec<Card>)> {
    let mut people = Vec::new();
    if desk.may(Permission::UsersManage) {
        people.push(Card::new("users", "people", "Users", "Who signs in, and what they may do."));
    }
    people.push(Card::new("roles", "shield", "Roles", "Permissions under a name."));
    if desk.may(Permission::KeysManage) {
        people.push(Card::new("keys", "key", "API keys", "Programs that use the API."));
    }
    if desk.may(Permission::AuditRead) {
        people.push(Card::new("audit", "list", "Audit", "Who changed what, with before and after."));
    }
    let mut routing = Vec::new();
    if desk.may(Permission::RoutingRead) {
        routing
            .extend(fields::SECTIONS.iter().map(|one| Card::new(one.name, one.icon, one.title, one.words)));
        let words = "Refused before anything else, at once.";
        routing.push(Card::new("blocked-callers", "ban", "Blocked callers", words));
    }
    if desk.may(Permission::MailRead) {
        let words = "Domains that mail comes to, with the records for their zones.";
        routing.push(Card::new("mail-domains", "mail", "Mail domains", words));
        let words = "Addresses that mail is taken for, forwarders' questions, test mails.";
        routing.push(Card::new("mailboxes", "inbox", "Mailboxes", words));
    }
    let mut this = Vec::new();
    if desk.may(Permission::PrivacyManage) || desk.may(Permission::SettingsRead) {
        let words = "How long each kind is kept; what is kept of one customer, as a file.";
        this.push(Card::new("customers", "shield", "Customer data", words));
    }
    this.push(Card::new("about", "info", "About", "Version, licences, addresses for machines."));
    let all = [("Connections and routing", routing), ("People and programs", people), ("This gateway", this)];
    all.into_iter().filter(|(_, cards)| !cards.is_empty()).collect()
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    groups: Vec<(&'static str, Vec<Card>)>,
}

async fn show(desk: Desk) -> Shown {
    let shell = desk.shell(Some(Section::Settings), "Settings").await?;
    Ok(page::shown(SettingsPage { shell, groups: groups(&desk) }))
}

#[derive(Template)]
#[template(path = "settings/about.html")]
struct AboutPage {
    shell: Shell,
    version: &'static str,
}

async fn about(desk: Desk) -> Shown {
    let shell = desk.shell(Some(Section::Settings), "About").await?;
    Ok(page::shown(AboutPage { shell, version: env!("CARGO_PKG_VERSION") }))
}
