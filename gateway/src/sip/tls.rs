//! SIP over TLS: our certificates, whom we believe, and the handshakes (RFC 3261 §26.3, RFC 5922).
//!
//! TLS 1.2 and 1.3 by rustls. What is read from files is put together anew when they change; connections keep what
//! they were made with, so that no call notices. Sessions are not resumed: connections are few and last long, and a
//! certificate is judged each time.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::CryptoProvider,
    pki_types::ServerName,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::{TLS12, TLS13},
};
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use vestibule_config::settings::{ClientCertificates, SipTls};

mod authorities;
mod certificates;
mod identity;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use authorities::{SipClientVerifier, SipServerVerifier};
pub use certificates::TlsError;
pub(crate) use certificates::{Chosen, Files, read_authorities};
pub use identity::Identities;

use crate::telemetry::{SipMetrics, TlsFailure};

/// Longest handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Everything that TLS connections need.
#[derive(Debug)]
pub struct Tls {
    current: ArcSwap<Context>,
    files: Mutex<Files>,
    settings: SipTls,
    provider: Arc<CryptoProvider>,
    metrics: SipMetrics,
}

/// What a new connection is made with.
#[derive(Debug)]
struct Context {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// A handshake that led to no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// It took too long.
    #[error("the TLS handshake was not done in time")]
    TimedOut,
    /// The name to be verified is none.
    #[error("a certificate can name neither a host nor an address like that")]
    Name,
    /// One side did not like the other.
    #[error("the TLS handshake failed: {0}")]
    Failed(#[source] io::Error),
}

impl Tls {
    /// Reads every file.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn open(settings: &SipTls, metrics: SipMetrics) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut files = Files::default();
        if let Some(error) = files.read(settings, &provider).into_iter().next() {
            return Err(error);
        }
        let context = context(settings, &files, &provider)?;
        let tls = Self {
            current: ArcSwap::from_pointee(context),
            files: Mutex::new(files),
            settings: settings.clone(),
            provider,
            metrics,
        };
        tls.show_expiry();
        Ok(tls)
    }

    /// Takes changed files into use; what cannot be used is reported, and what was there before stays.
    fn reload(&self, even_unchanged: bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !even_unchanged && !files.changed(&self.settings) {
            return;
        }
        let mut faults = files.read(&self.settings, &self.provider);
        match context(&self.settings, &files, &self.provider) {
            Ok(context) => self.current.store(Arc::new(context)),
            Err(error) => faults.push(error),
        }
        drop(files);
        for error in &faults {
            tracing::error!(%error, "a TLS file cannot be used; the one before it stays in use");
            self.metrics.tls_files_failed.inc();
        }
        tracing::info!(faults = faults.len(), "the TLS files were read again");
        self.show_expiry();
    }

    /// Looks after the files for as long as the process runs: on SIGHUP, and when one of them changes.
    pub async fn go_on(tls: Option<Arc<Self>>) {
        let mut hang_up = match signal(SignalKind::hangup()) {
            Ok(signal) => signal,
            Err(error) => return tracing::error!(%error, "SIGHUP cannot be listened for"),
        };
        let mut clock = tokio::time::interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = hang_up.recv() => true,
                _ = clock.tick() => false,
            };
            let Some(tls) = tls.clone() else { continue };
            if tokio::task::spawn_blocking(move || tls.reload(asked)).await.is_err() {
                tracing::error!("reading the TLS files had panicked");
            }
        }
    }

    /// The handshake with somebody who connected.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let acceptor = TlsAcceptor::from(self.current.load().server.clone());
        let done = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await;
        self.judged(done.map(|result| result.map(TlsStream::from)))
    }

    /// The handshake where we connected: the other side must prove to be this host or address.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            self.metrics.tls_handshakes_failed.of(TlsFailure::WrongName).inc();
            return Err(HandshakeError::Name);
        };
        let connector = TlsConnector::from(self.current.load().client.clone());
        let done = tokio::time::timeout(HANDSHAKE_WITHIN, connector.connect(name, stream)).await;
        self.judged(done.map(|result| result.map(TlsStream::from)))
    }

    fn judged<S>(
        &self,
        done: Result<io::Result<S>, tokio::time::error::Elapsed>,
    ) -> Result<S, HandshakeError> {
        let (reason, error) = match done {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => (failure(&error), HandshakeError::Failed(error)),
            Err(_) => (TlsFailure::TimedOut, HandshakeError::TimedOut),
        };
        self.metrics.tls_handshakes_failed.of(reason).inc();
        Err(error)
    }

    fn show_expiry(&self) {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.metrics.tls_certificate_expiry.reset();
        for pair in files.pairs() {
            self.metrics.tls_certificate_expiry.with_label_values(&[pair.name()]).set(pair.expires_seconds());
            if pair.expires_seconds() < jiff::Timestamp::now().as_second() {
                tracing::error!(name = pair.name(), "a TLS certificate of ours has expired");
            }
        }
    }
}

/// Whom the other side of a connection has proven to be.
pub(super) fn proven(stream: &TlsStream<TcpStream>) -> Identities {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    certificates.first().map(Identities::of).unwrap_or_default()
}

fn context(settings: &SipTls, files: &Files, provider: &Arc<CryptoProvider>) -> Result<Context, TlsError> {
    let chosen = Arc::new(Chosen::new(files.pairs()));
    let versions = [&TLS13, &TLS12];
    let asked = match (settings.client_certificates, files.client_authorities()) {
        (ClientCertificates::None, _) | (_, None) => None,
        (ClientCertificates::Optional, Some(roots)) => Some((roots, true)),
        (ClientCertificates::Required, Some(roots)) => Some((roots, false)),
    };
    let verifier = match asked {
        None => WebPkiClientVerifier::no_client_auth(),
        Some((roots, may_have_none)) => SipClientVerifier::shared(roots.clone(), may_have_none, provider)
            .map_err(TlsError::Authorities)?,
    };
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(TlsError::Provider)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(chosen.clone());
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let roots = files.authorities().cloned().unwrap_or_else(public_authorities);
    let mut client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(TlsError::Provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SipServerVerifier::new(roots, provider)))
        .with_client_cert_resolver(chosen);
    client.resumption = Resumption::disabled();
    Ok(Context { server: server.into(), client: client.into() })
}

fn public_authorities() -> Arc<RootCertStore> {
    Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// The kind of a failed handshake, for the metric.
pub(crate) fn failure(error: &io::Error) -> TlsFailure {
    use CertificateError as Bad;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        None => TlsFailure::Disconnected,
        Some(rustls::Error::AlertReceived(_)) => TlsFailure::Refused,
        Some(rustls::Error::NoCertificatesPresented) => TlsFailure::NoCertificate,
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                TlsFailure::Expired
            }
            // The latter by an authority of the same name as one that we believe.
            Bad::UnknownIssuer | Bad::BadSignature => TlsFailure::Untrusted,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsFailure::WrongName,
            _ => TlsFailure::BadCertificate,
        },
        Some(_) => TlsFailure::Protocol,
    }
}
