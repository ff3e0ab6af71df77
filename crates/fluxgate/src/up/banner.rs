//! What `up` says once everything listens: where it is, who answers, and how to begin. The first
//! key and the setup link are shown on a terminal alone; elsewhere they are files of the data
//! folder, and the log names them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use fluxgate_core::config::Config;
use fluxgate_gateway::data_folder::DataFolder;
use fluxgate_gateway::{ListenerKind, Running};
use serde_json::json;
use tracing::info;

use super::model::Model;
use crate::failure::Failure;
use crate::output::{self, Format};

/// What stands for the key where it isn't shown.
const KEY_VARIABLE: &str = "$FLUXGATE_KEY";

/// See the module.
pub struct Banner<'a> {
    pub running: &'a Running,
    pub config: &'a Config,
    pub model: &'a Model,
    pub folder: &'a DataFolder,
    pub took: Duration,
}

impl Banner<'_> {
    /// Prints it, or what a program reads instead.
    ///
    /// # Errors
    /// Where the first key can't be written to its file.
    pub fn show(&self, format: Format) -> Result<(), Failure> {
        let open = format == Format::Table && io::stdout().is_terminal();
        let link = self.running.setup_link();
        if !open {
            self.write_files(link.as_deref())?;
        }
        match format {
            Format::Table => output::text(&self.text(open, link.as_deref()))?,
            Format::Json => output::json(&self.facts())?,
        }
        Ok(())
    }

    fn write_files(&self, link: Option<&str>) -> Result<(), Failure> {
        let folder = self.folder.path();
        let written = self.running.first_start.write_to_files(folder, link);
        let written = written
            .map_err(|source| Failure::File { what: folder.display().to_string(), source })?;
        for file in written {
            info!(file = %file.display(), "made for you alone: read it there");
        }
        Ok(())
    }

    fn text(&self, open: bool, link: Option<&str>) -> String {
        let mut text = format!(
            "Fluxgate {} runs; starting it took {} ms.\n\n",
            env!("CARGO_PKG_VERSION"),
            self.took.as_millis()
        );
        for (name, value) in self.places() {
            // Writing to a string can't fail.
            let _ = writeln!(text, "  {name:12}  {value}");
        }
        let _ = writeln!(text, "\n{}", self.who_answers());
        text.push_str(&self.first_steps(open));
        if let Some(link) = link.filter(|_| open) {
            let _ = writeln!(
                text,
                "\nCreate the first administrator (the link works once):\n\n  {link}"
            );
        }
        text.push_str("\nCtrl-C ends it.\n");
        text
    }

    fn places(&self) -> Vec<(&'static str, String)> {
        let listen = &self.config.listen;
        let place = |name, kind, url: &str, wanted: Option<SocketAddr>| {
            let address = self.running.address(kind)?;
            let url = url.replace("{}", &reachable(address).to_string());
            let moved = wanted.map(|wanted| wanted.port());
            let moved = moved.filter(|port| *port != 0 && *port != address.port());
            let note = moved.map_or_else(String::new, |port| format!(" (port {port} is in use)"));
            Some((name, format!("{url}{note}")))
        };
        let folder = ("data folder", self.folder.path().display().to_string());
        [
            place("page and API", ListenerKind::Web, "http://{}", listen.web),
            place("API over TLS", ListenerKind::PublicTls, "https://{}", listen.https),
            place("API in clear", ListenerKind::PublicClear, "http://{}", listen.http),
            place("admin API", ListenerKind::Admin, "http://{}", listen.admin),
            place("metrics", ListenerKind::Metrics, "http://{}/metrics", listen.metrics),
        ]
        .into_iter()
        .flatten()
        .chain([folder])
        .collect()
    }

    fn who_answers(&self) -> String {
        match self.model {
            Model::Configured => "Answers come from the configured model servers.".to_owned(),
            Model::Ollama(url) => format!("Answers come from the Ollama at {url}"),
            Model::Demo(_) => "Answers come from the built-in DEMO MODEL, which is not a neural network: no model \
                 server is configured,\nand no Ollama answers on 127.0.0.1:11434. Set DOWNSTREAM_AI_URLS to use \
                 a real one."
                .to_owned(),
        }
    }

    /// The curl to paste, with the first key where it is new and may be shown.
    fn first_steps(&self, open: bool) -> String {
        let first_key = self.running.first_start.key.as_ref();
        let shown = first_key.filter(|_| open).map(|key| key.reveal());
        let curl = self.curl(shown.unwrap_or(KEY_VARIABLE));
        let note = match (first_key, shown) {
            (Some(_), Some(_)) => "Try it (the key is shown this once):",
            (Some(_), None) => "Try it; the first key is in the data folder's file first-key:",
            (None, _) => "Try it; `fluxgate keys create --name NAME` makes a key:",
        };
        format!("\n{note}\n\n{curl}\n")
    }

    fn curl(&self, key: &str) -> String {
        let web = self.running.address(ListenerKind::Web);
        let clear = web.or(self.running.address(ListenerKind::PublicClear));
        let (origin, options) = match (clear, self.running.address(ListenerKind::PublicTls)) {
            (Some(address), _) => (format!("http://{}", reachable(address)), "-N"),
            // The certificate may be our own.
            (None, Some(address)) => (format!("https://{}", reachable(address)), "-kN"),
            (None, None) => return String::new(),
        };
        let body = format!(
            r#"{{"model":{},"stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}"#,
            json!(self.model_name())
        );
        format!(
            "  curl {options} {origin}/v1/chat/completions \\\n    -H \"Authorization: Bearer {key}\" \\\n    \
             -H \"Content-Type: application/json\" \\\n    -d {}",
            quoted(&body)
        )
    }

    fn model_name(&self) -> String {
        if self.model.demo_address().is_some() {
            return "demo".to_owned();
        }
        let known = self.running.app.upstreams.snapshot();
        known.models().first().map_or_else(|| "MODEL".to_owned(), |model| (*model).to_owned())
    }

    fn facts(&self) -> serde_json::Value {
        let address = |kind| self.running.address(kind);
        json!({
            "pid": std::process::id(),
            "https": address(ListenerKind::PublicTls),
            "http": address(ListenerKind::PublicClear),
            "admin": address(ListenerKind::Admin),
            "metrics": address(ListenerKind::Metrics),
            "web": address(ListenerKind::Web),
            "demo_model": self.model.demo_address(),
            "data_dir": self.folder.path(),
            "start_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// An address that can be opened from this machine: "any" is where we listen, not where we are.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// For a POSIX shell: a model's name is its server's choice.
fn quoted(text: &str) -> String {
    format!("'{}'", output::printable(text).replace('\'', r"'\''"))
}
