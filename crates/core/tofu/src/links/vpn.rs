//! IPsec between the networks of two providers, with static routes at both ends.
//!
//! AWS gives a connection two ends of its own; Azure and Google have one address each. So AWS and Google have two
//! tunnels, and every pair with Azure has one, because Azure takes a range from one connection only.

use ipnet::Ipv4Net;
use univrs_topology::cloud::Cloud;

use super::Link;
use crate::emission::Gaps;
use crate::site::{Site, free_range};
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, Variable, key};

/// Prefix length of the subnet Azure wants for its gateway.
const GATEWAY_PREFIX: u8 = 27;
/// Azure's smallest gateway that is more than a trial.
const AZURE_SKU: &str = "VpnGw1AZ";
/// Number of the other end's autonomous system; static routes need it to be there and do not use it.
const UNUSED_ASN: &str = "65000";

/// Emits a VPN; says whether it could.
pub(super) fn emit(link: &Link<'_>, root: &mut Root, gaps: &mut Gaps) -> bool {
    let site = Site { plan: link.plan, region: link.ends[0] };
    let clouds = link.ends.map(|end| end.cloud);
    let speaks = |cloud: &Cloud| matches!(cloud, Cloud::Aws | Cloud::Azure | Cloud::Gcp);
    if !clouds.iter().all(speaks) || clouds == [Cloud::Aws; 2] {
        gaps.add(
            site,
            &link.key(),
            "a VPN is emitted between AWS, Azure and Google, and not between two networks of AWS",
            "use a peering within a cloud, or `network.mesh = \"wireguard\"`",
        );
        return false;
    }
    let without_room =
        [0, 1].into_iter().find(|end| clouds[*end] == Cloud::Azure && gateway_range(link, *end).is_none());
    if without_room.is_some() {
        gaps.add(
            site,
            &link.key(),
            "the range of the Azure region has no room for a gateway subnet",
            "give the region a larger `cidr`",
        );
        return false;
    }
    let tunnels = if clouds.contains(&Cloud::Aws) && clouds.contains(&Cloud::Gcp) { 2 } else { 1 };
    if u32::from(link.link.tunnels) != tunnels {
        let why = format!("{} tunnels are stated, {tunnels} are emitted", link.link.tunnels);
        gaps.add(site, &link.key(), &why, "count on what is emitted, or use `network.mesh = \"wireguard\"`");
    }
    // AWS must know the other end before it has an address itself.
    let order = if clouds[1] == Cloud::Aws { [0, 1] } else { [1, 0] };
    let mut own = [None, None];
    for end in order {
        own[end] = match clouds[end] {
            Cloud::Azure => Some(azure_gateway(link, root, end)),
            Cloud::Gcp => Some(google_gateway(link, root, end)),
            _ => None,
        };
    }
    let addresses = [0, 1].map(|end| match (&own[end], &own[1 - end]) {
        (Some(address), _) => vec![address.clone()],
        (None, Some(other)) => aws(link, root, end, other),
        (None, None) => Vec::new(),
    });
    for end in [0, 1] {
        let peers: Vec<&Expr> = addresses[1 - end].iter().take(tunnels as usize).collect();
        for (number, peer) in peers.into_iter().enumerate() {
            match clouds[end] {
                Cloud::Azure => azure_connection(link, root, end, number, peer),
                Cloud::Gcp => google_tunnel(link, root, end, number, peer),
                _ => {}
            }
        }
    }
    true
}

/// The key both ends of a tunnel know.
fn shared_key(link: &Link<'_>, root: &mut Root, number: usize) -> Expr {
    let keys = root.variable(
        "vpn_keys",
        Variable {
            description: "The key both ends of a tunnel know, by name: letters, digits, `.` and `_`, not beginning with 0.",
            kind: "map(string)",
            sensitive: true,
            default: None,
        },
    );
    let [first, second] = link.ends;
    let planned = link.link.shared_keys.get(number).cloned();
    let name =
        planned.unwrap_or_else(|| format!("vpn/{}--{}/{}", first.id.label(), second.id.label(), number + 1));
    Expr::new(format!("{}[\"{name}\"]", keys.text()))
}

fn end_key(link: &Link<'_>, end: usize) -> String {
    key(&link.ends[end].id.label())
}

fn tags(link: &Link<'_>) -> Value {
    Value::map(link.plan.tags.iter().map(|(key, value)| (key.clone(), value.as_str())))
}

/// AWS's end of a connection; gives its two addresses.
fn aws(link: &Link<'_>, root: &mut Root, end: usize, other: &Expr) -> Vec<Expr> {
    let region = link.ends[end];
    let alias = key(&region.name);
    crate::aws::configure(root, &region.name, region.account.as_deref(), Some(&alias));
    let provider = format!("aws.{alias}");
    let network = link.output(root, end, "network_id");
    let gateway = root.add(
        Section::Links,
        Resource::new("aws_vpn_gateway", end_key(link, end))
            .set("provider", provider.as_str())
            .set("vpc_id", network)
            .set("tags", tags(link)),
    );
    let customer = root.add(
        Section::Links,
        Resource::new("aws_customer_gateway", link.key())
            .set("provider", provider.as_str())
            .set("type", "ipsec.1")
            .set("bgp_asn", UNUSED_ASN)
            .set("ip_address", other.clone())
            .set("tags", tags(link)),
    );
    let keys = [0, 1].map(|number| shared_key(link, root, number));
    let [first, second] = keys;
    let connection = root.add(
        Section::Links,
        Resource::new("aws_vpn_connection", link.key())
            .set("provider", provider.as_str())
            .set("type", "ipsec.1")
            .set("vpn_gateway_id", gateway.id())
            .set("customer_gateway_id", customer.id())
            .set("static_routes_only", true)
            .set("tunnel1_preshared_key", first)
            .set("tunnel2_preshared_key", second)
            .set("tunnel1_ike_versions", Value::list(["ikev2"]))
            .set("tunnel2_ike_versions", Value::list(["ikev2"]))
            .set("tags", tags(link)),
    );
    root.add(
        Section::Links,
        Resource::new("aws_vpn_connection_route", link.key())
            .set("provider", provider.as_str())
            .set("vpn_connection_id", connection.id())
            .set("destination_cidr_block", link.range(1 - end)),
    );
    for table in &region.route_tables {
        let table = key(&table.name);
        let id = link.output(root, end, &format!("route_table_{table}"));
        root.add(
            Section::Links,
            Resource::new("aws_route", format!("{}_{table}", link.key()))
                .set("provider", provider.as_str())
                .set("route_table_id", id)
                .set("destination_cidr_block", link.range(1 - end))
                .set("gateway_id", gateway.id()),
        );
    }
    ["tunnel1_address", "tunnel2_address"].map(|address| connection.attr(address)).into()
}

/// Google's gateway; all connections of a region share it. Gives its address.
fn google_gateway(link: &Link<'_>, root: &mut Root, end: usize) -> Expr {
    let region = link.ends[end];
    crate::gcp::configure(root, &region.name, region.account.as_deref());
    let site = Site { plan: link.plan, region };
    let name = end_key(link, end);
    let network = link.output(root, end, "network_id");
    let part = |kind: &str, local: &str, thing: &str| {
        Resource::new(kind, local).set("name", site.regional(thing, 63)).set("region", region.name.as_str())
    };
    let address = root.add(Section::Links, part("google_compute_address", &name, "vpn"));
    let gateway =
        root.add(Section::Links, part("google_compute_vpn_gateway", &name, "vpn").set("network", network));
    for (protocol, port) in [("ESP", None), ("UDP", Some("500")), ("UDP", Some("4500"))] {
        let thing = format!("vpn-{}", port.unwrap_or("esp"));
        root.add(
            Section::Links,
            part("google_compute_forwarding_rule", &format!("{name}_{}", port.unwrap_or("esp")), &thing)
                .set("ip_protocol", protocol)
                .maybe("port_range", port)
                .set("ip_address", address.attr("address"))
                .set("target", gateway.id()),
        );
    }
    address.attr("address")
}

fn google_tunnel(link: &Link<'_>, root: &mut Root, end: usize, number: usize, peer: &Expr) {
    let region = link.ends[end];
    let site = Site { plan: link.plan, region };
    let gateway = end_key(link, end);
    let name = format!("{}_{number}", link.key());
    let thing = format!("vpn-{}-{number}", link.ends[1 - end].name);
    let secret = shared_key(link, root, number);
    let network = link.output(root, end, "network_id");
    let rules: Vec<String> = ["esp", "500", "4500"]
        .map(|rule| Ref::to("google_compute_forwarding_rule", format!("{gateway}_{rule}")).address())
        .into();
    let tunnel = root.add(
        Section::Links,
        Resource::new("google_compute_vpn_tunnel", format!("{name}_{end}"))
            .set("name", site.regional(&thing, 63))
            .set("region", region.name.as_str())
            .set("target_vpn_gateway", Ref::to("google_compute_vpn_gateway", &gateway).id())
            .set("peer_ip", peer.clone())
            .set("shared_secret", secret)
            .set("ike_version", 2_u32)
            .set("local_traffic_selector", Value::list(["0.0.0.0/0"]))
            .set("remote_traffic_selector", Value::list(["0.0.0.0/0"]))
            // Without the forwarding rules the gateway hears nothing.
            .set("depends_on", Value::list(rules)),
    );
    root.add(
        Section::Links,
        Resource::new("google_compute_route", format!("{name}_{end}"))
            .set("name", site.regional(&thing, 63))
            .set("network", network)
            .set("dest_range", link.range(1 - end))
            .set("next_hop_vpn_tunnel", tunnel.id()),
    );
}

/// A range for Azure's gateway that no subnet of the region touches.
fn gateway_range(link: &Link<'_>, end: usize) -> Option<Ipv4Net> {
    free_range(link.ends[end], &[GATEWAY_PREFIX])
}

/// Azure's gateway; all connections of a region share it. Gives its address.
fn azure_gateway(link: &Link<'_>, root: &mut Root, end: usize) -> Expr {
    let region = link.ends[end];
    crate::azure::configure(root, region.account.as_deref());
    let site = Site { plan: link.plan, region };
    let name = end_key(link, end);
    let group = link.output(root, end, "resource_group");
    let network = link.output(root, end, "network_name");
    let range = gateway_range(link, end).map(|range| range.to_string()).unwrap_or_default();
    let subnet = root.add(
        Section::Links,
        Resource::new("azurerm_subnet", &name)
            // Azure knows it by this name.
            .set("name", "GatewaySubnet")
            .set("resource_group_name", group.clone())
            .set("virtual_network_name", network)
            .set("address_prefixes", Value::list([range])),
    );
    let placed = |kind: &str| {
        Resource::new(kind, &name)
            .set("name", site.regional("vpn", 80))
            .set("location", region.name.as_str())
            .set("resource_group_name", group.clone())
            .set("tags", tags(link))
    };
    let address = root.add(
        Section::Links,
        placed("azurerm_public_ip")
            .set("allocation_method", "Static")
            .set("sku", "Standard")
            .maybe("zones", (region.zones.len() > 1).then(|| Value::list(["1", "2", "3"]))),
    );
    root.add(
        Section::Links,
        placed("azurerm_virtual_network_gateway")
            .set("type", "Vpn")
            .set("vpn_type", "RouteBased")
            .set("sku", AZURE_SKU)
            .block(
                "ip_configuration",
                Object::new()
                    .set("name", "main")
                    .set("subnet_id", subnet.id())
                    .set("public_ip_address_id", address.id()),
            ),
    );
    address.attr("ip_address")
}

fn azure_connection(link: &Link<'_>, root: &mut Root, end: usize, number: usize, peer: &Expr) {
    let region = link.ends[end];
    let site = Site { plan: link.plan, region };
    let thing = format!("vpn-{}-{number}", link.ends[1 - end].name);
    let group = link.output(root, end, "resource_group");
    let placed = |kind: &str| {
        Resource::new(kind, format!("{}_{number}_{end}", link.key()))
            .set("name", site.regional(&thing, 80))
            .set("location", region.name.as_str())
            .set("resource_group_name", group.clone())
            .set("tags", tags(link))
    };
    let other = root.add(
        Section::Links,
        placed("azurerm_local_network_gateway")
            .set("gateway_address", peer.clone())
            .set("address_space", Value::list([link.range(1 - end)])),
    );
    let secret = shared_key(link, root, number);
    root.add(
        Section::Links,
        placed("azurerm_virtual_network_gateway_connection")
            .set("type", "IPsec")
            .set(
                "virtual_network_gateway_id",
                Ref::to("azurerm_virtual_network_gateway", end_key(link, end)).id(),
            )
            .set("local_network_gateway_id", other.id())
            .set("shared_key", secret),
    );
}
