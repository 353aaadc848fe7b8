//! Organisations on one bridge and on two nodes: who reaches whom.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use univrs_network::NodeNetwork;
use univrs_ports::network::Network;

use crate::support::{Machine, fetch, fetch_in_vain, on_machine, sh};

const RANGE: &str = "100.64.7.0/24";

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

#[test]
fn organisations_reach_each_other_through_published_ports_only() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let (acme, other, third) = (machine.netns("acme"), machine.netns("other"), machine.netns("third"));
        let first = network.attach(&acme.request_of("acme", 1, &[(8080, 80)])).await.unwrap();
        let second = network.attach(&other.request_of("other", 2, &[])).await.unwrap();
        let same = network.attach(&third.request_of("acme", 3, &[])).await.unwrap();
        let (_first, _second) = (acme.serve(80, "acme"), other.serve(80, "other"));
        // A packet that is dropped says nothing; what may pass says that the network is up.
        assert_eq!(third.inside(|| fetch(at(first.address, 80))).unwrap(), format!("acme {}", same.address));
        assert!(other.inside(|| fetch_in_vain(at(first.address, 80))).is_err());
        assert!(acme.inside(|| fetch_in_vain(at(second.address, 80))).is_err());
        // The bridge's address and the host are everybody's, and with them what is published.
        assert_eq!(other.inside(|| fetch(at(first.gateway, 8080))).unwrap(), "acme 100.64.7.1");
        assert_eq!(fetch(at(second.address, 80)).unwrap(), "other 100.64.7.1");
        // Another's address is of no use to who takes it, not even to answer for it.
        other.inside(|| {
            sh(&format!("ip addr add {}/32 dev eth0", same.address));
            sh(&format!("ip route replace {} dev eth0 src {}", first.address, same.address));
        });
        assert!(other.inside(|| fetch_in_vain(at(first.address, 80))).is_err());
        // What is counted is what passed.
        let traffic = network.traffic().await.unwrap();
        assert!(traffic[&first.instance].sent > 0 && traffic[&first.instance].received > 0, "{traffic:?}");
        network.purge().await.unwrap();
        assert_eq!(sh("nft list tables"), "");
    });
}

#[test]
fn addresses_of_other_nodes_are_reached_by_their_own_organisation() {
    on_machine(|machine: Machine| async move {
        // Another node's instances, behind what stands for the link between nodes.
        let far = machine.netns("far");
        sh(&format!("ip link add uvcable type veth peer name far netns {}", far.path.display()));
        sh("ip addr add 192.168.77.1/24 dev uvcable && ip link set uvcable up");
        sh("ip route add 100.64.8.0/24 via 192.168.77.2");
        far.inside(|| {
            sh("ip link set lo up; ip addr add 192.168.77.2/24 dev far && ip link set far up; \
                ip addr add 100.64.8.1/32 dev lo; ip addr add 100.64.8.2/32 dev lo; ip addr add 100.64.8.3/32 dev lo; \
                ip route add 100.64.7.0/24 via 192.168.77.1")
        });
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let one = machine.netns("one");
        let first = network.attach(&one.request_of("acme", 1, &[])).await.unwrap();
        let (friend, stranger) = (Ipv4Addr::new(100, 64, 8, 2), Ipv4Addr::new(100, 64, 8, 3));
        let (_far, _one) = (far.serve(80, "far"), one.serve(80, "one"));
        let from_here = |to: Ipv4Addr| one.inside(|| fetch(at(to, 80)));
        let not_from_here = |to: Ipv4Addr| one.inside(|| fetch_in_vain(at(to, 80))).is_err();
        assert!(not_from_here(friend), "nobody was said to have it");
        let homes = BTreeMap::from([(friend, "acme".to_owned()), (stranger, "other".to_owned())]);
        network.separate(&homes).await.unwrap();
        assert_eq!(from_here(friend).unwrap(), format!("far {}", first.address));
        assert!(not_from_here(stranger));
        let from_as = |source: Ipv4Addr, fetch: fn(SocketAddr) -> std::io::Result<String>| {
            far.inside(|| {
                sh(&format!("ip route replace 100.64.7.0/24 via 192.168.77.1 src {source}"));
                fetch(at(first.address, 80))
            })
        };
        let from_there = |source| from_as(source, fetch);
        assert_eq!(from_there(friend).unwrap(), format!("one {friend}"));
        // Through the ingress of the other node, whose packets come from its bridge.
        let bridge = Ipv4Addr::new(100, 64, 8, 1);
        assert_eq!(from_there(bridge).unwrap(), format!("one {bridge}"));
        assert!(from_as(stranger, fetch_in_vain).is_err());
        // A new process leaves what it finds until it is told.
        drop(network);
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        assert_eq!(from_here(friend).unwrap(), format!("far {}", first.address));
        network.separate(&BTreeMap::from([(friend, "other".to_owned())])).await.unwrap();
        assert!(not_from_here(friend));
    });
}
