//! The results: all figures as JSON, and what a reader wants as Markdown.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::budget::Row;
use super::contender::Contender;
use super::machine::Machine;
use super::stage::Setting;
use super::verdict::{Line, Run, judge, median, short};

/// Results of one day and commit that are kept beside each other.
const SAME_NAME_MAX: usize = 1_000;

#[derive(Debug, Serialize)]
pub struct Report<'a> {
    machine: Machine,
    setting: Setting,
    contenders: &'a [Contender],
    rows: &'a [&'a Row],
    lines: Vec<Line>,
    runs: Vec<Run>,
}

impl<'a> Report<'a> {
    pub fn new(
        machine: Machine,
        setting: Setting,
        contenders: &'a [Contender],
        rows: &'a [&'a Row],
        runs: Vec<Run>,
    ) -> Self {
        let judged = contenders.iter().copied().filter(|one| *one != Contender::Nginx);
        let lines = rows
            .iter()
            .flat_map(|row| judged.clone().map(|contender| (*row, contender)))
            .filter(|(row, contender)| row.experiment.suits(*contender))
            .map(|(row, contender)| judge(row, contender, &runs))
            .collect();
        Self { machine, setting, contenders, rows, lines, runs }
    }

    /// Runs without a figure that could be used.
    pub fn failed(&self) -> usize {
        self.runs.iter().filter(|run| run.outcome.errors > 0).count()
    }

    /// Writes both files, beside what is already there, and returns the readable one.
    ///
    /// # Errors
    /// The system's own.
    pub fn keep(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let base = format!("{}-{}", self.machine.date, self.machine.commit);
        let name = (1..=SAME_NAME_MAX)
            .map(|count| if count == 1 { base.clone() } else { format!("{base}-{count}") })
            .find(|name| !folder.join(format!("{name}.json")).exists())
            .context("too many results of one day and commit")?;
        let mut raw = serde_json::to_string_pretty(self)?;
        raw.push('\n');
        fs::write(folder.join(format!("{name}.json")), raw)?;
        let readable = folder.join(format!("{name}.md"));
        fs::write(&readable, self.markdown())?;
        Ok(readable)
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.budget(&mut text);
        self.raw(&mut text);
        self.notes(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let Machine { date, commit, cpu, cores, kernel, nginx } = &self.machine;
        let Setting { lengths, contender_core, others_core } = &self.setting;
        let rounds = self.runs.iter().map(|run| run.round).max().unwrap_or(0);
        let place = if contender_core == others_core {
            format!("contender, mock model server and load generator share core {others_core}")
        } else {
            format!(
                "contender on core {contender_core}, mock model server and load generator on core {others_core}"
            )
        };
        let _ = writeln!(text, "# Measured on {date}, commit {commit}\n");
        let _ = writeln!(text, "Machine: {cpu}, {cores} cores, Linux {kernel}; {nginx}; {place}.");
        let _ = writeln!(
            text,
            "Contenders take turns, {rounds} rounds of {} s after {} s; medians, a ratio or a difference is the median of its pairs.\n",
            lengths.measured_s, lengths.warmup_s
        );
    }

    fn budget(&self, text: &mut String) {
        text.push_str(
            "| row | what | must | stretch | contender | measured | lowest, highest | verdict |\n",
        );
        text.push_str("|---|---|---|---|---|---|---|---|\n");
        for line in &self.lines {
            let Some(row) = self.rows.iter().find(|row| row.id == line.row) else { continue };
            let bound = |bound: Option<f64>| bound.map_or_else(|| "-".to_owned(), short);
            let against = row.scale.words(row.metric);
            let (measured, range) = match line.measured {
                Some(figure) => (short(figure), range(&line.each)),
                None => {
                    ("-".to_owned(), line.why.clone().unwrap_or_default().replace(['|', '\n'], " "))
                }
            };
            let _ = writeln!(
                text,
                "| {} | {}{against} | {} | {} | {} | {measured} | {range} | {} |",
                row.id,
                row.what,
                bound(row.must),
                bound(row.stretch),
                line.contender.name(),
                line.verdict.word()
            );
        }
    }

    fn raw(&self, text: &mut String) {
        let names: Vec<&str> = self.contenders.iter().map(|one| one.name()).collect();
        let _ = writeln!(text, "\nFigures as measured: median (lowest, highest).\n");
        let _ = writeln!(text, "| row | unit | {} |", names.join(" | "));
        let _ = writeln!(text, "|---|---|{}", "---|".repeat(names.len()));
        for row in self.rows {
            let _ = write!(text, "| {} | {} |", row.id, row.metric.unit());
            for contender in self.contenders {
                let runs = self.runs.iter();
                let runs = runs
                    .filter(|run| run.experiment == row.experiment && run.contender == *contender);
                let values: Vec<f64> =
                    runs.filter_map(|run| run.outcome.values.get(&row.metric).copied()).collect();
                let _ = match median(&values) {
                    Some(middle) => write!(text, " {} ({}) |", short(middle), range(&values)),
                    None => write!(text, " - |"),
                };
            }
            text.push('\n');
        }
    }

    /// What makes figures worth less.
    fn notes(&self, text: &mut String) {
        let disturbed = self.runs.iter().filter(|run| run.is_disturbed()).count();
        if disturbed > 0 {
            let _ = writeln!(
                text,
                "\n{disturbed} of {} runs were disturbed: other processes took over 10% of the contender's core.",
                self.runs.len()
            );
        }
    }
}

fn range(values: &[f64]) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}, {}", short(lowest), short(highest))
}
