//! Tiers as data: how much organisations may have, of which templates, and what it costs them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::resource::Quota;
use univrs_model::usage::Meter;
use utoipa::ToSchema;

/// The tiers of this program.
const BUILTIN: &str = include_str!("../tiers.toml");

/// All tiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// The currency of all prices, as three letters.
    pub currency: String,
    /// By id.
    pub tiers: BTreeMap<String, Tier>,
}

/// One tier. What is absent is not bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// For people.
    pub name: String,
    /// How many resources there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<u32>,
    /// Sum of their limits of processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Sum of their limits of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
    /// Sum of their volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Bytes>,
    /// The templates they may be made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<Vec<String>>,
    /// What a unit of each meter costs, in 10^-12 of the currency.
    #[serde(default)]
    pub prices: BTreeMap<Meter, u64>,
}

impl Tiers {
    /// Reads tiers.
    ///
    /// # Errors
    /// What is wrong, with its place in the text.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The tiers of this program.
    ///
    /// # Panics
    /// Never: a test reads them.
    #[expect(clippy::expect_used, reason = "the text is part of the program and a test reads it")]
    pub fn builtin() -> Self {
        Self::read(BUILTIN).expect("the program's own tiers can be read")
    }

    /// A tier's price list; that of nothing costs nothing.
    pub fn tier(&self, id: &str) -> Option<&Tier> {
        self.tiers.get(id)
    }
}

impl Tier {
    /// Its bounds in the form of a quota.
    pub const fn quota(&self) -> Quota {
        Quota {
            resources: self.resources,
            cpu: self.cpu,
            memory: self.memory,
            storage: self.storage,
            egress: None,
        }
    }

    /// Whether resources may be made from a template.
    pub fn allows(&self, template: &str) -> bool {
        self.templates.as_ref().is_none_or(|allowed| allowed.iter().any(|one| one == template))
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::org::DEFAULT_TIER;

    use super::Tiers;

    #[test]
    fn the_programs_own_tiers_are_four_and_the_last_is_not_bounded() {
        let tiers = Tiers::builtin();
        assert_eq!(tiers.tiers.keys().collect::<Vec<_>>(), ["basic", "enterprise", "free", "pro"]);
        let own = tiers.tier(DEFAULT_TIER).unwrap();
        assert_eq!(own.quota(), univrs_model::resource::Quota::default());
        assert!(own.allows("anything"));
        assert!(!tiers.tier("free").unwrap().allows("postgres-medium"));
    }

    #[test]
    fn a_fault_names_its_place() {
        let told = Tiers::read("currency = \"USD\"\n[tiers.a]\nname = \"A\"\nprice = {}\n").unwrap_err();
        assert!(told.contains("price") && told.contains("line 4"), "{told}");
    }
}
