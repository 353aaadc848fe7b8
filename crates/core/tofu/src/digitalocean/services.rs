//! Databases, caches and buckets.

use univrs_topology::plan::ServiceInstance;
use univrs_topology::spec::ServiceKind;

use super::tags;
use crate::emission::Gaps;
use crate::quantity::{days, gib};
use crate::site::{Site, services_of};
use crate::sizes;
use crate::tf::{Object, Ref, Resource, Root, Section, key};

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    for service in services_of(site) {
        match service.kind {
            ServiceKind::Postgres => postgres(site, root, service),
            ServiceKind::Redis => redis(site, root, service),
            ServiceKind::ObjectStorage => bucket(site, root, service, gaps),
            ServiceKind::Keys | ServiceKind::Logs => {
                gaps.no_service(site, service, "DigitalOcean has no such service");
            }
            ServiceKind::LoadBalancer => {}
        }
    }
}

fn postgres(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let spec = &service.spec;
    let nodes = 1 + spec.replicas.max(u32::from(spec.high_availability)).min(2);
    let body =
        cluster(site, service, "pg", spec.version.as_deref().unwrap_or(sizes::POSTGRES_VERSION), nodes)
            // In MiB, as text.
            .maybe("storage_size_mib", spec.size.storage.map(|storage| (gib(storage) * 1024).to_string()));
    guarded(site, root, service, body);
}

fn redis(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    // Valkey speaks the protocol of Redis and has taken its place here.
    let body = cluster(site, service, "valkey", "8", 1 + service.spec.replicas.min(1));
    guarded(site, root, service, body);
}

fn cluster(site: Site<'_>, service: &ServiceInstance, engine: &str, version: &str, nodes: u32) -> Resource {
    let spec = &service.spec;
    let size = service
        .machine
        .clone()
        .unwrap_or_else(|| sizes::digitalocean_database(spec.size.vcpu, spec.size.memory));
    Resource::new("digitalocean_database_cluster", key(&service.name))
        .set("name", site.name(&service.name, 63))
        .set("engine", engine)
        .set("version", version)
        .set("size", size)
        .set("region", site.region.name.as_str())
        .set("node_count", nodes)
        .set("private_network_uuid", Ref::to("digitalocean_vpc", "main").id())
        .set("tags", tags(&site.tags()))
}

/// Declares a cluster and lets only the region's own network in.
fn guarded(site: Site<'_>, root: &mut Root, service: &ServiceInstance, body: Resource) {
    let cluster = root.add(Section::Services, body);
    root.add(
        Section::Services,
        Resource::new("digitalocean_database_firewall", key(&service.name))
            .set("cluster_id", cluster.id())
            .block("rule", Object::new().set("type", "ip_addr").set("value", site.region.cidr.to_string())),
    );
    let name = key(&service.name);
    root.output(&format!("{name}_address"), "Where it answers.", cluster.attr("private_host"));
}

fn bucket(site: Site<'_>, root: &mut Root, service: &ServiceInstance, gaps: &mut Gaps) {
    let spec = &service.spec;
    if spec.encryption {
        gaps.add(
            site,
            &service.name,
            "objects are encrypted with DigitalOcean's own keys",
            "encrypt before writing",
        );
    }
    let rule = spec.lifecycle.map(|lifecycle| {
        if lifecycle.cool_after.is_some() || lifecycle.archive_after.is_some() {
            gaps.add(
                site,
                &service.name,
                "there is one class of storage: nothing moves to a cheaper one",
                "drop `cool_after` and `archive_after`",
            );
        }
        let expiry = lifecycle.expire_after.map(|span| Object::new().set("days", days(span)));
        Object::new()
            .set("enabled", true)
            .set("abort_incomplete_multipart_upload_days", 7_u32)
            .blocks("expiration", expiry)
    });
    let bucket = root.add(
        Section::Services,
        Resource::new("digitalocean_spaces_bucket", key(&service.name))
            .set("name", site.regional(&service.name, 63))
            .set("region", site.region.name.as_str())
            .set("acl", "private")
            .block("versioning", Object::new().set("enabled", spec.versioning))
            .blocks("lifecycle_rule", rule),
    );
    root.output(&format!("{}_name", key(&service.name)), "Name of the bucket.", bucket.attr("name"));
}
