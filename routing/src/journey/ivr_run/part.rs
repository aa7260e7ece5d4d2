//! IVRs that run as a part of another.
//!
//! A part has the keys, variables and music of the run. Its exit leads back to the node that called it, which goes
//! on by `next`, and the exit's name is that node's variable; what ends the call or the wait ends it from any depth.

use std::sync::Arc;

use super::{Actions, FeedEvent, Go, IvrRun, Now, RunEnd, Scope, Turn, to};
use crate::{
    id::{IvrId, NodeId},
    plan::{Ivr, NodeIndex, node::Node},
};

/// Parts within parts; what is published stays below.
const DEPTH_MAX: usize = 8;

/// Where a part was called from.
#[derive(Debug)]
pub(super) struct Caller {
    ivr: Arc<Ivr>,
    at: NodeIndex,
}

impl IvrRun {
    /// The IVR that the run began with.
    pub(in super::super) fn whole(&self) -> &Arc<Ivr> {
        self.callers.first().map_or(&self.ivr, |caller| &caller.ivr)
    }

    /// Begins a part.
    pub(super) fn enter_part(&mut self, part: &IvrId, turn: &mut Turn<'_>) -> Go {
        let part = match turn.scope.plan.ivrs.get(part) {
            Some(part) if self.callers.len() < DEPTH_MAX => part.clone(),
            Some(_) => return self.go_on_from(None, "too many IVRs within each other", turn),
            None => return self.go_on_from(None, "there is no such IVR", turn),
        };
        let entered = FeedEvent::IvrEntered { ivr: part.id.clone(), queue: self.queue };
        turn.scope.emit(entered, turn.out);
        let at = std::mem::replace(&mut self.at, part.start());
        let ivr = std::mem::replace(&mut self.ivr, part);
        self.callers.push(Caller { ivr, at });
        self.visit(None, String::new(), turn)
    }

    /// An end of the IVR that runs: where the one that called it goes on, or how the whole run ended.
    pub(super) fn leave_part(&mut self, end: RunEnd, turn: &mut Turn<'_>) -> Result<Go, RunEnd> {
        let (node, failure) = match &end {
            RunEnd::Exit(node) => (Some(node.clone()), None),
            RunEnd::Failed(why) => (None, Some(*why)),
            RunEnd::HangUp { node, .. } | RunEnd::Continue(node) | RunEnd::LeftVoicemail(node) => {
                let node = self.leave_parts(node.clone(), turn);
                return Err(end.at(node));
            }
        };
        if !self.leave_one(node.clone(), failure, turn) {
            return Err(end);
        }
        Ok(self.go_on_from(node.as_ref(), failure.unwrap_or_default(), turn))
    }

    /// Leaves all parts; the node of the outermost IVR by which the run ends.
    pub(in super::super) fn leave_all(
        &mut self,
        now: Now,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Option<NodeId> {
        let place = self.place()?;
        Some(self.leave_parts(place, &mut Turn { now, scope, out }))
    }

    fn leave_parts(&mut self, mut node: NodeId, turn: &mut Turn<'_>) -> NodeId {
        while self.leave_one(Some(node.clone()), None, turn) {
            node = self.place().unwrap_or(node);
        }
        node
    }

    /// Leaves the innermost part; false when there is none.
    fn leave_one(
        &mut self,
        node: Option<NodeId>,
        failure: Option<&'static str>,
        turn: &mut Turn<'_>,
    ) -> bool {
        let Some(Caller { ivr, at }) = self.callers.pop() else { return false };
        let left = std::mem::replace(&mut self.ivr, ivr);
        self.at = at;
        let exited = FeedEvent::IvrExited { ivr: left.id.clone(), node, inbox: None, failure };
        turn.scope.emit(exited, turn.out);
        true
    }

    /// Where the node leads that called a part: by `next` after an exit, else by `error`.
    fn go_on_from(&mut self, exit: Option<&NodeId>, why: &str, turn: &mut Turn<'_>) -> Go {
        let ivr = self.ivr.clone();
        let Some((id, Node::SubIvr { next, error, .. })) = ivr.node(self.at) else { return super::broken() };
        match exit {
            Some(exit) => {
                turn.scope.set(turn.now, &format!("node.{id}"), exit.to_string());
                to(*next, "next")
            }
            None => {
                turn.note(format!("node {id}: {why}"));
                to(*error, "error")
            }
        }
    }
}

impl RunEnd {
    /// The same end at another node.
    fn at(self, node: NodeId) -> Self {
        match self {
            Self::Exit(_) => Self::Exit(node),
            Self::HangUp { sip_status, .. } => Self::HangUp { node, sip_status },
            Self::Continue(_) => Self::Continue(node),
            Self::LeftVoicemail(_) => Self::LeftVoicemail(node),
            Self::Failed(why) => Self::Failed(why),
        }
    }
}
