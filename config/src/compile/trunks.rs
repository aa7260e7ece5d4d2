//! Trunks: which carrier an address belongs to, and what it may do.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use vestibule_routing::id::TrunkId;

use super::{Compiler, shared::is_sip_uri};
use crate::{
    diagnostic::{Code, step},
    document::{Codec, Digest, Network, Outbound, Register, Srtp, TrunkDoc, network_bits, network_mask},
};

/// One carrier's trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Its id.
    pub id: TrunkId,
    /// What people call it.
    pub name: String,
    /// Networks of its signalling.
    pub networks: Vec<Network>,
    /// The SIP domain that its certificate must name, in lower case; its calls come over TLS alone then.
    pub tls_identity: Option<String>,
    /// Digest authentication asked of it.
    pub digest: Option<Digest>,
    /// Whether what it says of callers is believed.
    pub trusted: bool,
    /// Codecs, the most wanted first.
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// New calls a second; none for no limit of its own.
    pub calls_per_second_max: Option<u32>,
    /// Calls at once; none for no limit of its own.
    pub concurrent_max: Option<u32>,
    /// How numbers are called over it.
    pub outbound: Option<Outbound>,
    /// How we register at it.
    pub register: Option<Register>,
}

/// Every trunk, found by the source address of a packet, and by the identity that its certificate proves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trunks {
    all: BTreeMap<TrunkId, Arc<Trunk>>,
    /// Those that name no identity.
    open: Networks,
    /// Those that name one, by it.
    identified: BTreeMap<String, Networks>,
}

/// Trunks by their networks: one look-up in a hash table for each length in use, the longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Networks {
    by_length: BTreeMap<Reverse<u32>, HashMap<u128, Arc<Trunk>>>,
}

impl Networks {
    fn find(&self, address: IpAddr) -> Option<&Arc<Trunk>> {
        let bits = network_bits(address);
        let mut tables = self.by_length.iter();
        tables.find_map(|(Reverse(length), networks)| networks.get(&(bits & network_mask(*length))))
    }

    /// The trunk that had the network before.
    fn insert(&mut self, network: &Network, trunk: &Arc<Trunk>) -> Option<Arc<Trunk>> {
        let (bits, length) = network.parts();
        self.by_length.entry(Reverse(length)).or_default().insert(bits, trunk.clone())
    }
}

impl Trunks {
    /// The trunk that the address belongs to, of those that name no identity; the longest network wins.
    pub fn find(&self, address: IpAddr) -> Option<&Arc<Trunk>> {
        self.open.find(address)
    }

    /// The trunk that the address belongs to and that names one of the proven identities (in lower case), else the
    /// one that [`Trunks::find`] finds.
    pub fn find_proven<'a>(
        &self,
        address: IpAddr,
        mut proven: impl Iterator<Item = &'a str>,
    ) -> Option<&Arc<Trunk>> {
        let identified = proven.find_map(|domain| self.identified.get(domain)?.find(address));
        identified.or_else(|| self.find(address))
    }

    /// Whether the address belongs to a trunk of either kind: who it is may be proven yet.
    pub fn may_prove(&self, address: IpAddr) -> bool {
        self.identified.values().chain([&self.open]).any(|networks| networks.find(address).is_some())
    }

    /// The trunk of that id.
    pub fn get(&self, id: &TrunkId) -> Option<&Arc<Trunk>> {
        self.all.get(id)
    }

    /// Every trunk.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Trunk>> {
        self.all.values()
    }
}

impl Compiler<'_> {
    pub(super) fn trunks(&mut self) {
        let parts = self.next.parts.clone();
        let mut trunks = Trunks::default();
        for (id, doc) in &parts.trunks {
            let path = format!("/trunks/{}", step(id.as_str()));
            let trunk = Arc::new(self.trunk(id, doc, &path));
            for network in &trunk.networks {
                let networks = match &trunk.tls_identity {
                    Some(domain) => trunks.identified.entry(domain.clone()).or_default(),
                    None => &mut trunks.open,
                };
                if let Some(other) = networks.insert(network, &trunk) {
                    let sentence = format!("{network} belongs to {} already", other.id);
                    self.findings.add(Code::SharedNetwork, format!("{path}/allowed"), sentence);
                }
            }
            trunks.all.insert(id.clone(), trunk);
        }
        if *self.next.trunks != trunks {
            self.next.trunks = trunks.into();
        }
    }

    fn trunk(&mut self, id: &TrunkId, doc: &TrunkDoc, path: &str) -> Trunk {
        let mut networks = Vec::with_capacity(doc.allowed.len());
        for (index, text) in doc.allowed.iter().enumerate() {
            match text.parse() {
                Ok(network) => networks.push(network),
                Err(sentence) => {
                    self.findings.add(Code::BadNetwork, format!("{path}/allowed/{index}"), sentence)
                }
            }
        }
        if doc.allowed.is_empty() || doc.codecs.is_empty() {
            self.findings.add(Code::EmptyTrunk, path, "nobody can call over this trunk");
        }
        if doc.tls_identity.as_ref().is_some_and(|domain| !is_domain(domain)) {
            let sentence = "an identity is a domain, such as sip.carrier.example, without a wildcard";
            self.findings.add(Code::BadIdentity, format!("{path}/tls_identity"), sentence);
        }
        if doc.digest.as_ref().is_some_and(|digest| digest.algorithms.is_empty()) {
            let path = format!("{path}/digest/algorithms");
            self.findings.add(Code::EmptyTrunk, path, "without an algorithm nobody can prove anything");
        }
        if let Some(outbound) = &doc.outbound {
            let path = format!("{path}/outbound");
            if !is_sip_uri(&outbound.target) {
                let sentence = format!("\"{}\" is no SIP URI", outbound.target);
                self.findings.add(Code::BadTarget, format!("{path}/target"), sentence);
            }
            if outbound.user.is_some() != outbound.secret.is_some() {
                self.findings.add(
                    Code::EmptyTrunk,
                    path,
                    "a user without a secret, or a secret without a user",
                );
            }
        }
        if let Some(register) = &doc.register {
            self.registration(register, &format!("{path}/register"));
        }
        for (name, limit) in
            [("calls_per_second_max", doc.calls_per_second_max), ("concurrent_max", doc.concurrent_max)]
        {
            if limit == Some(0) {
                self.findings.add(Code::EmptyTrunk, format!("{path}/{name}"), "a limit of 0 lets no call in");
            }
        }
        Trunk {
            id: id.clone(),
            name: doc.name.clone(),
            networks,
            tls_identity: doc.tls_identity.as_ref().map(|domain| domain.to_ascii_lowercase()),
            digest: doc.digest.clone(),
            trusted: doc.trusted,
            codecs: doc.codecs.clone(),
            srtp: doc.srtp,
            calls_per_second_max: doc.calls_per_second_max,
            concurrent_max: doc.concurrent_max,
            outbound: doc.outbound.clone(),
            register: doc.register.as_deref().cloned(),
        }
    }
}

impl Compiler<'_> {
    fn registration(&mut self, register: &Register, path: &str) {
        if !is_sip_uri(&register.target) || register.target.contains('@') {
            let sentence = format!("\"{}\" is no SIP URI of a registrar", register.target);
            self.findings.add(Code::BadRegistration, format!("{path}/target"), sentence);
        }
        let is_user = |text: &str| {
            (1..=128).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$".contains(&byte))
        };
        if !is_user(register.contact_user()) {
            let sentence = format!("\"{}\" cannot be the user of an address", register.contact_user());
            let name = if register.address.is_some() { "address" } else { "user" };
            self.findings.add(Code::BadRegistration, format!("{path}/{name}"), sentence);
        }
        if !(60..=86_400).contains(&register.expires_seconds) {
            let sentence = format!("{} seconds are not 60 to 86400", register.expires_seconds);
            self.findings.add(Code::BadRegistration, format!("{path}/expires_seconds"), sentence);
        }
    }
}

/// A domain as a certificate may name it: no wildcard (RFC 5922 §7.2), no dot at the end.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}
