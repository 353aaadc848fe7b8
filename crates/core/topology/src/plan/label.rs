//! Names that are DNS labels, whatever they are made of.

use super::home::hash;

/// Longest DNS label.
const LONGEST: usize = 63;

/// `parts` joined by `-`; what would be too long is cut and told apart by a hash of the whole.
pub(super) fn label(parts: &[&str]) -> String {
    let whole = parts.join("-");
    if whole.len() <= LONGEST {
        return whole;
    }
    // Names of regions and roles are ASCII; a numbered end stays readable.
    let end = parts.last().filter(|part| part.len() <= 6).copied().unwrap_or_default();
    let tail = format!("-{:08x}{}{end}", hash(&whole), if end.is_empty() { "" } else { "-" });
    let kept: String = whole.chars().take(LONGEST - tail.len()).collect();
    format!("{}{tail}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        assert_eq!(label(&["web", "aws-us-east-1", "0"]), "web-aws-us-east-1-0");
        let long = "r".repeat(63);
        let (first, second) = (label(&[&long, "azure-eastus", "0"]), label(&[&long, "azure-eastus", "1"]));
        assert_ne!(first, second);
        assert!(first.len() <= 63 && first.parse::<univrs_model::name::Name>().is_ok(), "{first}");
    }
}
