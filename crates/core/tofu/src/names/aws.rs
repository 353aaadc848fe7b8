//! Names at Route 53: a record for each target, and weighted aliases of them under the one name.

use univrs_topology::plan::{DnsPlan, Plan};

use super::{Target, own_name, protocol, tags};
use crate::emission::Gaps;
use crate::quantity::seconds;
use crate::tf::{Object, Resource, Root, Section, Value};

/// Route 53 is one service for the whole earth; its requests go here.
const REGION: &str = "us-east-1";

pub(super) fn emit(plan: &Plan, dns: &DnsPlan, targets: &[Target<'_>], root: &mut Root, gaps: &mut Gaps) {
    crate::aws::configure(root, REGION, None, None);
    if dns.fqdn == dns.zone {
        gaps.everywhere(
            &dns.fqdn,
            "Route 53 takes no alias for a zone itself",
            "name something inside the zone",
        );
    }
    let zone = root
        .add(Section::Names, Resource::data("aws_route53_zone", "main").set("name", dns.zone.as_str()))
        .attr("zone_id");
    for target in targets {
        let own = own_name(dns, target);
        let record = |name: &str, kind: &str, value: Value| {
            Resource::new("aws_route53_record", name)
                .set("zone_id", zone.clone())
                .set("type", kind)
                .set("ttl", seconds(dns.ttl))
                .set("records", Value::List(vec![value]))
        };
        let address = target.address.clone().into();
        let single =
            record(&format!("{}_own", target.key), &target.record.kind, address).set("name", own.as_str());
        root.add(Section::Names, single);
        let check = target.check.map(|check| {
            let body = Resource::new("aws_route53_health_check", &target.key)
                .set("type", protocol(check))
                .set("fqdn", own.as_str())
                .set("port", check.port)
                .maybe("resource_path", check.path.as_deref())
                // It asks every 10 or every 30 seconds.
                .set("request_interval", if seconds(check.interval) < 30 { 10_u32 } else { 30 })
                .set("failure_threshold", check.unhealthy.clamp(1, 10))
                .set("tags", tags(plan));
            root.add(Section::Names, body).id()
        });
        let weighted = record(&target.key, "CNAME", own.as_str().into())
            .set("name", dns.fqdn.as_str())
            .set("set_identifier", target.key.as_str())
            .maybe("health_check_id", check)
            .block("weighted_routing_policy", Object::new().set("weight", target.record.weight));
        root.add(Section::Names, weighted);
    }
}
