//! The promises of the plan, TOP-1 to TOP-5, on random topologies.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;
use proptest::prelude::*;
use univrs_topology::plan::Plan;

use crate::world::compiled;

const REGIONS: [(&str, &str, &str); 12] = [
    ("aws", "us-east-1", "t3.large"),
    ("aws", "us-west-2", "t3.large"),
    ("aws", "eu-central-1", "t3.large"),
    ("azure", "eastus", "Standard_B2s"),
    ("azure", "westus", "Standard_B2s"),
    ("gcp", "us-central1", "e2-small"),
    ("gcp", "us-west1", "e2-small"),
    ("gcp", "europe-west1", "e2-small"),
    ("oci", "us-ashburn-1", "VM.Standard.A1.Flex"),
    ("hetzner", "fsn1", "cx23"),
    ("hetzner", "nbg1", "cx23"),
    ("digitalocean", "fra1", "s-1vcpu-1gb"),
];

#[derive(Clone, Debug)]
struct Shape {
    /// Index of the region, whether its range is stated, and its own count of machines.
    regions: Vec<(usize, bool, u32)>,
    mesh: bool,
    univrs: bool,
    subnets: bool,
    zonal: bool,
    balancer: bool,
    shared: u32,
}

fn shape() -> impl Strategy<Value = Shape> {
    let regions =
        prop::sample::subsequence((0..REGIONS.len()).collect::<Vec<_>>(), 1..9).prop_flat_map(|picked| {
            let details = prop::collection::vec((any::<bool>(), 1u32..9), picked.len());
            details.prop_map(move |details| {
                picked.iter().zip(details).map(|(region, (stated, count))| (*region, stated, count)).collect()
            })
        });
    (regions, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 1u32..30).prop_map(
        |(regions, mesh, univrs, subnets, zonal, balancer, shared)| Shape {
            regions,
            mesh,
            univrs,
            subnets,
            zonal,
            balancer,
            shared,
        },
    )
}

fn text(shape: &Shape) -> String {
    let mut text = String::from("name = \"random\"\n[network]\nadmin_cidrs = [\"203.0.113.0/24\"]\n");
    text += &format!("mesh = \"{}\"\n", if shape.mesh { "wireguard" } else { "none" });
    text += if shape.subnets { "subnets = { private = 20, public = 24, database = 24 }\n" } else { "" };
    text += if shape.zonal { "nat = \"zone\"\n" } else { "" };
    text += "reserved = [\"10.200.0.0/16\", \"10.3.0.0/16\"]\n";
    let machines: BTreeMap<&str, &str> =
        REGIONS.iter().map(|(cloud, _, machine)| (*cloud, *machine)).collect();
    let machines: Vec<String> =
        machines.iter().map(|(cloud, machine)| format!("{cloud} = \"{machine}\"")).collect();
    let machines = machines.join(", ");
    for (region, stated, _) in &shape.regions {
        let (cloud, name, _) = REGIONS[*region];
        text += &format!("[[region]]\ncloud = \"{cloud}\"\nname = \"{name}\"\n");
        text += &if *stated { format!("cidr = \"172.{}.0.0/16\"\n", 16 + region) } else { String::new() };
    }
    for (region, _, count) in &shape.regions {
        let (cloud, name, _) = REGIONS[*region];
        text += &format!(
            "[role.own-{region}]\ncount = {count}\nat = \"{cloud}:{name}\"\nmachine = {{ {machines} }}\n"
        );
        text += "ports = [{ port = 80, from = \"mesh\" }]\n";
    }
    text +=
        &format!("[role.shared]\ncount = {}\nper = \"total\"\nmachine = {{ {machines} }}\n", shape.shared);
    text += "ports = [{ port = 443, from = \"internet\" }]\n";
    text += if shape.univrs { "univrs = { role = \"validator\" }\n" } else { "" };
    text += if shape.balancer { "[service.load_balancer]\nfor = \"shared\"\n" } else { "" };
    text +=
        "[traffic]\nhealth_adjusted = true\ndns = { provider = \"cloudflare\", zone = \"example.net\" }\n";
    text
}

fn plan_of(shape: &Shape) -> Plan {
    let compiled = compiled(&text(shape), &[]);
    assert!(!compiled.has_errors(), "{:#?}", compiled.findings);
    compiled.plan.unwrap()
}

fn apart(ranges: &[Ipv4Net]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.network());
    sorted.windows(2).all(|pair| pair[0].broadcast() < pair[1].network())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_overlaps_top_1(shape in shape()) {
        let plan = plan_of(&shape);
        let mut ranges: Vec<Ipv4Net> = plan.regions.iter().map(|region| region.cidr).collect();
        ranges.extend(["10.200.0.0/16", "10.3.0.0/16", "100.64.0.0/10"].map(|range| range.parse::<Ipv4Net>().unwrap()));
        prop_assert!(apart(&ranges), "{ranges:?}");
        for region in &plan.regions {
            let subnets: Vec<Ipv4Net> = region.subnets.iter().map(|subnet| subnet.cidr).collect();
            prop_assert!(apart(&subnets), "{subnets:?}");
            prop_assert!(subnets.iter().all(|subnet| region.cidr.contains(subnet)));
        }
    }

    #[test]
    fn every_machine_has_an_address_top_2(shape in shape()) {
        let plan = plan_of(&shape);
        let wanted = shape.shared + shape.regions.iter().map(|(_, _, count)| count).sum::<u32>();
        prop_assert_eq!(plan.machines().count(), wanted as usize);
        let mut addresses = BTreeSet::new();
        let mut names = BTreeSet::new();
        for region in &plan.regions {
            for machine in &region.machines {
                let subnet = region.subnets.iter().find(|subnet| subnet.name == machine.subnet).unwrap();
                prop_assert_eq!(&subnet.zone, &machine.zone);
                prop_assert!(subnet.cidr.contains(&machine.address));
                let (address, reserved) = (u32::from(machine.address), region.cloud.reserved_addresses());
                prop_assert!(address >= u32::from(subnet.cidr.network()) + reserved.first);
                prop_assert!(address + reserved.last <= u32::from(subnet.cidr.broadcast()));
                prop_assert!(addresses.insert(machine.address) && names.insert(&machine.name));
            }
            for subnet in &region.subnets {
                let here = region.machines.iter().filter(|machine| machine.subnet == subnet.name).count();
                prop_assert_eq!(here, subnet.needed as usize);
            }
            let tables: Vec<&String> = region.route_tables.iter().flat_map(|table| &table.subnets).collect();
            prop_assert_eq!(tables.len(), region.subnets.len());
        }
    }

    #[test]
    fn the_mesh_is_a_partition_top_3(shape in shape()) {
        let plan = plan_of(&shape);
        prop_assert_eq!(plan.mesh.is_some(), shape.mesh);
        let Some(mesh) = plan.mesh else { return Ok(()) };
        let n = mesh.gateways.len();
        prop_assert_eq!(n, plan.regions.len());
        prop_assert_eq!(plan.tunnels.len(), n * (n - 1) / 2);
        let all: BTreeSet<Ipv4Net> = plan.regions.iter().map(|region| region.cidr).collect();
        let addresses: BTreeSet<_> = mesh.gateways.iter().map(|gateway| gateway.mesh_address).collect();
        prop_assert_eq!(addresses.len(), n);
        prop_assert!(addresses.iter().all(|address| mesh.range.contains(address)));
        for gateway in &mesh.gateways {
            prop_assert_eq!(gateway.peers.len(), n - 1);
            let accepted: Vec<Ipv4Net> = gateway.peers.iter().flat_map(|peer| peer.allowed_ips.clone()).collect();
            prop_assert!(apart(&accepted), "{accepted:?}");
            let ranges = accepted.iter().copied().filter(|range| range.prefix_len() < 32);
            let union: BTreeSet<Ipv4Net> = ranges.chain([gateway.cidr]).collect();
            prop_assert_eq!(&union, &all);
            let hosts = accepted.iter().filter(|range| range.prefix_len() == 32).count();
            prop_assert_eq!(hosts, if shape.univrs { 0 } else { n - 1 });
            prop_assert!(gateway.peers.iter().all(|peer| peer.endpoint));
        }
    }

    #[test]
    fn weights_sum_to_100_top_4(shape in shape()) {
        let Some(dns) = plan_of(&shape).dns else { return Ok(()) };
        prop_assert_eq!(dns.records.iter().map(|record| record.weight).sum::<u32>(), 100);
        prop_assert_eq!(dns.health_checks.len(), dns.records.len());
        for failure in &dns.failures {
            let sum: u32 = failure.weights.iter().map(|weight| weight.weight).sum();
            prop_assert_eq!(sum, if failure.weights.is_empty() { 0 } else { 100 });
        }
    }

    #[test]
    fn one_edit_shows_in_one_region_top_5(shape in shape(), which in any::<prop::sample::Index>()) {
        let before = plan_of(&shape);
        let which = which.index(shape.regions.len());
        let mut edited = shape.clone();
        edited.regions[which].2 += 3;
        let after = plan_of(&edited);
        for (index, (one, other)) in before.regions.iter().zip(&after.regions).enumerate() {
            prop_assert_eq!(one == other, index != which);
        }
        // Without the region, the others keep their ranges.
        let mut fewer = shape.clone();
        fewer.regions.remove(which);
        if !fewer.regions.is_empty() {
            for region in &plan_of(&fewer).regions {
                prop_assert_eq!(region.cidr, before.region(&region.id).unwrap().cidr);
            }
        }
    }
}
