//! One GET at a time, over HTTP/1.0: enough to ask the gateway for its feed.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::Context as _;

/// Status and body of a GET.
pub(crate) fn get(address: SocketAddr, path: &str, key: Option<&str>) -> anyhow::Result<(u16, String)> {
    let mut link = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    link.set_read_timeout(Some(Duration::from_secs(20)))?;
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    link.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{key}\r\n").as_bytes())?;
    let mut text = String::new();
    link.read_to_string(&mut text).with_context(|| format!("GET {path}"))?;
    let (head, body) = text.split_once("\r\n\r\n").context("an HTTP answer without an end of headers")?;
    let status =
        head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("an HTTP answer without status")?;
    Ok((status, body.to_owned()))
}
