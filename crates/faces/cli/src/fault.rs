//! Why a command could not be carried out, told to a person with the next step.

use std::io;

use univrs_client::Error;
use univrs_model::field::FieldError;

use crate::exit::Exit;
use crate::io::Io;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The server refused it, or there was none.
    #[error(transparent)]
    Api(#[from] Error),
    /// The command was not meant so.
    #[error("{detail}")]
    Usage { detail: String, hint: String },
    /// It failed for a reason that the command itself found.
    #[error("{detail}")]
    Failed { detail: String, hint: Option<String> },
    /// It ended in a way that has an exit code of its own.
    #[error("{detail}")]
    Ended { exit: Exit, detail: String, hint: Option<String> },
    /// A workload file is not acceptable.
    #[error("{} is not acceptable", file)]
    Document { file: String, faults: Vec<FieldError> },
    /// A file or stream of this machine could not be read or written.
    #[error("cannot {doing}")]
    Local {
        doing: String,
        #[source]
        source: io::Error,
    },
    /// Standard output or error could not be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

impl Fault {
    pub(crate) fn usage(detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { detail: detail.into(), hint: hint.into() }
    }

    pub(crate) fn failed(detail: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Failed { detail: detail.into(), hint: hint.map(str::to_owned) }
    }

    pub(crate) fn local(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Local { doing: doing.into(), source }
    }

    /// The exit code that goes with it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Api(error) => match error.exit_code() {
                3 => Exit::NotFound,
                4 => Exit::Conflict,
                5 => Exit::Denied,
                6 => Exit::TimedOut,
                _ => Exit::Failed,
            },
            Self::Usage { .. } => Exit::Usage,
            Self::Ended { exit, .. } => *exit,
            // Whoever read the output has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Failed { .. } | Self::Document { .. } | Self::Local { .. } | Self::Output(_) => {
                Exit::Failed
            }
        }
    }

    /// Tells it on standard error and returns the exit code.
    pub(crate) fn report(&self, io: &mut Io) -> Exit {
        let exit = self.exit();
        if exit == Exit::Ok {
            return exit;
        }
        for line in self.lines() {
            // When standard error is gone as well there is nobody left to tell.
            let _ = io.talk(&line);
        }
        exit
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match self {
            Self::Document { file, faults } => {
                for fault in faults {
                    lines.push(format!("error: {}", in_file(file, fault)));
                    lines.extend(fault.hint.as_ref().map(|hint| format!("hint: {hint}")));
                }
            }
            Self::Api(Error::Problem(problem)) if !problem.errors.is_empty() => {
                for fault in &problem.errors {
                    lines.push(format!("error: {}", field(fault)));
                    lines.extend(fault.hint.as_ref().map(|hint| format!("hint: {hint}")));
                }
            }
            Self::Api(Error::Problem(problem)) => {
                let field = problem.field.as_deref().filter(|field| !field.is_empty());
                lines.push(match field {
                    Some(field) if !problem.detail.contains(field) => format!("error: {field}: {self}"),
                    Some(_) | None => format!("error: {self}"),
                });
                lines.extend(self.hint().map(|hint| format!("hint: {hint}")));
            }
            Self::Api(_)
            | Self::Usage { .. }
            | Self::Failed { .. }
            | Self::Ended { .. }
            | Self::Local { .. }
            | Self::Output(_) => {
                lines.push(format!("error: {}", chain(self)));
                lines.extend(self.hint().map(|hint| format!("hint: {hint}")));
            }
        }
        lines
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } => Some(hint.clone()),
            Self::Failed { hint, .. } | Self::Ended { hint, .. } => hint.clone(),
            Self::Api(error) => api_hint(error),
            Self::Document { .. } | Self::Local { .. } | Self::Output(_) => None,
        }
    }
}

fn api_hint(error: &Error) -> Option<String> {
    if let Error::Problem(problem) = error
        && problem.hint.is_some()
    {
        return problem.hint.clone();
    }
    let hint = match error {
        Error::Unreachable { source, .. } if chain(&**source).contains("certificate") => {
            "give what the server's certificate is trusted by with --server-ca or UNIVRS_SERVER_CA"
        }
        Error::Unreachable { source, .. } if speaks_otherwise(&chain(&**source)) => {
            "one side encrypts and the other does not: write https:// for http:// in --server, or the reverse"
        }
        Error::Unreachable { .. } => {
            "start a node with `univrs up`, or name a running one with --server or UNIVRS_SERVER"
        }
        Error::Timeout { .. } => "ask `univrs status` whether the cluster is well, or give more --timeout",
        Error::Options { .. } => "check --server, --server-ca, --token and --org",
        Error::Planned { .. } => return None,
        Error::Problem(_) | Error::BadReply { .. } => match error.status() {
            Some(401) => "give an API token with --token or UNIVRS_TOKEN",
            Some(403) => "ask an administrator for a token with the grant that this needs",
            Some(412) => "it was changed meanwhile: look at it again and repeat the command",
            Some(_) | None => return None,
        },
    };
    Some(hint.to_owned())
}

/// Whether what broke a connection is that one side spoke TLS and the other HTTP.
fn speaks_otherwise(causes: &str) -> bool {
    ["invalid HTTP", "InvalidContentType"].iter().any(|sign| causes.contains(sign))
}

fn field(fault: &FieldError) -> String {
    if fault.field.is_empty() { fault.detail.clone() } else { fault.to_string() }
}

fn in_file(file: &str, fault: &FieldError) -> String {
    format!("{file}: {}", field(fault))
}

/// An error with all its causes, each said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use univrs_client::{Error, Problem};
    use univrs_model::field::FieldError;

    use super::Fault;

    #[test]
    fn all_faults_of_an_input_are_told_with_their_hints() {
        let errors = vec![
            FieldError::new("replicas", "200000 is more than 100000"),
            FieldError::new("update.max_surge", "cannot be 0").hint("set `max_surge` to 1"),
        ];
        let detail = "the workload is not acceptable".to_owned();
        let problem = Problem { status: 422, detail, errors, ..Problem::default() };
        expect![[r#"
            error: replicas: 200000 is more than 100000
            error: update.max_surge: cannot be 0
            hint: set `max_surge` to 1"#]]
        .assert_eq(&Fault::Api(Error::Problem(Box::new(problem))).lines().join("\n"));
    }

    #[test]
    fn a_denial_says_what_to_bring() {
        let problem = Problem { status: 401, detail: "no token".into(), ..Problem::default() };
        expect![[r#"
            error: no token
            hint: give an API token with --token or UNIVRS_TOKEN"#]]
        .assert_eq(&Fault::Api(Error::Problem(Box::new(problem))).lines().join("\n"));
    }
}
