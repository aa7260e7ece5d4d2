//! Certificates for tests, made on the spot.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType, date_time_ymd,
};
use vestibule_config::settings::{ClientCertificates, SipTls};

/// An authority, and the folder that its certificates are written to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// What a certificate says.
#[derive(Clone, Default)]
pub(crate) struct Says<'a> {
    pub(crate) uris: &'a [&'a str],
    pub(crate) names: &'a [&'a str],
    pub(crate) common_name: &'a str,
    pub(crate) expired: bool,
    pub(crate) purpose: Option<ExtendedKeyUsagePurpose>,
}

impl<'a> Says<'a> {
    pub(crate) fn name(names: &'a [&'a str]) -> Self {
        Self { names, ..Self::default() }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the authority's own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// Writes a certificate and its key into one file of the folder.
    pub(crate) fn write(&self, file: &str, says: Says<'_>) -> PathBuf {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, says.common_name);
        let text = |text: &&str| (*text).try_into().unwrap();
        params.subject_alt_names.extend(says.uris.iter().map(|uri| SanType::URI(text(uri))));
        params.subject_alt_names.extend(says.names.iter().map(|name| SanType::DnsName(text(name))));
        params.extended_key_usages.extend(says.purpose);
        (params.not_before, params.not_after) = if says.expired {
            (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1))
        } else {
            (date_time_ymd(2024, 1, 1), date_time_ymd(2051, 6, 1))
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = self.folder.path().join(file);
        std::fs::write(&path, certificate.pem() + &key.serialize_pem()).unwrap();
        path
    }

    /// Settings with these certificates, that believe this authority alone.
    pub(crate) fn settings(&self, certificates: Vec<PathBuf>, asked: ClientCertificates) -> SipTls {
        let client_ca = (asked != ClientCertificates::None).then(|| self.file());
        SipTls { certificates, client_ca, client_certificates: asked, trust: Some(self.file()) }
    }
}
