//! IVRs as documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vestibule_routing::{
    id::NodeId,
    plan::{IvrKind, node::Node},
};

/// An IVR: nodes by name, whose transitions name other nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IvrDoc {
    /// What people call it.
    pub name: String,
    /// Initial or Queue IVR.
    pub kind: IvrKind,
    /// The node it begins with.
    #[serde(default = "start")]
    pub start: NodeId,
    /// Remarks on nodes, by node.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<NodeId, String>,
    /// The nodes.
    pub nodes: BTreeMap<NodeId, Node<NodeId>>,
}

fn start() -> NodeId {
    "start".into()
}
