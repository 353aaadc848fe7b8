//! Names at Azure: a Traffic Manager profile, and a record that leads to it.

use univrs_topology::plan::{DnsPlan, Plan};

use super::{Target, protocol, tags};
use crate::quantity::seconds;
use crate::tf::{Charset, Object, Resource, Root, Section, Variable, fit};

/// Where a resource group lies that holds only things of the whole earth.
const LOCATION: &str = "eastus";

pub(super) fn emit(plan: &Plan, dns: &DnsPlan, targets: &[Target<'_>], root: &mut Root) {
    crate::azure::configure(root, None);
    let group = root.add(
        Section::Names,
        Resource::new("azurerm_resource_group", "main")
            .set("name", fit(&format!("{}-dns", plan.id), 90, Charset::Label))
            .set("location", LOCATION)
            .set("tags", tags(plan)),
    );
    let check = targets.iter().find_map(|target| target.check);
    let monitor = match check {
        Some(check) => Object::new()
            .set("protocol", protocol(check))
            .set("port", check.port)
            .maybe("path", check.path.as_deref())
            // It asks every 10 or every 30 seconds.
            .set("interval_in_seconds", if seconds(check.interval) < 30 { 10_u32 } else { 30 })
            .set("timeout_in_seconds", seconds(check.timeout).clamp(5, 9))
            .set("tolerated_number_of_failures", check.unhealthy.saturating_sub(1).min(9)),
        None => Object::new().set("protocol", "TCP").set("port", 443_u32),
    };
    let profile = root.add(
        Section::Names,
        Resource::new("azurerm_traffic_manager_profile", "main")
            .set("name", fit(&plan.id, 63, Charset::Label))
            .set("resource_group_name", group.attr("name"))
            .set("traffic_routing_method", "Weighted")
            .set("tags", tags(plan))
            .block(
                "dns_config",
                Object::new()
                    .set("relative_name", fit(&plan.id, 63, Charset::Label))
                    .set("ttl", seconds(dns.ttl)),
            )
            .block("monitor_config", monitor),
    );
    // A weight of nothing is said by leaving the target out.
    for target in targets.iter().filter(|target| target.record.weight > 0) {
        root.add(
            Section::Names,
            Resource::new("azurerm_traffic_manager_external_endpoint", &target.key)
                .set("name", target.key.as_str())
                .set("profile_id", profile.id())
                .set("target", target.address.clone())
                .set("weight", target.record.weight)
                .set("always_serve_enabled", check.is_none()),
        );
    }
    let zone_group = root.variable(
        "dns_resource_group",
        Variable { description: "The resource group the DNS zone is in.", ..Variable::default() },
    );
    let name = dns.fqdn.strip_suffix(&format!(".{}", dns.zone)).unwrap_or("@");
    root.add(
        Section::Names,
        Resource::new("azurerm_dns_cname_record", "main")
            .set("name", name)
            .set("zone_name", dns.zone.as_str())
            .set("resource_group_name", zone_group)
            .set("ttl", seconds(dns.ttl))
            .set("record", profile.attr("fqdn")),
    );
}
