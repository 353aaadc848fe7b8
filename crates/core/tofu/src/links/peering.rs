//! Peerings: two networks of one cloud, joined by the provider.

use univrs_topology::cloud::Cloud;

use super::Link;
use crate::emission::Gaps;
use crate::site::Site;
use crate::tf::{Expr, Resource, Root, Section, Value, key};

/// Emits a peering; says whether it could.
pub(super) fn emit(link: &Link<'_>, root: &mut Root, gaps: &mut Gaps) -> bool {
    match link.ends[0].cloud {
        Cloud::Aws => aws(link, root),
        Cloud::Azure => azure(link, root),
        Cloud::Gcp => google(link, root),
        Cloud::DigitalOcean => digitalocean(link, root),
        Cloud::Oci | Cloud::Hetzner | Cloud::Cloudflare => {
            gaps.add(
                Site { plan: link.plan, region: link.ends[0] },
                &link.key(),
                "peerings are not emitted for this provider",
                "use `network.mesh = \"wireguard\"`",
            );
            return false;
        }
    }
    true
}

fn aws(link: &Link<'_>, root: &mut Root) {
    let alias = |end: usize| key(&link.ends[end].name);
    for end in [0, 1] {
        crate::aws::configure(
            root,
            &link.ends[end].name,
            link.ends[end].account.as_deref(),
            Some(&alias(end)),
        );
    }
    let provider = |end: usize| format!("aws.{}", alias(end));
    let [here, there] = [0, 1].map(|end| link.output(root, end, "network_id"));
    let tags = || {
        let mut tags = link.plan.tags.clone();
        tags.insert("Name".to_owned(), link.name(255));
        Value::from(tags)
    };
    let peering = root.add(
        Section::Links,
        Resource::new("aws_vpc_peering_connection", link.key())
            .set("provider", provider(0))
            .set("vpc_id", here)
            .set("peer_vpc_id", there)
            .set("peer_region", link.ends[1].name.as_str())
            .set("tags", tags()),
    );
    let accepted = root.add(
        Section::Links,
        Resource::new("aws_vpc_peering_connection_accepter", link.key())
            .set("provider", provider(1))
            .set("vpc_peering_connection_id", peering.id())
            .set("auto_accept", true)
            .set("tags", tags()),
    );
    for end in [0, 1] {
        for table in &link.ends[end].route_tables {
            let table = key(&table.name);
            let id = link.output(root, end, &format!("route_table_{table}"));
            root.add(
                Section::Links,
                Resource::new("aws_route", format!("{}_{end}_{table}", link.key()))
                    .set("provider", provider(end))
                    .set("route_table_id", id)
                    .set("destination_cidr_block", link.range(1 - end))
                    .set("vpc_peering_connection_id", peering.id())
                    // A route into a peering that nobody accepted leads nowhere.
                    .after(&accepted),
            );
        }
    }
}

/// Both ends say that they know each other.
fn both(link: &Link<'_>, root: &mut Root, mut side: impl FnMut(&mut Root, usize, String) -> Resource) {
    for end in [0, 1] {
        let resource = side(root, end, format!("{}_{end}", link.key()));
        root.add(Section::Links, resource);
    }
}

fn azure(link: &Link<'_>, root: &mut Root) {
    crate::azure::configure(root, link.ends[0].account.as_deref());
    both(link, root, |root, end, name| {
        let group = link.output(root, end, "resource_group");
        let network = link.output(root, end, "network_name");
        let other = link.output(root, 1 - end, "network_id");
        Resource::new("azurerm_virtual_network_peering", name)
            .set("name", link.name(80))
            .set("resource_group_name", group)
            .set("virtual_network_name", network)
            .set("remote_virtual_network_id", other)
            .set("allow_virtual_network_access", true)
            .set("allow_forwarded_traffic", true)
    });
}

fn google(link: &Link<'_>, root: &mut Root) {
    crate::gcp::configure(root, &link.ends[0].name, link.ends[0].account.as_deref());
    both(link, root, |root, end, name| {
        let network = link.output(root, end, "network_id");
        let other = link.output(root, 1 - end, "network_id");
        Resource::new("google_compute_network_peering", name)
            .set("name", link.name(63))
            .set("network", network)
            .set("peer_network", other)
            .set("export_custom_routes", true)
            .set("import_custom_routes", true)
    });
}

fn digitalocean(link: &Link<'_>, root: &mut Root) {
    crate::digitalocean::configure(root);
    let ids: Vec<Expr> = [0, 1].map(|end| link.output(root, end, "network_id")).into();
    root.add(
        Section::Links,
        Resource::new("digitalocean_vpc_peering", link.key())
            .set("name", link.name(255))
            .set("vpc_ids", Value::list(ids)),
    );
}
