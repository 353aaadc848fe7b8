//! Storage accounts, keys and logs.

use univrs_topology::plan::ServiceInstance;
use univrs_topology::spec::Replication;

use super::{client, global_name, placed};
use crate::quantity::days;
use crate::site::Site;
use crate::tf::{Charset, Object, Ref, Resource, Root, Section, Value, key};

/// Days deleted objects and keys can still be brought back.
const SOFT_DELETE_DAYS: u32 = 30;

pub(super) fn account(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    let spec = &service.spec;
    let account_name = global_name(site, root, &service.name, 24, Charset::Compact);
    let replication = match spec.replication {
        Some(Replication::Zones) => "ZRS",
        Some(Replication::Regions | Replication::Synchronous | Replication::Asynchronous) => "GRS",
        Some(Replication::Local) | None => "LRS",
    };
    let min_tls = match spec.min_tls.as_deref() {
        Some("1.0") => "TLS1_0",
        Some("1.1") => "TLS1_1",
        Some("1.3") => "TLS1_3",
        Some(_) | None => "TLS1_2",
    };
    let blobs = Object::new()
        .set("versioning_enabled", spec.versioning)
        .block("delete_retention_policy", Object::new().set("days", SOFT_DELETE_DAYS))
        .block("container_delete_retention_policy", Object::new().set("days", SOFT_DELETE_DAYS));
    let account = root.add(
        Section::Services,
        placed(site, "azurerm_storage_account", &name, account_name)
            .set("account_tier", "Standard")
            .set("account_kind", "StorageV2")
            .set("account_replication_type", replication)
            .set("access_tier", "Hot")
            .set("https_traffic_only_enabled", spec.https_only)
            .set("min_tls_version", min_tls)
            .set("allow_nested_items_to_be_public", false)
            // All of it is encrypted in any case; this adds a second layer below the first.
            .set("infrastructure_encryption_enabled", spec.encryption)
            .block("blob_properties", blobs),
    );
    root.add(
        Section::Services,
        Resource::new("azurerm_storage_container", &name)
            .set("name", "data")
            .set("storage_account_id", account.id())
            .set("container_access_type", "private"),
    );
    if let Some(actions) = lifecycle(service) {
        let rule = Object::new()
            .set("name", "age")
            .set("enabled", true)
            .block("filters", Object::new().set("blob_types", Value::list(["blockBlob"])))
            .block("actions", Object::new().block("base_blob", actions));
        root.add(
            Section::Services,
            Resource::new("azurerm_storage_management_policy", &name)
                .set("storage_account_id", account.id())
                .block("rule", rule),
        );
    }
    root.output(&format!("{name}_name"), "Name of the storage account.", account.attr("name"));
}

fn lifecycle(service: &ServiceInstance) -> Option<Object> {
    let lifecycle = service.spec.lifecycle?;
    Some(
        Object::new()
            .maybe("tier_to_cool_after_days_since_modification_greater_than", lifecycle.cool_after.map(days))
            .maybe(
                "tier_to_archive_after_days_since_modification_greater_than",
                lifecycle.archive_after.map(days),
            )
            .maybe("delete_after_days_since_modification_greater_than", lifecycle.expire_after.map(days)),
    )
}

pub(super) fn vault(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    let name = key(&service.name);
    let who = client(root);
    let vault_name = global_name(site, root, &service.name, 24, Charset::Label);
    let vault = root.add(
        Section::Services,
        placed(site, "azurerm_key_vault", &name, vault_name)
            .set("tenant_id", who.attr("tenant_id"))
            .set("sku_name", "standard")
            .set("rbac_authorization_enabled", true)
            .set("soft_delete_retention_days", SOFT_DELETE_DAYS)
            .set("purge_protection_enabled", true),
    );
    let officer = root.add(
        Section::Services,
        Resource::new("azurerm_role_assignment", format!("{name}_officer"))
            .set("scope", vault.id())
            .set("role_definition_name", "Key Vault Crypto Officer")
            .set("principal_id", who.attr("object_id")),
    );
    let rotation = service.spec.rotation.map(|span| {
        let every = days(span).max(7);
        Object::new()
            .set("expire_after", format!("P{}D", (every * 2).max(28)))
            .set("notify_before_expiry", "P7D")
            .block("automatic", Object::new().set("time_after_creation", format!("P{every}D")))
    });
    root.add(
        Section::Services,
        Resource::new("azurerm_key_vault_key", &name)
            .set("name", "main")
            .set("key_vault_id", vault.id())
            .set("key_type", "RSA")
            .set("key_size", 3072_u32)
            .set("key_opts", Value::list(["decrypt", "encrypt", "unwrapKey", "wrapKey", "sign", "verify"]))
            .set("tags", site.tags())
            .blocks("rotation_policy", rotation)
            // Whoever makes the key must be allowed to first.
            .after(&officer),
    );
}

pub(super) fn logs(site: Site<'_>, root: &mut Root, service: &ServiceInstance) {
    // A workspace keeps logs for 30 to 730 days.
    let kept = service.spec.retention.map_or(30, days).clamp(30, 730);
    root.add(
        Section::Services,
        placed(site, "azurerm_log_analytics_workspace", &key(&service.name), site.name(&service.name, 63))
            .set("sku", "PerGB2018")
            .set("retention_in_days", kept),
    );
    let id = Ref::to("azurerm_log_analytics_workspace", key(&service.name)).id();
    root.output(&format!("{}_id", key(&service.name)), "The log workspace.", id);
}
