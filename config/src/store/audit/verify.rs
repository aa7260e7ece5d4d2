//! Whether the audit log is as it was written, and if not, which line is not.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use serde_json::Value;

use super::{AuditKeys, COLUMNS, RETIRED, Stored, beginning, head, hex};
use crate::store::{StoreError, schema};

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEnd {
    /// The line's number.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// What is wrong at a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditFaultKind {
    /// Lines are gone.
    Missing,
    /// It is not as it was written, or does not continue the line before: changed, put in, or moved.
    Changed,
    /// It stands behind the line that the head says is the newest.
    Added,
    /// The end was cut off.
    CutOff,
    /// The head's signature is missing or does not hold: the head was changed, or its keys are gone.
    Signature,
    /// No line of the chain tells of lines that went.
    Checkpoint,
    /// A line that was noted elsewhere is not there any more.
    Noted,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// What.
    pub kind: AuditFaultKind,
    /// At which line.
    pub seq: u64,
    /// The same for people.
    pub sentence: String,
}

/// What a look at all lines found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFindings {
    /// Nothing was changed, added, moved, or taken out.
    pub sound: bool,
    /// The head is signed, and its signature holds; none: the keys were not at hand.
    pub signed: Option<bool>,
    /// The newest line for which no signature vouched before the head was signed: those up to it may have been written anew
    /// before. None when all were signed as they were written.
    pub unsigned_through: Option<u64>,
    /// Lines looked at.
    pub lines: u64,
    /// Lines before this one went when their time was over; 1 when none did.
    pub first: u64,
    /// The last line; none when there is none.
    pub newest: Option<AuditEnd>,
    /// What is wrong, in the order of lines; at most 100.
    pub faults: Vec<AuditFault>,
}

/// Reads the whole log in a data folder, as of one moment, and says what is wrong with it. Nothing is written.
///
/// # Errors
/// The file cannot be read, or is of another version than this program.
pub fn verify(
    folder: &Path,
    keys: Option<&AuditKeys>,
    noted: Option<&AuditEnd>,
) -> Result<AuditFindings, StoreError> {
    let mut connection =
        Connection::open_with_flags(folder.join("config.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(schema::BUSY_MAX)?;
    schema::must_be_known(&connection)?;
    // One snapshot for the lines, the checkpoint and the head.
    let transaction = connection.transaction()?;
    let (start, start_hash) = beginning(&transaction)?;
    let mut walk = Walk {
        at: start,
        hash: start_hash.clone(),
        lines: 0,
        faults: Vec::new(),
        vouched: start == 0,
        unsigned_through: None,
        noted: noted.filter(|noted| noted.seq > start.unsigned_abs()),
    };
    {
        let mut statement = transaction.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            walk.step(Stored::read(row)?, (start, &hex(&start_hash)));
        }
    }
    let head = head::read(&transaction)?;
    let signed = keys.map(|keys| keys.holds(&head));
    walk.end(start, &head, signed);
    let newest = (walk.at > 0).then(|| AuditEnd { seq: walk.at.unsigned_abs(), hash: hex(&walk.hash) });
    Ok(AuditFindings {
        sound: walk.faults.is_empty(),
        signed,
        unsigned_through: walk.unsigned_through,
        lines: walk.lines,
        first: start.unsigned_abs().saturating_add(1),
        newest,
        faults: walk.faults,
    })
}

/// A walk along the chain.
struct Walk<'a> {
    /// The line before.
    at: i64,
    /// Its hash, as it is stored: what is wrong with one line is not wrong with all behind it.
    hash: Vec<u8>,
    lines: u64,
    faults: Vec<AuditFault>,
    vouched: bool,
    unsigned_through: Option<u64>,
    /// Still to be met.
    noted: Option<&'a AuditEnd>,
}

impl Walk<'_> {
    fn fault(&mut self, kind: AuditFaultKind, seq: i64, sentence: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(AuditFault { kind, seq: seq.unsigned_abs(), sentence });
        }
    }

    fn step(&mut self, line: Stored, start: (i64, &str)) {
        let wanted = self.at + 1;
        if line.seq > wanted {
            let sentence = match line.seq - wanted {
                1 => format!("line {wanted} is missing"),
                _ => format!("lines {wanted} to {} are missing", line.seq - 1),
            };
            self.fault(AuditFaultKind::Missing, wanted, sentence);
        } else if line.seq < wanted {
            let sentence = format!("line {} stands before the lines that are left", line.seq);
            self.fault(AuditFaultKind::Added, line.seq, sentence);
        } else if line.chained_to(&self.hash)[..] != line.hash[..] {
            let sentence = format!(
                "line {} is not as it was written, or does not continue the one before: it was changed, put in or moved",
                line.seq
            );
            self.fault(AuditFaultKind::Changed, line.seq, sentence);
        }
        self.vouched |= line.action == RETIRED && vouches(&line, start);
        self.unsigned_through = unsigned_through(&line).or(self.unsigned_through);
        let meets = |noted: &&AuditEnd| noted.seq == line.seq.unsigned_abs() && noted.hash == hex(&line.hash);
        if self.noted.as_ref().is_some_and(meets) {
            self.noted = None;
        }
        self.lines += 1;
        (self.at, self.hash) = (line.seq, line.hash);
    }

    fn end(&mut self, start: i64, head: &head::Head, signed: Option<bool>) {
        let at = self.at;
        if at < head.seq {
            let sentence = format!("the end is cut off: lines {} to {} are missing", at + 1, head.seq);
            self.fault(AuditFaultKind::CutOff, at + 1, sentence);
        } else if at > head.seq {
            let sentence = format!("line {} and what follows stand behind the newest line", head.seq + 1);
            self.fault(AuditFaultKind::Added, head.seq + 1, sentence);
        } else if at > start && self.hash != head.hash {
            self.fault(AuditFaultKind::Changed, at, format!("line {at} is not the one that the head names"));
        }
        if signed == Some(false) {
            let sentence =
                "the head's signature does not hold: the head was changed, or the master key is another"
                    .into();
            self.fault(AuditFaultKind::Signature, head.seq, sentence);
        }
        if !self.vouched {
            self.fault(
                AuditFaultKind::Checkpoint,
                start,
                format!("no line vouches for the checkpoint at line {start}"),
            );
        }
        if let Some(noted) = self.noted {
            let sentence = format!("line {} is not the one that was noted", noted.seq);
            self.fault(AuditFaultKind::Noted, i64::try_from(noted.seq).unwrap_or(i64::MAX), sentence);
        }
    }
}

/// Whether a line says that lines through `seq` went, the last of which had this hash.
fn vouches(line: &Stored, (seq, hash): (i64, &str)) -> bool {
    let says: Option<Value> = line.after.as_deref().and_then(|text| serde_json::from_str(text).ok());
    says.is_some_and(|says| says["through"] == seq && says["hash"] == hash)
}

/// The newest line that was unsigned when signing began, if this is the line that says so.
fn unsigned_through(line: &Stored) -> Option<u64> {
    if line.action != head::SIGNED {
        return None;
    }
    let says: Value = serde_json::from_str(line.after.as_deref()?).ok()?;
    says["unsigned_through"].as_u64()
}

const FAULTS_MAX: usize = 100;
