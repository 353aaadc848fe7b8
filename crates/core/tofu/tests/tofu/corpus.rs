//! EMI-1 to EMI-4 on random topologies over all providers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use univrs_tofu::{Options, emit};

use crate::world::{PLURESDB, complaints, emitted, planned};

const REGIONS: &[(&str, &str, &str)] = &[
    ("aws", "us-east-1", "t3.large"),
    ("aws", "eu-central-1", "t4g.medium"),
    ("azure", "eastus", "Standard_B2s"),
    ("azure", "westus", "Standard_B2s"),
    ("gcp", "us-central1", "e2-small"),
    ("gcp", "europe-west1", "e2-small"),
    ("oci", "us-ashburn-1", "VM.Standard.A1.Flex"),
    ("hetzner", "fsn1", "cx23"),
    ("digitalocean", "fra1", "s-1vcpu-1gb"),
];

const SERVICES: &[&str] = &[
    "[service.postgres]\nper = \"region\"\nsize = { vcpu = 2, memory = \"8Gi\", storage = \"64Gi\" }\nhigh_availability = true\nbackup = { retention = \"14d\", point_in_time = true }\n",
    "[service.redis]\nper = \"region\"\nsize = { memory = \"6Gi\" }\nreplicas = 2\n",
    "[service.object_storage]\nper = \"cloud\"\nversioning = true\nencryption = true\nhttps_only = true\nmin_tls = \"1.2\"\nreplication = \"GRS\"\nlifecycle = { cool_after = \"30d\", archive_after = \"90d\", expire_after = \"360d\" }\n",
    "[service.keys]\nper = \"cloud\"\nrotation = \"90d\"\n",
    "[service.logs]\nper = \"region\"\nretention = \"45d\"\n",
    "[service.load_balancer]\nper = \"region\"\nfor = \"web\"\nhealth = { path = \"/healthz\", interval = \"10s\" }\n",
];

#[derive(Clone, Debug)]
struct Shape {
    regions: Vec<usize>,
    mesh: bool,
    univrs: bool,
    tiers: bool,
    zonal: bool,
    scaled: bool,
    spot: bool,
    container: bool,
    services: Vec<bool>,
    names_at: &'static str,
    linked: bool,
    count: u32,
}

fn shape() -> impl Strategy<Value = Shape> {
    let all: Vec<usize> = (0..REGIONS.len()).collect();
    let flags = (any::<[bool; 8]>(), prop::collection::vec(any::<bool>(), SERVICES.len()));
    let regions = prop::sample::subsequence(all, 1..=5);
    let names = prop::sample::select(vec!["cloudflare", "aws", "azure", "gcp", "hetzner", ""]);
    (regions, flags, names, 1_u32..14).prop_map(|(regions, (flags, services), names_at, count)| {
        let [mesh, univrs, tiers, zonal, scaled, spot, container, linked] = flags;
        Shape {
            regions,
            mesh,
            univrs,
            tiers,
            zonal,
            scaled,
            spot,
            container,
            services,
            names_at,
            linked,
            count,
        }
    })
}

fn text(shape: &Shape, edited: Option<usize>) -> String {
    let mut text =
        String::from("name = \"random\"\nenvironment = \"test\"\nowner = \"a ${b} %{c} \\\"d\\\"\"\n");
    text += "tags = { note = \"${var.gone} 100%\" }\n";
    text += "[network]\nadmin_cidrs = [\"203.0.113.0/24\", \"2001:db8::/48\"]\n";
    text += if shape.mesh { "mesh = \"wireguard\"\n" } else { "mesh = \"none\"\n" };
    text += if shape.tiers { "subnets = { private = 20, public = 24, database = 24 }\n" } else { "" };
    text += if shape.zonal { "nat = \"zone\"\n" } else { "" };
    for index in &shape.regions {
        let (cloud, name, _) = REGIONS[*index];
        let second = if edited == Some(*index) { 100 + index } else { 16 + index };
        let first = if edited == Some(*index) { "10" } else { "172" };
        text += &format!(
            "[[region]]\ncloud = \"{cloud}\"\nname = \"{name}\"\ncidr = \"{first}.{second}.0.0/16\"\n"
        );
    }
    let types: BTreeMap<&str, &str> = REGIONS.iter().map(|(cloud, _, machine)| (*cloud, *machine)).collect();
    let types: Vec<String> = types.iter().map(|(cloud, kind)| format!("{cloud} = \"{kind}\"")).collect();
    let machine = format!("machine = {{ {} }}\n", types.join(", "));
    text += &format!("[role.web]\ncount = {}\nper = \"total\"\n{machine}", shape.count);
    text += "ports = [{ port = 443, from = \"internet\" }, { port = 9003, from = \"mesh\" }, { port = 53, protocol = \"udp\", from = \"admin\" }]\n";
    text += "disk = \"80Gi\"\nlabels = { tier = \"front\" }\n";
    text += if shape.scaled { "autoscale = { min = 1, max = 20, target_cpu = 0.55 }\n" } else { "" };
    text += if shape.univrs { "univrs = { role = \"business\" }\n" } else { "" };
    text += &format!("[role.state]\ncount = 1\nper = \"region\"\n{machine}");
    text += "size = { vcpu = 2, memory = \"8Gi\" }\n";
    text += if shape.spot && !shape.univrs { "purchase = \"spot\"\n" } else { "" };
    text += if shape.univrs { "univrs = { role = \"validator,business\" }\n" } else { "" };
    if shape.container {
        text += "container = { image = \"example/app:1\", cpu = 0.5, memory = \"512Mi\", restart = \"always\" }\n";
        text += "env = { A = \"${ x %{ y it's \\\"q\\\"\", N = \"{index}/{count}\" }\n";
        text += "ports = [{ port = 34567, from = \"internet\", name = \"AllowIt\", priority = 100 }]\n";
    }
    for (service, wanted) in SERVICES.iter().zip(&shape.services) {
        text += &if *wanted { placed(service, shape) } else { String::new() };
    }
    if shape.linked {
        text += &links(shape);
    }
    text += "[outputs]\nseeds_by_address = \"/ip4/{public_ip}/udp/9000/quic-v1\"\n";
    if !shape.names_at.is_empty() {
        text += &format!(
            "[traffic]\nhealth_adjusted = true\ndns = {{ provider = \"{}\", zone = \"example.net\", name = \"api\" }}\n",
            shape.names_at
        );
    }
    text
}

/// A service with the clouds of the shape that have it; nothing when none has.
fn placed(service: &str, shape: &Shape) -> String {
    let lacks: &[&str] = match service {
        _ if service.contains("load_balancer") => &[],
        _ if service.contains("keys") || service.contains("logs") => &["hetzner", "digitalocean"],
        _ => &["hetzner"],
    };
    let clouds: BTreeSet<&str> = shape.regions.iter().map(|index| REGIONS[*index].0).collect();
    let clouds: Vec<String> = clouds
        .into_iter()
        .filter(|cloud| !lacks.contains(cloud))
        .map(|cloud| format!("\"{cloud}\""))
        .collect();
    if clouds.is_empty() { String::new() } else { format!("{service}at = [{}]\n", clouds.join(", ")) }
}

/// A link for every two regions that follow each other: a peering within a cloud, else a VPN.
fn links(shape: &Shape) -> String {
    let link = |pair: &[usize]| {
        let [one, other] = [REGIONS[pair[0]], REGIONS[pair[1]]];
        let kind = if one.0 == other.0 { "peering" } else { "vpn" };
        let [one, other] = [one, other].map(|(cloud, name, _)| format!("{cloud}:{name}"));
        format!("[[link]]\nkind = \"{kind}\"\nbetween = [\"{one}\", \"{other}\"]\n")
    };
    shape.regions.windows(2).map(link).collect()
}

/// All features at once, in all regions.
fn everything(names_at: &'static str, container: bool) -> Shape {
    Shape {
        regions: (0..REGIONS.len()).collect(),
        mesh: true,
        univrs: true,
        tiers: true,
        zonal: true,
        scaled: true,
        spot: false,
        container,
        services: vec![true; SERVICES.len()],
        names_at,
        linked: true,
        count: 18,
    }
}

#[test]
fn every_emitted_type_is_in_the_manual() {
    let manual = include_str!("../../../../../docs/emit.md");
    let mut kinds = BTreeSet::new();
    for names_at in ["cloudflare", "aws", "azure", "gcp"] {
        let files =
            emit(&planned(&text(&everything(names_at, true), None), &[]), &Options::default()).unwrap().files;
        kinds.extend(types(&files));
    }
    for (topology, set) in [(PLURESDB, "role.node.expose=private"), (PLURESDB, "role.node.persistence=files")]
    {
        kinds.extend(types(&emitted(topology, &[set]).files));
    }
    assert!(kinds.len() > 120, "{}", kinds.len());
    let missing: Vec<&String> = kinds.iter().filter(|kind| !manual.contains(&format!("`{kind}`"))).collect();
    assert!(missing.is_empty(), "docs/emit.md does not name {missing:?}");
}

/// Types of resources and data sources.
fn types(files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    let documents = files.iter().filter(|(path, _)| path.ends_with(".tf.json"));
    let documents = documents.map(|(_, bytes)| serde_json::from_slice::<serde_json::Value>(bytes).unwrap());
    let kinds = |document: serde_json::Value| {
        let of = |key: &str| {
            document[key].as_object().into_iter().flat_map(|map| map.keys().cloned()).collect::<Vec<_>>()
        };
        [of("resource"), of("data")].concat()
    };
    documents.flat_map(kinds).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_files_pass_and_are_the_same_twice_emi_1_emi_2(shape in shape()) {
        let text = text(&shape, None);
        let plan = planned(&text, &[]);
        let first = emit(&plan, &Options::default()).unwrap();
        prop_assert_eq!(complaints(&first.files), Vec::<String>::new(), "{}", text);
        prop_assert_eq!(first, emit(&planned(&text, &[]), &Options::default()).unwrap());
    }

    #[test]
    fn one_region_edited_shows_there_and_in_what_is_shared_emi_3(
        shape in shape(),
        which in any::<prop::sample::Index>(),
    ) {
        let edited = shape.regions[which.index(shape.regions.len())];
        let own = format!("{}-{}", REGIONS[edited].0, REGIONS[edited].1);
        let before = emit(&planned(&text(&shape, None), &[]), &Options::default()).unwrap().files;
        let after = emit(&planned(&text(&shape, Some(edited)), &[]), &Options::default()).unwrap().files;
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for path in paths.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
            let folder = path.split('/').next().unwrap_or(path);
            let shared = ["dns", "links", "shared", "wireguard", "inventory.yaml", "README.md"].contains(&folder);
            prop_assert!(folder == own || shared, "{} changed with {}", path, own);
        }
    }

    #[test]
    fn nothing_secret_stands_in_a_file_emi_4(shape in shape()) {
        let files = emit(&planned(&text(&shape, None), &[]), &Options::default()).unwrap().files;
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".tf.json")) {
            let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let mut found = Vec::new();
            literals(&document, "", &mut found);
            prop_assert!(found.is_empty(), "{}: {:?}", path, found);
            let defaults = document["variable"].as_object().into_iter().flatten();
            for (name, variable) in defaults.filter(|(_, variable)| variable["sensitive"] == true) {
                prop_assert!(variable.get("default").is_none(), "{}: {} has a default", path, name);
            }
        }
    }
}

/// Literal values of keys that hold secrets, and literals that look like keys or tokens.
fn literals(value: &serde_json::Value, key: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => {
            let secret =
                ["password", "secret", "token", "private_key", "shared_key", "auth_string", "access_key"]
                    .iter()
                    .any(|word| key.contains(word));
            let described = ["description", "type", "http_tokens", "Sid"].contains(&key);
            let long = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
                word.len() >= 32
                    && word.bytes().any(|b| b.is_ascii_digit())
                    && word.bytes().any(|b| b.is_ascii_alphabetic())
            });
            if (secret && !text.contains("${") && !described) || long || text.contains("PRIVATE KEY") {
                found.push(format!("{key}: {text}"));
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|item| literals(item, key, found)),
        serde_json::Value::Object(map) => map.iter().for_each(|(key, item)| literals(item, key, found)),
        _ => {}
    }
}
