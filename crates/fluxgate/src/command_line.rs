//! The command line: every command with its arguments, in one place.

use clap::{Parser, Subcommand};

use crate::output::Format;
use crate::settings::Settings;
use crate::{config, healthcheck, keys, up, upstreams, users};

/// An AI API gateway: keys, streaming and accounts in front of model servers.
#[derive(Debug, Parser)]
#[command(name = "fluxgate", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    pub settings: Settings,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 refused, failed or unknown id; 2 usage; 69 can't reach or can't bind what is \
needed; 73 the data folder can't be used; 78 the configuration is faulty.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the gateway with embedded stores; a demo model answers where there is no other.
    Up(up::Arguments),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Find out what keeps the gateway from working, and what to do about it.
    Doctor,
    /// Ask whether a gateway is alive.
    Healthcheck(healthcheck::Arguments),
    /// People.
    #[command(subcommand)]
    User(users::Command),
    /// API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// The model servers of a running gateway.
    #[command(subcommand)]
    Upstreams(upstreams::Command),
}
