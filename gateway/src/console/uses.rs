//! What uses an object of the routing document, with the pages where that is changed.

use serde::Deserialize;

use super::words::encoded;

/// One use, as the API tells it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Use {
    section: String,
    id: String,
    /// Where exactly, as a JSON pointer.
    path: String,
}

impl Use {
    /// What uses it, for people.
    pub(super) fn words(&self) -> String {
        let what = match self.section.as_str() {
            "ivrs" => "IVR",
            "inboxes" => "inbox",
            "numbers" => "number",
            "entry_points" => "entry point",
            "channels" => "channel",
            "calendars" => "calendar",
            "chat_apps" => "chat window",
            "trunks" => "trunk",
            "tests" => "routing test",
            "settings" => return "the settings of the routing".to_owned(),
            other => other,
        };
        format!("{what} {}", self.id)
    }

    /// The part of it that does, such as `nodes/menu/prompt`; empty when all of it does.
    pub(super) fn part(&self) -> String {
        let steps: Vec<&str> =
            self.path.split('/').skip(if self.section == "settings" { 2 } else { 3 }).collect();
        steps.join("/")
    }

    /// The page where it is changed; empty when there is none.
    pub(super) fn href(&self) -> String {
        let id = encoded(&self.id);
        match self.section.as_str() {
            "ivrs" => format!("/console/ivrs/{id}"),
            "inboxes" => format!("/console/inboxes/{id}"),
            "entry_points" => match self.id.split_once('/') {
                Some((channel, address)) => format!("/console/entry-points/{channel}/{}", encoded(address)),
                None => String::new(),
            },
            "numbers" => format!("/console/numbers/{id}"),
            "trunks" | "providers" | "chat_apps" | "calendars" | "channels" | "lists" => {
                format!("/console/settings/{}/{id}", self.section)
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_told_with_the_part_that_it_is_about() {
        let one =
            Use { section: "ivrs".into(), id: "ivr/1".into(), path: "/ivrs/ivr~11/nodes/menu/prompt".into() };
        assert_eq!((one.words().as_str(), one.part().as_str()), ("IVR ivr/1", "nodes/menu/prompt"));
        assert_eq!(one.href(), "/console/ivrs/ivr%2F1");
        let one =
            Use { section: "settings".into(), id: "settings".into(), path: "/settings/default_inbox".into() };
        assert_eq!((one.part().as_str(), one.href().as_str()), ("default_inbox", ""));
    }
}
