//! Providers: who sends messages by webhook, and how it proves itself.

use std::{collections::BTreeMap, sync::Arc};

use vestibule_routing::id::ProviderId;

use super::Compiler;
use crate::{
    diagnostic::{Code, step},
    document::{MediaDoc, ProviderDoc, SendDoc},
};

/// Every provider by its id.
pub type Providers = BTreeMap<ProviderId, Arc<ProviderDoc>>;

/// A kind of provider, as far as documents must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderKind {
    /// Its name in documents.
    pub name: &'static str,
    /// Whether texts can be sent by it.
    pub sends: bool,
    /// Whether an account must be named for that.
    pub needs_account: bool,
    /// Whether files of its messages can be had by a key.
    pub media_key: bool,
    /// Whether only the document can say to whom that key goes.
    pub needs_media_api: bool,
}

/// Most secrets of one provider.
pub(super) const SECRETS_MAX: usize = 4;

impl Compiler<'_> {
    pub(super) fn providers(&mut self) {
        let parts = self.next.parts.clone();
        for (id, doc) in &parts.providers {
            self.provider(doc, &format!("/providers/{}", step(id.as_str())));
        }
        if *self.next.providers != parts.providers {
            self.next.providers = Arc::new(parts.providers.clone());
        }
    }

    fn sends(&mut self, doc: &ProviderDoc, send: &SendDoc, path: &str) {
        let mut bad = |step: &str, sentence: &str| {
            self.findings.add(Code::BadProvider, format!("{path}{step}"), sentence);
        };
        let kinds = self.context.provider_kinds;
        let kind = kinds.iter().find(|kind| kind.name == doc.kind);
        if kind.is_some_and(|kind| !kind.sends) {
            let senders: Vec<_> = kinds.iter().filter(|kind| kind.sends).map(|kind| kind.name).collect();
            bad("/send", &format!("nothing can be sent by this kind, only by {}", senders.join(" and ")));
        }
        if kind.is_some_and(|kind| kind.needs_account) && doc.account.is_none() {
            bad("/account", "texts are sent by an account: name it");
        }
        if send.api.as_ref().is_some_and(|api| !is_api(api)) {
            bad("/send/api", "write the API's address as https://host, without a slash at its end");
        }
    }

    fn media(&mut self, doc: &ProviderDoc, media: &MediaDoc, path: &str) {
        let mut bad = |step: &str, sentence: &str| {
            self.findings.add(Code::BadProvider, format!("{path}{step}"), sentence);
        };
        let kind = self.context.provider_kinds.iter().find(|kind| kind.name == doc.kind);
        if kind.is_some_and(|kind| !kind.media_key) {
            bad("/media", "files of this kind's messages are had by their links alone: leave it out");
        }
        if kind.is_some_and(|kind| kind.needs_media_api) && media.api.is_none() {
            bad("/media/api", "say to whom the key goes: https://host, without a slash at its end");
        }
        if media.api.as_ref().is_some_and(|api| !is_api(api)) {
            bad("/media/api", "write the API's address as https://host, without a slash at its end");
        }
    }

    fn provider(&mut self, doc: &ProviderDoc, path: &str) {
        let kinds = self.context.provider_kinds;
        if !kinds.is_empty() && !kinds.iter().any(|kind| kind.name == doc.kind) {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            let sentence = format!("\"{}\" is none of {}", doc.kind, names.join(", "));
            self.findings.add(Code::UnknownProviderKind, format!("{path}/kind"), sentence);
        }
        if doc.secrets.is_empty() || doc.secrets.len() > SECRETS_MAX {
            let sentence = "requests are believed by a secret: name 1 to 4";
            self.findings.add(Code::BadProvider, format!("{path}/secrets"), sentence);
        }
        if let Some(send) = &doc.send {
            self.sends(doc, send, path);
        }
        if let Some(media) = &doc.media {
            self.media(doc, media, path);
        }
        if !is_address(&doc.url) {
            let sentence = format!("\"{}\" is no address without query and fragment", doc.url);
            self.findings.add(Code::BadProvider, format!("{path}/url"), sentence);
        }
    }
}

/// Whether paths can be set behind it.
fn is_api(api: &str) -> bool {
    is_address(&format!("{api}/")) && !api.ends_with('/')
}

/// Whether a provider could send to it: `https://host/path` (or `http:`, behind a proxy), and nothing after the path.
pub(super) fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte));
    rest.is_some_and(|rest| {
        rest.split_once('/').is_some_and(|(host, _)| !host.is_empty() && !host.contains('@')) && plain(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn an_address_is_absolute_and_ends_with_its_path() {
        for good in [
            "https://gw.example.com/webhooks/tw",
            "http://127.0.0.1:8080/webhooks/tw",
            "https://[2001:db8::1]/w",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "gw.example.com/webhooks",
            "https://",
            "https://gw.example.com",
            "https:///w",
            "https://a@b/w",
            "https://gw.example.com/w?x=1",
            "https://gw.example.com/w#f",
            "ftp://gw.example.com/w",
            "https://gw.example.com/a b",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
