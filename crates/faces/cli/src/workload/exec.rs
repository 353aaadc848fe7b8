//! `univrs exec`: a command in a running instance; its exit code becomes this program's.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use univrs_client::{Error, ExecInput, ExecOptions, ExecOutput};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::terminal::{RawMode, window};

/// Execute a command in an instance.
#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    /// Name or id of the workload
    workload: String,
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// The instance; any running one when absent
    #[arg(long)]
    instance: Option<String>,
    /// The container; the first when absent
    #[arg(long)]
    container: Option<String>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl ExecArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        if self.tty && !std::io::stdin().is_terminal() {
            return Err(Fault::usage("standard input is not a terminal", "leave -t away"));
        }
        let options = ExecOptions {
            instance: self.instance,
            container: self.container,
            tty: self.tty,
            command: self.command,
        };
        let (mut input, mut outputs) = context.client.exec(&self.workload, &options).await?.split();
        let failed = |source| Fault::local("use the terminal", source);
        let raw = if self.tty { Some(RawMode::enter().map_err(failed)?) } else { None };
        let keys = if self.interactive || self.tty { reader(context.io.take_input()) } else { nothing() };
        let feed = feed(&mut input, keys, self.tty);
        let listen = async {
            loop {
                match outputs.next().await? {
                    ExecOutput::Stdout(bytes) => context.io.raw(&bytes)?,
                    ExecOutput::Stderr(bytes) => context.io.talk_raw(&bytes)?,
                    ExecOutput::Exit(code) => return Ok(Exit::process(code)),
                }
            }
        };
        tokio::pin!(feed, listen);
        let exit = tokio::select! {
            exit = &mut listen => exit,
            // A command that no longer reads may still write.
            _ = &mut feed => listen.await,
        };
        drop(raw);
        exit
    }
}

/// Sends what comes in, then its end; and with a terminal its size, whenever it changes.
async fn feed(input: &mut ExecInput, mut keys: mpsc::Receiver<Vec<u8>>, tty: bool) -> Result<(), Error> {
    let mut resized = signal(SignalKind::window_change()).ok().filter(|_| tty);
    if tty {
        let (columns, rows) = window();
        input.resize(columns, rows).await?;
    }
    loop {
        let change = async {
            match &mut resized {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            bytes = keys.recv() => match bytes {
                Some(bytes) => input.write(&bytes).await?,
                None => return input.end().await,
            },
            _ = change => {
                let (columns, rows) = window();
                input.resize(columns, rows).await?;
            }
        }
    }
}

/// An input that is at its end.
fn nothing() -> mpsc::Receiver<Vec<u8>> {
    mpsc::channel(1).1
}

/// Reads an input on a thread of its own, because a read of a terminal cannot be given up.
fn reader(mut input: Box<dyn BufRead + Send>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        loop {
            let Ok(bytes) = input.fill_buf().map(<[u8]>::to_vec) else { return };
            input.consume(bytes.len());
            if bytes.is_empty() || sender.blocking_send(bytes).is_err() {
                return;
            }
        }
    });
    receiver
}
