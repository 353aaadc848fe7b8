//! Databases, caches, buckets, keys and logs.

use univrs_topology::plan::ServiceInstance;
use univrs_topology::spec::{Host, Replication, ServiceKind};

use super::machines::account_email;
use super::{labels, project};
use crate::emission::Gaps;
use crate::quantity::{days, gib, seconds};
use crate::site::{Site, services_of};
use crate::sizes;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Memory from which a cache can have replicas that answer reads, in GiB.
const READ_REPLICA_GIB: u64 = 5;

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    let own_key = services_of(site)
        .find(|service| service.kind == ServiceKind::Keys)
        .map(|service| Ref::to("google_kms_crypto_key", key(&service.name)));
    for service in services_of(site) {
        match service.kind {
            ServiceKind::Postgres => postgres(site, root, service),
            ServiceKind::Redis => redis(site, root, service),
            ServiceKind::ObjectStorage => bucket(site, root, service, own_key.as_ref(), gaps),
            ServiceKind::Keys => keys(site, root, service),
            ServiceKind::Logs => logs(site, root, service),
            ServiceKind::LoadBalancer => {}
        }
    }
}

fn postgres(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    let spec = &service.spec;
    let version = spec.version.as_deref().unwrap_or(sizes::POSTGRES_VERSION);
    let backups = spec.backup.map(|backup| {
        let kept = days(backup.retention);
        Object::new()
            .set("enabled", true)
            .set("point_in_time_recovery_enabled", backup.point_in_time)
            // The log that leads from one backup to the next is kept for seven days at most.
            .maybe("transaction_log_retention_days", backup.point_in_time.then_some(kept.clamp(1, 7)))
            .block(
                "backup_retention_settings",
                Object::new().set("retention_unit", "COUNT").set("retained_backups", kept.clamp(1, 365)),
            )
    });
    let settings = Object::new()
        .set(
            "tier",
            service.machine.clone().unwrap_or_else(|| sizes::cloud_sql(spec.size.vcpu, spec.size.memory)),
        )
        .set("edition", "ENTERPRISE")
        .set("availability_type", if spec.high_availability { "REGIONAL" } else { "ZONAL" })
        .set("disk_type", "PD_SSD")
        .set("disk_size", spec.size.storage.map_or(10, gib).max(10))
        .set("disk_autoresize", true)
        .set("user_labels", labels(&site.tags()))
        .block(
            "ip_configuration",
            Object::new()
                .set("ipv4_enabled", false)
                .set("private_network", Ref::to("google_compute_network", "main").id())
                .set("ssl_mode", "ENCRYPTED_ONLY"),
        )
        .block("database_flags", Object::new().set("name", "cloudsql.iam_authentication").set("value", "on"))
        .blocks("backup_configuration", backups);
    let instance = root.add(
        Section::Services,
        Resource::new("google_sql_database_instance", &name)
            .set("name", site.name(&service.name, 80))
            .set("region", site.region.name.as_str())
            .set("database_version", format!("POSTGRES_{version}"))
            .set("deletion_protection", false)
            .block("settings", settings)
            // The private address comes through this connection, and no argument says so.
            .after(&Ref::to("google_service_networking_connection", "services")),
    );
    root.add(
        Section::Services,
        Resource::new("google_sql_database", &name)
            .set("name", sizes::DATABASE_NAME)
            .set("instance", instance.attr("name")),
    );
    if site.region.groups.iter().any(|group| group.host == Host::Machine) {
        let user = Expr::new(format!("trimsuffix({}, \".gserviceaccount.com\")", account_email().text()));
        root.add(
            Section::Services,
            // Machines log in as themselves: there is no password.
            Resource::new("google_sql_user", &name)
                .set("name", user)
                .set("instance", instance.attr("name"))
                .set("type", "CLOUD_IAM_SERVICE_ACCOUNT"),
        );
    }
    root.output(
        &format!("{name}_address"),
        "Where the database answers.",
        instance.attr("private_ip_address"),
    );
}

fn redis(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    let spec = &service.spec;
    let memory = spec.size.memory.map_or(1, gib).max(1);
    let readers = spec.replicas > 1 && memory >= READ_REPLICA_GIB;
    let body = Resource::new("google_redis_instance", &name)
        .set("name", site.name(&service.name, 40))
        .set("region", site.region.name.as_str())
        .set("tier", if spec.replicas > 0 { "STANDARD_HA" } else { "BASIC" })
        .set("memory_size_gb", memory)
        .set("connect_mode", "PRIVATE_SERVICE_ACCESS")
        .set("authorized_network", Ref::to("google_compute_network", "main").id())
        .set("auth_enabled", true)
        .set("transit_encryption_mode", "SERVER_AUTHENTICATION")
        .set("labels", labels(&site.tags()))
        .maybe("replica_count", readers.then_some(spec.replicas.min(5)))
        .maybe("read_replicas_mode", readers.then_some("READ_REPLICAS_ENABLED"))
        .after(&Ref::to("google_service_networking_connection", "services"));
    let cache = root.add(Section::Services, body);
    root.output(&format!("{name}_address"), "Where the cache answers.", cache.attr("host"));
}

/// The large place a region belongs to, for objects that must outlive the region.
fn multi_region(region: &str) -> Option<&'static str> {
    match region.split('-').next() {
        Some("us") => Some("US"),
        Some("europe") => Some("EU"),
        Some("asia") => Some("ASIA"),
        _ => None,
    }
}

fn bucket(
    site: Site<'_>,
    root: &mut Root,
    service: &ServiceInstance,
    own_key: Option<&Ref>,
    gaps: &mut Gaps,
) {
    let name = key(&service.name);
    let spec = &service.spec;
    let copied =
        spec.replication.is_some_and(|kind| !matches!(kind, Replication::Local | Replication::Zones));
    let wide = copied.then(|| multi_region(&site.region.name)).flatten();
    if copied && wide.is_none() {
        gaps.add(
            site,
            &service.name,
            "objects stay in one region",
            "choose a region of the United States, Europe or Asia",
        );
    }
    let own_key = own_key.filter(|_| spec.encryption && wide.is_none());
    if spec.encryption && own_key.is_none() {
        gaps.add(
            site,
            &service.name,
            "objects are encrypted with Google's own keys",
            "add a `keys` service of the cloud; a bucket of several regions cannot use a key of one",
        );
    }
    let mut body = Resource::new("google_storage_bucket", &name)
        // Bucket names are shared by all projects there are; the project's name makes it ours.
        .set("name", Value::join([format!("{}-", site.name(&service.name, 32)).into(), project().into()]))
        .set("location", wide.map_or_else(|| site.region.name.to_uppercase(), str::to_owned))
        .set("storage_class", "STANDARD")
        .set("uniform_bucket_level_access", true)
        .set("public_access_prevention", "enforced")
        .set("labels", labels(&site.tags()))
        .block("versioning", Object::new().set("enabled", spec.versioning))
        .blocks("lifecycle_rule", lifecycle(service));
    if let Some(own_key) = own_key {
        let agent = storage_agent(root);
        let grant = root.add(
            Section::Services,
            Resource::new("google_kms_crypto_key_iam_member", &name)
                .set("crypto_key_id", own_key.id())
                .set("role", "roles/cloudkms.cryptoKeyEncrypterDecrypter")
                .set("member", agent),
        );
        // Google's storage must be allowed to use the key before it is told to.
        body =
            body.block("encryption", Object::new().set("default_kms_key_name", own_key.id())).after(&grant);
    }
    let bucket = root.add(Section::Services, body);
    root.output(&format!("{name}_name"), "Name of the bucket.", bucket.attr("name"));
}

/// The account under which Google's storage uses keys.
fn storage_agent(root: &mut Root) -> Value {
    let number = root.add(Section::Services, Resource::data("google_project", "current")).attr("number");
    Value::join([
        "serviceAccount:service-".into(),
        number.into(),
        "@gs-project-accounts.iam.gserviceaccount.com".into(),
    ])
}

fn lifecycle(service: &ServiceInstance) -> Vec<Object> {
    let Some(lifecycle) = service.spec.lifecycle else { return Vec::new() };
    let rule = |age, action: Object| {
        Object::new().block("condition", Object::new().set("age", age)).block("action", action)
    };
    let class = |name: &str| Object::new().set("type", "SetStorageClass").set("storage_class", name);
    [
        lifecycle.cool_after.map(|span| rule(days(span), class("NEARLINE"))),
        lifecycle.archive_after.map(|span| rule(days(span), class("ARCHIVE"))),
        lifecycle.expire_after.map(|span| rule(days(span), Object::new().set("type", "Delete"))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn keys(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    let ring = root.add(
        Section::Services,
        Resource::new("google_kms_key_ring", &name)
            .set("name", site.name(&service.name, 63))
            .set("location", site.region.name.as_str()),
    );
    root.add(
        Section::Services,
        Resource::new("google_kms_crypto_key", &name)
            .set("name", "main")
            .set("key_ring", ring.id())
            .set("purpose", "ENCRYPT_DECRYPT")
            // Not more often than once a day.
            .maybe(
                "rotation_period",
                service.spec.rotation.map(|span| format!("{}s", seconds(span).max(86_401))),
            )
            .set("labels", labels(&site.tags())),
    );
}

fn logs(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    let bucket = root.add(
        Section::Services,
        Resource::new("google_logging_project_bucket_config", &name)
            .set("project", project())
            .set("location", site.region.name.as_str())
            .set("bucket_id", site.name(&service.name, 100))
            .set("retention_days", service.spec.retention.map_or(30, days).clamp(1, 3650)),
    );
    let ours = Ref::to("google_service_account", "machine").attr("email");
    let destination = Value::join(["logging.googleapis.com/".into(), bucket.id().into()]);
    let filter = if site.region.machines.is_empty() {
        Value::from(format!("resource.labels.location=\"{}\"", site.region.name))
    } else {
        Value::join([
            "labels.\"compute.googleapis.com/resource_name\":\"".into(),
            site.plan.id.clone().into(),
            "\" OR protoPayload.authenticationInfo.principalEmail=\"".into(),
            ours.into(),
            "\"".into(),
        ])
    };
    root.add(
        Section::Services,
        Resource::new("google_logging_project_sink", &name)
            .set("name", site.name(&service.name, 100))
            .set("destination", destination)
            .set("filter", filter)
            .set("unique_writer_identity", true),
    );
}
