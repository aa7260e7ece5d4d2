//! Chat apps: on whose pages, when, and for how many.

use std::{collections::BTreeMap, sync::Arc};

use vestibule_routing::id::ChatAppId;

use super::{Compiler, providers::SECRETS_MAX};
use crate::{
    diagnostic::{Code, step},
    document::{ChatAppDoc, ThrottleDoc},
};

/// Every chat app by its id.
pub type ChatApps = BTreeMap<ChatAppId, Arc<ChatAppDoc>>;

/// Most pages that one chat app is on.
const ORIGINS_MAX: usize = 64;
/// Longest of its texts, bytes.
const TEXT_BYTES_MAX: usize = 2000;
/// A chat that waits longer than a day is not waited for.
const WAIT_SECONDS_MAX: u32 = 86_400;

impl Compiler<'_> {
    pub(super) fn chat_apps(&mut self) {
        let parts = self.next.parts.clone();
        for (id, doc) in &parts.chat_apps {
            self.chat_app(id, doc, &format!("/chat_apps/{}", step(id.as_str())));
        }
        if *self.next.chat_apps != parts.chat_apps {
            self.next.chat_apps = Arc::new(parts.chat_apps.clone());
        }
    }

    fn chat_app(&mut self, id: &ChatAppId, doc: &ChatAppDoc, path: &str) {
        let mut bad = |step: &str, sentence: String| {
            self.findings.add(Code::BadChatApp, format!("{path}{step}"), sentence);
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if id.as_str().is_empty() || id.as_str().len() > 64 || !id.as_str().bytes().all(plain) {
            bad(
                "",
                format!("\"{id}\" stands in addresses of pages: use letters, digits, - _ . and at most 64"),
            );
        }
        if doc.origins.is_empty() || doc.origins.len() > ORIGINS_MAX {
            bad("/origins", format!("name 1 to {ORIGINS_MAX} origins of pages"));
        }
        for (index, origin) in doc.origins.iter().enumerate().filter(|(_, origin)| !is_origin(origin)) {
            bad(
                &format!("/origins/{index}"),
                format!("\"{origin}\" is no origin such as https://www.example.com"),
            );
        }
        let wrong = match doc.throttle {
            Some(ThrottleDoc::Percent(percent)) => percent > 100,
            Some(ThrottleDoc::WaitSeconds(seconds)) => !(1..=WAIT_SECONDS_MAX).contains(&seconds),
            None => false,
        };
        if wrong {
            bad("/throttle", "percent is 0 to 100, wait_seconds 1 to 86400".to_owned());
        }
        if doc.identity.as_ref().is_some_and(|known| !(1..=SECRETS_MAX).contains(&known.secrets.len())) {
            bad("/identity/secrets", "name 1 to 4 secrets".to_owned());
        }
        let texts = [
            ("title", &doc.title),
            ("greeting", &doc.greeting),
            ("consent", &doc.consent),
            ("closed_text", &doc.closed_text),
        ];
        for (name, text) in texts {
            if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
                bad(&format!("/{name}"), format!("longer than {TEXT_BYTES_MAX} bytes"));
            }
        }
        if let Some(hours) = &doc.hours
            && !self.next.parts.calendars.contains_key(hours)
        {
            let sentence = format!("there is no calendar {hours}");
            self.findings.add(Code::UnknownCalendar, format!("{path}/hours"), sentence);
        }
    }
}

/// Whether a browser could send it as Origin (RFC 6454 §6.2), or it stands for all below a domain.
fn is_origin(origin: &str) -> bool {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let Some(rest) = rest else { return false };
    let host = rest.strip_prefix("*.").unwrap_or(rest);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    !host.is_empty() && host.len() < 256 && host.bytes().all(plain) && !host.starts_with(['.', ':'])
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_is_scheme_and_host_and_nothing_more() {
        for good in
            ["https://www.example.com", "http://127.0.0.1:8080", "https://*.example.com", "http://[::1]:80"]
        {
            assert!(is_origin(good), "{good}");
        }
        let bad = [
            "",
            "*",
            "https://",
            "https://*.",
            "www.example.com",
            "https://a/",
            "https://A.example",
            "file://x",
        ];
        for bad in bad {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
