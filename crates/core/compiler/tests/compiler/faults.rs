//! One fault each in a topology that is otherwise well, told with the right severity, code and path.

use univrs_compiler::{Checked, Finding};

use crate::world::checked;

const BASE: &str = r#"
name = "shop"
environment = "prod"
[network]
mesh = "wireguard"
admin_cidrs = ["203.0.113.0/24"]
[[region]]
cloud = "aws"
name = "us-east-1"
[[region]]
cloud = "gcp"
name = "us-central1"
[[region]]
cloud = "azure"
name = "eastus"
names = { resource_group = "shop-rg" }
[role.voter]
count = 5
machine = { aws = "c6i.large", gcp = "c2-standard-4", azure = "Standard_D2s_v5" }
univrs = { role = "validator" }
[role.web]
count = 2
per = "region"
machine = { aws = "t3.large", gcp = "e2-standard-2", azure = "Standard_D2s_v5" }
ports = [{ port = 443, from = "internet" }]
[service.db]
kind = "postgres"
at = "aws"
size = { vcpu = 2, memory = "16Gi", storage = "100Gi" }
high_availability = true
replication = "async"
backup = { retention = "7d", point_in_time = true }
[service.files]
kind = "object_storage"
at = "gcp"
stored = "100Gi"
replication = "GRS"
[traffic]
dns = { provider = "cloudflare", zone = "example.net", name = "shop", ttl = "60s" }
health_adjusted = true
egress = { internet = 1000, between_clouds = 100, between_zones = 50 }
[objectives]
availability = "99.9%"
cross_cloud_rtt = { p90 = "60ms" }
rto = { zone = "10m", region = "30m", cloud = "60m" }
rpo = { database = "10m", state = "1m", objects = "1h" }
quorum = { role = "voter", rule = "majority", survive = "cloud" }
[budget]
monthly = "100000 USD"
"#;

/// What is replaced by what, and the finding that follows.
const FAULTS: &[(&str, &str, &str)] = &[
    // Voters.
    ("rule = \"majority\"", "rule = \"bft\"", "error quorum-lost objectives.quorum"),
    ("count = 5", "count = 5\nat = [\"aws\", \"gcp\"]", "error quorum-lost objectives.quorum"),
    ("count = 5", "count = 1", "error quorum-lost objectives.quorum"),
    ("count = 5", "count = 4", "warning even-voters role.voter.univrs"),
    ("count = 5", "count = 5\npurchase = \"spot\"", "error spot-voter role.voter.purchase"),
    // Physics.
    ("p90 = \"60ms\"", "p90 = \"10ms\"", "warning round-trip objectives.cross_cloud_rtt.p90"),
    ("p90 = \"60ms\"", "p50 = \"1ms\"", "warning round-trip objectives.cross_cloud_rtt.p50"),
    ("p90 = \"60ms\"", "p99 = \"10ms\"", "warning round-trip objectives.cross_cloud_rtt.p99"),
    ("\"async\"", "\"sync\"", "warning sync-replication service.db.replication"),
    // Recovery.
    ("99.9%", "99.99%", "warning rto-availability objectives.rto.cloud"),
    ("zone = \"10m\"", "zone = \"10h\"", "warning rto-availability objectives.rto.zone"),
    ("ttl = \"60s\"", "ttl = \"2h\"", "warning dns-cutover traffic.dns.ttl"),
    ("region = \"30m\"", "region = \"90s\"", "warning dns-cutover traffic.dns.ttl"),
    ("health_adjusted = true", "health_adjusted = false", "warning dns-cutover traffic.dns"),
    ("high_availability = true", "", "warning rto-unreachable objectives.rto.zone"),
    ("replication = \"async\"", "", "warning rto-unreachable objectives.rto.region"),
    ("us-east-1\"", "us-east-1\"\nzones = 1", "warning no-zones service.db.high_availability"),
    (
        "[traffic]",
        "[traffic]\nweights = { aws = 40, gcp = 30, azure = 30 }",
        "warning headroom traffic.weights",
    ),
    // Loss of data.
    ("database = \"10m\"", "database = \"0s\"", "warning rpo-unreachable objectives.rpo.database"),
    ("\"GRS\"", "\"LRS\"", "warning rpo-unreachable objectives.rpo.objects"),
    ("objects = \"1h\"", "objects = \"1m\"", "warning rpo-unreachable objectives.rpo.objects"),
    // Names.
    ("\"shop-rg\"", "\"shop rg\"", "error illegal-name region[2].names.resource_group"),
    ("\"shop-rg\"", "\"shop.\"", "error illegal-name region[2].names.resource_group"),
    ("\"shop-rg\"", "\"\"", "error illegal-name region[2].names.resource_group"),
    ("resource_group =", "vnet =", "warning not-emitted region[2].names.vnet"),
    ("port = 443,", "port = 443, name = \"-https\",", "error illegal-name role.web.ports[0].name"),
    ("[network]", "tags = { \"aws:owner\" = \"x\" }\n[network]", "error illegal-name tags.aws:owner"),
    ("[network]", "tags = { \"a/b\" = \"x\" }\n[network]", "error illegal-name tags.a/b"),
    // Machine types.
    ("t3.large", "t3.lrage", "error unknown-machine role.web.machine.aws"),
    ("t3.large", "t3.5xlarge", "error unknown-machine role.web.machine.aws"),
    ("\"e2-standard-2\"", "\"E2-standard-2\"", "error unknown-machine role.web.machine.gcp"),
    (
        "Standard_D2s_v5\" }\nports",
        "Standard_D2s_v\" }\nports",
        "error unknown-machine role.web.machine.azure",
    ),
    ("t3.large", "db.t3.large", "error unknown-machine role.web.machine.aws"),
    ("t3.large", "zz99zz.metal", "warning unpriced-machine role.web.machine.aws"),
    // Money.
    ("100000 USD", "1 USD", "warning over-budget budget.monthly"),
    ("100000 USD", "900 EUR", "warning other-currency budget.monthly"),
    (
        "Standard_D2s_v5\" }\nports",
        "Standard_B2s\" }\npurchase = \"spot\"\nports",
        "warning unpriced role.web",
    ),
    (
        "[budget]",
        "[[account.price]]\ncloud = \"aws\"\nmachine = \"m5.large\"\nmonthly = \"30 USD\"\n[budget]",
        "warning unused-price account.price[0]",
    ),
    (
        "[budget]",
        "[[account.price]]\ncloud = \"aws\"\nmachine = \"t3.large\"\nmonthly = \"30 EUR\"\n[budget]",
        "warning other-currency account.price[0].monthly",
    ),
    (
        "[budget]",
        "[account]\nfree_tier = { gcp = \"12-months\" }\n[budget]",
        "warning free-tier-unknown account.free_tier",
    ),
    (
        "[budget]",
        "[account]\nfree_tier = { aws = \"credits-2025\" }\n[budget]",
        "warning free-tier-credit account.free_tier",
    ),
    // Traffic.
    (
        "egress = { internet = 1000, between_clouds = 100, between_zones = 50 }",
        "",
        "warning missing-egress traffic.egress",
    ),
    ("internet = 1000, ", "", "warning missing-egress traffic.egress"),
    ("between_clouds = 100, ", "", "warning missing-egress traffic.egress"),
    (", between_zones = 50", "", "warning missing-egress traffic.egress"),
    // Suppression.
    (
        "[budget]",
        "[[allow]]\ncode = \"headroom\"\nreason = \"load is shed\"\n[budget]",
        "fact unused-allow allow[0]",
    ),
];

/// `severity code path` of everything that was found.
fn all(checked: &Checked) -> Vec<String> {
    let report = &checked.report;
    let tell = |severity: &str, finding: &Finding| format!("{severity} {} {}", finding.code, finding.path);
    let errors = report.errors.iter().map(|finding| tell("error", finding));
    let warnings = report.warnings.iter().map(|finding| tell("warning", finding));
    errors.chain(warnings).chain(report.facts.iter().map(|finding| tell("fact", finding))).collect()
}

/// What is in `now` and not in `before`. Facts follow from everything and count only where one is looked for.
fn added(before: &[String], now: Vec<String>, facts: bool) -> Vec<String> {
    let mut before = before.to_vec();
    now.into_iter()
        .filter(|told| facts || !told.starts_with("fact"))
        .filter(|told| match before.iter().position(|known| known == told) {
            Some(index) => {
                before.swap_remove(index);
                false
            }
            None => true,
        })
        .collect()
}

#[test]
fn the_base_has_no_errors_and_meets_its_objectives() {
    let checked = checked(BASE, &[]);
    assert!(checked.report.errors.is_empty(), "{:#?}", checked.report.errors);
    assert_eq!(checked.missed().count(), 0, "{:#?}", checked.report.warnings);
}

#[test]
fn every_fault_is_told_once_with_severity_code_and_path() {
    let before = all(&checked(BASE, &[]));
    let mut wrong = Vec::new();
    for (what, by, expected) in FAULTS {
        assert_eq!(BASE.matches(what).count().min(1), 1, "{what}");
        let faulty = checked(&BASE.replacen(what, by, 1), &[]);
        let told = added(&before, all(&faulty), expected.starts_with("fact"));
        if told != [(*expected).to_owned()] {
            wrong.push(format!("{by}: {told:?} instead of {expected}"));
        }
        if faulty.plan.is_some() == expected.starts_with("error") {
            wrong.push(format!("{by}: a plan with an error, or none without"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn several_faults_of_several_kinds_are_told_in_one_run() {
    let text = BASE
        .replace("rule = \"majority\"", "rule = \"bft\"")
        .replace("name = \"us-east-1\"", "name = \"us-east-1\"\ncidr = \"10.0.0.0/12\"")
        .replace("99.9%", "99.99%");
    let told = all(&checked(&text, &[]));
    for expected in [
        "error range-size region[0].cidr",
        "error quorum-lost objectives.quorum",
        "warning rto-availability objectives.rto.cloud",
    ] {
        assert!(told.contains(&expected.to_owned()), "{expected}: {told:?}");
    }
}

#[test]
fn a_warning_can_be_accepted_with_a_reason_and_an_error_cannot() {
    let accepted =
        "[[allow]]\ncode = \"rto-availability\"\npath = \"objectives.rto\"\nreason = \"agreed\"\n[budget]";
    let text = BASE.replace("99.9%", "99.99%").replace("[budget]", accepted);
    let told = all(&checked(&text, &[]));
    assert!(told.contains(&"fact rto-availability objectives.rto.cloud".to_owned()), "{told:?}");
    assert!(!told.iter().any(|told| told.contains("unused-allow")), "{told:?}");
    let accepted = "[[allow]]\ncode = \"quorum-lost\"\nreason = \"agreed\"\n[budget]";
    let text = BASE.replace("\"majority\"", "\"bft\"").replace("[budget]", accepted);
    let told = all(&checked(&text, &[]));
    assert!(told.contains(&"error quorum-lost objectives.quorum".to_owned()), "{told:?}");
}

#[test]
fn voters_in_one_place_take_the_latest_writes_with_them() {
    let quorum = "quorum = { role = \"voter\", rule = \"majority\", survive = \"cloud\" }";
    let text = BASE.replace(quorum, "").replace("count = 5", "count = 5\nat = \"aws\"");
    let told = all(&checked(&text, &[]));
    assert!(told.contains(&"warning rpo-unreachable objectives.rpo.state".to_owned()), "{told:?}");
}

#[test]
fn machines_that_vote_by_themselves_all_count() {
    let text = BASE
        .replace("univrs = { role = \"validator\" }", "")
        .replace("count = 5", "count = 12")
        .replace("mesh = \"wireguard\"", "mesh = \"none\"");
    let checked = checked(&text, &[]);
    let ballot = checked.ballot.as_ref().unwrap();
    assert_eq!((ballot.voters(), ballot.chosen), (12, false));
    assert!(all(&checked).contains(&"warning even-voters role.voter".to_owned()));
    // 8 of 12 are exactly two thirds, and a bft rule needs more.
    let bft = crate::world::checked(&text.replace("\"majority\"", "\"bft\""), &[]);
    assert!(
        bft.report.errors[0].message.contains("8 are left; a bft rule needs 9"),
        "{:?}",
        bft.report.errors
    );
}
