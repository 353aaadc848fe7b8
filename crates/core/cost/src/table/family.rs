//! Families of machines: types that differ only in size.

use super::row::Provider;

/// The family of a machine type. A number that states the size becomes `#` where the rest of the name goes on.
///
/// `c6i.4xlarge` → `c6i`, `Standard_D8s_v5` → `D#s_v5`, `c2-standard-8` → `c2-standard`,
/// `VM.Standard.A1.Flex$_4_24` → `VM.Standard.A1.Flex`, `cpx31` → `cpx1`, `s-2vcpu-4gb` → `s`.
#[must_use]
pub fn family(provider: Provider, machine: &str) -> String {
    match provider {
        Provider::Aws => machine.rsplit_once('.').map_or(machine, |(family, _)| family).to_owned(),
        Provider::Azure => azure(machine),
        Provider::Gcp => {
            // The size is the first part that is only digits; what follows (`-lssd`) belongs to the family.
            let parts: Vec<&str> =
                machine.split('-').filter(|part| !part.bytes().all(|b| b.is_ascii_digit())).collect();
            parts.join("-")
        }
        Provider::Oci => machine.split('$').next().unwrap_or(machine).to_owned(),
        Provider::Hetzner => {
            let letters: String = machine.chars().filter(|c| !c.is_ascii_digit()).collect();
            // The last digit of a cpx name is the generation.
            match machine.chars().next_back() {
                Some(generation) if letters == "cpx" => format!("{letters}{generation}"),
                _ => letters,
            }
        }
        Provider::Digitalocean | Provider::Cloudflare => {
            machine.split('-').next().unwrap_or(machine).to_owned()
        }
    }
}

/// `Standard_D8s_v5` → `D#s_v5`; `Standard_E8-4s_v5` → `E#-#s_v5`, machines with fewer processors than memory bought.
fn azure(machine: &str) -> String {
    let name = machine.strip_prefix("Standard_").unwrap_or(machine);
    let letters = name.len() - name.trim_start_matches(|c: char| c.is_ascii_uppercase()).len();
    let (letters, rest) = name.split_at(letters);
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if letters.is_empty() || after.len() == rest.len() {
        return name.to_owned();
    }
    match after.strip_prefix('-') {
        Some(fewer) => format!("{letters}#-#{}", fewer.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => format!("{letters}#{after}"),
    }
}
