//! `gateway`: the data plane as a service.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use fluxgate_core::config::{self, Loaded, Program, Sources};
use fluxgate_gateway::{Running, Setup, StartError, log};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// `EX_CONFIG` and `EX_UNAVAILABLE` of sysexits(3).
const EXIT_CONFIG: u8 = 78;
const EXIT_UNAVAILABLE: u8 = 69;
/// The control side: stores, the admin API and metrics, none of it on a request's path.
const CONTROL_THREADS: usize = 1;

/// Fluxgate's data plane. Everything else is set in fluxgate.toml or the environment.
#[derive(Debug, Parser)]
#[command(name = "gateway", version)]
struct Args {
    /// The configuration file; else FLUXGATE_CONFIG, else ./fluxgate.toml where it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as listen.idle_s=30; may stand several times.
    #[arg(long, value_name = "PATH=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let read = move || {
        config::load(&Sources::of_process(args.config.clone(), args.set.clone()), Program::Gateway)
    };
    let loaded = match read() {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    log::init(&loaded.config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gateway: can't start: {error}");
            return ExitCode::from(EXIT_UNAVAILABLE);
        }
    };
    let read_again = Arc::new(move || read().map(|loaded| loaded.config));
    let ended = runtime.block_on(run(loaded, read_again));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(loaded: Loaded, read_again: fluxgate_gateway::ReadAgain) -> Result<(), StartError> {
    let data_dir = loaded.config.data_dir.clone();
    let running = fluxgate_gateway::start(Setup {
        config: loaded.config,
        movable: Vec::new(),
        read_again,
        ports_file: "gateway.ports.json",
        make_first_key: false,
        demo_model: None,
    })
    .await?;
    match running.first_start.write_to_files(&data_dir, running.setup_link().as_deref()) {
        Ok(files) => {
            files
                .iter()
                .for_each(|file| info!(file = %file.display(), "made for the operator alone"));
        }
        Err(error) => warn!(%error, "can't write what the first start made"),
    }
    serve(&running).await;
    running.stop().await;
    Ok(())
}

/// Serves until SIGTERM, SIGINT or a drain; SIGHUP reads the configuration again.
async fn serve(running: &Running) {
    let on = |kind| signal(kind).ok();
    let (mut terminate, mut interrupt, mut hang_up) =
        (on(SignalKind::terminate()), on(SignalKind::interrupt()), on(SignalKind::hangup()));
    loop {
        tokio::select! {
            () = next(&mut terminate) => return,
            () = next(&mut interrupt) => return,
            () = running.asked_to_stop() => return,
            () = next(&mut hang_up) => {
                // What comes of it is logged.
                let _ = running.reload().await;
            }
        }
    }
}

/// The next signal; never, where the system gives none.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(path, value)| (path.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected PATH=VALUE, such as listen.idle_s=30".to_owned())
}
