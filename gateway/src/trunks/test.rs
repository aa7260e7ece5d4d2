//! A connection test of a trunk: OPTIONS now, to every address that it has, and what came back.

use std::time::{Duration, Instant};

use serde::Serialize;
use sip_proto::message::Method;
use vestibule_config::document::Outbound;

use super::{Trunks, ping::is_alive};
use crate::{leg::Destination, sip::Inquiring};

/// What came of asking one address.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Tried {
    /// Where the request went, `192.0.2.7:5060`.
    pub address: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// The status of the answer; 408 when none came in time, 503 when the request could not be sent.
    pub status: u16,
    /// Whether calls may be tried there.
    pub alive: bool,
    /// Milliseconds until the answer came, or was waited for no longer.
    pub milliseconds: u64,
}

/// Why a trunk could not be tested.
#[derive(Debug, thiserror::Error)]
pub enum NoTest {
    /// The process does not signal yet, or any more.
    #[error("signalling is not up")]
    NotUp,
    /// Its host has no address.
    #[error("the trunk's host cannot be found: {0}")]
    NotFound(String),
}

impl Trunks {
    /// Asks every address of a trunk at once.
    ///
    /// # Errors
    /// [`NoTest`].
    pub async fn test(&self, outbound: &Outbound) -> Result<Vec<Tried>, NoTest> {
        let uri = outbound.uri();
        let destinations =
            self.locator.locate_named(&uri).await.map_err(|error| NoTest::NotFound(error.to_string()))?;
        let tries = destinations.into_iter().take(ADDRESSES_MAX).map(|to| self.try_out(to, uri.clone()));
        futures_util::future::join_all(tries).await.into_iter().collect()
    }

    async fn try_out(&self, to: Destination, uri: String) -> Result<Tried, NoTest> {
        let sip = self.sip.get().cloned().ok_or(NoTest::NotUp)?;
        let (address, transport) = (to.peer.to_string(), format!("{:?}", to.transport).to_lowercase());
        let begun = Instant::now();
        let inquiring = Inquiring {
            to,
            method: Method::Options,
            uri: uri.clone(),
            from: String::new(),
            to_uri: uri,
            contact_user: None,
            headers: vec![("Accept", "application/sdp".to_owned())],
            login: None,
            series: None,
            patience: Duration::from_secs(self.ping.answer_seconds),
        };
        let status = sip.inquire(inquiring).await.ok_or(NoTest::NotUp)?.status;
        Ok(Tried {
            address,
            transport,
            status,
            alive: is_alive(status),
            milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// Addresses of one trunk that are asked.
const ADDRESSES_MAX: usize = 32;
