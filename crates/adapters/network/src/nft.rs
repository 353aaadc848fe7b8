//! The packet rules of a node: one nft table, always written whole in one transaction.
//!
//! The rules are handed to the `nft` program; the table is a function of the book, so there is one code path
//! for start, change and repair.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use univrs_model::workload::Protocol;
use univrs_ports::network::NetworkError;

use crate::links::failed;
use crate::names::host_end;
use crate::range::Range;
use crate::records::Book;

const LOOPBACK: &str = "127.0.0.0/8";

/// The `nft` program.
#[derive(Clone, Debug)]
pub(crate) struct Nft {
    program: PathBuf,
}

impl Nft {
    /// Finds it where the shell would, or in the folders of system programs.
    pub(crate) fn find() -> Result<Self, NetworkError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let system = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(system)
            .map(|folder| folder.join("nft"))
            .find(|program| program.is_file())
            .map(|program| Self { program })
            .ok_or(NetworkError::Unavailable {
                what: "the nft program",
                hint: "install nftables (Debian, Ubuntu: `apt install nftables`; Fedora: `dnf install nftables`)",
            })
    }

    /// Makes the table exactly what the book says.
    pub(crate) fn apply(
        &self,
        table: &str,
        bridge: &str,
        cluster: Range,
        book: &Book,
        separation: Option<&Separation>,
    ) -> Result<(), NetworkError> {
        let mut script = ruleset(table, bridge, cluster, book);
        if let Some(separation) = separation {
            script.push_str(&separation.ruleset(table));
        }
        self.run(&script, &format!("write nft table {table}"))
    }

    /// Whether the kernel can look at packets inside a bridge.
    pub(crate) fn can_separate(&self, table: &str) -> bool {
        let probe = format!("{table}_probe");
        let nothing = Separation {
            gateway: Ipv4Addr::UNSPECIFIED,
            within: Ipv4Addr::BROADCAST,
            cluster: None,
            ends: Vec::new(),
            homes: BTreeMap::new(),
        };
        let script = format!("{}delete table bridge {probe}\n", nothing.ruleset(&probe));
        self.run(&script, "look at packets inside a bridge").is_ok()
    }

    /// Removes the tables; one that is not there is fine.
    pub(crate) fn remove(&self, table: &str) -> Result<(), NetworkError> {
        self.run(&emptied("inet", table), &format!("delete nft table {table}"))?;
        if self.tables()?.lines().any(|line| line.trim() == format!("table bridge {table}")) {
            self.run(&emptied("bridge", table), &format!("delete nft table {table} of bridges"))?;
        }
        Ok(())
    }

    /// Whether the table is there that looks at packets inside the bridge.
    pub(crate) fn has_separation(&self, table: &str) -> Result<bool, NetworkError> {
        let wanted = format!("table bridge {table}");
        Ok(self.tables()?.lines().any(|line| line.trim() == wanted))
    }

    /// Whether the table exists.
    pub(crate) fn has(&self, table: &str) -> Result<bool, NetworkError> {
        let wanted = format!("table inet {table}");
        Ok(self.tables()?.lines().any(|line| line.trim() == wanted))
    }

    /// Whether there is the table in which the iptables program keeps its filter.
    pub(crate) fn has_filter(&self) -> Result<bool, NetworkError> {
        Ok(self.tables()?.lines().any(|line| line.trim() == "table ip filter"))
    }

    /// Whether any table exists, ours or others'.
    pub(crate) fn any_table(&self) -> Result<bool, NetworkError> {
        Ok(!self.tables()?.trim().is_empty())
    }

    fn tables(&self) -> Result<String, NetworkError> {
        let step = "list nft tables";
        let output = Command::new(&self.program)
            .args(["list", "tables"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(step, error))?;
        if !output.status.success() {
            return Err(failed(step, first_line(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, script: &str, step: &str) -> Result<(), NetworkError> {
        let mut child = Command::new(&self.program)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(step, error))?;
        if let Some(mut input) = child.stdin.take() {
            // A child that gave up early says why in its output.
            match input.write_all(script.as_bytes()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(step, error)),
                _ => {}
            }
        }
        let output = child.wait_with_output().map_err(|error| failed(step, error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(step, first_line(&output.stderr)))
    }
}

/// Ports of the host that the tables of any daemon on this machine lead to instances; none where that cannot be read.
pub fn published() -> BTreeSet<u16> {
    let Ok(nft) = Nft::find() else { return BTreeSet::new() };
    let Ok(tables) = nft.tables() else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for table in tables.lines().filter_map(|line| line.trim().strip_prefix("table inet ")) {
        let listed = Command::new(&nft.program).args(["list", "map", "inet", table, "published"]).output();
        if let Ok(listed) = listed {
            found.extend(ports_of_map(&String::from_utf8_lossy(&listed.stdout)));
        }
    }
    found
}

/// The ports of a map's elements, such as `tcp . 8080 : 100.64.0.2 . 80`.
fn ports_of_map(listed: &str) -> Vec<u16> {
    let elements = listed.split_once("elements = {").map_or("", |(_, rest)| rest);
    let port = |element: &str| {
        let (_, port) = element.split_once(" : ")?.0.split_once(" . ")?;
        port.trim().parse().ok()
    };
    elements.split(',').filter_map(port).collect()
}

fn first_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().next().unwrap_or("nft failed without a word").to_owned()
}

/// Deletes a table whether or not it is there: naming it first creates it.
fn emptied(family: &str, table: &str) -> String {
    format!("table {family} {table}\ndelete table {family} {table}\n")
}

/// Who may reach whom: an instance those of its own organisation, the nodes' bridges, and what is outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Separation {
    /// The bridge's address.
    pub(crate) gateway: Ipv4Addr,
    /// The bits of an address that tell it from others of its node: every node has a block of the same size.
    pub(crate) within: Ipv4Addr,
    /// The cluster's range; absent when nothing is in it.
    pub(crate) cluster: Option<Range>,
    /// The host's end of each link, and the only address that may come in there.
    pub(crate) ends: Vec<(String, Ipv4Addr)>,
    /// Whose each address is.
    pub(crate) homes: BTreeMap<Ipv4Addr, String>,
}

impl Separation {
    /// What follows from the book.
    pub(crate) fn of(cluster: Range, book: &Book) -> Self {
        let mut homes = book.homes.clone();
        for record in book.records.values() {
            homes.extend(record.org.clone().map(|org| (record.address, org)));
        }
        let ends = book.records.iter().map(|(instance, record)| (host_end(instance), record.address));
        let within = u32::MAX.checked_shr(book.range.prefix().into()).unwrap_or(0).into();
        Self { gateway: book.gateway(), within, cluster: Some(cluster), ends: ends.collect(), homes }
    }

    /// The table as nft reads it. It is one of the family of bridges: packets between two instances of a node never
    /// leave the bridge, and those from and to other nodes pass it too.
    fn ruleset(&self, table: &str) -> String {
        let Self { gateway, within, cluster, ends, homes } = self;
        let mut orgs: BTreeMap<&str, Vec<Ipv4Addr>> = BTreeMap::new();
        for (address, org) in homes {
            orgs.entry(org).or_default().push(*address);
        }
        let list = |all: Vec<String>| match all.is_empty() {
            true => String::new(),
            false => format!("        elements = {{ {} }}\n", all.join(", ")),
        };
        let inside = cluster.map_or_else(|| "0.0.0.0/32".to_owned(), |cluster| cluster.to_string());
        // The bridges of all nodes, which have the same place in their blocks: what comes through the ingress of a node
        // comes from its bridge, and wants an answer.
        let bridges = Ipv4Addr::from(u32::from(*gateway) & u32::from(*within));
        let refuse = format!("ip daddr & {within} == {bridges} accept\n        ip daddr {inside} drop");
        let near = |address: &Ipv4Addr| self.ends.iter().any(|(_, end)| end == address);
        let (mut sets, mut chains) = (String::new(), String::new());
        let (mut verdicts, mut far) = (Vec::new(), Vec::new());
        for (number, members) in orgs.into_values().enumerate() {
            for address in &members {
                let verdict = format!("{address} : jump from_{number}");
                if near(address) { verdicts.push(verdict) } else { far.push(verdict) }
            }
            let members = members.iter().map(ToString::to_string).collect();
            // Writing to a string cannot fail.
            let _ =
                write!(sets, "    set org_{number} {{\n        type ipv4_addr\n{}    }}\n", list(members));
            let _ = write!(
                chains,
                "    chain from_{number} {{\n        ip daddr @org_{number} accept\n        {refuse}\n    }}\n"
            );
        }
        let links = list(ends.iter().map(|(link, _)| format!("\"{link}\"")).collect());
        let ends = list(ends.iter().map(|(link, address)| format!("{link} . {address}")).collect());
        let (verdicts, far) = (list(verdicts), list(far));
        format!(
            "{emptied}table bridge {table} {{
{sets}{chains}    set links {{
        type ifname
{links}    }}
    set ends {{
        type ifname . ipv4_addr
{ends}    }}
    map homes {{
        type ipv4_addr : verdict
{verdicts}    }}
    map far {{
        type ipv4_addr : verdict
{far}    }}
    # An instance speaks with its own address only, and to those of its organisation, bridges, and the outside. This
    # comes before br_netfilter, which Docker loads, shows packets to other rules: those know where a published port leads.
    chain prerouting {{
        type filter hook prerouting priority -200; policy accept;
        iifname != @links accept
        ether type ip6 drop
        ether type ip iifname . ip saddr != @ends drop
        ether type arp iifname . arp saddr ip != @ends drop
        ip saddr vmap @homes
        {refuse}
    }}
    # What comes from other nodes carries the address of who sent it there.
    chain postrouting {{
        type filter hook postrouting priority 0; policy accept;
        oifname != @links accept
        ip saddr vmap @far
    }}
}}
",
            emptied = emptied("bridge", table),
        )
    }
}

/// The whole table as nft reads it.
fn ruleset(table: &str, bridge: &str, cluster: Range, book: &Book) -> String {
    let (range, gateway) = (book.range, book.gateway());
    let elements = elements(book);
    let spent = spent(book);
    let publish = "fib daddr type local dnat ip to meta l4proto . th dport map @published";
    format!(
        "{emptied}table inet {table} {{
    map published {{
        type inet_proto . inet_service : ipv4_addr . inet_service
{elements}    }}
    # Instances whose organisation has sent what it may: the cluster is all that they reach.
    set spent {{
        type ipv4_addr
{spent}    }}
    # The bridge may route the host's loopback addresses, but no instance may use that to reach the host's loopback.
    chain guard {{
        type filter hook prerouting priority raw; policy accept;
        iifname \"{bridge}\" ip daddr {LOOPBACK} drop
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname \"{bridge}\" ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 accept
        {publish}
    }}
    chain output {{
        type nat hook output priority -100; policy accept;
        {publish}
    }}
    # Answers to what was published must come back through the host; what leaves the cluster takes its address.
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname \"{bridge}\" ip saddr {LOOPBACK} masquerade
        oifname \"{bridge}\" ip saddr {range} ct status dnat masquerade
        oifname != \"{bridge}\" ip saddr {range} ip daddr != {cluster} masquerade
    }}
    # What is meant for instances of the cluster leaves through links of nodes only, never in the clear.
    # Packets that are too large for the next link would vanish where the warnings about them are filtered.
    chain forward {{
        type filter hook forward priority mangle; policy accept;
        iifname \"{bridge}\" ip daddr {cluster} oifname != \"uv*\" drop
        iifname \"{bridge}\" ip saddr @spent ip daddr != {cluster} drop
        iifname \"{bridge}\" tcp flags syn tcp option maxseg size set rt mtu
        oifname \"{bridge}\" tcp flags syn tcp option maxseg size set rt mtu
    }}
}}
",
        emptied = emptied("inet", table),
    )
}

fn spent(book: &Book) -> String {
    if book.spent.is_empty() {
        return String::new();
    }
    let list: Vec<String> = book.spent.iter().map(ToString::to_string).collect();
    format!("        elements = {{ {} }}\n", list.join(", "))
}

fn elements(book: &Book) -> String {
    let mut list = String::new();
    for record in book.records.values() {
        for port in &record.ports {
            let protocol = match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            let comma = if list.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(
                list,
                "{comma}{protocol} . {} : {} . {}",
                port.host_port, record.address, port.container_port
            );
        }
    }
    if list.is_empty() { list } else { format!("        elements = {{ {list} }}\n") }
}

/// Whether the older packet filter, which keeps its own tables, has any.
pub(crate) fn legacy_tables() -> bool {
    std::fs::read_to_string(Path::new("/proc/thread-self/net/ip_tables_names"))
        .is_ok_and(|names| !names.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use univrs_model::ids::InstanceId;
    use univrs_model::workload::Protocol;
    use univrs_ports::network::PublishedPort;

    use super::{elements, ruleset};
    use crate::records::{Book, Record};

    fn book() -> Book {
        let mut book = Book::new("100.64.0.0/24".parse().unwrap());
        let ports = vec![
            PublishedPort { host_port: 8080, container_port: 80, protocol: Protocol::Tcp },
            PublishedPort { host_port: 5353, container_port: 53, protocol: Protocol::Udp },
        ];
        let address = book.take_address().unwrap();
        book.records
            .insert(InstanceId::from_bits(1), Record { address, org: None, netns: "/n".into(), ports });
        book
    }

    #[test]
    fn ports_are_read_back_from_a_map() {
        let listed = "table inet univrs_1 {\n\tmap published {\n\t\ttype inet_proto . inet_service : ipv4_addr . inet_service\n\t\telements = { tcp . 8080 : 100.64.0.2 . 80,\n\t\t\t     udp . 5353 : 100.64.0.2 . 53 }\n\t}\n}\n";
        assert_eq!(super::ports_of_map(listed), [8080, 5353]);
        assert_eq!(super::ports_of_map("table inet x {\n\tmap published {\n\t}\n}\n"), Vec::<u16>::new());
    }

    #[test]
    fn published_ports_are_map_elements() {
        assert_eq!(
            elements(&book()),
            "        elements = { tcp . 8080 : 100.64.0.2 . 80, udp . 5353 : 100.64.0.2 . 53 }\n"
        );
        assert_eq!(elements(&Book::new("10.0.0.0/24".parse().unwrap())), "");
    }

    #[test]
    fn the_table_is_replaced_in_one_transaction() {
        let script = ruleset("univrs_x", "uvx", "100.64.0.0/10".parse().unwrap(), &book());
        assert!(script.starts_with("table inet univrs_x\ndelete table inet univrs_x\ntable inet univrs_x {"));
        assert!(script.contains("iifname \"uvx\" ip daddr 127.0.0.0/8 drop"));
        assert!(script.contains("ip daddr != 100.64.0.0/10 masquerade"));
        assert!(script.contains("iifname \"uvx\" ip daddr 100.64.0.0/10 oifname != \"uv*\" drop"));
    }
}
