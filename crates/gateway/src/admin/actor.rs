//! Who asks our own API: the operator by their token, on the admin listener; elsewhere a person by
//! a session, or a key with a scope for it.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use fluxgate_core::admin_api::{Role, Scope};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{KeyId, Reason, SessionId, UserId};
use http::request::Parts;

use super::problem::{Problem, STORE_RETRY_AFTER};
use crate::app::{App, SharedApp};
use crate::auth::credential::{Credential, CredentialId};
use crate::auth::directory::{Found, Occasion};
use crate::auth::identify;
use crate::auth::origin::Origin;
use crate::listen::{ClientAddr, ListenerKind};

/// See the module. It stands in the extensions of a request whose route asks for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    Operator,
    Person { user: UserId, role: Role, session: SessionId },
    Key { key: KeyId, owner: UserId, reads_usage: bool },
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
    let from = CameFrom::of(head)?;
    let credential = shown(app, head, from.kind)?;
    let address = from.client.0.into();
    let occasion = Occasion::of(credential.id(), address);
    let found = app.directory.look_up(credential.id(), occasion).await;
    if matches!(found, Found::CantTell) {
        let text = "Who asks can't be looked up right now. Try again shortly.";
        return Err(Problem::new(Reason::StoreUnavailable, text).retry_after(STORE_RETRY_AFTER));
    }
    let principal = match identify::open(found, &credential) {
        Ok(principal) => principal,
        Err(refusal) => {
            // A key that there is, with another secret: a guess as well.
            app.directory.guessed(address);
            return Err(refusal.into());
        }
    };
    principal.check_alive(Utc::now())?;
    let user = principal.caller.user;
    let actor = match principal.caller.credential {
        CredentialId::Session(session) => {
            let role = principal.role().unwrap_or(Role::Member);
            Actor::Person { user, role, session }
        }
        CredentialId::Key(key) => {
            principal.check_from(from.client.0)?;
            Actor::Key { key, owner: user, reads_usage: principal.has(Scope::UsageRead) }
        }
    };
    Named::name(head, actor);
    Ok(actor)
}

fn shown<'a>(app: &App, head: &'a Parts, kind: ListenerKind) -> Result<Credential<'a>, Problem> {
    let settings = app.settings.load();
    let credential = Credential::read(&head.headers, None, &settings.access_tokens, Utc::now())?;
    let by_cookie = matches!(credential, Credential::Session { by_cookie: true, .. });
    if by_cookie && !head.method.is_safe() {
        let public_url = settings.public_url.as_ref();
        Origin::of(&head.headers, &head.uri, kind, public_url).require_ours()?;
    }
    Ok(credential)
}

/// Where a request came from and came in.
#[derive(Clone, Copy, Debug)]
pub struct CameFrom {
    pub client: ClientAddr,
    pub kind: ListenerKind,
}

impl CameFrom {
    /// # Errors
    /// 500 where our own listener didn't tell.
    pub fn of(head: &Parts) -> Result<Self, Problem> {
        let (client, kind) =
            (head.extensions.get::<ClientAddr>(), head.extensions.get::<ListenerKind>());
        let (Some(client), Some(kind)) = (client, kind) else {
            return Err(Problem::new(Reason::Internal, "The gateway failed."));
        };
        Ok(Self { client: *client, kind: *kind })
    }
}

/// Who acts in a request, once that is known: the audit log reads it behind the handler.
#[derive(Clone, Default, Debug)]
pub struct Named(Arc<OnceLock<Actor>>);

impl Named {
    /// Notes it for a request that is written down.
    pub fn name(head: &Parts, actor: Actor) {
        if let Some(named) = head.extensions.get::<Self>() {
            // Nobody becomes somebody else in the middle of a request.
            let _ = named.0.set(actor);
        }
    }

    #[must_use]
    pub fn get(&self) -> Option<Actor> {
        self.0.get().copied()
    }
}

/// Lets a request pass from somebody who may read what was used.
pub async fn require_reader(
    State(app): State<SharedApp>,
    request: Request,
    next: Next,
) -> Response {
    pass(&app, request, next, |actor| match actor {
        Actor::Key { reads_usage: false, .. } => {
            let text = "This API key doesn't have the scope `usage:read`.";
            Err(Problem::new(Reason::ScopeMissing, text))
        }
        Actor::Operator | Actor::Person { .. } | Actor::Key { .. } => Ok(()),
    })
    .await
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
    match check(actor) {
        Ok(()) => {
            head.extensions.insert(actor);
            next.run(Request::from_parts(head, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn not_for_keys() -> Problem {
    Problem::new(Reason::ScopeMissing, "An API key doesn't open this route: sign in for it.")
}
