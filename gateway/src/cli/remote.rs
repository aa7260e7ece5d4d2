//! The common acts of administration, asked of a running gateway by its control API. [docs/cli.md](../../docs/cli.md).
//!
//! It has no power that the key lacks. Where the gateway is and who asks comes from flags, `VESTIBULE_URL` and
//! `VESTIBULE_API_KEY`; without them, from the data folder of this machine.

mod acts;
mod api;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use vestibule_config::settings::Settings;

use self::api::Api;
use super::complain;

/// Where the gateway is, who asks, and how it is said.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Asking a running gateway")]
pub(super) struct Where {
    /// Its address, such as https://gateway.example.net; without, the HTTP listener of the settings.
    #[arg(long, env = "VESTIBULE_URL", value_name = "URL", global = true)]
    pub(super) url: Option<String>,
    /// The API key; without, the one in the data folder. Rather the variable: others see the command line.
    #[arg(long, env = "VESTIBULE_API_KEY", value_name = "KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// How answers are written.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// What the API said, as JSON.
    Json,
}

/// Acts on a running gateway.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Remote {
    /// Show whether calls are taken, what is active, who waits.
    Status,
    /// List the numbers with what is linked to them.
    Numbers,
    /// Check, compare, publish, roll back and simulate routing.
    #[command(subcommand)]
    Routing(RoutingAct),
    /// List, export and import IVRs.
    #[command(subcommand)]
    Ivrs(IvrAct),
    /// List contacts, or show one step by step.
    #[command(subcommand)]
    Contacts(ContactAct),
    /// Let contacts in at entry points.
    Arm {
        /// Their names, such as voice/+14155550100.
        #[arg(required = true)]
        entry_points: Vec<String>,
    },
    /// Let no contacts in at entry points: 480 for calls, messages are held.
    Disarm {
        /// Their names, such as voice/+14155550100.
        #[arg(required = true)]
        entry_points: Vec<String>,
    },
}

/// What is to be done with routing.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum RoutingAct {
    /// Say what publishing would say: of a document, or of the draft.
    Validate {
        /// A routing document (YAML or JSON).
        document: Option<PathBuf>,
    },
    /// Show what differs: between the draft and what is active, or between two revisions.
    Diff {
        /// The one revision.
        #[arg(long, requires = "to")]
        from: Option<u64>,
        /// The other.
        #[arg(long, requires = "from")]
        to: Option<u64>,
    },
    /// Write a routing document to the standard output, as YAML.
    Export {
        /// This revision; without, the active one.
        #[arg(long)]
        revision: Option<u64>,
    },
    /// Put a routing document into the draft, in place of what is there.
    Import {
        /// The document (YAML or JSON).
        document: PathBuf,
    },
    /// Publish the draft.
    Publish {
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// List revisions, the newest first.
    Revisions {
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Make routing what it was at a revision, as a new one.
    Rollback {
        /// The revision.
        revision: u64,
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// Say step by step what would happen to a call.
    Simulate {
        /// The number that is called.
        #[arg(long)]
        to: String,
        /// Who calls.
        #[arg(long)]
        from: Option<String>,
        /// When, such as 2026-11-29T15:00:00Z; without, now.
        #[arg(long)]
        at: Option<jiff::Timestamp>,
        /// Keys with the second at which each is pressed, `7:2,12:1`.
        #[arg(long, default_value = "")]
        keys: String,
        /// The revision; without, the active one.
        #[arg(long)]
        revision: Option<u64>,
    },
}

/// What is to be done with IVRs.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum IvrAct {
    /// List them with their state.
    List,
    /// Write one to the standard output, as YAML.
    Export {
        /// Its id, `ivr_…`.
        id: String,
        /// As the draft has it; without, as it is published.
        #[arg(long)]
        draft: bool,
    },
    /// Put one into the draft.
    Import {
        /// Its id, `ivr_…`.
        id: String,
        /// The IVR (YAML or JSON).
        document: PathBuf,
    },
}

/// What is to be shown of contacts.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum ContactAct {
    /// List the newest.
    List {
        /// Only those that go on.
        #[arg(long)]
        live: bool,
        /// Of this channel only, such as voice.
        #[arg(long)]
        channel: Option<String>,
        /// Whose address, or the address that was called, has this in it.
        #[arg(long)]
        address: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Show one, with every step.
    Show {
        /// Its id, `ct_…`.
        id: String,
    },
}

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    /// Nobody is there.
    #[error("the gateway at {url} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It said no.
    #[error("{sentence}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        sentence: String,
    },
    /// What was asked about is not sound; it was said already.
    #[error("it is not sound")]
    Unsound,
    /// It waits for another person.
    #[error("it waits for a second person, as request {0}")]
    AwaitsSecond(u64),
    /// Something on this side.
    #[error(transparent)]
    Here(#[from] anyhow::Error),
}

impl NotDone {
    /// Exit codes that scripts rely on: see the page.
    fn code(&self) -> u8 {
        match self {
            Self::Unsound | Self::Here(_) => 1,
            Self::Unreachable { .. } => 3,
            Self::Refused { status: 401 | 403, .. } => 4,
            Self::AwaitsSecond(_) => 5,
            Self::Refused { .. } => 6,
        }
    }
}

/// Carries an act out.
pub(super) fn run(settings: &Settings, place: &Where, act: Remote) -> anyhow::Result<ExitCode> {
    asked(settings, place, async |api| acts::carry_out(api, act).await)
}

/// The keys of a gateway that is elsewhere.
pub(super) fn keys(
    settings: &Settings,
    place: &Where,
    act: super::identity_tools::KeysCommand,
) -> anyhow::Result<ExitCode> {
    asked(settings, place, async |api| acts::keys(api, act).await)
}

fn asked(
    settings: &Settings,
    place: &Where,
    work: impl AsyncFnOnce(&Api) -> Result<(), NotDone>,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let api = Api::new(settings, place)?;
        work(&api).await
    });
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            complain(&error.to_string());
            Ok(ExitCode::from(error.code()))
        }
    }
}
