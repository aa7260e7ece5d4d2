//! Who may send messages by webhook, with its secrets; replaced as a whole when routing changes.

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use vestibule_config::{
    compile,
    document::{ProviderDoc, SecretRef},
};
use vestibule_routing::{address::E164, id::ProviderId};

use super::{
    certificates::Certificates,
    webhook::{
        Credentials, Kind,
        files::{FileAccount, key_in_place},
    },
};

/// The providers that are set up.
#[derive(Clone, Debug, Default)]
pub struct Providers {
    known: Arc<ArcSwap<HashMap<ProviderId, Arc<Provider>>>>,
    certificates: Arc<Certificates>,
}

/// One provider's account.
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// Whose form and signatures its requests have.
    pub kind: Kind,
    /// Our address as it knows it.
    pub url: String,
    secrets: Vec<String>,
    verify_token: Option<String>,
    account: Option<String>,
    /// How texts are sent by it.
    pub(super) send: Option<Send>,
    media_key: Option<String>,
    media_api: Option<String>,
}

/// How texts are sent.
pub(super) struct Send {
    /// What proves us; none while it cannot be read.
    pub(super) key: Option<String>,
    numbers: Vec<E164>,
    /// Where the API is, when it is not the provider's own.
    pub(super) api: Option<String>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Providers {
    /// Replaces the providers, and reads their secrets: while routing changes, not while messages come. A secret that
    /// cannot be read is left out; without any, the provider's requests are answered 503, so that they come again.
    pub fn set(&self, providers: &compile::Providers) {
        let known =
            providers.iter().filter_map(|(id, doc)| Some((id.clone(), Arc::new(Provider::new(id, doc)?))));
        self.known.store(Arc::new(known.collect()));
    }

    /// The certificates that requests of providers name.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Who sends texts for a number of ours: the provider that names it, else the first that names none.
    pub fn sender_for(&self, number: E164) -> Option<Arc<Provider>> {
        let known = self.known.load();
        let names = |provider: &&Arc<Provider>, named: bool| {
            let send = provider.send.as_ref();
            send.is_some_and(
                |send| if named { send.numbers.contains(&number) } else { send.numbers.is_empty() },
            )
        };
        let of_it = known.values().find(|provider| names(provider, true));
        let first = || {
            known
                .values()
                .filter(|provider| names(provider, false))
                .min_by_key(|provider| provider.id.as_str())
        };
        of_it.or_else(first).cloned()
    }

    /// The provider of that id.
    pub fn get(&self, id: &str) -> Option<Arc<Provider>> {
        self.known.load().get(&ProviderId::from(id)).cloned()
    }
}

impl Provider {
    fn new(id: &ProviderId, doc: &ProviderDoc) -> Option<Self> {
        let Some(kind) = Kind::parse(&doc.kind) else {
            tracing::error!(provider = %id, kind = doc.kind, "this gateway does not know the provider's kind");
            return None;
        };
        let reveal = |secret: &SecretRef| match secret.reveal() {
            Ok(secret) if !secret.is_empty() => Some(secret),
            Ok(_) => {
                tracing::error!(provider = %id, %secret, "a secret of a provider is empty");
                None
            }
            Err(error) => {
                tracing::error!(provider = %id, %error, "a secret of a provider cannot be read");
                None
            }
        };
        let secrets: Vec<_> = doc.secrets.iter().filter_map(reveal).collect();
        let send_key = doc.send.as_ref().and_then(|send| reveal(&send.key));
        let in_place = || {
            let secret = secrets.first().map(String::as_str);
            key_in_place(kind, doc.account.as_deref(), send_key.as_deref(), secret)
        };
        let media_key = doc.media.as_ref().map_or_else(in_place, |media| reveal(&media.key));
        Some(Self {
            id: id.clone(),
            kind,
            url: doc.url.clone(),
            media_key,
            secrets,
            verify_token: doc.verify_token.as_ref().and_then(reveal),
            account: doc.account.clone(),
            media_api: doc.media.as_ref().and_then(|media| media.api.clone()),
            send: doc.send.as_ref().map(|send| Send {
                key: send_key,
                numbers: send.numbers.clone(),
                api: send.api.clone(),
            }),
        })
    }

    /// Our account there.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// What the files of its messages are had by.
    pub fn file_account(&self) -> FileAccount<'_> {
        FileAccount { key: self.media_key.as_deref(), api: self.media_api.as_deref() }
    }

    /// What its requests are proven by; none while no secret can be read.
    pub fn credentials(&self) -> Option<Credentials<'_>> {
        if self.secrets.is_empty() {
            return None;
        }
        let (verify_token, account) = (self.verify_token.as_deref(), self.account.as_deref());
        Some(Credentials { secrets: &self.secrets, verify_token, account })
    }
}
