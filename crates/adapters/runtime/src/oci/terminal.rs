//! The daemon's end of a terminal.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;

use crate::sys;

/// What a terminal is used for; each part keeps it open.
pub(super) struct Terminal {
    pub(super) keys: pipe::Sender,
    pub(super) screen: Screen,
    pub(super) size: Size,
}

impl Terminal {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
        // Not a pipe, but read and written like one.
        Ok(Self {
            keys: pipe::Sender::from_owned_fd_unchecked(fd.try_clone()?)?,
            screen: Screen(pipe::Receiver::from_owned_fd_unchecked(fd.try_clone()?)?),
            size: Size(fd),
        })
    }
}

/// Sets a terminal's size.
pub(super) struct Size(OwnedFd);

impl Size {
    pub(super) fn set(&self, columns: u16, rows: u16) -> io::Result<()> {
        Ok(sys::resize(self.0.as_fd(), columns, rows)?)
    }
}

/// Reads what appears on a terminal.
pub(super) struct Screen(pipe::Receiver);

impl AsyncRead for Screen {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.0).poll_read(context, buffer)) {
            // How a terminal says that the other end is closed.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}
