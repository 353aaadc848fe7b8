//! What is said on a shim's control socket: one line each way at a time.
//!
//! The shim greets with the version of this language. Shims outlive the program that started them, so an old one
//! may have to be understood by a newer daemon: the meaning of a line never changes, new lines may be added.

use univrs_ports::runtime::Exit;

const VERSION: u32 = 1;

/// What a shim is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Send this signal to the container's first process.
    Signal(i32),
}

impl Request {
    /// The line for it, with its end.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Signal(number) => format!("signal {number}\n"),
        }
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("signal", number) => number.parse().ok().map(Self::Signal),
            _ => None,
        }
    }
}

/// What a shim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// First of all: it is there.
    Hello,
    /// Last of all: the container ended.
    Ended(Exit),
}

impl Reply {
    /// The line for it, with its end.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Hello => format!("univrs-shim {VERSION}\n"),
            Self::Ended(exit) => {
                // Numbers, a flag and a time always make a text.
                format!("ended {}\n", serde_json::to_string(&exit).unwrap_or_default())
            }
        }
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("univrs-shim", _) => Some(Self::Hello),
            ("ended", exit) => serde_json::from_str(exit).ok().map(Self::Ended),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use univrs_ports::runtime::Exit;

    use super::{Reply, Request};

    #[test]
    fn lines_are_understood() {
        let exit = Exit { code: Some(3), out_of_memory: false, at: jiff::Timestamp::UNIX_EPOCH };
        for reply in [Reply::Hello, Reply::Ended(exit)] {
            assert_eq!(Reply::parse(reply.line().trim_end()), Some(reply));
        }
        let request = Request::Signal(15);
        assert_eq!(Request::parse(request.line().trim_end()), Some(request));
        assert_eq!(Request::parse("later words"), None);
    }
}
