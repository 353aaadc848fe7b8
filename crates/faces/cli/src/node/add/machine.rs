//! What a machine is like, and what it lacks to become a node. Pure: a script tells, this judges.

use std::collections::{BTreeMap, BTreeSet};

use univrs_model::node::{Role, RuntimeKind};

use super::ssh::quoted;
use crate::up::UpArgs;

/// Kilobytes that have to be free for a node's own things beside the program.
const ROOM: u64 = 256 * 1024;
/// Seconds that clocks may be apart; the cluster refuses more.
const CLOCKS: i64 = 300;

/// What the machine says to anybody.
pub(super) const WHO: &str = r#"
echo "kernel=$(uname -s)"
echo "machine=$(uname -m)"
echo "uid=$(id -u)"
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then echo sudo=yes; fi
"#;

/// What it says to root, of these places.
pub(super) fn inspection(places: &Places) -> String {
    let Places { program, unit, data } = places;
    format!(
        r#"program={} unit={} data={}
{}"#,
        quoted(program),
        quoted(unit),
        quoted(data),
        r#"
free() {
  d=$1
  while [ ! -d "$d" ]; do d=$(dirname "$d"); done
  if [ ! -w "$d" ]; then echo read-only; return; fi
  set -- $(df -Pk "$d" | tail -n 1)
  echo "$4"
}
host=$(cat /proc/sys/kernel/hostname)
echo "hostname=$host"
echo "now=$(date +%s)"
if [ -d /run/systemd/system ]; then echo systemd=yes; fi
echo "room_program=$(free "$(dirname "$program")")"
echo "room_data=$(free "$data")"
if [ -e "$program" ]; then echo "program=$(sha256sum "$program" | cut -d ' ' -f 1)"; fi
if [ -e "$unit" ]; then echo unit=yes; fi
if [ -d "$data" ] && [ -n "$(ls -A "$data")" ]; then echo data=used; fi
if [ -s "$data/node.json" ]; then echo "node=$(tr -d '\n' < "$data/node.json")"; fi
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  echo "cgroups=$(cat /sys/fs/cgroup/cgroup.controllers)"
else
  echo "cgroups=$(cd /sys/fs/cgroup && echo *)"
fi
for tool in nft mkfs.ext4 setsid; do
  for d in /usr/sbin /sbin /usr/bin /bin /usr/local/sbin /usr/local/bin; do
    if [ -x "$d/$tool" ]; then echo "tool=$tool"; break; fi
  done
done
if [ -c /dev/net/tun ]; then echo tun=yes; fi
for kind in tcp tcp6 udp udp6; do
  [ -r /proc/net/$kind ] || continue
  while read -r number local remote state rest; do echo "socket=$kind $local $state"; done < /proc/net/$kind
done
"#
    )
}

/// Where the node's things go.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) program: String,
    pub(super) unit: String,
    pub(super) data: String,
}

/// What is to be true of the machine.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// How the node is started.
    pub(super) up: &'a UpArgs,
    /// Bytes of the program.
    pub(super) size: u64,
    /// Its SHA-256.
    pub(super) digest: &'a str,
    /// Whether it is to run under systemd.
    pub(super) systemd: bool,
    /// Seconds since 1970, here.
    pub(super) now: i64,
}

/// What a machine said.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    facts: BTreeMap<String, String>,
    tools: BTreeSet<String>,
    /// Ports that something listens on, with the protocol.
    taken: BTreeSet<(bool, u16)>,
}

impl Machine {
    /// Takes in what a script wrote.
    pub(super) fn hear(&mut self, text: &str) {
        for (key, value) in text.lines().filter_map(|line| line.trim_end().split_once('=')) {
            match key {
                "tool" => drop(self.tools.insert(value.to_owned())),
                "socket" => self.taken.extend(listening(value)),
                _ => drop(self.facts.insert(key.to_owned(), value.to_owned())),
            }
        }
    }

    pub(super) fn fact(&self, key: &str) -> &str {
        self.facts.get(key).map_or("", String::as_str)
    }

    pub(super) fn is_root(&self) -> bool {
        self.fact("uid") == "0"
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.facts.contains_key(key)
    }

    /// What keeps it from being asked anything that root knows.
    pub(super) fn lacks_from_afar(&self, machine: Option<&str>) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.fact("kernel") != "Linux" {
            lacks.push(format!("it runs {}, not Linux", self.fact("kernel")));
        }
        match machine {
            Some(wanted) if self.fact("machine") != wanted => lacks.push(format!(
                "its processor is {}, and the program is for {wanted}: give one for it with --binary FILE",
                self.fact("machine")
            )),
            None => lacks.push("the program is none for Linux: give one with --binary FILE".to_owned()),
            Some(_) => {}
        }
        if !self.is_root() && !self.has("sudo") {
            lacks.push(
                "its user is not root and has no `sudo` without a password: log in as root, or allow it in sudoers"
                    .to_owned(),
            );
        }
        lacks
    }

    /// What it lacks to become such a node.
    pub(super) fn lacks(&self, wanted: &Wanted<'_>, places: &Places) -> Vec<String> {
        let mut lacks = Vec::new();
        self.disk(wanted, places, &mut lacks);
        if self.has("unit") {
            lacks.push(format!("{} is there already, of a node that is none: remove it first", places.unit));
        }
        match (wanted.systemd, self.has("systemd")) {
            (true, false) => lacks.push(
                "systemd does not run it: with --no-systemd the node is started as a plain process, which does not \
                 come back when the machine restarts"
                    .to_owned(),
            ),
            (false, _) if !self.tools.contains("setsid") => {
                lacks.push("it has no `setsid` (Debian: util-linux)".to_owned());
            }
            _ => {}
        }
        for (port, whose) in [
            (wanted.up.node_listen.port(), "other nodes (another with --node-listen)"),
            (wanted.up.api.port(), "its API (another with --api)"),
        ] {
            if port != 0 && self.taken.contains(&(true, port)) {
                lacks.push(format!("port {port}, which it needs for {whose}, is taken"));
            }
        }
        if runs_oci(wanted.up) {
            let controllers: Vec<&str> = self.fact("cgroups").split_whitespace().collect();
            for needed in ["cpu", "memory", "pids"] {
                if !controllers.contains(&needed) {
                    lacks.push(format!("its kernel has no control groups for {needed}"));
                }
            }
            if !self.tools.contains("nft") {
                lacks.push("it has no `nft` (Debian: nftables)".to_owned());
            }
        }
        let apart = self.fact("now").parse::<i64>().map_or(0, |now| now - wanted.now);
        if apart.abs() > CLOCKS {
            let way = if apart > 0 { "ahead of" } else { "behind" };
            lacks.push(format!(
                "its clock is {} seconds {way} the one here: set it (`timedatectl set-ntp true`)",
                apart.abs()
            ));
        }
        lacks
    }

    fn disk(&self, wanted: &Wanted<'_>, places: &Places, lacks: &mut Vec<String>) {
        // The one before is kept until the node is ready.
        let program =
            if self.fact("program") == wanted.digest { 0 } else { wanted.size.div_ceil(1024) + 1024 };
        for (key, place, needed) in
            [("room_program", &places.program, program), ("room_data", &places.data, ROOM)]
        {
            match self.fact(key) {
                "read-only" => lacks.push(format!("{place} cannot be written")),
                text => match text.parse::<u64>() {
                    Ok(free) if free < needed => lacks.push(format!(
                        "{place} needs {} MiB, and {} MiB are free there",
                        needed.div_ceil(1024),
                        free / 1024
                    )),
                    Ok(_) => {}
                    Err(_) => lacks.push(format!("nobody can say how much is free at {place}")),
                },
            }
        }
    }

    /// What it will do without.
    pub(super) fn does_without(&self, up: &UpArgs) -> Vec<String> {
        let mut without = Vec::new();
        let ports = [
            (true, up.ingress.port(), "the ingress"),
            (false, up.wireguard.port(), "the encrypted network between containers"),
            (false, up.port, "discovery"),
        ];
        for (tcp, port, what) in ports {
            if port != 0 && self.taken.contains(&(tcp, port)) {
                without.push(format!("port {port} is taken, so this node does without {what}"));
            }
        }
        if runs_oci(up) && !self.has("tun") {
            without.push(
                "it has no /dev/net/tun: its containers reach those of other nodes only after `modprobe tun`"
                    .to_owned(),
            );
        }
        if runs_oci(up) && !self.tools.contains("mkfs.ext4") {
            without.push(
                "it has no `mkfs.ext4`, so volumes with a size cannot be made (Debian: e2fsprogs)".to_owned(),
            );
        }
        without
    }
}

/// Whether such a node makes containers by itself.
fn runs_oci(up: &UpArgs) -> bool {
    let runs = up.role.is_empty() || up.role.iter().any(|role| *role != Role::Validator);
    runs && matches!(up.runtime, None | Some(RuntimeKind::Oci))
}

/// `tcp 0100007F:1F90 0A` → that TCP port; nothing when nobody listens there.
fn listening(text: &str) -> Option<(bool, u16)> {
    let mut words = text.split_whitespace();
    let (kind, local, state) = (words.next()?, words.next()?, words.next()?);
    let tcp = kind.starts_with("tcp");
    // Listening, or a datagram socket that is connected to nobody.
    let waits = if tcp { state == "0A" } else { state == "07" };
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    waits.then_some((tcp, port))
}

/// The processor that a program is for, as `uname -m` says it; see elf(5).
pub(super) fn made_for(program: &[u8]) -> Option<&'static str> {
    if program.get(..4) != Some(b"\x7fELF") || program.get(5) != Some(&1) {
        return None;
    }
    match u16::from_le_bytes([*program.get(18)?, *program.get(19)?]) {
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        243 => Some("riscv64"),
        _ => None,
    }
}

/// The name of a host as that of its node.
pub(super) fn node_name(host: &str) -> String {
    let first = host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let clean = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let clean: String = first.chars().map(clean).take(63).collect();
    let clean = clean.trim_matches('-');
    if clean.is_empty() { "node".to_owned() } else { clean.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Machine, Places, Wanted, listening, made_for};
    use crate::args::{Invocation, try_parse};
    use crate::up::UpArgs;

    fn up(flags: &str) -> UpArgs {
        let words = ["univrs", "up"].into_iter().chain(flags.split_whitespace()).map(Into::into);
        let Ok(Invocation::Up(args)) = try_parse(words) else { panic!("not up") };
        *args
    }

    fn places() -> Places {
        Places {
            program: "/usr/local/bin/univrs".into(),
            unit: "/etc/u".into(),
            data: "/var/lib/univrs".into(),
        }
    }

    const GOOD: &str = "kernel=Linux\nmachine=x86_64\nuid=0\nhostname=box\nnow=1000\nsystemd=yes\nroom_program=9000000\n\
        room_data=9000000\ncgroups=cpuset cpu io memory pids\ntool=nft\ntool=mkfs.ext4\ntool=setsid\ntun=yes\n";

    fn judged(said: &str, flags: &str, systemd: bool) -> String {
        let mut machine = Machine::default();
        machine.hear(said);
        let up = up(flags);
        let wanted = Wanted { up: &up, size: 50 << 20, digest: "d", systemd, now: 1000 };
        let mut lacks = machine.lacks_from_afar(Some("x86_64"));
        lacks.extend(machine.lacks(&wanted, &places()));
        lacks.join("\n")
    }

    #[test]
    fn a_good_machine_lacks_nothing() {
        assert_eq!(judged(GOOD, "", true), "");
    }

    #[test]
    fn everything_that_is_missing_is_said_at_once() {
        for (before, after, words) in [
            ("kernel=Linux", "kernel=FreeBSD", "it runs FreeBSD, not Linux"),
            ("x86_64", "aarch64", "its processor is aarch64, and the program is for x86_64"),
            ("uid=0", "uid=1000", "has no `sudo` without a password"),
            ("systemd=yes\n", "", "--no-systemd"),
            (
                "room_program=9000000",
                "room_program=3000",
                "/usr/local/bin/univrs needs 51 MiB, and 2 MiB are free",
            ),
            ("room_data=9000000", "room_data=read-only", "/var/lib/univrs cannot be written"),
            ("io memory", "io", "no control groups for memory"),
            ("tool=nft\n", "", "nftables"),
            ("now=1000", "now=1700", "700 seconds ahead of"),
            ("tun=yes", "socket=tcp6 00000000000000000000000000000000:24E3 0A", "port 9443"),
            ("tun=yes", "unit=yes", "/etc/u is there already"),
        ] {
            let said = judged(&GOOD.replace(before, after), "", true);
            assert!(said.contains(words) && said.lines().count() == 1, "{before}: {said}");
        }
    }

    #[test]
    fn a_node_without_containers_of_its_own_needs_less() {
        let bare = GOOD.replace("cgroups=cpuset cpu io memory pids", "cgroups=").replace("tool=nft\n", "");
        assert_eq!(judged(&bare, "--role validator", true), "");
        assert_eq!(judged(&bare.replace("systemd=yes\n", ""), "--runtime simulated", false), "");
        assert_eq!(judged(&bare, "", true).lines().count(), 4);
    }

    #[test]
    fn ports_that_may_be_missing_are_told() {
        let mut machine = Machine::default();
        machine.hear(&GOOD.replace("tun=yes", "socket=tcp 00000000:0050 0A\nsocket=udp 00000000:CA6C 07"));
        let without = machine.does_without(&up("")).join("\n");
        assert!(
            without.contains("port 80") && without.contains("port 51820") && without.contains("tun"),
            "{without}"
        );
    }

    #[test]
    fn sockets_are_read_as_the_kernel_lists_them() {
        for (line, found) in [
            ("tcp 0100007F:1F90 0A", Some((true, 8080))),
            ("tcp 0100007F:1F90 01", None),
            ("udp6 00000000000000000000000000000000:2328 07", Some((false, 9000))),
            ("tcp local_address rem_address", None),
        ] {
            assert_eq!(listening(line), found, "{line}");
        }
    }

    #[test]
    fn a_program_says_what_it_is_for() {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(18, 0);
        head.extend([183, 0]);
        assert_eq!((made_for(&head), made_for(b"#!/bin/sh")), (Some("aarch64"), None));
        assert_eq!(super::node_name("My_Box.example"), "my-box");
    }
}
