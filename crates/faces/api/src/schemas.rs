//! Rules of the document that the derived schemas cannot say: alternatives, rules between two fields, and limits of
//! types.

use utoipa::Number;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{Content, OpenApi, RefOr};

use crate::actions::operations;
use crate::images::reference;

/// CPU as text: whole cores, cores with a fraction, or thousandths.
const CPU: &str = r"^([0-9]{1,9}(\.[0-9]{1,3})?|[0-9]{1,12}m)$";
/// Bytes as text: less than 10^18, whatever the unit. (What lies between the largest number here and that in a unit of
/// 1024 is taken too.)
const BYTES: &str = concat!(
    r"^([0-9]{1,18}B?",
    r"|([0-9]{1,14}|[0-8][0-9]{14}|9[0-6][0-9]{13}|97[0-5][0-9]{12})(\.[0-9]{1,2})?Ki",
    r"|([0-9]{1,11}|[0-8][0-9]{11}|9[0-4][0-9]{10}|95[0-2][0-9]{9})(\.[0-9]{1,2})?Mi",
    r"|([0-9]{1,8}|[0-8][0-9]{8}|9[0-2][0-9]{7})(\.[0-9]{1,2})?Gi",
    r"|([0-9]{1,5}|[0-8][0-9]{5}|90[0-8][0-9]{3})(\.[0-9]{1,2})?Ti",
    r"|([0-9]{1,2}|[0-7][0-9]{2}|8[0-7][0-9]|88[0-7])(\.[0-9]{1,2})?Pi",
    r"|[0-9]{1,15}(\.[0-9]{1,2})?k|[0-9]{1,12}(\.[0-9]{1,2})?M|[0-9]{1,9}(\.[0-9]{1,2})?G|[0-9]{1,6}(\.[0-9]{1,2})?T)$"
);

/// Adds them.
pub(crate) fn complete(document: &mut OpenApi) {
    for (_, operation) in document.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            // A parameter is there or not; it cannot be there and be null.
            let RefOr::T(parameter) = parameter else { continue };
            if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
                && let SchemaType::Array(types) = &schema.schema_type
                && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
            {
                schema.schema_type = SchemaType::Type(kind.clone());
            }
            parameter.schema.iter_mut().for_each(limit);
        }
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.content.iter_mut().for_each(|(kind, content)| say_bytes(kind, content));
        }
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                response.content.iter_mut().for_each(|(kind, content)| say_bytes(kind, content));
            }
        }
    }
    let Some(components) = document.components.as_mut() else { return };
    let schemas = &mut components.schemas;
    for schema in schemas.values_mut() {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        object.properties.values_mut().for_each(limit);
    }
    if let Some(policy) = schemas.get_mut("UpdatePolicy") {
        // Both 0 would leave an update no room to move. Absent, the one is 1 and the other 0.
        let at_least_one = || integer().minimum(Some(1));
        let surge = ObjectBuilder::new().property("max_surge", at_least_one());
        let unavailable =
            ObjectBuilder::new().property("max_unavailable", at_least_one()).required("max_unavailable");
        let either = AnyOfBuilder::new().item(surge).item(unavailable);
        let fields = std::mem::replace(policy, RefOr::T(Schema::default()));
        *policy = RefOr::T(AllOfBuilder::new().item(fields).item(either).into());
    }
    if let Some(RefOr::T(Schema::Object(template))) = schemas.get_mut("Template") {
        // What is sent has the schema of its parameters beside what its file has.
        template.additional_properties = None;
    }
    for name in ["AlertChannel", "SecretBody"] {
        let Some(RefOr::T(Schema::OneOf(one))) = schemas.get_mut(name) else { continue };
        // What the derived schemas of structures say by themselves, those of an enumeration's variants do not.
        for kind in &mut one.items {
            if let RefOr::T(Schema::Object(kind)) = kind {
                kind.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
    for (name, pattern) in [("ImageReference", reference::REFERENCE), ("ImageTag", reference::TAG)] {
        if let Some(RefOr::T(Schema::Object(text))) = schemas.get_mut(name) {
            text.pattern = Some(pattern.to_owned());
            text.max_length = Some(reference::LONGEST);
        }
    }
    // Quantities are written as text, and read as numbers too.
    let cores = of_type(Type::Number).minimum(Some(0.001)).maximum(Some(999_999_999.999));
    let bytes = integer().minimum(Some(0)).maximum(Some(999_999_999_999_999_999_i64));
    let nothing = integer().enum_values(Some([0]));
    let cores = AnyOfBuilder::new().item(nothing).item(cores);
    for (name, pattern, numbers) in [("Cpu", CPU, cores), ("Bytes", BYTES, AnyOfBuilder::new().item(bytes))] {
        if let Some(quantity) = schemas.get_mut(name) {
            let text = of_type(Type::String).pattern(Some(pattern));
            *quantity = RefOr::T(numbers.item(text).into());
        }
    }
}

/// Bytes as they are are no list of numbers, as the derived schema has it.
fn say_bytes(kind: &str, content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    if matches!(kind, "application/octet-stream" | "application/x-tar") {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        content.schema = Some(RefOr::T(of_type(Type::String).format(Some(format)).into()));
    }
}

/// Says what a number without a sign is, which the derived schema calls an `int32` or `int64`.
fn limit(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = property else { return };
    if object.minimum.is_none() || object.maximum.is_some() {
        return;
    }
    let (format, most) = match object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Int32)) => ("uint32", u64::from(u32::MAX)),
        Some(SchemaFormat::KnownFormat(KnownFormat::Int64)) => ("uint64", u64::MAX),
        _ => return,
    };
    object.format = Some(SchemaFormat::Custom(format.to_owned()));
    object.maximum = usize::try_from(most).ok().map(Number::UInt);
}

/// A schema of the type alone.
fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(kind))
}

fn integer() -> ObjectBuilder {
    of_type(Type::Integer)
}
