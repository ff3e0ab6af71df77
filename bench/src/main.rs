//! Fluxgate beside its yardsticks: the mock model server, the load generators, the reference
//! experiment and the orchestrator that compares them, each a subcommand of one program.

use clap::{Parser, Subcommand};

mod bare;
mod clock;
mod compare;
mod dialect;
mod exchange;
mod latency;
mod load;
mod model;
mod prompt;
mod streams;
mod upstream;
mod usage;
mod wire;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(about = "Fluxgate beside its yardsticks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The mock model server.
    Upstream(upstream::Args),
    /// Whole answers: requests per second and latency.
    Load(load::Args),
    /// Streamed answers: time to first token, chunks per second, delay of a chunk, memory.
    Streams(streams::Args),
    /// The reference experiment: what the language and hyper allow.
    Bare(bare::Args),
    /// Contenders side by side, against the performance budget.
    Compare(compare::Args),
}

fn main() -> anyhow::Result<()> {
    raise_file_limit();
    match Cli::parse().command {
        Command::Upstream(args) => upstream::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Streams(args) => streams::run(&args),
        Command::Bare(args) => bare::run(&args),
        Command::Compare(args) => compare::run(&args),
    }
}

/// Thousands of streams need thousands of files. What the hard limit refuses shows later, as
/// counted errors.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
