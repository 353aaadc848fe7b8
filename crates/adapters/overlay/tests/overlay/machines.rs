//! Machines for tests: namespaces joined by a link, and threads that live in them.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use univrs_model::ids::NodeId;
use univrs_overlay::{Overlay, OverlayOptions, PeerSpec};

/// Two machines, joined by a link with the addresses 10.77.0.1 and 10.77.0.2.
pub(crate) struct Machines {
    names: [String; 2],
    keys: tempfile::TempDir,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {line}");
}

/// Whether such machines can be made here; says why not.
pub(crate) fn possible() -> bool {
    let root = nix::unistd::geteuid().is_root();
    let tool = Command::new("ip").arg("-V").output().is_ok();
    if !(root && tool) {
        eprintln!("left out: network namespaces need root and the program `ip`");
    }
    root && tool
}

impl Machines {
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "b"].map(|side| format!("univrs-ov{side}-{}-{number}", std::process::id()));
        for name in &names {
            ip(&format!("netns add {name}"));
        }
        let [a, b] = &names;
        ip(&format!("-n {a} link add name eth0 type veth peer name eth0 netns {b}"));
        for (index, name) in names.iter().enumerate() {
            ip(&format!("-n {name} link set dev lo up"));
            ip(&format!("-n {name} addr add 10.77.0.{}/24 dev eth0", index + 1));
            ip(&format!("-n {name} link set dev eth0 up"));
            // As the node's network makes it: a bridge with the block's first address.
            ip(&format!("-n {name} link add name br0 type bridge"));
            ip(&format!("-n {name} addr add {}/24 dev br0", gateway(index)));
            ip(&format!("-n {name} link set dev br0 up"));
        }
        Self { names, keys: tempfile::tempdir().unwrap() }
    }

    /// Runs something on a machine, on a thread of its own.
    pub(crate) fn on<T, F>(
        &self,
        machine: usize,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> std::thread::JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let path = Path::new("/run/netns").join(&self.names[machine]);
        std::thread::spawn(move || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        })
    }

    pub(crate) fn options(&self, machine: usize) -> OverlayOptions {
        OverlayOptions {
            node: node(machine),
            key_file: self.keys.path().join(format!("key{machine}")),
            listen: "0.0.0.0:51820".parse().unwrap(),
            cluster: "100.64.0.0/10".parse().unwrap(),
            gateway: gateway(machine),
            underlay: Some(underlay(machine).into()),
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            drop(Command::new("ip").args(["netns", "del", name]).status());
        }
    }
}

pub(crate) fn node(machine: usize) -> NodeId {
    NodeId::from_bits(0x1234_5678_9abc_def0 << (machine * 8))
}

pub(crate) fn gateway(machine: usize) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, u8::try_from(machine).unwrap() + 1, 1)
}

pub(crate) fn underlay(machine: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(machine).unwrap() + 1)
}

/// A machine as the other's peer.
pub(crate) fn peer(machine: usize, overlay: &Overlay) -> PeerSpec {
    PeerSpec {
        node: node(machine),
        public_key: overlay.public_key().to_owned(),
        endpoint: (underlay(machine), overlay.port()).into(),
        block: format!("100.64.{}.0/24", machine + 1).parse().unwrap(),
    }
}
