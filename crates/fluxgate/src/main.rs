//! The `fluxgate` command: `fluxgate up` runs the gateway on embedded stores, the other commands
//! administer a running one.
//!
//! Reading order: `command_line` (what there is), `up` (what starts), then one file for each other
//! command, `failure` for the exit codes.

mod command_line;

mod up;

mod config;
mod doctor;
mod healthcheck;
mod keys;
mod links;
mod upstreams;
mod users;

mod failure;
mod gateway_client;
mod http_client;
mod moment;
mod output;
mod settings;

use std::process::ExitCode;

use clap::Parser;

use crate::command_line::{Command, CommandLine};
use crate::failure::Failure;

/// Gives the memory of closed streams back; its settings are compiled in.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(line: CommandLine) -> Result<(), Failure> {
    let (settings, format) = (line.settings, line.output);
    match line.command {
        Command::Up(args) => up::run(&settings, &args, format),
        Command::Config(command) => config::run(&settings, &command, format),
        Command::Doctor => client(doctor::run(&settings, format)),
        Command::Healthcheck(args) => client(healthcheck::run(&settings, &args, format)),
        Command::User(command) => client(users::run(&settings, &command, format)),
        Command::Keys(command) => client(keys::run(&settings, &command, format)),
        Command::Upstreams(command) => client(upstreams::run(&settings, &command, format)),
    }
}

/// Runs a command that asks something of others; one thread is enough for that.
fn client(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command)
}
