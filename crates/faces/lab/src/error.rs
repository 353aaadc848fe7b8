//! What can go wrong in a lab, with what to do about it.

use std::io;
use std::path::PathBuf;

/// What can go wrong in a lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The process may not make namespaces.
    #[error("a lab needs root, for network namespaces")]
    NotRoot,
    /// A program of the system is missing.
    #[error("the program `{program}` is not installed")]
    Missing {
        /// Which.
        program: &'static str,
    },
    /// A lab of that name is there.
    #[error("there is a lab in {} already", dir.display())]
    Exists {
        /// Its directory.
        dir: PathBuf,
    },
    /// There is no such lab.
    #[error("there is no lab in {}", dir.display())]
    Absent {
        /// Where it would be.
        dir: PathBuf,
    },
    /// Something was asked for that makes no sense.
    #[error("{field}: {detail}")]
    Bad {
        /// The flag or argument.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
        /// What to write instead.
        hint: String,
    },
    /// The kernel or a program of the system refused a step.
    #[error("failed to {step}: {reason}")]
    Step {
        /// What was being done.
        step: String,
        /// The answer.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// `read`, `write`, …
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A node or the cluster did not become ready.
    #[error("{what} did not become ready within {seconds} s: {said}")]
    NotReady {
        /// Which.
        what: String,
        /// How long it was waited for.
        seconds: u64,
        /// The last words of its log, or what is missing.
        said: String,
    },
    /// Something of the lab could not be removed.
    #[error("the lab left behind: {}", left.join(", "))]
    Left {
        /// What is still there.
        left: Vec<String>,
    },
}

impl LabError {
    pub(crate) fn step(step: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Step { step: step.into(), reason: reason.to_string() }
    }

    pub(crate) fn bad(field: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Bad { field, detail: detail.into(), hint: hint.into() }
    }

    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }

    /// What a person can do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotRoot => "run it with sudo".to_owned(),
            Self::Missing { program: "nft" } => {
                "install nftables (Debian, Ubuntu: `apt install nftables`)".to_owned()
            }
            Self::Missing { .. } => "install iproute2 (Debian, Ubuntu: `apt install iproute2`)".to_owned(),
            Self::Exists { .. } => {
                "look at it with `univrs lab status`, remove it with `univrs lab down`, or give another --name"
                    .to_owned()
            }
            Self::Absent { .. } => {
                "raise one with `univrs lab up`; for another name give --name or --dir".to_owned()
            }
            Self::Bad { hint, .. } => hint.clone(),
            Self::NotReady { .. } => "read the nodes' logs in the lab's directory; `univrs lab down` removes it".to_owned(),
            Self::Left { .. } => "repeat `univrs lab down`; what stays belongs to a process that still runs".to_owned(),
            Self::Step { .. } | Self::File { .. } => return None,
        })
    }
}
