//! The packet rules of a node as a function of its book: what tables there are, and how to get from one state of them to
//! the next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use univrs_model::workload::Protocol;

use crate::names::host_end;
use crate::range::Range;
use crate::records::Book;

const LOOPBACK: &str = "127.0.0.0/8";

/// Tables with chains and empty sets, and what is in the sets. An instance that comes or goes changes elements only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Makes the tables anew.
    tables: String,
    /// Set, as `<family> <table> <set>` → key → data, which is empty where the set is no map.
    elements: BTreeMap<String, BTreeMap<String, String>>,
}

impl Rules {
    /// What follows from the book. `separated` says whether the kernel can keep organisations apart within a bridge.
    pub(crate) fn of(table: &str, bridge: &str, cluster: Range, book: &Book, separated: bool) -> Self {
        let mut rules = Self { tables: outside(table, bridge, cluster, book), elements: BTreeMap::new() };
        let published = book.records.values().flat_map(|record| {
            record.ports.iter().map(|port| {
                let protocol = match port.protocol {
                    Protocol::Tcp => "tcp",
                    Protocol::Udp => "udp",
                };
                let to = format!("{} . {}", record.address, port.container_port);
                (format!("{protocol} . {}", port.host_port), to)
            })
        });
        rules.fill("inet", table, "published", published);
        let spent = book.spent.iter().map(|address| (address.to_string(), String::new()));
        rules.fill("inet", table, "spent", spent);
        if separated {
            rules.separate(table, cluster, book);
        }
        rules
    }

    /// What makes everything anew, in one transaction.
    pub(crate) fn script(&self) -> String {
        let mut script = self.tables.clone();
        for (set, elements) in &self.elements {
            said(&mut script, "add", set, elements.iter());
        }
        script
    }

    /// What leads from `before` to these rules in one transaction; `None` when the tables themselves differ.
    pub(crate) fn since(&self, before: &Self) -> Option<String> {
        if self.tables != before.tables {
            return None;
        }
        let (mut gone, mut new) = (String::new(), String::new());
        let none = BTreeMap::new();
        for set in before
            .elements
            .keys()
            .chain(self.elements.keys().filter(|set| !before.elements.contains_key(*set)))
        {
            let old = before.elements.get(set).unwrap_or(&none);
            let now = self.elements.get(set).unwrap_or(&none);
            said(&mut gone, "delete", set, old.iter().filter(|(key, data)| now.get(*key) != Some(*data)));
            said(&mut new, "add", set, now.iter().filter(|(key, data)| old.get(*key) != Some(*data)));
        }
        Some(gone + &new)
    }

    fn fill(
        &mut self,
        family: &str,
        table: &str,
        set: &str,
        elements: impl Iterator<Item = (String, String)>,
    ) {
        let elements: BTreeMap<_, _> = elements.collect();
        if !elements.is_empty() {
            self.elements.insert(format!("{family} {table} {set}"), elements);
        }
    }

    /// Who may reach whom: an instance those of its own organisation, the nodes' bridges, and what is outside the
    /// cluster. An instance sends from its own link with its own address only.
    fn separate(&mut self, table: &str, cluster: Range, book: &Book) {
        let mut homes = book.homes.clone();
        for record in book.records.values() {
            homes.extend(record.org.clone().map(|org| (record.address, org)));
        }
        let near: BTreeMap<String, Ipv4Addr> =
            book.records.iter().map(|(instance, record)| (host_end(instance), record.address)).collect();
        let mut orgs: BTreeMap<&str, Vec<Ipv4Addr>> = BTreeMap::new();
        for (address, org) in &homes {
            orgs.entry(org).or_default().push(*address);
        }
        // The bits of an address that tell it from others of its node: every node has a block of the same size.
        let within = u32::MAX.checked_shr(book.range.prefix().into()).unwrap_or(0).into();
        self.tables += &inside(table, orgs.len(), book.gateway(), within, Some(cluster));
        let (mut verdicts, mut far) = (Vec::new(), Vec::new());
        for (number, members) in orgs.into_values().enumerate() {
            for address in &members {
                let verdict = (address.to_string(), format!("jump from_{number}"));
                let here = book.records.values().any(|record| record.address == *address);
                if here { verdicts.push(verdict) } else { far.push(verdict) }
            }
            let members = members.iter().map(|address| (address.to_string(), String::new()));
            self.fill("bridge", table, &format!("org_{number}"), members);
        }
        let quoted = |link: &str| format!("\"{link}\"");
        self.fill("bridge", table, "links", near.keys().map(|link| (quoted(link), String::new())));
        let ends =
            near.iter().map(|(link, address)| (format!("{} . {address}", quoted(link)), String::new()));
        self.fill("bridge", table, "ends", ends);
        self.fill("bridge", table, "homes", verdicts.into_iter());
        self.fill("bridge", table, "far", far.into_iter());
    }
}

/// Adds the line that adds or deletes elements, if there are any.
fn said<'a>(
    script: &mut String,
    verb: &str,
    set: &str,
    elements: impl Iterator<Item = (&'a String, &'a String)>,
) {
    let elements: Vec<String> = elements
        .map(|(key, data)| if data.is_empty() { key.clone() } else { format!("{key} : {data}") })
        .collect();
    if !elements.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(script, "{verb} element {set} {{ {} }}", elements.join(", "));
    }
}

/// Deletes a table whether or not it is there: naming it first creates it.
pub(crate) fn emptied(family: &str, table: &str) -> String {
    format!("table {family} {table}\ndelete table {family} {table}\n")
}

/// Makes a table that looks into bridges, and deletes it: a kernel that cannot do that refuses.
pub(crate) fn probe(table: &str) -> String {
    let probe = format!("{table}_probe");
    let tables = inside(&probe, 0, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, None);
    format!("{tables}delete table bridge {probe}\n")
}

/// The table of the family of bridges, for so many organisations: packets between two instances of a node never leave the
/// bridge, and those from and to other nodes pass it too.
fn inside(table: &str, orgs: usize, gateway: Ipv4Addr, within: Ipv4Addr, cluster: Option<Range>) -> String {
    let cluster = cluster.map_or_else(|| "0.0.0.0/32".to_owned(), |cluster| cluster.to_string());
    // The bridges of all nodes, which have the same place in their blocks: what comes through the ingress of a node
    // comes from its bridge, and wants an answer.
    let bridges = Ipv4Addr::from(u32::from(gateway) & u32::from(within));
    let refuse = format!("ip daddr & {within} == {bridges} accept\n        ip daddr {cluster} drop");
    let mut chains = String::new();
    for number in 0..orgs {
        // Writing to a string cannot fail.
        let _ = write!(
            chains,
            "    set org_{number} {{
        type ipv4_addr
    }}
    chain from_{number} {{
        ip daddr @org_{number} accept
        {refuse}
    }}
"
        );
    }
    format!(
        "{emptied}table bridge {table} {{
{chains}    set links {{
        type ifname
    }}
    set ends {{
        type ifname . ipv4_addr
    }}
    map homes {{
        type ipv4_addr : verdict
    }}
    map far {{
        type ipv4_addr : verdict
    }}
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

/// The table of what comes in and goes out: published ports, the way out of the cluster, and what may not leave.
fn outside(table: &str, bridge: &str, cluster: Range, book: &Book) -> String {
    let (range, gateway) = (book.range, book.gateway());
    let publish = "fib daddr type local dnat ip to meta l4proto . th dport map @published";
    format!(
        "{emptied}table inet {table} {{
    map published {{
        type inet_proto . inet_service : ipv4_addr . inet_service
    }}
    # Instances whose organisation has sent what it may: the cluster is all that they reach.
    set spent {{
        type ipv4_addr
    }}
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

#[cfg(test)]
mod tests {
    use univrs_model::ids::InstanceId;
    use univrs_model::workload::Protocol;
    use univrs_ports::network::PublishedPort;

    use super::Rules;
    use crate::records::{Book, Record};

    fn book() -> Book {
        Book::new("100.64.0.0/24".parse().unwrap())
    }

    fn add(book: &mut Book, number: u128, org: Option<&str>, ports: &[(u16, u16, Protocol)]) {
        let address = book.take_address().unwrap();
        let ports = ports
            .iter()
            .map(|&(host_port, container_port, protocol)| PublishedPort {
                host_port,
                container_port,
                protocol,
            })
            .collect();
        let record = Record { address, org: org.map(str::to_owned), netns: "/n".into(), ports };
        book.records.insert(InstanceId::from_bits(number), record);
    }

    fn rules(book: &Book) -> Rules {
        Rules::of("univrs_x", "uvx", "100.64.0.0/10".parse().unwrap(), book, true)
    }

    #[test]
    fn published_ports_are_map_elements() {
        let mut book = book();
        assert!(!rules(&book).script().contains("element"));
        add(&mut book, 1, None, &[(8080, 80, Protocol::Tcp), (5353, 53, Protocol::Udp)]);
        let script = rules(&book).script();
        let line = "add element inet univrs_x published { tcp . 8080 : 100.64.0.2 . 80, udp . 5353 : 100.64.0.2 . 53 }\n";
        assert!(script.contains(line), "{script}");
    }

    #[test]
    fn the_tables_are_replaced_in_one_transaction() {
        let script = rules(&book()).script();
        assert!(script.starts_with("table inet univrs_x\ndelete table inet univrs_x\ntable inet univrs_x {"));
        assert!(
            script.contains("table bridge univrs_x\ndelete table bridge univrs_x\ntable bridge univrs_x {")
        );
        assert!(script.contains("iifname \"uvx\" ip daddr 127.0.0.0/8 drop"));
        assert!(script.contains("ip daddr != 100.64.0.0/10 masquerade"));
        assert!(script.contains("iifname \"uvx\" ip daddr 100.64.0.0/10 oifname != \"uv*\" drop"));
    }

    #[test]
    fn one_more_of_an_organisation_is_a_few_elements() {
        let mut book = book();
        add(&mut book, 1, Some("acme"), &[]);
        let before = rules(&book);
        assert_eq!(before.since(&before).unwrap(), "");
        add(&mut book, 2, Some("acme"), &[(80, 8080, Protocol::Tcp)]);
        let after = rules(&book);
        let script = after.since(&before).unwrap();
        let mut lines: Vec<&str> = script.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 5, "{script}");
        assert!(lines.iter().all(|line| line.starts_with("add element ")), "{script}");
        assert!(lines.contains(&"add element bridge univrs_x homes { 100.64.0.3 : jump from_0 }"));
        assert!(lines.contains(&"add element inet univrs_x published { tcp . 80 : 100.64.0.3 . 8080 }"));
        let back = before.since(&after).unwrap();
        assert_eq!(back, script.replace("add element", "delete element"));
    }

    #[test]
    fn a_port_that_leads_elsewhere_is_deleted_before_it_is_added() {
        let (mut one, mut two) = (book(), book());
        add(&mut one, 1, None, &[(80, 8080, Protocol::Tcp)]);
        add(&mut two, 1, None, &[(80, 9090, Protocol::Tcp)]);
        let script = rules(&two).since(&rules(&one)).unwrap();
        assert_eq!(
            script,
            "delete element inet univrs_x published { tcp . 80 : 100.64.0.2 . 8080 }\n\
             add element inet univrs_x published { tcp . 80 : 100.64.0.2 . 9090 }\n"
        );
    }

    #[test]
    fn another_organisation_is_another_table() {
        let mut book = book();
        add(&mut book, 1, Some("acme"), &[]);
        let before = rules(&book);
        add(&mut book, 2, Some("bolt"), &[]);
        assert_eq!(rules(&book).since(&before), None);
    }
}
