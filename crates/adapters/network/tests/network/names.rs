//! The name server over real sockets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use univrs_network::NodeNetwork;
use univrs_network::dns::{DnsError, DnsOptions, DnsServer, Upstreams};
use univrs_ports::network::{Network, ServiceTable};

use crate::support::{Machine, PATIENCE, on_machine};

fn table(addresses: &[Ipv4Addr]) -> Arc<ServiceTable> {
    let own = [("web".to_owned(), addresses.to_vec())].into_iter().collect();
    let names = [("default".to_owned(), own)].into_iter().collect();
    Arc::new(ServiceTable { names, ..ServiceTable::default() })
}

fn query(name: &str) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message
}

/// Asks again when a datagram seems to be lost, as clients do.
fn by_datagram(server: SocketAddr, query: &Message) -> std::io::Result<Message> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE / 6))?;
    let mut buffer = [0; 2000];
    let mut asked = 0;
    let (length, from) = loop {
        socket.send_to(&query.to_vec().unwrap(), server)?;
        asked += 1;
        match socket.recv_from(&mut buffer) {
            Err(_) if asked < 6 => {}
            heard => break heard?,
        }
    };
    assert_eq!(from, server);
    Ok(Message::from_vec(&buffer[..length]).unwrap())
}

/// Asks until another resolver has answered: one that a busy machine keeps from it is passed over.
fn until_answered(ask: impl Fn() -> Message) -> Message {
    let begun = std::time::Instant::now();
    loop {
        let reply = ask();
        if reply.metadata.response_code == ResponseCode::NoError || begun.elapsed() > PATIENCE {
            return reply;
        }
    }
}

fn by_stream(server: SocketAddr, queries: &[Message]) -> Vec<Message> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect_timeout(&server, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = |query: &Message| {
        let bytes = query.to_vec().unwrap();
        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        Message::from_vec(&reply).unwrap()
    };
    queries.iter().map(ask).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn addresses(reply: &Message) -> Vec<Ipv4Addr> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => address.0,
        other => panic!("{other:?}"),
    };
    reply.answers.iter().map(address).collect()
}

/// A resolver that answers every question with 192.0.2.`last`, whoever asks.
fn resolver(last: u8) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let mut reply = Message::from_vec(&buffer[..length]).unwrap().into_response();
            let name = reply.queries[0].name().clone();
            reply.add_answer(Record::from_rdata(name, 60, RData::A(A::new(192, 0, 2, last))));
            // Forged answers with other ids arrive first and are not believed.
            let mut forged = reply.to_vec().unwrap();
            forged[0] ^= 0x55;
            socket.send_to(&forged, client).unwrap();
            socket.send_to(&reply.to_vec().unwrap(), client).unwrap();
        }
    });
    address
}

async fn start(
    options: DnsOptions,
    tables: watch::Receiver<Arc<ServiceTable>>,
) -> (SocketAddr, CancellationToken) {
    let server = DnsServer::bind(options, tables).await.unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    tokio::spawn(server.run(stop.clone()));
    (address, stop)
}

fn loopback(upstreams: Vec<SocketAddr>) -> DnsOptions {
    DnsOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        upstreams: Upstreams::Fixed(upstreams),
        // Nobody is silent here.
        timeout: PATIENCE,
    }
}

#[tokio::test]
async fn names_follow_the_table() {
    let one = Ipv4Addr::new(100, 64, 0, 2);
    let (sender, tables) = watch::channel(table(&[one]));
    let (server, stop) = start(loopback(vec![]), tables).await;
    let ask = move |name: &'static str| blocking(move || by_datagram(server, &query(name)).unwrap());
    assert_eq!(addresses(&ask("web.internal.").await), [one]);
    let other = Ipv4Addr::new(100, 64, 0, 3);
    sender.send(table(&[one, other])).unwrap();
    let mut firsts = Vec::new();
    for _ in 0..4 {
        let found = addresses(&ask("web.internal.").await);
        assert_eq!(found.len(), 2);
        firsts.push(found[0]);
    }
    assert!(firsts.contains(&one) && firsts.contains(&other));
    assert_eq!(ask("none.internal.").await.metadata.response_code, ResponseCode::NXDomain);
    // Nobody to ask.
    assert_eq!(ask("example.com.").await.metadata.response_code, ResponseCode::ServFail);

    // Long answers: cut in a datagram, whole on a stream.
    let many: Vec<_> = (1..=100).map(|last| Ipv4Addr::new(100, 64, 1, last)).collect();
    sender.send(table(&many)).unwrap();
    assert!(ask("web.internal.").await.metadata.truncation);
    let questions = [query("web.internal."), query("none.internal."), query("example.com.")];
    let replies = blocking(move || by_stream(server, &questions)).await;
    assert_eq!(replies[0].answers.len(), 100);
    assert_eq!(replies[1].metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(replies[2].metadata.response_code, ResponseCode::ServFail);
    stop.cancel();
}

#[tokio::test]
async fn other_names_go_to_the_first_resolver_that_answers() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    // A port that is given to nobody.
    let closed = "127.0.0.1:1".parse().unwrap();
    let upstreams = vec![closed, silent.local_addr().unwrap(), resolver(9)];
    let (_sender, tables) = watch::channel(table(&[]));
    let options = DnsOptions { timeout: Duration::from_millis(1500), ..loopback(upstreams) };
    let (server, stop) = start(options, tables).await;
    let asked = query("Example.com.");
    let question = asked.clone();
    let reply = blocking(move || until_answered(|| by_datagram(server, &question).unwrap())).await;
    assert_eq!(reply.metadata.id, asked.metadata.id);
    assert_eq!(addresses(&reply), [Ipv4Addr::new(192, 0, 2, 9)]);
    // By stream; the resolver speaks datagrams only.
    let reply =
        blocking(move || until_answered(|| by_stream(server, std::slice::from_ref(&asked)).remove(0))).await;
    assert_eq!(addresses(&reply), [Ipv4Addr::new(192, 0, 2, 9)]);
    stop.cancel();
}

#[tokio::test]
async fn nonsense_does_not_stop_it_and_a_taken_port_is_told() {
    let one = Ipv4Addr::new(100, 64, 0, 2);
    let (_sender, tables) = watch::channel(table(&[one]));
    let (server, stop) = start(loopback(vec![]), tables.clone()).await;
    let error = DnsServer::bind(DnsOptions::new(server), tables).await.unwrap_err();
    assert!(matches!(error, DnsError::Bind { address, .. } if address == server));
    let reply = blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for length in 0..200_u8 {
            let bytes: Vec<u8> = (0..length).map(|place| place.wrapping_mul(length)).collect();
            socket.send_to(&bytes, server).unwrap();
        }
        by_datagram(server, &query("web.internal.")).unwrap()
    })
    .await;
    assert_eq!(addresses(&reply), [one]);
    stop.cancel();
}

#[test]
fn instances_ask_the_bridge() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, "100.64.7.0/24")).await.unwrap();
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        let first = network.attach(&one.request(1, &[])).await.unwrap();
        // Even somebody who publishes port 53 does not take the names away.
        let mut request = two.request(2, &[(53, 5300)]);
        request.ports.push(univrs_ports::network::PublishedPort {
            protocol: univrs_model::workload::Protocol::Udp,
            ..request.ports[0]
        });
        network.attach(&request).await.unwrap();
        let listen = SocketAddr::from((network.gateway().unwrap(), 53));
        let (_sender, tables) = watch::channel(table(&[first.address]));
        let options =
            DnsOptions { listen, upstreams: Upstreams::Fixed(vec![resolver(7)]), ..loopback(vec![]) };
        let (server, stop) = start(options, tables).await;
        let space = one.path.clone();
        let (here, stream, elsewhere) = blocking(move || {
            crate::support::inside(&space, || {
                (
                    by_datagram(server, &query("web.internal.")).unwrap(),
                    by_stream(server, &[query("web.internal.")]).remove(0),
                    by_datagram(server, &query("example.com.")).unwrap(),
                )
            })
        })
        .await;
        assert_eq!(addresses(&here), [first.address]);
        assert_eq!(addresses(&stream), [first.address]);
        assert_eq!(addresses(&elsewhere), [Ipv4Addr::new(192, 0, 2, 7)]);
        stop.cancel();
    });
}
