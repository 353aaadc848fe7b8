//! What would be cheaper: where machines stand, which type they are, how they are paid for, and where objects lie.
//!
//! Every group of machines has places it may stand in, a need, and a tolerance for being interrupted. In each place
//! the cheapest type and mix of purchases is found exactly. Which group goes where is a search, because traffic
//! between groups costs by distance: exact within [`Rules::search_limit`] steps for each set of groups that talk to
//! each other, otherwise the best of a local search, and the outcome says which.
//!
//! Invariants:
//! - COST-8: nothing is proposed whose price is not known; a group whose present price is not known stays as it is.
//! - COST-9: voters, and whoever may not be interrupted, are never put on the spot market.
//! - COST-10: the savings of the proposals add up to exactly the total before less the total after.
//! - COST-11: no limit on a round trip is broken; one that is broken today is not made worse.

mod choice;
mod objects;
mod proposals;
mod search;
mod solve;
mod traffic;

pub use choice::Mix;
pub use objects::Objects;

use crate::book::{Need, PriceBook};
use crate::estimate::Options;
use crate::item::{Disk, Purchase, Size, Term};
use crate::money::{Money, Quantity, Ratio};
use crate::place::Place;

/// What may be changed, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problem {
    /// Machines that are alike and stand together.
    pub groups: Vec<Group>,
    /// Traffic between groups.
    pub flows: Vec<Flow>,
    /// Objects whose class may be changed.
    pub objects: Vec<Objects>,
    /// What holds for all.
    pub rules: Rules,
}

/// What holds for all groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The longest term that may be promised; none: no promises.
    pub longest_term: Option<Term>,
    /// Whether the spot market may be used at all.
    pub spot: bool,
    /// How many times the exact search of one set of groups may look at a place before it gives up.
    pub search_limit: u32,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { longest_term: Some(Term::OneYear), spot: true, search_limit: 1_000_000 }
    }
}

/// Machines that are alike and stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Its machine type.
    pub type_name: String,
    /// The size bought, for types of flexible size.
    pub size: Option<Size>,
    /// How it is paid for.
    pub purchase: Purchase,
    /// How many machines, at the most.
    pub count: u32,
    /// How many of them always run; the others run for [`Group::busy`] of the hours.
    pub steady: u32,
    /// The part of the hours the other machines run.
    pub busy: Ratio,
    /// The disk of each machine.
    pub disk: Option<Disk>,
    /// What each machine must have. None: the type is kept, and with it the provider.
    pub need: Option<Need>,
    /// Whether machines may be taken away at any time.
    pub interruption: Interruption,
    /// Other places it may stand in.
    pub candidates: Vec<Place>,
    /// How near it must be to places outside the problem, such as users.
    pub near: Vec<Near>,
    /// The objective of the topology a change to this group touches, in its words.
    pub objective: Option<String>,
}

/// Whether machines may be taken away at any time, as the spot market does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// They vote: never.
    Voter,
    /// They must not be interrupted: never.
    Never,
    /// At most this part of the group at once.
    Part(Ratio),
    /// All of them.
    Any,
}

/// How near a group must be to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Near {
    /// The place.
    pub place: Place,
    /// The longest round trip to it, in microseconds.
    pub most_micros: u32,
}

/// Traffic between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Index of one group.
    pub a: usize,
    /// Index of the other.
    pub b: usize,
    /// GB per month from the one to the other.
    pub a_to_b: Quantity,
    /// GB per month back.
    pub b_to_a: Quantity,
    /// The longest round trip between them, in microseconds.
    pub most_micros: Option<u32>,
}

/// What to do and what it saves, per month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Everything as it is, all machines on demand at list price.
    pub list: Money,
    /// Everything as it is.
    pub before: Money,
    /// Everything as proposed.
    pub after: Money,
    /// What to change, group by group.
    pub proposals: Vec<Proposal>,
    /// Each group as proposed, in the order of the problem; none for one that was left out.
    pub choices: Vec<Option<Choice>>,
    /// Whether nothing cheaper exists within the rules.
    pub exact: bool,
    /// What was left as it is, and why.
    pub left_out: Vec<LeftOut>,
}

impl Outcome {
    /// What is saved against everything as it is.
    #[must_use]
    pub fn saving(&self) -> Money {
        self.before - self.after
    }

    /// What is saved against list prices, as a part of them.
    #[must_use]
    pub fn saving_against_list(&self) -> Option<Ratio> {
        (self.list - self.after).ratio_of(self.list)
    }
}

/// A group as proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Where it stands.
    pub place: Place,
    /// Its machine type.
    pub type_name: String,
    /// How its machines are paid for.
    pub mix: Mix,
    /// What it costs per month, without traffic.
    pub cost: Money,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What is changed.
    pub kind: ProposalKind,
    /// Whose.
    pub group: String,
    /// From what.
    pub from: String,
    /// To what.
    pub to: String,
    /// What it saves per month, after the proposals before it.
    pub saving: Money,
    /// What may go wrong.
    pub risk: String,
    /// The objectives it touches.
    pub objective: String,
}

/// What a proposal changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProposalKind {
    /// Another region, because machines are cheaper there.
    Region,
    /// Another region, because those it talks to are there.
    Together,
    /// A type that meets the need for less.
    RightSize,
    /// A promise of one or three years.
    Commit,
    /// The spot market.
    Spot,
    /// Back to paying by the hour.
    OnDemand,
    /// Another class of storage.
    StorageTier,
}

/// What was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The group or objects.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The cheapest arrangement within the rules.
#[must_use]
pub fn optimize(book: &PriceBook, problem: &Problem, options: &Options) -> Outcome {
    let solution = solve::solve(book, problem, options);
    proposals::outcome(book, problem, options, solution)
}
