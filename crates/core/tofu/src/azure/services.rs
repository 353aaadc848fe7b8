//! Databases and caches, reached through private endpoints.

use univrs_topology::plan::ServiceInstance;
use univrs_topology::spec::ServiceKind;

use super::network::subnet_id;
use super::{global_name, inside, placed, storage, zone};
use crate::emission::Gaps;
use crate::quantity::days;
use crate::site::{Site, services_of};
use crate::sizes;
use crate::tf::{Charset, Object, Ref, Root, Section, Value, Variable, key};

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    for service in services_of(site) {
        match service.kind {
            ServiceKind::Postgres => postgres(site, root, service, gaps),
            ServiceKind::Redis => redis(site, root, service, gaps),
            ServiceKind::ObjectStorage => storage::account(site, root, service),
            ServiceKind::Keys => storage::vault(site, root, service),
            ServiceKind::Logs => storage::logs(site, root, service),
            ServiceKind::LoadBalancer => {}
        }
    }
}

fn postgres(site: Site<'_>, root: &mut Root, service: &ServiceInstance, gaps: &mut Gaps) {
    let name = key(&service.name);
    let spec = &service.spec;
    let password = root.variable(
        "database_password",
        Variable {
            description: "Password of the databases' first user. It is written to the server and kept in no state.",
            sensitive: true,
            ..Variable::default()
        },
    );
    let zones: Vec<&str> = site.region.zones.iter().filter_map(|known| zone(site, known)).collect();
    let standby = match zones.as_slice() {
        [_, second, ..] => {
            Object::new().set("mode", "ZoneRedundant").set("standby_availability_zone", *second)
        }
        _ => Object::new().set("mode", "SameZone"),
    };
    let sku = service
        .machine
        .clone()
        .unwrap_or_else(|| sizes::azure_postgres(spec.size.vcpu, spec.size.memory, spec.high_availability));
    let server_name = global_name(site, root, &service.name, 63, Charset::Label);
    let server = root.add(
        Section::Services,
        placed(site, "azurerm_postgresql_flexible_server", &name, server_name)
            .set("version", spec.version.as_deref().unwrap_or(sizes::POSTGRES_VERSION))
            .set("sku_name", sku)
            .set("storage_mb", sizes::azure_postgres_storage(spec.size.storage))
            .set("administrator_login", sizes::DATABASE_USER)
            .set("administrator_password_wo", password)
            .set("administrator_password_wo_version", 1_u32)
            .set("public_network_access_enabled", false)
            // The server keeps backups for 7 to 35 days.
            .set("backup_retention_days", spec.backup.map_or(7, |backup| days(backup.retention)).clamp(7, 35))
            .maybe("zone", zones.first().copied())
            .blocks("high_availability", spec.high_availability.then_some(standby))
            // After a failover the two zones have changed places.
            .ignore_changes(&["zone", "high_availability[0].standby_availability_zone"]),
    );
    endpoint(
        site,
        root,
        service,
        &server,
        "postgresqlServer",
        "privatelink.postgres.database.azure.com",
        gaps,
    );
    root.output(&format!("{name}_address"), "Where the database answers.", server.attr("fqdn"));
}

fn redis(site: Site<'_>, root: &mut Root, service: &ServiceInstance, gaps: &mut Gaps) {
    let name = key(&service.name);
    let spec = &service.spec;
    let (family, capacity, sku) = sizes::azure_redis(spec.size.memory, spec.replicas);
    let zones: Vec<&str> = site.region.zones.iter().filter_map(|known| zone(site, known)).collect();
    let spread = sku == "Premium" && zones.len() > 1;
    let cache_name = global_name(site, root, &service.name, 63, Charset::Label);
    let cache = root.add(
        Section::Services,
        placed(site, "azurerm_redis_cache", &name, cache_name)
            .set("family", family)
            .set("capacity", capacity)
            .set("sku_name", sku)
            .set("minimum_tls_version", "1.2")
            .set("non_ssl_port_enabled", false)
            .set("public_network_access_enabled", false)
            .maybe("replicas_per_primary", (sku == "Premium").then_some(spec.replicas.clamp(1, 3)))
            .maybe("zones", spread.then(|| Value::list(zones))),
    );
    endpoint(site, root, service, &cache, "redisCache", "privatelink.redis.cache.windows.net", gaps);
    root.output(&format!("{name}_address"), "Where the cache answers.", cache.attr("hostname"));
}

/// An address inside the network for a managed service, and the private name that leads to it.
fn endpoint(
    site: Site<'_>,
    root: &mut Root,
    service: &ServiceInstance,
    target: &Ref,
    part: &str,
    private_zone: &str,
    gaps: &mut Gaps,
) {
    let Some(subnet) = service.subnets.first() else {
        gaps.add(
            site,
            &service.name,
            "has no subnet, so nothing can reach it",
            "give the topology a subnet tier `database` or `private`",
        );
        return;
    };
    let name = key(&service.name);
    let zone_name = key(part);
    let zone = root.add(
        Section::Services,
        crate::tf::Resource::new("azurerm_private_dns_zone", &zone_name)
            .set("name", private_zone)
            .set("resource_group_name", Ref::to("azurerm_resource_group", "main").attr("name"))
            .set("tags", site.tags()),
    );
    root.add(
        Section::Services,
        inside("azurerm_private_dns_zone_virtual_network_link", &zone_name, site.regional(part, 80))
            .set("private_dns_zone_name", zone.attr("name"))
            .set("virtual_network_id", Ref::to("azurerm_virtual_network", "main").id())
            .set("tags", site.tags()),
    );
    root.add(
        Section::Services,
        placed(site, "azurerm_private_endpoint", &name, site.name(&service.name, 80))
            .set("subnet_id", subnet_id(subnet))
            .block(
                "private_service_connection",
                Object::new()
                    .set("name", site.name(&service.name, 80))
                    .set("private_connection_resource_id", target.id())
                    .set("subresource_names", Value::list([part]))
                    .set("is_manual_connection", false),
            )
            .block(
                "private_dns_zone_group",
                Object::new().set("name", "default").set("private_dns_zone_ids", Value::list([zone.id()])),
            ),
    );
}
