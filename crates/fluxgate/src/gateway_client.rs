//! The running gateway that a command talks to: how it is found, how it is asked.

use std::path::Path;
use std::time::Duration;

use fluxgate_core::Secret;
use fluxgate_core::admin_api::{Page, ProblemDetails};
use fluxgate_core::config::{Config, Program};
use fluxgate_gateway::data_folder::{Ports, kept_secret, read_ports};
use http::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::failure::Failure;
use crate::http_client::{Answer, Ask};
use crate::settings::Settings;

/// The files in which a running program says where it listens, the more likely one first.
pub const PORTS_FILES: [&str; 2] = ["ports.json", "gateway.ports.json"];
/// Where the operator's token is kept, in the data folder.
pub const ADMIN_TOKEN_FILE: &str = "admin-token";
/// A gateway whose store is away answers within a few seconds that it is.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Pages of a list that are read before we take it for endless.
const PAGES_MAX: usize = 10_000;

/// An admin listener and what it wants to see.
#[derive(Debug)]
struct Door {
    url: Url,
    token: Secret,
}

/// The admin listeners of one deployment.
#[derive(Debug)]
pub struct GatewayClient {
    doors: Vec<Door>,
}

impl GatewayClient {
    /// Finds the gateway: `GATEWAY_ADMIN_URL`, else the program that runs on the data folder.
    ///
    /// # Errors
    /// Where there is none, or its token isn't known.
    pub fn find(settings: &Settings) -> Result<Self, Failure> {
        let config = settings.load(Program::Up, &[])?.config;
        let own = own_url(&config)?;
        let urls = match (config.admin_urls.is_empty(), &own) {
            (false, _) => config.admin_urls.clone(),
            (true, Some(own)) => vec![own.clone()],
            (true, None) => return Err(Failure::Unreachable(nobody_runs(&config.data_dir))),
        };
        let doors = urls
            .into_iter()
            .map(|url| {
                let is_own = own.as_ref() == Some(&url);
                let token = token(&config, is_own)?.ok_or_else(|| no_token(&url))?;
                Ok(Door { url, token })
            })
            .collect::<Result<_, Failure>>()?;
        Ok(Self { doors })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// Where nobody answers, or the answer is a refusal.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(self.ask(Method::GET, path, None).await?)
    }

    /// Has something made.
    ///
    /// # Errors
    /// Where nobody answers, or the answer is a refusal.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(std::io::Error::from)?;
        parse(self.ask(Method::POST, path, Some(body)).await?)
    }

    /// Has something changed.
    ///
    /// # Errors
    /// Where nobody answers, or the answer is a refusal.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(std::io::Error::from)?;
        parse(self.ask(Method::PATCH, path, Some(body)).await?)
    }

    /// Reads a list to its end.
    ///
    /// # Errors
    /// Where nobody answers, or the answer is a refusal.
    pub async fn get_all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let (mut items, mut route) = (Vec::new(), path.to_owned());
        for _ in 0..PAGES_MAX {
            let page: Page<T> = self.get(&route).await?;
            items.extend(page.items);
            let Some(cursor) = page.next_cursor else { break };
            let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
            route = format!("{path}?cursor={cursor}");
        }
        Ok(items)
    }

    /// Has something taken away.
    ///
    /// # Errors
    /// Where nobody answers, or the answer is a refusal.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.ask(Method::DELETE, path, None).await.map(drop)
    }

    /// Acts are shared by all replicas: the first that can be reached does it.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        json: Option<Vec<u8>>,
    ) -> Result<Answer, Failure> {
        let mut unreachable = Vec::new();
        for door in &self.doors {
            let url = below(&door.url, path)?;
            let ask = Ask {
                method: method.clone(),
                url: &url,
                token: Some(door.token.expose()),
                json: json.clone(),
                within: ANSWER_MAX,
            };
            match ask.send().await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => return Err(refusal(&door.url, &answer)),
                Err(error) => unreachable
                    .push(format!("{}: {error}", door.url.as_str().trim_end_matches('/'))),
            }
        }
        let places = unreachable.join("; ");
        Err(Failure::Unreachable(format!("can't reach the gateway at {places}; does it run?")))
    }
}

/// Where the program that runs on the data folder has its listeners.
///
/// # Errors
/// Where the file can't be read.
pub fn own_ports(data_dir: &Path) -> Result<Option<Ports>, Failure> {
    for name in PORTS_FILES {
        let path = data_dir.join(name);
        let ports = read_ports(&path)
            .map_err(|source| Failure::File { what: path.display().to_string(), source })?;
        if ports.is_some() {
            return Ok(ports);
        }
    }
    Ok(None)
}

fn own_url(config: &Config) -> Result<Option<Url>, Failure> {
    let admin = own_ports(&config.data_dir)?.and_then(|ports| ports.admin);
    Ok(admin.and_then(|address| Url::parse(&format!("http://{address}")).ok()))
}

/// A token of the folder goes to the folder's own program alone.
fn token(config: &Config, is_own: bool) -> Result<Option<Secret>, Failure> {
    if let Some(given) = &config.auth.admin_token {
        return Ok(Some(given.clone()));
    }
    if !is_own {
        return Ok(None);
    }
    let path = config.data_dir.join(ADMIN_TOKEN_FILE);
    kept_secret(&path).map_err(|source| Failure::File { what: path.display().to_string(), source })
}

fn nobody_runs(data_dir: &Path) -> String {
    format!(
        "no gateway runs on the data folder {}; start one with `fluxgate up`, name its folder with \
         --data-dir, or its admin listener in GATEWAY_ADMIN_URL",
        data_dir.display()
    )
}

fn no_token(url: &Url) -> Failure {
    let place = url.as_str().trim_end_matches('/');
    Failure::Configuration(format!(
        "the operator's token of {place} isn't known; set ADMIN_TOKEN or ADMIN_TOKEN_FILE"
    ))
}

fn below(base: &Url, path: &str) -> Result<Url, Failure> {
    let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|error| Failure::Configuration(format!("{text}: {error}")))
}

fn parse<T: DeserializeOwned>(answer: Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Failure::Refused(format!(
            "the gateway's answer can't be read: {error}; is it of another version?"
        ))
    })
}

fn refusal(url: &Url, answer: &Answer) -> Failure {
    if answer.status == StatusCode::UNAUTHORIZED {
        let place = url.as_str().trim_end_matches('/');
        return Failure::Refused(format!(
            "{place} refused the operator's token; is ADMIN_TOKEN the gateway's?"
        ));
    }
    match serde_json::from_slice::<ProblemDetails>(&answer.body) {
        Ok(problem) => Failure::Refused(format!("{} ({})", problem.detail, problem.code)),
        Err(_) => Failure::Refused(format!("the gateway answered {}", answer.status)),
    }
}
