//! The gateway under load: started here or running already; its CPU time comes from /proc.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;

use crate::{guard, http};

/// A gateway.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where it takes calls.
    pub(crate) sip: SocketAddr,
    /// Where its API is.
    pub(crate) http: SocketAddr,
    /// An API key.
    pub(crate) key: String,
    pid: Option<u32>,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    process: Child,
    folder: PathBuf,
}

/// CPU time used so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Cpu {
    /// The whole process, seconds.
    pub(crate) process_s: f64,
    /// Threads named `sip-…`, seconds.
    pub(crate) sip_s: f64,
    /// Threads named `media-…`, seconds.
    pub(crate) media_s: f64,
}

impl Cpu {
    /// What was used since an earlier reading.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            process_s: self.process_s - before.process_s,
            sip_s: self.sip_s - before.sip_s,
            media_s: self.media_s - before.media_s,
        }
    }
}

impl Target {
    /// Starts a gateway with a data folder of its own, and waits until it takes calls.
    pub(crate) fn start(binary: &Path) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("vestibule-load-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (sip, http) = (free_port()?, free_port()?);
        let log = fs::File::create(folder.join("gateway.log"))?;
        let process = Command::new(binary.canonicalize().context("the gateway's binary")?)
            .args(["serve", "--data-dir"])
            .arg(folder.join("data"))
            .args(["--sip", &sip.to_string(), "--http", &http.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let pid = Some(process.id());
        let mut target = Self { sip, http, key: String::new(), pid, own: Some(Own { process, folder }) };
        target.wait_ready()?;
        Ok(target)
    }

    /// A gateway that runs already.
    pub(crate) fn running(
        sip: SocketAddr,
        http: SocketAddr,
        key: &Path,
        pid: Option<u32>,
    ) -> anyhow::Result<Self> {
        let key = fs::read_to_string(key).context("reading the API key")?.trim().to_owned();
        Ok(Self { sip: guard::loopback(sip)?, http: guard::loopback(http)?, key, pid, own: None })
    }

    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        let Some(own) = &mut self.own else { return Ok(()) };
        loop {
            if let Some(status) = own.process.try_wait()? {
                let log = fs::read_to_string(own.folder.join("gateway.log")).unwrap_or_default();
                anyhow::bail!("the gateway ended with {status}: {log}");
            }
            if http::get(self.http, "/readyz", None).is_ok_and(|(status, _)| status == 200) {
                break;
            }
            anyhow::ensure!(Instant::now() < end, "the gateway is not ready after 10 s");
            thread::sleep(Duration::from_millis(20));
        }
        self.key =
            fs::read_to_string(own.folder.join("data/api-key")).context("the API key")?.trim().to_owned();
        Ok(())
    }

    /// CPU time so far; zero when the process is not known.
    pub(crate) fn cpu(&self) -> Cpu {
        let Some(pid) = self.pid else { return Cpu::default() };
        let threads = |prefix: &str| -> f64 {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            tasks
                .map(|task| task.path())
                .filter(|path| {
                    fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with(prefix))
                })
                .map(|path| run_time(&path).unwrap_or_default())
                .sum()
        };
        let process_s = ticks(Path::new(&format!("/proc/{pid}/stat"))).unwrap_or_default();
        Cpu { process_s, sip_s: threads("sip-"), media_s: threads("media-") }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            own.process.kill().ok();
            own.process.wait().ok();
            fs::remove_dir_all(&own.folder).ok();
        }
    }
}

/// Seconds on the processor by the scheduler's count, which is finer than ticks.
fn run_time(task: &Path) -> Option<f64> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
    if nanoseconds == 0 { ticks(&task.join("stat")) } else { Some(nanoseconds as f64 / 1e9) }
}

/// Seconds in user and system mode; Linux counts them in hundredths.
fn ticks(stat: &Path) -> Option<f64> {
    let text = fs::read_to_string(stat).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let user: u64 = fields.get(11)?.parse().ok()?;
    let system: u64 = fields.get(12)?.parse().ok()?;
    Some((user + system) as f64 / 100.0)
}

/// A loopback port that is free for UDP and TCP now.
fn free_port() -> anyhow::Result<SocketAddr> {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no free port")
}
