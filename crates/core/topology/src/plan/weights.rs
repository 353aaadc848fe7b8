//! Percent that sum to 100, whatever is divided by whatever.

/// Divides `total` in proportion to `weights`, to the last unit: the largest remainders get what is left, the
/// first of equals first. Even shares when all weights are 0; nothing for nobody.
pub(super) fn apportion(total: u32, weights: &[u32]) -> Vec<u32> {
    if weights.is_empty() {
        return Vec::new();
    }
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let even = sum == 0;
    let sum = if even { weights.len() as u64 } else { sum };
    let exact = |weight: &u32| u64::from(total) * if even { 1 } else { u64::from(*weight) };
    // A share is at most the total, which is 32 bits.
    let mut shares: Vec<u32> =
        weights.iter().map(|w| u32::try_from(exact(w) / sum).unwrap_or(total)).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(exact(&weights[*index]) % sum));
    let given: u32 = shares.iter().sum();
    for index in order.into_iter().take((total - given) as usize) {
        shares[index] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::apportion;

    #[test]
    fn largest_remainders() {
        for (weights, shares) in [
            (&[40, 30, 30][..], &[40, 30, 30][..]),
            (&[1, 1, 1], &[34, 33, 33]),
            (&[30, 30], &[50, 50]),
            (&[0, 0], &[50, 50]),
            (&[0, 7], &[0, 100]),
            (&[], &[]),
        ] {
            assert_eq!(apportion(100, weights), shares, "{weights:?}");
        }
    }

    proptest! {
        #[test]
        fn shares_sum_and_stay_near(weights in prop::collection::vec(0u32..1000, 1..300)) {
            let shares = apportion(100, &weights);
            prop_assert_eq!(shares.iter().sum::<u32>(), 100);
            let sum: u32 = weights.iter().sum();
            if sum > 0 {
                for (weight, share) in weights.iter().zip(shares) {
                    let exact = 100.0 * f64::from(*weight) / f64::from(sum);
                    prop_assert!((exact - f64::from(share)).abs() < 1.0);
                }
            }
        }
    }
}
