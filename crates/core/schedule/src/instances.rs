//! Which place an instance has in the scheduler's table, by its id.
//!
//! A map from ids would hold 24 bytes per instance and read the text of an id on most steps. This one holds eight, so
//! that it stays in the processor's cache when there are a hundred thousand: that is what keeps the cost of a
//! placement from growing with what is placed.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use univrs_model::ids::InstanceId;

/// Part of an id's hash, and the place of its instance.
type Entry = (u32, u32);

/// Places by id. The ids themselves stand in the table that the places belong to, and are looked up there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(HashTable<Entry>);

fn short(id: &InstanceId) -> u32 {
    let hash = FxBuildHasher.hash_one(id.as_str());
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed into the one that is kept")]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded
}

/// The table uses the highest bits and the lowest ones; this fills both from the part that is kept.
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Places {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of an instance. `id_at` tells whose a place is.
    pub(crate) fn get<'a>(&self, id: &InstanceId, id_at: impl Fn(u32) -> &'a InstanceId) -> Option<u32> {
        let short = short(id);
        let found = self.0.find(spread(short), |(known, at)| *known == short && id_at(*at) == id);
        found.map(|(_, at)| *at)
    }

    /// Adds an instance that is not there.
    pub(crate) fn insert(&mut self, id: &InstanceId, at: u32) {
        let short = short(id);
        self.0.insert_unique(spread(short), (short, at), |(known, _)| spread(*known));
    }

    /// Forgets an instance and answers its place.
    pub(crate) fn remove<'a>(
        &mut self,
        id: &InstanceId,
        id_at: impl Fn(u32) -> &'a InstanceId,
    ) -> Option<u32> {
        let short = short(id);
        let found = self.0.find_entry(spread(short), |(known, at)| *known == short && id_at(*at) == id);
        found.ok().map(|entry| entry.remove().0.1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0_u128..50, any::<bool>()), 0..300)) {
            let mut ids: Vec<InstanceId> = Vec::new();
            let (mut places, mut model) = (Places::default(), BTreeMap::new());
            for (number, add) in steps {
                let id = InstanceId::from_bits(number);
                let known = places.get(&id, |at| &ids[at as usize]);
                prop_assert_eq!(known, model.get(&id).copied());
                if add && known.is_none() {
                    let at = u32::try_from(ids.len()).unwrap();
                    ids.push(id.clone());
                    places.insert(&id, at);
                    model.insert(id, at);
                } else if !add {
                    prop_assert_eq!(places.remove(&id, |at| &ids[at as usize]), model.remove(&id));
                }
                prop_assert_eq!(places.len(), model.len());
            }
        }
    }
}
