//! The nodes of an IVR.

/// One step of an IVR, with its transitions as positions in the arena.
#[derive(Clone, Debug)]
pub struct Node;
