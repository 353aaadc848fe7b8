//! Lets nothing but a JSON object be read as a structure. serde's derived code also takes a list for one, field by
//! field in their order: `"budget": [1, 2]`. No document of ours says that, and a list sent by mistake is told nothing.
//!
//! What serde keeps aside first — the content of a tagged or untagged enumeration — it reads by itself, out of reach of
//! this. A field in there that holds a structure says `#[serde(deserialize_with = "crate::decode::objects")]`.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

/// Reads a `T` in which every structure is an object.
///
/// # Errors
/// When one is a list, and as `T`.
pub fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    T::deserialize(Objects(input))
}

/// A source of data, or a part of one, that gives structures as objects only.
struct Objects<T>(T);

/// A visitor of one value.
struct Reader<V> {
    inner: V,
    /// Whether the value is to be an object.
    object: bool,
}

/// How serde's derived code calls an enumeration whose objects name their variant in a field.
const TAGGED: &str = "internally tagged enum ";

/// What a visitor expects, as text.
struct Expected<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> fmt::Display for Expected<'_, V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(out)
    }
}

macro_rules! reading {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Reader { inner: visitor, object: false })
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    reading! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Reader { inner: visitor, object: true })
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Reader { inner: visitor, object: false })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Reader { inner: visitor, object: false })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Reader { inner: visitor, object: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Reader { inner: visitor, object: false })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Reader { inner: visitor, object: false })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visiting {
    ($($method:ident: $kind:ty),* $(,)?) => {
        $(fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reader<V> {
    type Value = V::Value;

    visiting! {
        visit_bool: bool, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128, visit_f32: f32,
        visit_f64: f64, visit_char: char, visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>,
    }

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(out)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Objects(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Objects(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.object || Expected(&self.inner).to_string().starts_with(TAGGED) {
            return Err(A::Error::invalid_type(Unexpected::Other("a list"), &"an object"));
        }
        self.inner.visit_seq(Objects(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Objects(fields))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Objects(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(input))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Objects(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, content) = self.0.variant_seed(Objects(seed))?;
        Ok((name, Objects(content)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Reader { inner: visitor, object: false })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Reader { inner: visitor, object: true })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use crate::decode::{from_json, from_value};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Point {
        x: i64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Plain {
        Unit,
        Wrapped(Point),
        Fields { x: i64 },
        Pair(i64, i64),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Tagged {
        Inner {
            #[serde(default, deserialize_with = "crate::decode::objects")]
            at: Option<Point>,
        },
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Everything {
        point: Option<Point>,
        points: Vec<Point>,
        named: std::collections::BTreeMap<String, Point>,
        plain: Option<Plain>,
        tagged: Option<Tagged>,
        pair: Option<(i64, String)>,
        any: Value,
    }

    #[test]
    fn a_list_is_no_object_wherever_it_stands() {
        let fault = from_json::<Everything>(br#"{"point":[1]}"#).unwrap_err();
        assert_eq!(fault.detail, "invalid type: a list, expected an object at line 1 column 10");
        for (body, field) in [
            (json!([]), ""),
            (json!({"point": [1]}), "point"),
            (json!({"point": []}), "point"),
            (json!({"points": [{"x": 1}, [2]]}), "points[1]"),
            (json!({"named": {"a": [1]}}), "named.a"),
            (json!({"plain": {"wrapped": [1]}}), "plain.wrapped"),
            (json!({"plain": {"fields": [1]}}), "plain.fields"),
            (json!({"tagged": ["inner", null]}), "tagged"),
            (json!({"tagged": {"kind": "inner", "at": [1]}}), "tagged"),
        ] {
            let faults = [
                from_json::<Everything>(body.to_string().as_bytes()).unwrap_err(),
                from_value::<Everything>(body.clone()).unwrap_err(),
            ];
            for fault in faults {
                assert!(fault.detail.starts_with("invalid type: "), "{body}: {}", fault.detail);
                assert_eq!(fault.field, field, "{body}");
            }
        }
    }

    #[test]
    fn everything_else_is_read_as_before() {
        for body in [
            json!({}),
            json!({"point": null, "points": [], "named": {}, "plain": "unit"}),
            json!({"point": {"x": 1}, "points": [{"x": 1}], "named": {"a": {"x": -1}}}),
            json!({"plain": {"wrapped": {"x": 1}}, "tagged": {"kind": "inner", "at": {"x": 2}}}),
            json!({"plain": {"fields": {"x": 1}}, "pair": [1, "a"], "any": [1, {"x": [2]}]}),
            json!({"plain": {"pair": [1, 2]}, "tagged": {"kind": "inner"}, "any": "text"}),
        ] {
            let known: Everything = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(from_value::<Everything>(body.clone()), Ok(known), "{body}");
            let known: Everything = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(from_json::<Everything>(body.to_string().as_bytes()), Ok(known), "{body}");
        }
    }
}
