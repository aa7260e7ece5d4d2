//! HTTPS: our certificates on the HTTP listener, taken into use anew when their files change.
//!
//! TLS 1.2 and 1.3 by rustls, HTTP/1.1. Clients may resume sessions by tickets: a provider that opens a connection for
//! each message spares both sides the costly half of the handshake. Connections keep what they were made with.
//! A certificate may be obtained by ACME (`acme`): until there is one, handshakes fail and all else goes on.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::ResolvesServerCert,
    version::{TLS12, TLS13},
};
use tokio::{
    io::AsyncWriteExt,
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

mod acme;

use acme::Acme;

/// What TLS connections to the HTTP listener are made with.
#[derive(Debug)]
pub struct Https {
    current: ArcSwap<ServerConfig>,
    files: Mutex<Files>,
    settings: SipTls,
    acme: Option<Acme>,
    /// A certificate was obtained.
    obtained: tokio::sync::Notify,
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
    /// Reads every file; what ACME obtains is kept in the data folder.
    ///
    /// # Errors
    /// The first file that cannot be used, and why; or that there is no certificate.
    pub fn open(settings: &HttpTls, data: &Path, metrics: ApiMetrics) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let acme = Acme::open(&settings.acme, data, &provider, metrics.clone())?;
        let settings = SipTls {
            certificates: settings.certificates.clone(),
            client_ca: None,
            client_certificates: ClientCertificates::None,
            trust: None,
        };
        let mut files = Files::default();
        if let Some(error) = files.read(&settings, &provider).into_iter().next() {
            return Err(error);
        }
        let tickets = ring::Ticketer::new().map_err(TlsError::Provider)?;
        let current = ArcSwap::from_pointee(config(&files, acme.as_ref(), &provider, tickets.clone())?);
        let obtained = tokio::sync::Notify::new();
        let https =
            Self { current, files: Mutex::new(files), settings, acme, provider, tickets, metrics, obtained };
        if https.acme.is_some() {
            // What was obtained before; a damaged one is obtained anew.
            https.reload(false);
        }
        https.show_expiry();
        Ok(https)
    }

    /// Whether a handshake can succeed.
    pub(crate) fn has_certificate(&self) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).pairs().next().is_some()
    }

    /// The files that certificates are read from now.
    fn wanted(&self) -> SipTls {
        let mut wanted = self.settings.clone();
        wanted.certificates.extend(self.acme.iter().flat_map(Acme::files));
        wanted
    }

    /// Looks after files and certificates for as long as the process runs.
    pub async fn go_on(self: Arc<Self>) {
        let obtain = async {
            match &self.acme {
                Some(acme) => acme.go_on(|| self.obtained.notify_one()).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(obtain, self.clone().look());
    }

    /// Takes files into use on SIGHUP, when one of them changes, and when one was obtained.
    async fn look(self: Arc<Self>) {
        let mut hang_up = match signal(SignalKind::hangup()) {
            Ok(signal) => signal,
            Err(error) => return tracing::error!(%error, "SIGHUP cannot be listened for"),
        };
        let mut clock = tokio::time::interval(LOOK_EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = hang_up.recv() => true,
                () = self.obtained.notified() => true,
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
        let wanted = self.wanted();
        if !even_unchanged && !files.changed(&wanted) {
            return;
        }
        let mut faults = files.read(&wanted, &self.provider);
        match config(&files, self.acme.as_ref(), &self.provider, self.tickets.clone()) {
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
            Ok(Ok(mut stream)) if stream.get_ref().1.alpn_protocol() == Some(acme::PROOF) => {
                // An authority has seen what it wanted (RFC 8737 §3); nothing is said on such a connection.
                stream.shutdown().await?;
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it was for a proof of ACME"));
            }
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
    acme: Option<&Acme>,
    provider: &Arc<CryptoProvider>,
    tickets: Arc<dyn rustls::server::ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let certificates = Chosen::new(files.pairs());
    let resolver: Arc<dyn ResolvesServerCert> = match acme {
        Some(acme) => Arc::new(acme.proving(certificates)),
        None => Arc::new(certificates),
    };
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(TlsError::Provider)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.alpn_protocols.extend(acme.is_some().then(|| acme::PROOF.to_vec()));
    config.ticketer = tickets;
    Ok(config)
}
