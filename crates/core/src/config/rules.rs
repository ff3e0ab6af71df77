//! What settings must say together, and which ones a program can't do without.

use std::net::SocketAddr;

use super::Config;
use super::fault::Faults;
use super::layer::{Layer, Origins};
use super::leaf;
use super::leaves::Leaves;
use super::load::Program;
use super::models;
use super::path::Path;
use super::shape::Shape;
use super::variable::VARIABLES;

/// What the gateway does not start without.
const GATEWAY_NEEDS: [&str; 5] =
    ["database.url", "redis.url", "auth.jwt_secret", "auth.admin_token", "auth.guard_token"];

/// A configuration whose single settings are right, and what is known about it.
pub struct Judged<'a> {
    pub config: &'a Config,
    pub leaves: &'a Leaves,
    pub origins: &'a Origins,
    pub program: Program,
    pub faults: &'a mut Faults,
}

impl Judged<'_> {
    /// Applies every rule.
    pub fn judge(&mut self) {
        if self.program == Program::Gateway {
            self.needs();
        }
        self.pairs();
        self.tokens();
        self.signing_keys();
        self.sessions();
        self.listeners();
        self.sizes();
        self.upstream_names();
        self.aliases();
    }

    /// One line for each place: what follows from a fault already named is left out.
    fn fault(&mut self, path: &str, problem: String) {
        let at = Path::dotted(path);
        if !self.faults.touch(&at) {
            self.faults.add(&at, problem, self.origins.of(path));
        }
    }

    fn is_given(&self, path: &str) -> bool {
        self.leaves.get(&Path::dotted(path)).is_some()
    }

    fn needs(&mut self) {
        for path in GATEWAY_NEEDS {
            if !self.is_given(path) {
                self.fault(path, missing(path));
            }
        }
        let wrong = ["upstreams", "downstream_ai_urls"]
            .iter()
            .any(|path| self.faults.touch(&Path::dotted(path)));
        if self.config.effective_upstreams().is_empty() && !wrong {
            let problem = "the gateway needs a model server: add an [[upstreams]] entry, or set DOWNSTREAM_AI_URLS";
            self.fault("upstreams", problem.to_owned());
        }
    }

    /// Two settings of which one is nothing without the other.
    fn pairs(&mut self) {
        for (one, other) in
            [("tls.cert_path", "tls.key_path"), ("auth.admin_email", "auth.admin_password")]
        {
            for (given, absent) in [(one, other), (other, one)] {
                if self.is_given(given) && !self.is_given(absent) {
                    self.fault(
                        absent,
                        format!("missing: {given} is given, and needs it ({})", how_to_set(absent)),
                    );
                }
            }
        }
    }

    fn tokens(&mut self) {
        let auth = &self.config.auth;
        if auth.admin_token.is_some() && auth.admin_token == auth.guard_token {
            let problem =
                "is the same as auth.admin_token: the guard must not have the operator's rights";
            self.fault("auth.guard_token", problem.to_owned());
        }
        let beyond = self
            .config
            .listen
            .admin
            .is_some_and(|address| !address.ip().to_canonical().is_loopback());
        // Where the token itself is wrong or required, that has been said.
        if beyond
            && !self.is_given("auth.admin_token")
            && !self.faults.touch(&Path::dotted("auth.admin_token"))
        {
            let problem = "beyond loopback the admin listener needs a given ADMIN_TOKEN: set it, or listen on 127.0.0.1";
            self.fault("listen.admin", problem.to_owned());
        }
    }

    fn signing_keys(&mut self) {
        let auth = &self.config.auth;
        let secrets = [
            ("auth.jwt_secret", &auth.jwt_secret),
            ("auth.jwt_secret_previous", &auth.jwt_secret_previous),
        ];
        let tokens =
            [("auth.admin_token", &auth.admin_token), ("auth.guard_token", &auth.guard_token)];
        for (path, secret) in secrets {
            for (other, token) in tokens {
                if secret.is_some() && secret == token {
                    let problem = format!(
                        "is the same as {other}: whoever has that token could sign sessions"
                    );
                    self.fault(path, problem);
                }
            }
        }
        if auth.jwt_secret.is_some() && auth.jwt_secret_previous == auth.jwt_secret {
            let problem = "is the same as auth.jwt_secret: expected the one before it, or none";
            self.fault("auth.jwt_secret_previous", problem.to_owned());
        }
    }

    fn sessions(&mut self) {
        let sessions = &self.config.auth.sessions;
        let (idle, max) = (sessions.idle.as_secs(), sessions.max.as_secs());
        let (idle_path, max_path) = ("auth.sessions.idle_s", "auth.sessions.max_s");
        if idle <= max {
            return;
        }
        if self.is_given(idle_path) {
            let problem =
                format!("{idle} is more than {max_path} ({max}): no session lasts so long");
            self.fault(idle_path, problem);
        } else {
            let problem =
                format!("{max} is less than {idle_path} ({idle}): no session lasts so long");
            self.fault(max_path, problem);
        }
    }

    fn listeners(&mut self) {
        let listen = &self.config.listen;
        if listen.https.is_none() && listen.http.is_none() && listen.web.is_none() {
            let problem = "https, http and web are all off: nothing would be served";
            self.fault("listen.https", problem.to_owned());
        }
        let listeners = self.config.listen.listeners();
        for (position, (name, address)) in listeners.iter().enumerate() {
            for (earlier, other) in listeners.iter().take(position) {
                let (Some(address), Some(other)) = (address, other) else {
                    continue;
                };
                if collide(*address, *other) && self.is_fixed(name) && self.is_fixed(earlier) {
                    self.fault(
                        &format!("listen.{name}"),
                        format!("{address} is taken by listen.{earlier}"),
                    );
                }
            }
        }
    }

    /// `up` moves on to the next free port where nobody chose one.
    fn is_fixed(&self, listener: &str) -> bool {
        match self.program {
            Program::Gateway => true,
            Program::Up => *self.origins.of(&format!("listen.{listener}")) != Layer::Default,
        }
    }

    fn sizes(&mut self) {
        let listen = &self.config.listen;
        let (all, one) = (listen.bodies_in_flight_bytes_max, listen.body_bytes_max);
        let (all_path, one_path) = ("listen.bodies_in_flight_bytes_max", "listen.body_bytes_max");
        if all >= one {
            return;
        }
        if self.is_given(all_path) {
            let problem =
                format!("{all} is less than {one_path} ({one}): no such body could be taken");
            self.fault(all_path, problem);
        } else {
            let problem =
                format!("{one} is more than {all_path} ({all}): no such body could be taken");
            self.fault(one_path, problem);
        }
    }

    /// Judged where they were given: an entry that is wrong elsewhere still has its name.
    fn upstream_names(&mut self) {
        let list = Path::dotted("upstreams");
        let mut names: Vec<(&str, Path)> = Vec::new();
        let mut twice = Vec::new();
        for index in self.leaves.indices(&list) {
            let path = list.index(index).key("name");
            let Some(name) = self.leaves.get(&path).and_then(|leaf| leaf.value.as_str()) else {
                continue;
            };
            match names.iter().find(|(known, _)| *known == name) {
                Some((_, first)) => twice
                    .push((path, format!("{name:?} is the name of {first} too: expected another"))),
                None => names.push((name, path)),
            }
        }
        for (path, problem) in twice {
            self.fault(&path.to_string(), problem);
        }
    }

    fn aliases(&mut self) {
        let table = Path::dotted("models");
        let at = |glob: &str| table.key(glob).key("alias_of");
        for globs in models::loops(&self.config.models) {
            let Some((first, others)) = globs.split_first() else { continue };
            let problem = if others.is_empty() {
                "names itself: expected another model".to_owned()
            } else {
                let way: Vec<String> = others.iter().map(|glob| at(glob).to_string()).collect();
                format!("leads back to itself by {}: expected an end", way.join(" and "))
            };
            self.fault(&at(first).to_string(), problem);
        }
    }
}

/// Two listeners that can't both be bound.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let overlap =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && overlap
}

fn missing(path: &str) -> String {
    let at = Path::dotted(path);
    let expected = Shape::at(&at).map(|shape| leaf::expected(&at, shape)).unwrap_or_default();
    let recipe = if path.starts_with("auth.") { "; `openssl rand -hex 32` makes one" } else { "" };
    format!("missing: the gateway needs {expected} ({}){recipe}", how_to_set(path))
}

fn how_to_set(path: &str) -> String {
    match VARIABLES.iter().find(|variable| variable.path == path) {
        Some(variable) if variable.is_secret() => format!("set {0} or {0}_FILE", variable.name),
        Some(variable) => format!("set {}", variable.name),
        None => format!("set {}", Path::dotted(path).variable()),
    }
}
