//! How a command ended, as its exit code.

use std::process::ExitCode;

/// How a command ended. The codes are part of the public interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As wanted: 0.
    Ok,
    /// It failed: 1.
    Failed,
    /// The command was not meant so: 2.
    Usage,
    /// What it is about does not exist: 3.
    NotFound,
    /// Someone else changed it, or it exists already: 4.
    Conflict,
    /// Not allowed: 5.
    Denied,
    /// Not settled in time: 6.
    TimedOut,
    /// The change failed and was taken back: 7.
    Reverted,
    /// A topology did not pass its check: 11.
    CheckFailed,
    /// It costs more than its budget: 12.
    OverBudget,
    /// An objective that was required is not met: 13.
    ObjectiveMissed,
    /// Stopped with Ctrl-C: 130.
    Interrupted,
    /// The code of a container's process.
    Process(u8),
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Denied => 5,
            Self::TimedOut => 6,
            Self::Reverted => 7,
            Self::CheckFailed => 11,
            Self::OverBudget => 12,
            Self::ObjectiveMissed => 13,
            Self::Interrupted => 130,
            Self::Process(code) => code,
        }
    }

    /// The end of a process in a container; codes beyond one byte keep their low byte, as shells have it.
    pub(crate) fn process(code: i32) -> Self {
        match u8::try_from(code & 0xff) {
            Ok(0) if code == 0 => Self::Ok,
            Ok(0) | Err(_) => Self::Failed,
            Ok(code) => Self::Process(code),
        }
    }

    /// The more telling of two ends: the first that is not [`Exit::Ok`].
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Ok { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn processes_pass_their_code_through() {
        assert_eq!(Exit::process(0), Exit::Ok);
        assert_eq!(Exit::process(7).code(), 7);
        assert_eq!(Exit::process(137).code(), 137);
        assert_eq!(Exit::process(-1).code(), 255);
        assert_eq!(Exit::process(256).code(), 1);
    }
}
