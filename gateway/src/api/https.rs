//! HTTPS: our certificates on the HTTP listener, taken into use anew when their files change.
//!
//! TLS 1.2 and 1.3 by rustls, HTTP/1.1. Clients may resume sessions by tickets: a provider that opens a connection for
//! each message spares both sides the costly half of the handshake. Connections keep what they were made with.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    version::{TLS12, TLS13},
};
use tokio::{
    net::TcpStream,
    signal::unix::{SignalKind, signal},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use vestibule_config::settings::{ClientCertificates, HttpTls, SipTls};

use crate::{
    sip::{
        TlsError,
        tls::{Chosen, Files, failure},
    },
    telemetry::{ApiMetrics, TlsFailure},
};

/// What TLS connections to the HTTP listener are made with.
#[derive(Debug)]
pub struct Https {
    current: ArcSwap<ServerConfig>,
    files: Mutex<Files>,
    settings: SipTls,
    provider: Arc<CryptoProvider>,
    /// One for as long as the process runs, so that a renewed certificate does not end sessions.
    tickets: Arc<dyn rustls::server::ProducesTickets>,
    metrics: ApiMetrics,
}

/// Longest handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Https {
    /// Reads every file.
    ///
    /// # Errors
    /// The first file that cannot be used, and why; or that there is no certificate.
    pub fn open(settings: &HttpTls, metrics: ApiMetrics) -> Result<Self, TlsError> {
        let settings = SipTls {
            certificates: settings.certificates.clone(),
            client_ca: None,
            client_certificates: ClientCertificates::None,
            trust: None,
        };
        let provider = Arc::new(ring::default_provider());
        let mut files = Files::default();
        if let Some(error) = files.read(&settings, &provider).into_iter().next() {
            return Err(error);
        }
        let tickets = ring::Ticketer::new().map_err(TlsError::Provider)?;
        let current = ArcSwap::from_pointee(config(&files, &provider, tickets.clone())?);
        let https = Self { current, files: Mutex::new(files), settings, provider, tickets, metrics };
        https.show_expiry();
        Ok(https)
    }

    /// Looks after the files for as long as the process runs: on SIGHUP, and when one of them changes.
    pub async fn go_on(self: Arc<Self>) {
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
            let https = self.clone();
            if tokio::task::spawn_blocking(move || https.reload(asked)).await.is_err() {
                tracing::error!("reading the TLS files of the HTTP listener had panicked");
            }
        }
    }

    /// Takes changed files into use; what cannot be used is reported, and what was there before stays.
    fn reload(&self, even_unchanged: bool) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !even_unchanged && !files.changed(&self.settings) {
            return;
        }
        let mut faults = files.read(&self.settings, &self.provider);
        match config(&files, &self.provider, self.tickets.clone()) {
            Ok(config) => self.current.store(Arc::new(config)),
            Err(error) => faults.push(error),
        }
        drop(files);
        for error in &faults {
            tracing::error!(%error, "a TLS file of the HTTP listener cannot be used; the one before it stays");
            self.metrics.tls_files_failed.inc();
        }
        tracing::info!(faults = faults.len(), "the TLS files of the HTTP listener were read again");
        self.show_expiry();
    }

    /// The handshake with somebody who connected.
    ///
    /// # Errors
    /// It took too long, or one side did not like the other; both are counted.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let (reason, error) = match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => (failure(&error), error),
            Err(_) => (TlsFailure::TimedOut, io::ErrorKind::TimedOut.into()),
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
                tracing::error!(name = pair.name(), "a TLS certificate of the HTTP listener has expired");
            }
        }
    }
}

fn config(
    files: &Files,
    provider: &Arc<CryptoProvider>,
    tickets: Arc<dyn rustls::server::ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Chosen::new(files.pairs())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = tickets;
    Ok(config)
}
