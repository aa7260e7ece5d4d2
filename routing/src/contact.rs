//! The thing that arrived.

use crate::{
    address::{Address, E164},
    channel::Channel,
    id::ContactId,
    time::Now,
};

/// One arriving call, chat session or message, as routing sees it.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Its id, made by the gateway.
    pub id: ContactId,
    /// How it arrived.
    pub channel: Channel,
    /// What was dialled or written to.
    pub to: Address,
    /// Who it comes from.
    pub from: Caller,
    /// When it arrived.
    pub arrived: Now,
    /// What chance decides for it: with the same seed, percent splits lead the same ways.
    pub seed: u64,
}

/// What is known of the customer who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The number, when it is one.
    pub number: Option<E164>,
    /// The user part or display text as it came, for records.
    pub text: String,
    /// The caller asked for privacy, or sent no identity at all.
    pub anonymous: bool,
}
