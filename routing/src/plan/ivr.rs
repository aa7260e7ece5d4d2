//! An IVR compiled to an arena: every transition is an index that exists.

use super::node::Node;
use crate::id::{IvrId, NodeId};

/// Which moments an IVR is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IvrKind {
    /// Runs as the call arrives.
    Initial,
    /// Runs while the caller waits.
    Queue,
}

/// The position of a node in its IVR's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeIndex(pub(crate) u32);

/// A published IVR.
#[derive(Clone, Debug)]
pub struct Ivr {
    /// Its id.
    pub id: IvrId,
    /// What people call it.
    pub name: String,
    /// Initial or Queue IVR.
    pub kind: IvrKind,
    start: NodeIndex,
    nodes: Vec<(NodeId, Node)>,
}
