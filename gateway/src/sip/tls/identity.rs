//! What a certificate says of its holder: SIP domains (RFC 5922) and the end of its validity.

use std::sync::Arc;

use jiff::{civil, tz::TimeZone};
use rustls::pki_types::CertificateDer;
use sip_proto::uri::{Scheme, Uri};
use webpki::EndEntityCert;

/// The SIP domains that a certificate speaks for, in lower case; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities(Arc<[Box<str>]>);

impl Identities {
    /// RFC 5922 §7.1: the `sip:` URIs of subjectAltName without a user; where there is none, its DNS names. The
    /// common name is never looked at, and a wildcard names nobody (§7.2).
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Self::default() };
        let sip: Vec<Box<str>> = certificate.valid_uri_names().filter_map(domain_of).collect();
        let names = if sip.is_empty() {
            let dns = certificate.valid_dns_names().filter(|name| !name.contains('*'));
            dns.map(|name| plain(name).into()).collect()
        } else {
            sip
        };
        Self(names.into())
    }

    /// Whether this domain is one of them (RFC 5922 §7.2: as a whole, whatever the case).
    pub(super) fn contains(&self, domain: &str) -> bool {
        let domain = plain(domain);
        self.0.iter().any(|own| **own == *domain)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|domain| &**domain)
    }
}

impl FromIterator<String> for Identities {
    fn from_iter<I: IntoIterator<Item = String>>(domains: I) -> Self {
        Self(domains.into_iter().map(|domain| plain(&domain).into()).collect())
    }
}

/// A domain as it is compared: lower case, without the dot of a full name.
pub(super) fn plain(domain: &str) -> String {
    domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase()
}

fn domain_of(uri: &str) -> Option<Box<str>> {
    let uri = Uri::parse(uri.as_bytes()).ok()?;
    if uri.scheme != Scheme::Sip || uri.user.is_some() {
        return None;
    }
    Some(plain(std::str::from_utf8(uri.host).ok()?).into())
}

/// When a certificate expires, in seconds since 1970; none when it cannot be read (RFC 5280 §4.1.2.5).
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, signed, _) = element(certificate)?;
    // version, when it is not v1; serial number, algorithm, issuer; then the validity.
    let (tag, _, after_version) = element(signed)?;
    let mut rest = if tag == TAG_VERSION { after_version } else { signed };
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after_begin) = element(validity)?;
    let (tag, time, _) = element(after_begin)?;
    let text = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let part = |at: usize, length: usize| text.get(at..at.checked_add(length)?)?.parse::<i16>().ok();
    let (year, at) = match tag {
        // Two digits stand for 1950 to 2049.
        TAG_UTC_TIME => {
            let year = part(0, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        TAG_GENERALIZED_TIME => (part(0, 4)?, 4),
        _ => return None,
    };
    let field = |index: usize| part(at + 2 * index, 2).and_then(|value| i8::try_from(value).ok());
    let time = civil::DateTime::new(year, field(0)?, field(1)?, field(2)?, field(3)?, field(4)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

const TAG_VERSION: u8 = 0xa0;
const TAG_UTC_TIME: u8 = 0x17;
const TAG_GENERALIZED_TIME: u8 = 0x18;

/// The first element of some DER: its tag, what it holds, and what comes after it (X.690 §8.1).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Up to four bytes of length: certificates are no longer.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
