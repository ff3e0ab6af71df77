//! The `{id}` of a route. What isn't text names nothing, as any other id that nobody has.

use axum::extract::{FromRequestParts, Path};
use fluxgate_core::Reason;
use http::request::Parts;

use super::problem::Problem;

/// See the module. It may still be of no id's form.
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unknown = |_| Problem::new(Reason::NotFound, "There is nothing with this id.");
        Path::from_request_parts(parts, state).await.map(|Path(id)| Self(id)).map_err(unknown)
    }
}
