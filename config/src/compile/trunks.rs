//! Trunks: which carrier an address belongs to, and what it may do.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use vestibule_routing::id::TrunkId;

use super::{Compiler, shared::is_sip_uri};
use crate::{
    diagnostic::{Code, step},
    document::{Codec, Digest, Network, Outbound, TrunkDoc, network_bits, network_mask},
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
    /// Digest authentication asked of it.
    pub digest: Option<Digest>,
    /// Codecs, the most wanted first.
    pub codecs: Vec<Codec>,
    /// New calls a second; none for no limit of its own.
    pub calls_per_second_max: Option<u32>,
    /// Calls at once; none for no limit of its own.
    pub concurrent_max: Option<u32>,
    /// How numbers are called over it.
    pub outbound: Option<Outbound>,
}

/// Every trunk, found by the source address of a packet: one look-up in a hash table for each length of
/// network in use, the longest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trunks {
    all: BTreeMap<TrunkId, Arc<Trunk>>,
    /// Networks by length, the longest first.
    by_length: Vec<(u32, HashMap<u128, Arc<Trunk>>)>,
}

impl Trunks {
    /// The trunk that the address belongs to; the longest network wins.
    pub fn find(&self, address: IpAddr) -> Option<&Arc<Trunk>> {
        let bits = network_bits(address);
        self.by_length.iter().find_map(|(length, networks)| networks.get(&(bits & network_mask(*length))))
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
        let mut by_length: BTreeMap<u32, HashMap<u128, Arc<Trunk>>> = BTreeMap::new();
        for (id, doc) in &parts.trunks {
            let path = format!("/trunks/{}", step(id.as_str()));
            let trunk = Arc::new(self.trunk(id, doc, &path));
            for network in &trunk.networks {
                let (bits, length) = network.parts();
                let other = by_length.entry(length).or_default().insert(bits, trunk.clone());
                if let Some(other) = other {
                    let sentence = format!("{network} belongs to {} already", other.id);
                    self.findings.add(Code::SharedNetwork, format!("{path}/allowed"), sentence);
                }
            }
            trunks.all.insert(id.clone(), trunk);
        }
        trunks.by_length = by_length.into_iter().rev().collect();
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
            digest: doc.digest.clone(),
            codecs: doc.codecs.clone(),
            calls_per_second_max: doc.calls_per_second_max,
            concurrent_max: doc.concurrent_max,
            outbound: doc.outbound.clone(),
        }
    }
}
