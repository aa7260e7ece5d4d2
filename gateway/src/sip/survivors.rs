//! Calls that go on, kept in a file: after a crash the next process ends them, so that nobody is left in a dead line.
//!
//! One slot for each place in the endpoint's table, overwritten in place. Nothing is synchronised to the disk: a killed
//! process leaves its writes to the kernel, and over a power cut the calls are gone anyway.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use sip_proto::endpoint::SavedDialog;

/// Room for one call; longer dialogs (long route sets) are not kept, and counted.
const SLOT_BYTES: usize = 2048;

/// The file; without one, nothing is kept.
#[derive(Debug, Default)]
pub struct Survivors {
    file: Option<File>,
    kept: Vec<bool>,
}

impl Survivors {
    /// Opens the file, and gives back what the process before has left in it. The file is empty then.
    ///
    /// # Errors
    /// When it cannot be read or emptied.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<SavedDialog>)> {
        let left = match std::fs::read(path) {
            Ok(bytes) => bytes.chunks(SLOT_BYTES).filter_map(read_slot).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok((Self { file: Some(file), kept: Vec::new() }, left))
    }

    /// Whether the call in a place is kept.
    pub(super) fn has(&self, place: u32) -> bool {
        self.kept.get(place as usize).copied().unwrap_or(false)
    }

    /// Keeps a call.
    pub(super) fn keep(&mut self, place: u32, dialog: &str) {
        let Ok(length) = u16::try_from(dialog.len()) else { return };
        if dialog.len() + 2 > SLOT_BYTES {
            tracing::warn!(bytes = dialog.len(), "a call is too long to be ended after a crash");
            return self.forget(place);
        }
        let mut slot = Vec::with_capacity(dialog.len() + 2);
        slot.extend_from_slice(&length.to_be_bytes());
        slot.extend_from_slice(dialog.as_bytes());
        self.write(place, &slot);
        let place = place as usize;
        if self.kept.len() <= place {
            self.kept.resize(place + 1, false);
        }
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = true;
        }
    }

    /// The call in a place is over.
    pub(super) fn forget(&mut self, place: u32) {
        if let Some(kept) = self.kept.get_mut(place as usize).filter(|kept| **kept) {
            *kept = false;
            // Nothing of who talked is left in it.
            self.write(place, &[0; SLOT_BYTES]);
        }
    }

    fn write(&mut self, place: u32, bytes: &[u8]) {
        let offset = u64::from(place) * SLOT_BYTES as u64;
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write_all_at(bytes, offset) {
            // Calls go on; only a crash would leave them to their timers.
            tracing::warn!(%error, "live calls cannot be kept for a restart any more");
            self.file = None;
        }
    }
}

/// The call in a slot, if there is one and it is whole.
fn read_slot(slot: &[u8]) -> Option<SavedDialog> {
    let (length, rest) = slot.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    SavedDialog::from_text(std::str::from_utf8(text).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(call_id: &str) -> String {
        format!(
            "UDP 192.0.2.7:5060 0 -\n{call_id}\nlt\nrt\n<sip:a@b>;tag=lt\n<sip:c@d>;tag=rt\nsip:c@192.0.2.7\n7"
        )
    }

    #[test]
    fn what_goes_on_at_the_end_of_a_process_is_found_by_the_next_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.live");
        let (mut survivors, left) = Survivors::open(&path).unwrap();
        assert!(left.is_empty());
        for (place, call_id) in [(0, "a"), (5, "b"), (2, "c")] {
            survivors.keep(place, &dialog(call_id));
        }
        survivors.keep(5, &dialog("b again"));
        survivors.forget(2);
        survivors.forget(3);
        assert!(survivors.has(5) && !survivors.has(2) && !survivors.has(77));
        survivors.keep(9, &dialog(&"x".repeat(3000)));
        drop(survivors);
        let (_, left) = Survivors::open(&path).unwrap();
        let texts: Vec<String> = left.iter().map(SavedDialog::to_text).collect();
        assert_eq!(texts, [dialog("a"), dialog("b again")]);
        assert!(Survivors::open(&path).unwrap().1.is_empty(), "once");
    }

    #[test]
    fn a_damaged_file_costs_only_what_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.live");
        let (mut survivors, _) = Survivors::open(&path).unwrap();
        survivors.keep(0, &dialog("a"));
        survivors.keep(1, &dialog("b"));
        drop(survivors);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] = 0xff;
        bytes.truncate(SLOT_BYTES + 300);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Survivors::open(&path).unwrap().1.len(), 1);
    }
}
