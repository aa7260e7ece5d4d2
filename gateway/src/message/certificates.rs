//! Certificates that providers sign with and that their requests only name: fetched once, and kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use reqwest::{Client, redirect::Policy};
use tokio::sync::Mutex;

/// Certificates by their links. Links come from [`super::webhook`], which pins them to the providers' hosts.
#[derive(Debug, Default)]
pub struct Certificates {
    known: ArcSwap<HashMap<String, Arc<str>>>,
    /// Held while one is fetched; those that are known are given out meanwhile.
    fetching: Mutex<()>,
}

/// Why nothing was fetched. The provider sends its request again.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// The provider's host did not answer, or not with what was asked for.
    #[error("a provider's host did not answer well")]
    NoAnswer(#[from] reqwest::Error),
    /// What it answered is far too long for what it should be.
    #[error("a provider's host answered with more than {ANSWER_MAX} bytes")]
    TooLong,
    /// It is no text.
    #[error("a provider's host answered with something that is no text")]
    NoText,
}

/// Most certificates kept; a provider has a few, and changes them about once a year.
const KEPT_MAX: usize = 64;
/// Longest answer read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
const WITHIN: Duration = Duration::from_secs(5);

impl Certificates {
    /// The certificate at that link, in PEM. One is fetched at a time, so that strange requests cannot make us fetch
    /// many.
    ///
    /// # Errors
    /// [`NotFetched`]: it is not known, and not to be had now.
    pub async fn at(&self, link: &str) -> Result<Arc<str>, NotFetched> {
        let known = || self.known.load().get(link).cloned();
        if let Some(certificate) = known() {
            return Ok(certificate);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(certificate) = known() {
            return Ok(certificate);
        }
        let certificate: Arc<str> = fetch(link).await?.into();
        let mut next = HashMap::clone(&self.known.load());
        if next.len() >= KEPT_MAX {
            next.clear();
        }
        next.insert(link.to_owned(), Arc::clone(&certificate));
        self.known.store(Arc::new(next));
        Ok(certificate)
    }

    /// Opens a link by which something is confirmed.
    ///
    /// # Errors
    /// [`NotFetched`]: it is not confirmed.
    pub async fn open(&self, link: &str) -> Result<(), NotFetched> {
        fetch(link).await.map(drop)
    }
}

async fn fetch(link: &str) -> Result<String, NotFetched> {
    // A redirect would lead away from the host that was pinned.
    let client = Client::builder().timeout(WITHIN).redirect(Policy::none()).https_only(true).build()?;
    let mut answer = client.get(link).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(NotFetched::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    String::from_utf8(body).map_err(|_| NotFetched::NoText)
}
