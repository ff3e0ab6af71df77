//! Members that are objects. serde takes an array for a struct too, its values in their order; whoever
//! writes one to us means something else.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads one that may be absent, or `null`.
pub(crate) fn option<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(value)?.map(|object| object.0))
}

/// Reads a list of them.
pub(crate) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Object<T>>::deserialize(value)?;
    Ok(objects.into_iter().map(|object| object.0).collect())
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_map(MapAlone(PhantomData)).map(Self)
    }
}

struct MapAlone<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MapAlone<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
