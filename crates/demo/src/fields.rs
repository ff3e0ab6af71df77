//! Reading the members of a request's body: each is absent, of its type, or a fault that names it.
//! Knows no dialect; `null` means absent in all of them.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::reply::Fault;

/// The body as JSON.
///
/// # Errors
/// 400 for what is no JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        Fault::new(StatusCode::BAD_REQUEST, format!("The body is not valid JSON: {error}."))
            .code("invalid_json")
    })
}

/// One object of the body and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    members: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// # Errors
    /// 400 where `value` is no object; `path` names it, empty for the body itself.
    pub(crate) fn of(value: &'a Value, path: impl Into<String>) -> Result<Self, Fault> {
        let path = path.into();
        match value.as_object() {
            Some(members) => Ok(Self { members, path }),
            None if path.is_empty() => {
                Err(Fault::new(StatusCode::BAD_REQUEST, "The body must be a JSON object."))
            }
            None => Err(wrong(&path, "an object", value)),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Where a member stands, for a fault.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn wrong(&self, name: &str, wanted: &str) -> Fault {
        wrong(&self.path(name), wanted, self.get(name).unwrap_or(&Value::Null))
    }

    pub(crate) fn missing(&self, name: &str) -> Fault {
        let path = self.path(name);
        let message = format!("'{path}' is required.");
        Fault::field(path, message)
    }

    pub(crate) fn string(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.typed(name, "an integer", Value::as_i64)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.typed(name, "a number", Value::as_f64)
    }

    pub(crate) fn array(&self, name: &str) -> Result<Option<&'a [Value]>, Fault> {
        self.typed(name, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Fields<'a>>, Fault> {
        self.get(name).map(|value| Fields::of(value, self.path(name))).transpose()
    }

    /// Each member of an array as an object.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Fields<'a>>, Fault> {
        let items = self.array(name)?.unwrap_or_default();
        let fields = |(at, item)| Fields::of(item, format!("{}[{at}]", self.path(name)));
        items.iter().enumerate().map(fields).collect()
    }

    /// A whole number of at least `min`, where a smaller one has no meaning.
    pub(crate) fn at_least(&self, name: &str, min: i64) -> Result<Option<i64>, Fault> {
        match self.integer(name)? {
            Some(number) if number < min => {
                let path = self.path(name);
                let message = format!("'{path}' must be at least {min}.");
                Err(Fault::field(path, message))
            }
            number => Ok(number),
        }
    }

    /// One string or several.
    pub(crate) fn strings(&self, name: &str) -> Result<Vec<String>, Fault> {
        let wanted = "a string or an array of strings";
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(several)) => several
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong(name, wanted)),
            Some(_) => Err(self.wrong(name, wanted)),
        }
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                read(value).map(Some).ok_or_else(|| wrong(&self.path(name), wanted, value))
            }
        }
    }
}

fn wrong(path: &str, wanted: &str, value: &Value) -> Fault {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Fault::field(path, format!("Expected '{path}' to be {wanted}, got {got}.")).code("invalid_type")
}
