//! Black-box load tests: calls with open-loop arrivals, audio both ways, and a ledger that compares what callers
//! were promised with what the feed holds. Talks to sockets only and shares no code with the gateway: a tester
//! that uses the tested parser shares its mistakes. Loopback targets only.

mod audio;
mod caller;
mod guard;
mod http;
mod ledger;
mod message;
mod report;
mod scenario;
mod target;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::{ledger::Ledger, report::Report, scenario::Scenario, target::Target};

#[derive(Debug, Parser)]
#[command(name = "vestibule-load-tests", about = "Black-box load tests of a Vestibule gateway on loopback")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario and judge it.
    Run(Run),
}

#[derive(Debug, Args)]
struct Run {
    /// A file, or the name of one in load-tests/scenarios.
    #[arg(long)]
    scenario: String,
    /// The gateway's binary: started for this run with a data folder of its own.
    #[arg(long, conflicts_with_all = ["sip", "http", "api_key_file"])]
    gateway: Option<PathBuf>,
    /// SIP address of a gateway that runs already.
    #[arg(long, requires = "http")]
    sip: Option<std::net::SocketAddr>,
    /// HTTP address of that gateway.
    #[arg(long, requires = "api_key_file")]
    http: Option<std::net::SocketAddr>,
    /// File with an API key of that gateway.
    #[arg(long, requires = "sip")]
    api_key_file: Option<PathBuf>,
    /// Process id of that gateway, to measure its CPU time.
    #[arg(long)]
    pid: Option<u32>,
    /// Writes STEM.json and STEM.md.
    #[arg(long, value_name = "STEM")]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Command::Run(run) = Cli::parse().command;
    match measure(&run) {
        Ok(report) => {
            println!("{}", report.markdown());
            println!("{}", report.closing_line());
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// One run: calls, then the ledger, then the report.
fn measure(run: &Run) -> anyhow::Result<Report> {
    let scenario = Scenario::load(&run.scenario)?;
    let target = match (&run.gateway, run.sip, run.http, &run.api_key_file) {
        (Some(binary), ..) => Target::start(binary)?,
        (None, Some(sip), Some(http), Some(key)) => Target::running(sip, http, key, run.pid)?,
        _ => anyhow::bail!("name --gateway, or --sip, --http and --api-key-file"),
    };
    let began_at = Ledger::cursor(&target)?;
    let before = target.cpu();
    let outcome = caller::run(&scenario, target.sip)?;
    let cpu = target.cpu().since(&before);
    let ledger = Ledger::settle(&target, began_at, &outcome)?;
    let report = Report::new(&scenario, &outcome, cpu, &ledger);
    if let Some(stem) = &run.report {
        report.write(stem).with_context(|| format!("writing the report {}", stem.display()))?;
    }
    Ok(report)
}
