//! The three examples in all their environments.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::{AURIGRAPH, FREETIER, PLURESDB, complaints, emitted, resources};

const CASES: &[(&str, &[&str])] = &[
    (AURIGRAPH, &[]),
    (FREETIER, &[]),
    (FREETIER, &["role.bootstrap.size.vcpu=4", "role.bootstrap.size.memory=24Gi"]),
    (PLURESDB, &[]),
    (PLURESDB, &["environment=dev"]),
    (PLURESDB, &["environment=prod"]),
    (PLURESDB, &["role.node.host=machine"]),
    (PLURESDB, &["role.node.expose=private"]),
    (PLURESDB, &["role.node.persistence=files"]),
];

#[test]
fn every_file_passes_the_checker() {
    for (text, set) in CASES {
        let emission = emitted(text, set);
        assert_eq!(complaints(&emission.files), Vec::<String>::new(), "{set:?}");
    }
}

#[test]
fn every_provider_is_pinned_and_every_root_keeps_its_state_apart() {
    for (text, set) in CASES {
        let files = emitted(text, set).files;
        let mut places = Vec::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with("/versions.tf.json")) {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            for (name, provider) in document["terraform"]["required_providers"].as_object().unwrap() {
                let version = provider["version"].as_str().unwrap();
                assert!(version.contains(|c: char| c.is_ascii_digit()), "{path}: {name} {version}");
            }
            places.push(document["terraform"]["backend"]["local"]["path"].as_str().unwrap().to_owned());
        }
        let count = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), count);
    }
}

#[test]
fn the_mesh_of_containers_has_public_addresses_and_no_rules_nobody_enforces() {
    let files = emitted(PLURESDB, &["environment=prod"]).files;
    let groups = resources(&files, "azurerm_container_group");
    assert_eq!(groups.len(), 7);
    for (_, group) in &groups {
        assert_eq!(group["ip_address_type"], "Public");
        assert_eq!(group["container"][0]["environment_variables"]["TOTAL_NODES"], "7");
    }
    assert!(resources(&files, "azurerm_network_security_rule").is_empty());
    let account = &resources(&files, "azurerm_storage_account")[0].1;
    assert_eq!(account["account_replication_type"], "GRS");
    assert_eq!(account["min_tls_version"], "TLS1_2");
    assert_eq!(account["https_traffic_only_enabled"], true);
    let group = &resources(&files, "azurerm_resource_group")[0].1;
    assert_eq!(group["name"], "pluresdb-prod-rg");
}

#[test]
fn the_mesh_of_machines_lies_behind_the_three_rules_of_the_seed() {
    let files = emitted(PLURESDB, &["role.node.host=machine"]).files;
    assert_eq!(resources(&files, "azurerm_linux_virtual_machine").len(), 3);
    let mut rules: Vec<(u64, String, String, String)> = resources(&files, "azurerm_network_security_rule")
        .iter()
        .map(|(_, rule)| {
            let sources = match &rule["source_address_prefix"] {
                Value::String(one) => one.clone(),
                _ => rule["source_address_prefixes"][0].as_str().unwrap().to_owned(),
            };
            let text = |key: &str| rule[key].as_str().unwrap().to_owned();
            (rule["priority"].as_u64().unwrap(), text("name"), text("destination_port_range"), sources)
        })
        .collect();
    rules.sort();
    let wanted = [
        (100, "AllowPluresDBP2P", "34567", "Internet"),
        (110, "AllowPluresDBAPI", "34568", "Internet"),
        (120, "AllowSSH", "22", "203.0.113.0/24"),
    ];
    assert_eq!(rules, wanted.map(|(n, name, port, from)| (n, name.into(), port.into(), from.into())));
    // Every machine stands behind them.
    assert_eq!(resources(&files, "azurerm_network_interface_security_group_association").len(), 3);
}

#[test]
fn aurigraph_has_its_machines_groups_and_services() {
    let files = emitted(AURIGRAPH, &[]).files;
    let counts: BTreeMap<&str, usize> = [
        "aws_instance",
        "aws_autoscaling_group",
        "aws_db_instance",
        "aws_elasticache_replication_group",
        "aws_lb",
        "aws_s3_bucket",
        "aws_kms_key",
        "azurerm_linux_virtual_machine",
        "azurerm_linux_virtual_machine_scale_set",
        "azurerm_postgresql_flexible_server",
        "google_compute_instance",
        "google_compute_region_instance_group_manager",
        "google_sql_database_instance",
        "google_redis_instance",
        "cloudflare_load_balancer",
        "cloudflare_load_balancer_pool",
    ]
    .map(|kind| (kind, resources(&files, kind).len()))
    .into();
    // Two validators and six slim machines in each region; the three business machines are in a group.
    expect_test::expect![[r#"
        {
            "aws_autoscaling_group": 2,
            "aws_db_instance": 2,
            "aws_elasticache_replication_group": 2,
            "aws_instance": 16,
            "aws_kms_key": 1,
            "aws_lb": 2,
            "aws_s3_bucket": 1,
            "azurerm_linux_virtual_machine": 16,
            "azurerm_linux_virtual_machine_scale_set": 2,
            "azurerm_postgresql_flexible_server": 2,
            "cloudflare_load_balancer": 1,
            "cloudflare_load_balancer_pool": 6,
            "google_compute_instance": 16,
            "google_compute_region_instance_group_manager": 2,
            "google_redis_instance": 2,
            "google_sql_database_instance": 2,
        }
    "#]]
    .assert_debug_eq(&counts);
    let group = &resources(&files, "aws_autoscaling_group")[0].1;
    assert_eq!(
        (&group["min_size"], &group["desired_capacity"], &group["max_size"]),
        (&2.into(), &3.into(), &6.into())
    );
}

#[test]
fn only_the_first_machine_starts_a_cluster_and_all_others_join() {
    for (text, first) in [(AURIGRAPH, "aws-us-east-1"), (FREETIER, "oci-us-ashburn-1")] {
        let files = emitted(text, &[]).files;
        let mut starts = Vec::new();
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with("/machines.tf.json")) {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            for (name, local) in document["locals"].as_object().unwrap() {
                let files = local["write_files"].as_array().into_iter().flatten();
                for file in files.filter(|file| file["path"] == "/etc/univrs/node.env") {
                    let content = file["content"].as_str().unwrap();
                    match content.contains("UNIVRS_BOOTSTRAP=true") {
                        true => starts.push(format!("{path} {name}")),
                        false => assert!(content.contains("UNIVRS_JOIN=${"), "{path} {name}: {content}"),
                    }
                }
            }
            let state = document["data"]["terraform_remote_state"].as_object();
            let read: Vec<&String> = state.into_iter().flat_map(|states| states.keys()).collect();
            let wanted = first.replace('-', "_");
            let wanted = if path.starts_with(first) { vec![] } else { vec![&wanted] };
            assert_eq!(read, wanted, "{path}");
        }
        assert_eq!(starts.len(), 1, "{starts:?}");
        assert!(starts[0].starts_with(first));
    }
}
