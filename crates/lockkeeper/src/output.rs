//! What is printed: tables and lines for people, JSON for programs.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Standard output.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One answer, as the node gave it, over several lines.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&format!("{value:#}"))
    }

    /// One line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.raw(text.as_bytes())?;
        self.raw(b"\n")
    }

    /// Bytes as they are; seen at once, also when a program reads them.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// Columns as wide as their widest cell, two blanks between them.
    pub(crate) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        self.raw(table(heads, rows).as_bytes())
    }

    /// A name and a value on each line.
    pub(crate) fn list(&mut self, facts: &[(&str, String)]) -> Result<(), Failure> {
        let rows: Vec<_> =
            facts.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
        self.raw(table(&[], &rows).as_bytes())
    }
}

fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(&heads)
        .chain(rows)
        .filter(|row| !row.is_empty())
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for (column, cell) in lines.iter().flat_map(|row| row.iter().enumerate()) {
        if widths.len() == column {
            widths.push(0);
        }
        widths[column] = widths[column].max(cell.chars().count());
    }
    let mut text = String::new();
    for row in &lines {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The text without what would steer a terminal: labels and user agents are strangers' words.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_nothing_steers_the_terminal() {
        let rows = [
            vec!["a".to_owned(), "running".to_owned(), "x\u{1b}[31m".to_owned()],
            vec!["longer".to_owned(), "–".to_owned(), String::new()],
        ];
        let text = table(&["ID", "STATE", "URL"], &rows);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ID      STATE    URL");
        assert_eq!(lines[1], "a       running  x\u{fffd}[31m");
        assert_eq!(lines[2], "longer  –");
    }
}
