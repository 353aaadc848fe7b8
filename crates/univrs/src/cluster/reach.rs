//! Reaching into instances wherever they are: here in this process, elsewhere over a connection to their node.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::client::TlsStream;
use univrs_agent::LocalNodeAccess;
use univrs_model::ids::NodeId;
use univrs_ports::node_access::{AccessError, Connection, NodeAccess};
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, RuntimeError};
use univrs_trust::tls::ACCESS;

use crate::cluster::dial::NodeDial;
use crate::cluster::frames;
use crate::cluster::reach_words::{
    Answer, Fault, Kind, LARGEST, Line, PIECE, Wanted, read_piece, write_piece,
};

type Stream = TlsStream<TcpStream>;

/// Reaches into instances of every node.
pub(crate) struct ClusterAccess {
    pub(crate) node: NodeId,
    pub(crate) local: Arc<LocalNodeAccess>,
    pub(crate) dial: Arc<NodeDial>,
}

impl ClusterAccess {
    async fn ask(&self, node: &NodeId, wanted: &Wanted) -> Result<Stream, AccessError> {
        let unreachable =
            |error: io::Error| AccessError::Unreachable { node: node.clone(), reason: error.to_string() };
        let mut stream = self.dial.connect(node, ACCESS).await.map_err(unreachable)?;
        frames::write(&mut stream, wanted).await.map_err(unreachable)?;
        match frames::read::<Answer>(&mut stream, LARGEST).await.map_err(unreachable)? {
            Answer::Go => Ok(stream),
            Answer::No(fault) => Err(fault.into_access(node)),
        }
    }
}

#[async_trait]
impl NodeAccess for ClusterAccess {
    async fn logs(
        &self,
        node: &NodeId,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, AccessError> {
        if *node == self.node {
            return self.local.logs(node, id, query).await;
        }
        let LogQuery { tail, since, follow } = query;
        let stream = self.ask(node, &Wanted::Logs { id: id.clone(), tail, since, follow }).await?;
        let lost = id.to_string();
        let lines = stream::unfold(Some(stream), move |stream| {
            let id = lost.clone();
            async move {
                let mut stream = stream?;
                match frames::read::<Line>(&mut stream, LARGEST).await {
                    Ok(Line::Line(line)) => Some((Ok(line), Some(stream))),
                    Ok(Line::Failed(fault)) => Some((Err(fault.into_runtime()), Some(stream))),
                    Ok(Line::End) => None,
                    Err(error) => {
                        let reason = error.to_string();
                        Some((Err(RuntimeError::Failed { id, step: "hear from the node", reason }), None))
                    }
                }
            }
        });
        Ok(lines.boxed())
    }

    async fn exec(
        &self,
        node: &NodeId,
        id: &ContainerId,
        spec: ExecSpec,
    ) -> Result<ExecSession, AccessError> {
        if *node == self.node {
            return self.local.exec(node, id, spec).await;
        }
        let ExecSpec { command, env, tty } = spec;
        let stream = self.ask(node, &Wanted::Exec { id: id.clone(), command, env, tty }).await?;
        Ok(session(stream, id.to_string(), tty))
    }

    async fn connect(
        &self,
        node: &NodeId,
        address: &str,
        port: u16,
    ) -> Result<Box<dyn Connection>, AccessError> {
        if *node == self.node {
            return self.local.connect(node, address, port).await;
        }
        Ok(Box::new(self.ask(node, &Wanted::Connect { address: address.to_owned(), port }).await?))
    }
}

/// A command's session over a connection.
fn session(stream: Stream, id: String, tty: bool) -> ExecSession {
    let (reader, writer) = tokio::io::split(stream);
    let (stdin, typed) = tokio::io::duplex(PIECE);
    let (stdout, out) = tokio::io::duplex(PIECE);
    let (stderr, err) = tokio::io::duplex(PIECE);
    let (resize, sizes) = mpsc::channel(4);
    let (tell, exit) = oneshot::channel();
    tokio::spawn(type_in(writer, typed, sizes));
    let lost = id.clone();
    tokio::spawn(async move {
        let mut tell = tell;
        let ended = tokio::select! {
            ended = hear(reader, out, err) => ended,
            // Whoever asked went away; closing the connection ends the command.
            () = tell.closed() => return,
        };
        let ended = ended.unwrap_or_else(|error| Err(Fault::Failed { id: lost, reason: error.to_string() }));
        let _gone = tell.send(ended);
    });
    let exit = Box::pin(async move {
        match exit.await {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(fault)) => Err(fault.into_runtime()),
            Err(_) => Err(RuntimeError::Failed {
                id,
                step: "hear from the node",
                reason: "the session ended".to_owned(),
            }),
        }
    });
    ExecSession {
        stdin: Box::new(stdin),
        stdout: Box::new(stdout),
        stderr: Box::new(stderr),
        exit,
        resize: tty.then_some(resize),
    }
}

async fn type_in(
    mut writer: WriteHalf<Stream>,
    mut typed: DuplexStream,
    mut sizes: mpsc::Receiver<(u16, u16)>,
) {
    let mut buffer = vec![0; PIECE];
    let (mut open, mut sized) = (true, true);
    while open || sized {
        let written = tokio::select! {
            read = typed.read(&mut buffer), if open => {
                let read = read.unwrap_or(0);
                open = read > 0;
                write_piece(&mut writer, Kind::Stdin, &buffer[..read]).await
            }
            size = sizes.recv(), if sized => match size {
                Some((columns, rows)) => {
                    let body = [columns.to_be_bytes(), rows.to_be_bytes()].concat();
                    write_piece(&mut writer, Kind::Resize, &body).await
                }
                None => {
                    sized = false;
                    Ok(())
                }
            },
        };
        if written.is_err() {
            return;
        }
    }
}

/// Hands on what the command says; answers how it ended.
async fn hear(
    mut reader: ReadHalf<Stream>,
    out: DuplexStream,
    err: DuplexStream,
) -> io::Result<Result<i32, Fault>> {
    let (mut out, mut err) = (Some(out), Some(err));
    loop {
        let (kind, body) = read_piece(&mut reader).await?;
        let output = match kind {
            Kind::Stdout => &mut out,
            Kind::Stderr => &mut err,
            Kind::Exit => {
                let code = body.try_into().map(i32::from_be_bytes);
                return code.map(Ok).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            Kind::Fault => return Ok(Err(serde_json::from_slice(&body)?)),
            Kind::Stdin | Kind::Resize => continue,
        };
        match output {
            Some(_) if body.is_empty() => *output = None,
            Some(open) => {
                if open.write_all(&body).await.is_err() {
                    // Whoever asked reads no more of it.
                    *output = None;
                }
            }
            None => {}
        }
    }
}
