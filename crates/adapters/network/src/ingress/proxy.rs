//! One request on its way from a client to an instance and back.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_ports::network::ServiceTable;

use super::backend::{Backend, Failure, choose};
use super::body::{Lent, Shelf, Tracked, UnderWay};
use super::headers::{Client, authority, host_key, set_upgrade, strip_connection, to_backend, upgrade};
use super::metrics::{Counted, IngressMetrics};
use super::options::IngressOptions;
use super::routes::{Routes, Target};

/// Where authorities ask; see RFC 8555, 8.3.
const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// What a client gets: an instance's answer, or a few words of ours.
pub(crate) type Answer = Response<Either<Tracked, Full<Bytes>>>;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) options: IngressOptions,
    pub(crate) metrics: Arc<IngressMetrics>,
    pub(crate) tables: tokio::sync::watch::Receiver<Arc<ServiceTable>>,
    pub(crate) routes: Mutex<Arc<Routes>>,
    /// Connections and changed protocols, which outlive their connections' handlers.
    pub(crate) tasks: TaskTracker,
    /// Ends what goes on beyond the time of grace.
    pub(crate) abort: CancellationToken,
}

/// Everything of a request but its body, which is lent to one attempt at a time.
struct Plan {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    shelf: Shelf,
    /// Nothing is lost when it is sent twice.
    repeatable: bool,
}

/// Why no answer came.
enum Refusal {
    NoBackend,
    NoConnection,
    Broken,
    TooSlow,
}

impl Proxy {
    /// The routes of this moment.
    pub(crate) fn routes(&self) -> Arc<Routes> {
        let table = Arc::clone(&self.tables.borrow());
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&routes.source, &table) {
            *routes = Arc::new(Routes::new(table, Some(&routes), &self.options, &self.metrics));
        }
        Arc::clone(&routes)
    }

    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        client: Client,
    ) -> Result<Answer, Infallible> {
        Ok(self.answer(request, client).await)
    }

    /// What an authority is answered that asks whether a host is ours.
    fn challenge(&self, path: &str) -> Option<Answer> {
        let token = path.strip_prefix(CHALLENGE)?;
        let text = self.tables.borrow().challenges.get(token)?.clone();
        let mut answer = Response::new(Either::Right(Full::from(text)));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Some(answer)
    }

    async fn answer(&self, mut request: Request<Incoming>, client: Client) -> Answer {
        if let Some(answer) = self.challenge(request.uri().path()) {
            return answer;
        }
        let Ok(authority) = authority(&request) else {
            return words(StatusCode::BAD_REQUEST, "the request does not name one valid host");
        };
        if authority.is_none() && request.version() == Version::HTTP_11 {
            return words(StatusCode::BAD_REQUEST, "the request does not name a host");
        }
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            return words(StatusCode::METHOD_NOT_ALLOWED, "this method does not pass the ingress");
        }
        let host = authority.as_ref().map(host_key).unwrap_or_default();
        let Some(target) = self.routes().find(&host, request.uri().path()) else {
            self.metrics.unrouted.fetch_add(1, Ordering::Relaxed);
            return words(StatusCode::NOT_FOUND, "no route leads from this host and path to a workload");
        };
        target.counters.requests.fetch_add(1, Ordering::Relaxed);
        let wanted = upgrade(request.headers());
        let client_side = wanted.is_some().then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        to_backend(&mut parts.headers, authority.as_ref(), client, self.options.trust_forwarded);
        if let Some(protocol) = wanted {
            set_upgrade(&mut parts.headers, protocol);
        }
        let repeatable =
            matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) && body.is_end_stream();
        let plan = Plan {
            method: parts.method,
            path: parts.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers: parts.headers,
            shelf: Arc::new(Mutex::new(Some(body))),
            repeatable,
        };
        match self.try_all(&host, &target, &plan).await {
            Ok((response, under_way)) => self.pass_back(response, under_way, client_side),
            Err(refusal) => {
                target.counters.errors.fetch_add(1, Ordering::Relaxed);
                refused(&refusal, &target.workload)
            }
        }
    }

    /// Tries one instance after another. Every attempt looks at the routes anew: an instance that has left
    /// meanwhile is not tried.
    async fn try_all(
        &self,
        host: &str,
        first: &Arc<Target>,
        plan: &Plan,
    ) -> Result<(Response<Incoming>, UnderWay), Refusal> {
        let mut tried: Vec<Arc<Backend>> = Vec::new();
        let mut target = Arc::clone(first);
        let mut outcome = Refusal::NoBackend;
        while tried.len() < self.options.attempts.max(1) {
            let Some(backend) = choose(&target.backends, &tried, &target.turn) else { break };
            if !tried.is_empty() {
                target.counters.retries.fetch_add(1, Ordering::Relaxed);
            }
            let under_way =
                UnderWay { _backend: Counted::new(&backend), _workload: Counted::new(&target.counters) };
            let sending = backend.client.request(plan.request(&backend));
            match tokio::time::timeout(self.options.response_timeout, sending).await {
                Ok(Ok(response)) => {
                    backend.succeeded();
                    return Ok((response, under_way));
                }
                Ok(Err(error)) => {
                    let failure = if error.is_connect() { Failure::Connect } else { Failure::Broken };
                    let workload = &target.workload;
                    tracing::debug!(workload, backend = %backend.address, %error, "an instance failed");
                    backend.failed(failure, self.options.ejection);
                    outcome = refusal_of(failure, &error);
                    if !plan.may_retry(failure) {
                        break;
                    }
                }
                Err(_) => {
                    // It may have done half of the work, and another would take as long.
                    backend.failed(Failure::Broken, self.options.ejection);
                    return Err(Refusal::TooSlow);
                }
            }
            tried.push(backend);
            match self.routes().find(host, plan.path.path()) {
                Some(current) => target = current,
                None => break,
            }
        }
        Err(outcome)
    }

    fn pass_back(
        &self,
        mut response: Response<Incoming>,
        under_way: UnderWay,
        client_side: Option<OnUpgrade>,
    ) -> Answer {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            strip_connection(response.headers_mut());
            *response.version_mut() = Version::HTTP_11;
            return response.map(|body| Either::Left(Tracked::new(body, under_way)));
        }
        let protocol = upgrade(response.headers());
        let (Some(client_side), Some(protocol)) = (client_side, protocol) else {
            return words(StatusCode::BAD_GATEWAY, "the instance changed the protocol without being asked");
        };
        let backend_side = hyper::upgrade::on(&mut response);
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            let _under_way = under_way;
            abort.run_until_cancelled(join_ends(client_side, backend_side)).await;
        });
        strip_connection(response.headers_mut());
        set_upgrade(response.headers_mut(), protocol);
        response.map(|_| Either::Right(Full::default()))
    }
}

/// Copies between the two connections until either end closes.
async fn join_ends(client: OnUpgrade, backend: OnUpgrade) {
    let (Ok(client), Ok(backend)) = tokio::join!(client, backend) else { return };
    let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
    // How it ends is the business of the two ends.
    drop(tokio::io::copy_bidirectional(&mut client, &mut backend).await);
}

impl Plan {
    fn request(&self, backend: &Backend) -> Request<Lent> {
        let mut request = Request::new(Lent::from(&self.shelf));
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(backend.authority.clone())
            .path_and_query(self.path.clone());
        // An address and a path that was a path before always make one.
        *request.uri_mut() = uri.build().unwrap_or_default();
        request
    }

    fn may_retry(&self, failure: Failure) -> bool {
        let untouched = || self.shelf.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.repeatable || (failure == Failure::Connect && untouched())
    }
}

fn refusal_of(failure: Failure, error: &legacy::Error) -> Refusal {
    let timed_out = || {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = source {
            let io = cause.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
                return true;
            }
            source = cause.source();
        }
        false
    };
    match failure {
        Failure::Connect if timed_out() => Refusal::TooSlow,
        Failure::Connect => Refusal::NoConnection,
        Failure::Broken => Refusal::Broken,
    }
}

fn refused(refusal: &Refusal, workload: &str) -> Answer {
    let (status, detail) = match refusal {
        Refusal::NoBackend => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("no instance of {workload} is ready to serve"))
        }
        Refusal::NoConnection => {
            (StatusCode::BAD_GATEWAY, format!("no instance of {workload} accepted a connection"))
        }
        Refusal::Broken => {
            (StatusCode::BAD_GATEWAY, format!("the instance of {workload} broke off before it answered"))
        }
        Refusal::TooSlow => {
            (StatusCode::GATEWAY_TIMEOUT, format!("the instance of {workload} did not answer in time"))
        }
    };
    let mut answer = words(status, &detail);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let soon = HeaderValue::from(Duration::from_secs(1).as_secs());
        answer.headers_mut().insert(RETRY_AFTER, soon);
    }
    answer
}

/// A short answer of our own.
fn words(status: StatusCode, detail: &str) -> Answer {
    let mut answer = Response::new(Either::Right(Full::from(format!("{status}\n{detail}\n"))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
