//! Messages: how they come in, what is kept of them, and how conversations hold them together.
//!
//! One way through: a provider's webhook is verified over its raw bytes ([`webhook`]), read into [`Incoming`]s,
//! written to the journal with its duplicates left out, and only then answered.

pub mod authenticator;
mod certificates;
pub mod incoming;
pub mod intake;
pub mod mail;
pub mod mailboxes;
pub mod media;
pub mod opt_out;
pub mod providers;
pub mod sender;
pub mod webhook;

pub use authenticator::Authenticator;
pub use certificates::{Certificates, NotFetched};
pub use incoming::{Attachment, Change, Content, Incoming, MediaLink, What};
pub use intake::Intake;
pub use mailboxes::Mailboxes;
pub use media::MediaFetcher;
pub use opt_out::Keyword;
pub use providers::Providers;
pub use sender::Sender;
