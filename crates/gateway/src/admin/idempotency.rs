//! `Idempotency-Key`: a create that is repeated, because its answer was lost, makes nothing.

use fluxgate_core::Reason;
use http::{HeaderMap, HeaderName};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, Required};

use super::problem::Problem;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// A caller's own name for a request to make something.
///
/// # Errors
/// 400 for what can't be one.
pub fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let is_key =
        |text: &&str| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()) && !text.contains('\t');
    let text = value.to_str().ok().filter(is_key);
    let text = text.ok_or_else(|| {
        Problem::new(
            Reason::InvalidRequest,
            "`Idempotency-Key`: expected 1 to 255 visible ASCII characters.",
        )
    })?;
    Ok(Some(text))
}

/// The header, as the document describes it.
pub enum IdempotencyKey {}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX))
            .pattern(Some("^[ -~]*[!-~][ -~]*$"));
        let meaning = "The caller's own name for this request. Repeated, it makes nothing: 409 \
            `already_created` with the `id` of what was made.";
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(meaning))
            .schema(Some(text));
        vec![parameter.build()]
    }
}
