//! Databases, caches, buckets, keys and logs.

use univrs_topology::plan::ServiceInstance;
use univrs_topology::spec::{Replication, ServiceKind};

use super::network::{named, service_group, subnet_ids};
use crate::emission::Gaps;
use crate::quantity::{days, gib};
use crate::site::{Site, services_of};
use crate::sizes;
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Days a deleted key can still be brought back.
const KEY_GRACE_DAYS: u32 = 30;

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    let services: Vec<_> = services_of(site).collect();
    let home_key = services
        .iter()
        .find(|service| service.kind == ServiceKind::Keys)
        .map(|service| Ref::to("aws_kms_key", key(&service.name)).attr("arn"));
    for service in services {
        match service.kind {
            ServiceKind::Postgres => postgres(site, root, service, home_key.as_ref()),
            ServiceKind::Redis => redis(site, root, service, home_key.as_ref()),
            ServiceKind::ObjectStorage => bucket(site, root, service, home_key.as_ref(), gaps),
            ServiceKind::Keys => kms(site, root, service),
            ServiceKind::Logs => logs(site, root, service),
            ServiceKind::LoadBalancer => {}
        }
    }
}

fn postgres(site: Site<'_>, root: &mut Root, service: &ServiceInstance, kms: Option<&Expr>) {
    let name = key(&service.name);
    let spec = &service.spec;
    let id = site.name(&service.name, 63);
    let group = service_group(site, root, &service.name, 5432);
    let subnets = root.add(
        Section::Services,
        Resource::new("aws_db_subnet_group", &name)
            .set("name", id.as_str())
            .set("subnet_ids", subnet_ids(service.subnets.iter().map(String::as_str)))
            .set("tags", named(site, &service.name)),
    );
    let class = service.machine.clone().unwrap_or_else(|| sizes::rds(spec.size.vcpu, spec.size.memory));
    root.add(
        Section::Services,
        Resource::new("aws_db_instance", &name)
            .set("identifier", id.as_str())
            .set("engine", "postgres")
            .set("engine_version", spec.version.as_deref().unwrap_or(sizes::POSTGRES_VERSION))
            .set("instance_class", class)
            .set("allocated_storage", spec.size.storage.map_or(20, gib))
            .set("storage_type", "gp3")
            .set("storage_encrypted", true)
            .maybe("kms_key_id", kms.cloned())
            .set("db_name", sizes::DATABASE_NAME)
            .set("username", sizes::DATABASE_USER)
            // The provider makes the password and keeps it in its secret store; it is in no file and no state.
            .set("manage_master_user_password", true)
            .set("multi_az", spec.high_availability)
            .set("db_subnet_group_name", subnets.attr("name"))
            .set("vpc_security_group_ids", Value::list([group.id()]))
            .set("publicly_accessible", false)
            .set("backup_retention_period", spec.backup.map_or(0, |backup| days(backup.retention)).min(35))
            .set("copy_tags_to_snapshot", true)
            .set("auto_minor_version_upgrade", true)
            .set("deletion_protection", false)
            .set("skip_final_snapshot", false)
            .set("final_snapshot_identifier", site.name(&format!("{}-final", service.name), 255))
            .set("tags", named(site, &service.name)),
    );
    let address = Ref::to("aws_db_instance", &name).attr("address");
    root.output(&format!("{name}_address"), "Where the database answers.", address);
}

fn redis(site: Site<'_>, root: &mut Root, service: &ServiceInstance, kms: Option<&Expr>) {
    let name = key(&service.name);
    let spec = &service.spec;
    let id = site.name(&service.name, 40);
    let group = service_group(site, root, &service.name, 6379);
    let subnets = root.add(
        Section::Services,
        Resource::new("aws_elasticache_subnet_group", &name)
            .set("name", site.name(&service.name, 255))
            .set("subnet_ids", subnet_ids(service.subnets.iter().map(String::as_str)))
            .set("tags", named(site, &service.name)),
    );
    let fails_over = spec.replicas > 0;
    root.add(
        Section::Services,
        Resource::new("aws_elasticache_replication_group", &name)
            .set("replication_group_id", id)
            .set("description", format!("{} of {}", spec.name, site.plan.id))
            .set("engine", "redis")
            .maybe("engine_version", spec.version.as_deref())
            .set("node_type", service.machine.clone().unwrap_or_else(|| sizes::elasticache(spec.size.memory)))
            .set("num_cache_clusters", spec.replicas.saturating_add(1))
            .set("automatic_failover_enabled", fails_over)
            .set("multi_az_enabled", fails_over && service.subnets.len() > 1)
            .set("subnet_group_name", subnets.attr("name"))
            .set("security_group_ids", Value::list([group.id()]))
            .set("at_rest_encryption_enabled", "true")
            .maybe("kms_key_id", kms.cloned())
            .set("transit_encryption_enabled", true)
            .set("tags", named(site, &service.name)),
    );
    let address = Ref::to("aws_elasticache_replication_group", &name).attr("primary_endpoint_address");
    root.output(&format!("{name}_address"), "Where the cache answers.", address);
}

fn bucket(site: Site<'_>, root: &mut Root, service: &ServiceInstance, kms: Option<&Expr>, gaps: &mut Gaps) {
    let name = key(&service.name);
    let spec = &service.spec;
    let account =
        root.add(Section::Services, Resource::data("aws_caller_identity", "current")).attr("account_id");
    // Bucket names are shared by all accounts there are; the account's number makes it ours.
    let bucket_name = Value::join([format!("{}-", site.name(&service.name, 50)).into(), account.into()]);
    let bucket = root.add(
        Section::Services,
        Resource::new("aws_s3_bucket", &name)
            .set("bucket", bucket_name)
            .set("tags", named(site, &service.name)),
    );
    let part = |kind: &str| Resource::new(kind, &name).set("bucket", bucket.id());
    root.add(
        Section::Services,
        part("aws_s3_bucket_public_access_block")
            .set("block_public_acls", true)
            .set("block_public_policy", true)
            .set("ignore_public_acls", true)
            .set("restrict_public_buckets", true),
    );
    let own_key = kms.filter(|_| spec.encryption);
    let encryption = Object::new()
        .set("sse_algorithm", if own_key.is_some() { "aws:kms" } else { "AES256" })
        .maybe("kms_master_key_id", own_key.cloned());
    root.add(
        Section::Services,
        part("aws_s3_bucket_server_side_encryption_configuration").block(
            "rule",
            Object::new()
                .set("bucket_key_enabled", own_key.is_some())
                .block("apply_server_side_encryption_by_default", encryption),
        ),
    );
    if spec.versioning {
        root.add(
            Section::Services,
            part("aws_s3_bucket_versioning")
                .block("versioning_configuration", Object::new().set("status", "Enabled")),
        );
    }
    if let Some(rule) = lifecycle(service) {
        root.add(Section::Services, part("aws_s3_bucket_lifecycle_configuration").block("rule", rule));
    }
    if spec.https_only || spec.min_tls.is_some() {
        bucket_policy(root, &name, &bucket, spec.min_tls.as_deref());
    }
    if spec.replication == Some(Replication::Regions) {
        gaps.add(
            site,
            &service.name,
            "objects are not copied to another region",
            "S3 copies need a second bucket; add a `[service]` in the other region",
        );
    }
    root.output(&format!("{name}_name"), "Name of the bucket.", bucket.attr("bucket"));
}

fn lifecycle(service: &ServiceInstance) -> Option<Object> {
    let lifecycle = service.spec.lifecycle?;
    let step = |after: Option<_>, class: &str| {
        // Objects stay in the standard class for 30 days at least.
        after.map(|span| Object::new().set("days", days(span).max(30)).set("storage_class", class))
    };
    let steps = [step(lifecycle.cool_after, "STANDARD_IA"), step(lifecycle.archive_after, "GLACIER")];
    Some(
        Object::new()
            .set("id", "age")
            .set("status", "Enabled")
            .block("filter", Object::new().set("prefix", ""))
            .blocks("transition", steps.into_iter().flatten())
            .blocks("expiration", lifecycle.expire_after.map(|span| Object::new().set("days", days(span))))
            .block("abort_incomplete_multipart_upload", Object::new().set("days_after_initiation", 7_u32)),
    )
}

/// Refuses whoever comes without TLS, or with too old a version of it.
fn bucket_policy(root: &mut Root, name: &str, bucket: &Ref, min_tls: Option<&str>) {
    let everything = || {
        Value::List(vec![bucket.attr("arn").into(), Value::join([bucket.attr("arn").into(), "/*".into()])])
    };
    let deny = |id: &str, test: &str, condition: Object| -> Value {
        Object::new()
            .set("Sid", id)
            .set("Effect", "Deny")
            .set("Principal", "*")
            .set("Action", "s3:*")
            .set("Resource", everything())
            .set("Condition", Object::new().set(test, condition))
            .into()
    };
    let mut statements = vec![deny("TlsOnly", "Bool", Object::new().set("aws:SecureTransport", "false"))];
    if let Some(version) = min_tls {
        statements.push(deny("TlsVersion", "NumericLessThan", Object::new().set("s3:TlsVersion", version)));
    }
    let policy = root.local(
        Section::Services,
        &format!("{name}_policy"),
        Object::new().set("Version", "2012-10-17").set("Statement", Value::List(statements)),
    );
    root.add(
        Section::Services,
        Resource::new("aws_s3_bucket_policy", name)
            .set("bucket", bucket.id())
            .set("policy", Expr::new(format!("jsonencode({})", policy.text()))),
    );
}

fn kms(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    // The provider rotates after 90 to 2560 days.
    let rotation = service.spec.rotation.map(|span| days(span).clamp(90, 2560));
    let reference = root.add(
        Section::Services,
        Resource::new("aws_kms_key", &name)
            .set("description", format!("{} of {}", service.spec.name, site.plan.id))
            .set("enable_key_rotation", true)
            .maybe("rotation_period_in_days", rotation)
            .set("deletion_window_in_days", KEY_GRACE_DAYS)
            .set("tags", named(site, &service.name)),
    );
    root.add(
        Section::Services,
        Resource::new("aws_kms_alias", &name)
            .set("name", format!("alias/{}", site.name(&service.name, 200)))
            .set("target_key_id", reference.attr("key_id")),
    );
}

/// The periods CloudWatch keeps logs for, in days.
const LOG_DAYS: &[u64] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

fn logs(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let wanted = service.spec.retention.map(days);
    let kept = wanted.and_then(|wanted| LOG_DAYS.iter().copied().find(|days| *days >= wanted));
    root.add(
        Section::Services,
        Resource::new("aws_cloudwatch_log_group", key(&service.name))
            .set("name", format!("/univrs/{}/{}", site.plan.id, service.name))
            // Nothing set means for ever, which is what more than ten years comes to.
            .maybe("retention_in_days", kept)
            .set("tags", named(site, &service.name)),
    );
}
