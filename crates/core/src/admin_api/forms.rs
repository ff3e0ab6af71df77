//! The forms of text in the shapes, as the document of the API tells them. No value is of these
//! types: the gateway checks the text where it arrives.

use utoipa::ToSchema;

/// A name that people give to something: 1 to 64 printable characters, not white space alone.
#[derive(Debug, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = r"^(?=.*\S)[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$"
)]
pub struct Name(pub String);

/// An address of mail, of at most 254 bytes; in whatever case it is written, it is the same one.
#[derive(Debug, ToSchema)]
#[schema(
    format = "email",
    max_length = 254,
    pattern = r"^\s*[^\s@\u0000-\u001f\u007f-\u009f]+@[^\s@.\u0000-\u001f\u007f-\u009f][^\s@\u0000-\u001f\u007f-\u009f]*\.([^\s@\u0000-\u001f\u007f-\u009f]*[^\s@.\u0000-\u001f\u007f-\u009f])\s*$"
)]
pub struct EmailAddress(pub String);

/// A password that somebody may choose: 15 to 1,024 bytes, not a common one and not the account's
/// own name.
#[derive(Debug, ToSchema)]
#[schema(format = Password, min_length = 15, max_length = 1024)]
pub struct ChosenPassword(pub String);

/// A glob of models' names: 1 to 256 bytes, printable.
#[derive(Debug, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 256,
    pattern = r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]*$",
    examples("llama3*")
)]
pub struct ModelGlob(pub String);

/// A network: an address, and how many of its bits count.
#[derive(Debug, ToSchema)]
#[schema(pattern = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$", examples("10.0.0.0/8", "2001:db8::/32"))]
pub struct Network(pub String);

/// The name of a header that means nothing else.
#[derive(Debug, ToSchema)]
#[schema(
    min_length = 1,
    pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
    examples("X-OpenWebUI-User-Id")
)]
pub struct PersonHeader(pub String);
