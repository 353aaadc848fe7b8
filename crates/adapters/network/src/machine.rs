//! What the machine allows and how it is set: capabilities and kernel settings.

use std::fs;

use univrs_ports::network::NetworkError;

use crate::links::failed;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;

/// Refuses where the process may not change the network.
pub(crate) fn require_privileges() -> Result<(), NetworkError> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .unwrap_or(0);
    if [NET_ADMIN, SYS_ADMIN].iter().all(|bit| effective & (1 << bit) != 0) {
        return Ok(());
    }
    Err(NetworkError::Unavailable {
        what: "the capabilities CAP_NET_ADMIN and CAP_SYS_ADMIN",
        hint: "run the daemon as root",
    })
}

/// Turns on the forwarding of packets. True when it was off.
pub(crate) fn ensure_forwarding() -> Result<bool, NetworkError> {
    ensure(FORWARDING, "1", "turn on ip_forward")
}

/// Turns the forwarding of packets off again.
pub(crate) fn stop_forwarding() -> Result<(), NetworkError> {
    ensure(FORWARDING, "0", "turn off ip_forward").map(|_| ())
}

/// Lets packets with loopback addresses leave through the bridge, for `127.0.0.1:<published port>`.
pub(crate) fn ensure_route_localnet(bridge: &str) -> Result<(), NetworkError> {
    let path = format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet");
    ensure(&path, "1", &format!("turn on route_localnet of {bridge}")).map(|_| ())
}

/// Writes a setting unless it has the value. True when it was changed.
fn ensure(path: &str, value: &str, step: &str) -> Result<bool, NetworkError> {
    let now = fs::read_to_string(path).map_err(|error| failed(step, error))?;
    if now.trim() == value {
        return Ok(false);
    }
    fs::write(path, value).map_err(|error| failed(step, error))?;
    Ok(true)
}
