//! Logs, commands and connections: `/api/workloads/{workload}/{logs,exec,proxy}`.

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{BoxStream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use univrs_control::Selection;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::InstanceId;
use univrs_model::name::Name;
use univrs_ports::node_access::Connection;
use univrs_ports::runtime::{ExecSession, ExecSpec, LogQuery, LogStream};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::problem::Problem;

/// How long a peer may take to close its side.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(2);

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logs)).routes(routes!(exec)).routes(routes!(proxy))
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogsQuery {
    /// Wait for more lines.
    #[serde(default)]
    follow: bool,
    /// Only the last so many lines of each container.
    tail: Option<usize>,
    /// Only lines from then on.
    since: Option<Timestamp>,
    /// Only this instance: its id or a unique prefix.
    instance: Option<String>,
    /// Only this container.
    #[param(value_type = Option<String>)]
    container: Option<Name>,
    /// Begin plain lines with their time.
    #[serde(default)]
    timestamps: bool,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// One line of a log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LogEntry {
    /// When it was read.
    pub(crate) at: Timestamp,
    /// `stdout` or `stderr`.
    #[schema(value_type = String)]
    pub(crate) stream: LogStream,
    /// The instance that wrote it.
    pub(crate) instance: InstanceId,
    /// The container that wrote it.
    pub(crate) container: Name,
    /// The line without its end.
    pub(crate) text: String,
}

/// What its containers wrote: lines of text, or with `Accept: application/x-ndjson` one JSON object a line.
#[utoipa::path(get, path = "/api/workloads/{workload}/logs", tag = "workloads", params(("workload" = String, Path), LogsQuery),
    responses((status = OK, body = String, content_type = "text/plain"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn logs(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<LogsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/x-ndjson"));
    let selection = Selection { instance: query.instance, container: query.container };
    let wanted = LogQuery { tail: query.tail, since: query.since, follow: query.follow };
    let sources = app.control.logs(&caller, &workload, &selection, wanted).await?;
    let streams = sources.into_iter().map(|source| {
        let id = source.id;
        source.lines.filter_map(move |line| {
            let broken = |error: &_| {
                tracing::warn!(instance = %id.instance, %error, "lines of a log are missing from an answer");
            };
            let entry = line.inspect_err(broken).ok().map(|line| LogEntry {
                at: line.at,
                stream: line.stream,
                instance: id.instance.clone(),
                container: id.container.clone(),
                text: line.text,
            });
            std::future::ready(entry)
        })
    });
    let lines: BoxStream<'static, LogEntry> = if query.follow {
        futures::stream::select_all(streams.map(StreamExt::boxed)).boxed()
    } else {
        // Without following, all lines are there: show them as they happened.
        let mut all: Vec<LogEntry> = futures::stream::iter(streams).flatten().collect().await;
        all.sort_by_key(|entry| entry.at);
        futures::stream::iter(all).boxed()
    };
    let bytes = lines.map(move |entry| {
        let line = if json {
            serde_json::to_string(&entry).unwrap_or_default()
        } else if query.timestamps {
            format!("{} {}", entry.at, entry.text)
        } else {
            entry.text
        };
        Ok::<_, std::convert::Infallible>(Bytes::from(line + "\n"))
    });
    let kind = if json { "application/x-ndjson" } else { "text/plain; charset=utf-8" };
    // A follower must not keep the server from stopping, nor outlive its token.
    let stop = async move {
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = app.control.until_ended(&caller) => {}
        }
    };
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(bytes.take_until(stop))).into_response())
}

/// Which command to run where.
#[derive(Clone, Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExecQuery {
    /// The command and its arguments, one parameter each.
    #[param(required)]
    pub(crate) command: Vec<String>,
    /// Give it a terminal.
    pub(crate) tty: bool,
    /// Only in this instance.
    pub(crate) instance: Option<String>,
    /// Only in this container.
    #[param(value_type = Option<String>)]
    pub(crate) container: Option<Name>,
}

impl ExecQuery {
    /// Repeated parameters are beyond serde's form decoder, so pairs are read one by one.
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut parsed = Self::default();
        let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
            &format!("/?{query}")
                .parse()
                .map_err(|_| FieldError::new("query", "it is not a query string"))?,
        )
        .map_err(|_| FieldError::new("query", "it is not a query string"))?
        .0;
        for (key, value) in pairs {
            match key.as_str() {
                "command" => parsed.command.push(value),
                "tty" => parsed.tty = value == "true" || value == "1",
                "instance" => parsed.instance = Some(value),
                "container" => {
                    parsed.container =
                        Some(value.parse().map_err(|error: univrs_model::name::InvalidName| {
                            FieldError::new("container", error.to_string())
                        })?);
                }
                "org" => {}
                _ => {
                    return Err(FieldError::new(
                        "query",
                        format!("unknown parameter `{}`", key.escape_default()),
                    )
                    .into());
                }
            }
        }
        if parsed.command.is_empty() {
            return Err(FieldError::new("command", "say what to run").hint("add `command=sh`").into());
        }
        Ok(parsed)
    }
}

/// Runs a command in a container, over a WebSocket. The first byte of each binary frame tells what it carries:
/// 0 input (an empty one ends it), 1 output, 2 error output, 3 the end as `{"code":n}`, 4 the terminal's size as
/// `{"cols":n,"rows":n}`.
#[utoipa::path(get, path = "/api/workloads/{workload}/exec", tag = "workloads", params(("workload" = String, Path), ExecQuery),
    responses((status = SWITCHING_PROTOCOLS), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn exec(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let query = ExecQuery::parse(query.as_deref().unwrap_or(""))?;
    let upgrade = upgrade.map_err(|_| not_a_socket())?;
    let selection = Selection { instance: query.instance, container: query.container };
    let spec = ExecSpec { command: query.command, env: std::collections::BTreeMap::new(), tty: query.tty };
    let session = app.control.exec(&caller, &workload, &selection, spec).await?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        tokio::select! {
            () = carry_session(socket, session) => {}
            () = app.control.until_ended(&caller) => {}
        }
    }))
}

fn not_a_socket() -> Problem {
    Problem::new(
        axum::http::StatusCode::UPGRADE_REQUIRED,
        "upgrade_required",
        "A WebSocket is needed",
        "this address answers WebSocket requests only",
    )
}

#[derive(Deserialize)]
struct TerminalSize {
    cols: u16,
    rows: u16,
}

async fn carry_session(mut socket: WebSocket, mut session: ExecSession) {
    let mut out = vec![0; 16 << 10];
    let mut err = vec![0; 16 << 10];
    let (mut out_open, mut err_open, mut code) = (true, true, None);
    // The exit code goes last, when everything that was written has been sent.
    while out_open || err_open || code.is_none() {
        let frame = tokio::select! {
            read = session.stdout.read(&mut out), if out_open => match read {
                Ok(length @ 1..) => Some((1, out[..length].to_vec())),
                Ok(0) | Err(_) => { out_open = false; None }
            },
            read = session.stderr.read(&mut err), if err_open => match read {
                Ok(length @ 1..) => Some((2, err[..length].to_vec())),
                Ok(0) | Err(_) => { err_open = false; None }
            },
            ended = &mut session.exit, if code.is_none() => { code = Some(ended.unwrap_or(255)); None }
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(frame))) => {
                    if take_frame(&mut session, &frame).await.is_err() {
                        tracing::debug!("the command does not read its input");
                    }
                    None
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => None,
            },
        };
        if let Some((channel, mut bytes)) = frame {
            bytes.insert(0, channel);
            if socket.send(Message::Binary(bytes.into())).await.is_err() {
                return;
            }
        }
    }
    let mut last = vec![3];
    last.extend_from_slice(format!("{{\"code\":{}}}", code.unwrap_or(255)).as_bytes());
    if socket.send(Message::Binary(last.into())).await.is_ok() {
        farewell(socket).await;
    }
}

/// Closes a socket and reads what the peer still sends: a connection that is dropped with unread bytes is reset, and
/// the peer would lose the last words.
async fn farewell(mut socket: WebSocket) {
    if socket.send(Message::Close(None)).await.is_ok() {
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        // A peer that never closes is not waited for.
        drop(tokio::time::timeout(FAREWELL, rest).await);
    }
}

async fn take_frame(session: &mut ExecSession, frame: &[u8]) -> std::io::Result<()> {
    match frame.split_first() {
        Some((0, [])) => session.stdin.shutdown().await,
        Some((0, input)) => {
            session.stdin.write_all(input).await?;
            session.stdin.flush().await
        }
        Some((4, size)) => {
            if let (Ok(size), Some(resize)) = (serde_json::from_slice::<TerminalSize>(size), &session.resize)
            {
                // A command that is gone has no terminal to change.
                let _: Result<(), _> = resize.send((size.cols, size.rows)).await;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Which port to reach.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProxyQuery {
    /// The port inside the instance.
    #[param(minimum = 1, maximum = 65535)]
    port: u16,
    /// Only this instance.
    instance: Option<String>,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// A TCP connection to a port of a running instance, over a WebSocket: binary frames carry its bytes.
#[utoipa::path(get, path = "/api/workloads/{workload}/proxy", tag = "workloads", params(("workload" = String, Path), ProxyQuery),
    responses((status = SWITCHING_PROTOCOLS), (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn proxy(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(workload): Path<String>,
    Query(query): Query<ProxyQuery>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| not_a_socket())?;
    let selection = Selection { instance: query.instance, container: None };
    let connection = app.control.connect(&caller, &workload, &selection, query.port).await?;
    Ok(upgrade.on_upgrade(move |socket| async move {
        tokio::select! {
            () = carry_connection(socket, connection) => {}
            () = app.control.until_ended(&caller) => {}
        }
    }))
}

async fn carry_connection(mut socket: WebSocket, connection: Box<dyn Connection>) {
    let (mut from, mut to) = tokio::io::split(connection);
    let mut buffer = vec![0; 32 << 10];
    loop {
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => {
                    if socket.send(Message::Binary(buffer[..length].to_vec().into())).await.is_err() {
                        return;
                    }
                }
                Ok(0) | Err(_) => break,
            },
            message = socket.recv() => match message {
                // An empty frame says that the client has nothing more to send.
                Some(Ok(Message::Binary(bytes))) if bytes.is_empty() => {
                    if to.shutdown().await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Binary(bytes))) => {
                    if to.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    farewell(socket).await;
}
