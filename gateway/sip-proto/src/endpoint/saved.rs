//! A dialog on its own: kept outside, so that a call can be ended by a process that comes after this one.

use std::{net::SocketAddr, time::Instant};

use super::{CallKey, Endpoint, Outputs, Path, Transport, call::Phase, command::reason_value};
use crate::{
    builder::{finish, line},
    dialog::Dialog,
    message::Method,
};

/// Requests that the lost process may have sent since it saved a dialog: numbers are skipped for them.
const NUMBERS_SKIPPED: u32 = 1000;

/// What is needed to end a call by BYE.
#[derive(Clone, Debug)]
pub struct SavedDialog {
    path: Path,
    dialog: Dialog,
}

impl SavedDialog {
    /// As text, one field a line.
    pub fn to_text(&self) -> String {
        let Path { transport, peer, listener, connection } = self.path;
        let connection = connection.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let path = format!("{} {peer} {listener} {connection}", transport.as_str());
        format!("{path}\n{}", self.dialog.to_lines())
    }

    /// Reads what [`SavedDialog::to_text`] wrote; none when it is damaged.
    pub fn from_text(text: &str) -> Option<Self> {
        let (path, dialog) = text.split_once('\n')?;
        let mut words = path.split(' ');
        let transport = Transport::from_param(words.next()?.as_bytes())?;
        let peer: SocketAddr = words.next()?.parse().ok()?;
        let listener = words.next()?.parse().ok()?;
        let connection = match words.next()? {
            "-" => None,
            id => Some(id.parse().ok()?),
        };
        let path = Path { transport, peer, listener, connection };
        Some(Self { path, dialog: Dialog::from_lines(dialog)? })
    }

    /// The way of its requests; a connection of the process before has to be made anew.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The domain of the other side, which its certificate has to name when a connection is made anew; none when it
    /// is known by an address only.
    pub fn peer_domain(&self) -> Option<String> {
        let host = std::str::from_utf8(self.dialog.remote_host()?).ok()?;
        host.parse::<std::net::IpAddr>().is_err().then(|| host.to_ascii_lowercase())
    }

    /// The same by another listener and connection: those of the process before are gone.
    #[must_use]
    pub fn by(self, listener: u16, connection: Option<u64>) -> Self {
        Self { path: Path { listener, connection, ..self.path }, ..self }
    }
}

impl Endpoint {
    /// The dialog of an answered call, to be kept.
    pub fn saved(&mut self, call: CallKey) -> Option<SavedDialog> {
        let entry = self.calls.entry(call).filter(|entry| entry.phase == Phase::Answered)?;
        let (source, dialog) = (entry.path, entry.dialog.clone());
        Some(SavedDialog { path: self.path_of(&dialog, source), dialog })
    }

    /// Ends a call of a process before this one: BYE with a Reason, repeated as every request is. What comes
    /// back is of no interest.
    pub fn end_saved(&mut self, now: Instant, saved: &SavedDialog, cause: u16, out: &mut Outputs) {
        let SavedDialog { path, mut dialog } = saved.clone();
        dialog.skip_numbers(NUMBERS_SKIPPED);
        let (via, branch) = self.new_via(&path);
        let reason = reason_value(cause);
        let mut cseq = 0;
        let bytes = out
            .message(path, |buffer| {
                cseq = dialog.request(buffer, Method::Bye, &via, None);
                line(buffer, "Reason", reason.as_bytes());
                finish(buffer, None);
            })
            .into();
        if self.clients.len() < self.settings.transactions_max {
            self.keep_client(now, (path, Method::Bye, branch.as_bytes()), (None, cseq), bytes);
        }
    }
}
