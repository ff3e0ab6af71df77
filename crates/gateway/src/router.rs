//! Every route of the gateway, in one place.
//!
//! The model routes are matched here, on the data threads, and served by `proxy`. Everything else
//! is axum's, on the control runtime: `middleware` hands it over.

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Router};
use http::Method;

use crate::admin;
use crate::admin::sign_in;
use crate::app::SharedApp;
use crate::dialect::Dialect;
use crate::listen::ListenerKind;
use crate::upstream::OptionalRoute;

/// A model route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    ChatCompletions,
    Completions,
    Embeddings,
    ListModels,
    GetModel,
    Responses,
    Messages,
    CountTokens,
    OllamaChat,
    OllamaGenerate,
    OllamaEmbed,
    OllamaEmbeddings,
    OllamaShow,
    OllamaTags,
    OllamaPs,
    OllamaVersion,
}

/// The model routes: method, path (which is also the path sent upstream), endpoint.
const MODEL_ROUTES: [(Method, &str, Endpoint); 15] = [
    (Method::POST, "/v1/chat/completions", Endpoint::ChatCompletions),
    (Method::POST, "/v1/completions", Endpoint::Completions),
    (Method::POST, "/v1/embeddings", Endpoint::Embeddings),
    (Method::GET, "/v1/models", Endpoint::ListModels),
    (Method::POST, "/v1/responses", Endpoint::Responses),
    (Method::POST, "/v1/messages", Endpoint::Messages),
    (Method::POST, "/v1/messages/count_tokens", Endpoint::CountTokens),
    (Method::POST, "/api/chat", Endpoint::OllamaChat),
    (Method::POST, "/api/generate", Endpoint::OllamaGenerate),
    (Method::POST, "/api/embed", Endpoint::OllamaEmbed),
    (Method::POST, "/api/embeddings", Endpoint::OllamaEmbeddings),
    (Method::POST, "/api/show", Endpoint::OllamaShow),
    (Method::GET, "/api/tags", Endpoint::OllamaTags),
    (Method::GET, "/api/ps", Endpoint::OllamaPs),
    (Method::GET, "/api/version", Endpoint::OllamaVersion),
];

/// In front of a model's id, which may hold slashes.
const MODEL_PREFIX: &str = "/v1/models/";
/// In front of the id of a response that OpenAI's own servers keep.
const RESPONSE_PREFIX: &str = "/v1/responses/";

/// Ollama's routes that change what the model server holds.
const MANAGEMENT_ROUTES: [&str; 5] =
    ["/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"];
const MANAGEMENT_PREFIX: &str = "/api/blobs/";

/// Where a request goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// To the models.
    Model(Endpoint),
    /// A model route of another method; the value of `Allow`.
    WrongMethod(Dialect, &'static str),
    /// Models are managed elsewhere.
    Management,
    /// A response that somebody kept: we keep none.
    StoredResponse,
    /// Refused for its form.
    BadPath,
    /// A path of the models' own, but no route.
    Unknown(Dialect),
    /// To axum.
    Other,
}

impl Endpoint {
    /// Every endpoint, in the order of the routes.
    pub const ALL: [Self; 16] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::ListModels,
        Self::GetModel,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::OllamaEmbed,
        Self::OllamaEmbeddings,
        Self::OllamaShow,
        Self::OllamaTags,
        Self::OllamaPs,
        Self::OllamaVersion,
    ];

    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Embeddings
            | Self::ListModels
            | Self::GetModel => Dialect::OpenAi,
            Self::Responses => Dialect::Responses,
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::OllamaChat
            | Self::OllamaGenerate
            | Self::OllamaEmbed
            | Self::OllamaEmbeddings
            | Self::OllamaShow
            | Self::OllamaTags
            | Self::OllamaPs
            | Self::OllamaVersion => Dialect::Ollama,
        }
    }

    /// The route, where servers that speak the dialect may still not have it.
    #[must_use]
    pub const fn optional(self) -> Option<OptionalRoute> {
        match self {
            Self::Responses => Some(OptionalRoute::Responses),
            Self::Messages => Some(OptionalRoute::Messages),
            Self::CountTokens => Some(OptionalRoute::CountTokens),
            _ => None,
        }
    }

    /// The route's path: what is sent upstream, and the metric label.
    #[must_use]
    pub fn path(self) -> &'static str {
        MODEL_ROUTES
            .iter()
            .find(|(_, _, endpoint)| *endpoint == self)
            .map_or("/v1/models/{id}", |(_, path, _)| path)
    }
}

/// Finds the route of a model listener's request. Paths are matched as they are written.
#[must_use]
pub fn find(method: &Method, path: &str) -> Route {
    if let Some((allowed, _, endpoint)) = MODEL_ROUTES.iter().find(|(_, route, _)| *route == path) {
        return match allowed {
            allowed if allowed == method => Route::Model(*endpoint),
            allowed if *allowed == Method::GET => Route::WrongMethod(endpoint.dialect(), "GET"),
            _ => Route::WrongMethod(endpoint.dialect(), "POST"),
        };
    }
    if path.len() > MODEL_PREFIX.len() && path.starts_with(MODEL_PREFIX) {
        return if method == Method::GET {
            Route::Model(Endpoint::GetModel)
        } else {
            Route::WrongMethod(Dialect::OpenAi, "GET")
        };
    }
    if has_forbidden_bytes(path) {
        return Route::BadPath;
    }
    if path.len() > RESPONSE_PREFIX.len() && path.starts_with(RESPONSE_PREFIX) {
        return Route::StoredResponse;
    }
    if MANAGEMENT_ROUTES.contains(&path) || path.starts_with(MANAGEMENT_PREFIX) {
        return Route::Management;
    }
    if path.starts_with("/api/") && !is_of_models(path) {
        return Route::Other;
    }
    if path.starts_with("/api/") || path == "/api" {
        return Route::Unknown(Dialect::Ollama);
    }
    if path.starts_with("/v1/") || path == "/v1" {
        return Route::Unknown(Dialect::of_path(path));
    }
    Route::Other
}

/// Whether a path is, or looks like, one of the models' APIs and not one of ours.
#[must_use]
pub fn is_of_models(path: &str) -> bool {
    let ours =
        path.strip_prefix("/api/v1").is_some_and(|rest| matches!(rest.get(..1), None | Some("/")));
    !ours && (path.starts_with("/v1") || path.starts_with("/api"))
}

/// The id in `GET /v1/models/{id}`, decoded once; `None` where a segment of it is a dot segment
/// or empty, or where what it decodes to isn't text.
#[must_use]
pub fn model_id(path: &str) -> Option<String> {
    let encoded = path.strip_prefix(MODEL_PREFIX)?;
    let decoded = decode(encoded)?;
    let sound = decoded.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !decoded.chars().any(char::is_control);
    sound.then_some(decoded)
}

/// Encoded slashes, backslashes and control bytes: what stands behind us might read them anew.
fn has_forbidden_bytes(path: &str) -> bool {
    if path.contains('\\') {
        return true;
    }
    path.bytes().enumerate().filter(|(_, byte)| *byte == b'%').any(|(at, _)| {
        decode_byte(path.as_bytes(), at)
            .is_none_or(|byte| byte.is_ascii_control() || matches!(byte, b'/' | b'\\'))
    })
}

fn decode(encoded: &str) -> Option<String> {
    let bytes = encoded.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'%' {
            decoded.push(decode_byte(bytes, at)?);
            at += 3;
        } else {
            decoded.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(decoded).ok()
}

fn decode_byte(bytes: &[u8], percent_at: usize) -> Option<u8> {
    let digits = bytes.get(percent_at + 1..percent_at + 3)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*digits.first()?)? * 16 + digit(*digits.get(1)?)?)
}

/// The routes of each listener that axum serves.
pub fn control(kind: ListenerKind, app: SharedApp) -> Router {
    let health = Router::new()
        .route("/healthz", get(admin::health::healthz))
        .route("/readyz", get(admin::health::readyz_public));
    let routes = match kind {
        ListenerKind::PublicTls | ListenerKind::PublicClear | ListenerKind::Web => health
            .merge(written_down(&app, own_api(&app)))
            .route("/", get(admin::page::index))
            .route("/setup", get(admin::page::setup))
            .route("/register", get(admin::page::register))
            .route("/reset", get(admin::page::reset))
            .route("/page.css", get(admin::page::style))
            .route("/form.js", get(admin::page::script)),
        ListenerKind::Metrics => Router::new()
            .route("/metrics", get(admin::health::metrics))
            .route("/healthz", get(admin::health::healthz))
            .route("/readyz", get(admin::health::readyz)),
        ListenerKind::Admin => {
            let operator = own_api(&app)
                .route("/admin/v1/status", get(admin::status::status))
                .route("/admin/v1/upstreams", get(admin::status::upstreams))
                .route("/admin/v1/reload", post(admin::status::reload))
                .route("/admin/v1/drain", post(admin::status::drain))
                .route_layer(from_fn_with_state(
                    SharedApp::clone(&app),
                    admin::token::require_operator,
                ));
            Router::new()
                .route("/healthz", get(admin::health::healthz))
                .route("/readyz", get(admin::health::readyz))
                .merge(written_down(&app, operator))
        }
    };
    routes
        .method_not_allowed_fallback(admin::problem::method_not_allowed)
        .fallback(admin::problem::unknown_route)
        .layer(Extension(kind))
        .layer(from_fn(admin::problem::name_the_request))
        .with_state(app)
}

/// Our own API: the same on the public listeners, to people and keys, and on the admin listener, to
/// the operator.
fn own_api(app: &SharedApp) -> Router<SharedApp> {
    let app = || SharedApp::clone(app);
    let open = Router::new().route("/api/v1/openapi.json", get(admin::openapi::document));
    // Who asks is found out by each of them, or becomes known by it.
    let signing_in = Router::new()
        .route("/api/v1/auth/setup", post(sign_in::set_up::set_up))
        .route("/api/v1/auth/register", post(sign_in::register::register))
        .route("/api/v1/auth/login", post(sign_in::log_in::log_in))
        .route("/api/v1/auth/refresh", post(sign_in::refresh::refresh))
        .route("/api/v1/auth/logout", post(sign_in::log_out::log_out))
        .route("/api/v1/auth/password", post(sign_in::password::set));
    let keys_too = Router::new()
        .route("/api/v1/usage", get(admin::usage::list))
        .route_layer(from_fn_with_state(app(), admin::actor::require_reader));
    let people = Router::new()
        .route("/api/v1/auth/me", get(sign_in::sessions::me))
        .route("/api/v1/auth/sessions", get(sign_in::sessions::list))
        .route("/api/v1/auth/sessions/{id}", delete(sign_in::sessions::end))
        .route("/api/v1/keys", get(admin::keys::list).post(admin::keys::create))
        .route("/api/v1/keys/{id}", patch(admin::keys::update).delete(admin::keys::revoke))
        .route("/api/v1/keys/{id}/rotate", post(admin::keys::rotate))
        .route_layer(from_fn_with_state(app(), admin::actor::require_person));
    let administrators = Router::new()
        .route("/api/v1/admin/users", get(admin::users::list).post(admin::users::create))
        .route("/api/v1/admin/users/{id}", patch(admin::users::update))
        .route("/api/v1/admin/users/{id}/reset", post(admin::users::reset))
        .route("/api/v1/admin/teams", get(admin::teams::list).post(admin::teams::create))
        .route("/api/v1/admin/teams/{id}", patch(admin::teams::update).delete(admin::teams::delete))
        .route("/api/v1/admin/invites", get(admin::invites::list).post(admin::invites::create))
        .route("/api/v1/admin/invites/{id}", delete(admin::invites::withdraw))
        .route("/api/v1/admin/audit", get(admin::audit::list))
        .route_layer(from_fn_with_state(app(), admin::actor::require_admin));
    open.merge(signing_in).merge(keys_too).merge(people).merge(administrators)
}

/// Routes whose acts go into the audit log, and whose answers into no cache.
fn written_down(app: &SharedApp, routes: Router<SharedApp>) -> Router<SharedApp> {
    routes
        .layer(from_fn_with_state(SharedApp::clone(app), admin::audit::record))
        .layer(from_fn(admin::privacy::keep))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_matched_as_they_are_written() {
        let unknown = Route::Unknown(Dialect::OpenAi);
        for (method, path, route) in [
            (Method::POST, "/v1/chat/completions", Route::Model(Endpoint::ChatCompletions)),
            (Method::GET, "/v1/chat/completions", Route::WrongMethod(Dialect::OpenAi, "POST")),
            (Method::POST, "/v1/models", Route::WrongMethod(Dialect::OpenAi, "GET")),
            (Method::POST, "/v1/chat/completions/", unknown.clone()),
            (Method::POST, "/v1//chat/completions", unknown.clone()),
            (Method::POST, "/v1/./chat/completions", unknown.clone()),
            (Method::POST, "/v1/chat/../chat/completions", unknown.clone()),
            (Method::POST, "/v1/ch%61t/completions", unknown.clone()),
            (Method::POST, "/V1/chat/completions", Route::Other),
            (Method::POST, "/v1%2fchat/completions", Route::BadPath),
            (Method::POST, "/v1/chat%5ccompletions", Route::BadPath),
            (Method::POST, "/v1/chat/completions%00", Route::BadPath),
            (Method::POST, "/v1/chat/completions%", Route::BadPath),
            (Method::POST, "/v1/messages/batches", Route::Unknown(Dialect::Anthropic)),
            (Method::GET, "/v1/messages", Route::WrongMethod(Dialect::Anthropic, "POST")),
            (Method::DELETE, "/v1/responses/resp_1", Route::StoredResponse),
            (Method::GET, "/v1/responses/resp_1/input_items", Route::StoredResponse),
            (Method::POST, "/api/pull", Route::Management),
            (Method::HEAD, "/api/blobs/sha256:0", Route::Management),
            (Method::DELETE, "/api/delete", Route::Management),
            (Method::POST, "/api/nothing", Route::Unknown(Dialect::Ollama)),
            (Method::GET, "/api/v1/keys", Route::Other),
            (Method::GET, "/", Route::Other),
        ] {
            assert_eq!(find(&method, path), route, "{method} {path}");
        }
    }

    #[test]
    fn a_models_id_is_decoded_once_and_may_hold_slashes() {
        for (path, id) in [
            ("/v1/models/demo", Some("demo")),
            ("/v1/models/org/model:7b", Some("org/model:7b")),
            ("/v1/models/org%2Fmodel", Some("org/model")),
            ("/v1/models/a%252F", Some("a%2F")),
            ("/v1/models/../keys", None),
            ("/v1/models/a%2F..%2Fb", None),
            ("/v1/models/a//b", None),
            ("/v1/models/%00", None),
            ("/v1/models/%ff", None),
            ("/v1/models/%2", None),
        ] {
            assert_eq!(model_id(path).as_deref(), id, "{path}");
        }
    }

    #[test]
    fn every_model_route_is_found_by_its_path() {
        for (method, path, endpoint) in MODEL_ROUTES {
            assert_eq!(find(&method, path), Route::Model(endpoint));
            assert_eq!(endpoint.path(), path);
        }
        assert!(MODEL_ROUTES.iter().all(|(_, _, endpoint)| Endpoint::ALL.contains(endpoint)));
    }
}
