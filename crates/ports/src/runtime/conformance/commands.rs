//! Commands in running containers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::super::{ContainerId, ExecSession, ExecSpec, Runtime, RuntimeError};
use super::{Behaviour, Command, PATIENCE, Subject, close, ended, started, until};

async fn run(
    subject: &dyn Subject,
    runtime: &dyn Runtime,
    id: &ContainerId,
    command: Command,
    tty: bool,
) -> Result<ExecSession, RuntimeError> {
    let command = subject.command(command);
    runtime.exec(id, ExecSpec { command, env: BTreeMap::new(), tty }).await
}

async fn code(session: ExecSession) -> i32 {
    let code = tokio::time::timeout(PATIENCE, session.exit).await.expect("the command ends in time");
    code.expect("an exit code")
}

/// The exit code of a command is its own, and does not end the container.
pub(super) async fn commands_have_exit_codes(subject: &dyn Subject) {
    let (id, before) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    let runtime = subject.runtime();
    for wanted in [0, 1, 42, 255] {
        let session = run(subject, &*runtime, &id, Command::Exits(wanted), false).await.expect("it runs");
        assert!(session.resize.is_none());
        assert_eq!(code(session).await, wanted);
    }
    assert_eq!(runtime.inspect(&id).await.expect("an answer"), Some(before));
    close(&*runtime, &id.instance).await;
}

/// Input reaches a command and its outputs come back apart.
pub(super) async fn commands_read_and_write(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    let runtime = subject.runtime();
    let mut session = run(subject, &*runtime, &id, Command::Copies, false).await.expect("it runs");
    let sent: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    let mut stdin = session.stdin;
    let copy = sent.clone();
    let writing = async move {
        stdin.write_all(&copy).await.expect("it reads");
        stdin.shutdown().await.expect("its input can be closed");
        drop(stdin);
    };
    let mut got = Vec::new();
    let reading = async { session.stdout.read_to_end(&mut got).await.expect("it writes") };
    tokio::time::timeout(PATIENCE, async { tokio::join!(writing, reading) })
        .await
        .expect("all is copied in time");
    assert!(got == sent, "{} bytes came back of {}", got.len(), sent.len());
    let ended = tokio::time::timeout(PATIENCE, session.exit).await.expect("the command ends in time");
    assert_eq!(ended.expect("an exit code"), 0);

    let mut session = run(subject, &*runtime, &id, Command::Says, false).await.expect("it runs");
    let (mut out, mut err) = (String::new(), String::new());
    session.stdout.read_to_string(&mut out).await.expect("its output");
    session.stderr.read_to_string(&mut err).await.expect("its errors");
    assert_eq!((out.as_str(), err.as_str()), ("to out\n", "to err\n"));
    assert_eq!(code(session).await, 0);
    close(&*runtime, &id.instance).await;
}

/// A command that does not exist is refused by name.
pub(super) async fn missing_commands_are_refused(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    let runtime = subject.runtime();
    match run(subject, &*runtime, &id, Command::Missing, false).await.map(drop) {
        Err(RuntimeError::Refused { reason, .. }) => assert!(reason.contains("/no/such/program"), "{reason}"),
        other => panic!("it must be refused, was {other:?}"),
    }
    close(&*runtime, &id.instance).await;
}

/// Nothing runs in a container that has ended or never was.
pub(super) async fn commands_need_a_running_container(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::Says(vec![])).await;
    let runtime = subject.runtime();
    ended(&*runtime, &id).await;
    let outcome = run(subject, &*runtime, &id, Command::Exits(0), false).await.map(drop);
    assert!(matches!(outcome, Err(RuntimeError::NotRunning { .. })), "{outcome:?}");
    close(&*runtime, &id.instance).await;
    let outcome = run(subject, &*runtime, &id, Command::Exits(0), false).await.map(drop);
    assert!(matches!(outcome, Err(RuntimeError::NotFound { .. })), "{outcome:?}");
}

/// A command with a terminal sees its size, also when it changes.
pub(super) async fn commands_can_have_a_terminal(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::EndsOnTerm(0)).await;
    let runtime = subject.runtime();
    let mut session = run(subject, &*runtime, &id, Command::Measures, true).await.expect("it runs");
    let resize = session.resize.take().expect("a terminal can be resized");
    let mut lines = BufReader::new(session.stdout).lines();
    for (columns, rows) in [(80_u16, 24_u16), (132, 50)] {
        resize.send((columns, rows)).await.expect("it takes the size");
        let wanted = format!("{rows} {columns}");
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                // The command reads the size at some moment after it was set: asked until it does.
                session.stdin.write_all(b"\n").await.expect("it reads");
                let pause = Duration::from_millis(100);
                while let Ok(line) = tokio::time::timeout(pause, lines.next_line()).await {
                    match line.expect("its output") {
                        Some(line) if line.trim() == wanted => return true,
                        Some(_) => {}
                        None => return false,
                    }
                }
            }
        });
        assert!(found.await.expect("an answer in time"), "the size must become {wanted}");
    }
    // The end of input, as typed.
    session.stdin.write_all(&[4]).await.expect("it reads");
    let ended = tokio::time::timeout(PATIENCE, session.exit).await.expect("the command ends in time");
    assert_eq!(ended.expect("an exit code"), 0);
    close(&*runtime, &id.instance).await;
}

/// A command whose session is dropped does not stay behind.
pub(super) async fn a_dropped_command_is_killed(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::Stubborn).await;
    let runtime = subject.runtime();
    let count = || async { runtime.usage(&id).await.expect("its usage").pids };
    // The container itself has a shell and, most of the time, a short-lived child of it.
    let alone = count().await.max(2);
    for tty in [false, true] {
        if tty && subject.lacks().contains(&super::Ability::Terminal) {
            continue;
        }
        let sessions = [
            run(subject, &*runtime, &id, Command::Stays, tty).await.expect("it runs"),
            run(subject, &*runtime, &id, Command::Stays, tty).await.expect("it runs"),
        ];
        until("the commands run", || async { (count().await > alone).then_some(()) }).await;
        drop(sessions);
        until("the commands are gone", || async { (count().await <= alone).then_some(()) }).await;
    }
    close(&*runtime, &id.instance).await;
}
