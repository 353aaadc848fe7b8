//! One port of this machine that leads to the API of a live node: a node inside its namespace listens on loopback,
//! where nobody else comes.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::error::LabError;
use crate::namespace;
use crate::probe;
use crate::processes::{Life, life};
use crate::state::Lab;

/// Where every node of a lab has its API.
pub(crate) const NODE_API: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// How often it is asked whether the chosen node still serves.
const CHECK: Duration = Duration::from_millis(400);
/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The node that requests go to, if any serves.
#[derive(Clone, Default)]
struct Choice(Arc<Mutex<Option<String>>>);

impl Choice {
    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, node: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = node;
    }
}

/// Serves the port until the process ends.
pub(crate) async fn run(listener: std::net::TcpListener, dir: &Path) -> Result<(), LabError> {
    let failed = |error: std::io::Error| LabError::step("serve the API's port", error);
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    let choice = Choice::default();
    let (chosen, place) = (choice.clone(), dir.to_owned());
    let thread = std::thread::Builder::new().name("choose-node".to_owned());
    thread.spawn(move || choose(&place, &chosen)).map_err(failed)?;
    loop {
        let Ok((mut incoming, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (choice, dir) = (choice.clone(), dir.to_owned());
        tokio::spawn(async move {
            let chosen = choice.clone();
            let connected = tokio::task::spawn_blocking(move || connect(&dir, &choice)).await;
            let Ok(Some((node, stream))) = connected else { return };
            let Ok(mut outgoing) = tokio::net::TcpStream::from_std(stream) else { return };
            tokio::select! {
                // Either side may hang up at any time; then the other is hung up too.
                _ = tokio::io::copy_bidirectional(&mut incoming, &mut outgoing) => {}
                // A client that keeps its connection would go on asking a node that is cut off.
                () = another(&chosen, &node) => {}
            }
        });
    }
}

/// Returns when another node is chosen.
async fn another(choice: &Choice, node: &str) {
    while choice.get().is_none_or(|chosen| chosen == node) {
        tokio::time::sleep(CHECK).await;
    }
}

/// Keeps the choice on a node that is ready, the present one as long as it is.
fn choose(dir: &Path, choice: &Choice) {
    loop {
        if let Ok(lab) = Lab::load(dir) {
            let now = choice.get().filter(|node| serves(&lab, node));
            let next = now.or_else(|| {
                let mut names = lab.layout.seats.iter().map(|seat| &seat.name);
                names.find(|node| serves(&lab, node)).cloned()
            });
            choice.set(next);
        }
        std::thread::sleep(CHECK);
    }
}

/// Whether a node runs, is ready and knows who leads.
fn serves(lab: &Lab, node: &str) -> bool {
    // One that is cut off may not have noticed yet.
    if lab.is_cut_off(node) {
        return false;
    }
    if lab.pids.get(node).is_none_or(|pid| life(*pid) != Life::Running) {
        return false;
    }
    let asked = namespace::inside(&lab.namespace(node), || probe::get(NODE_API, "/readyz", PATIENCE));
    matches!(asked, Ok(Some((200, _))))
}

/// A connection to the chosen node, or else to any that takes one while none is known to be ready.
fn connect(dir: &Path, choice: &Choice) -> Option<(String, TcpStream)> {
    let lab = Lab::load(dir).ok()?;
    let runs = |node: &String| lab.pids.get(node).is_some_and(|pid| life(*pid) == Life::Running);
    let first = choice.get().filter(|node| runs(node));
    let others = lab.layout.seats.iter().map(|seat| seat.name.clone()).filter(|node| runs(node));
    first.into_iter().chain(others).find_map(|node| {
        let connected =
            namespace::inside(&lab.namespace(&node), || TcpStream::connect_timeout(&NODE_API, PATIENCE));
        let stream = connected.ok()?.ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((node, stream))
    })
}
