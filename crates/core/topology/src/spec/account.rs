//! `[account]`: what is true of the accounts and no price list says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::objectives::Money;
use super::reader::Reader;
use crate::cloud::Cloud;
use crate::codes::Code;
use crate::finding::Finding;

/// Which free allowance an account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FreeTier {
    /// None.
    #[serde(rename = "none")]
    None,
    /// Credits for new AWS accounts since 2025-07-15.
    #[serde(rename = "credits-2025")]
    Credits2025,
    /// Twelve months after opening the account.
    #[serde(rename = "12-months")]
    TwelveMonths,
    /// Without end.
    #[serde(rename = "always-free")]
    AlwaysFree,
}

/// One `[[account.price]]`: a price kept from earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPrice {
    /// Whose price.
    pub cloud: Cloud,
    /// Of which machine type.
    pub machine: String,
    /// For a month of 730 hours.
    pub monthly: Money,
    /// Why it still holds.
    pub reason: Option<String>,
}

/// `[account]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Free allowance by cloud.
    pub free_tier: BTreeMap<Cloud, FreeTier>,
    /// Negotiated discount by cloud, in millionths of the list price: 120 000 is 12 % off.
    pub discount: BTreeMap<Cloud, u32>,
    /// Prices kept from earlier.
    pub prices: Vec<HeldPrice>,
}

/// Reads `[account]`.
pub(super) fn read(reader: Reader<'_>) -> Account {
    const TIERS: [(&str, FreeTier); 4] = [
        ("none", FreeTier::None),
        ("credits-2025", FreeTier::Credits2025),
        ("12-months", FreeTier::TwelveMonths),
        ("always-free", FreeTier::AlwaysFree),
    ];
    let free_tier = reader
        .keyed::<Cloud>("free_tier", &[])
        .into_iter()
        .filter_map(|(cloud, (text, path))| Some((cloud, reader.word_of(&text, path, &TIERS)?)))
        .collect();
    let mut discount = BTreeMap::new();
    for (cloud, (text, path)) in reader.keyed::<Cloud>("discount", &Cloud::ALL) {
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match percent.filter(|percent| (0.0..100.0).contains(percent)) {
            Some(percent) => {
                discount.insert(cloud, (percent * 1e4).round() as u32);
            }
            None => {
                let message = "a discount is percent off the list price; write `12%`";
                reader.shared.note(Finding::new(Code::BadValue, path, message));
            }
        }
    }
    let prices = reader.tables("price").into_iter().filter_map(read_price).collect();
    reader.finish();
    Account { free_tier, discount, prices }
}

fn read_price(reader: Reader<'_>) -> Option<HeldPrice> {
    for key in ["cloud", "machine", "monthly"] {
        if reader.raw(key).is_none() {
            reader.missing(key);
        }
    }
    let (cloud, machine) = (reader.parsed("cloud"), reader.text("machine"));
    let (monthly, reason) = (reader.parsed("monthly"), reader.text("reason"));
    reader.finish();
    Some(HeldPrice { cloud: cloud?, machine: machine?, monthly: monthly?, reason })
}
