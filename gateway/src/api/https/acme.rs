//! A certificate obtained and renewed by ACME (RFC 8555), proved by TLS-ALPN-01 (RFC 8737).
//!
//! It ends as a file in the data folder, which the listener takes into use like any other: nothing that fails here
//! touches what is served. `rustls_acme` knows the protocol; when it is asked again after a failure is decided here.

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use futures_util::StreamExt;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_acme::{
    AccountCache, AcmeConfig, AcmeState, CertCache, EventError, EventOk, ResolvesServerCertAcme,
};
use sha2::{Digest, Sha256};
use vestibule_config::settings::HttpAcme;

use crate::{
    sip::{
        TlsError,
        tls::{Chosen, read_authorities},
    },
    telemetry::ApiMetrics,
};

/// The protocol that an authority asks for when it wants the proof.
pub(super) const PROOF: &[u8] = b"acme-tls/1";

/// How long an authority may take over one certificate, before it is asked anew.
const ORDER_WITHIN: Duration = Duration::from_secs(3600);

/// Longest time between two tries.
const RETRY_MAX: Duration = Duration::from_secs(12 * 3600);

/// What is needed to ask for a certificate.
#[derive(Debug)]
pub(super) struct Acme {
    settings: HttpAcme,
    folder: PathBuf,
    client: Arc<ClientConfig>,
    /// Has the proof while an authority wants one.
    proofs: Arc<ArcSwapOption<ResolvesServerCertAcme>>,
    metrics: ApiMetrics,
}

impl Acme {
    /// Reads whom to believe. None when there is nothing to ask for.
    ///
    /// # Errors
    /// The file of authorities cannot be used.
    pub(super) fn open(
        settings: &HttpAcme,
        data: &Path,
        provider: &Arc<CryptoProvider>,
        metrics: ApiMetrics,
    ) -> Result<Option<Self>, TlsError> {
        if settings.domains.is_empty() {
            return Ok(None);
        }
        let roots = match &settings.trust {
            Some(file) => read_authorities(file)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Self {
            settings: settings.clone(),
            folder: data.join("acme"),
            client: Arc::new(client),
            proofs: Arc::default(),
            metrics,
        }))
    }

    /// The files of certificates obtained: the one for what is wanted now, then those from before other settings.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let current = self.folder.join(certificate_name(&self.settings.domains, &self.settings.directory));
        let others = certificates_in(&self.folder).into_iter().filter(|path| *path != current);
        current.is_file().then(|| current.clone()).into_iter().chain(others).collect()
    }

    /// Gives an authority its proof; everybody else gets one of `certificates`.
    pub(super) fn proving(&self, certificates: Chosen) -> Proving {
        Proving { proofs: self.proofs.clone(), certificates }
    }

    /// Obtains and renews for as long as the process runs; `obtained` hears of each new certificate.
    pub(super) async fn go_on(&self, obtained: impl Fn()) {
        let mut failures = 0;
        loop {
            match self.ask(&mut failures, &obtained).await {
                Asked::Failed => {
                    failures += 1;
                    self.metrics.acme_failures.inc();
                    tokio::time::sleep(pause(self.settings.retry_seconds, failures)).await;
                }
                // Nothing for an hour: it waits for the renewal, or an authority does not answer. What is there is
                // read again, which costs two small files.
                Asked::Silent => {}
            }
        }
    }

    async fn ask(&self, failures: &mut u32, obtained: &impl Fn()) -> Asked {
        let mut state = self.state();
        self.proofs.store(Some(state.resolver()));
        loop {
            let event = match tokio::time::timeout(ORDER_WITHIN, state.next()).await {
                Ok(Some(event)) => event,
                Ok(None) | Err(_) => return Asked::Silent,
            };
            match event {
                Ok(EventOk::CertCacheStore) => {
                    *failures = 0;
                    self.metrics.acme_certificates.inc();
                    tracing::info!(domains = ?self.settings.domains, "a certificate was obtained by ACME");
                    self.forget_others();
                    obtained();
                }
                Ok(EventOk::DeployedNewCert | EventOk::DeployedCachedCert | EventOk::AccountCacheStore) => {}
                // It is ordered anew at once.
                Err(error @ (EventError::CachedCertParse(_) | EventError::CertCacheLoad(_))) => {
                    tracing::warn!(%error, "the certificate obtained by ACME before cannot be read");
                }
                Err(error) => {
                    tracing::error!(
                        %error, directory = self.settings.directory, domains = ?self.settings.domains,
                        "no certificate could be obtained by ACME; what is served stays, and it is tried again"
                    );
                    return Asked::Failed;
                }
            }
        }
    }

    fn state(&self) -> AcmeState<io::Error, io::Error> {
        let Self { settings, client, folder, .. } = self;
        AcmeConfig::new_with_client_config(&settings.domains, client.clone())
            .directory(&settings.directory)
            .contact(settings.contacts.iter().map(|contact| format!("mailto:{contact}")))
            .cache(Kept { folder: folder.clone() })
            .state()
    }

    /// Deletes the certificates for what was wanted before: the new one took their place.
    fn forget_others(&self) {
        for path in self.files().into_iter().skip(1) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "an old certificate could not be deleted");
            }
        }
    }
}

/// How asking ended.
enum Asked {
    Failed,
    Silent,
}

/// The time until the next try, after so many failures in a row.
fn pause(first_seconds: u64, failures: u32) -> Duration {
    let doubled = first_seconds.saturating_mul(1 << failures.saturating_sub(1).min(32));
    Duration::from_secs(doubled).min(RETRY_MAX)
}

/// Certificates, and the proofs that authorities ask for.
#[derive(Debug)]
pub(super) struct Proving {
    proofs: Arc<ArcSwapOption<ResolvesServerCertAcme>>,
    certificates: Chosen,
}

impl ResolvesServerCert for Proving {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if rustls_acme::is_tls_alpn_challenge(&hello) {
            return self.proofs.load().as_ref()?.resolve(hello);
        }
        self.certificates.resolve(hello)
    }
}

/// What is kept in the data folder: the account's key, and the certificate behind its key.
struct Kept {
    folder: PathBuf,
}

impl Kept {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all, also when the power goes; for nobody else's eyes.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        fs::File::open(&self.folder)?.sync_all()
    }
}

#[async_trait]
impl CertCache for Kept {
    type EC = io::Error;

    async fn load_cert(&self, domains: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        self.read(&certificate_name(domains, directory))
    }

    async fn store_cert(&self, domains: &[String], directory: &str, pem: &[u8]) -> io::Result<()> {
        self.write(&certificate_name(domains, directory), pem)
    }
}

#[async_trait]
impl AccountCache for Kept {
    type EA = io::Error;

    async fn load_account(&self, contacts: &[String], directory: &str) -> io::Result<Option<Vec<u8>>> {
        self.read(&account_name(contacts, directory))
    }

    async fn store_account(&self, contacts: &[String], directory: &str, key: &[u8]) -> io::Result<()> {
        self.write(&account_name(contacts, directory), key)
    }
}

fn certificate_name(domains: &[String], directory: &str) -> String {
    format!("certificate-{}.pem", mark(domains, directory))
}

fn account_name(contacts: &[String], directory: &str) -> String {
    format!("account-{}.key", mark(contacts, directory))
}

/// A name for a list of texts at an authority.
fn mark(texts: &[String], directory: &str) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    hash.update(directory);
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

fn certificates_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_certificate = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("certificate-") && name.ends_with(".pem")
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_certificate).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer_and_never_stop() {
        let pauses: Vec<u64> = (1..=4).map(|failures| pause(300, failures).as_secs()).collect();
        assert_eq!(pauses, [300, 600, 1200, 2400]);
        assert_eq!(pause(300, 40), RETRY_MAX);
        assert_eq!(pause(u64::MAX, u32::MAX), RETRY_MAX);
    }

    #[test]
    fn keys_are_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept { folder: folder.path().join("acme") };
        for key in ["first", "second"] {
            kept.write("account-1.key", key.as_bytes()).unwrap();
            assert_eq!(kept.read("account-1.key").unwrap().unwrap(), key.as_bytes());
        }
        let mode = fs::metadata(kept.folder.join("account-1.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(kept.read("account-2.key").unwrap().is_none());
    }

    #[test]
    fn other_names_are_another_certificate_and_the_one_before_goes_on_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let open = |domain: &str| {
            let settings = HttpAcme {
                domains: vec![domain.to_owned()],
                contacts: Vec::new(),
                directory: "https://ca.example/directory".into(),
                agree_terms: true,
                trust: None,
                retry_seconds: 1,
            };
            let (provider, metrics) =
                (rustls::crypto::ring::default_provider(), crate::telemetry::Metrics::new().unwrap());
            Acme::open(&settings, folder.path(), &Arc::new(provider), metrics.api.clone()).unwrap().unwrap()
        };
        let name = |acme: &Acme| certificate_name(&acme.settings.domains, &acme.settings.directory);
        let (first, second) = (open("a.example"), open("b.example"));
        let kept = Kept { folder: first.folder.clone() };
        kept.write(&name(&first), b"-").unwrap();
        assert_eq!(second.files(), [first.folder.join(name(&first))]);
        kept.write(&name(&second), b"-").unwrap();
        assert_eq!(second.files(), [name(&second), name(&first)].map(|name| first.folder.join(name)));
        second.forget_others();
        assert_eq!(second.files(), [first.folder.join(name(&second))]);
        assert!(
            first.files().contains(&first.folder.join(name(&second))),
            "served while the other is asked for"
        );
    }
}
