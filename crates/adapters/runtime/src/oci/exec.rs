//! Running one more command in a container.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt as _;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, RuntimeError};

use super::terminal::{Size, Terminal};
use super::{Inner, blocking, failed, refused};
use crate::shim::{self, Answer, Call};
use crate::spec::command_problem;

/// How long the helper may take until the command runs.
const START_LIMIT: Duration = Duration::from_secs(30);
/// More than this is not a command line.
const LONGEST_COMMAND: usize = 128 << 10;

/// A command's inputs and outputs: the ends that stay here and those that go to the command.
struct Ends {
    stdin: Box<dyn AsyncWrite + Send + Unpin>,
    stdout: Box<dyn AsyncRead + Send + Unpin>,
    stderr: Box<dyn AsyncRead + Send + Unpin>,
    theirs: Vec<OwnedFd>,
}

impl Inner {
    pub(super) async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError> {
        self.running(id)?;
        if let Some(problem) = command_problem(&spec.command, spec.env.iter()) {
            return Err(refused(id, problem));
        }
        let size = spec.command.iter().map(String::len).sum::<usize>()
            + spec.env.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if size > LONGEST_COMMAND {
            return Err(refused(id, format!("the command and its environment are {size} bytes long")));
        }
        let ends =
            if spec.tty { None } else { Some(pipes().map_err(failed(id, "open pipes for a command"))?) };
        let (ours, theirs) = UnixStream::pair().map_err(failed(id, "open a socket for a command"))?;
        let child = Command::new(&self.program)
            .arg0("univrs")
            .arg(shim::EXEC)
            .arg(self.layout.container(id))
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed(id, "start the helper of a command"))?;
        // It ends when the socket closes, and the runtime collects it then.
        drop(child);
        let call = Call { command: spec.command, env: spec.env.into_iter().collect(), tty: spec.tty };
        let (ends, given) = match ends {
            Some(Ends { stdin, stdout, stderr, theirs }) => (Some((stdin, stdout, stderr)), theirs),
            None => (None, Vec::new()),
        };
        let name = id.clone();
        let (ours, answer, terminal) = blocking(move || {
            ask(&ours, &call, given)
                .map(|(answer, terminal)| (ours, answer, terminal))
                .map_err(failed(&name, "hear from the helper of a command"))
        })
        .await?;
        match answer {
            Answer::Running => {}
            Answer::Refused(reason) => return Err(refused(id, reason)),
            Answer::Failed(reason) => {
                // The likeliest reason is that it ended meanwhile.
                self.running(id)?;
                return Err(failed(id, "run a command")(reason));
            }
            Answer::Ended(_) => return Err(failed(id, "run a command")("the helper gave no answer")),
        }
        let exit = watch(id, ours).map_err(failed(id, "wait for a command"))?;
        if let Some((stdin, stdout, stderr)) = ends {
            return Ok(ExecSession { stdin, stdout, stderr, exit, resize: None });
        }
        let terminal = terminal.ok_or_else(|| failed(id, "run a command")("it came without its terminal"))?;
        let terminal = Terminal::new(terminal).map_err(failed(id, "open a terminal"))?;
        Ok(ExecSession {
            stdin: Box::new(terminal.keys),
            stdout: Box::new(terminal.screen),
            stderr: Box::new(tokio::io::empty()),
            exit,
            resize: Some(resizer(terminal.size)),
        })
    }
}

fn pipes() -> std::io::Result<Ends> {
    let (in_read, in_write) = pipe2(OFlag::O_CLOEXEC)?;
    let (out_read, out_write) = pipe2(OFlag::O_CLOEXEC)?;
    let (err_read, err_write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok(Ends {
        stdin: Box::new(pipe::Sender::from_owned_fd(in_write)?),
        stdout: Box::new(pipe::Receiver::from_owned_fd(out_read)?),
        stderr: Box::new(pipe::Receiver::from_owned_fd(err_read)?),
        theirs: vec![in_read, out_write, err_write],
    })
}

/// Sends the call and waits until the command runs or does not.
fn ask(socket: &UnixStream, call: &Call, theirs: Vec<OwnedFd>) -> std::io::Result<(Answer, Option<OwnedFd>)> {
    socket.set_read_timeout(Some(START_LIMIT))?;
    shim::send_call(socket, call, &theirs)?;
    drop(theirs);
    let (mut text, mut terminal) = (Vec::new(), None);
    let mut bytes = [0; 4096];
    while text.last() != Some(&b'\n') {
        // One answer at a time: the next one follows only after this one has been read, or is the last.
        let (count, fds) = shim::receive_with_fds(socket, &mut bytes[..1])?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&bytes[..count]);
        terminal = fds.into_iter().next().or(terminal);
    }
    Ok((serde_json::from_slice(&text)?, terminal))
}

/// Resolves to the exit code. When it is dropped, the socket closes and the helper kills the command.
fn watch(
    id: &ContainerId,
    socket: UnixStream,
) -> std::io::Result<futures::future::BoxFuture<'static, Result<i32, RuntimeError>>> {
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixStream::from_std(socket)?;
    let (mut done, outcome) = oneshot::channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(socket).lines();
        tokio::select! {
            line = lines.next_line() => {
                let answer = line.ok().flatten().and_then(|line| serde_json::from_str(&line).ok());
                // Dropped at the same moment: then nobody wants to know.
                let _ = done.send(answer);
            }
            () = done.closed() => {}
        }
    });
    let lost = failed(id, "wait for a command");
    Ok(async move {
        match outcome.await {
            Ok(Some(Answer::Ended(code))) => Ok(code),
            _ => Err(lost("its helper ended")),
        }
    }
    .boxed())
}

fn resizer(size: Size) -> mpsc::Sender<(u16, u16)> {
    let (sender, mut sizes) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            // The command may have ended.
            let _ = size.set(columns, rows);
        }
    });
    sender
}
