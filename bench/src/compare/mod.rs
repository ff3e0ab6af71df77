//! The comparison: contenders side by side, in the same run on the same machine, in turns. What
//! counts is the ratio to nginx, pair by pair. The contender has one core for itself; the mock
//! model server and the load generator share the other.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

mod budget;
mod contender;
mod cores;
mod experiment;
mod generator;
mod h2load;
mod http;
mod machine;
mod process;
mod report;
mod stage;
mod up;
mod verdict;

use budget::Row;
use contender::Contender;
use experiment::{Experiment, Figures};
use stage::{Lengths, Stage};
use verdict::Run;

/// Named in full or by their beginning.
const ROWS_HELP: &str = "Rows to measure, comma-separated, in full or by their beginning";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Short runs: to see that everything works, not to publish.
    #[arg(long)]
    quick: bool,
    #[arg(long, value_delimiter = ',', help = ROWS_HELP)]
    rows: Vec<String>,
    #[arg(long, value_delimiter = ',', value_enum, default_value = "nginx,fluxgate")]
    contenders: Vec<Contender>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the programs to measure lie, the mock server and the load generator among them;
    /// beside this program unless given.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Where results are kept.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

/// Measures, keeps the figures and prints the table.
///
/// # Errors
/// Where the machine lacks something, or a run went wrong: then the table is printed all the same.
pub fn run(args: &Args) -> Result<()> {
    let rows = budget::chosen(&args.rows)?;
    let machine = machine::describe()?;
    let lengths = if args.quick { Lengths::QUICK } else { Lengths::FULL };
    let programs = match &args.programs {
        Some(given) => given.canonicalize().context("--programs")?,
        None => std::env::current_exe()?.parent().context("no folder")?.to_owned(),
    };
    let stage = Stage::set(lengths, programs, &args.contenders)?;
    let runs = measure(&stage, &rows, &args.contenders, args.rounds.max(1));
    let report = report::Report::new(machine, stage.describe(), &args.contenders, &rows, runs);
    let kept = report.keep(&args.results).context("can't keep the results")?;
    println!("{}\nkept in {}", report.markdown(), kept.display());
    match report.failed() {
        0 => Ok(()),
        failed => bail!("{failed} runs went wrong: see the rows without a figure"),
    }
}

fn measure(stage: &Stage, rows: &[&Row], contenders: &[Contender], rounds: usize) -> Vec<Run> {
    let turns = turns(rows, contenders);
    let total = turns.iter().map(Vec::len).sum::<usize>() * rounds;
    let mut runs = Vec::with_capacity(total);
    for turn in turns {
        for round in 1..=rounds {
            for &(experiment, contender) in &turn {
                let outcome = experiment.run(contender, stage);
                let outcome = outcome.unwrap_or_else(|error| Figures::failed(&error));
                let run = Run { experiment, contender, round, outcome };
                eprintln!("[{}/{total}] {}", runs.len() + 1, run.line());
                runs.push(run);
            }
        }
    }
    runs
}

/// Who is measured at what, once in each round. An experiment's dialects are of one turn: what is
/// compared lies close together in time.
fn turns(rows: &[&Row], contenders: &[Contender]) -> Vec<Vec<(Experiment, Contender)>> {
    let mut experiments: Vec<Vec<Experiment>> = Vec::new();
    for experiment in rows.iter().flat_map(|row| [row.experiment.in_chat(), row.experiment]) {
        let chat = experiment.in_chat();
        match experiments.iter_mut().find(|turn| turn.contains(&chat)) {
            Some(turn) if turn.contains(&experiment) => {}
            Some(turn) => turn.push(experiment),
            None => experiments.push(vec![experiment]),
        }
    }
    let needed = |experiment: Experiment, contender: Contender| {
        rows.iter().any(|row| row.needs(experiment, contender))
    };
    let pairs = |turn: Vec<Experiment>| {
        let all = turn.iter().flat_map(|one| contenders.iter().map(|who| (*one, *who)));
        all.filter(|(experiment, contender)| needed(*experiment, *contender)).collect()
    };
    experiments.into_iter().map(pairs).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Contender::{Fluxgate, Nginx};

    fn order(names: &[&str]) -> Vec<Vec<(String, Contender)>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let turns = turns(&budget::chosen(&names).unwrap(), &[Nginx, Fluxgate]);
        let named = |turn: Vec<(Experiment, Contender)>| {
            turn.into_iter().map(|(experiment, who)| (experiment.to_string(), who)).collect()
        };
        turns.into_iter().map(named).collect()
    }

    #[test]
    fn what_is_above_chat_is_measured_beside_it_and_without_nginx() {
        let chat = "chat, first token, 20 streams".to_owned();
        let ollama = "ollama, first token, 20 streams".to_owned();
        assert_eq!(
            order(&["ollama-ttft-20"]),
            [vec![(chat.clone(), Fluxgate), (ollama.clone(), Fluxgate)]]
        );
        assert_eq!(
            order(&["ttft-20", "ollama-ttft-20"]),
            [vec![(chat.clone(), Nginx), (chat, Fluxgate), (ollama, Fluxgate)]]
        );
    }

    #[test]
    fn nothing_is_measured_that_no_row_needs() {
        let of = |name: &str, contender| (format!("{name}, json, 16 clients"), contender);
        assert_eq!(
            order(&["messages-rps-16", "ollama-rps-16"]),
            [vec![of("messages", Nginx), of("messages", Fluxgate), of("ollama", Fluxgate)]]
        );
    }
}
