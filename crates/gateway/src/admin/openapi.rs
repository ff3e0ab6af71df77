//! The document of our own API (OpenAPI 3.1): made of what stands at the handlers and the shapes, so
//! that it says what they do.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fluxgate_core::admin_api::{ProblemDetails, UsageBy};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Description, RefOr};
use utoipa::{Modify, OpenApi};

use super::refusals::{self, Always};
use super::{audit, invites, keys, sign_in, teams, usage, users};
use crate::auth::cookies;

/// Our own API, for programs.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fluxgate",
        description = "Accounts, sessions, API keys, teams, usage and the audit log of one Fluxgate. \
            The models' APIs are those of OpenAI, Anthropic and Ollama, and not described here.",
        license(name = "MIT", identifier = "MIT"),
    ),
    paths(
        document,
        sign_in::set_up::set_up,
        sign_in::register::register,
        sign_in::log_in::log_in,
        sign_in::refresh::refresh,
        sign_in::log_out::log_out,
        sign_in::password::set,
        sign_in::sessions::me,
        sign_in::sessions::list,
        sign_in::sessions::end,
        keys::list,
        keys::create,
        keys::update,
        keys::revoke,
        keys::rotate,
        usage::list,
        users::list,
        users::create,
        users::update,
        users::reset,
        teams::list,
        teams::create,
        teams::update,
        teams::delete,
        invites::list,
        invites::create,
        invites::withdraw,
        audit::list,
    ),
    components(schemas(ProblemDetails, UsageBy)),
    modifiers(&Credentials, &Refusals, &BodiesThatMayBeLeftOut),
)]
struct Document;

/// `/api/v1/openapi.json`
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    // Maps and strings: there is nothing in it that JSON can't hold.
    serde_json::to_vec(&Document::openapi()).unwrap_or_default().into()
});

/// This document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "describe",
    tag = "document",
    responses((status = 200, description = "An OpenAPI document.", body = Object), Always),
)]
pub async fn document() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // A newer program brings a newer document.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, DOCUMENT.clone()).into_response()
}

/// By what somebody shows who they are.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Description) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "The access token of a log-in with `grant: \"bearer\"`; on the admin listener \
             `ADMIN_TOKEN`; an API key where `api_key` is taken too.",
        ));
        let session = ApiKeyValue::with_description(
            cookies::SESSION,
            "Set by a log-in. What changes something has to come from a page of the gateway's own.",
        );
        let api_key =
            ApiKeyValue::with_description("x-api-key", "An API key with the scope `usage:read`.");
        let components = document.components.get_or_insert_with(Components::new);
        components.security_schemes.extend([
            ("bearer".to_owned(), SecurityScheme::Http(bearer.build()).into()),
            ("session".to_owned(), SecurityScheme::ApiKey(ApiKey::Cookie(session)).into()),
            ("api_key".to_owned(), SecurityScheme::ApiKey(ApiKey::Header(api_key)).into()),
        ]);
    }
}

/// What [`refusals`] refers to.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut Description) {
        document.components.get_or_insert_with(Components::new).responses.extend(refusals::all());
    }
}

/// A body that may be left out is still no `null`.
struct BodiesThatMayBeLeftOut;

impl Modify for BodiesThatMayBeLeftOut {
    fn modify(&self, document: &mut Description) {
        let posts = document.paths.paths.values_mut().filter_map(|item| item.post.as_mut());
        let bodies = posts.filter_map(|operation| operation.request_body.as_mut());
        for body in
            bodies.filter_map(|body| if let RefOr::T(body) = body { Some(body) } else { None })
        {
            for content in body.content.values_mut() {
                let RefOr::T(content) = content else { continue };
                if let Some(RefOr::T(Schema::OneOf(shapes))) = &content.schema {
                    let shape = shapes.items.iter().find(|shape| matches!(shape, RefOr::Ref(_)));
                    content.schema = shape.cloned();
                }
            }
        }
    }
}
