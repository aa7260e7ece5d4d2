//! Tests of the gateway as a whole, by what it shows to others: its API, its pages, its sockets, and its files.
//! One program, because each program of tests is linked with all of the gateway.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod administration;
mod api;
mod audit;
mod carriers;
mod chat;
mod chat_files;
mod cli;
mod console;
mod console_entry_points;
mod console_numbers;
mod console_prompts;
mod console_settings;
mod customers;
mod deliveries;
mod entry_points;
mod erasures;
mod held;
mod identity;
mod ivrs;
mod journal;
mod journal_durability;
pub(crate) mod media;
mod message_media;
mod messages;
mod numbers;
mod prompts;
mod retention;
mod reviewed;
mod second_person;
mod sender;
mod smtp;
mod support;
mod webhooks;
