//! An IVR compiled to an arena: every transition is an index that exists.

use std::collections::HashMap;

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

/// The position of a node in its IVR's arena; made by [`Ivr::build`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeIndex(u32);

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
    nodes: Vec<(NodeId, Node<NodeIndex>)>,
}

/// Why nodes make no IVR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IvrFault {
    /// A transition that leads to no node.
    #[error("node {node}: transition {transition} leads to {target}, which does not exist")]
    DanglingTransition {
        /// The node it leaves.
        node: NodeId,
        /// Its name.
        transition: String,
        /// Where it was to lead.
        target: NodeId,
    },
    /// Two nodes share an id, so that no transition to it has one meaning.
    #[error("node {node} stands more than once")]
    DuplicateNode {
        /// The id.
        node: NodeId,
    },
}

impl IvrFault {
    /// The node to mend.
    pub fn node(&self) -> &NodeId {
        match self {
            Self::DanglingTransition { node, .. } | Self::DuplicateNode { node } => node,
        }
    }
}

impl Ivr {
    /// Compiles a document's nodes.
    ///
    /// # Errors
    /// Every transition that leads nowhere, the start included, and every further node of the same id.
    pub fn build(
        id: IvrId,
        name: String,
        kind: IvrKind,
        start: &NodeId,
        nodes: &[(NodeId, Node<NodeId>)],
    ) -> Result<Self, Vec<IvrFault>> {
        let mut indices: HashMap<&NodeId, NodeIndex> = HashMap::with_capacity(nodes.len());
        let mut faults = Vec::new();
        for (index, (node, _)) in (0_u32..).zip(nodes) {
            if indices.insert(node, NodeIndex(index)).is_some() {
                faults.push(IvrFault::DuplicateNode { node: node.clone() });
            }
        }
        let mut find = |node: &NodeId, transition: &str, target: &NodeId| match indices.get(target) {
            Some(index) => *index,
            None => {
                faults.push(IvrFault::DanglingTransition {
                    node: node.clone(),
                    transition: transition.to_owned(),
                    target: target.clone(),
                });
                NodeIndex(0)
            }
        };
        let start_index = find(start, "start", start);
        let mut compiled = Vec::with_capacity(nodes.len());
        for (id, node) in nodes {
            let mapped: Result<_, std::convert::Infallible> =
                node.try_map(&mut |transition, target| Ok(find(id, transition, target)));
            let Ok(mapped) = mapped;
            compiled.push((id.clone(), mapped));
        }
        if faults.is_empty() {
            Ok(Self { id, name, kind, start: start_index, nodes: compiled })
        } else {
            Err(faults)
        }
    }

    /// Where it begins.
    pub fn start(&self) -> NodeIndex {
        self.start
    }

    /// A node by its position; none only for a position of another IVR.
    pub fn node(&self, index: NodeIndex) -> Option<(&NodeId, &Node<NodeIndex>)> {
        self.nodes.get(usize::try_from(index.0).ok()?).map(|(id, node)| (id, node))
    }

    /// All nodes, in the order of the document.
    pub fn nodes(&self) -> impl Iterator<Item = (&NodeId, &Node<NodeIndex>)> {
        self.nodes.iter().map(|(id, node)| (id, node))
    }
}
