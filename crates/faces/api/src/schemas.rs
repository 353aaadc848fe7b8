//! Rules of the document that the derived schemas cannot say: alternatives, rules between two fields, and limits of
//! types.

use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::openapi::{OpenApi, RefOr};

use crate::actions::operations;

/// CPU as text: whole cores, cores with a fraction, or thousandths.
const CPU: &str = r"^([0-9]{1,9}(\.[0-9]{1,3})?|[0-9]{1,11}m)$";
/// Bytes as text: at most about an exbibyte, whatever the unit.
const BYTES: &str = r"^([0-9]{1,18}B?|[0-9]{1,15}(\.[0-9]{1,2})?(Ki|k)|[0-9]{1,12}(\.[0-9]{1,2})?(Mi|M)|[0-9]{1,9}(\.[0-9]{1,2})?(Gi|G)|[0-9]{1,6}(\.[0-9]{1,2})?(Ti|T)|[0-9]{1,3}(\.[0-9]{1,2})?Pi)$";

/// Adds them.
pub(crate) fn complete(document: &mut OpenApi) {
    for (_, operation) in document.paths.paths.values_mut().flat_map(operations) {
        for parameter in operation.parameters.iter_mut().flatten() {
            // A parameter is there or not; it cannot be there and be null.
            if let RefOr::T(parameter) = parameter
                && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
                && let SchemaType::Array(types) = &schema.schema_type
                && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
            {
                schema.schema_type = SchemaType::Type(kind.clone());
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
    if let Some(RefOr::T(Schema::OneOf(channel))) = schemas.get_mut("AlertChannel") {
        // What the derived schemas of structures say by themselves, those of an enumeration's variants do not.
        for kind in &mut channel.items {
            if let RefOr::T(Schema::Object(kind)) = kind {
                kind.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
    // Quantities are written as text, and read as numbers too.
    let of_type = |kind| ObjectBuilder::new().schema_type(SchemaType::Type(kind));
    let cores = of_type(Type::Number).minimum(Some(0.001)).maximum(Some(999_999_999));
    let bytes = integer().minimum(Some(0)).maximum(Some(1_000_000_000_000_000_000_i64));
    for (name, pattern, number) in [("Cpu", CPU, cores), ("Bytes", BYTES, bytes)] {
        if let Some(quantity) = schemas.get_mut(name) {
            let text = of_type(Type::String).pattern(Some(pattern));
            *quantity = RefOr::T(AnyOfBuilder::new().item(text).item(number).into());
        }
    }
}

/// Sets the limit of a 32-bit number without a sign, which the derived schema calls an `int32`.
fn limit(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = property else { return };
    let is_small = object.format == Some(SchemaFormat::KnownFormat(KnownFormat::Int32));
    if is_small && object.minimum.is_some() && object.maximum.is_none() {
        object.maximum = Some(u32::MAX.into());
    }
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer))
}
