//! Columns for people.

use serde_json::Value;

use crate::cli::say;

/// Prints rows in columns under their heads. Cells are cleaned of what would move the cursor.
pub(super) fn print(heads: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heads.get(column).map(|head| head.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say(padded.join("  ").trim_end());
    };
    line(&mut heads.iter().copied());
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// A value of an answer as a cell.
pub(super) fn cell(row: &Value, field: &str) -> String {
    match row.pointer(&format!("/{field}")) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect();
            items.join(",")
        }
        Some(other) => other.to_string(),
    }
}

/// Names, numbers and notes come from callers and colleagues: no control characters of theirs reach a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_what_an_answer_says_and_hold_no_control_characters() {
        let row = json!({"a": "x", "b": null, "c": ["p", "q"], "d": {"e": 7}, "f": ""});
        assert_eq!(
            ["a", "b", "c", "d/e", "f", "g"].map(|field| cell(&row, field)),
            ["x", "-", "p,q", "7", "-", "-"]
        );
        assert_eq!(clean("a\x1b[31mb\nc"), "a [31mb c");
    }
}
