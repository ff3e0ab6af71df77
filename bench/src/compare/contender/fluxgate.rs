//! The gateway as in production: accounts in a database, shared state in Redis, a key made through
//! the admin listener.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Running;
use crate::compare::http;
use crate::compare::process::{Place, Process};
use crate::compare::stage::Stage;

/// Secrets that guard nothing: each gateway lives for seconds, on loopback.
const ADMIN_TOKEN: &str = "bench-admin-token-bench-admin-token-0001";
const GUARD_TOKEN: &str = "bench-guard-token-bench-guard-token-0002";
const JWT_SECRET: &str = "bench-jwt-secret-bench-jwt-secret-bench-0003";

/// `gateway.ports.json` and `ports.json`, what is read of them.
#[derive(Debug, Deserialize)]
pub struct Ports {
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

impl Ports {
    /// `None` until the file is there.
    pub fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }
}

#[derive(Debug, Deserialize)]
struct Made {
    key: String,
}

pub fn start(stage: &Stage) -> Result<Running> {
    let folder = stage.new_folder()?;
    let redis = stage.redis.context("no Redis was started")?;
    let mut command = Command::new(stage.program("gateway")?);
    command
        .current_dir(folder.path())
        .env_clear()
        .env("DATABASE_URL", format!("sqlite://{}/accounts.db", folder.path().display()))
        .env("REDIS_URL", format!("redis://{redis}"))
        .env("JWT_SECRET", JWT_SECRET)
        .env("ADMIN_TOKEN", ADMIN_TOKEN)
        .env("GUARD_TOKEN", GUARD_TOKEN)
        .env("DOWNSTREAM_AI_URLS", format!("http://{}", stage.mock))
        .env("FLUXGATE_DATA_DIR", folder.path())
        .env("GATEWAY_WORKERS", "1");
    for listener in ["HTTP", "HTTPS", "ADMIN", "METRICS"] {
        command.env(format!("GATEWAY_{listener}_ADDR"), "127.0.0.1:0");
    }
    let mut process =
        Process::start("gateway", &mut command, folder.path(), stage.cores, Place::Contender)?;
    let file = folder.path().join("gateway.ports.json");
    let ports = process.wait_for("gateway.ports.json", || Ports::read(&file))?;
    let admin = ports.admin.context("the gateway has no admin listener")?;
    Ok(Running {
        process,
        clear: ports.http.context("the gateway has no clear listener")?,
        tls: ports.https,
        bearer: Some(make_key(admin)?),
        _folder: folder,
    })
}

fn make_key(admin: SocketAddr) -> Result<String> {
    let request = http::post(admin, "/api/v1/keys", ADMIN_TOKEN, "{\"name\":\"bench\"}");
    let (status, body) = http::ask(admin, &request)?;
    if status != 201 {
        bail!("no key was made: {status} {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice::<Made>(&body)?.key)
}
