//! Packets reach the other machine, nobody on the wire can read them, and peers come and go without harm to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use univrs_model::mesh::MeshPath;
use univrs_overlay::{Overlay, OverlayError, PeerSpec};
use univrs_ports::mesh::Mesh;

use crate::capture::frames;
use crate::machines::{Machines, gateway, peer, possible};

/// What is sent, so that it can be looked for on the wire.
const SECRET: &[u8] = b"nobody between the machines may read this sentence";
const PATIENCE: Duration = Duration::from_secs(120);

/// Two machines in a network; what `a` and `b` do then. Peers are exchanged first.
fn together<A, B>(
    machines: &Machines,
    a: impl FnOnce(Arc<Overlay>, PeerSpec) -> A + Send + 'static,
    b: impl FnOnce(Arc<Overlay>, PeerSpec) -> B + Send + 'static,
) where
    A: Future<Output = ()>,
    B: Future<Output = ()>,
{
    let (to_a, from_b) = mpsc::channel::<PeerSpec>();
    let (to_b, from_a) = mpsc::channel::<PeerSpec>();
    let (options_a, options_b) = (machines.options(0), machines.options(1));
    let run = |machine, options, to: mpsc::Sender<PeerSpec>, from: mpsc::Receiver<PeerSpec>| async move {
        let overlay = Arc::new(Overlay::open(options).await.unwrap());
        to.send(peer(machine, &overlay)).unwrap();
        let other = from.recv_timeout(PATIENCE).unwrap();
        overlay.set_peers(vec![other.clone()]).await.unwrap();
        (overlay, other)
    };
    // Each stays until the other is through: what was sent last has to arrive.
    let through = Arc::new(AtomicU32::new(0));
    let stay = |through: Arc<AtomicU32>| async move {
        through.fetch_add(1, Ordering::SeqCst);
        let begun = std::time::Instant::now();
        while through.load(Ordering::SeqCst) < 2 && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (stay_a, stay_b) = (stay(Arc::clone(&through)), stay(through));
    let a = machines.on(0, move || async move {
        let (overlay, other) = run(0, options_a, to_b, from_b).await;
        a(Arc::clone(&overlay), other).await;
        stay_a.await;
        drop(overlay);
    });
    let b = machines.on(1, move || async move {
        let (overlay, other) = run(1, options_b, to_a, from_a).await;
        b(Arc::clone(&overlay), other).await;
        stay_b.await;
        drop(overlay);
    });
    a.join().unwrap();
    b.join().unwrap();
}

/// Sends the secret back and forth `times` over one connection.
async fn talk(times: usize) {
    // The other machine may not listen yet.
    let connected = async {
        loop {
            match TcpStream::connect((gateway(1), 7000)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let mut stream = tokio::time::timeout(PATIENCE, connected).await.unwrap();
    for _ in 0..times {
        stream.write_all(SECRET).await.unwrap();
        let mut back = vec![0; SECRET.len()];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, SECRET);
    }
    // The other machine knows of the end, and so does this one.
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
}

async fn answer(listener: TcpListener) {
    let (mut stream, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let (mut read, mut write) = stream.split();
    drop(tokio::time::timeout(PATIENCE, tokio::io::copy(&mut read, &mut write)).await);
}

#[test]
fn nobody_on_the_wire_reads_what_machines_say() {
    if !possible() {
        return;
    }
    let machines = Machines::new();
    let stop = Arc::new(AtomicBool::new(false));
    let watching = Arc::clone(&stop);
    let (ready, begun) = mpsc::channel();
    let watcher = machines.on(0, move || async move { frames(&watching, &ready) });
    begun.recv_timeout(PATIENCE).unwrap();
    together(
        &machines,
        |overlay, _| async move {
            talk(20).await;
            let view = overlay.look().await;
            assert_eq!((view.mtu, view.peers.len()), (Some(1420), 1));
            let peer = &view.peers[0];
            assert_eq!(peer.path, MeshPath::Direct);
            assert!(peer.received > 1000 && peer.sent > 1000, "{peer:?}");
        },
        |overlay, _| async move {
            answer(TcpListener::bind((gateway(1), 7000)).await.unwrap()).await;
            drop(overlay);
        },
    );
    stop.store(true, Ordering::Relaxed);
    let frames = watcher.join().unwrap();
    let port = 51820_u16.to_be_bytes();
    let wireguard =
        frames.iter().filter(|frame| frame[23] == 17 && (frame[34..36] == port || frame[36..38] == port));
    assert!(wireguard.count() > 40, "{} frames were seen", frames.len());
    let words = &SECRET[..12];
    let plain = frames.iter().filter(|frame| frame.windows(words.len()).any(|window| window == words));
    assert_eq!(plain.count(), 0);
}

#[test]
fn a_peer_that_comes_or_goes_leaves_other_sessions_alone() {
    if !possible() {
        return;
    }
    let machines = Machines::new();
    together(
        &machines,
        |overlay, other| async move {
            talk(1).await;
            let before = overlay.look().await.peers[0].handshake_age.unwrap();
            tokio::time::sleep(Duration::from_millis(1100)).await;
            let stranger = PeerSpec {
                node: univrs_model::ids::NodeId::from_bits(77),
                public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=".to_owned(),
                endpoint: "10.77.0.9:51820".parse().unwrap(),
                block: "100.64.9.0/24".parse().unwrap(),
            };
            overlay.set_peers(vec![other.clone(), stranger]).await.unwrap();
            assert_eq!(overlay.look().await.peers.len(), 2);
            overlay.set_peers(vec![other]).await.unwrap();
            talk(1).await;
            let view = overlay.look().await;
            assert_eq!(view.peers.len(), 1);
            // The same session as before: it was not agreed on anew.
            assert!(view.peers[0].handshake_age.unwrap() > before, "{view:?}");
            overlay.set_peers(vec![]).await.unwrap();
            let gone =
                tokio::time::timeout(Duration::from_millis(500), TcpStream::connect((gateway(1), 7000)));
            assert!(!matches!(gone.await, Ok(Ok(_))), "a peer that was removed is still reached");
        },
        |overlay, _| async move {
            let listener = TcpListener::bind((gateway(1), 7000)).await.unwrap();
            for _ in 0..2 {
                let (mut stream, _) =
                    tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
                let (mut read, mut write) = stream.split();
                drop(tokio::time::timeout(PATIENCE, tokio::io::copy(&mut read, &mut write)).await);
            }
            drop(overlay);
        },
    );
}

#[test]
fn echoes_tell_round_trip_and_size_and_a_taken_port_is_told() {
    if !possible() {
        return;
    }
    let machines = Machines::new();
    let (done, wait) = mpsc::channel::<()>();
    let again = machines.options(0);
    together(
        &machines,
        move |overlay, _| async move {
            let begun = std::time::Instant::now();
            loop {
                let peer = overlay.look().await.peers.remove(0);
                // The fifth echo is as large as the interface lets through.
                if peer.mtu == Some(1420) && peer.rtt_micros.is_some() {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "{peer:?}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let refused = Overlay::open(again).await.err();
            assert!(matches!(refused, Some(OverlayError::Port { .. })), "{refused:?}");
            done.send(()).unwrap();
        },
        move |overlay, _| async move {
            while wait.try_recv() == Err(mpsc::TryRecvError::Empty) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            drop(overlay);
        },
    );
}
