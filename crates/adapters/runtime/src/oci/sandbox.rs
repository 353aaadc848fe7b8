//! Sandboxes: the network namespace that an instance's containers share, and the end of all of it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use univrs_model::ids::InstanceId;
use univrs_ports::runtime::{RuntimeError, Sandbox};

use super::{Inner, blocking, failed};
use crate::{netns, overlay, seccomp, teardown};

/// How long the remains of killed containers may resist.
const PATIENCE: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) async fn open_sandbox(&self, instance: &InstanceId) -> Result<Sandbox, RuntimeError> {
        let layout = self.layout.clone();
        let wanted = instance.clone();
        blocking(move || {
            let fail = |error: io::Error| failed(&wanted, "make its network namespace")(error);
            let file = layout.netns(&wanted);
            if !netns::is_namespace(&file) {
                layout.make().map_err(fail)?;
                if !layout.filter().exists() {
                    seccomp::write(&layout.filter()).map_err(fail)?;
                }
                std::fs::create_dir_all(layout.sandbox(&wanted)).map_err(fail)?;
                make_namespace(&file).map_err(fail)?;
            }
            Ok(Sandbox { instance: wanted, netns: Some(file) })
        })
        .await
    }

    pub(super) async fn close_sandbox(self: &Arc<Self>, instance: &InstanceId) -> Result<(), RuntimeError> {
        let ids = self.layout.containers_of(instance);
        futures::future::try_join_all(ids.iter().map(|id| self.kill(id))).await?;
        let inner = Arc::clone(self);
        let instance = instance.clone();
        blocking(move || {
            let layout = &inner.layout;
            for id in &ids {
                teardown::release(&layout.container(id), &inner.cgroups, &layout.cgroup(id), PATIENCE)
                    .map_err(failed(id, "remove it"))?;
            }
            overlay::unmount(&layout.netns(&instance))
                .and_then(|()| teardown::remove_dir(&layout.sandbox(&instance)))
                .and_then(|()| teardown::remove_dir(&layout.instance_data(&instance)))
                .map_err(failed(&instance, "remove its directories"))
        })
        .await
    }

    /// Removes what no instance accounts for any more.
    pub(super) async fn sweep(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let inner = Arc::clone(self);
        blocking(move || {
            let layout = &inner.layout;
            let fail = |reason: String| failed(&"of this node", "remove the node's remains")(reason);
            let mounts =
                std::fs::read_to_string("/proc/self/mountinfo").map_err(|error| fail(error.to_string()))?;
            let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
            for point in points.map(Path::new).filter(|point| point.starts_with(&layout.run)) {
                overlay::unmount(point).map_err(|error| fail(error.to_string()))?;
            }
            if !inner.cgroups.remove(&layout.cgroup, PATIENCE) {
                return Err(fail(format!("control group {} is still busy", layout.cgroup)));
            }
            if let Some((parent, _)) = layout.cgroup.rsplit_once('/') {
                inner.cgroups.remove_if_empty(parent);
            }
            for dir in [&layout.run, &layout.data] {
                teardown::remove_dir(dir).map_err(|error| fail(format!("{}: {error}", dir.display())))?;
            }
            Ok(())
        })
        .await
    }
}

/// Makes a network namespace that lives as long as the mount on `path`.
///
/// A thread of its own moves into the new namespace and ends; no process is forked.
fn make_namespace(path: &Path) -> io::Result<()> {
    File::create(path)?;
    std::thread::scope(|scope| {
        let made = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, || -> io::Result<()> {
                unshare(CloneFlags::CLONE_NEWNET)?;
                lift_loopback()?;
                // As elsewhere, so that programs which are not root may use low ports and ping. Kernels without
                // these settings are fine too.
                let _ = std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
                let _ = std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
                mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
                Ok(())
            })?
            .join();
        made.unwrap_or_else(|_| Err(io::Error::other("the thread that makes the namespace failed")))
    })
}

/// Brings up `lo` in this thread's network namespace, where it always is interface 1.
fn lift_loopback() -> io::Result<()> {
    const NEW_LINK: u16 = 16;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const ERROR: u16 = 2;
    const UP: u32 = 1;
    let kernel =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&NEW_LINK.to_ne_bytes());
    message.extend_from_slice(&REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    message.extend_from_slice(&1_u32.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    // Family and type, then the index, then the flags and which of them change.
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(&1_i32.to_ne_bytes());
    message.extend_from_slice(&UP.to_ne_bytes());
    message.extend_from_slice(&UP.to_ne_bytes());
    sendto(kernel.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 64];
    let count = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let kind = u16::from_ne_bytes([answer[4], answer[5]]);
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    if count < 20 || kind != ERROR {
        return Err(io::Error::other("the kernel gave no answer to bringing up lo"));
    }
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}
