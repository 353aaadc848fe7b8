//! The small languages inside compose files: durations, sizes, booleans, command lines.

use serde_json::Value;
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::span::Span;

/// A duration as Go writes it: `1m30s`, `500ms`.
pub(crate) fn span(text: &str) -> Result<Span, String> {
    let wrong = || format!("`{text}` is not a duration; write one such as `30s` or `1m30s`");
    let mut rest = text.trim();
    let mut millis = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let (amount, unit_on) = rest.split_at(number);
        let unit = unit_on.find(|c: char| c.is_ascii_digit()).unwrap_or(unit_on.len());
        let (unit, after) = unit_on.split_at(unit);
        let factor = match unit {
            "ns" => 1e-6,
            "us" | "µs" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            _ => return Err(wrong()),
        };
        millis += amount.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = after;
    }
    // Checked and rounded by the model's own rules.
    format!("{}ms", millis.ceil()).parse().map_err(|_| wrong())
}

/// A size as Docker writes it: `64m`, `1.5gb`, `1024`. Units are powers of 1024, as Docker has them.
pub(crate) fn size(value: &Value) -> Result<Bytes, String> {
    let text = scalar(value).ok_or("a size is a number with a unit, such as `64m`")?;
    let wrong = || format!("`{text}` is not a size; write one such as `64m` or `1gb`");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let (amount, unit) = lower.split_at(digits);
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let amount: f64 = amount.parse().map_err(|_| wrong())?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "digits alone are not negative"
    )]
    let bytes = (amount * f64::from(1_u32 << 10).powi(shift / 10)).round() as u64;
    Ok(Bytes::new(bytes))
}

/// A number of processors: `0.5`, `"2"`.
pub(crate) fn cpus(value: &Value) -> Result<Cpu, String> {
    let text = scalar(value).ok_or("a number of processors is a number, such as `0.5`")?;
    text.parse().map_err(|_| format!("`{text}` is not a number of processors; write one such as `0.5`"))
}

/// The text of a value that is not a list or a map.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A command line split as a shell splits it, without expanding anything.
pub(crate) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => loop {
                let into = word.get_or_insert_default();
                match chars.next().ok_or("a single quote is never closed")? {
                    '\'' => break,
                    c => into.push(c),
                }
            },
            '"' => loop {
                let into = word.get_or_insert_default();
                match chars.next().ok_or("a double quote is never closed")? {
                    '"' => break,
                    '\\' => match chars.next().ok_or("a backslash at the end")? {
                        c @ ('"' | '\\' | '$' | '`') => into.push(c),
                        c => into.extend(['\\', c]),
                    },
                    c => into.push(c),
                }
            },
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("a backslash at the end")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{size, span, words};

    #[test]
    fn durations() {
        for (text, millis) in
            [("30s", 30_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("100us", 1)]
        {
            assert_eq!(span(text).unwrap().as_millis(), millis, "{text}");
        }
        for text in ["", "30", "s", "1x", "1m-3s", "9999999h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (value, bytes) in [
            (json!("64m"), 64 << 20),
            (json!("1.5gb"), 3 << 29),
            (json!(1024), 1024),
            (json!("2 KiB"), 0),
            (json!("2kib"), 2048),
        ] {
            match size(&value) {
                Ok(found) => assert_eq!(found.get(), bytes, "{value}"),
                Err(_) => assert_eq!(bytes, 0, "{value}"),
            }
        }
        assert!(size(&json!("1x")).is_err());
        assert!(size(&json!([1])).is_err());
    }

    #[test]
    fn command_lines() {
        for (text, expected) in [
            ("a  b", vec!["a", "b"]),
            (r#"sh -c 'echo "hi"; sleep 1'"#, vec!["sh", "-c", r#"echo "hi"; sleep 1"#]),
            (r#"a "b \"c\" $d" e\ f"#, vec!["a", r#"b "c" $d"#, "e f"]),
            ("''", vec![""]),
            ("", vec![]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["'", "\"", "a\\"] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
