//! Small topologies whose files are looked at whole, and what is refused.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use univrs_tofu::{Backend, Options, emit};

use crate::world::{complaints, emitted, planned, resources};

const GATEWAYS: &str = r#"
name = "mesh"
environment = "test"
[network]
mesh = "wireguard"
admin_cidrs = ["203.0.113.0/24"]
[[region]]
cloud = "aws"
name = "us-east-1"
cidr = "10.1.0.0/16"
[[region]]
cloud = "hetzner"
name = "fsn1"
cidr = "10.2.0.0/16"
[role.edge]
count = 1
per = "region"
machine = { aws = "t3.small", hetzner = "cx23" }
ports = [{ port = 443, from = "internet" }]
"#;

fn text(files: &BTreeMap<String, Vec<u8>>, path: &str) -> String {
    String::from_utf8(files[path].clone()).unwrap()
}

fn check(files: &BTreeMap<String, Vec<u8>>, path: &str, wanted: &Expect) {
    wanted.assert_eq(&text(files, path));
}

#[test]
fn gateways_without_univrs_get_files_that_name_keys_and_hold_none() {
    let files = emitted(GATEWAYS, &[]).files;
    assert_eq!(complaints(&files), Vec::<String>::new());
    check(
        &files,
        "wireguard/aws-us-east-1.conf",
        &expect![[r##"
        # Gateway of aws:us-east-1 (edge-aws-us-east-1-0). Copy to /etc/wireguard/mesh.conf on it, then: wg-quick up mesh
        # wireguard/aws-us-east-1/private: the private key, made on the machine's first boot
        [Interface]
        Address = 100.64.0.34/10
        ListenPort = 51820
        PostUp = wg set %i private-key /etc/wireguard/keys/private

        # hetzner:fsn1 (edge-hetzner-fsn1-0), key wireguard/hetzner-fsn1/public
        PostUp = wg set %i peer "$(cat /etc/wireguard/keys/hetzner-fsn1.public)" endpoint "$(cat /etc/wireguard/keys/hetzner-fsn1.endpoint):51820" allowed-ips 100.64.0.156/32,10.2.0.0/16 persistent-keepalive 25
        PostUp = ip route replace 10.2.0.0/16 dev %i
    "##]],
    );
    check(
        &files,
        "shared/mesh.json",
        &expect![[r#"
        {
          "ranges": [
            "10.1.0.0/16",
            "10.2.0.0/16",
            "100.64.0.0/10"
          ],
          "routes": {
            "aws-us-east-1": [
              "10.2.0.0/16"
            ],
            "hetzner-fsn1": [
              "10.1.0.0/16"
            ]
          }
        }
    "#]],
    );
    check(
        &files,
        "inventory.yaml",
        &expect![[r##"
        # Machines with a place of their own. Members of autoscaled groups come and go and are not listed.
        # Public addresses are known once the machines exist: `tofu output addresses` in the region's folder.
        all:
          vars:
            topology: "mesh-test"
          hosts:
            "edge-aws-us-east-1-0":
              ansible_host: "10.1.48.4"
              private_address: "10.1.48.4"
              cloud: "aws"
              region: "us-east-1"
              zone: "us-east-1a"
              role: "edge"
              boot_order: 0
            "edge-hetzner-fsn1-0":
              ansible_host: "10.2.16.2"
              private_address: "10.2.16.2"
              cloud: "hetzner"
              region: "fsn1"
              zone: "fsn1"
              role: "edge"
              boot_order: 0
          children:
            cloud_aws:
              hosts:
                "edge-aws-us-east-1-0": {}
            cloud_hetzner:
              hosts:
                "edge-hetzner-fsn1-0": {}
            region_aws_us_east_1:
              hosts:
                "edge-aws-us-east-1-0": {}
            region_hetzner_fsn1:
              hosts:
                "edge-hetzner-fsn1-0": {}
            role_edge:
              hosts:
                "edge-aws-us-east-1-0": {}
                "edge-hetzner-fsn1-0": {}
    "##]],
    );
}

#[test]
fn a_gateway_forwards_for_its_region() {
    let files = emitted(GATEWAYS, &[]).files;
    assert_eq!(resources(&files, "aws_instance")[0].1["source_dest_check"], false);
    let routes = resources(&files, "aws_route");
    let mesh = routes.iter().find(|(name, _)| name.ends_with("_mesh")).unwrap();
    assert_eq!(mesh.1["for_each"], "${local.mesh_routes}");
    let machines = text(&files, "aws-us-east-1/machines.tf.json");
    assert!(machines.contains("wg genkey") && machines.contains("net.ipv4.ip_forward=1"));
}

#[test]
fn where_the_state_lies_is_chosen_and_its_settings_are_given() {
    let plan = planned(crate::world::FREETIER, &[]);
    for (backend, place) in
        [(Backend::S3, "\"key\""), (Backend::Azurerm, "\"key\""), (Backend::Gcs, "\"prefix\"")]
    {
        let files = emit(&plan, &Options { backend }).unwrap().files;
        assert_eq!(complaints(&files), Vec::<String>::new());
        assert!(text(&files, "aws-us-east-1/versions.tf.json").contains(place));
        assert!(text(&files, "README.md").contains("-backend-config"));
    }
}

#[test]
fn the_guide_says_what_is_left_out() {
    let emission = emitted(crate::world::FREETIER, &[]);
    let guide = text(&emission.files, "README.md");
    assert!(guide.contains("-target=oci_core_instance.bootstrap_oci_us_ashburn_1_0"));
    assert!(!emission.gaps.is_empty());
    for gap in &emission.gaps {
        assert!(guide.contains(&gap.why), "{gap}");
    }
}

#[test]
fn what_nobody_makes_true_is_said() {
    for (set, wanted) in [
        (&[][..], &["budget.alert_at", "node", "schedule.auto_shutdown"][..]),
        (&["environment=prod"], &["backup.schedule", "budget.alert_at", "node"]),
        (&["role.node.host=machine"], &["budget.alert_at", "schedule.auto_shutdown"]),
        (
            &["role.node.host=machine", "role.node.persistence=disk"],
            &["budget.alert_at", "node", "schedule.auto_shutdown"],
        ),
        (
            &["role.node.expose=private", "role.node.persistence=files"],
            &["budget.alert_at", "schedule.auto_shutdown"],
        ),
    ] {
        let mut gaps: Vec<String> =
            emitted(crate::world::PLURESDB, set).gaps.into_iter().map(|gap| gap.what).collect();
        gaps.sort();
        assert_eq!(gaps, wanted, "{set:?}");
    }
}

#[test]
fn what_cannot_be_emitted_is_refused_whole_and_by_name() {
    let mut plan = planned(GATEWAYS, &[]);
    for group in plan.regions.iter_mut().flat_map(|region| &mut region.groups) {
        group.machine = None;
    }
    let error = emit(&plan, &Options::default()).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(error.to_string().contains("role.edge.machine.aws"), "{error}");
}

/// Names at providers, of a topology with a long name: type, key, longest, and whether only small letters, digits
/// and `-` may stand in them.
const NAMES: &[(&str, &str, usize, bool)] = &[
    ("aws_lb", "name", 32, true),
    ("aws_lb_target_group", "name", 32, true),
    ("aws_db_instance", "identifier", 63, true),
    ("aws_elasticache_replication_group", "replication_group_id", 40, true),
    ("aws_s3_bucket", "bucket", 63, true),
    ("aws_iam_role", "name", 64, true),
    ("azurerm_storage_account", "name", 24, true),
    ("azurerm_key_vault", "name", 24, true),
    ("azurerm_linux_virtual_machine", "name", 64, true),
    ("azurerm_linux_virtual_machine", "computer_name", 63, true),
    ("azurerm_virtual_network", "name", 64, true),
    ("azurerm_postgresql_flexible_server", "name", 63, true),
    ("google_compute_network", "name", 63, true),
    ("google_compute_instance", "name", 63, true),
    ("google_compute_firewall", "name", 63, true),
    ("google_compute_forwarding_rule", "name", 63, true),
    ("google_service_account", "account_id", 30, true),
    ("google_storage_bucket", "name", 63, true),
    ("google_redis_instance", "name", 40, true),
];

#[test]
fn names_are_legal_and_apart_however_long_the_topology_is_called() {
    let name = "a-topology-with-a-name-that-is-as-long-as-names-may-be";
    let long = crate::world::AURIGRAPH.replacen("name = \"aurigraph\"", &format!("name = \"{name}\""), 1);
    let files = emitted(&long, &[]).files;
    assert_eq!(complaints(&files), Vec::<String>::new());
    for (kind, key, longest, small) in NAMES {
        let all = resources(&files, kind);
        assert!(!all.is_empty(), "{kind}");
        let mut seen = std::collections::BTreeSet::new();
        for (place, body) in &all {
            // What is filled in later: an account's number, six digits of a digest, a project's name.
            let name = body[key].as_str().unwrap();
            let name = name
                .replace("${data.aws_caller_identity.current.account_id}", "123456789012")
                .replace(
                    "${substr(sha256(data.azurerm_client_config.current.subscription_id), 0, 6)}",
                    "abcdef",
                )
                .replace("${var.google_project}", "a-project-of-30-characters-nam");
            assert!(name.len() <= *longest, "{place} {name}");
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!small || name.chars().all(legal) && !name.contains("--"), "{place} {name}");
            assert!(seen.insert(name.clone()), "{place} {name} stands twice");
        }
    }
}
