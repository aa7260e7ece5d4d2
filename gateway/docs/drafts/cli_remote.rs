//! The common acts of administration, asked of a running gateway by its control API.
//!
//! The key comes from `--key`, `VESTIBULE_API_KEY`, or the file `api-key` in the data folder; the address from `--url`, or
//! the settings of the HTTP listener.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use vestibule_config::settings::Settings;

use super::say;

/// Where the gateway is, and who asks.
#[derive(Clone, Debug, Args)]
pub(super) struct Where {
    /// The gateway's address; the HTTP listener of the settings, when left out.
    #[arg(long, env = "VESTIBULE_URL")]
    url: Option<String>,
    /// The API key; the one in the data folder, when left out.
    #[arg(long, env = "VESTIBULE_API_KEY", hide_env_values = true)]
    key: Option<String>,
}

/// Acts on a running gateway.
#[derive(Debug, Subcommand)]
pub(super) enum Remote {
    /// Write a routing document to the standard output, as YAML.
    Export {
        /// This revision; the active one, when left out.
        #[arg(long)]
        revision: Option<u64>,
        /// What publishing the draft would make active.
        #[arg(long, conflicts_with = "revision")]
        draft: bool,
    },
    /// Put a routing document into the draft; with a note, publish it.
    Import {
        /// The document (YAML or JSON); `-` is the standard input.
        document: PathBuf,
        /// Publishes it, for this reason.
        #[arg(long)]
        note: Option<String>,
    },
    /// Publish the draft.
    Publish {
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// List revisions, or restore one.
    Revisions {
        /// Restores this one as a new revision.
        #[arg(long, requires = "note")]
        restore: Option<u64>,
        /// Why.
        #[arg(long)]
        note: Option<String>,
    },
    /// List the numbers with what is linked to them.
    Numbers,
    /// List entry points, or import them from a file.
    EntryPoints {
        /// Of this channel only.
        #[arg(long)]
        channel: Option<String>,
        /// Imports these, one a line: `.csv`, `.ndjson` or `.yaml`.
        #[arg(long)]
        import: Option<PathBuf>,
    },
    /// Show what became of a contact, step by step.
    Trace {
        /// Its id, `ct_…`.
        contact: String,
    },
}

/// A shell whose completions can be made.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    /// bash.
    Bash,
    /// Elvish.
    Elvish,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// zsh.
    Zsh,
}

/// Carries an act out.
pub(super) fn run(settings: &Settings, place: Where, act: Remote) -> anyhow::Result<ExitCode> {
    let api = Api::new(settings, place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(api.carry_out(act))?;
    Ok(ExitCode::SUCCESS)
}

struct Api {
    client: reqwest::Client,
    url: String,
    key: String,
}

/// A body with its type.
type Body = (&'static str, Vec<u8>);

impl Api {
    fn new(settings: &Settings, Where { url, key }: Where) -> anyhow::Result<Self> {
        let file = settings.data_dir.join("api-key");
        let key = match key {
            Some(key) => key,
            None => std::fs::read_to_string(&file).with_context(|| {
                format!("no key: give --key or VESTIBULE_API_KEY; {} cannot be read", file.display())
            })?,
        };
        let url = url.unwrap_or_else(|| format!("http://{}", settings.http.listen));
        Ok(Self {
            client: reqwest::Client::builder().build()?,
            url: url.trim_end_matches('/').to_owned(),
            key: key.trim().to_owned(),
        })
    }

    async fn carry_out(&self, act: Remote) -> anyhow::Result<()> {
        match act {
            Remote::Export { revision, draft } => self.export(revision, draft).await,
            Remote::Import { document, note } => self.import(&document, note.as_deref()).await,
            Remote::Publish { note } => self.publish(&note).await,
            Remote::Revisions { restore: Some(number), note } => {
                let path = format!("/api/v1/routing/revisions/{number}/restore");
                let answer = self.json(Method::POST, &path, &json!({ "note": note })).await?;
                published(&answer)
            }
            Remote::Revisions { .. } => self.revisions().await,
            Remote::Numbers => {
                self.each("/api/v1/numbers?limit=500", "numbers", |row| {
                    let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
                    [text("number"), text("state"), text("initial_ivr"), text("queue_ivr")].join("\t")
                })
                .await
            }
            Remote::EntryPoints { import: Some(file), .. } => self.import_entry_points(&file).await,
            Remote::EntryPoints { channel, .. } => {
                let only = channel.map(|channel| format!("&channel={channel}")).unwrap_or_default();
                let path = format!("/api/v1/entry-points?limit=500{only}");
                self.each(&path, "entry_points", |row| {
                    let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
                    let armed = if row["armed"] == false { "disarmed" } else { "armed" };
                    [text("id"), text("inbox"), text("because"), armed.to_owned()].join("\t")
                })
                .await
            }
            Remote::Trace { contact } => {
                let answer = self.ask(Method::GET, &format!("/api/v1/contacts/{contact}"), None).await?;
                let answer: Value = serde_json::from_slice(&answer)?;
                say(&serde_json::to_string_pretty(&answer["trace"])?);
                Ok(())
            }
        }
    }

    async fn export(&self, revision: Option<u64>, draft: bool) -> anyhow::Result<()> {
        let path = match revision {
            _ if draft => "/api/v1/routing/draft".to_owned(),
            Some(number) => format!("/api/v1/routing/revisions/{number}"),
            None => {
                let active: Value = serde_json::from_slice(&self.ask(Method::GET, "/api/v1/routing", None).await?)?;
                format!("/api/v1/routing/revisions/{}", active["revision"])
            }
        };
        let document = self.ask(Method::GET, &path, None).await?;
        std::io::stdout().write_all(&document)?;
        Ok(())
    }

    async fn import(&self, document: &std::path::Path, note: Option<&str>) -> anyhow::Result<()> {
        let text = read(document)?;
        self.ask(Method::PUT, "/api/v1/routing/draft", Some(("application/yaml", text))).await?;
        match note {
            Some(note) => self.publish(note).await,
            None => {
                say("it stands in the draft; `vestibule publish --note …` makes it active");
                Ok(())
            }
        }
    }

    async fn publish(&self, note: &str) -> anyhow::Result<()> {
        published(&self.json(Method::POST, "/api/v1/routing/publish", &json!({ "note": note })).await?)
    }

    async fn revisions(&self) -> anyhow::Result<()> {
        let page: Value =
            serde_json::from_slice(&self.ask(Method::GET, "/api/v1/routing/revisions?limit=50", None).await?)?;
        for row in page["revisions"].as_array().into_iter().flatten() {
            let text = |field: &str| row[field].as_str().unwrap_or("-");
            say(&format!("{}\t{}\t{}\t{}", row["number"], text("created"), text("author"), text("note")));
        }
        Ok(())
    }

    async fn import_entry_points(&self, file: &std::path::Path) -> anyhow::Result<()> {
        let kind = match file.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => "text/csv",
            Some("ndjson" | "jsonl") => "application/x-ndjson",
            Some("yaml" | "yml") => "application/yaml",
            _ => bail!("{} is neither .csv, .ndjson nor .yaml", file.display()),
        };
        let answer =
            self.ask(Method::POST, "/api/v1/entry-points/import", Some((kind, read(file)?))).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        say(&format!("{} lines read, {} changed; revision {}", answer["read"], answer["changed"], answer["revision"]));
        Ok(())
    }

    /// Prints a line for each row of all pages.
    async fn each(&self, path: &str, rows: &str, line: impl Fn(&Value) -> String) -> anyhow::Result<()> {
        let mut next = path.to_owned();
        loop {
            let page: Value = serde_json::from_slice(&self.ask(Method::GET, &next, None).await?)?;
            page[rows].as_array().into_iter().flatten().for_each(|row| say(&line(row)));
            let Some(after) = page["next"].as_str() else { return Ok(()) };
            let after: String = form_urlencoded::byte_serialize(after.as_bytes()).collect();
            next = format!("{path}&after={after}");
        }
    }

    async fn json(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, Some(("application/json", body.to_string().into_bytes()))).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Body>) -> anyhow::Result<Vec<u8>> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .header("accept", "application/yaml, application/json");
        if let Some((kind, bytes)) = body {
            request = request.header("content-type", kind).body(bytes);
        }
        let answer = request.send().await.with_context(|| format!("the gateway at {} does not answer", self.url))?;
        let status = answer.status();
        let bytes = answer.bytes().await?.to_vec();
        if status.is_success() {
            return Ok(bytes);
        }
        bail!("{}", refusal(status, &bytes))
    }
}

/// What a problem document says, with every finding.
fn refusal(status: StatusCode, bytes: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{status}: {} {}", text(&problem, "detail"), text(&problem, "remedy"))];
    for finding in problem["more"]["diagnostics"].as_array().into_iter().flatten() {
        lines.push(format!("  {} {}: {}", text(finding, "code"), text(finding, "path"), text(finding, "sentence")));
    }
    for fault in problem["more"]["lines"].as_array().into_iter().flatten() {
        lines.push(format!("  line {}: {}", fault["line"], text(fault, "sentence")));
    }
    lines.join("\n")
}

fn published(answer: &Value) -> anyhow::Result<()> {
    say(&format!("revision {} is active", answer["revision"]["number"]));
    Ok(())
}

fn read(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Prints the completions of a shell.
pub(super) fn completions(shell: Shell, command: &mut clap::Command) {
    use clap_complete::Shell as Known;
    let known = match shell {
        Shell::Bash => Known::Bash,
        Shell::Elvish => Known::Elvish,
        Shell::Fish => Known::Fish,
        Shell::Powershell => Known::PowerShell,
        Shell::Zsh => Known::Zsh,
    };
    let mut text = Vec::new();
    clap_complete::generate(known, command, "vestibule", &mut text);
    // A closed pipe is no reason to fail.
    let _closed = std::io::stdout().write_all(&text).is_err();
}
