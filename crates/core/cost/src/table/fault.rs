//! What is wrong with a row, and where it stands.

use std::fmt;

/// A row that may not enter the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, without its folder.
    pub file: &'static str,
    /// The line in it, counted from 1; 0 when no single line is at fault.
    pub line: usize,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// Why a row is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The first line does not name the expected columns.
    #[error("the columns are `{found}`, expected `{expected}`")]
    Columns {
        /// What the file says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// A row with more or fewer fields than there are columns.
    #[error("{found} fields, expected {expected}")]
    Fields {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A quoted field that does not end, or one with a doubled quote.
    #[error("a quoted field must end on its line and may not hold a quote")]
    Quote,
    /// A field that cannot be read.
    #[error("`{column}` is `{value}`: {why}")]
    Value {
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A second price under the same key.
    #[error("{key} is priced twice, first on line {first}: keep one, or make the key say what differs")]
    Twice {
        /// Provider, region and sku.
        key: String,
        /// The line of the first.
        first: usize,
    },
    /// A zero price that is not named as free.
    #[error("{key} has the price zero: an unknown price is left out, a free product is named in the check")]
    Zero {
        /// Provider, region and sku.
        key: String,
    },
    /// A spot price at or above the on-demand price.
    #[error("{key} costs as much on the spot market as on demand")]
    SpotAboveList {
        /// Provider, region and sku.
        key: String,
    },
    /// A price with no date or source.
    #[error("{key} has no {missing}: add it, for machines in dates.csv")]
    Undated {
        /// Provider, region and sku.
        key: String,
        /// `date` or `source`.
        missing: &'static str,
    },
    /// A family whose price does not follow its size.
    #[error(
        "{larger} costs {ratio} times {smaller}, its size grows between {low} and {high} times: another operating system or tenancy may be mixed in; list the family in irregular.csv with a reason if the price is real"
    )]
    NotLinear {
        /// The smaller machine, with provider and region.
        smaller: String,
        /// The larger machine.
        larger: String,
        /// Price of the larger over price of the smaller.
        ratio: String,
        /// The smaller of the ratios of processors and memory.
        low: String,
        /// The larger of the two.
        high: String,
    },
    /// A row naming a region that `regions.csv` does not have.
    #[error("{region} is not in regions.csv")]
    NoRegion {
        /// `provider:region`.
        region: String,
    },
    /// An allowance without its row in `services.csv`.
    #[error("no free_tier row of {provider} in services.csv begins with `{fact}`")]
    NoFact {
        /// The provider.
        provider: String,
        /// How the row should begin.
        fact: String,
    },
}
