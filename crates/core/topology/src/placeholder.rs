//! Texts with `{placeholders}`.

/// Where a text stands decides which placeholders it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `region.names`: known before anything is planned.
    Name,
    /// `role.env`: known once everything is planned.
    Environment,
    /// `outputs`: some are known only once machines exist.
    Output,
}

impl Scope {
    /// The placeholders of the scope.
    pub fn known(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["name", "environment"],
            Self::Environment => &[
                "name",
                "environment",
                "role",
                "region",
                "cloud",
                "zone",
                "index",
                "count",
                "address",
                "peers:PORT",
            ],
            Self::Output => &["public_ip", "address", "name", "region"],
        }
    }

    fn has(self, key: &str) -> bool {
        let peers = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        match key.strip_prefix("peers:") {
            Some(port) => self == Self::Environment && peers(port),
            None => self.known().contains(&key),
        }
    }
}

/// The pieces of a text: what is written, and the keys of its placeholders.
enum Piece<'a> {
    Text(&'a str),
    Key(&'a str),
}

/// A `{` that is not followed by a word and `}` is an ordinary character.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        let after = &rest[start + 1..];
        let length = after.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-')));
        match length {
            Some(length) if length > 0 && after[length..].starts_with('}') => {
                pieces.push(Piece::Text(&rest[..start]));
                pieces.push(Piece::Key(&after[..length]));
                rest = &after[length + 1..];
            }
            _ => {
                pieces.push(Piece::Text(&rest[..=start]));
                rest = after;
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Keys of placeholders that the scope does not have.
pub fn unknown(template: &str, scope: Scope) -> Vec<String> {
    let keys = pieces(template).into_iter().filter_map(|piece| match piece {
        Piece::Key(key) if !scope.has(key) => Some(key.to_owned()),
        _ => None,
    });
    keys.collect()
}

/// Fills in what `value` knows; other placeholders stay as they are.
pub fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Key(key) => match value(key) {
                Some(value) => filled.push_str(&value),
                None => {
                    filled.push('{');
                    filled.push_str(key);
                    filled.push('}');
                }
            },
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::{Scope, fill, unknown};

    #[test]
    fn known_ones_are_filled_and_others_stay() {
        let value = |key: &str| (key == "name").then(|| "web".to_owned());
        for (template, filled) in [
            ("{name}-rg", "web-rg"),
            ("{other}{name}", "{other}web"),
            ("{ name }", "{ name }"),
            ("{", "{"),
            ("{}", "{}"),
            ("{{name}}", "{web}"),
            ("a{näme}", "a{näme}"),
        ] {
            assert_eq!(fill(template, value), filled, "{template}");
        }
    }

    #[test]
    fn scopes_know_their_own() {
        assert_eq!(unknown("{peers:34567} {index}", Scope::Environment), Vec::<String>::new());
        assert_eq!(unknown("{peers:0} {idx}", Scope::Environment), ["peers:0", "idx"]);
        assert_eq!(unknown("{index}", Scope::Name), ["index"]);
    }
}
