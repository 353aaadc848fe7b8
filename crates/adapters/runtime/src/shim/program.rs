//! The last steps before a container's program runs, from inside the container.

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::libc::sock_filter;
use nix::unistd::{AccessFlags, access, execve};
use oci_spec::runtime::Spec;

use super::secret_env::SecretEnv;
use crate::sys;

/// Starts a program and reports why it could not.
///
/// The library restricts system calls only for a container's first program, and works the filter out each time; here
/// it happens for every program, with a filter that is ready.
#[derive(Clone)]
pub(crate) struct Program {
    filter: Rc<Vec<sock_filter>>,
    /// Written to when the program cannot be started; closed by its start.
    report: Rc<File>,
    /// The part of the environment that is in no file.
    secrets: Rc<SecretEnv>,
}

impl Program {
    pub(crate) fn new(filter: Vec<sock_filter>, report: File) -> Self {
        Self { filter: Rc::new(filter), report: Rc::new(report), secrets: Rc::default() }
    }

    /// The same with variables that must not be written down.
    pub(crate) fn with_secrets(self, secrets: SecretEnv) -> Self {
        Self { secrets: Rc::new(secrets), ..self }
    }

    fn refuse(&self, reason: &str) {
        // Whoever reads it may be gone.
        let _ = (&*self.report).write_all(reason.as_bytes());
    }
}

impl Executor for Program {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        find(spec).map(drop).map_err(|reason| {
            self.refuse(&reason);
            ExecutorValidationError::ArgValidationError(reason)
        })
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let reason = match self.run(spec) {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        self.refuse(&reason);
        Err(ExecutorError::Other(reason))
    }
}

impl Program {
    fn run(&self, spec: &Spec) -> Result<std::convert::Infallible, String> {
        let path = find(spec)?;
        let (arguments, _) = command(spec)?;
        let text = |text: &str| CString::new(text).map_err(|_| "the command has a zero byte".to_owned());
        let arguments = arguments.iter().map(|argument| text(argument)).collect::<Result<Vec<_>, _>>()?;
        let mut environment = std::env::vars()
            .filter(|(key, _)| !self.secrets.has(key))
            .map(|(key, value)| text(&format!("{key}={value}")))
            .collect::<Result<Vec<_>, _>>()?;
        environment.extend(self.secrets.entries().map(CString::from));
        let program = text(&path.to_string_lossy())?;
        sys::reset_signals().map_err(|error| format!("failed to reset signals: {error}"))?;
        sys::restrict(&mut self.filter.to_vec())
            .map_err(|error| format!("failed to restrict system calls: {error}"))?;
        let error = match execve(&program, &arguments, &environment) {
            Ok(never) => return Ok(never),
            Err(error) => error,
        };
        Err(match error {
            nix::Error::ENOENT => {
                format!("{} cannot run: its interpreter or loader is not in the image", path.display())
            }
            nix::Error::ENOEXEC => format!("{} is not a program for this machine", path.display()),
            error => format!("{} cannot run: {}", path.display(), error.desc()),
        })
    }
}

fn command(spec: &Spec) -> Result<(&[String], &[String]), String> {
    let process = spec.process().as_ref().ok_or("nothing to run")?;
    let arguments = process.args().as_deref().unwrap_or_default();
    if arguments.is_empty() {
        return Err("the command is empty".to_owned());
    }
    Ok((arguments, process.env().as_deref().unwrap_or_default()))
}

/// Finds the program as a shell would.
fn find(spec: &Spec) -> Result<PathBuf, String> {
    let (arguments, environment) = command(spec)?;
    let name = &arguments[0];
    if name.is_empty() {
        return Err("the command's name is empty".to_owned());
    }
    if name.contains('/') {
        return check(Path::new(name));
    }
    let path = environment.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    let mut problem = None;
    for dir in path.split(':').filter(|dir| !dir.is_empty()) {
        match check(&Path::new(dir).join(name)) {
            Ok(found) => return Ok(found),
            Err(reason) if problem.is_none() && Path::new(dir).join(name).exists() => problem = Some(reason),
            Err(_) => {}
        }
    }
    Err(problem.unwrap_or_else(|| format!("executable `{name}` was not found in {path}")))
}

fn check(path: &Path) -> Result<PathBuf, String> {
    let metadata = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("executable `{}` was not found", path.display()),
        _ => format!("executable `{}`: {error}", path.display()),
    })?;
    if !metadata.is_file() {
        return Err(format!("`{}` is not a file", path.display()));
    }
    access(path, AccessFlags::X_OK)
        .map_err(|_| format!("`{}` is not executable for the container's user", path.display()))?;
    Ok(path.to_owned())
}
