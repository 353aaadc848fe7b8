//! What the providers call their zones, which services they have, and how they name machine types.

use crate::catalogue::RegionFacts;
use crate::cloud::{Cloud, RegionId};
use crate::codes::Code;
use crate::finding::{Finding, Findings};
use crate::spec::{RegionSpec, ServiceKind, ZoneChoice};

/// Zones of a region that are used when the file does not say: three carry every quorum.
const USUAL_ZONES: u32 = 3;

/// Names of `count` zones of a region, at most as many as the provider is known to have.
///
/// Letters of AWS zones are given out by account; where some letters are never given, they are left out here.
/// Oracle's availability domains have a prefix by tenancy, which is found when the plan is carried out.
pub fn zone_names(region: &RegionId, count: u32) -> Vec<String> {
    let name = &region.name;
    let lettered = |dash: &str, letters: &str| {
        letters.chars().take(count as usize).map(|letter| format!("{name}{dash}{letter}")).collect()
    };
    match region.cloud {
        Cloud::Aws => lettered(
            "",
            match name.as_str() {
                "ap-northeast-1" => "acd",
                "us-west-1" => "ac",
                "ca-central-1" => "abd",
                _ => "abcdef",
            },
        ),
        Cloud::Azure => (1..=count).map(|zone| zone.to_string()).collect(),
        Cloud::Gcp => lettered(
            "-",
            match name.as_str() {
                "us-central1" => "abcf",
                "us-east1" | "europe-west1" => "bcd",
                _ => "abc",
            },
        ),
        Cloud::Oci => (1..=count).map(|zone| format!("AD-{zone}")).collect(),
        Cloud::Hetzner | Cloud::DigitalOcean | Cloud::Cloudflare => vec![name.clone()],
    }
}

/// The zones that are used of a region, at least one.
pub fn zones(region: &RegionSpec, facts: RegionFacts, findings: &mut Findings) -> Vec<String> {
    let path = format!("{}.zones", region.path);
    let has = facts.zones.unwrap_or(1).max(1);
    match &region.zones {
        None => zone_names(&region.id, has.min(USUAL_ZONES)),
        Some(ZoneChoice::Count(count)) => {
            if *count > has {
                let message = format!("{} has {has} zones, not {count}", region.id);
                findings.push(Finding::new(Code::UnknownZone, path, message));
            }
            zone_names(&region.id, (*count).clamp(1, has))
        }
        Some(ZoneChoice::Named(named)) => {
            let all = zone_names(&region.id, has);
            for (index, zone) in named.iter().enumerate() {
                let path = format!("{path}[{index}]");
                if named[..index].contains(zone) {
                    let message = format!("the zone {} is named twice", super::clip(zone));
                    findings.push(Finding::new(Code::UnknownZone, path, message));
                } else if !all.contains(zone) {
                    let message = format!("{} has no zone `{}`", region.id, super::clip(zone));
                    let hint = format!("it has {}", all.join(", "));
                    findings.push(Finding::new(Code::UnknownZone, path, message).hint(hint));
                }
            }
            let mut good: Vec<String> = all.iter().filter(|zone| named.contains(zone)).cloned().collect();
            if good.is_empty() {
                good = all.into_iter().take(1).collect();
            }
            good
        }
    }
}

/// Whether a cloud offers a managed service of a kind that its OpenTofu provider can make.
pub(super) fn offers(cloud: Cloud, kind: ServiceKind) -> bool {
    match cloud {
        Cloud::Aws | Cloud::Azure | Cloud::Gcp | Cloud::Oci => true,
        Cloud::DigitalOcean => !matches!(kind, ServiceKind::Keys | ServiceKind::Logs),
        Cloud::Hetzner => kind == ServiceKind::LoadBalancer,
        Cloud::Cloudflare => false,
    }
}

/// What a kind of service is called in a sentence.
pub(super) fn kind_name(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Postgres => "managed PostgreSQL",
        ServiceKind::Redis => "managed Redis",
        ServiceKind::LoadBalancer => "load balancer",
        ServiceKind::ObjectStorage => "object storage that can be set up with its provider",
        ServiceKind::Keys => "managed keys",
        ServiceKind::Logs => "managed logs",
    }
}

/// Whether `machine` can be the name of a machine type of `cloud`.
pub(super) fn can_be_machine(cloud: Cloud, machine: &str) -> bool {
    let lower = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let word =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if machine.is_empty() || machine.len() > 64 || !word(machine) {
        return false;
    }
    match cloud {
        Cloud::Aws => machine.split_once('.').is_some_and(|(family, size)| {
            let sizes = ["nano", "micro", "small", "medium", "large", "xlarge", "metal"];
            let many = size.strip_suffix("xlarge").is_some_and(digits);
            lower(family) && (sizes.contains(&size) || many || size.starts_with("metal-"))
        }),
        Cloud::Azure => {
            machine.strip_prefix("Standard_").or_else(|| machine.strip_prefix("Basic_")).is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_uppercase())
                    && rest.contains(|c: char| c.is_ascii_digit())
            })
        }
        Cloud::Gcp => {
            lower(machine) && machine.contains('-') && machine.starts_with(|c: char| c.is_ascii_lowercase())
        }
        Cloud::Oci => machine.starts_with("VM.") || machine.starts_with("BM."),
        Cloud::Hetzner => {
            ["cx", "cpx", "ccx", "cax"].iter().any(|family| machine.strip_prefix(family).is_some_and(digits))
        }
        Cloud::DigitalOcean => machine.contains("vcpu") || machine.starts_with("gpu-"),
        Cloud::Cloudflare => false,
    }
}

#[cfg(test)]
mod tests {
    use super::can_be_machine;
    use crate::cloud::Cloud;

    #[test]
    fn names_of_machine_types() {
        for (cloud, good, bad) in [
            (
                Cloud::Aws,
                &["c6i.4xlarge", "t3.micro", "u-6tb1.metal", "m7i.metal-24xl"][..],
                &["c6i", "Standard_B1s"][..],
            ),
            (Cloud::Azure, &["Standard_D8s_v5", "Standard_B2s", "Basic_A0"], &["D8s_v5", "c6i.large"]),
            (Cloud::Gcp, &["c2-standard-8", "e2-micro", "n2-custom-4-8192"], &["E2-micro", "e2micro", ""]),
            (Cloud::Oci, &["VM.Standard.A1.Flex", "BM.GPU4.8"], &["A1.Flex"]),
            (Cloud::Hetzner, &["cx23", "cpx11", "ccx13", "cax11"], &["cx", "xx23", "cx23a"]),
            (Cloud::DigitalOcean, &["s-1vcpu-1gb", "g-2vcpu-8gb", "gpu-h100x1-80gb"], &["small", "s-1"]),
        ] {
            assert!(good.iter().all(|name| can_be_machine(cloud, name)), "{cloud}: {good:?}");
            assert!(!bad.iter().any(|name| can_be_machine(cloud, name)), "{cloud}: {bad:?}");
        }
    }
}
