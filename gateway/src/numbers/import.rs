//! Numbers of own trunks, typed in or from a CSV file: every line is looked at, and every fault is told with its line.

use serde::Serialize;
use vestibule_config::number::{
    Capabilities, Holding, NumberFacts, NumberKind, NumberRecord, SetupStep, Sms,
};
use vestibule_routing::address::E164;

use super::{Numbers, NumbersError};
use crate::{carrier::accounts, journal::EventKind};

/// A number to be taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number.
    pub number: E164,
    /// It carries texts.
    pub sms: bool,
    /// It carries texts with pictures.
    pub mms: bool,
    /// Its city.
    pub city: Option<String>,
    /// Its state or province.
    pub region: Option<String>,
    /// Its country.
    pub country: Option<String>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// The column, where it is of one.
    pub column: Option<&'static str>,
    /// What is wrong.
    pub sentence: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What came of an import.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Imported {
    /// Numbers that were taken up.
    pub added: usize,
    /// Numbers that were there already, and stay as they are.
    pub known: usize,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

const COLUMNS: [&str; 6] = ["number", "sms", "mms", "city", "region", "country"];

/// Lines of one import.
const LINES_MAX: usize = 100_000;

impl Numbers {
    /// Takes numbers up that are held at an account whose numbers cannot be bought here. With `dry_run` nothing is changed;
    /// with a fault neither.
    ///
    /// # Errors
    /// There is no such account, its numbers are bought, or the store fails.
    pub async fn import(
        &self,
        carrier: String,
        csv: &str,
        dry_run: bool,
        actor: String,
    ) -> Result<Imported, NumbersError> {
        self.takes_up(&carrier).await?;
        let (lines, faults) = read(csv);
        let mut imported = Imported { faults, ..Imported::default() };
        for line in lines {
            let number = line.number;
            let before = self.blocking(move |store| store.number(number)).await?;
            let free = before.is_none_or(|record| record.may_be_taken_up(jiff::Timestamp::now()).is_ok());
            if !free {
                imported.known += 1;
                continue;
            }
            imported.added += 1;
            if !dry_run && imported.faults.is_empty() {
                self.keep(&carrier, &line, actor.clone()).await?;
            }
        }
        if !imported.faults.is_empty() {
            imported.added = 0;
        }
        Ok(imported)
    }

    /// Takes one number up.
    ///
    /// # Errors
    /// It is held already or cools down, or the store fails.
    pub async fn take_up(
        &self,
        carrier: &str,
        line: &Line,
        actor: String,
    ) -> Result<NumberRecord, NumbersError> {
        self.takes_up(carrier).await?;
        self.keep(carrier, line, actor).await
    }

    async fn takes_up(&self, carrier: &str) -> Result<(), NumbersError> {
        let account = self.account_of(carrier).await?;
        if accounts::kind(&account.kind).is_some_and(|kind| kind.sells) {
            return Err(NumbersError::Bad(
                "Numbers of this account are bought or ported, not taken up.".into(),
            ));
        }
        Ok(())
    }

    async fn keep(&self, carrier: &str, line: &Line, actor: String) -> Result<NumberRecord, NumbersError> {
        let record = record_of(carrier, line);
        let record = self
            .blocking(move |store| {
                store.acquire_number::<vestibule_config::carrier::Purchase>(record, None, &actor)
            })
            .await?;
        self.tell(EventKind::NumberChanged, &record).await?;
        if line.sms {
            self.make_sms_entry_point(&record).await;
        }
        Ok(record)
    }
}

fn record_of(carrier: &str, line: &Line) -> NumberRecord {
    let facts = NumberFacts {
        carrier: Some(carrier.to_owned()),
        carrier_ref: None,
        country: line.country.clone(),
        city: line.city.clone(),
        region: line.region.clone(),
        kind: NumberKind::of(line.number),
        capabilities: Some(Capabilities { voice: true, sms: line.sms, mms: line.mms }),
        monthly_fee: None,
    };
    let sms = if line.sms { Sms::Required } else { Sms::NotCapable };
    let mut record = NumberRecord::new(line.number, Holding::Owned, sms, facts);
    record.setup = Some(if line.sms { SetupStep::Registration } else { SetupStep::ActivateVoice });
    record
}

/// Reads a CSV file with a header: `number` is needed; `sms`, `mms`, `city`, `region`, `country` are not.
pub fn read(csv: &str) -> (Vec<Line>, Vec<Fault>) {
    let mut rows =
        csv.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, row)| !row.trim().is_empty());
    let fault = |line, column, sentence: String, remedy| Fault { line, column, sentence, remedy };
    let Some((first, header)) = rows.next() else {
        let remedy = "Begin with a line that names the columns: number,sms,mms,city,region,country.";
        return (Vec::new(), vec![fault(1, None, "the file is empty".into(), remedy)]);
    };
    let names: Vec<String> = cells(header).iter().map(|cell| cell.trim().to_lowercase()).collect();
    let mut faults = Vec::new();
    for name in names.iter().filter(|name| !COLUMNS.contains(&name.as_str())) {
        let remedy = "Use number, sms, mms, city, region and country.";
        faults.push(fault(first + 1, None, format!("there is no column \"{name}\""), remedy));
    }
    if !names.iter().any(|name| name == "number") {
        let remedy = "Name the columns in the first line; number is needed.";
        faults.push(fault(first + 1, Some("number"), "there is no column of numbers".into(), remedy));
        return (Vec::new(), faults);
    }
    let mut lines = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for (index, row) in rows {
        let at = index + 1;
        if lines.len() >= LINES_MAX {
            faults.push(fault(
                at,
                None,
                format!("there are more than {LINES_MAX} numbers"),
                "Split the file.",
            ));
            break;
        }
        let cells = cells(row);
        if cells.len() != names.len() {
            let sentence = format!("there are {} fields, not {}", cells.len(), names.len());
            faults.push(fault(
                at,
                None,
                sentence,
                "Give every line as many fields as the first; quote those with commas.",
            ));
            continue;
        }
        let cell = |name: &str| {
            let index = names.iter().position(|one| one == name)?;
            cells.get(index).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty())
        };
        match line(&cell, at) {
            Ok(line) => match seen.insert(line.number, at) {
                Some(before) => faults.push(fault(
                    at,
                    Some("number"),
                    format!("{} stands in line {before} already", line.number),
                    "Remove one of them.",
                )),
                None => lines.push(line),
            },
            Err(found) => faults.extend(found),
        }
    }
    (lines, faults)
}

fn line(cell: &impl Fn(&str) -> Option<String>, at: usize) -> Result<Line, Vec<Fault>> {
    let mut faults = Vec::new();
    let number = cell("number").unwrap_or_default();
    let parsed = E164::parse(&number);
    if parsed.is_err() {
        faults.push(Fault {
            line: at,
            column: Some("number"),
            sentence: format!("\"{number}\" is no number in international form"),
            remedy: "Write a plus sign, the country's code and the number, without spaces: +14155550100.",
        });
    }
    let mut flag = |name: &'static str| match cell(name).unwrap_or_default().to_lowercase().as_str() {
        "yes" | "true" | "1" | "y" => true,
        "" | "no" | "false" | "0" | "n" => false,
        other => {
            let sentence = format!("\"{other}\" is neither yes nor no");
            faults.push(Fault { line: at, column: Some(name), sentence, remedy: "Write yes or no." });
            false
        }
    };
    let (sms, mms) = (flag("sms"), flag("mms"));
    let country = cell("country").map(|country| country.to_uppercase());
    if let Some(other) =
        country.as_ref().filter(|text| text.len() != 2 || !text.bytes().all(|b| b.is_ascii_uppercase()))
    {
        let sentence = format!("\"{other}\" is no country");
        faults.push(Fault {
            line: at,
            column: Some("country"),
            sentence,
            remedy: "Write two letters (ISO 3166): US.",
        });
    }
    match parsed {
        Ok(number) if faults.is_empty() => {
            Ok(Line { number, sms: sms || mms, mms, city: cell("city"), region: cell("region"), country })
        }
        _ => Err(faults),
    }
}

/// The fields of a line (RFC 4180, without line breaks in fields).
fn cells(row: &str) -> Vec<String> {
    let separator = if row.contains(';') && !row.contains(',') { ';' } else { ',' };
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(cell) = cells.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_with_quotes_and_without_the_columns_that_are_not_needed() {
        let csv =
            "\u{feff}Number,City,SMS\r\n+14155550100,\"Washington, \"\"DC\"\"\",yes\n\n+442071838750,,\n";
        let (lines, faults) = read(csv);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].city.as_deref(), Some("Washington, \"DC\""));
        assert!(lines[0].sms && !lines[1].sms);
    }

    #[test]
    fn every_fault_is_told_with_its_line_and_column() {
        let csv = "number,sms,country\n415 555 0100,yes,US\n+14155550100,maybe,USA\n+14155550101,no\n+14155550102,no,US\n+14155550102,no,US\n";
        let (lines, faults) = read(csv);
        let told: Vec<_> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
        let wanted =
            [(2, Some("number")), (3, Some("sms")), (3, Some("country")), (4, None), (6, Some("number"))];
        assert_eq!(told, wanted);
        assert_eq!(lines.len(), 1);
        assert_eq!(read("").1.len(), 1);
        assert_eq!(read("phone\n+1").1.len(), 2);
    }
}
