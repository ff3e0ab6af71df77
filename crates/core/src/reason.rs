//! The one closed list of refusals. A reason gives the status, the stable code that clients may
//! rely on (also the metric label), and whose fault it is. No other place chooses a status.

use http::StatusCode;

/// Whose fault a refusal is: decides the log level and who has to act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request can't be served as it is.
    Client,
    /// A model server failed us.
    Upstream,
    /// We, or a store of ours, can't serve it now.
    Gateway,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:ident, $code:literal, $fault:ident;)+) => {
        /// Why a request was refused or cut short.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the list: metrics register one counter for each.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// The stable code, in answers and as a metric label.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)+ }
            }
        }
    };
}

reasons! {
    // Framing and routing, before anybody is identified.
    /// The request line or the headers break RFC 9112 in a way that we refuse.
    BadFraming = BAD_REQUEST, "bad_framing", Client;
    /// The path holds an encoded slash, a backslash or a control byte.
    BadPath = BAD_REQUEST, "bad_path", Client;
    /// No such route.
    UnknownRoute = NOT_FOUND, "unknown_route", Client;
    /// A known route with another method; the answer carries `Allow`.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", Client;
    /// A management route of Ollama: models are managed on the model server itself.
    ManagementRoute = FORBIDDEN, "management_route", Client;

    // Who is calling.
    /// No credential at all.
    MissingKey = UNAUTHORIZED, "missing_api_key", Client;
    /// Not of a key's form, unknown, or with a wrong secret.
    InvalidKey = UNAUTHORIZED, "invalid_api_key", Client;
    /// The right secret of a key that was revoked.
    KeyRevoked = UNAUTHORIZED, "key_revoked", Client;
    /// The right secret of a key that has expired.
    KeyExpired = UNAUTHORIZED, "key_expired", Client;
    /// The right secret or password of a disabled account.
    AccountDisabled = UNAUTHORIZED, "account_disabled", Client;
    /// An access token that isn't one of ours.
    InvalidSession = UNAUTHORIZED, "invalid_session", Client;
    /// An access token of ours, or its session, whose time is over.
    SessionExpired = UNAUTHORIZED, "session_expired", Client;
    /// An access token of a session that was ended.
    SessionEnded = UNAUTHORIZED, "session_ended", Client;
    /// The key may not be used from this address.
    AddressNotAllowed = FORBIDDEN, "address_not_allowed", Client;
    /// The key doesn't open this part of the gateway.
    ScopeMissing = FORBIDDEN, "scope_missing", Client;
    /// The key may not use this model.
    ModelNotAllowed = FORBIDDEN, "model_not_allowed", Client;
    /// The accounts store can't answer and the key isn't known here.
    KeyCheckUnavailable = SERVICE_UNAVAILABLE, "key_check_unavailable", Gateway;
    /// A wrong or missing operator token on the admin listener.
    InvalidAdminToken = UNAUTHORIZED, "invalid_admin_token", Client;

    // The body.
    /// Encoded in a way that we don't decode.
    UnsupportedEncoding = UNSUPPORTED_MEDIA_TYPE, "unsupported_content_encoding", Client;
    /// Not of a media type that the route takes.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", Client;
    /// Larger than the limit of one body.
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body_too_large", Client;
    /// The bodies in flight, all together, are at their limit.
    BodiesInFlight = SERVICE_UNAVAILABLE, "bodies_in_flight", Gateway;
    /// The body stopped coming.
    BodyStalled = REQUEST_TIMEOUT, "body_stalled", Client;
    /// The body ended early or its chunks are malformed.
    BodyBroken = BAD_REQUEST, "body_broken", Client;
    /// Not one JSON object.
    InvalidJson = BAD_REQUEST, "invalid_json", Client;
    /// Nested deeper than the limit.
    JsonTooDeep = BAD_REQUEST, "json_too_deep", Client;
    /// A policy field stands twice or in another case, or the text isn't clean UTF-8.
    AmbiguousField = BAD_REQUEST, "ambiguous_field", Client;
    /// A field is missing or of a wrong type; the answer names it.
    InvalidField = BAD_REQUEST, "invalid_field", Client;

    // Which model.
    /// No upstream offers the model.
    ModelNotFound = NOT_FOUND, "model_not_found", Client;
    /// The upstreams that offer the model don't have the route.
    RouteNotOffered = NOT_FOUND, "route_not_offered", Upstream;
    /// No upstream has ever answered with its models.
    ModelsUnknown = SERVICE_UNAVAILABLE, "models_unknown", Upstream;
    /// A request to unload a model.
    UnloadRefused = FORBIDDEN, "unload_refused", Client;

    // The upstream.
    /// No upstream that offers the model can be reached.
    UpstreamUnavailable = SERVICE_UNAVAILABLE, "upstream_unavailable", Upstream;
    /// The upstream didn't begin to answer in time.
    UpstreamTimeout = GATEWAY_TIMEOUT, "upstream_timeout", Upstream;
    /// The upstream refused our own credential.
    UpstreamAuth = BAD_GATEWAY, "upstream_auth", Upstream;
    /// The upstream answered with a server error.
    UpstreamError = BAD_GATEWAY, "upstream_error", Upstream;
    /// The upstream says that it can't serve now.
    UpstreamOverloaded = SERVICE_UNAVAILABLE, "upstream_overloaded", Upstream;
    /// The upstream answered with a redirect, which is never followed.
    UpstreamRedirect = BAD_GATEWAY, "upstream_redirect", Upstream;
    /// The upstream's answer isn't HTTP, or ended before its head.
    UpstreamBroken = BAD_GATEWAY, "upstream_broken", Upstream;
    /// The upstream died in the middle of its answer.
    UpstreamDied = BAD_GATEWAY, "upstream_died", Upstream;
    /// The upstream fell silent in the middle of its answer.
    UpstreamStalled = GATEWAY_TIMEOUT, "upstream_stalled", Upstream;
    /// The whole request took longer than its limit.
    RequestTimeout = GATEWAY_TIMEOUT, "request_timeout", Upstream;

    // Our own API.
    /// A body or a parameter of our own API isn't what the route takes.
    InvalidRequest = BAD_REQUEST, "invalid_request", Client;
    /// No such object.
    NotFound = NOT_FOUND, "not_found", Client;
    /// It exists already, or was used before.
    Conflict = CONFLICT, "conflict", Client;
    /// A repeated create: the answer names what the earlier one made.
    AlreadyCreated = CONFLICT, "already_created", Client;
    /// A browser sent it from another site's page, or can't prove that it didn't.
    CrossOrigin = FORBIDDEN, "cross_origin", Client;
    /// Who asks isn't an administrator, or it isn't theirs to change.
    NotAllowed = FORBIDDEN, "not_allowed", Client;
    /// Signing in with an unknown address or a wrong password.
    InvalidCredentials = UNAUTHORIZED, "invalid_credentials", Client;
    /// A refresh token that was replaced a moment ago: another tab was faster.
    RefreshSuperseded = CONFLICT, "refresh_superseded", Client;
    /// A refresh token that was replaced before: its session has ended.
    RefreshReplayed = UNAUTHORIZED, "refresh_replayed", Client;
    /// Signing in by cookie where a browser would drop the cookie.
    HttpsRequired = BAD_REQUEST, "https_required", Client;
    /// Nobody may register, or not without an invitation.
    RegistrationClosed = FORBIDDEN, "registration_closed", Client;
    /// A link or token that is unknown, used or expired.
    InvalidToken = FORBIDDEN, "invalid_token", Client;
    /// The accounts store can't answer.
    StoreUnavailable = SERVICE_UNAVAILABLE, "store_unavailable", Gateway;
    /// As many passwords are being checked as there may be at once.
    PasswordsBusy = SERVICE_UNAVAILABLE, "passwords_busy", Gateway;
    /// Too many attempts to log in have failed: the next one has to wait.
    LoginThrottled = TOO_MANY_REQUESTS, "login_throttled", Client;

    // The rest.
    /// The client went away; nobody reads this answer.
    ClientGone = BAD_REQUEST, "client_gone", Client;
    /// The gateway is draining.
    ShuttingDown = SERVICE_UNAVAILABLE, "shutting_down", Gateway;
    /// A fault of ours; the cause is in the log.
    Internal = INTERNAL_SERVER_ERROR, "internal_error", Gateway;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_fit_for_a_label() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()), "{} stands twice", reason.code());
            assert!(reason.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert!(reason.status().is_client_error() || reason.status().is_server_error());
        }
    }
}
