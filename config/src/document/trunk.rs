//! SIP trunks as documents, and the networks and secret references in them.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

/// A SIP relation with a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkDoc {
    /// What people call it.
    pub name: String,
    /// Networks that the carrier's signalling comes from, `203.0.113.0/24`.
    pub allowed: Vec<String>,
    /// The SIP domain that the carrier's TLS certificate must name (RFC 5922). The trunk's calls come over TLS alone
    /// then, from those who have proven to be it; `sip.tls.client_certificates` must ask for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_identity: Option<String>,
    /// Digest authentication asked of the carrier (RFC 8760, RFC 3261 §22).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether what it says of callers is believed: who they are (P-Asserted-Identity, RFC 3325), and who had the call
    /// before (Diversion, RFC 5806; History-Info, RFC 7044). For a carrier; not for a customer's own exchange.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub trusted: bool,
    /// Codecs, the most wanted first.
    #[serde(default = "codecs")]
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted, by keys in SDP (RFC 4568). Those are as secret as the signalling is: use TLS.
    #[serde(default)]
    pub srtp: Srtp,
    /// New calls a second; further ones get 503. None: only the limits of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_per_second_max: Option<u32>,
    /// Calls at once, of both directions; further ones get 503, or go by another trunk. None: only the limits of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_max: Option<u32>,
    /// How numbers are called over this trunk; none: it only brings calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
    /// How we register at the carrier, so that its calls come to us; none: the carrier knows where we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<Box<Register>>,
}

/// A registration at a carrier (RFC 3261 §10). Its calls must come from `allowed` networks all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The registrar, `sip:carrier.example.net;transport=tcp`.
    pub target: String,
    /// User name for digest authentication.
    pub user: String,
    /// Where the secret of that user is.
    pub secret: SecretRef,
    /// The user part of the address that is registered, where it is another than `user`. Calls that come to it are
    /// for the number in P-Called-Party-ID, or else in To.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Seconds for which we ask to be registered, 60 to 86400; the registrar may grant others.
    #[serde(default = "an_hour")]
    pub expires_seconds: u32,
}

const fn an_hour() -> u32 {
    3600
}

impl Register {
    /// The user part of the address that is registered.
    pub fn contact_user(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.user)
    }

    /// The Request-URI of a registration: the registrar without a user (RFC 3261 §10.2).
    pub fn uri(&self) -> String {
        let (scheme, host) = scheme_and_host(&self.target);
        format!("{scheme}:{host}")
    }

    /// The address that is registered: without port and parameters.
    pub fn address_uri(&self) -> String {
        let (scheme, host) = scheme_and_host(&self.target);
        let host = host.split(';').next().unwrap_or(host);
        // The colons of `[2001:db8::1]` begin no port.
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => host,
        };
        format!("{scheme}:{}@{host}", self.contact_user())
    }
}

/// The scheme of a target, and its host, port and parameters.
fn scheme_and_host(target: &str) -> (&str, &str) {
    let (scheme, rest) = target.split_once(':').unwrap_or(("sip", target));
    (scheme, rest.rsplit('@').next().unwrap_or(rest))
}

/// How a trunk is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Where its calls go, `sip:sbc.example.net:5060;transport=tcp` or `sips:sbc.example.net`: numbers are put before
    /// the host.
    pub target: String,
    /// User name, if the carrier asks for digest authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the secret of that user is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// Whether it is asked now and then, by OPTIONS, if it is there.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub ping: bool,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_yes(value: &bool) -> bool {
    *value
}

impl Outbound {
    /// The SIP URI of the trunk itself.
    pub fn uri(&self) -> String {
        let (scheme, host) = scheme_and_host(&self.target);
        format!("{scheme}:{host}")
    }

    /// The SIP URI by which a number (`+14155550100`) is called.
    pub fn uri_of(&self, number: &str) -> String {
        let (scheme, host) = scheme_and_host(&self.target);
        format!("{scheme}:{number}@{host}")
    }
}

/// User and secret of a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// User name.
    pub user: String,
    /// Where the secret is.
    pub secret: SecretRef,
    /// Hash functions it may prove itself by, the most wanted first. Some devices give up at a challenge that
    /// they do not know: for those, `[md5]` alone.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<DigestAlgorithm>,
}

/// A hash function of digest authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DigestAlgorithm {
    /// RFC 8760 §2.1.
    #[serde(rename = "sha-256")]
    Sha256,
    /// Broken as a hash, and all that many devices know.
    #[serde(rename = "md5")]
    Md5,
}

fn algorithms() -> Vec<DigestAlgorithm> {
    vec![DigestAlgorithm::Sha256]
}

/// A codec that streams may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// G.711 µ-law, RTP payload type 0 (RFC 3551).
    Pcmu,
    /// G.711 A-law, RTP payload type 8 (RFC 3551).
    Pcma,
}

/// Whether media is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    /// Never: an offer of nothing but encrypted streams gets 488.
    Off,
    /// Where the carrier offers it. Calls over the trunk offer clear media.
    #[default]
    Allowed,
    /// Always: an offer of clear streams gets 488, calls over the trunk offer encrypted media only, and clear
    /// packets are dropped.
    Required,
}

fn codecs() -> Vec<Codec> {
    vec![Codec::Pcmu, Codec::Pcma]
}

/// Refers to a secret, so that no document, revision or export holds one: `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// A variable of the environment.
    Environment(String),
    /// A file; the end of its last line is cut.
    File(PathBuf),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("the file {0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
}

impl SecretRef {
    /// Reads the secret.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be read.
    pub fn reveal(&self) -> Result<String, SecretError> {
        match self {
            Self::Environment(name) => std::env::var(name).map_err(|_| SecretError::Unset(name.clone())),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| SecretError::Unreadable(path.clone(), error)),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl FromStr for SecretRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        // The text itself must not be repeated: it may be the secret.
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("a secret is not written into a document: refer to it as env:NAME or file:PATH"),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A range of addresses, `203.0.113.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first address, as 128 bits (IPv4 in its mapped form).
    bits: u128,
    /// Bits that count, of 128.
    length: u32,
    v4: bool,
}

impl Network {
    /// Its first address as 128 bits, and how many of them count.
    pub(crate) fn parts(&self) -> (u128, u32) {
        (self.bits, self.length)
    }

    /// Whether the address belongs to the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        network_bits(address) & network_mask(self.length) == self.bits
    }
}

/// An address as 128 bits; IPv4 in its mapped form (RFC 4291 §2.5.5.2).
pub(crate) fn network_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The bits that count.
pub(crate) fn network_mask(length: u32) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("\"{text}\" is no network");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| fault())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let v4 = address.is_ipv4();
        let longest = if v4 { 32 } else { 128 };
        let length = length.unwrap_or(longest);
        if length > longest {
            return Err(fault());
        }
        let length = length + 128 - longest;
        let bits = network_bits(address);
        if bits & network_mask(length) != bits {
            return Err(format!("\"{text}\" has bits set after its length"));
        }
        Ok(Self { bits, length, v4 })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v6 = std::net::Ipv6Addr::from_bits(self.bits);
        match v6.to_ipv4_mapped().filter(|_| self.v4) {
            Some(v4) => write!(f, "{v4}/{}", self.length.saturating_sub(96)),
            None => write!(f, "{v6}/{}", self.length),
        }
    }
}
