//! What makes an IVR, and what does not.

use vestibule_routing::{
    id::NodeId,
    plan::{Ivr, IvrFault, IvrKind, node::Node},
};

fn build(nodes: &[(&str, Node<NodeId>)]) -> Result<Ivr, Vec<IvrFault>> {
    let nodes: Vec<(NodeId, Node<NodeId>)> =
        nodes.iter().map(|(id, node)| (NodeId::from(*id), node.clone())).collect();
    Ivr::build("ivr".into(), "Test".into(), IvrKind::Initial, &"start".into(), &nodes)
}

fn start(next: &str) -> Node<NodeId> {
    Node::Start { next: next.into() }
}

#[test]
fn nodes_that_share_an_id_make_no_ivr() {
    let exit = || ("exit", Node::Exit {});
    assert!(build(&[("start", start("exit")), exit()]).is_ok());
    let faults = build(&[("start", start("exit")), exit(), ("exit", start("start"))]).err();
    assert_eq!(faults, Some(vec![IvrFault::DuplicateNode { node: "exit".into() }]));
}

#[test]
fn every_fault_is_told_at_once_and_names_its_node() {
    let faults = build(&[("a", start("b")), ("a", start("c")), ("d", start("a"))]).err().unwrap_or_default();
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "node a stands more than once",
            "node start: transition start leads to start, which does not exist",
            "node a: transition next leads to b, which does not exist",
            "node a: transition next leads to c, which does not exist",
        ]
    );
    let nodes: Vec<&str> = faults.iter().map(|fault| fault.node().as_str()).collect();
    assert_eq!(nodes, ["a", "start", "a", "a"]);
}
