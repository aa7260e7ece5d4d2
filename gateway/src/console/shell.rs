//! What surrounds every page: the menu, the header with what is not published, and who is signed in.

use serde::Deserialize;

use super::{Console, Refused, ask::Desk, assets, page::Flash};

/// A section of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Live,
    Contacts,
    EntryPoints,
    Ivrs,
    Inboxes,
    Numbers,
    Settings,
}

/// The menu, in its order: section, words, address, icon, and the key that leads there after `g`. A section stands
/// here once it has a page.
const MENU: [(Section, &str, &str, &str, char); 7] = [
    (Section::Live, "Live", "/console/live", "pulse", 'l'),
    (Section::Contacts, "Contacts", "/console/contacts", "list", 'c'),
    (Section::EntryPoints, "Entry points", "/console/entry-points", "door", 'e'),
    (Section::Ivrs, "IVRs", "/console/ivrs", "branch", 'i'),
    (Section::Inboxes, "Inboxes", "/console/inboxes", "inbox", 'b'),
    (Section::Numbers, "Numbers & carriers", "/console/numbers", "hash", 'n'),
    (Section::Settings, "Settings", "/console/settings", "gear", 's'),
];

/// One line of the menu.
#[derive(Clone, Copy, Debug)]
pub(super) struct MenuLine {
    pub(super) words: &'static str,
    pub(super) href: &'static str,
    pub(super) icon: &'static str,
    pub(super) key: char,
    pub(super) here: bool,
}

/// What `layout.html` needs: every page of those who are signed in has one.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    pub(super) title: String,
    pub(super) menu: Vec<MenuLine>,
    /// Who is signed in.
    pub(super) name: String,
    /// Which installation this is, when it has a name.
    pub(super) environment: String,
    /// The active revision.
    pub(super) revision: u64,
    /// Edits that are not published.
    pub(super) changes: u64,
    /// What the guard took back, until somebody has published again.
    pub(super) taken_back: Option<String>,
    pub(super) flash: Option<Flash>,
    /// Where the console's own files are.
    pub(super) assets: &'static str,
}

/// The frame of pages for those who are not signed in.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) environment: String,
    pub(super) assets: &'static str,
}

impl Shell {
    /// The first letter of who is signed in.
    pub(super) fn initial(&self) -> String {
        self.name.chars().next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default()
    }
}

impl Door {
    pub(super) fn new(console: &Console) -> Self {
        Self { environment: console.state.console.environment.clone(), assets: assets::base() }
    }
}

#[derive(Deserialize)]
struct Routing {
    revision: u64,
    #[serde(default)]
    draft_changes: u64,
    #[serde(default)]
    taken_back: Option<String>,
}

impl Desk {
    /// What surrounds a page.
    ///
    /// # Errors
    /// What the API says about the routing.
    pub(super) async fn shell(
        &self,
        here: Option<Section>,
        title: impl Into<String>,
    ) -> Result<Shell, Refused> {
        let routing: Option<Routing> = self.find("/api/v1/routing").await?;
        let line = |(section, words, href, icon, key): (Section, _, _, _, _)| MenuLine {
            words,
            href,
            icon,
            key,
            here: here == Some(section),
        };
        Ok(Shell {
            title: title.into(),
            menu: MENU.into_iter().map(line).collect(),
            name: self.who.caller.name.clone(),
            environment: self.console.state.console.environment.clone(),
            revision: routing.as_ref().map_or(0, |routing| routing.revision),
            changes: routing.as_ref().map_or(0, |routing| routing.draft_changes),
            taken_back: routing.and_then(|routing| routing.taken_back),
            flash: self.flash.clone(),
            assets: assets::base(),
        })
    }
}
