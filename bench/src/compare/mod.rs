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
    let mut experiments: Vec<Experiment> = Vec::new();
    for row in rows {
        if !experiments.contains(&row.experiment) {
            experiments.push(row.experiment);
        }
    }
    let takes_part = |experiment: Experiment| {
        contenders.iter().copied().filter(move |contender| experiment.suits(*contender))
    };
    let total = experiments.iter().map(|one| takes_part(*one).count() * rounds).sum::<usize>();
    let mut runs = Vec::with_capacity(total);
    for experiment in experiments {
        for round in 1..=rounds {
            for contender in takes_part(experiment) {
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
