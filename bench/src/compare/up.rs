//! From the start of `fluxgate up`, on an empty data folder, to the first served request: what
//! somebody sees who tries it.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::contender::Ports;
use super::experiment::{Figures, Metric};
use super::http;
use super::process::{Place, Process};
use super::stage::Stage;
use crate::dialect::Dialect;
use crate::model;
use crate::prompt::Prompt;

const KEY_PREFIX: &str = "sk-fg-";

/// # Errors
/// Where no request is served in time; the message holds the end of its log.
pub fn measure(stage: &Stage) -> Result<Figures> {
    let folder = stage.new_folder()?;
    let mut command = Command::new(stage.program("fluxgate")?);
    command.arg("up").current_dir(folder.path()).env_clear();
    command.env("FLUXGATE_DATA_DIR", folder.path());
    command.env("DOWNSTREAM_AI_URLS", format!("http://{}", stage.mock));
    for listener in [
        "GATEWAY_HTTP_ADDR",
        "GATEWAY_HTTPS_ADDR",
        "GATEWAY_ADMIN_ADDR",
        "GATEWAY_METRICS_ADDR",
        "GUARD_MCP_ADDR",
        "WEB_ADDR",
    ] {
        command.env(listener, "127.0.0.1:0");
    }
    let since = Instant::now();
    let mut process =
        Process::start("up", &mut command, folder.path(), stage.cores, Place::Contender)?;
    let (ports, key) = (folder.path().join("ports.json"), folder.path().join("first-key"));
    let clear = process.wait_for("ports.json", || Ports::read(&ports))?;
    let clear = clear.http.context("no clear listener")?;
    let key = process.wait_for("first-key", || found_key(&fs::read_to_string(&key).ok()?))?;
    let request = Prompt::OneKb.request(clear, Dialect::Chat, model::JSON, false, Some(&key));
    let served = process.wait_for("served request", || {
        matches!(http::ask(clear, &request), Ok((200, _))).then(|| since.elapsed())
    })?;
    Ok(Figures::default().with(Metric::StartS, served.as_secs_f64()))
}

/// The key in a text that may hold more, such as the command to paste.
fn found_key(text: &str) -> Option<String> {
    let key = text.get(text.find(KEY_PREFIX)?..)?;
    let end = key.find(|c: char| c != '-' && !c.is_ascii_alphanumeric()).unwrap_or(key.len());
    Some(key.get(..end)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_in_a_command_to_paste() {
        let text = "curl -H \"Authorization: Bearer sk-fg-abc-DEF1\" http://127.0.0.1/\n";
        assert_eq!(found_key(text).as_deref(), Some("sk-fg-abc-DEF1"));
        assert_eq!(found_key("sk-fg-a-b").as_deref(), Some("sk-fg-a-b"));
        assert_eq!(found_key("nothing"), None);
    }
}
