//! The three examples, as they stand.

use univrs_topology::catalogue::Regions;
use univrs_topology::plan::{MeshRuntime, OverlayShape, RuleReason, Via};
use univrs_topology::spec::Host;

use crate::world::{AURIGRAPH, FREETIER, PLURESDB, compiled, planned, told};

#[test]
fn aurigraph_is_66_machines_in_6_regions() {
    assert_eq!(told(&compiled(AURIGRAPH, &[])), Vec::<String>::new());
    let plan = planned(AURIGRAPH, &[]);
    assert_eq!(plan.machines().count(), 66);
    assert_eq!(plan.regions.len(), 6);
    for region in &plan.regions {
        let count = |role: &str| region.group(role).unwrap().count;
        assert_eq!((count("validator"), count("business"), count("slim")), (2, 3, 6), "{}", region.id);
        let kinds: Vec<&str> = region.services.iter().map(|service| service.spec.name.as_str()).collect();
        assert_eq!(kinds, ["postgres", "redis", "logs"]);
        assert_eq!(region.load_balancers[0].machines.len(), 3);
        assert_eq!(region.subnets.len(), 3 * region.zones.len());
    }
    for cloud in &plan.clouds {
        assert_eq!(cloud.services.len(), 2, "{}", cloud.cloud);
    }
}

#[test]
fn aurigraph_has_15_tunnels_between_6_gateways() {
    let plan = planned(AURIGRAPH, &[]);
    assert_eq!(plan.tunnels.len(), 15);
    let mesh = plan.mesh.unwrap();
    assert_eq!((mesh.runtime, mesh.gateways.len()), (MeshRuntime::Univrs, 6));
    let overlay = mesh.overlay.unwrap();
    assert_eq!((overlay.shape, overlay.nodes, overlay.pairs), (OverlayShape::Full, 66, 2145));
    for gateway in &mesh.gateways {
        let machine =
            plan.regions.iter().flat_map(|r| &r.machines).find(|m| m.name == gateway.machine).unwrap();
        assert!(machine.public_ip && machine.subnet.starts_with("public-"), "{machine:?}");
        assert_eq!(machine.role.as_str(), "slim", "a voter should be out of reach");
    }
}

#[test]
fn aurigraph_is_reached_by_weight_and_without_any_cloud() {
    let dns = planned(AURIGRAPH, &[]).dns.unwrap();
    assert_eq!(dns.fqdn, "api.example.net");
    let weights: Vec<u32> = dns.records.iter().map(|record| record.weight).collect();
    assert_eq!(weights, [20, 20, 15, 15, 15, 15]);
    assert_eq!(dns.failures.len(), 9);
    let after = |lost: &str| -> Vec<u32> {
        let failure = dns.failures.iter().find(|failure| failure.lost == lost).unwrap();
        failure.weights.iter().map(|weight| weight.weight).collect()
    };
    assert_eq!(after("aws"), [25, 25, 25, 25]);
    assert_eq!(after("gcp").iter().sum::<u32>(), 100);
    assert_eq!(after("aws:us-east-1"), [25, 19, 19, 19, 18]);
    assert_eq!(dns.health_checks[0].path.as_deref(), Some("/healthz"));
}

#[test]
fn aurigraph_boots_one_voter_first() {
    let plan = planned(AURIGRAPH, &[]);
    let first: Vec<_> = plan.machines().filter(|machine| machine.boot_order == 0).collect();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].name, "validator-aws-us-east-1-0");
    assert_eq!(plan.seeds[0].machine, first[0].name);
    assert_eq!(plan.seeds.len(), 5);
}

#[test]
fn freetier_has_a_public_bootstrap_and_no_nat() {
    let plan = planned(FREETIER, &[]);
    assert_eq!(plan.machines().count(), 5);
    assert!(plan.machines().all(|machine| machine.public_ip));
    assert!(plan.regions.iter().all(|region| region.nat.is_empty() && region.assigned));
    let bootstrap = plan.machines().find(|machine| machine.bootstrap).unwrap();
    assert_eq!(bootstrap.name, "bootstrap-oci-us-ashburn-1-0");
    let group = plan.regions[0].group("bootstrap").unwrap();
    assert_eq!((group.vcpu.unwrap().as_millicores(), group.memory.unwrap().get()), (2000, 12 << 30));
    assert_eq!(plan.tunnels.len(), 10);
    let bigger = planned(FREETIER, &["role.bootstrap.size.vcpu=4", "role.bootstrap.size.memory=24Gi"]);
    assert_eq!(bigger.regions[0].group("bootstrap").unwrap().vcpu.unwrap().as_millicores(), 4000);
    assert_eq!(bigger.regions[1..], plan.regions[1..], "an edit of one region shows only there");
}

#[test]
fn pluresdb_counts_follow_the_environment() {
    for (environment, nodes, budget) in [("test", 3, "75 USD"), ("dev", 5, "125 USD"), ("prod", 7, "300 USD")]
    {
        let set = format!("environment={environment}");
        let plan = planned(PLURESDB, &[&set]);
        assert_eq!(plan.machines().count(), nodes);
        assert_eq!(plan.budget.as_ref().unwrap().monthly.to_string(), budget);
        assert_eq!(plan.auto_shutdown.is_some(), environment != "prod");
        assert_eq!(plan.regions[0].names["resource_group"], format!("pluresdb-{environment}-rg"));
        let first = plan.machines().next().unwrap();
        assert_eq!(first.env["NODE_ENV"], environment);
        assert_eq!(first.env["TOTAL_NODES"], nodes.to_string());
        let peers: Vec<&str> = first.env["PEERS"].split(',').collect();
        assert_eq!(peers.len(), nodes - 1);
        assert_eq!(peers[0], format!("pluresdb-{environment}-node-1.eastus.azurecontainer.io:34567"));
    }
}

#[test]
fn pluresdb_says_which_rules_guard_nothing() {
    let compiled = compiled(PLURESDB, &[]);
    assert_eq!(
        told(&compiled),
        [
            "Warning rule-not-enforced role.node.ports[0]",
            "Warning rule-not-enforced role.node.ports[1]",
            "Warning rule-not-enforced role.node.ports[2]",
        ]
    );
    assert!(compiled.findings.iter().all(|finding| finding.line.is_some()), "{:#?}", compiled.findings);
    let plan = compiled.plan.unwrap();
    assert!(plan.regions[0].security_groups[0].rules.iter().all(|rule| !rule.enforced));
    assert_eq!(plan.regions[0].groups[0].host, Host::ContainerGroup);
}

#[test]
fn pluresdb_on_machines_has_exactly_the_three_rules() {
    let compiled = compiled(PLURESDB, &["role.node.host=machine"]);
    assert_eq!(told(&compiled), Vec::<String>::new());
    let plan = compiled.plan.unwrap();
    let rules: Vec<_> = plan.regions[0].security_groups[0]
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.priority, rule.port, rule.reason, rule.enforced))
        .collect();
    assert_eq!(
        rules,
        [
            ("AllowPluresDBP2P", 100, 34567, RuleReason::Stated, true),
            ("AllowPluresDBAPI", 110, 34568, RuleReason::Stated, true),
            ("AllowSSH", 120, 22, RuleReason::Stated, true),
        ]
    );
    assert!(plan.regions[0].machines.iter().all(|machine| machine.subnet.starts_with("nodes-")));
    assert_eq!(plan.regions[0].groups[0].machine.as_deref(), Some("Standard_B2s"));
}

#[test]
fn routes_lead_out_and_into_the_mesh() {
    let plan = planned(AURIGRAPH, &[]);
    let region = &plan.regions[0];
    let table = |name: &str| region.route_tables.iter().find(|table| table.name == name).unwrap();
    assert_eq!(table("public").routes[0].via, Via::InternetGateway);
    assert!(matches!(table("private").routes[0].via, Via::Nat(_)));
    assert_eq!(table("database").routes.len(), 5, "a database reaches the mesh only");
    assert_eq!(table("private").routes.len(), 6);
    assert_eq!(table("private").subnets.len(), 3);
}

#[test]
fn a_plan_is_the_same_every_time_and_survives_json() {
    for text in [AURIGRAPH, FREETIER, PLURESDB] {
        let (first, second) = (planned(text, &[]), planned(text, &[]));
        let json = serde_json::to_string(&first).unwrap();
        assert_eq!(json, serde_json::to_string(&second).unwrap());
        assert_eq!(serde_json::from_str::<univrs_topology::plan::Plan>(&json).unwrap(), first);
    }
}

#[test]
fn ten_thousand_machines_are_planned_in_time() {
    let mut text = String::from(
        "name = \"large\"\n[network]\nmesh = \"wireguard\"\nadmin_cidrs = [\"203.0.113.0/24\"]\nsubnets = { public = 22, private = 21 }\n",
    );
    let catalogue = Regions::default();
    let mut regions = 0;
    for cloud in ["aws", "azure", "gcp"] {
        use univrs_topology::catalogue::Catalogue;
        for name in catalogue.regions(cloud.parse().unwrap()).into_iter().take(20) {
            text.push_str(&format!("[[region]]\ncloud = \"{cloud}\"\nname = \"{name}\"\n"));
            regions += 1;
        }
    }
    assert_eq!(regions, 60);
    text.push_str("[role.slim]\ncount = 10000\nmachine = { aws = \"t3.large\", azure = \"Standard_B2s\", gcp = \"e2-standard-2\" }\nunivrs = { role = \"slim\" }\n");
    text.push_str("[role.web]\ncount = 60\nmachine = { aws = \"t3.large\", azure = \"Standard_B2s\", gcp = \"e2-standard-2\" }\nports = [{ port = 443, from = \"internet\" }]\n");
    let plan = planned(&text, &[]);
    assert_eq!(plan.machines().count(), 10_060);
    assert_eq!(plan.tunnels.len(), 60 * 59 / 2);
    assert_eq!(plan.mesh.unwrap().overlay.unwrap().shape, OverlayShape::Regional);
}
