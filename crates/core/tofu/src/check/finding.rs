//! What the checker has to say.

use std::fmt;

use serde::Serialize;

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The file is not a JSON object, or a part of it has an impossible shape.
    BadDocument,
    /// A key stands twice in one object; all but the last would be lost.
    DuplicateKey,
    /// The first level knows no such block.
    UnknownTopLevel,
    /// A resource is declared twice, or its name is no identifier.
    BadDeclaration,
    /// The type, or its provider, is in no schema: nothing in it was checked.
    Unchecked,
    /// The schema has no such argument or block.
    UnknownArgument,
    /// A required argument is absent.
    MissingArgument,
    /// A required block is absent.
    MissingBlock,
    /// More blocks than the schema allows.
    TooManyBlocks,
    /// The value has another type.
    WrongType,
    /// The provider computes this attribute; it cannot be set.
    ComputedOnly,
    /// A reference to something that is declared nowhere.
    UndeclaredReference,
    /// The type referred to has no such attribute.
    UnknownAttribute,
    /// An expression that does not parse.
    InvalidExpression,
    /// `required_providers` does not name the provider, or names another one.
    WrongProvider,
}

impl Code {
    /// Whether the configuration is wrong; otherwise the checker merely could not look.
    pub fn is_error(self) -> bool {
        self != Self::Unchecked
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Path inside the root: `aws_vpc.main.cidr_block`.
    pub path: String,
    /// What kind.
    pub code: Code,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.message)
    }
}

/// All findings of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In order of path.
    pub findings: Vec<Finding>,
    /// How many resources and data sources were compared with their schema.
    pub checked: usize,
}

impl Report {
    /// The findings that make the configuration wrong.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.code.is_error())
    }

    pub(super) fn add(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), code, message: message.into() });
    }
}

/// ` (did you mean ...?)` when `known` has something near to `name`, otherwise nothing.
pub(super) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.84)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| format!(" (did you mean `{candidate}`?)"))
        .unwrap_or_default()
}
