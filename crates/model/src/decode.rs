//! Reads JSON into typed input, turning serde's errors into [`FieldError`]s with a path and a suggestion.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::field::FieldError;

mod objects;

pub use objects::objects;

/// Decodes `bytes` as `T`.
///
/// # Errors
/// Names the offending field with its path. An unknown field gets the nearest known one as a hint. A list in the place of
/// an object is refused.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FieldError> {
    match strictly(bytes) {
        // JSON knows one kind of number: to it, 3.0 is an integer.
        Err(fault) if fault.detail.starts_with("invalid type: floating point") => {
            let Ok(mut value) = serde_json::from_slice(bytes) else { return Err(fault) };
            whole_numbers(&mut value);
            from_value(value)
        }
        outcome => outcome,
    }
}

/// Writes numbers without a fraction as integers, as far as floating point holds them exactly.
fn whole_numbers(value: &mut Value) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => {
            let float = if number.is_f64() { number.as_f64() } else { None };
            if let Some(float) = float.filter(|float| float.fract() == 0.0 && float.abs() <= EXACT) {
                *number = (float as i64).into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn strictly<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FieldError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = objects_of(&mut reader)?;
    reader
        .end()
        .map_err(|error| FieldError::new("", format!("text after the end of the JSON value: {error}")))?;
    Ok(value)
}

/// Decodes an already parsed JSON value as `T`, with the same errors as [`from_json`].
///
/// # Errors
/// As [`from_json`].
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, FieldError> {
    objects_of(value)
}

fn objects_of<'de, T: DeserializeOwned, D>(input: D) -> Result<T, FieldError>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    let mut track = serde_path_to_error::Track::new();
    let input = serde_path_to_error::Deserializer::new(input, &mut track);
    objects(input).map_err(|error| {
        let path = track.path().to_string();
        fault(if matches!(path.as_str(), "." | "?") { String::new() } else { path }, &error.to_string())
    })
}

fn fault(path: String, message: &str) -> FieldError {
    let error = FieldError::new(path, message);
    let Some(rest) =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))
    else {
        return error;
    };
    let mut quoted = rest.split('`');
    let Some(unknown) = quoted.next() else { return error };
    // What follows is ", expected one of `a`, `b`": every second piece is a known name.
    let known: Vec<&str> = quoted.skip(1).step_by(2).collect();
    match nearest(unknown, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The candidate most like `word`, if any is close enough to be a likely slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::from_json;
    use crate::workload::WorkloadSpec;

    #[test]
    fn an_unknown_field_gets_a_suggestion() {
        let error = from_json::<WorkloadSpec>(br#"{"name":"web","image":"web:1","replica":2}"#).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `replicas`?"));
    }

    #[test]
    fn the_path_names_the_nested_field() {
        let body = br#"{"name":"web","containers":[{"name":"a","image":"x","resources":{"cpu":"-1"}}]}"#;
        let error = from_json::<WorkloadSpec>(body).unwrap_err();
        assert_eq!(error.field, "containers[0].resources.cpu");
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer() {
        let read = |replicas: &str| {
            let body = format!(r#"{{"name":"web","image":"web:1","replicas":{replicas}}}"#);
            from_json::<WorkloadSpec>(body.as_bytes()).map(|spec| spec.replicas)
        };
        assert_eq!((read("3.0"), read("3e2"), read("3")), (Ok(3), Ok(300), Ok(3)));
        for bad in ["3.5", "-3.0", "1e30"] {
            assert_eq!(read(bad).unwrap_err().field, "replicas", "{bad}");
        }
    }

    #[test]
    fn trailing_text_is_refused() {
        assert!(from_json::<u32>(b"1 2").is_err());
    }
}
