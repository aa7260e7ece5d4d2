//! What people write, made into what runs.
//!
//! * [`settings`]: how the process is set up (listeners, storage, limits); read once, at the start.
//! * [`document`]: routing as people write it; [`compile`] turns it into a
//!   [`Plan`](vestibule_routing::plan::Plan) or says with [`diagnostic`]s why not.
//! * [`store`]: drafts, revisions and number records in SQLite, and the [`active`] routing that
//!   everything else reads.
//!
//! No network here, and no tasks: callers decide on which thread a publish runs.

pub mod active;
pub mod carrier;
pub mod compile;
pub mod diagnostic;
pub mod document;
pub mod file;
pub mod mail;
pub mod number;
pub mod sample;
pub mod settings;
pub mod store;
