//! Names at Cloudflare: a load balancer of pools, or a plain record when there is one target.

use univrs_topology::plan::{DnsPlan, HealthCheck, Plan};

use super::{Target, one, protocol};
use crate::quantity::seconds;
use crate::tf::{Charset, Expr, Object, ProviderPin, Ref, Resource, Root, Section, Value, Variable, fit};

const PIN: ProviderPin =
    ProviderPin { name: "cloudflare", source: "cloudflare/cloudflare", version: "5.14.0" };

pub(super) fn emit(plan: &Plan, dns: &DnsPlan, targets: &[Target<'_>], root: &mut Root) {
    root.provider(PIN, Object::new());
    let zone = root.add(
        Section::Names,
        Resource::data("cloudflare_zone", "main").set("filter", one("name", dns.zone.as_str())),
    );
    if let [target] = targets
        && target.check.is_none()
    {
        root.add(
            Section::Names,
            Resource::new("cloudflare_dns_record", "main")
                .set("zone_id", zone.attr("zone_id"))
                .set("name", dns.fqdn.as_str())
                .set("type", target.record.kind.as_str())
                .set("content", target.address.clone())
                .set("ttl", seconds(dns.ttl).max(60))
                .set("proxied", false)
                .set("comment", comment(plan)),
        );
        return;
    }
    let pools: Vec<(Ref, u32)> =
        targets.iter().map(|target| (pool(plan, target, root), target.record.weight)).collect();
    let ids = || Value::list(pools.iter().map(|(pool, _)| pool.id()));
    // Keys known only later cannot be written as JSON keys.
    let weights: Vec<String> = pools
        .iter()
        .map(|(pool, weight)| format!("({}) = {}", pool.id().text(), f64::from(*weight) / 100.0))
        .collect();
    let heaviest = pools.iter().rev().max_by_key(|(_, weight)| *weight).map(|(pool, _)| pool.id());
    let steering = one("default_weight", 0.0)
        .set("pool_weights", Expr::new(format!("tomap({{ {} }})", weights.join(", "))));
    root.add(
        Section::Names,
        Resource::new("cloudflare_load_balancer", "main")
            .set("zone_id", zone.attr("zone_id"))
            .set("name", dns.fqdn.as_str())
            .set("description", comment(plan))
            .set("default_pools", ids())
            .maybe("fallback_pool", heaviest)
            .set("steering_policy", "random")
            .set("random_steering", steering)
            .set("proxied", false)
            .set("ttl", seconds(dns.ttl)),
    );
}

fn comment(plan: &Plan) -> String {
    format!("univrs topology {}", plan.id)
}

fn account(root: &mut Root) -> Expr {
    root.variable(
        "cloudflare_account_id",
        Variable { description: "The Cloudflare account the zone is in.", ..Variable::default() },
    )
}

fn pool(plan: &Plan, target: &Target<'_>, root: &mut Root) -> Ref {
    let account = account(root);
    let monitor = target.check.map(|check| monitor(plan, target, check, root).id());
    let origin = Object::new()
        .set("name", target.key.as_str())
        .set("address", target.address.clone())
        .set("enabled", true);
    root.add(
        Section::Names,
        Resource::new("cloudflare_load_balancer_pool", &target.key)
            .set("account_id", account)
            .set("name", fit(&format!("{}-{}", plan.id, target.key), 64, Charset::Label))
            .set("description", comment(plan))
            .set("origins", Value::list([origin]))
            .maybe("monitor", monitor),
    )
}

fn monitor(plan: &Plan, target: &Target<'_>, check: &HealthCheck, root: &mut Root) -> Ref {
    let account = account(root);
    let body = Resource::new("cloudflare_load_balancer_monitor", &target.key)
        .set("account_id", account)
        .set("description", format!("{}, {}", comment(plan), check.name))
        .set("type", protocol(check).to_lowercase())
        .set("port", check.port)
        .set("interval", seconds(check.interval).max(10))
        .set("timeout", seconds(check.timeout).clamp(1, 10))
        .set("retries", 0_u32)
        .set("consecutive_down", check.unhealthy)
        .set("consecutive_up", check.healthy);
    let body = match &check.path {
        None => body,
        Some(path) => body
            .set("method", "GET")
            .set("path", path)
            .set("expected_codes", "2xx")
            // A machine asked by its address shows the certificate of the name.
            .set("allow_insecure", true),
    };
    root.add(Section::Names, body)
}
