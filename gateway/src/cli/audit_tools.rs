//! The audit log from the command line, in the data folder: also of a gateway that does not run.

use std::process::ExitCode;

use clap::Subcommand;
use vestibule_config::{
    settings::Settings,
    store::{AuditEnd, verify_audit},
};

use super::{open_store, say};
use crate::vault::Vault;

/// What is to be done with the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Look at every line: whether one was changed, moved or put in, or is gone. Exit code 1 when something is wrong.
    Verify {
        /// The number of a line that was noted before.
        #[arg(long, requires = "hash")]
        seq: Option<u64>,
        /// Its hash.
        #[arg(long, requires = "seq")]
        hash: Option<String>,
    },
    /// Sign the end of the log anew, when its signature does not hold because the master key was lost.
    Sign {
        /// Why; it stands in the log.
        #[arg(long)]
        note: String,
    },
}

/// Does what is to be done with the audit log.
pub(super) fn run(settings: &Settings, command: AuditCommand) -> anyhow::Result<ExitCode> {
    let folder = &settings.data_dir;
    anyhow::ensure!(
        folder.join("config.db").exists(),
        "{} holds no gateway's data yet: start it once, or name its folder with --data-dir",
        folder.display()
    );
    let vault = Vault::of(settings)?;
    let (seq, hash) = match command {
        AuditCommand::Sign { note } => {
            open_store(settings, &vault)?.sign_audit_anew("system", &note)?;
            say("the end of the audit log is signed");
            return Ok(ExitCode::SUCCESS);
        }
        AuditCommand::Verify { seq, hash } => (seq, hash),
    };
    let noted = seq.zip(hash).map(|(seq, hash)| AuditEnd { seq, hash: hash.to_ascii_lowercase() });
    let found = verify_audit(folder, Some(&vault.audit_keys()), noted.as_ref())?;
    for fault in &found.faults {
        say(&fault.sentence);
    }
    if let Some(newest) = &found.newest {
        say(&format!(
            "{} lines from {}; the newest is {} with hash {}",
            found.lines, found.first, newest.seq, newest.hash
        ));
    }
    if let Some(line) = found.unsigned_through {
        say(&format!(
            "lines up to {line} were not signed when the log was signed: whether they are as they were written, a note of that time must say"
        ));
    }
    say(if found.sound {
        "the audit log is as it was written"
    } else {
        "the audit log is NOT as it was written"
    });
    Ok(if found.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
