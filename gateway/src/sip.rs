//! The voice signalling edge: sockets around [`sip_proto::endpoint::Endpoint`].
//!
//! One thread owns the endpoint and every UDP socket. TCP and TLS connections are tokio tasks that frame messages
//! and hand them to the thread; contact tasks hand it commands the same way, through [`SipInbox`].
//! Nothing awaits inside the thread.

mod admission;
mod capture;
mod credentials;
mod gate;
mod inbox;
mod locate;
pub(crate) mod pcap;
mod socket;
mod survivors;
mod tcp;
mod thread;
pub(crate) mod tls;

pub use capture::{Capture, Captured};
pub use gate::{Gate, TrunkPlace};
pub use inbox::{Inquiring, SipInbox};
pub use locate::{LocateError, Locator};
pub use survivors::Survivors;
pub use thread::{Sip, SipError, Sockets};
pub use tls::{Identities, Tls, TlsError};
