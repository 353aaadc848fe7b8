//! Lets members reach into this node's instances. Who may is decided by the node that was asked by a person, so only
//! nodes that serve people are let in.

use std::io;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use univrs_model::member::holds_state;
use univrs_ports::node_access::NodeAccess;
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogQuery};
use univrs_trust::Peer;

use crate::cluster::frames;
use crate::cluster::port::{Late, Offers};
use crate::cluster::reach_words::{
    Answer, Fault, Kind, LARGEST, Line, PIECE, Wanted, read_piece, write_piece,
};

/// How long the other node may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

type Stream = TlsStream<TcpStream>;

/// Serves one session.
pub(super) async fn serve(mut stream: Stream, offers: &Offers, peer: &Peer) -> io::Result<()> {
    let wanted = tokio::time::timeout(PATIENCE, frames::read::<Wanted>(&mut stream, LARGEST)).await;
    let wanted = wanted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let refuse = |reason: &str| Answer::No(Fault::Unreachable { reason: reason.to_owned() });
    if !holds_state(&peer.roles) {
        return frames::write(
            &mut stream,
            &refuse("nodes that only run workloads may not reach into others"),
        )
        .await;
    }
    let Some(late) = offers.late.get() else {
        return frames::write(&mut stream, &refuse("it is still starting")).await;
    };
    match wanted {
        Wanted::Logs { id, tail, since, follow } => {
            logs(stream, offers, late, &id, LogQuery { tail, since, follow }).await
        }
        Wanted::Exec { id, command, env, tty } => {
            match late.access.exec(&offers.node, &id, ExecSpec { command, env, tty }).await {
                Ok(session) => {
                    frames::write(&mut stream, &Answer::Go).await?;
                    exec(stream, session).await
                }
                Err(error) => frames::write(&mut stream, &Answer::No(error.into())).await,
            }
        }
        Wanted::Connect { address, port } => {
            if !is_ours(offers, late, &address) {
                return frames::write(&mut stream, &refuse("no instance here has that address")).await;
            }
            match late.access.connect(&offers.node, &address, port).await {
                Ok(mut connection) => {
                    frames::write(&mut stream, &Answer::Go).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut connection).await.map(|_| ())
                }
                Err(error) => frames::write(&mut stream, &Answer::No(error.into())).await,
            }
        }
    }
}

/// Whether an instance on this node has the address: nothing else in the node's neighbourhood is reached from afar.
fn is_ours(offers: &Offers, late: &Late, address: &str) -> bool {
    let state = late.control.mirror().state();
    state.assignments_on(&offers.node).any(|assignment| {
        let seen = state.observations.get(&assignment.id);
        seen.is_some_and(|seen| seen.address.as_deref() == Some(address))
    })
}

async fn logs(
    mut stream: Stream,
    offers: &Offers,
    late: &Late,
    id: &ContainerId,
    query: LogQuery,
) -> io::Result<()> {
    let mut lines = match late.access.logs(&offers.node, id, query).await {
        Ok(lines) => lines,
        Err(error) => return frames::write(&mut stream, &Answer::No(error.into())).await,
    };
    frames::write(&mut stream, &Answer::Go).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut nothing = [0; 1];
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            // Nothing more is sent by who reads: it went away.
            _ = reader.read(&mut nothing) => return Ok(()),
        };
        match line {
            Some(Ok(line)) => frames::write(&mut writer, &Line::Line(line)).await?,
            Some(Err(error)) => frames::write(&mut writer, &Line::Failed(error.into())).await?,
            None => {
                frames::write(&mut writer, &Line::End).await?;
                return writer.shutdown().await;
            }
        }
    }
}

async fn exec(stream: Stream, session: ExecSession) -> io::Result<()> {
    let ExecSession { stdin, stdout, stderr, exit, resize } = session;
    let (reader, mut writer) = tokio::io::split(stream);
    let (pieces, mut outgoing) = mpsc::channel::<(Kind, Vec<u8>)>(8);
    let told = take_in(reader, stdin, resize);
    let outputs = async {
        tokio::join!(
            pass_on(stdout, Kind::Stdout, pieces.clone()),
            pass_on(stderr, Kind::Stderr, pieces.clone())
        );
        let last = match exit.await {
            Ok(code) => (Kind::Exit, code.to_be_bytes().to_vec()),
            Err(error) => (Kind::Fault, serde_json::to_vec(&Fault::from(error)).unwrap_or_default()),
        };
        let _gone = pieces.send(last).await;
        drop(pieces);
    };
    let written = async {
        while let Some((kind, body)) = outgoing.recv().await {
            write_piece(&mut writer, kind, &body).await?;
            if matches!(kind, Kind::Exit | Kind::Fault) {
                break;
            }
        }
        writer.shutdown().await
    };
    tokio::pin!(told);
    let work = async {
        let ((), written) = tokio::join!(outputs, written);
        written
    };
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => done,
        // Whoever asked went away: dropping the session ends the command.
        ended = &mut told => match ended {
            Err(error) => Err(error),
            Ok(()) => Ok(()),
        },
    }
}

/// Hands on what is typed until the other side closes the connection.
async fn take_in(
    mut reader: impl AsyncRead + Unpin,
    stdin: Box<dyn AsyncWrite + Send + Unpin>,
    resize: Option<mpsc::Sender<(u16, u16)>>,
) -> io::Result<()> {
    let mut stdin = Some(stdin);
    loop {
        let (kind, body) = read_piece(&mut reader).await?;
        match (kind, stdin.as_mut()) {
            (Kind::Stdin, Some(_)) if body.is_empty() => {
                if let Some(mut ended) = stdin.take() {
                    let _closed_already = ended.shutdown().await;
                }
            }
            (Kind::Stdin, Some(open)) => {
                let written = async {
                    open.write_all(&body).await?;
                    open.flush().await
                };
                // A command that reads no more is not at fault.
                if written.await.is_err() {
                    stdin = None;
                }
            }
            (Kind::Resize, _) => {
                if let (Some(resize), [a, b, c, d]) = (&resize, body.as_slice()) {
                    let size = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
                    let _gone = resize.send(size).await;
                }
            }
            _ => {}
        }
    }
}

async fn pass_on(mut output: impl AsyncRead + Unpin, kind: Kind, pieces: mpsc::Sender<(Kind, Vec<u8>)>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = output.read(&mut buffer).await.unwrap_or(0);
        if pieces.send((kind, buffer[..read].to_vec())).await.is_err() || read == 0 {
            return;
        }
    }
}
