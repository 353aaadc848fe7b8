//! Constraints: what must hold for a node, as people write it.
//!
//! `ATTRIBUTE == VALUE`, `ATTRIBUTE != VALUE`, `ATTRIBUTE in [A, B]`, `ATTRIBUTE not in [A, B]`,
//! `ATTRIBUTE exists`, `ATTRIBUTE not exists`. Attributes are `cloud`, `region`, `zone`, `operator`, `role`,
//! `node` (id or name), `name` and `label.KEY`. A label that is absent equals nothing.

use std::fmt;
use std::str::FromStr;

use univrs_model::decode::nearest;
use univrs_model::field::FieldError;
use univrs_model::node::Role;

use crate::node::NodeInfo;

/// Something about a node that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Attribute {
    Cloud,
    Region,
    Zone,
    Operator,
    Role,
    Node,
    Name,
    Label(String),
}

const ATTRIBUTES: [&str; 7] = ["cloud", "region", "zone", "operator", "role", "node", "name"];

impl Attribute {
    pub(crate) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        Ok(match text {
            "cloud" => Self::Cloud,
            "region" => Self::Region,
            "zone" => Self::Zone,
            "operator" => Self::Operator,
            "role" => Self::Role,
            "node" => Self::Node,
            "name" => Self::Name,
            _ => {
                let key = text.strip_prefix("label.").filter(|key| !key.is_empty());
                let Some(key) = key else {
                    let near = nearest(text, ATTRIBUTES.iter().copied()).map_or_else(
                        || format!("use {} or label.KEY", ATTRIBUTES.join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    return Err((
                        format!("`{}` is not an attribute of a node", text.escape_default()),
                        Some(near),
                    ));
                };
                Self::Label(key.to_owned())
            }
        })
    }

    /// Whether a node has this value.
    fn is(&self, node: &NodeInfo, value: &str) -> bool {
        match self {
            Self::Node => node.id.as_str() == value || node.name.as_str() == value,
            Self::Role => node.roles.iter().any(|role| role_name(*role) == value),
            _ => self.value(node).is_some_and(|has| has == value),
        }
    }

    /// The one value that a node has; for roles, the first.
    pub(crate) fn value<'a>(&self, node: &'a NodeInfo) -> Option<&'a str> {
        match self {
            Self::Cloud => Some(&node.location.cloud),
            Self::Region => Some(&node.location.region),
            Self::Zone => Some(&node.location.zone),
            Self::Operator => Some(&node.location.operator),
            Self::Role => node.roles.first().map(|role| role_name(*role)),
            Self::Node => Some(node.id.as_str()),
            Self::Name => Some(node.name.as_str()),
            Self::Label(key) => node.labels.get(key).map(String::as_str),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cloud => out.write_str("cloud"),
            Self::Region => out.write_str("region"),
            Self::Zone => out.write_str("zone"),
            Self::Operator => out.write_str("operator"),
            Self::Role => out.write_str("role"),
            Self::Node => out.write_str("node"),
            Self::Name => out.write_str("name"),
            Self::Label(key) => write!(out, "label.{key}"),
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Validator => "validator",
        Role::Business => "business",
        Role::Slim => "slim",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    Exists,
    In(Vec<String>),
}

/// Something that must hold for a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constraint {
    attribute: Attribute,
    test: Test,
    /// Whether the test must fail instead.
    not: bool,
}

impl Constraint {
    /// Reads a constraint as people write it.
    ///
    /// # Errors
    /// What is wrong with the text; `field` is left empty for the caller to fill in.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        const FORMS: &str =
            "write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`";
        let fault = |detail: String| FieldError::new("", detail).hint(FORMS);
        let text = text.trim();
        let end = text.find(|c: char| c.is_whitespace() || matches!(c, '=' | '!')).unwrap_or(text.len());
        let (left, right) = text.split_at(end);
        let attribute = Attribute::parse(left).map_err(|(detail, hint)| {
            let fault = FieldError::new("", detail);
            hint.map_or(fault.clone(), |hint| fault.hint(hint))
        })?;
        let right = right.trim();
        let (test, not) = if right == "exists" {
            (Test::Exists, false)
        } else if right == "not exists" {
            (Test::Exists, true)
        } else if let Some(value) = right.strip_prefix("==") {
            (Test::In(vec![value_of(value).map_err(fault)?]), false)
        } else if let Some(value) = right.strip_prefix("!=") {
            (Test::In(vec![value_of(value).map_err(fault)?]), true)
        } else if let Some(list) = right.strip_prefix("not in") {
            (Test::In(list_of(list).map_err(fault)?), true)
        } else if let Some(list) = right.strip_prefix("in") {
            (Test::In(list_of(list).map_err(fault)?), false)
        } else {
            return Err(fault(format!("`{}` has no operator that is known", text.escape_default())));
        };
        if attribute == Attribute::Role
            && let Test::In(values) = &test
            && let Some(value) =
                values.iter().find(|value| !["validator", "business", "slim"].contains(&value.as_str()))
        {
            return Err(fault(format!("`{}` is not a role", value.escape_default()))
                .hint("the roles are validator, business and slim"));
        }
        Ok(Self { attribute, test, not })
    }

    /// Whether it holds for a node.
    pub fn holds(&self, node: &NodeInfo) -> bool {
        let found = match &self.test {
            Test::Exists => self.attribute.value(node).is_some(),
            Test::In(values) => values.iter().any(|value| self.attribute.is(node, value)),
        };
        found != self.not
    }
}

impl FromStr for Constraint {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        Self::parse(text)
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attribute = &self.attribute;
        match (&self.test, self.not) {
            (Test::Exists, false) => write!(out, "{attribute} exists"),
            (Test::Exists, true) => write!(out, "{attribute} not exists"),
            (Test::In(values), not) => match (values.as_slice(), not) {
                ([one], false) => write!(out, "{attribute} == {one}"),
                ([one], true) => write!(out, "{attribute} != {one}"),
                (many, false) => write!(out, "{attribute} in [{}]", many.join(", ")),
                (many, true) => write!(out, "{attribute} not in [{}]", many.join(", ")),
            },
        }
    }
}

fn value_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let value = quoted.unwrap_or(text);
    let allowed =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '+') || quoted.is_some();
    match value.chars().find(|c| !allowed(*c) || *c == '"') {
        _ if value.is_empty() => Err("the value is missing".to_owned()),
        Some(bad) => Err(format!("`{}` cannot stand in a value without quotes", bad.escape_default())),
        None => Ok(value.to_owned()),
    }
}

fn list_of(text: &str) -> Result<Vec<String>, String> {
    let inner = text.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.ok_or_else(|| "a list is written `[a, b]`".to_owned())?;
    let mut values: Vec<String> = inner.split(',').map(value_of).collect::<Result<_, _>>()?;
    values.sort();
    values.dedup();
    Ok(values)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::Constraint;

    #[test]
    fn constraints_read_and_write() {
        for (text, canonical) in [
            ("cloud == aws", "cloud == aws"),
            ("cloud==aws", "cloud == aws"),
            ("region in [us-east-1, eastus]", "region in [eastus, us-east-1]"),
            ("zone not in [a]", "zone != a"),
            ("label.disk != ssd", "label.disk != ssd"),
            ("label.gpu exists", "label.gpu exists"),
            ("label.gpu not exists", "label.gpu not exists"),
            ("node == nd_23456", "node == nd_23456"),
            ("label.rack == \"a b\"", "label.rack == a b"),
            ("role == slim", "role == slim"),
        ] {
            assert_eq!(Constraint::parse(text).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn faults_say_what_to_write() {
        let bad = [
            "cluod == aws",
            "cloud = aws",
            "cloud",
            "cloud ==",
            "cloud == a b",
            "region in a",
            "label. exists",
            "role == master",
            "region in [a,,b]",
            "",
        ];
        let faults: Vec<String> = bad
            .iter()
            .map(|text| {
                let fault = Constraint::parse(text).unwrap_err();
                format!("{text}\n  {}\n  {}", fault.detail, fault.hint.unwrap_or_default())
            })
            .collect();
        expect![[r#"
            cluod == aws
              `cluod` is not an attribute of a node
              did you mean `cloud`?
            cloud = aws
              `cloud = aws` has no operator that is known
              write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`
            cloud
              `cloud` has no operator that is known
              write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`
            cloud ==
              the value is missing
              write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`
            cloud == a b
              ` ` cannot stand in a value without quotes
              write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`
            region in a
              a list is written `[a, b]`
              write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`
            label. exists
              `label.` is not an attribute of a node
              use cloud, region, zone, operator, role, node, name or label.KEY
            role == master
              `master` is not a role
              the roles are validator, business and slim
            region in [a,,b]
              the value is missing
              write `cloud == aws`, `region in [a, b]`, `label.disk != ssd` or `label.gpu exists`

              `` is not an attribute of a node
              use cloud, region, zone, operator, role, node, name or label.KEY"#]]
        .assert_eq(&faults.join("\n"));
    }
}
