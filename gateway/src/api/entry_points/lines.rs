//! Entry points as lines of NDJSON, CSV or YAML.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use vestibule_config::document::{self, EntryPointRef, Key, Kind};

use crate::api::problem::{ApiResult, Problem};

/// The columns that a CSV file may have.
const COLUMNS: [&str; 4] = ["entry_point", "inbox", "sla_minutes", "armed"];

/// The form of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Ndjson,
    Csv,
    Yaml,
}

impl Form {
    /// By the type of the body.
    pub(super) fn of(headers: &HeaderMap) -> ApiResult<Self> {
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/x-ndjson" | "application/jsonl" => Ok(Self::Ndjson),
            "text/csv" => Ok(Self::Csv),
            "application/yaml" | "text/yaml" => Ok(Self::Yaml),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_form",
                "The lines are of no form that is known.",
                "Send application/x-ndjson, text/csv or application/yaml.",
            )),
        }
    }
}

/// An entry point's name and settings.
pub(super) type Row = (String, Map<String, Value>);

/// Reads one line.
pub(super) fn read(line: &str, form: Form, columns: &[String]) -> Result<Row, String> {
    let fields = match form {
        Form::Ndjson => serde_json::from_str(line).map_err(|error| error.to_string())?,
        Form::Csv => of_csv(line, columns)?,
        Form::Yaml => return of_yaml(line),
    };
    let Value::Object(mut fields) = fields else { return Err("it is no object".to_owned()) };
    match fields.remove("entry_point") {
        Some(Value::String(id)) => Ok((id, fields)),
        _ => Err("it names no `entry_point`".to_owned()),
    }
}

/// A row whose name and settings have their form.
pub(super) fn checked((id, fields): Row) -> Result<(String, Value), String> {
    let reference = EntryPointRef::parse(&id)?;
    let (key, body) = (Key::new(Kind::EntryPoints, reference.to_string()), Value::Object(fields));
    document::read(&key, &body).map_err(|fault| fault.sentence)?;
    Ok((key.id, body))
}

/// The columns that the first line of a CSV file names.
pub(super) fn columns(line: &[u8]) -> Result<Vec<String>, String> {
    let text = String::from_utf8_lossy(line);
    let columns = csv_fields(text.trim_start_matches('\u{FEFF}'))?;
    match columns.iter().find(|column| !COLUMNS.contains(&column.as_str())) {
        Some(unknown) => Err(format!("There is no column {unknown}; there are {}.", COLUMNS.join(", "))),
        None => Ok(columns),
    }
}

fn of_yaml(line: &str) -> Result<Row, String> {
    let no_entry = || "it is no `name: {settings}`".to_owned();
    let Value::Object(entry) = document::parse_value(line)? else { return Err(no_entry()) };
    let mut entries = entry.into_iter();
    match (entries.next(), entries.next()) {
        (Some((id, Value::Object(fields))), None) => Ok((id, fields)),
        (Some((id, Value::Null)), None) => Ok((id, Map::new())),
        _ => Err(no_entry()),
    }
}

fn of_csv(line: &str, columns: &[String]) -> Result<Value, String> {
    let fields = csv_fields(line)?;
    if fields.len() != columns.len() {
        return Err(format!("it has {} fields, not {}", fields.len(), columns.len()));
    }
    let mut row = Map::new();
    for (column, text) in columns.iter().zip(fields).filter(|(_, text)| !text.is_empty()) {
        let no = |what: &str| format!("\"{text}\" is {what}");
        let value = match column.as_str() {
            "sla_minutes" => json!(text.parse::<u32>().map_err(|_| no("no number of minutes"))?),
            "armed" => json!(text.parse::<bool>().map_err(|_| no("neither true nor false"))?),
            _ => Value::String(text),
        };
        row.insert(column.clone(), value);
    }
    Ok(Value::Object(row))
}

/// The fields of one line (RFC 4180, without line breaks inside of fields).
fn csv_fields(line: &str) -> Result<Vec<String>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            character => field.push(character),
        }
    }
    if quoted {
        return Err("a quotation mark is not closed".to_owned());
    }
    fields.push(field);
    Ok(fields.into_iter().map(|field| field.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_alike_in_all_three_forms() {
        let columns = columns(b"entry_point,inbox,sla_minutes,armed").unwrap();
        let want =
            ("voice/+14155550100".to_owned(), json!({"armed": true, "inbox": "ib_a", "sla_minutes": 5}));
        for (form, line) in [
            (
                Form::Ndjson,
                r#"{"entry_point":"voice/+14155550100","inbox":"ib_a","sla_minutes":5,"armed":true}"#,
            ),
            (Form::Csv, r#"voice/+14155550100,"ib_a",5,true"#),
            (Form::Yaml, r#""voice/+14155550100": {inbox: ib_a, sla_minutes: 5, armed: true}"#),
        ] {
            assert_eq!(read(line, form, &columns).and_then(checked).unwrap(), want, "{form:?}");
        }
        assert_eq!(csv_fields(r#"a,"b ""c"", d",,e"#).unwrap(), ["a", "b \"c\", d", "", "e"]);
        let default = read("email/a@example.com,,,", Form::Csv, &columns).and_then(checked).unwrap();
        assert_eq!(default.1, json!({}));
    }

    #[test]
    fn a_faulty_line_says_what_is_wrong_with_it() {
        let columns = columns(b"entry_point,inbox,sla_minutes,armed").unwrap();
        for line in ["", "voice/12,,,", "voice/+14155550100,a,b,c", "x", "\"voice/+14155550100", "a,b,c,d,e"]
        {
            assert!(read(line, Form::Csv, &columns).and_then(checked).is_err(), "{line}");
        }
        for line in
            ["{}", "[]", r#"{"entry_point": 5}"#, r#"{"entry_point":"voice/+14155550100","colour":1}"#]
        {
            assert!(read(line, Form::Ndjson, &[]).and_then(checked).is_err(), "{line}");
        }
        assert!(columns_of_unknown().is_err());
    }

    fn columns_of_unknown() -> Result<Vec<String>, String> {
        columns(b"entry_point,colour")
    }
}
