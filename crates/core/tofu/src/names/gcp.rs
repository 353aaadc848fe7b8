//! Names at Google: a record for each target, and a weighted set of them under the one name.

use univrs_topology::plan::{DnsPlan, Plan};

use super::{Target, own_name};
use crate::emission::Gaps;
use crate::quantity::seconds;
use crate::tf::{Expr, Object, Resource, Root, Section, Value, Variable};

pub(super) fn emit(plan: &Plan, dns: &DnsPlan, targets: &[Target<'_>], root: &mut Root, gaps: &mut Gaps) {
    let region = plan.regions.first().map_or("us-central1", |region| region.name.as_str());
    crate::gcp::configure(root, region, None);
    if dns.health_adjusted {
        gaps.everywhere(
            &dns.fqdn,
            "Google's names do not follow the health of targets that are names themselves",
            "use cloudflare, aws or azure under `traffic.dns.provider`",
        );
    }
    let zone = root.variable(
        "dns_zone",
        Variable { description: "Name of the managed zone in the project.", ..Variable::default() },
    );
    let record = |name: &str, full: &str| {
        Resource::new("google_dns_record_set", name)
            .set("managed_zone", zone.clone())
            .set("name", format!("{full}."))
            .set("ttl", seconds(dns.ttl))
    };
    for target in targets {
        // A name as a value ends in a dot, an address does not.
        let value = match target.record.kind.as_str() {
            "CNAME" => Expr::new(format!("\"${{{}}}.\"", target.address.text())),
            _ => target.address.clone(),
        };
        root.add(
            Section::Names,
            record(&target.key, &own_name(dns, target))
                .set("type", target.record.kind.as_str())
                .set("rrdatas", Value::list([value])),
        );
    }
    let shares = targets.iter().map(|target| {
        Object::new()
            .set("weight", target.record.weight)
            .set("rrdatas", Value::list([format!("{}.", own_name(dns, target))]))
    });
    root.add(
        Section::Names,
        record("main", &dns.fqdn)
            .set("type", "CNAME")
            .block("routing_policy", Object::new().blocks("wrr", shares)),
    );
}
