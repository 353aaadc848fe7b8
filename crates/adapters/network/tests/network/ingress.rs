//! The ingress between real clients and instances.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use univrs_network::ingress::{Certificates, Certified, IngressListener, IngressOptions, server_config};

use crate::web::{
    CLOSED, Front, Instance, connect, connect_h2, in_time, patient, read, request, route, send, v4,
};

const NO_DELAY: Duration = Duration::ZERO;

#[tokio::test]
async fn requests_find_their_way_and_instances_learn_who_asks() {
    in_time(async {
        let (one, two) = (Instance::start("one", NO_DELAY).await, Instance::start("two", NO_DELAY).await);
        let routes = vec![route("a.test", "/", &[one.address]), route("a.test", "/two", &[two.address])];
        let front = Front::start(patient(), routes).await;
        let reply = front.get("A.Test:8080", "/x?y=1").await;
        assert_eq!((reply.status, reply.by()), (StatusCode::OK, "one"));
        assert!(reply.text.starts_with("one GET /x?y=1 0\n"), "{}", reply.text);
        for line in ["host: A.Test:8080", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"] {
            assert!(reply.text.contains(line), "{line} in {}", reply.text);
        }
        assert!(!reply.headers.contains_key("keep-alive"));
        assert_eq!(front.get("a.test", "/two/x").await.by(), "two");
        assert_eq!(front.get("a.test", "/twofold").await.by(), "one");
        let unknown = front.get("b.test", "/").await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert!(unknown.text.starts_with("404 Not Found\nno route"), "{}", unknown.text);
        assert_eq!(front.metrics.unrouted(), 1);
        front.set(vec![route("*", "/", &[two.address])]);
        assert_eq!(front.get("b.test", "/").await.by(), "two");
        let workloads = front.metrics.workloads();
        assert_eq!((workloads[0].requests, workloads[0].errors, workloads[0].in_flight), (4, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    in_time(async {
        let slow = Instance::start("slow", Duration::from_secs(3600)).await;
        let routes = vec![
            route("none.test", "/", &[]),
            route("closed.test", "/", &[CLOSED]),
            route("slow.test", "/", &[slow.address]),
        ];
        let options = IngressOptions { response_timeout: Duration::from_millis(200), ..patient() };
        let front = Front::start(options, routes.clone()).await;
        let none = front.get("none.test", "/").await;
        assert_eq!(none.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(none.headers["retry-after"], "1");
        assert_eq!(none.text, "503 Service Unavailable\nno instance of web is ready to serve\n");
        assert_eq!(front.get("closed.test", "/").await.status, StatusCode::BAD_GATEWAY);
        assert_eq!(front.get("slow.test", "/").await.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(front.metrics.workloads()[0].errors, 3);

        // Requests that no server should take.
        let raw = async |text: &str| {
            let mut stream = TcpStream::connect(front.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            reply.lines().next().unwrap_or("closed").to_owned()
        };
        let close = "connection: close\r\n\r\n";
        assert!(raw(&format!("GET / HTTP/1.1\r\n{close}")).await.contains("400"));
        assert!(raw(&format!("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n{close}")).await.contains("400"));
        assert!(raw(&format!("TRACE / HTTP/1.1\r\nhost: slow.test\r\n{close}")).await.contains("405"));
        let many: String = (0..200).map(|index| format!("x-{index}: 1\r\n")).collect();
        assert!(raw(&format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await.contains("431"));
        let long = "x".repeat(64 * 1024);
        assert!(raw(&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n")).await.contains("431"));
        // Clients that dawdle are sent away.
        let options = IngressOptions { header_timeout: Duration::from_millis(500), ..patient() };
        let front = Front::start(options, routes).await;
        for text in ["GET / HT", ""] {
            let mut stream = TcpStream::connect(front.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        }
    })
    .await;
}

fn routes_to(live: &[Instance]) -> Vec<univrs_ports::network::Route> {
    let backends: Vec<_> = live.iter().map(|instance| instance.address).collect();
    vec![route("web.test", "/", &backends)]
}

/// Clients that ask without pause and accept nothing but success; returns how often they were answered.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<(Arc<AtomicUsize>, tokio::task::JoinHandle<()>)>,
}

async fn ask(
    address: std::net::SocketAddr,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    method: Method,
    body: &'static str,
) {
    let mut sender = connect(address).await;
    let expected = format!("web {method} / {}\n", body.len());
    while !stop.load(Ordering::Relaxed) {
        let response = sender.send_request(request(method.clone(), "web.test", "/", body)).await;
        let reply = read(response.expect("a response")).await.expect("a whole response");
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        assert!(reply.text.starts_with(&expected), "{}", reply.text);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Load {
    fn start(address: std::net::SocketAddr, kinds: &[(Method, &'static str)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let kinds = kinds.iter().cycle().take(16).cloned();
        let client = |(method, body)| {
            let done = Arc::new(AtomicUsize::new(0));
            let asking = ask(address, Arc::clone(&stop), Arc::clone(&done), method, body);
            (done, tokio::spawn(asking))
        };
        let clients = kinds.map(client).collect();
        Self { stop, clients }
    }

    fn done(&self) -> Vec<usize> {
        self.clients.iter().map(|(done, _)| done.load(Ordering::Relaxed)).collect()
    }

    /// Returns when whatever was under way, as every client knew it, is over.
    async fn pass(&self) {
        assert!(self.clients.iter().all(|(_, client)| !client.is_finished()), "a client has failed");
        let before = self.done();
        // The first answer may be to a request of before; the second is not.
        until(|| self.done().iter().zip(&before).all(|(now, before)| *now >= before + 2)).await;
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = 0;
        for (done, client) in self.clients {
            client.await.unwrap();
            all += done.load(Ordering::Relaxed);
        }
        all
    }
}

/// Waits until it is so; the test as a whole has its limit.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_instances_are_swapped() {
    in_time(async {
        let delay = Duration::from_millis(10);
        let mut live = vec![Instance::start("web", delay).await, Instance::start("web", delay).await];
        let front = Front::start(patient(), routes_to(&live)).await;
        // Half of them send what must not be sent twice.
        let load = Load::start(front.address, &[(Method::GET, ""), (Method::POST, "body")]);
        for _ in 0..50 {
            live.push(Instance::start("web", delay).await);
            until(|| live[0].asked() > 0).await;
            let leaving = live.remove(0);
            front.set(routes_to(&live));
            // The time to drain: what it was asked before, it finishes; then it dies without a word.
            load.pass().await;
            drop(leaving);
        }
        let done = load.end().await;
        let counted = front.metrics.workloads().remove(0);
        println!("swap: {done} requests, {} retries", counted.retries);
        assert_eq!((counted.errors, counted.in_flight), (0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_may_be_repeated_survive_sudden_deaths() {
    in_time(async {
        let delay = Duration::from_millis(10);
        let mut live = vec![Instance::start("web", delay).await, Instance::start("web", delay).await];
        let front = Front::start(patient(), routes_to(&live)).await;
        let load = Load::start(front.address, &[(Method::GET, "")]);
        for _ in 0..20 {
            until(|| live[0].asked() > 0).await;
            let retries = || front.metrics.workloads()[0].retries;
            let before = retries();
            // It dies in the middle of its work, and the table learns of it later.
            live.remove(0);
            until(|| retries() > before).await;
            live.push(Instance::start("web", delay).await);
            front.set(routes_to(&live));
            // One death at a time: a request that is tried again must not meet the next.
            load.pass().await;
        }
        let done = load.end().await;
        let counted = front.metrics.workloads().remove(0);
        println!("deaths: {done} requests, {} retries", counted.retries);
        assert!(counted.retries >= 20);
        assert_eq!(counted.errors, 0);
    })
    .await;
}

#[tokio::test]
async fn a_removed_instance_finishes_and_gets_nothing_new() {
    in_time(async {
        let old = Instance::start("old", Duration::from_millis(300)).await;
        let new = Instance::start("new", NO_DELAY).await;
        let front = Front::start(patient(), vec![route("web.test", "/", &[old.address])]).await;
        let mut sender = connect(front.address).await;
        let under_way = tokio::spawn(sender.send_request(request(Method::GET, "web.test", "/", "")));
        while old.asked() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        front.set(vec![route("web.test", "/", &[new.address])]);
        for _ in 0..20 {
            assert_eq!(front.get("web.test", "/").await.by(), "new");
        }
        assert_eq!(read(under_way.await.unwrap().unwrap()).await.unwrap().by(), "old");
        assert_eq!(old.asked(), 1);
    })
    .await;
}

/// Takes connections and closes them, before or after reading.
async fn rude() -> (std::net::SocketAddrV4, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (v4(listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if counter.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                let _ = stream.read(&mut [0; 4096]).await;
            }
        }
    });
    (address, count)
}

#[tokio::test]
async fn requests_move_on_from_instances_that_fail() {
    in_time(async {
        let good = Instance::start("good", NO_DELAY).await;
        let (rude, met) = rude().await;
        let routes = vec![route("web.test", "/", &[rude, good.address])];
        let options = IngressOptions { ejection: Duration::from_secs(3600), ..patient() };
        let front = Front::start(options, routes.clone()).await;
        for _ in 0..20 {
            assert_eq!(front.get("web.test", "/").await.by(), "good");
        }
        // Three failures in a row, then it is left alone.
        assert_eq!(met.load(Ordering::Relaxed), 3);
        assert_eq!(front.metrics.workloads()[0].retries, 3);
        // Where that is not for long, it is tried again after it.
        let options = IngressOptions { ejection: Duration::from_millis(100), ..patient() };
        let brief = Front::start(options, routes).await;
        while met.load(Ordering::Relaxed) < 7 {
            assert_eq!(brief.get("web.test", "/").await.by(), "good");
        }

        // A request that may have been received is not sent again.
        let (rude, met) = self::rude().await;
        front.set(vec![route("post.test", "/", &[rude])]);
        let reply = send(front.address, request(Method::POST, "post.test", "/", "once")).await.unwrap();
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
        assert_eq!(met.load(Ordering::Relaxed), 1);

        // One that was certainly not received is, with its whole body.
        front.set(vec![route("post.test", "/", &[CLOSED, good.address])]);
        for _ in 0..4 {
            let reply = send(front.address, request(Method::POST, "post.test", "/", "again")).await.unwrap();
            assert!(reply.text.starts_with("good POST / 5\n"), "{}", reply.text);
        }
    })
    .await;
}

#[tokio::test]
async fn web_sockets_pass_and_outlive_the_route() {
    in_time(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = v4(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    while let Some(Ok(message)) = socket.next().await {
                        if message.is_text() {
                            socket.send(message).await.unwrap();
                        }
                    }
                });
            }
        });
        let front = Front::start(patient(), vec![route("ws.test", "/", &[address])]).await;
        let stream = TcpStream::connect(front.address).await.unwrap();
        let (mut socket, response) =
            tokio_tungstenite::client_async("ws://ws.test/echo", stream).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut echo = async |text: &str| {
            socket.send(Message::text(text)).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
        };
        echo("hello").await;
        assert_eq!(front.metrics.workloads()[0].in_flight, 1);
        front.set(vec![]);
        assert_eq!(front.get("ws.test", "/").await.status, StatusCode::NOT_FOUND);
        echo("still there").await;
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
        drop(socket);
        front.set(vec![]);
        while front.metrics.workloads().iter().any(|workload| workload.in_flight > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_stream_both_ways() {
    in_time(async {
        const CHUNK: usize = 64 * 1024;
        const CHUNKS: usize = 1024;
        // An instance that sends back what it gets, as it gets it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = v4(listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let echo = hyper::service::service_fn(async |request: Request<hyper::body::Incoming>| {
                Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            hyper::server::conn::http1::Builder::new().serve_connection(io, echo).await
        });
        let front = Front::start(patient(), vec![route("big.test", "/", &[address])]).await;
        let (feed, fed) = tokio::sync::mpsc::channel::<Bytes>(2);
        let stream = futures::stream::unfold(fed, async |mut fed| {
            let chunk = fed.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(Frame::data(chunk)), fed))
        });
        let socket = TcpStream::connect(front.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(socket);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let body = StreamBody::new(Box::pin(stream));
        let request = Request::post("/").header("host", "big.test").body(body).unwrap();
        let sending = tokio::spawn(async move { sender.send_request(request).await });
        feed.send(Bytes::from(vec![7; CHUNK])).await.unwrap();
        // The answer begins while the request goes on: nothing is gathered.
        let mut response = sending.await.unwrap().unwrap();
        let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first[0], 7);
        let feeding = tokio::spawn(async move {
            for _ in 1..CHUNKS {
                feed.send(Bytes::from(vec![7; CHUNK])).await.unwrap();
            }
        });
        let mut total = first.len();
        while let Some(frame) = response.frame().await {
            total += frame.unwrap().into_data().unwrap().len();
        }
        feeding.await.unwrap();
        assert_eq!(total, CHUNK * CHUNKS);
    })
    .await;
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_cuts_the_rest() {
    in_time(async {
        let instance = Instance::start("late", Duration::from_millis(300)).await;
        let stuck = Instance::start("stuck", Duration::from_secs(3600)).await;
        let grace = Duration::from_secs(60);
        let options = IngressOptions { grace, response_timeout: Duration::from_secs(3600), ..patient() };
        let routes =
            vec![route("web.test", "/", &[instance.address]), route("stuck.test", "/", &[stuck.address])];
        let mut front = Front::start(options, routes).await;
        let idle = connect(front.address).await;
        let late = tokio::spawn(send(front.address, request(Method::GET, "web.test", "/", "")));
        let cut = tokio::spawn(send(front.address, request(Method::GET, "stuck.test", "/", "")));
        while instance.asked() + stuck.asked() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        front.stop.cancel();
        assert_eq!(late.await.unwrap().unwrap().by(), "late");
        while TcpStream::connect(front.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        until(|| idle.is_closed()).await;
        // The time of grace is not over: it ends now, as far as this process is concerned.
        assert!(!cut.is_finished() && !front.served.is_finished());
        tokio::time::pause();
        tokio::time::advance(grace).await;
        tokio::time::resume();
        (&mut front.served).await.unwrap();
        assert!(cut.await.unwrap().is_err());
    })
    .await;
}

#[tokio::test]
async fn http2_and_encryption() {
    in_time(async {
        let instance = Instance::start("one", NO_DELAY).await;
        let routes = vec![route("a.test", "/", &[instance.address])];
        let front = Front::start(patient(), routes.clone()).await;
        let mut sender = connect_h2(front.address).await;
        let request = Request::get("http://a.test/h2").header("cookie", "a=1").header("cookie", "b=2");
        let response = sender.send_request(request.body(Default::default()).unwrap()).await.unwrap();
        let reply = read(response).await.unwrap();
        assert!(reply.text.starts_with("one GET /h2 0\n"), "{}", reply.text);
        assert!(
            reply.text.contains("host: a.test") && reply.text.contains("cookie: a=1; b=2"),
            "{}",
            reply.text
        );

        let pair = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
        let given = Certified::read(chain.as_bytes(), key.as_bytes()).unwrap();
        let config = server_config(Certificates::new(Some(given))).unwrap();
        assert!(Certified::read(b"", key.as_bytes()).is_err());
        assert!(Certified::read(chain.as_bytes(), b"no key").is_err());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Front::on(IngressListener::encrypted(listener, config), patient(), routes);
        let mut roots = tokio_rustls::rustls::RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let client = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let stream = TcpStream::connect(front.address).await.unwrap();
        let stream = connector.connect("a.test".try_into().unwrap(), stream).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let response =
            sender.send_request(crate::web::request(Method::GET, "a.test", "/", "")).await.unwrap();
        let reply = read(response).await.unwrap();
        assert!(reply.text.contains("x-forwarded-proto: https"), "{}", reply.text);
    })
    .await;
}

/// The certificate that a client gets which names `host`, trusting only `known`; nothing when there is none for it.
async fn certificate_for(
    address: SocketAddr,
    host: &'static str,
    known: &[&rcgen::Certificate],
) -> Option<Vec<u8>> {
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    known.iter().for_each(|one| roots.add(one.der().clone()).unwrap());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let client = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = connector.connect(host.try_into().unwrap(), stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
}

#[tokio::test]
async fn hosts_have_certificates_of_their_own_and_authorities_are_answered() {
    in_time(async {
        let instance = Instance::start("one", NO_DELAY).await;
        let routes = vec![route("a.test", "/", &[instance.address])];
        let make = |host: &str| rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
        let (one, two) = (make("a.test"), make("b.test"));
        let read = |pair: &rcgen::CertifiedKey<rcgen::KeyPair>| {
            Certified::read(pair.cert.pem().as_bytes(), pair.signing_key.serialize_pem().as_bytes()).unwrap()
        };
        let certificates = Certificates::new(None);
        let config = server_config(Arc::clone(&certificates)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Front::on(IngressListener::encrypted(listener, config), patient(), routes.clone());
        let known = [&one.cert, &two.cert];
        assert_eq!(certificate_for(front.address, "a.test", &known).await, None, "there is none yet");
        assert!(!*certificates.any().borrow());
        certificates.replace([("a.test".to_owned(), read(&one)), ("b.test".to_owned(), read(&two))].into());
        assert!(*certificates.any().borrow());
        let got = certificate_for(front.address, "a.test", &known).await;
        assert_eq!(got.as_deref(), Some(one.cert.der().as_ref()));
        let got = certificate_for(front.address, "b.test", &known).await;
        assert_eq!(got.as_deref(), Some(two.cert.der().as_ref()));
        assert_eq!(certificate_for(front.address, "c.test", &known).await, None);
        let other = make("a.test");
        let mismatched =
            Certified::read(one.cert.pem().as_bytes(), other.signing_key.serialize_pem().as_bytes());
        assert!(mismatched.is_err(), "a key of another certificate");

        let front = Front::start(patient(), routes).await;
        let asked = "/.well-known/acme-challenge/tok-en_1";
        assert!(front.get("a.test", asked).await.text.starts_with("one GET"), "the workload's own");
        front.answer_authorities("tok-en_1", "tok-en_1.thumbprint");
        assert_eq!(front.get("a.test", asked).await.text, "tok-en_1.thumbprint");
        assert_eq!(front.get("other.test", asked).await.text, "tok-en_1.thumbprint");
    })
    .await;
}
