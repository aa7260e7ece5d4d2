//! Finds out where mails come from: SPF, DKIM, DMARC and ARC by the name service, within a time and a bound.
//!
//! A mail never waits for longer than `mail.authentication_ms`: what is not known then is `temperror`. The work ends then
//! too, and holds its place among `mail.authentications_max` until it has, whoever still waits for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mail_auth::MessageAuthenticator;
use tokio::sync::Semaphore;
use vestibule_config::settings;

use self::{cache::Cache, check::Checked};
use super::{
    Content,
    mail::{
        self, Headers,
        authentication::{AuthResult, Authentication, Evidence, Finding},
        spam::{self, Judged},
    },
};
use crate::{
    names,
    telemetry::{Authenticated, MailMetrics},
};

mod cache;
mod check;

/// The one who finds out; cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticator(Arc<Inner>);

struct Inner {
    /// None: nobody is asked, by the settings or for want of a name server.
    names: Option<MessageAuthenticator>,
    cache: Cache,
    host: String,
    within: Duration,
    places: Arc<Semaphore>,
    trusted: Vec<String>,
    spam_score: u32,
    metrics: MailMetrics,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("asks", &self.names.is_some()).finish_non_exhaustive()
    }
}

/// A mail that is larger is looked at on a thread of its own.
const LOOK_HERE_MAX: usize = 128 << 10;

impl Authenticator {
    /// One that asks the name servers of the settings. `host` is the name of our mail server.
    pub fn new(settings: &settings::Mail, host: &str, metrics: MailMetrics) -> Self {
        let names = settings
            .authenticate
            .then(|| names::resolver(&settings.dns_servers, settings.dns_answers_max))
            .flatten()
            .map(MessageAuthenticator);
        Self(Arc::new(Inner {
            names,
            cache: Cache::new(settings.dns_answers_max),
            host: host.to_owned(),
            within: Duration::from_millis(settings.authentication_ms),
            places: Arc::new(Semaphore::new(settings.authentications_max)),
            trusted: settings.trusted_forwarders.iter().map(|name| name.to_ascii_lowercase()).collect(),
            spam_score: settings.spam_score,
            metrics,
        }))
    }

    /// Puts into a mail's content what its evidence shows. `from` is the mailbox in From.
    pub async fn examine(&self, from: &str, content: &mut Content) {
        let Some(evidence) = content.evidence.clone() else { return };
        let checked = self.check(&evidence).await;
        let (head, _) = mail::entity(&evidence.raw);
        let headers = Headers::read(head);
        // Of a mail that was taken apart, only the provider's word is left.
        let whole = !evidence.raw.is_empty();
        let judged = Judged {
            authentication: &checked.authentication,
            policy: checked.policy,
            vouched_by: checked.vouched_by.as_deref(),
            upstream: &evidence.upstream,
            headers: if whole { &headers } else { &ANY_FROM },
            headers_believed: checked.sealed_by.is_some(),
        };
        let spam = spam::judge(&judged, self.0.spam_score);
        if spam.marked {
            self.0.metrics.spam.inc();
        }
        content.spam = Some(spam);
        // A stranger's link must not be shown as a forwarder's.
        if !mail::is_of_forwarder(from, &checked.signed_by) {
            content.confirmation = None;
        }
        content.authentication = Some(checked.authentication);
    }

    async fn check(&self, evidence: &Arc<Evidence>) -> Checked {
        let inner = &self.0;
        let mut checked = if inner.names.is_none() || evidence.raw.is_empty() {
            inner.metrics.authenticated.of(Authenticated::NotAsked).inc();
            Checked::default()
        } else {
            match self.ask(evidence).await {
                Ok(checked) => {
                    inner.metrics.authenticated.of(Authenticated::Done).inc();
                    checked
                }
                Err(why) => {
                    inner.metrics.authenticated.of(why).inc();
                    Checked::not_now(evidence)
                }
            }
        };
        checked.complete(evidence);
        checked
    }

    async fn ask(&self, evidence: &Arc<Evidence>) -> Result<Checked, Authenticated> {
        let inner = &self.0;
        let began = Instant::now();
        let place = tokio::time::timeout(inner.within, inner.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Authenticated::Busy) };
        let left = inner.within.saturating_sub(began.elapsed());
        let (shared, mail) = (inner.clone(), evidence.clone());
        // The work goes on when who sent the mail has left: it is bounded by itself, and has its place for as long.
        let checking = async move {
            let _place = place;
            tokio::time::timeout(left, shared.check(&mail)).await
        };
        // A task of its own: a fault in a parser must cost no more than this answer. A large mail is read on a thread of its
        // own, which no timer interrupts: what is asked for after the reading ends in time, and reading takes as long as
        // the mail is.
        let task = if evidence.raw.len() > LOOK_HERE_MAX {
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || runtime.block_on(checking))
        } else {
            tokio::spawn(checking)
        };
        let ended = tokio::time::timeout(left, task).await;
        inner.metrics.authentication_seconds.observe(began.elapsed().as_secs_f64());
        match ended {
            Ok(Ok(Ok(checked))) => Ok(checked),
            Ok(Err(_)) => Err(Authenticated::Fault),
            Err(_) | Ok(Ok(Err(_))) => Err(Authenticated::TimedOut),
        }
    }
}

/// Headers that nothing is said against.
static ANY_FROM: std::sync::LazyLock<Headers> = std::sync::LazyLock::new(|| Headers::read(b"From: a@b\r\n"));

impl Checked {
    /// What is left to say when nobody could be asked in time.
    fn not_now(evidence: &Evidence) -> Self {
        let later = || Finding::because(AuthResult::Temperror, "the name service did not answer in time");
        let authentication = Authentication {
            spf: if evidence.origin.is_some() { later() } else { Finding::default() },
            dkim: later(),
            dmarc: later(),
            arc: later(),
        };
        Self { authentication, ..Self::default() }
    }

    /// Adds what only the provider knows.
    fn complete(&mut self, evidence: &Evidence) {
        let upstream = &evidence.upstream;
        let Authentication { spf, dkim, dmarc, .. } = &mut self.authentication;
        if evidence.origin.is_none() && dmarc.result == AuthResult::Fail {
            // It may pass by SPF all the same, which we cannot see.
            let known = Finding::because(AuthResult::None, "only the provider saw the sender's server");
            *dmarc = Finding { domain: dmarc.domain.take(), ..known };
        }
        for (own, told) in [(spf, &upstream.spf), (dkim, &upstream.dkim), (dmarc, &upstream.dmarc)] {
            if let (AuthResult::None, Some(told)) = (own.result, told) {
                own.clone_from(told);
            }
        }
        if let Some(told) = upstream.dkim.as_ref().filter(|told| told.result == AuthResult::Pass) {
            self.signed_by.extend(told.domain.clone());
        }
    }
}

#[cfg(test)]
mod tests;
