//! `${VARIABLE}` in the text of a compose file.

use std::collections::BTreeMap;

/// A text with its variables replaced.
///
/// Knows the forms of the specification: `$A`, `${A}`, `${A:-default}`, `${A-default}`, `${A:?message}`,
/// `${A?message}`, `${A:+instead}`, `${A+instead}` and `$$` for a dollar sign. With the colon an empty variable counts
/// as absent. Defaults may contain variables themselves.
///
/// Also answers the variables that were absent and had no default; they are replaced by nothing.
///
/// # Errors
/// A sentence: a malformed expression, or the message of a required variable that is absent.
pub fn interpolate(text: &str, env: &BTreeMap<String, String>) -> Result<(String, Vec<String>), String> {
    let mut out = String::with_capacity(text.len());
    let mut absent = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = closing(inner).ok_or_else(|| format!("`${{` is never closed in `{text}`"))?;
            out.push_str(&expression(&inner[..end], env, &mut absent)?);
            rest = &inner[end + 1..];
        } else {
            let length = name_length(rest);
            if length == 0 {
                return Err(format!("a lone `$` in `{text}`; write `$$` for a dollar sign"));
            }
            out.push_str(&plain(&rest[..length], env, &mut absent));
            rest = &rest[length..];
        }
    }
    out.push_str(rest);
    Ok((out, absent))
}

fn name_length(text: &str) -> usize {
    let letter = |byte: u8, first: bool| {
        byte == b'_' || byte.is_ascii_alphabetic() || (!first && byte.is_ascii_digit())
    };
    text.bytes().enumerate().take_while(|(at, byte)| letter(*byte, *at == 0)).count()
}

/// Where the brace that was opened before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn plain(name: &str, env: &BTreeMap<String, String>, absent: &mut Vec<String>) -> String {
    env.get(name).cloned().unwrap_or_else(|| {
        absent.push(name.to_owned());
        String::new()
    })
}

/// What stands between the braces.
fn expression(
    inner: &str,
    env: &BTreeMap<String, String>,
    absent: &mut Vec<String>,
) -> Result<String, String> {
    let length = name_length(inner);
    let (name, operation) = inner.split_at(length);
    if name.is_empty() {
        return Err(format!("`${{{inner}}}` does not begin with the name of a variable"));
    }
    let (empty_counts, operation) = match operation.strip_prefix(':') {
        Some(operation) => (false, operation),
        None => (true, operation),
    };
    let set = env.get(name).filter(|value| empty_counts || !value.is_empty());
    let Some(operator) = operation.chars().next() else {
        return if empty_counts {
            Ok(plain(name, env, absent))
        } else {
            Err(format!("`${{{inner}}}` ends after the colon"))
        };
    };
    let mut argument = || {
        let (text, more) = interpolate(&operation[1..], env)?;
        absent.extend(more);
        Ok(text)
    };
    match (operator, set) {
        ('-', Some(value)) | ('?', Some(value)) => Ok(value.clone()),
        ('-', None) | ('+', Some(_)) => argument(),
        ('+', None) => Ok(String::new()),
        ('?', None) => {
            let message: String = argument()?;
            let message = if message.is_empty() { "it is required".to_owned() } else { message };
            Err(format!("the variable {name} is not set: {message}"))
        }
        _ => Err(format!("`${{{inner}}}` is not an expression; after the name come `-`, `?` or `+`")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::interpolate;

    fn env() -> BTreeMap<String, String> {
        [("A", "a"), ("EMPTY", ""), ("B_2", "b")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn every_form_of_the_specification() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}-$$A", "a-a-$A"),
            ("${B_2}x$B_2", "bxb"),
            ("${X:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${X-${A}}", "a"),
            ("${X:-${Y:-deep}}!", "deep!"),
            ("${A:+yes}${X:+yes}", "yes"),
            ("${EMPTY+set}${EMPTY:+set}", "set"),
            ("${A:?needed}", "a"),
            ("${X-}", ""),
        ] {
            assert_eq!(interpolate(text, &env()).unwrap().0, expected, "{text}");
        }
        assert_eq!(
            interpolate("$X and ${Y}", &env()).unwrap(),
            (" and ".to_owned(), vec!["X".into(), "Y".into()])
        );
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["$", "a $ b", "${", "${A", "${}", "${A:}", "${A:=x}", "${1}"] {
            assert!(interpolate(text, &env()).is_err(), "{text}");
        }
        let error = interpolate("${X:?set it to the token}", &env()).unwrap_err();
        assert_eq!(error, "the variable X is not set: set it to the token");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[${}A:?+a-]{0,24}") {
            let _ = interpolate(&text, &env());
        }

        #[test]
        fn text_without_dollars_stays(text in "[^$]{0,40}") {
            proptest::prop_assert_eq!(interpolate(&text, &env()).unwrap(), (text, Vec::new()));
        }
    }
}
