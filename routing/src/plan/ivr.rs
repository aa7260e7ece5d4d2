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

/// A transition that leads to no node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {node}: transition {transition} leads to {target}, which does not exist")]
pub struct DanglingTransition {
    /// The node it leaves.
    pub node: NodeId,
    /// Its name.
    pub transition: String,
    /// Where it was to lead.
    pub target: NodeId,
}

impl Ivr {
    /// Compiles a document's nodes.
    ///
    /// # Errors
    /// Every transition that leads nowhere, the start included.
    pub fn build(
        id: IvrId,
        name: String,
        kind: IvrKind,
        start: &NodeId,
        nodes: &[(NodeId, Node<NodeId>)],
    ) -> Result<Self, Vec<DanglingTransition>> {
        let mut indices: HashMap<&NodeId, NodeIndex> = HashMap::with_capacity(nodes.len());
        for (index, (node, _)) in (0_u32..).zip(nodes) {
            indices.insert(node, NodeIndex(index));
        }
        let mut dangling = Vec::new();
        let mut find = |node: &NodeId, transition: &str, target: &NodeId| match indices.get(target) {
            Some(index) => *index,
            None => {
                dangling.push(DanglingTransition {
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
        if dangling.is_empty() {
            Ok(Self { id, name, kind, start: start_index, nodes: compiled })
        } else {
            Err(dangling)
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
