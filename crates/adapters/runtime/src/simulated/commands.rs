//! Commands in simulated containers: a handful of words that behave like the programs of the same name.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use univrs_model::span::Span;
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, RuntimeError};

const BUFFER: usize = 64 << 10;

/// What is understood.
enum Word {
    Exit(i32),
    Echo(String),
    Complain(String),
    Copy,
    Sleep(Duration),
}

/// Runs `exit 3`, `echo words`, `complain words` (to standard error), `cat`, `true`, `false` or `sleep 5s`, also
/// several with `;` between them, also behind `sh -c`.
pub(super) fn run(id: &ContainerId, spec: &ExecSpec) -> Result<ExecSession, RuntimeError> {
    let refuse = |reason: String| RuntimeError::Refused { id: id.to_string(), reason };
    if spec.tty {
        return Err(refuse("simulated containers have no terminals".to_owned()));
    }
    let line = match spec.command.as_slice() {
        [shell, flag, script] if shell.ends_with("sh") && flag == "-c" => script.clone(),
        words => words.join(" "),
    };
    let words =
        line.split(';').map(|word| parse(word.trim())).collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    let (stdin, input) = tokio::io::duplex(BUFFER);
    let (output, stdout) = tokio::io::duplex(BUFFER);
    let (errors, stderr) = tokio::io::duplex(BUFFER);
    let (mut done, outcome) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            code = act(words, input, output, errors) => drop(done.send(code)),
            // Nobody waits any more: as if it were killed.
            () = done.closed() => {}
        }
    });
    let id = id.to_string();
    let exit = async move {
        outcome.await.map_err(|_| RuntimeError::Failed {
            id,
            step: "wait for a command",
            reason: "it was given up".to_owned(),
        })
    };
    Ok(ExecSession {
        stdin: Box::new(stdin),
        stdout: Box::new(stdout),
        stderr: Box::new(stderr),
        exit: exit.boxed(),
        resize: None,
    })
}

fn parse(text: &str) -> Result<Word, String> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "" | "true" | ":" => Ok(Word::Exit(0)),
        "false" => Ok(Word::Exit(1)),
        "exit" => rest.parse().map(Word::Exit).map_err(|_| format!("`{rest}` is not an exit code")),
        "echo" => Ok(Word::Echo(rest.to_owned())),
        "complain" => Ok(Word::Complain(rest.to_owned())),
        "cat" => Ok(Word::Copy),
        "sleep" => {
            let span = rest.parse::<Span>().or_else(|_| format!("{rest}s").parse());
            span.map(|span| Word::Sleep(span.duration())).map_err(|error| error.to_string())
        }
        _ => Err(format!("executable `{name}` was not found")),
    }
}

async fn act(
    words: Vec<Word>,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    mut errors: impl AsyncWrite + Unpin,
) -> i32 {
    let mut code = 0;
    for word in words {
        let done = match word {
            Word::Exit(exit) => {
                code = exit;
                break;
            }
            Word::Echo(text) => output.write_all(format!("{text}\n").as_bytes()).await,
            Word::Complain(text) => errors.write_all(format!("{text}\n").as_bytes()).await,
            Word::Copy => tokio::io::copy(&mut input, &mut output).await.map(drop),
            Word::Sleep(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        };
        if done.is_err() {
            // The reader is gone, as with a closed pipe.
            return 141;
        }
    }
    code
}
