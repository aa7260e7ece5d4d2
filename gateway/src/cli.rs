//! The command line.

use std::{
    borrow::Cow,
    fs::OpenOptions,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use rand::{Rng, SeedableRng, rngs::StdRng};
use vestibule_config::{
    sample,
    settings::{Loaded, Overrides, Settings, Source},
    store::Store,
};

use crate::{app, vault::Vault};

mod audit_tools;
mod identity_tools;
mod remote;
mod routing_tools;

/// Exit code of bad settings or documents (`EX_USAGE`).
const EXIT_SETTINGS: u8 = 64;

/// Telephony and message edge gateway.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<CommandLine>,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    place: remote::Where,
}

/// Flags that override settings.
#[derive(Clone, Debug, Default, Args)]
struct Flags {
    /// Settings file (TOML).
    #[arg(long, env = "VESTIBULE_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Folder of the journal and the configuration store.
    #[arg(long, global = true)]
    data_dir: Option<PathBuf>,
    /// Take SIP (UDP and TCP) on this address and port.
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    sip: Option<SocketAddr>,
    /// Serve HTTP on this address and port.
    #[arg(long, value_name = "ADDR:PORT", global = true)]
    http: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum CommandLine {
    /// Run the gateway (the default).
    Serve,
    /// Check the settings, and a routing document when one is named.
    Check {
        /// A routing document (YAML or JSON); the numbers it names count as ours.
        document: Option<PathBuf>,
    },
    /// Show what would happen to a call.
    Simulate(routing_tools::SimulateArgs),
    /// Run the tests stored in a routing document.
    Test {
        /// A routing document; without one, the active routing's tests run.
        document: Option<PathBuf>,
    },
    /// Make a link that lets somebody into the console who is locked out; it can be used once.
    SignInLink {
        /// Whose password it sets anew; without, whoever uses it becomes an administrator.
        #[arg(long, value_name = "LOGIN")]
        user: Option<String>,
    },
    #[command(flatten)]
    Remote(remote::Remote),
    /// Make, list and revoke API keys: of a gateway elsewhere when its URL is given, otherwise in the data folder.
    #[command(subcommand)]
    Keys(identity_tools::KeysCommand),
    /// Look whether the audit log is as it was written, and sign it anew.
    #[command(subcommand)]
    Audit(audit_tools::AuditCommand),
    /// Print the description of the control API.
    Openapi,
    /// Ask a running gateway whether it takes calls; exit code 0 when it does.
    Health,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let loaded = match load(&cli.flags) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&format!("settings: {error}"));
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    let result = match cli.command.unwrap_or(CommandLine::Serve) {
        CommandLine::Serve => app::serve(loaded.settings).map(|()| ExitCode::SUCCESS),
        CommandLine::Check { document } => check(&loaded, document),
        CommandLine::Simulate(arguments) => routing_tools::simulate(&loaded.settings, &arguments),
        CommandLine::Test { document } => routing_tools::test(&loaded.settings, document),
        CommandLine::SignInLink { user } => identity_tools::sign_in_link(&loaded.settings, user.as_deref()),
        CommandLine::Remote(act) => remote::run(&loaded.settings, &cli.place, act),
        CommandLine::Keys(command) if cli.place.url.is_some() => {
            remote::keys(&loaded.settings, &cli.place, command)
        }
        CommandLine::Keys(command) => identity_tools::keys(&loaded.settings, command),
        CommandLine::Audit(command) => audit_tools::run(&loaded.settings, command),
        CommandLine::Openapi => openapi(),
        CommandLine::Health => Ok(health(loaded.settings.http.listen)),
    };
    result.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn load(flags: &Flags) -> Result<Loaded, vestibule_config::settings::SettingsError> {
    let overrides = Overrides { data_dir: flags.data_dir.clone(), sip: flags.sip, http: flags.http };
    let mut loaded = Settings::load(flags.config.as_deref(), std::env::vars(), &overrides)?;
    // `--sip` alone moves media along, unless somebody said where media belongs.
    let media_default =
        loaded.sources.get("media.bind_address").is_none_or(|source| *source == Source::Default);
    if let Some(sip) = flags.sip.filter(|sip| media_default && !sip.ip().is_unspecified()) {
        loaded.settings.media.bind_address = sip.ip();
    }
    Ok(loaded)
}

fn check(loaded: &Loaded, document: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let Some(path) = document else {
        say(&format!("settings are sound; data folder {}", loaded.settings.data_dir.display()));
        return Ok(ExitCode::SUCCESS);
    };
    let text = match read_document(&path) {
        Ok(text) => text,
        Err(error) => {
            complain(&format!("{error:#}"));
            return Ok(ExitCode::from(EXIT_SETTINGS));
        }
    };
    let findings = routing_tools::validate_alone(&loaded.settings, &text)?;
    for finding in &findings {
        say(&finding.to_string());
    }
    if findings.iter().any(vestibule_config::diagnostic::Diagnostic::is_error) {
        return Ok(ExitCode::from(EXIT_SETTINGS));
    }
    say(&format!("{} is sound", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn openapi() -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(crate::api::openapi_json()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// One plain HTTP request; no client is needed for that.
fn health(address: SocketAddr) -> ExitCode {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    match ask() {
        Ok(true) => {
            say("ready");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            complain(&format!("the gateway at {address} is not ready"));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("the gateway at {address} does not answer: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn read_document(path: &std::path::Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The store of the data folder; seeded when it is empty.
pub(crate) fn open_store(settings: &Settings, vault: &Vault) -> anyhow::Result<Store> {
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("cannot make the data folder {}", settings.data_dir.display()))?;
    let kinds = crate::carrier::kinds();
    let types = crate::journal::EventKind::NAMES;
    let options =
        vestibule_config::store::Options { provider_kinds: kinds, event_types: types, ..settings.into() };
    let store = Store::open(&settings.data_dir, options)?;
    store.sign_audit_with(vault.audit_keys())?;
    seed_sample(settings, &store)?;
    Ok(store)
}

/// Fills an empty store with the sample, and makes the secret that its webhook is signed with.
fn seed_sample(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    let folder = settings.data_dir.canonicalize()?;
    let path = folder.join(sample::TOKEN_FILE);
    // Before the document that names it: routing reads its secrets when it becomes active.
    if store.active().load().revision == 0 && !path.exists() {
        let token = format!("{:032x}", StdRng::from_os_rng().random::<u128>());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(token.as_bytes())?;
    }
    store.seed(&sample::sample(&folder, &settings.http.listen.to_string()))?;
    Ok(())
}

/// Prints a line; a closed pipe is no reason to fail.
pub(crate) fn say(line: &str) {
    let _closed = writeln!(std::io::stdout(), "{}", harmless(line)).is_err();
}

fn complain(line: &str) {
    let _closed = writeln!(std::io::stderr(), "vestibule: {}", harmless(line)).is_err();
}

/// Text without what commands a terminal or turns the direction of writing: much of it was written by strangers.
fn harmless(text: &str) -> Cow<'_, str> {
    let commands = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(commands) {
        text.chars().map(|c| if commands(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_commands_no_terminal() {
        assert_eq!(harmless("a\tline\nand another"), "a\tline\nand another");
        assert_eq!(harmless("\u{1b}]0;owned\u{7}\u{9b}2J"), "\u{fffd}]0;owned\u{fffd}\u{fffd}2J");
        assert_eq!(harmless("pay \u{202e}lla"), "pay \u{fffd}lla");
    }

    #[test]
    fn a_document_that_is_not_utf_8_is_bad_input_to_check() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"version: \xff\xfe").unwrap();
        let loaded = Settings::load(None, [], &Overrides::default()).unwrap();
        let code = check(&loaded, Some(file.path().to_owned())).unwrap();
        assert_eq!(code, ExitCode::from(EXIT_SETTINGS));
    }
}
