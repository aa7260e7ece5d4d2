//! The edges and the wiring of Vestibule.
//!
//! ```text
//! sockets ─► sip ─► hub ─► contact_task ─► journal ─► feed ─► api
//!                            └─► media      (routing::Journey decides, the task does)
//! ```
//! `app` builds everything and stops it in order; edges know the hub, the hub knows only legs.

mod acting;
pub mod api;
pub mod app;
pub mod availability;
mod blocking;
pub mod callbacks;
pub mod carrier;
pub mod chat;
pub mod cli;
pub mod console;
mod contact_id;
mod contact_task;
pub mod data_dip;
pub mod deliveries;
pub mod dialler;
pub mod erasure;
pub mod feed;
pub mod files;
pub mod handling;
pub mod hub;
pub mod identity;
pub mod journal;
pub mod jwt;
pub mod leg;
pub mod media;
pub mod message;
mod names;
pub mod numbers;
pub mod places;
pub mod queue;
pub mod recordings;
pub mod repeats;
pub mod revision_guard;
pub mod sip;
pub mod smtp;
pub mod sound;
pub mod telemetry;
pub mod trunks;
pub mod uploads;
pub mod vault;
