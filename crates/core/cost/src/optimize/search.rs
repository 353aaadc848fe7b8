//! Where each of some variables goes when each has costs of its own and pairs have costs together.
//!
//! Branch and bound, started from the best of a local search. The bound is what the decided variables cost plus, for
//! each open one, the least it can add; pair costs are never negative, so nothing cheaper is ever cut off.

use crate::money::Money;

/// Variables with options; an option is named by its place in the list.
pub(super) struct Space<'a> {
    /// By variable and option: the cost of its own.
    pub(super) own: Vec<Vec<Money>>,
    /// By variable: the pairs it is in, as the other variable and the pair's number.
    pub(super) pairs: Vec<Vec<(usize, usize)>>,
    /// The cost of a pair by its number when the variable, on its option, meets the other on its own. None: not
    /// allowed. Never negative.
    pub(super) together: &'a dyn Fn(usize, (usize, usize), (usize, usize)) -> Option<Money>,
}

/// An option for each variable.
pub(super) struct Found {
    pub(super) options: Vec<usize>,
    /// Whether nothing cheaper exists.
    pub(super) exact: bool,
}

/// The cheapest options. The first of `starts` must be allowed; the answer never costs more. `limit` is how many times
/// the exact search may look at an option.
pub(super) fn cheapest(space: &Space<'_>, starts: &[Vec<usize>], limit: u32) -> Found {
    let first = starts.first().cloned().unwrap_or_else(|| vec![0; space.own.len()]);
    let mut best = descend(space, first);
    let mut best_cost = total(space, &best);
    for other in starts.iter().skip(1).cloned().chain([each_cheapest(space)]) {
        if total(space, &other).is_some() {
            let found = descend(space, other);
            let cost = total(space, &found);
            if cost.is_some() && (best_cost.is_none() || cost < best_cost) {
                (best, best_cost) = (found, cost);
            }
        }
    }
    let order = order(space);
    let mut walk = Walk {
        space,
        order: &order,
        chosen: vec![None; space.own.len()],
        best,
        best_cost,
        steps_left: limit,
    };
    let exact = walk.branch(0, Money::ZERO);
    Found { options: walk.best, exact }
}

/// Those with most pairs first, then their neighbours, so that pair costs are known early.
fn order(space: &Space<'_>) -> Vec<usize> {
    let count = space.own.len();
    let mut order: Vec<usize> = Vec::with_capacity(count);
    let mut placed = vec![false; count];
    let mut ties = vec![0_usize; count];
    while order.len() < count {
        let key = |v: &usize| (ties[*v], space.pairs[*v].len(), std::cmp::Reverse(*v));
        let Some(next) = (0..count).filter(|v| !placed[*v]).max_by_key(key) else { break };
        placed[next] = true;
        order.push(next);
        for (other, _) in &space.pairs[next] {
            ties[*other] += 1;
        }
    }
    order
}

/// Each variable on its own cheapest option.
fn each_cheapest(space: &Space<'_>) -> Vec<usize> {
    let cheapest = |costs: &Vec<Money>| (0..costs.len()).min_by_key(|option| costs[*option]).unwrap_or(0);
    space.own.iter().map(cheapest).collect()
}

fn total(space: &Space<'_>, options: &[usize]) -> Option<Money> {
    let mut sum = Money::ZERO;
    for (variable, option) in options.iter().enumerate() {
        sum += space.own[variable][*option];
        for (other, pair) in space.pairs[variable].iter().filter(|(other, _)| *other > variable) {
            sum += (space.together)(*pair, (variable, *option), (*other, options[*other]))?;
        }
    }
    Some(sum)
}

/// What a variable costs on an option, with the pairs to all others as they are.
fn local(space: &Space<'_>, options: &[usize], variable: usize, option: usize) -> Option<Money> {
    let mut sum = space.own[variable][option];
    for (other, pair) in &space.pairs[variable] {
        sum += (space.together)(*pair, (variable, option), (*other, options[*other]))?;
    }
    Some(sum)
}

/// Moves single variables as long as that makes it cheaper.
fn descend(space: &Space<'_>, mut options: Vec<usize>) -> Vec<usize> {
    // Each round makes the total smaller, so this ends; the cap keeps the time linear.
    for _ in 0..64 {
        let before = options.clone();
        for variable in 0..options.len() {
            let now = local(space, &options, variable, options[variable]);
            let better = (0..space.own[variable].len())
                .filter_map(|option| Some((local(space, &options, variable, option)?, option)))
                .min();
            if let Some((cost, option)) = better
                && now.is_none_or(|now| cost < now)
            {
                options[variable] = option;
            }
        }
        if options == before {
            break;
        }
    }
    options
}

struct Walk<'a> {
    space: &'a Space<'a>,
    order: &'a [usize],
    chosen: Vec<Option<usize>>,
    best: Vec<usize>,
    best_cost: Option<Money>,
    steps_left: u32,
}

impl Walk<'_> {
    /// Tries all options from `depth` on. False when the steps ran out.
    fn branch(&mut self, depth: usize, spent: Money) -> bool {
        let Some(&variable) = self.order.get(depth) else {
            if self.best_cost.is_none_or(|best| spent < best) {
                self.best = self.chosen.iter().map(|option| option.unwrap_or(0)).collect();
                self.best_cost = Some(spent);
            }
            return true;
        };
        let mut options: Vec<(Money, usize)> = (0..self.space.own[variable].len())
            .filter_map(|option| Some((self.added(variable, option)?, option)))
            .collect();
        options.sort_unstable();
        for (added, option) in options {
            let looks: usize = self.order[depth..].iter().map(|open| self.space.own[*open].len()).sum();
            match self.steps_left.checked_sub(u32::try_from(looks).unwrap_or(u32::MAX)) {
                Some(left) => self.steps_left = left,
                None => return false,
            }
            self.chosen[variable] = Some(option);
            let bound = self.least_of_rest(depth + 1).map(|rest| spent + added + rest);
            let promising = match (bound, self.best_cost) {
                (None, _) => false,
                (Some(bound), Some(best)) => bound < best,
                (Some(_), None) => true,
            };
            let finished = !promising || self.branch(depth + 1, spent + added);
            self.chosen[variable] = None;
            if !finished {
                return false;
            }
        }
        true
    }

    /// What an option adds to the variables decided so far.
    fn added(&self, variable: usize, option: usize) -> Option<Money> {
        let mut sum = self.space.own[variable][option];
        for (other, pair) in &self.space.pairs[variable] {
            if let Some(there) = self.chosen[*other] {
                sum += (self.space.together)(*pair, (variable, option), (*other, there))?;
            }
        }
        Some(sum)
    }

    /// The least the open variables can add; none when one of them has no option left.
    fn least_of_rest(&self, depth: usize) -> Option<Money> {
        let least = |variable: &usize| {
            (0..self.space.own[*variable].len()).filter_map(|option| self.added(*variable, option)).min()
        };
        self.order[depth..].iter().map(least).sum()
    }
}
