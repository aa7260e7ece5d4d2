//! What others hand to the SIP thread: a bounded channel and one eventfd.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use bytes::Bytes;
use nix::sys::eventfd::{EfdFlags, EventFd};
use prometheus::IntCounter;
use sip_proto::{
    digest::Login,
    endpoint::{Command, Path, Reply, Series},
    message::Method,
};
use tokio::sync::oneshot;

use super::tls::Identities;
use crate::leg::{CallRef, Destination, Placing, SignalLeg, SignalSink};

/// One thing for the SIP thread to do.
#[derive(Debug)]
pub(super) enum Item {
    /// A contact wants something of its call.
    Command(CallRef, Command),
    /// A contact wants a call placed, and names it.
    Place { id: u64, placing: Box<Placing>, signals: SignalSink },
    /// A request outside calls is to be sent.
    Inquire(Box<Inquiring>, oneshot::Sender<Reply>),
    /// A message came over a stream.
    Message(Path, Bytes),
    /// A connection is there, and may be written to; whom its other side has proven to be.
    Opened(Path, tokio::sync::mpsc::Sender<Bytes>, Identities),
    /// A connection is gone.
    Closed(Path),
    /// No connection could be made.
    Unreachable(Path),
    /// Refuse pings from now on, with so many seconds to wait.
    Drain(u32),
    /// Stop.
    Stop,
}

/// A request outside calls; see [`sip_proto::endpoint::Inquiry`].
#[derive(Clone, Debug)]
pub struct Inquiring {
    /// Where it goes.
    pub to: Destination,
    /// Its method.
    pub method: Method,
    /// The Request-URI.
    pub uri: String,
    /// The URI of From; empty stands for our own address.
    pub from: String,
    /// The URI of To.
    pub to_uri: String,
    /// The user part of a Contact header with our own address; none for no such header.
    pub contact_user: Option<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// What proves us, if the other side asks.
    pub login: Option<Login>,
    /// What it goes on.
    pub series: Option<Series>,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// The way to the SIP thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct SipInbox {
    sender: SyncSender<Item>,
    wake: Arc<Wake>,
    full: IntCounter,
    placed: Arc<AtomicU64>,
}

/// Wakes the thread, and only when it sleeps.
#[derive(Debug)]
pub(super) struct Wake {
    event: EventFd,
    asleep: AtomicBool,
}

impl SipInbox {
    /// A bounded inbox, and the thread's end of it.
    pub(super) fn new(items_max: usize, full: IntCounter) -> nix::Result<(Self, Receiver<Item>, Arc<Wake>)> {
        let (sender, receiver) = sync_channel(items_max);
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let wake = Arc::new(Wake { event, asleep: AtomicBool::new(false) });
        let placed = Arc::new(AtomicU64::new(0));
        Ok((Self { sender, wake: wake.clone(), full, placed }, receiver, wake))
    }

    /// A command for a call. The inbox holds more than one item for every call there may be; if it is full
    /// all the same, the item is lost and counted, and the call ends by its own timers.
    pub(crate) fn command(&self, call: CallRef, command: Command) {
        self.push(Item::Command(call, command));
    }

    /// Has a call placed; none when the inbox is full.
    pub(crate) fn place(&self, placing: Placing, signals: SignalSink) -> Option<SignalLeg> {
        let id = self.placed.fetch_add(1, Ordering::Relaxed);
        let item = Item::Place { id, placing: Box::new(placing), signals };
        self.push(item).then(|| SignalLeg { call: CallRef::Placed(id), inbox: self.clone() })
    }

    /// Sends a request outside calls, and waits for what comes of it; none when it could not be sent.
    pub async fn inquire(&self, inquiring: Inquiring) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        self.push(Item::Inquire(Box::new(inquiring), reply));
        answer.await.ok()
    }

    /// Whether the item was taken.
    pub(super) fn push(&self, item: Item) -> bool {
        match self.sender.try_send(item) {
            Ok(()) => {
                self.wake.wake();
                true
            }
            Err(TrySendError::Full(_)) => {
                self.full.inc();
                tracing::error!("the inbox of the SIP thread is full");
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Wake {
    fn wake(&self) {
        // The swap pairs with the one in `sleep`: either the sleeper sees the item, or we see it asleep.
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.event.write(1)
        {
            tracing::error!(%error, "the SIP thread could not be woken");
        }
    }

    /// Says that the thread is about to sleep; it must look at its channel once more before it does.
    pub(super) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// The thread is awake.
    pub(super) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        // EAGAIN means that nobody wrote.
        let _value = self.event.read().unwrap_or(0);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
