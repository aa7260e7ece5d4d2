//! One file from a stranger's server: every hop looked at, cut off when it is too large or too slow.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;
use vestibule_config::settings::MessageMedia;

use super::address::{Forbidden, Guard, Lookup};
use crate::{
    journal::MediaReason,
    message::webhook::{
        Kind,
        files::{self, Ask, FileAccount, First, NoWay},
    },
};

/// Longest answer that says where a file is, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Fetches files.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    client: Client,
    guard: Guard,
    bytes_max: usize,
    redirects_max: usize,
    total: Duration,
    plain_http: bool,
}

/// A file, and what its server says of it.
pub(super) struct Got {
    pub(super) bytes: Bytes,
    pub(super) media_type: Option<String>,
}

/// Why a file was not fetched. Nothing of it names the link, which may hold a secret, and tells of the customer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the active routing has no such provider any more")]
    NoProvider,
    #[error(transparent)]
    NoWay(#[from] NoWay),
    #[error("a link or redirection is no https, or names a user")]
    BadLink,
    #[error("it was sent on more often than message_media.redirects_max")]
    TooManyRedirects,
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("its server was not reached, or broke off")]
    Unreachable,
    #[error("it did not come in time")]
    TimedOut,
    #[error("its server answered {status}")]
    Status { status: u16, retry_after: Option<i64> },
    #[error("its server answered without a file")]
    Empty,
    #[error("it is larger than message_media.bytes_max, {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("{media_type} is not among message_media.types")]
    WrongType { media_type: String },
    #[error("it could not be written to the disk: {0}")]
    NotKept(io::ErrorKind),
    #[error("a fault in the gateway")]
    Fault,
}

impl Failure {
    /// Whether another attempt would come to the same.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::NoProvider | Self::BadLink | Self::TooManyRedirects | Self::Forbidden(_) => true,
            Self::TooLarge { .. } | Self::WrongType { .. } => true,
            Self::NoWay(way) => !matches!(way, NoWay::NotSaid),
            // 400 is also said of files that are too large for an API, 410 is meant for good.
            Self::Status { status, .. } => matches!(status, 400 | 405 | 406 | 410 | 413 | 414 | 451),
            Self::Unreachable | Self::TimedOut | Self::Empty | Self::NotKept(_) | Self::Fault => false,
        }
    }

    /// Seconds that the server asks us to wait.
    pub(super) fn retry_after(&self) -> Option<i64> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The reason that the feed tells.
    pub(super) fn reason(&self) -> MediaReason {
        match self {
            Self::NoProvider => MediaReason::NoProvider,
            Self::NoWay(NoWay::NoKey) => MediaReason::NoKey,
            Self::NoWay(NoWay::BadLink) | Self::BadLink | Self::TooManyRedirects => MediaReason::BadLink,
            Self::NoWay(NoWay::NotSaid) | Self::Status { .. } | Self::Empty => MediaReason::Refused,
            Self::Forbidden(_) => MediaReason::ForbiddenAddress,
            Self::Unreachable => MediaReason::Unreachable,
            Self::TimedOut => MediaReason::TimedOut,
            Self::TooLarge { .. } => MediaReason::TooLarge,
            Self::WrongType { .. } => MediaReason::WrongType,
            Self::NotKept(_) | Self::Fault => MediaReason::NotKept,
        }
    }
}

impl Fetcher {
    pub(super) fn new(settings: &MessageMedia, lookup: Lookup) -> Result<Self, reqwest::Error> {
        let guard = Guard::new(&settings.allowed_targets, lookup);
        let client = Client::builder()
            // Redirections are looked at here, one by one.
            .redirect(Policy::none())
            // A proxy would resolve names itself.
            .no_proxy()
            .dns_resolver(Arc::new(guard.clone()))
            .connect_timeout(Duration::from_secs(settings.connect_seconds))
            .read_timeout(Duration::from_secs(settings.idle_seconds))
            .pool_max_idle_per_host(settings.parallel_per_host_max)
            .user_agent("vestibule")
            .build()?;
        Ok(Self {
            client,
            guard,
            bytes_max: settings.bytes_max,
            redirects_max: settings.redirects_max,
            total: Duration::from_secs(settings.total_seconds),
            plain_http: settings.plain_http,
        })
    }

    /// Fetches what a message names by `link`.
    pub(super) async fn fetch(
        &self,
        kind: Kind,
        account: FileAccount<'_>,
        link: &str,
    ) -> Result<Got, Failure> {
        let whole = async {
            let ask = match files::first(kind, account, link)? {
                First::File(ask) => ask,
                First::Where(ask) => files::then(kind, account, &self.ask(ask).await?)?,
            };
            self.file(ask).await
        };
        tokio::time::timeout(self.total, whole).await.unwrap_or(Err(Failure::TimedOut))
    }

    async fn file(&self, ask: Ask) -> Result<Got, Failure> {
        let response = self.get(ask).await?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(str::to_owned);
        let bytes = read(response, self.bytes_max).await?;
        if bytes.is_empty() { Err(Failure::Empty) } else { Ok(Got { bytes, media_type }) }
    }

    async fn ask(&self, ask: Ask) -> Result<Value, Failure> {
        let bytes = read(self.get(ask).await?, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|_| NoWay::NotSaid.into())
    }

    /// Asks, and follows redirections; the proof goes to the first host alone.
    async fn get(&self, Ask { mut url, proof }: Ask) -> Result<Response, Failure> {
        let proven = url.origin();
        for _ in 0..=self.redirects_max {
            self.look_at(&url)?;
            let mut request = self.client.get(url.clone()).header(ACCEPT, "*/*");
            if let Some(proof) = proof.as_ref().filter(|_| url.origin() == proven) {
                request = request.header(AUTHORIZATION, proof.clone());
            }
            let response = request.send().await.map_err(|error| failure(&error))?;
            match response.status() {
                StatusCode::OK => return Ok(response),
                status if status.is_redirection() => url = next(&url, &response)?,
                status => {
                    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                    let retry_after = after.and_then(|text| text.trim().parse().ok());
                    return Err(Failure::Status { status: status.as_u16(), retry_after });
                }
            }
        }
        Err(Failure::TooManyRedirects)
    }

    fn look_at(&self, url: &Url) -> Result<(), Failure> {
        let scheme = url.scheme() == "https" || (self.plain_http && url.scheme() == "http");
        if !scheme || !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::BadLink);
        }
        if self.guard.permits(url) { Ok(()) } else { Err(Forbidden.into()) }
    }
}

/// Where a redirection leads.
fn next(url: &Url, response: &Response) -> Result<Url, Failure> {
    let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(to) = to else {
        return Err(Failure::Status { status: response.status().as_u16(), retry_after: None });
    };
    url.join(to).map_err(|_| Failure::BadLink)
}

/// The body, if it is not larger than this; no more than that is ever read.
async fn read(mut response: Response, bytes_max: usize) -> Result<Bytes, Failure> {
    let too_large = || Failure::TooLarge { bytes_max };
    let promised = response.content_length().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if promised.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if bytes.len().saturating_add(chunk.len()) > bytes_max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// What went wrong below HTTP.
fn failure(error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<Forbidden>() {
            return Forbidden.into();
        }
        cause = error.source();
    }
    if error.is_timeout() { Failure::TimedOut } else { Failure::Unreachable }
}
