//! One-time links, for administrators: where each kind leads, how long it lasts, how it is made.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use fluxgate_core::admin_api::CreatedLink;
use fluxgate_core::{LinkId, Reason};

use super::STORED_DIGITS;
use super::actor::Actor;
use super::problem::Problem;
use crate::app::App;
use crate::store::{LinkAbout, LinkCreation, NewLink};

/// A kind of link: where it leads, and how long it may be good for.
pub(super) struct LinkKind {
    page: &'static str,
    lasts: TimeDelta,
    lasts_at_most: TimeDelta,
}

/// Somebody registers by it.
pub(super) const INVITES: LinkKind =
    LinkKind { page: "register", lasts: TimeDelta::days(7), lasts_at_most: TimeDelta::days(30) };
/// Somebody sets another password by it.
pub(super) const RESETS: LinkKind =
    LinkKind { page: "reset", lasts: TimeDelta::days(1), lasts_at_most: TimeDelta::days(7) };

/// Makes a link. Its token stands in the answer and nowhere else.
pub(super) async fn make(
    app: &App,
    actor: Actor,
    kind: &LinkKind,
    about: LinkAbout,
    expires_at: Option<DateTime<Utc>>,
    idempotency_key: Option<&str>,
) -> Result<CreatedLink, Problem> {
    let now = Utc::now().trunc_subsecs(STORED_DIGITS);
    let expires_at = expires_at.map_or(now + kind.lasts, |end| end.trunc_subsecs(STORED_DIGITS));
    if expires_at <= now || expires_at > now + kind.lasts_at_most {
        let days = kind.lasts_at_most.num_days();
        let text = format!("`expires_at`: expected a time within {days} days.");
        return Err(Problem::new(Reason::InvalidRequest, text));
    }
    let origin = app.page_origin().ok_or_else(|| {
        let text = "Nobody could open a link: set `listen.public_url` to where the pages are.";
        Problem::new(Reason::Conflict, text)
    })?;
    let token = app.one_time.draw();
    let new = NewLink {
        id: LinkId::generate(),
        sha256: token.sha256,
        created_at: now,
        expires_at,
        about,
    };
    match app.store.create_link(&new, actor.user(), idempotency_key).await? {
        LinkCreation::Created => {}
        LinkCreation::AlreadyCreated(id) => {
            let text = "This request was repeated: the link was made before, and shown then.";
            return Err(Problem::new(Reason::AlreadyCreated, text).about(id.to_string()));
        }
        LinkCreation::UserDisabled => {
            let text = "This user is disabled: enable them first.";
            return Err(Problem::new(Reason::Conflict, text));
        }
        LinkCreation::UnknownUser => {
            return Err(Problem::new(Reason::NotFound, "There is no user with this id."));
        }
    }
    let link = format!("{origin}/{}#{}", kind.page, token.text.expose());
    Ok(CreatedLink { id: new.id, link, expires_at })
}
