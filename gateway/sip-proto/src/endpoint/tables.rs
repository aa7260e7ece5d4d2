//! The tables: slabs with generations, so that a stale handle finds nothing.

use crate::{
    message::Method,
    transaction::{client::Client, client_invite::ClientInvite, server::Server, server_invite::ServerInvite},
};

use super::{CallKey, Inquiry, Path, Series};

/// A place in a slab, good for one life of that place.
pub(super) type Handle = CallKey;

/// A table whose places are reused under a new generation.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.entries.len().saturating_sub(self.free.len())
    }

    /// Puts a value in; none when four thousand million places are taken.
    pub(super) fn insert(&mut self, value: T) -> Option<Handle> {
        if let Some(index) = self.free.pop() {
            let (generation, slot) = self.entries.get_mut(usize::try_from(index).ok()?)?;
            *generation = generation.wrapping_add(1);
            *slot = Some(value);
            return Some(Handle { index, generation: *generation });
        }
        let index = u32::try_from(self.entries.len()).ok()?;
        self.entries.push((0, Some(value)));
        Some(Handle { index, generation: 0 })
    }

    pub(super) fn entry(&mut self, handle: Handle) -> Option<&mut T> {
        let (generation, slot) = self.entries.get_mut(usize::try_from(handle.index).ok()?)?;
        if *generation == handle.generation { slot.as_mut() } else { None }
    }

    /// The handles of all that are there and that `wanted` likes.
    pub(super) fn select(&self, wanted: impl Fn(&T) -> bool) -> Vec<Handle> {
        (0_u32..)
            .zip(&self.entries)
            .filter(|(_, (_, slot))| slot.as_ref().is_some_and(&wanted))
            .map(|(index, (generation, _))| Handle { index, generation: *generation })
            .collect()
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<T> {
        let (generation, slot) = self.entries.get_mut(usize::try_from(handle.index).ok()?)?;
        if *generation != handle.generation {
            return None;
        }
        let value = slot.take()?;
        self.free.push(handle.index);
        Some(value)
    }
}

/// A server transaction with what it repeats.
#[derive(Debug)]
pub(super) struct ServerTransaction {
    pub(super) key: u128,
    pub(super) machine: ServerMachine,
    /// Where responses go.
    pub(super) path: Path,
    /// The last response sent; empty when there is none yet, or when it need not be repeated any more.
    pub(super) last_response: Box<[u8]>,
    /// The call, for INVITEs.
    pub(super) call: Option<Handle>,
}

#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(ServerInvite),
    Other(Server),
}

/// A client transaction with what it repeats.
#[derive(Debug)]
pub(super) struct ClientTransaction {
    pub(super) key: u128,
    pub(super) machine: ClientMachine,
    pub(super) method: Method,
    /// Where the request went.
    pub(super) path: Path,
    /// The request.
    pub(super) bytes: Box<[u8]>,
    /// Whom it is told to; none for what has no call any more.
    pub(super) call: Option<Handle>,
    pub(super) cseq: u32,
    /// The ACK of every 2xx that came, by its To tag: each repetition of one is acknowledged again.
    pub(super) acks: Vec<Acknowledgement>,
    /// The request outside calls that it was begun for.
    pub(super) inquiry: Option<(Box<Inquiry>, Series)>,
}

/// The ACK of a 2xx.
#[derive(Debug)]
pub(super) struct Acknowledgement {
    /// The To tag of the 2xx.
    pub(super) tag: Box<[u8]>,
    pub(super) bytes: Box<[u8]>,
}

#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(ClientInvite),
    Other(Client),
}
