//! The environment variables with names of their own. Any other setting has the form
//! `FLUXGATE__SECTION__FIELD`.

use super::path::Path;
use super::shape::Shape;

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "FLUXGATE_CONFIG";

/// A variable, and the setting that it gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// The dotted path of the setting.
    pub path: &'static str,
}

impl Variable {
    /// It gives a secret: `NAME_FILE` is read too.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        Shape::at(&Path::dotted(self.path)).is_some_and(Shape::is_secret)
    }
}

/// All of them, in the order of [`super::Config`].
pub const VARIABLES: [Variable; 24] = [
    of("FLUXGATE_DATA_DIR", "data_dir"),
    of("DOWNSTREAM_AI_URLS", "downstream_ai_urls"),
    of("GATEWAY_ADMIN_URL", "admin_urls"),
    of("GATEWAY_HTTPS_ADDR", "listen.https"),
    of("GATEWAY_HTTP_ADDR", "listen.http"),
    of("GATEWAY_ADMIN_ADDR", "listen.admin"),
    of("GATEWAY_METRICS_ADDR", "listen.metrics"),
    of("WEB_ADDR", "listen.web"),
    of("PUBLIC_URL", "listen.public_url"),
    of("TRUSTED_PROXIES", "listen.trusted_proxies"),
    of("GATEWAY_WORKERS", "listen.workers"),
    of("GATEWAY_REPLICA_ID", "listen.replica_id"),
    of("TLS_CERT_PATH", "tls.cert_path"),
    of("TLS_KEY_PATH", "tls.key_path"),
    of("DATABASE_URL", "database.url"),
    of("REDIS_URL", "redis.url"),
    of("JWT_SECRET", "auth.jwt_secret"),
    of("JWT_SECRET_PREVIOUS", "auth.jwt_secret_previous"),
    of("ADMIN_TOKEN", "auth.admin_token"),
    of("GUARD_TOKEN", "auth.guard_token"),
    of("FLUXGATE_ADMIN_EMAIL", "auth.admin_email"),
    of("FLUXGATE_ADMIN_PASSWORD", "auth.admin_password"),
    of("LOG_FORMAT", "log.format"),
    of("RUST_LOG", "log.filter"),
];

const fn of(name: &'static str, path: &'static str) -> Variable {
    Variable { name, path }
}
