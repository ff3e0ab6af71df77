//! Who asks our own API: the operator by their token, on the admin listener; elsewhere a person by
//! a session, or a key with a scope for it.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use fluxgate_core::admin_api::{Role, Scope};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{KeyId, Reason, SessionId, UserId};
use http::request::Parts;

use super::problem::Problem;
use crate::app::App;
use crate::app::SharedApp;
use crate::auth::credential::{Credential, CredentialId};
use crate::auth::directory::Occasion;
use crate::auth::identify;
use crate::auth::origin::Origin;
use crate::listen::ClientAddr;

/// See the module. It stands in the extensions of a request whose route asks for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    Operator,
    Person { user: UserId, role: Role, session: SessionId },
    Key { key: KeyId, owner: UserId },
}

impl Actor {
    /// As whom they make things.
    #[must_use]
    pub const fn user(self) -> UserId {
        match self {
            Self::Operator => OPERATOR,
            Self::Person { user, .. } => user,
            Self::Key { owner, .. } => owner,
        }
    }

    #[must_use]
    pub const fn is_admin(self) -> bool {
        match self {
            Self::Operator | Self::Person { role: Role::Admin, .. } => true,
            Self::Person { role: Role::Member, .. } | Self::Key { .. } => false,
        }
    }

    #[must_use]
    pub const fn session(self) -> Option<SessionId> {
        match self {
            Self::Person { session, .. } => Some(session),
            Self::Operator | Self::Key { .. } => None,
        }
    }

    /// As the audit log names them.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Operator => "operator".to_owned(),
            Self::Person { user, .. } => format!("user:{user}"),
            Self::Key { key, .. } => format!("key:{key}"),
        }
    }
}

/// Finds out who sends a request to our own API.
///
/// # Errors
/// 401, 403 for another site's page, 503 where we can't tell.
pub async fn of(app: &App, head: &Parts) -> Result<Actor, Problem> {
    if let Some(actor) = head.extensions.get::<Actor>() {
        return Ok(*actor);
    }
    let client = head.extensions.get::<ClientAddr>().copied();
    let client = client.ok_or_else(|| Problem::new(Reason::MissingKey, "Who asks isn't known."))?;
    let credential = {
        let settings = app.settings.load();
        let now = Utc::now();
        let credential = Credential::read(&head.headers, None, &settings.access_tokens, now)?;
        let by_cookie = matches!(credential, Credential::Session { by_cookie: true, .. });
        if by_cookie && !head.method.is_safe() {
            let public_url = settings.public_url.as_ref();
            if Origin::of(&head.headers, &head.uri, public_url) != Origin::Ours {
                return Err(identify::cross_origin().into());
            }
        }
        credential
    };
    let occasion = Occasion::PresentedFrom(client.0.into());
    let found = app.directory.look_up(credential.id(), occasion).await;
    let principal = identify::open(found, &credential)?;
    principal.check_alive(Utc::now())?;
    let user = principal.caller.user;
    match (principal.caller.credential, principal.role()) {
        (CredentialId::Session(session), Some(role)) => Ok(Actor::Person { user, role, session }),
        (CredentialId::Key(key), _) => {
            principal.check_use(client.0, Scope::UsageRead)?;
            Ok(Actor::Key { key, owner: user })
        }
        (CredentialId::Session(_), None) => {
            Err(Problem::new(Reason::InvalidSession, "This session isn't one."))
        }
    }
}

/// Lets a request pass from somebody who is known.
pub async fn require(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    pass(&app, request, next, |_| Ok(())).await
}

/// Lets a request pass from a person or the operator: keys are for programs.
pub async fn require_person(
    State(app): State<SharedApp>,
    request: Request,
    next: Next,
) -> Response {
    pass(&app, request, next, |actor| match actor {
        Actor::Operator | Actor::Person { .. } => Ok(()),
        Actor::Key { .. } => Err(not_for_keys()),
    })
    .await
}

/// Lets a request pass from an administrator.
pub async fn require_admin(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    pass(&app, request, next, |actor| match actor {
        Actor::Key { .. } => Err(not_for_keys()),
        actor if actor.is_admin() => Ok(()),
        _ => Err(Problem::new(Reason::NotAllowed, "This is for administrators.")),
    })
    .await
}

async fn pass(
    app: &App,
    request: Request,
    next: Next,
    check: impl Fn(Actor) -> Result<(), Problem>,
) -> Response {
    let (mut head, body) = request.into_parts();
    let actor = match of(app, &head).await {
        Ok(actor) => actor,
        Err(problem) => return problem.into_response(),
    };
    let mut response = match check(actor) {
        Ok(()) => {
            head.extensions.insert(actor);
            next.run(Request::from_parts(head, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(actor);
    response
}

fn not_for_keys() -> Problem {
    Problem::new(Reason::ScopeMissing, "An API key doesn't open this route: sign in for it.")
}
