//! What came of it: a table for people, a file for programs.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::fault::Truth;
use crate::session::Outcome;

/// Everything that was done and seen.
#[derive(Default)]
pub(crate) struct Report {
    rows: BTreeMap<&'static str, Row>,
    /// What is wrong beside single sessions.
    pub(crate) wrong: Vec<String>,
    /// Scenes that this machine lacks something for, and what.
    pub(crate) skipped: BTreeMap<&'static str, &'static str>,
    pub(crate) sessions: usize,
    pub(crate) rounds: usize,
}

struct Row {
    truth: Truth,
    right: usize,
    wrong: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.sessions += 1;
            let empty = Row { truth: outcome.truth, right: 0, wrong: Vec::new() };
            let row = self.rows.entry(outcome.fault).or_insert(empty);
            match outcome.wrong {
                None => row.right += 1,
                Some(wrong) => row.wrong.push(wrong),
            }
        }
    }

    /// Differences of any kind.
    pub(crate) fn differences(&self) -> usize {
        self.wrong.len() + self.rows.values().map(|row| row.wrong.len()).sum::<usize>()
    }

    /// Prints the table and the first differences.
    pub(crate) fn print(&self) {
        println!(
            "{:<36} {:<44} {:>8} {:>8} {:>8}",
            "fault", "expected", "client", "as it is", "wrong"
        );
        for (fault, row) in &self.rows {
            let expected = row.truth.to_string();
            println!(
                "{fault:<36} {expected:<44} {:>8} {:>8} {:>8}",
                row.truth.seen.to_string(),
                row.right,
                row.wrong.len()
            );
        }
        for (scene, cause) in &self.skipped {
            println!("{scene:<36} skipped: {cause}");
        }
        for (fault, row) in &self.rows {
            for wrong in row.wrong.iter().take(3) {
                println!("\nwrong: {fault}: {wrong}");
            }
        }
        for wrong in self.wrong.iter().take(10) {
            println!("\nwrong: {wrong}");
        }
    }

    /// Writes `report.json` into a folder.
    pub(crate) fn write(&self, folder: &Path, seed: u64, repeat: &str) -> std::io::Result<()> {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(fault, row)| {
                json!({
                    "fault": fault,
                    "reason": row.truth.reason,
                    "detail": row.truth.detail,
                    "client": row.truth.seen.to_string(),
                    "right": row.right,
                    "wrong": row.wrong,
                })
            })
            .collect();
        let report = json!({
            "seed": seed,
            "repeat": repeat,
            "rounds": self.rounds,
            "sessions": self.sessions,
            "differences": self.differences(),
            "faults": rows,
            "wrong": self.wrong,
            "skipped": self.skipped,
        });
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("report.json"), format!("{report:#}\n"))
    }
}
