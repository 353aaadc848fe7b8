//! What a check has to say: a code, the place in the file, and what to do.

use serde::{Deserialize, Serialize};

use crate::codes::{Code, Severity};
use crate::source::Document;

/// Findings beyond this many are counted, not kept.
pub const MOST_FINDINGS: usize = 500;

/// One thing a check has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which check says it.
    pub code: Code,
    /// Where, in the file's own words: `role.validator.count`, `region[0].cidr`; empty for the whole file.
    pub path: String,
    /// What is the matter, in one sentence without a final period.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in the file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Finding {
    /// A finding of `code` at `path`, as bad as its code is by itself.
    pub fn new(code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: code.severity(),
            code,
            path: path.into(),
            message: message.into(),
            hint: None,
            file: None,
            line: None,
            column: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do, if there is something.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// Findings in the order they were made, at most [`MOST_FINDINGS`] of them.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    more: usize,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        if self.has_room() {
            self.list.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len() + self.more
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is one of that code at that path.
    pub fn has(&self, code: Code, path: &str) -> bool {
        self.list.iter().any(|finding| finding.code == code && finding.path == path)
    }

    /// Whether another one would be kept.
    pub fn has_room(&self) -> bool {
        self.list.len() < MOST_FINDINGS
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.more > 0 || self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The errors among them.
    #[must_use]
    pub fn errors(mut self) -> Self {
        self.list.retain(|finding| finding.severity == Severity::Error);
        self
    }

    /// Adds all of `other`.
    pub fn append(&mut self, other: Self) {
        for finding in other.list {
            self.push(finding);
        }
        self.more += other.more;
    }

    /// All of them, with their places in `document` filled in.
    pub fn located(mut self, document: &Document) -> Vec<Finding> {
        if self.more > 0 {
            let message = format!("{} more findings are not shown", self.more);
            self.list.push(Finding::new(Code::TooManyFindings, "", message));
        }
        for finding in &mut self.list {
            finding.file = Some(document.file().to_owned());
            if finding.line.is_none()
                && let Some(place) = document.place(&finding.path)
            {
                (finding.line, finding.column) = (Some(place.line), Some(place.column));
            }
        }
        self.list
    }
}

impl Extend<Finding> for Findings {
    fn extend<T: IntoIterator<Item = Finding>>(&mut self, findings: T) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

/// Findings by severity: the answer of `topology check -o json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What must be changed.
    pub errors: Vec<Finding>,
    /// What should be looked at.
    pub warnings: Vec<Finding>,
    /// What is good to know.
    pub facts: Vec<Finding>,
}

impl From<Vec<Finding>> for Report {
    fn from(findings: Vec<Finding>) -> Self {
        let mut report = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Error => report.errors.push(finding),
                Severity::Warning => report.warnings.push(finding),
                Severity::Fact => report.facts.push(finding),
            }
        }
        report
    }
}
