//! The demo model as a program, for tests and benchmarks: `fluxgate-demo --addr 127.0.0.1:8081`.
//! Owns the command line alone.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use fluxgate_demo::{BEHAVIOURS, Behaviour, BehaviourError, DemoConfig, DemoModel, Pace, Speaks};

/// A small server without a neural network that speaks like a model server.
#[derive(Debug, Parser)]
#[command(name = "fluxgate-demo", version, after_help = format!("Behaviours, joined by commas:\n{BEHAVIOURS}"))]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    addr: SocketAddr,
    /// Microseconds per token; 0 is as fast as it goes.
    #[arg(long, value_name = "MICROS", default_value = "25000")]
    pace: Pace,
    /// How to misbehave on each model request; may stand several times. A request asks for its own by the
    /// model's name: `demo!die-after=3`.
    #[arg(long, value_name = "BEHAVIOURS")]
    behave: Vec<String>,
    /// A further model name to list and serve; may stand several times.
    #[arg(long, value_name = "NAME")]
    also_list: Vec<String>,
    /// openai, anthropic, ollama or all.
    #[arg(long, default_value = "all")]
    speaks: Speaks,
    /// Worker threads; default one per core.
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.max(1));
    }
    runtime.enable_all().build().context("the runtime could not start")?.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let config = DemoConfig {
        addr: args.addr,
        pace: args.pace,
        behaviour: behaviour(&args.behave)?,
        speaks: args.speaks,
        extra_models: args.also_list,
    };
    let model =
        DemoModel::bind(config).await.with_context(|| format!("{} can't be bound", args.addr))?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // Who started this with port 0 reads the address from here. It may have closed its end: that is no fault.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", model.local_addr());
    model
        .serve(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        })
        .await;
    Ok(())
}

fn behaviour(lists: &[String]) -> Result<Behaviour, BehaviourError> {
    lists.iter().try_fold(Behaviour::default(), |behaviour, list| behaviour.and(list))
}
