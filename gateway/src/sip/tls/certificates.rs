//! Certificates and authorities in files, and which certificate a caller gets.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientHello, ResolvesServerCert, VerifierBuilderError},
    sign::CertifiedKey,
};
use vestibule_config::settings::SipTls;
use webpki::EndEntityCert;

use super::identity::{Identities, not_after, plain};

/// Why TLS cannot be had; each names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file is damaged.
    #[error("{path} is no good PEM: {cause}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: pem::Error,
    },
    /// A file or folder has no certificate.
    #[error("{path} holds no certificate")]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// There is a certificate, and no key for it.
    #[error("{path} holds no private key, and there is none beside it")]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// The certificate cannot be used, or the key is another one's.
    #[error("{path} cannot be used: {cause}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
    /// Client certificates cannot be judged.
    #[error("the authorities of client certificates cannot be used: {0}")]
    Authorities(#[source] VerifierBuilderError),
    /// The library cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[source] rustls::Error),
}

/// One of our certificates and its key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// Names that it is asked for by.
    names: Vec<String>,
    expires_seconds: i64,
    key: Arc<CertifiedKey>,
}

impl Pair {
    /// The first name, for people.
    pub(crate) fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// When it expires, in seconds since 1970.
    pub(crate) fn expires_seconds(&self) -> i64 {
        self.expires_seconds
    }
}

/// Where the parts of a pair stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chain: PathBuf,
    key: PathBuf,
}

/// What was read of the files last, and how they looked.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// In the order of the settings.
    places: Vec<Place>,
    pairs: BTreeMap<Place, Pair>,
    client_authorities: Option<Arc<RootCertStore>>,
    authorities: Option<Arc<RootCertStore>>,
    looks: Looks,
}

/// Length and time of change of every file.
type Looks = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

impl Files {
    /// Reads everything again. What cannot be used is told, and leaves in its place what was read before.
    pub(crate) fn read(&mut self, settings: &SipTls, provider: &CryptoProvider) -> Vec<TlsError> {
        // Before the reading: what changes during it is seen as changed at the next look.
        self.looks = looks(settings);
        let mut faults = Vec::new();
        let mut places = Vec::new();
        for entry in &settings.certificates {
            match places_of(entry) {
                Ok(found) => places.extend(found),
                Err(error) => {
                    faults.push(error);
                    // A folder that is gone for a moment.
                    places.extend(self.places.iter().filter(|place| place.chain.starts_with(entry)).cloned());
                }
            }
        }
        let mut pairs = BTreeMap::new();
        for place in &places {
            let pair = read_pair(place, provider).map_err(|error| faults.push(error)).ok();
            if let Some(pair) = pair.or_else(|| self.pairs.get(place).cloned()) {
                pairs.insert(place.clone(), pair);
            }
        }
        if !pairs.is_empty() {
            (self.places, self.pairs) = (places, pairs);
        }
        for (path, roots) in
            [(&settings.client_ca, &mut self.client_authorities), (&settings.trust, &mut self.authorities)]
        {
            match path.as_deref().map(read_authorities).transpose() {
                Ok(found) => *roots = found.map(Arc::new),
                Err(error) => faults.push(error),
            }
        }
        faults
    }

    /// Whether a file looks otherwise than when it was read.
    pub(crate) fn changed(&self, settings: &SipTls) -> bool {
        self.looks != looks(settings)
    }

    /// The pairs, in the order of the settings.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.places.iter().filter_map(|place| self.pairs.get(place))
    }

    pub(super) fn client_authorities(&self) -> Option<&Arc<RootCertStore>> {
        self.client_authorities.as_ref()
    }

    pub(super) fn authorities(&self) -> Option<&Arc<RootCertStore>> {
        self.authorities.as_ref()
    }
}

fn looks(settings: &SipTls) -> Looks {
    let places = settings.certificates.iter().flat_map(|entry| places_of(entry).unwrap_or_default());
    let mut paths: Vec<PathBuf> = places.flat_map(|place| [place.chain, place.key]).collect();
    paths.extend(settings.client_ca.iter().chain(&settings.trust).cloned());
    paths.extend(settings.certificates.iter().cloned());
    let look = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.len(), metadata.modified().ok()?))
    };
    paths.into_iter().map(|path| (path.clone(), look(&path))).collect()
}

/// The pairs that an entry of the settings stands for.
fn places_of(entry: &Path) -> Result<Vec<Place>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable { path: entry.to_owned(), cause };
    if !std::fs::metadata(entry).map_err(unreadable)?.is_dir() {
        return Ok(vec![place_of(entry.to_owned())]);
    }
    let usual = Place { chain: entry.join("fullchain.pem"), key: entry.join("privkey.pem") };
    if usual.chain.is_file() && usual.key.is_file() {
        return Ok(vec![usual]);
    }
    let mut chains = Vec::new();
    for file in std::fs::read_dir(entry).map_err(unreadable)? {
        let path = file.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ending| ending == "pem" || ending == "crt") && path.is_file() {
            chains.push(path);
        }
    }
    chains.sort();
    if chains.is_empty() {
        return Err(TlsError::NoCertificate { path: entry.to_owned() });
    }
    Ok(chains.into_iter().map(place_of).collect())
}

fn place_of(chain: PathBuf) -> Place {
    let beside = chain.with_extension("key");
    let key = if beside.is_file() { beside } else { chain.clone() };
    Place { chain, key }
}

fn read_pair(place: &Place, provider: &CryptoProvider) -> Result<Pair, TlsError> {
    let path = || place.chain.clone();
    let chain = read_certificates(&place.chain)?;
    let text = read_file(&place.key)?;
    let key = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) => return Err(TlsError::NoKey { path: path() }),
        Err(cause) => return Err(TlsError::Pem { path: place.key.clone(), cause }),
    };
    let unusable = |cause| TlsError::Unusable { path: path(), cause };
    let first = chain.first().ok_or_else(|| TlsError::NoCertificate { path: path() })?;
    let bad = || unusable(rustls::CertificateError::BadEncoding.into());
    let expires_seconds = not_after(first).ok_or_else(bad)?;
    let mut names: Vec<String> = Identities::of(first).iter().map(str::to_owned).collect();
    let certificate = EndEntityCert::try_from(first).map_err(|_| bad())?;
    names.extend(certificate.valid_dns_names().map(plain));
    if names.is_empty() {
        // It still serves those who look at addresses alone, or at nothing.
        names.extend(place.chain.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    let key = CertifiedKey::from_der(chain, key, provider).map_err(unusable)?;
    Ok(Pair { names, expires_seconds, key: Arc::new(key) })
}

/// The authorities in a file.
pub(crate) fn read_authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|cause| TlsError::Unusable { path: path.to_owned(), cause })?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path)?;
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|cause| TlsError::Pem { path: path.to_owned(), cause })?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(found)
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::Unreadable { path: path.to_owned(), cause })
}

/// Chooses among our certificates.
#[derive(Debug)]
pub(crate) struct Chosen {
    pairs: Vec<Pair>,
}

impl Chosen {
    pub(crate) fn new<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Self {
        Self { pairs: pairs.cloned().collect() }
    }

    /// The first of the wanted name that the other side can check, else the first of any name that it can.
    fn find(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fits = |pair: &&Pair| pair.key.key.choose_scheme(schemes).is_some();
        let name = name.map(plain);
        let named =
            self.pairs.iter().filter(|pair| name.as_ref().is_some_and(|name| pair.names.contains(name)));
        named.chain(&self.pairs).find(fits).map(|pair| pair.key.clone())
    }
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

impl ResolvesClientCert for Chosen {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.find(None, schemes)
    }

    fn has_certs(&self) -> bool {
        !self.pairs.is_empty()
    }
}
