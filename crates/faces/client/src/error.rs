//! What can go wrong with a request, and the exit code that a command line program gives for it.

use serde::{Deserialize, Serialize};
use univrs_model::field::FieldError;

/// A refusal as the server words it: RFC 9457 with a stable `code`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// URI of the kind of problem.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// The kind of problem in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What is wrong this time.
    #[serde(default)]
    pub detail: String,
    /// Stable name of the kind of problem.
    #[serde(default)]
    pub code: String,
    /// The offending field, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The next step, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// All faults of an input.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused it and said why.
    #[error("{}", .0.sentence())]
    Problem(Box<Problem>),
    /// No connection to the server, or it broke.
    #[error("cannot reach {server}")]
    Unreachable {
        /// Address of the server.
        server: String,
        /// What broke.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server did not answer in time.
    #[error("{server} did not answer in time")]
    Timeout {
        /// Address of the server.
        server: String,
    },
    /// The server answered something that this client does not understand.
    #[error("unexpected reply (status {status}): {detail}")]
    BadReply {
        /// The HTTP status, 0 when the reply was not HTTP.
        status: u16,
        /// What is odd about it.
        detail: String,
    },
    /// The client only plans ([`crate::ClientOptions::dry_run`]): nothing was done, and this is the plan.
    #[error("nothing was done; only the plan was asked for")]
    Planned {
        /// The plan, as the server sent it.
        plan: Vec<u8>,
    },
    /// The server's address or the token cannot be used.
    #[error("{detail}")]
    Options {
        /// What is wrong with it.
        detail: String,
    },
}

impl Problem {
    fn sentence(&self) -> &str {
        match (self.detail.as_str(), self.title.as_str()) {
            ("", "") => "the server refused the request without a reason",
            ("", title) => title,
            (detail, _) => detail,
        }
    }
}

impl Error {
    /// The HTTP status behind the error, if there was a reply.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::BadReply { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Planned { .. } | Self::Options { .. } => {
                None
            }
        }
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the object was changed by someone else meanwhile.
    pub fn is_stale(&self) -> bool {
        self.status() == Some(412)
    }

    /// The exit code of a program that ends because of this error.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::Timeout { .. }) {
            return 6;
        }
        match self.status() {
            Some(404) => 3,
            Some(409 | 412) => 4,
            Some(401 | 403) => 5,
            Some(408 | 504) => 6,
            Some(_) | None => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Problem};

    #[test]
    fn each_status_has_its_exit_code() {
        for (status, code) in [
            (400, 1),
            (401, 5),
            (403, 5),
            (404, 3),
            (409, 4),
            (412, 4),
            (413, 1),
            (415, 1),
            (422, 1),
            (500, 1),
            (503, 1),
            (504, 6),
        ] {
            let problem = Problem { status, ..Problem::default() };
            assert_eq!(Error::Problem(Box::new(problem)).exit_code(), code, "{status}");
            assert_eq!(Error::BadReply { status, detail: String::new() }.exit_code(), code, "{status}");
        }
        assert_eq!(Error::Timeout { server: String::new() }.exit_code(), 6);
    }

    #[test]
    fn a_problem_says_its_detail_before_its_title() {
        let problem = Problem { title: "not found".into(), ..Problem::default() };
        assert_eq!(Error::Problem(Box::new(problem.clone())).to_string(), "not found");
        let problem = Problem { detail: "no workload `web`".into(), ..problem };
        assert_eq!(Error::Problem(Box::new(problem)).to_string(), "no workload `web`");
    }
}
