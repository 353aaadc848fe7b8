//! What the ingress rules of a workload must obey.

use crate::decode::nearest;
use crate::field::FieldError;
use crate::name::Name;
use crate::workload::{IngressTls, WorkloadSpec};

/// Every fault of the rules.
pub(super) fn faults(spec: &WorkloadSpec) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut fault = |field: String, detail: String, hint: Option<&str>| {
        faults.push(FieldError { field, detail, hint: hint.map(str::to_owned) });
    };
    let containers = spec.containers();
    let ports: Vec<&Name> = containers.iter().flat_map(|c| &c.ports).map(|p| &p.name).collect();
    for (index, rule) in spec.ingress.iter().enumerate() {
        if !rule.path.starts_with('/') {
            fault(format!("ingress[{index}].path"), "a path starts with `/`".into(), None);
        }
        if rule.host.is_empty() || rule.host.len() > 253 || !rule.host.bytes().all(is_host_byte) {
            fault(format!("ingress[{index}].host"), "not a host name".into(), None);
        }
        if rule.tls == IngressTls::Auto && !can_be_certified(&rule.host) {
            fault(
                format!("ingress[{index}].tls"),
                format!("no authority certifies `{}` when it asks over HTTP", rule.host),
                Some("name a host of the public DNS, such as `shop.example.org`, without `*`"),
            );
        }
        if !ports.contains(&&rule.port) {
            let near = nearest(rule.port.as_str(), ports.iter().map(|name| name.as_str()));
            let hint = near.map_or_else(
                || "name one of the containers' `ports`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            fault(
                format!("ingress[{index}].port"),
                format!("no container has a port named `{}`", rule.port),
                Some(&hint),
            );
        }
    }
    faults
}

/// Whether an authority that asks over HTTP could certify a host: a full name of the DNS, and no address.
fn can_be_certified(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let top = host.rsplit('.').next().unwrap_or_default();
    host.contains('.') && host.split('.').all(label) && top.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'*')
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_names_of_the_dns_ask_for_certificates() {
        for (host, good) in [
            ("shop.example.org", true),
            ("Shop.Example.org", true),
            ("xn--bcher-kva.example", true),
            ("*", false),
            ("*.example.org", false),
            ("localhost", false),
            ("10.0.0.1", false),
            ("-a.example.org", false),
            ("a..example.org", false),
        ] {
            assert_eq!(super::can_be_certified(host), good, "{host}");
        }
    }
}
