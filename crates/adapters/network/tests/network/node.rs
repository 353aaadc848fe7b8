//! Instances in the kernel's network.

use std::net::{Ipv4Addr, SocketAddr};

use univrs_model::ids::NodeId;
use univrs_network::{NetworkOptions, NodeNetwork, pick_free_range};
use univrs_ports::network::{Network, NetworkError};

use crate::support::{Machine, PATIENCE, fetch, fetch_in_vain, on_machine, sh};

const RANGE: &str = "100.64.7.0/24";

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

/// What of ours is in the kernel of this namespace.
fn traces() -> String {
    sh("ip -o link show type bridge; ip -o link show type veth; nft list tables")
}

#[test]
fn instances_reach_each_other_and_the_host_reaches_them() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        let first = network.attach(&one.request(1, &[])).await.unwrap();
        let second = network.attach(&two.request(2, &[])).await.unwrap();
        assert_eq!((first.address, first.prefix_len), (Ipv4Addr::new(100, 64, 7, 2), 24));
        assert_eq!(second.address, Ipv4Addr::new(100, 64, 7, 3));
        assert_eq!(network.gateway(), Some(Ipv4Addr::new(100, 64, 7, 1)));
        assert_eq!(first.gateway, Ipv4Addr::new(100, 64, 7, 1));
        let (_one, _two) = (one.serve(80, "one"), two.serve(80, "two"));
        assert_eq!(one.inside(|| fetch(at(second.address, 80))).unwrap(), format!("two {}", first.address));
        assert_eq!(two.inside(|| fetch(at(first.address, 80))).unwrap(), format!("one {}", second.address));
        assert_eq!(fetch(at(first.address, 80)).unwrap(), "one 100.64.7.1");
        assert_eq!(one.inside(|| fetch(at(Ipv4Addr::LOCALHOST, 80))).unwrap(), "one 127.0.0.1");
    });
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    on_machine(|machine: Machine| async move {
        // Another machine, behind a cable.
        let outside = machine.netns("outside");
        sh(&format!("ip link add cable type veth peer name far netns {}", outside.path.display()));
        sh("ip addr add 192.168.77.1/24 dev cable && ip link set cable up");
        outside.inside(|| sh("ip link set lo up; ip addr add 192.168.77.2/24 dev far && ip link set far up"));

        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        let first = network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let second = network.attach(&two.request(2, &[])).await.unwrap();
        let _one = one.serve(80, "one");

        let host = Ipv4Addr::new(192, 168, 77, 1);
        assert_eq!(fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap(), "one 100.64.7.1");
        assert_eq!(fetch(at(first.gateway, 8080)).unwrap(), "one 100.64.7.1");
        fetch(at(host, 8080)).unwrap();
        // From outside, with the client's own address.
        assert_eq!(outside.inside(|| fetch(at(host, 8080))).unwrap(), "one 192.168.77.2");
        // From another instance, by the bridge's address and by the machine's.
        assert_eq!(two.inside(|| fetch(at(first.gateway, 8080))).unwrap(), "one 100.64.7.1");
        assert_eq!(two.inside(|| fetch(at(host, 8080))).unwrap(), "one 100.64.7.1");
        // From the instance itself.
        assert_eq!(one.inside(|| fetch(at(first.gateway, 8080))).unwrap(), "one 100.64.7.1");
        assert_eq!(one.inside(|| fetch(at(host, 8080))).unwrap(), "one 100.64.7.1");

        // What leaves the machine has the machine's address.
        let _far = outside.serve(9000, "far");
        let seen = two.inside(|| fetch(at(Ipv4Addr::new(192, 168, 77, 2), 9000))).unwrap();
        assert_eq!(seen, "far 192.168.77.1");

        // Ports change with the next attach and end with the detach.
        let again = network.attach(&one.request(1, &[(8081, 80)])).await.unwrap();
        assert_eq!(again.address, first.address);
        assert!(fetch_in_vain(at(Ipv4Addr::LOCALHOST, 8080)).is_err());
        fetch(at(Ipv4Addr::LOCALHOST, 8081)).unwrap();
        let error = network.attach(&two.request(2, &[(8081, 80)])).await.unwrap_err();
        assert!(matches!(error, NetworkError::PortTaken { port: 8081, holder } if holder == first.instance));
        assert_eq!(network.attached().await.unwrap()[1], second);
        network.detach(&first.instance).await.unwrap();
        assert!(fetch_in_vain(at(Ipv4Addr::LOCALHOST, 8081)).is_err());
    });
}

#[test]
fn packets_pass_through_the_rules_of_docker() {
    on_machine(|machine: Machine| async move {
        if !std::path::Path::new("/usr/sbin/iptables").exists() {
            return eprintln!("SKIPPED without iptables: packets through the rules of Docker");
        }
        let outside = machine.netns("outside");
        sh(&format!("ip link add cable type veth peer name far netns {}", outside.path.display()));
        sh("ip addr add 192.168.77.1/24 dev cable && ip link set cable up");
        outside.inside(|| sh("ip link set lo up; ip addr add 192.168.77.2/24 dev far && ip link set far up"));
        // What Docker does when it starts.
        let docker = || {
            sh("iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; \
                iptables -I FORWARD -j DOCKER-USER")
        };
        docker();
        let before = sh("iptables -S");
        let options = machine.options(1, RANGE);
        let options = NetworkOptions { check_every: std::time::Duration::from_millis(50), ..options };
        let network = NodeNetwork::open(options).await.unwrap();
        let one = machine.netns("one");
        network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let (_one, _far) = (one.serve(80, "one"), outside.serve(9000, "far"));
        let reached = || {
            let from_outside = outside.inside(|| fetch_in_vain(at(Ipv4Addr::new(192, 168, 77, 1), 8080)));
            let to_outside = one.inside(|| fetch_in_vain(at(Ipv4Addr::new(192, 168, 77, 2), 9000)));
            (from_outside.ok(), to_outside.ok())
        };
        let expected = (Some("one 192.168.77.2".to_owned()), Some("far 192.168.77.1".to_owned()));
        let until_reached = async || {
            let start = std::time::Instant::now();
            loop {
                let reached = reached();
                if reached == expected {
                    return;
                }
                assert!(start.elapsed() < 2 * PATIENCE, "{reached:?}");
                // Nothing of the network's own happens but here.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        until_reached().await;
        // As when somebody reloads the rules.
        sh("iptables -F; iptables -X; iptables -P FORWARD ACCEPT");
        docker();
        // There are several rules, one after the other.
        until_reached().await;
        network.purge().await.unwrap();
        assert_eq!(sh("iptables -S"), before);
    });
}

/// Who has sent what it may send reaches the cluster and nothing outside, until it may again.
#[test]
fn who_has_spent_its_egress_reaches_the_cluster_only() {
    on_machine(|machine: Machine| async move {
        let outside = machine.netns("outside");
        sh(&format!("ip link add cable type veth peer name far netns {}", outside.path.display()));
        sh("ip addr add 192.168.77.1/24 dev cable && ip link set cable up");
        outside.inside(|| sh("ip link set lo up; ip addr add 192.168.77.2/24 dev far && ip link set far up"));
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        let first = network.attach(&one.request(1, &[])).await.unwrap();
        let second = network.attach(&two.request(2, &[])).await.unwrap();
        let (_far, _two) = (outside.serve(9000, "far"), two.serve(80, "two"));
        let far = at(Ipv4Addr::new(192, 168, 77, 2), 9000);
        let inside = || one.inside(|| fetch(at(second.address, 80))).is_ok();
        let all = || one.inside(|| fetch(far)).is_ok() && inside();
        let cluster_only = || one.inside(|| fetch_in_vain(far)).is_err() && inside();
        assert!(all());
        network.restrain(&[first.address].into()).await.unwrap();
        assert!(cluster_only());
        // Others are not meant, and it outlives the daemon.
        assert!(two.inside(|| fetch(far)).is_ok());
        drop(network);
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        assert!(cluster_only());
        network.restrain(&std::collections::BTreeSet::new()).await.unwrap();
        assert!(all());
        network.purge().await.unwrap();
    });
}

/// A change is written as a difference; where what it starts from is gone, all is written.
#[test]
fn an_instance_comes_after_somebody_flushed_the_rules() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let _one = one.serve(80, "one");
        fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap();
        sh("nft flush ruleset");
        network.attach(&two.request(2, &[(8081, 80)])).await.unwrap();
        let _two = two.serve(80, "two");
        for port in [8080, 8081] {
            fetch(at(Ipv4Addr::LOCALHOST, port)).unwrap();
        }
        network.purge().await.unwrap();
    });
}

#[test]
fn an_instance_cannot_reach_the_loopback_of_the_host() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let one = machine.netns("one");
        network.attach(&one.request(1, &[])).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // An instance with the right to change its own network points loopback addresses at the host.
        let reached = one.inside(|| {
            sh("sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip addr del 127.0.0.1/8 dev lo; \
                ip route del table local 127.0.0.0/8 2>/dev/null; ip route add 127.0.0.1 via 100.64.7.1 dev eth0");
            fetch_in_vain(at(Ipv4Addr::LOCALHOST, port))
        });
        assert_eq!(reached.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    });
}

#[test]
fn all_survives_a_restart_and_repeats_are_harmless() {
    on_machine(|machine: Machine| async move {
        let options = machine.options(1, RANGE);
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        let network = NodeNetwork::open(options.clone()).await.unwrap();
        let first = network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let second = network.attach(&two.request(2, &[(8081, 80)])).await.unwrap();
        drop(network);
        let _one = one.serve(80, "one");
        // With the daemon away, all keeps working.
        fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap();

        // As after a reboot that only the first namespace survived: rules, bridge and the second are gone.
        sh("nft flush ruleset");
        sh("ip link del $(ip -o link show type bridge | cut -d: -f2)");
        drop(two);
        let network = NodeNetwork::open(options.clone()).await.unwrap();
        assert_eq!(network.attached().await.unwrap(), std::slice::from_ref(&first));
        assert_eq!(network.attach(&one.request(1, &[(8080, 80)])).await.unwrap(), first);
        assert_eq!(network.attach(&one.request(1, &[(8080, 80)])).await.unwrap(), first);
        fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap();

        // The bridge is removed while the daemon runs: the next attach repairs everything.
        sh("ip link del $(ip -o link show type bridge | cut -d: -f2)");
        let two = machine.netns("two-again");
        let other = network.attach(&two.request(3, &[])).await.unwrap();
        assert_ne!(other.address, second.address);
        two.inside(|| fetch(at(first.address, 80))).unwrap();
        fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap();

        // The instance is restarted into a new namespace: same address, and the old link does not hinder.
        let fresh = machine.netns("one-again");
        assert_eq!(network.attach(&fresh.request(1, &[(8080, 80)])).await.unwrap().address, first.address);
        let _fresh = fresh.serve(80, "fresh");
        assert_eq!(fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap(), "fresh 100.64.7.1");
        network.detach(&first.instance).await.unwrap();
        network.detach(&first.instance).await.unwrap();
        assert_eq!(network.attached().await.unwrap(), [other]);
    });
}

#[test]
fn a_failed_attach_takes_everything_back() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let before = traces();
        let one = machine.netns("one");
        let mut request = one.request(1, &[(8080, 80)]);
        request.netns = machine.dir.path().join("plain");
        std::fs::write(&request.netns, "not a namespace").unwrap();
        let error = network.attach(&request).await.unwrap_err();
        assert!(error.to_string().contains("plain is none"), "{error}");
        // A namespace that already has a link of that name.
        one.inside(|| sh("ip link add eth0 type veth peer name other"));
        let error = network.attach(&one.request(1, &[(8080, 80)])).await.unwrap_err();
        assert!(error.to_string().contains("failed to create link uve"), "{error}");
        assert_eq!(traces(), before);
        assert!(network.attached().await.unwrap().is_empty());
        assert!(!sh("nft list ruleset").contains("8080"));
    });
}

#[test]
fn purge_leaves_nothing_and_works_on_remains() {
    on_machine(|machine: Machine| async move {
        let before = traces();
        let forwarding = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let options = machine.options(1, RANGE);
        let network = NodeNetwork::open(options.clone()).await.unwrap();
        assert_eq!(forwarding(), "1\n");
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        network.attach(&two.request(2, &[])).await.unwrap();
        assert!(traces().contains("inet univrs_"));
        network.purge().await.unwrap();
        assert_eq!(traces(), before);
        assert_eq!(forwarding(), "0\n");
        assert!(!options.state_dir.exists());
        network.purge().await.unwrap();

        // After a purge the network can be used again.
        network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let _one = one.serve(80, "one");
        fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap();
        drop(network);

        // Parts are missing, and nobody opens the network first.
        sh("nft flush ruleset");
        NodeNetwork::purge_node(&options.node, &options.state_dir).await.unwrap();
        NodeNetwork::purge_node(&options.node, &options.state_dir).await.unwrap();
        assert_eq!(traces(), before);
        assert!(!options.state_dir.exists());
    });
}

#[test]
fn two_nodes_share_a_machine() {
    on_machine(|machine: Machine| async move {
        let cluster = "100.64.0.0/10".parse().unwrap();
        let mut networks = Vec::new();
        for node in [1, 2] {
            let range = pick_free_range(cluster, 24).await.unwrap();
            assert_eq!(range.to_string(), format!("100.64.{}.0/24", node - 1));
            networks.push(NodeNetwork::open(machine.options(node, &range.to_string())).await.unwrap());
        }
        let taken = NodeNetwork::open(machine.options(3, "100.64.1.0/24")).await.unwrap_err();
        assert!(matches!(&taken, NetworkError::RangeInUse { address, .. } if address == "100.64.1.1/24"));
        let (one, two) = (machine.netns("one"), machine.netns("two"));
        let first = networks[0].attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let second = networks[1].attach(&two.request(2, &[(8081, 80)])).await.unwrap();
        let (_one, _two) = (one.serve(80, "one"), two.serve(80, "two"));
        assert_eq!(fetch(at(Ipv4Addr::LOCALHOST, 8080)).unwrap(), "one 100.64.0.1");
        assert_eq!(fetch(at(Ipv4Addr::LOCALHOST, 8081)).unwrap(), "two 100.64.1.1");
        // Between nodes of the cluster instances keep their addresses.
        let home = |address: Ipv4Addr| (address, "default".to_owned());
        for network in &networks {
            network.separate(&[home(first.address), home(second.address)].into()).await.unwrap();
        }
        assert_eq!(one.inside(|| fetch(at(second.address, 80))).unwrap(), "two 100.64.0.2");
        assert_eq!(two.inside(|| fetch(at(first.address, 80))).unwrap(), "one 100.64.1.2");
        networks[0].purge().await.unwrap();
        assert!(fetch_in_vain(at(Ipv4Addr::LOCALHOST, 8080)).is_err());
        assert_eq!(fetch(at(Ipv4Addr::LOCALHOST, 8081)).unwrap(), "two 100.64.1.1");
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
        networks[1].purge().await.unwrap();
        assert_eq!(sh("nft list tables"), "");
        NodeNetwork::purge_node(&NodeId::from_bits(9), &machine.state_dir("none")).await.unwrap();
    });
}

#[test]
fn what_others_remove_is_put_back() {
    on_machine(|machine: Machine| async move {
        let mut options = machine.options(1, RANGE);
        options.check_every = std::time::Duration::from_millis(50);
        let network = NodeNetwork::open(options).await.unwrap();
        let one = machine.netns("one");
        network.attach(&one.request(1, &[(8080, 80)])).await.unwrap();
        let _one = one.serve(80, "one");
        for damage in ["nft flush ruleset", "ip link del $(ip -o link show type bridge | cut -d: -f2)"] {
            sh(damage);
            let start = std::time::Instant::now();
            while !traces().contains("inet univrs_") || fetch_in_vain(at(Ipv4Addr::LOCALHOST, 8080)).is_err()
            {
                assert!(start.elapsed() < 2 * PATIENCE, "{damage}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        network.purge().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(traces(), "");
    });
}

#[tokio::test]
async fn without_privileges_it_says_what_to_do() {
    if nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: this is root");
        return;
    }
    let options = NetworkOptions::new(NodeId::from_bits(1), RANGE.parse().unwrap(), "/nonexistent");
    let error = NodeNetwork::open(options).await.unwrap_err();
    assert!(error.to_string().contains("run the daemon as root"), "{error}");
}

#[test]
fn attaching_is_quick() {
    on_machine(|machine: Machine| async move {
        let network = NodeNetwork::open(machine.options(1, RANGE)).await.unwrap();
        let spaces: Vec<_> = (0..20).map(|index| machine.netns(&format!("n{index}"))).collect();
        let start = std::time::Instant::now();
        for (index, space) in spaces.iter().enumerate() {
            network.attach(&space.request(index as u128, &[])).await.unwrap();
        }
        let plain = start.elapsed() / 20;
        let start = std::time::Instant::now();
        for (index, space) in spaces.iter().enumerate() {
            let port = u16::try_from(8000 + index).unwrap();
            network.attach(&space.request(index as u128, &[(port, 80)])).await.unwrap();
        }
        println!("attach: {plain:?} without ports; publish: {:?}", start.elapsed() / 20);
        assert_eq!(sh("nft list ruleset").matches(" : 100.64.7.").count(), 20);
    });
}
