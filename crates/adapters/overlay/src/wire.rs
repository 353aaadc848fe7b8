//! The UDP socket of WireGuard, with what passes by on the way: packets of other nodes that are carried, and small ones
//! that are also sent where a peer might be.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gotatun::packet::{Packet, PacketBufPool};
use gotatun::udp::socket::{UdpSocket as Socket, UdpSocketFactory};
use gotatun::udp::{UdpRecv, UdpSend, UdpTransportFactory, UdpTransportFactoryParams};

use crate::carry::{Carry, Mark, Sessions, Verdict};

/// Longer packets are not sent twice: echoes and empty ones are shorter.
const SMALL: usize = 96;

/// Where else packets to a peer are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Guess {
    /// Addresses where it might be.
    pub(crate) places: Vec<SocketAddr>,
    /// It is reached already, by way of another node. Small packets are sent straight as well: they make the hole, and
    /// the first that arrives proves that there is one.
    pub(crate) carried: bool,
}

/// What the socket is told, and shared by both of its directions.
pub(crate) struct Traffic {
    begun: Instant,
    carry: Mutex<Carry>,
    sessions: Mutex<Sessions>,
    peers: Mutex<HashMap<Mark, Option<Guess>>>,
    guessing: AtomicBool,
}

impl Traffic {
    pub(crate) fn new(own: Mark) -> Self {
        Self {
            begun: Instant::now(),
            carry: Mutex::new(Carry::new(own)),
            sessions: Mutex::default(),
            peers: Mutex::default(),
            guessing: AtomicBool::new(false),
        }
    }

    /// Whose packets are carried, and where each of them is.
    pub(crate) fn carry(&self, members: Vec<(Mark, SocketAddr)>) {
        lock(&self.carry).set(self.begun.elapsed(), members);
    }

    /// All peers, and where else packets to them are sent from now on.
    pub(crate) fn guess(&self, wanted: HashMap<Mark, Option<Guess>>) {
        self.guessing.store(wanted.values().any(Option::is_some), Ordering::Relaxed);
        *lock(&self.peers) = wanted;
    }

    fn judge(&self, from: SocketAddr, packet: &[u8]) -> Verdict {
        lock(&self.carry).judge(self.begun.elapsed(), from, packet)
    }

    /// Where else this packet goes.
    fn elsewhere(&self, packet: &[u8], to: SocketAddr) -> Vec<SocketAddr> {
        let data = packet.first() == Some(&4);
        if data && (packet.len() > SMALL || !self.guessing.load(Ordering::Relaxed)) {
            return Vec::new();
        }
        let peers = lock(&self.peers);
        let Some(mark) = lock(&self.sessions).sent(packet, peers.keys()) else { return Vec::new() };
        match peers.get(&mark) {
            // A handshake goes one way at a time with whom there is one that works.
            Some(Some(guess)) if guess.carried == data => {
                guess.places.iter().copied().filter(|place| *place != to).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds where it is told to; the library itself takes every address of the machine.
pub(crate) struct Listener {
    pub(crate) address: IpAddr,
    pub(crate) traffic: Arc<Traffic>,
}

impl UdpTransportFactory for Listener {
    type Send = Sender;
    type Recv = Receiver;

    async fn bind(&mut self, params: &UdpTransportFactoryParams) -> io::Result<(Sender, Receiver)> {
        let addr = Some(self.address).filter(|address| !address.is_unspecified());
        let params = UdpTransportFactoryParams { addr, ..params.clone() };
        let (out, socket) = UdpSocketFactory::default().bind(&params).await?;
        let traffic = Arc::clone(&self.traffic);
        Ok((Sender { socket: out, traffic: Arc::clone(&traffic) }, Receiver { socket, traffic }))
    }
}

/// What is sent.
#[derive(Clone)]
pub(crate) struct Sender {
    socket: Socket,
    traffic: Arc<Traffic>,
}

impl Sender {
    async fn copy(&self, packet: &Packet, to: SocketAddr) {
        for place in self.traffic.elsewhere(packet, to) {
            // A guess that leads nowhere is no fault.
            let _ = self.socket.send_to(Packet::copy_from(&packet[..]), place).await;
        }
    }
}

impl UdpSend for Sender {
    type SendManyBuf = <Socket as UdpSend>::SendManyBuf;

    async fn send_to(&self, packet: Packet, destination: SocketAddr) -> io::Result<()> {
        self.copy(&packet, destination).await;
        self.socket.send_to(packet, destination).await
    }

    fn max_number_of_packets_to_send(&self) -> usize {
        self.socket.max_number_of_packets_to_send()
    }

    async fn send_many_to(
        &self,
        buffer: &mut Self::SendManyBuf,
        packets: &mut Vec<(Packet, SocketAddr)>,
    ) -> io::Result<()> {
        for (packet, to) in packets.iter() {
            self.copy(packet, *to).await;
        }
        self.socket.send_many_to(buffer, packets).await
    }

    fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        UdpSend::local_addr(&self.socket)
    }

    fn set_fwmark(&self, mark: u32) -> io::Result<()> {
        self.socket.set_fwmark(mark)
    }
}

/// What is received.
pub(crate) struct Receiver {
    socket: Socket,
    traffic: Arc<Traffic>,
}

impl Receiver {
    /// Passes a packet on, or gives it back.
    async fn take(&self, packet: Packet, from: SocketAddr) -> Option<(Packet, SocketAddr)> {
        match self.traffic.judge(from, &packet) {
            Verdict::Own => {
                lock(&self.traffic.sessions).received(&packet);
                Some((packet, from))
            }
            Verdict::Pass(to) => {
                // One that is lost here is lost as on any other way.
                let _ = self.socket.send_to(packet, to).await;
                None
            }
        }
    }
}

impl UdpRecv for Receiver {
    type RecvManyBuf = <Socket as UdpRecv>::RecvManyBuf;

    async fn recv_from(&mut self, pool: &mut PacketBufPool) -> io::Result<(Packet, SocketAddr)> {
        loop {
            let (packet, from) = self.socket.recv_from(pool).await?;
            if let Some(own) = self.take(packet, from).await {
                return Ok(own);
            }
        }
    }

    async fn recv_many_from(
        &mut self,
        buffer: &mut Self::RecvManyBuf,
        pool: &mut PacketBufPool,
        packets: &mut Vec<(Packet, SocketAddr)>,
    ) -> io::Result<()> {
        let before = packets.len();
        self.socket.recv_many_from(buffer, pool, packets).await?;
        for (packet, from) in packets.split_off(before) {
            packets.extend(self.take(packet, from).await);
        }
        Ok(())
    }

    fn enable_udp_gro(&self) -> io::Result<()> {
        self.socket.enable_udp_gro()
    }
}
