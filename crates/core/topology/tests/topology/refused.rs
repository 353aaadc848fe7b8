//! Bad input: one fault each, told with the right code and path.

use std::time::{Duration, Instant};

use univrs_topology::source::Format;

use crate::world::{compiled, formatted, told};

const BASE: &str = r#"
name = "web"
[network]
mesh = "wireguard"
admin_cidrs = ["203.0.113.0/24"]
subnets = { public = 24, private = 20, database = 24 }
[[region]]
cloud = "aws"
name = "us-east-1"
cidr = "10.0.0.0/16"
[[region]]
cloud = "gcp"
name = "us-west1"
[role.web]
count = 2
per = "region"
machine = { aws = "t3.large", gcp = "e2-standard-2" }
ports = [{ port = 443, from = "internet" }]
"#;

/// What is replaced by what, and the finding that follows: code and path.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("count = 2", "count = ", "syntax", ""),
    ("count = 2", "count = 2\ncount = 3", "duplicate-key", ""),
    ("name = \"web\"", "name = \"Web\"", "bad-name", "name"),
    ("name = \"web\"", "name = \"wéb\"", "bad-name", "name"),
    ("name = \"web\"", "name = 3", "wrong-type", "name"),
    ("name = \"web\"", "", "missing-key", "name"),
    ("name = \"web\"", "name = \"web\"\nnmae = 1", "unknown-key", "nmae"),
    ("cloud = \"aws\"", "cloud = \"asw\"", "unknown-cloud", "region[0].cloud"),
    ("cloud = \"aws\"", "cloud = \"cloudflare\"", "unknown-cloud", "region[0].cloud"),
    ("us-east-1", "us-esat-1", "unknown-region", "region[0].name"),
    ("cidr = \"10.0.0.0/16\"", "cidr = \"10.0.0.1/16\"", "bad-value", "region[0].cidr"),
    ("cidr = \"10.0.0.0/16\"", "cidr = \"10.0.0.0/33\"", "bad-value", "region[0].cidr"),
    ("cidr = \"10.0.0.0/16\"", "cidr = \"10.0.0.0/12\"", "range-size", "region[0].cidr"),
    ("cidr = \"10.0.0.0/16\"", "cidr = \"10.0.0.0/20\"", "range-too-small", "region[0].cidr"),
    ("cidr = \"10.0.0.0/16\"", "cidr = \"100.64.0.0/16\"", "range-overlap", "region[0].cidr"),
    ("cidr = \"10.0.0.0/16\"", "cidr = \"10.0.0.0/16\"\nzones = 7", "out-of-range", "region[0].zones"),
    (
        "cidr = \"10.0.0.0/16\"",
        "cidr = \"10.0.0.0/16\"\nzones = [\"us-east-1z\"]",
        "unknown-zone",
        "region[0].zones[0]",
    ),
    (
        "name = \"us-west1\"",
        "name = \"us-west1\"\ncidr = \"10.0.128.0/17\"",
        "range-overlap",
        "region[1].cidr",
    ),
    ("name = \"us-west1\"", "name = \"us-west1\"\nzones = 4", "unknown-zone", "region[1].zones"),
    (
        "cloud = \"gcp\"\nname = \"us-west1\"",
        "cloud = \"aws\"\nname = \"us-east-1\"",
        "duplicate-region",
        "region[1]",
    ),
    ("mesh = \"wireguard\"", "mesh = \"wiregaurd\"", "bad-value", "network.mesh"),
    (
        "mesh = \"wireguard\"",
        "mesh = \"wireguard\"\nreserved = [\"10.0.0.0/15\"]",
        "range-overlap",
        "region[0].cidr",
    ),
    (
        "mesh = \"wireguard\"",
        "mesh = \"wireguard\"\nrange = \"10.0.0.0/16\"\nregion_prefix = 17",
        "no-free-range",
        "network.range",
    ),
    (
        "mesh = \"wireguard\"",
        "mesh = \"wireguard\"\nregion_prefix = 8",
        "out-of-range",
        "network.region_prefix",
    ),
    ("203.0.113.0/24", "0.0.0.0/0", "admin-open", "network.admin_cidrs[0]"),
    ("203.0.113.0/24", "::/0", "admin-open", "network.admin_cidrs[0]"),
    ("203.0.113.0/24", "office", "bad-value", "network.admin_cidrs[0]"),
    ("public = 24", "public = 31", "out-of-range", "network.subnets.public"),
    ("public = 24", "Public = 24", "bad-value", "network.subnets.Public"),
    ("public = 24", "public = 29", "range-size", "network.subnets.public"),
    ("count = 2", "count = -2", "out-of-range", "role.web.count"),
    ("count = 2", "count = \"two\"", "wrong-type", "role.web.count"),
    ("count = 2", "count = 2.5", "wrong-type", "role.web.count"),
    ("count = 2", "count = { prod = 2 }", "no-environment-value", "role.web.count"),
    ("count = 2", "count = 2000", "subnet-too-small", "network.subnets.public"),
    ("count = 2", "count = 60000", "too-many-machines", "role"),
    ("count = 2", "count = 99999999999", "out-of-range", "role.web.count"),
    ("per = \"region\"", "per = \"zone\"", "bad-value", "role.web.per"),
    ("per = \"region\"", "per = \"region\"\nat = \"azure\"", "unused-selector", "role.web.at"),
    (
        "per = \"region\"",
        "per = \"region\"\nat = \"aws\"\nexcept = [\"aws:us-east-1\"]",
        "nowhere",
        "role.web",
    ),
    ("gcp = \"e2-standard-2\"", "", "missing-machine", "role.web.machine"),
    ("t3.large", "Standard_B2s", "unknown-machine", "role.web.machine.aws"),
    ("t3.large", "t3.large; rm", "unknown-machine", "role.web.machine.aws"),
    ("aws = \"t3.large\"", "aws = \"t3.large\", asw = \"t3.large\"", "bad-value", "role.web.machine.asw"),
    ("port = 443", "port = 70000", "out-of-range", "role.web.ports[0].port"),
    ("from = \"internet\"", "from = \"intranet\"", "bad-value", "role.web.ports[0].from"),
    (
        "from = \"internet\"",
        "from = \"internet\", priority = 7",
        "out-of-range",
        "role.web.ports[0].priority",
    ),
    (
        "per = \"region\"",
        "per = \"region\"\npurchase = \"spot\"\nunivrs = { role = \"validator\" }",
        "spot-voter",
        "role.web.purchase",
    ),
    (
        "per = \"region\"",
        "per = \"region\"\nunivrs = { role = \"boss\" }",
        "bad-value",
        "role.web.univrs.role",
    ),
    ("per = \"region\"", "per = \"region\"\ntier = \"privat\"", "unknown-tier", "role.web.tier"),
    (
        "per = \"region\"",
        "per = \"region\"\nhost = \"container-group\"\ncontainer = { image = \"x\" }",
        "no-container-service",
        "role.web.host",
    ),
    (
        "per = \"region\"",
        "per = \"region\"\nautoscale = { min = 4, max = 3 }",
        "out-of-range",
        "role.web.autoscale.max",
    ),
    (
        "per = \"region\"",
        "per = \"region\"\nautoscale = { min = 3, max = 4 }",
        "out-of-range",
        "role.web.count",
    ),
    (
        "per = \"region\"",
        "per = \"region\"\nautoscale = { min = 1, max = 4, target_cpu = 60.0 }",
        "out-of-range",
        "role.web.autoscale.target_cpu",
    ),
    ("per = \"region\"", "per = \"region\"\ndisk = \"50GB\"", "bad-value", "role.web.disk"),
    (
        "per = \"region\"",
        "per = \"region\"\nenv = { N = \"{idnex}\" }",
        "unknown-placeholder",
        "role.web.env.N",
    ),
    ("[role.web]", "[role.Web]", "bad-name", "role.Web"),
    ("[role.web]", "[service.cache]\nper = \"region\"\n[role.web]", "bad-value", "service.cache"),
    ("[role.web]", "[service.load_balancer]\n[role.web]", "missing-key", "service.load_balancer.for"),
    (
        "[role.web]",
        "[service.load_balancer]\nfor = \"wbe\"\n[role.web]",
        "unknown-role",
        "service.load_balancer.for",
    ),
    (
        "[role.web]",
        "[service.postgres]\nbackup = {}\n[role.web]",
        "missing-key",
        "service.postgres.backup.retention",
    ),
    (
        "[role.web]",
        "[service.postgres]\nsize = { memory = \"lots\" }\n[role.web]",
        "bad-value",
        "service.postgres.size.memory",
    ),
    (
        "[role.web]",
        "[traffic]\nweights = { aws = 60, gcp = 30 }\n[role.web]",
        "bad-weights",
        "traffic.weights",
    ),
    (
        "[role.web]",
        "[traffic]\nweights = { aws = 60, azure = 40 }\n[role.web]",
        "unused-selector",
        "traffic.weights.azure",
    ),
    (
        "[role.web]",
        "[traffic.dns]\nprovider = \"cloudflare\"\nzone = \"exa mple\"\n[role.web]",
        "bad-name",
        "traffic.dns.zone",
    ),
    (
        "[role.web]",
        "[[link]]\nkind = \"peering\"\nbetween = [\"aws:us-east-1\", \"gcp:us-west1\"]\n[role.web]",
        "bad-link",
        "link[0].between",
    ),
    (
        "[role.web]",
        "[[link]]\nkind = \"vpn\"\nbetween = [\"aws:us-east-1\"]\n[role.web]",
        "bad-link",
        "link[0].between",
    ),
    (
        "[role.web]",
        "[[link]]\nkind = \"vpn\"\nbetween = [\"aws:us-east-1\", \"gcp:us-west2\"]\n[role.web]",
        "unused-selector",
        "link[0].between",
    ),
    ("[role.web]", "[objectives]\navailability = 99.9\n[role.web]", "wrong-type", "objectives.availability"),
    (
        "[role.web]",
        "[objectives]\nrto = { node = \"5 minutes\" }\n[role.web]",
        "bad-value",
        "objectives.rto.node",
    ),
    (
        "[role.web]",
        "[objectives]\nquorum = { role = \"voter\" }\n[role.web]",
        "unknown-role",
        "objectives.quorum.role",
    ),
    ("[role.web]", "[budget]\nmonthly = 300\n[role.web]", "wrong-type", "budget.monthly"),
    ("[role.web]", "[budget]\nmonthly = \"300\"\n[role.web]", "bad-value", "budget.monthly"),
    (
        "[role.web]",
        "[schedule]\nauto_shutdown = \"25:00Z\"\n[role.web]",
        "bad-value",
        "schedule.auto_shutdown",
    ),
    (
        "[role.web]",
        "[account]\nfree_tier = { aws = \"always\" }\n[role.web]",
        "bad-value",
        "account.free_tier.aws",
    ),
    (
        "[role.web]",
        "[[allow]]\ncode = \"no-such-code\"\nreason = \"x\"\n[role.web]",
        "bad-value",
        "allow[0].code",
    ),
    ("[role.web]", "[outputs]\nx = \"{public_pi}\"\n[role.web]", "unknown-placeholder", "outputs.x"),
];

#[test]
fn the_base_is_good() {
    assert_eq!(told(&compiled(BASE, &[])), Vec::<String>::new());
}

#[test]
fn every_fault_is_told_once_with_code_and_path() {
    let mut wrong = Vec::new();
    for (what, by, code, path) in FAULTS {
        assert!(BASE.contains(what), "{what}");
        let compiled = compiled(&BASE.replacen(what, by, 1), &[]);
        let told = told(&compiled);
        if told != [format!("Error {code} {path}")] {
            wrong.push(format!("{by}: {told:?} instead of {code} {path}"));
            continue;
        }
        let placeless = ["missing-key", "too-many-machines", "no-free-range"].contains(code);
        if compiled.plan.is_some() || !(placeless || compiled.findings[0].line.is_some()) {
            wrong.push(format!("{by}: {:?}", compiled.findings[0]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn several_faults_are_told_in_one_run() {
    let text = BASE
        .replace("count = 2", "count = \"two\"")
        .replace("us-east-1", "us-esat-1")
        .replace("per =", "pre =");
    assert_eq!(
        told(&compiled(&text, &[])),
        [
            "Error wrong-type role.web.count",
            "Error unknown-key role.web.pre",
            "Error unknown-region region[0].name",
        ]
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test measures how long a refusal takes; the core does not"
)]
fn hostile_texts_are_refused_quickly() {
    let bomb: String = (1..30).fold("a0: &a0 [x, x, x, x, x, x, x, x]\n".into(), |text, level| {
        let before = level - 1;
        format!("{text}a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n")
    });
    let many_keys: String = (0..100_000).map(|n| format!("key{n} = 1\n")).collect();
    let many_yaml: String = (0..100_000).map(|n| format!("key{n}: é\n")).collect();
    let wide_yaml = format!("[{}]", "é, ".repeat(150_000));
    for (text, format, code) in [
        ("x".repeat(10 << 20), Format::Toml, "file-too-large"),
        (bomb, Format::Yaml, "too-much"),
        ("[".repeat(1 << 20), Format::Yaml, "too-deep"),
        ("[".repeat(1 << 20), Format::Json, "too-deep"),
        (format!("a = {}", "[".repeat(1 << 20)), Format::Toml, "too-deep"),
        ("&a [*a]".into(), Format::Yaml, "syntax"),
        ("---\na: 1\n---\nb: 1\n".into(), Format::Yaml, "syntax"),
        ("{\"a\": 1, \"a\": 2}".into(), Format::Json, "duplicate-key"),
        ("a: 1\na: 2\n".into(), Format::Yaml, "duplicate-key"),
        ("[1]".into(), Format::Json, "wrong-type"),
        ("{\"a\": \"\\q\"}".into(), Format::Json, "syntax"),
        (String::new(), Format::Json, "syntax"),
        ("}".repeat(1 << 20), Format::Toml, "syntax"),
        ("\u{1}".repeat(1 << 20), Format::Toml, "syntax"),
        (many_keys, Format::Toml, "unknown-key"),
        (many_yaml, Format::Yaml, "unknown-key"),
        (wide_yaml, Format::Yaml, "wrong-type"),
    ] {
        let start = Instant::now();
        let compiled = formatted(&text, format, &[]);
        let took = start.elapsed();
        let shown: String = text.chars().take(20).collect();
        let codes: Vec<&str> = compiled.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&code), "{shown}: {:?}", &codes[..codes.len().min(5)]);
        assert!(compiled.findings.len() <= 501);
        assert!(took < Duration::from_secs(10), "{shown} took {took:?}");
        assert!(compiled.plan.is_none());
    }
}
