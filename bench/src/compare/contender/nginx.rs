//! nginx as a plain reverse proxy: one worker, kept connections on both sides, nothing buffered,
//! nothing logged.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Running;
use crate::compare::http::free_port;
use crate::compare::process::{Place, Process};
use crate::compare::stage::Stage;

/// Debian keeps it out of users' paths.
const PROGRAMS: [&str; 2] = ["nginx", "/usr/sbin/nginx"];

/// `nginx/1.22.1`.
///
/// # Errors
/// Where it isn't installed.
pub fn version() -> Result<String> {
    let output = PROGRAMS
        .iter()
        .find_map(|program| Command::new(program).arg("-v").output().ok())
        .context("install nginx, which is the yardstick")?;
    let text = String::from_utf8_lossy(&output.stderr);
    Ok(text.trim().trim_start_matches("nginx version: ").to_owned())
}

pub fn start(stage: &Stage) -> Result<Running> {
    let folder = stage.new_folder()?;
    let (clear, tls) = (free_port()?, free_port()?);
    certificate(folder.path())?;
    let config = folder.path().join("nginx.conf");
    fs::write(&config, configuration(folder.path(), stage.mock, clear, tls))?;
    let program = PROGRAMS
        .iter()
        .find(|program| Command::new(program).arg("-v").output().is_ok())
        .context("install nginx, which is the yardstick")?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&config).arg("-p").arg(folder.path()).args(["-e", "stderr"]);
    let process =
        Process::start("nginx", &mut command, folder.path(), stage.cores, Place::Contender)?;
    Ok(Running { process, clear, tls: Some(tls), bearer: None, _folder: folder })
}

fn certificate(folder: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// As fast as nginx is found to be at this work: a head and its 1 KB body fit into one read, a large
/// body passes in large pieces and never touches the disk. Kept connections have no limit on their
/// requests: closing one every 1,000 would be work that only nginx has.
fn configuration(folder: &Path, mock: SocketAddr, clear: SocketAddr, tls: SocketAddr) -> String {
    // A worker started by root would become somebody who may not read the folder.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let folder = folder.display();
    format!(
        "{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 32m;
  client_header_buffer_size 4k;
  client_body_buffer_size 256k;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream model {{
    server {mock};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen {clear} backlog=4096;
    listen {tls} ssl http2 backlog=4096;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"
    )
}
