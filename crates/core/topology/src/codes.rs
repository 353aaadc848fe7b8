//! Every code a finding can have, with what it means: the one registry that pages and checks come from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot be planned like this.
    Error,
    /// It can, but somebody should look.
    Warning,
    /// Good to know.
    Fact,
}

macro_rules! codes {
    ($($name:ident $code:literal $severity:ident $title:literal $explanation:literal;)*) => {
        /// The code of a finding: short, stable, kebab-case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// How bad it is by itself.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it is, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do, in a paragraph.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    // Reading the text.
    FileTooLarge "file-too-large" Error "The file is too large"
        "A topology file has at most 8 MiB. A file of thousands of machines has a few kilobytes, because machines are counted, not listed. Check that the right file was given.";
    Syntax "syntax" Error "The text cannot be read"
        "The text is not valid TOML, YAML or JSON. The message names the line and column. The format follows from the file's ending: .toml, .yaml or .yml, .json.";
    TooDeep "too-deep" Error "The text is nested too deeply"
        "Tables and lists may be nested 64 deep. No key of a topology needs more than five. Anchors and aliases of YAML count with everything they stand for.";
    TooMuch "too-much" Error "The text stands for too much"
        "The text, with its YAML aliases replaced by what they stand for, has more than 200 000 values. Aliases of aliases grow without bound; write the values out or count machines instead of listing them.";
    DuplicateKey "duplicate-key" Error "A key is given twice"
        "The same key stands twice in one table. Only one of the two could count, so neither is taken. Remove one.";
    BadOverride "bad-override" Error "A --set cannot be applied"
        "`--set` takes PATH=VALUE, where the path names keys with dots, entries of a list by number, and regions by `cloud:name`: `role.web.count=3`, `region.aws:us-east-1.cidr=10.9.0.0/16`. The path must lead through tables and lists that exist.";
    TooManyFindings "too-many-findings" Error "More was found than is shown"
        "Only the first findings are shown. Mend those and check again.";
    // Reading the values.
    UnknownKey "unknown-key" Error "A key is not known"
        "The key has no meaning at this place. Nothing is ignored silently, because an ignored key is usually a slip of the pen. The hint names the nearest known key; docs/topology.md lists all.";
    MissingKey "missing-key" Error "A key is missing"
        "The key has no sensible default and must be stated.";
    WrongType "wrong-type" Error "A value has the wrong type"
        "A text was expected and a number found, or the like. Texts stand in quotation marks, numbers do not.";
    BadValue "bad-value" Error "A value cannot be understood"
        "The value has the right type but says nothing that can be meant here. The message says what can be written.";
    OutOfRange "out-of-range" Error "A number is too small or too large"
        "The number lies outside what makes sense here. The message names the limits.";
    NoEnvironmentValue "no-environment-value" Error "The environment has no value"
        "The value is given by environment, such as { test = 3, prod = 7 }, and the environment that is asked for is not among them. Add it, or choose another with `--set environment=NAME`.";
    BadName "bad-name" Error "A name cannot be used"
        "Names of topologies, environments and roles become part of DNS names and of names at every provider: 1 to 63 of a-z, 0-9 and `-`, not at the ends.";
    // Resolving names.
    UnknownCloud "unknown-cloud" Error "The cloud is not known"
        "Clouds are aws, azure, gcp, oci, hetzner and digitalocean; cloudflare serves names only.";
    UnknownRegion "unknown-region" Error "The region is not known"
        "The cloud has no region of that name in the table of data/regions.csv. The hint names the nearest.";
    DuplicateRegion "duplicate-region" Error "A region is listed twice"
        "A region can be listed once. Counts, not repetitions, say how many machines it has.";
    NoRegions "no-regions" Error "There is no region"
        "A topology needs at least one [[region]].";
    UnusedSelector "unused-selector" Error "A cloud or region is not part of the topology"
        "`at`, `except`, `weights` or a link names a cloud or region that no [[region]] lists.";
    UnknownRole "unknown-role" Error "The role is not known"
        "A load balancer, an objective or a flow names a role that no [role.NAME] defines.";
    UnknownTier "unknown-tier" Error "The kind of subnet is not known"
        "A role asks for a kind of subnet that network.subnets does not list.";
    Nowhere "nowhere" Error "A role or service is nowhere"
        "`at` and `except` together leave no region.";
    UnknownZone "unknown-zone" Error "The region does not have that zone"
        "The region has fewer zones than asked for, or none of that name.";
    MissingMachine "missing-machine" Error "No machine type for a cloud"
        "The role is placed in a cloud for which `machine` names no type, and no type is known that has the stated size. Name one: machine = { aws = \"…\" }.";
    UnknownMachine "unknown-machine" Error "The machine type does not exist"
        "The cloud has no machine type of that name in the price book, and the name is near a known one or cannot be a name of that provider.";
    UnpricedMachine "unpriced-machine" Warning "The machine type has no known price there"
        "The name can be right, but the price book has no price of it in this region. The total is partial.";
    MissingContainer "missing-container" Error "A container group has no container"
        "host = \"container-group\" needs `container = { image = …, cpu = …, memory = … }`.";
    NoContainerService "no-container-service" Error "The cloud has no container groups"
        "Container groups are Azure Container Instances. Elsewhere use host = \"machine\": the container is started by cloud-init.";
    BadWeights "bad-weights" Error "The weights do not sum to 100"
        "Weights are percent of all requests and must sum to 100.";
    UnknownPlaceholder "unknown-placeholder" Error "A placeholder is not known"
        "In `env` there are {name} {environment} {role} {region} {cloud} {zone} {index} {count} {address} and {peers:PORT}; in `names` {name} and {environment}; in `outputs` {public_ip}, {address}, {name} and {region}.";
    TooManyPeers "too-many-peers" Error "A list of peers would be too long"
        "{peers:PORT} puts every other machine of the role into the environment of each, which grows with the square of the count. Above 500 machines name a few as seeds instead.";
    TooManyMachines "too-many-machines" Error "There are too many machines"
        "A topology has at most 100 000 machines.";
    TooManyRegions "too-many-regions" Error "There are too many regions"
        "A topology has at most 250 regions.";
    BadLink "bad-link" Error "The two ends cannot be linked like this"
        "A peering joins two networks of one cloud; between clouds use kind = \"vpn\". A link needs two different regions, each pair once.";
    SpotVoter "spot-voter" Error "Voters may be taken away"
        "Machines that may be chosen as voters hold the replicated state. The provider takes spot machines away with short notice, often several at once, and the quorum with them. Use on-demand or reserved machines for roles with univrs.role = \"validator\".";
    SeveralBootstraps "several-bootstraps" Error "Several roles start the cluster"
        "One role can have univrs.bootstrap = true; its first machine starts the cluster, all others join it.";
    AdminOpen "admin-open" Error "The admin range is open to the world"
        "admin_cidrs says who may reach SSH and the API. A range of /0, or one so wide that it comes near, lets everyone try. Name the addresses of your own networks.";
    NoAdmin "no-admin" Warning "Nobody can get in"
        "A port is open to `admin`, or machines run Univrs, but network.admin_cidrs is empty: no address will be let in.";
    ServiceUnavailable "service-unavailable" Error "The cloud does not have the service"
        "The cloud offers no managed service of that kind. Restrict the service with `at` or `except`, or run it on machines.";
    // Addresses.
    RangeOverlap "range-overlap" Error "Two address ranges overlap"
        "Regions reach each other, so their ranges must be apart, from each other, from the mesh range and from network.reserved. Leave `cidr` out and the planner finds a free range.";
    RangeTooSmall "range-too-small" Error "A region's range is too small for its subnets"
        "Each zone gets one subnet of each kind. Together they do not fit into the region's range. Take a shorter prefix for the region, a longer one for the subnets, or fewer zones.";
    SubnetTooSmall "subnet-too-small" Error "A subnet is too small for its machines"
        "The provider keeps some addresses of each subnet (AWS and Azure 5, Google 4, Oracle 3), and groups may grow up to their maximum. Take a shorter prefix.";
    RangeSize "range-size" Error "The provider does not allow a range of this size"
        "AWS networks have /16 to /28; subnets /16 to /28 as well. Azure subnets go down to /29, Google's to /29, Oracle networks /16 to /30.";
    NoFreeRange "no-free-range" Error "There is no free range left"
        "network.range has no room for another region beside the stated and reserved ranges. Widen it or take a longer network.region_prefix.";
    RangeNotPrivate "range-not-private" Warning "A range is not a private one"
        "The range is not within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10. The addresses belong to somebody on the internet, whom these machines will not be able to reach.";
    // Rules.
    RuleNotEnforced "rule-not-enforced" Warning "A rule cannot be enforced"
        "Azure gives a container group a public address or a place in a subnet, never both. With a public address no security group stands in front of it: the ports of the container are open to everyone and `from` means nothing. Use expose = \"private\", or host = \"machine\".";
    NoGateway "no-gateway" Warning "A region cannot take part in the mesh"
        "The mesh runs on machines. A region that has services only, or container groups only, has none.";
    NoListener "no-listener" Error "A load balancer has no port to listen on"
        "A load balancer listens on the ports that its role opens to the internet, and the role opens none.";
    UnusedAllow "unused-allow" Fact "A suppression has nothing to suppress"
        "An [[allow]] names a code that no warning of this topology has at that place. Errors cannot be accepted. Remove it, so that it does not hide what comes later.";
    NoEndpoint "no-endpoint" Warning "The name points to nothing"
        "traffic.dns wants a name, but no load balancer and no machine with a port open to the internet and a public address exists in a place that gets requests.";
    // Names at the providers.
    IllegalName "illegal-name" Error "A name is not legal at its provider"
        "The file states a name that the provider refuses: too long, with characters it does not take, or taken by the provider itself. Names the compiler makes are always legal; what the file states is passed on as it stands, so that it must be. The message says what the provider takes.";
    GlobalName "global-name" Fact "A name must be free in the whole world"
        "Buckets, storage accounts, key vaults and some DNS names are shared by all customers of a provider. The name carries the topology and its environment, which makes a collision unlikely, and applying fails when somebody else has it. Nothing can be reserved beforehand.";
    OtherTopology "other-topology" Error "Another topology cannot be planned"
        "`--with` names a topology whose ranges must stay apart from this one's, and it has errors of its own, so that its ranges are not known. Check it by itself first.";
    // Voters.
    QuorumLost "quorum-lost" Error "A single failure loses the quorum"
        "objectives.quorum says what may fail. Counting the voters that the runtime would choose (5, at most 7, always an odd number, spread over clouds, then regions, then zones), the largest part that may fail takes so many voters that the rest cannot decide: a majority rule needs more than half of all voters, a bft rule more than two thirds. Spread the role over more clouds, regions or zones, or state a smaller failure to survive.";
    VotersChosen "voters-chosen" Fact "Which machines will vote"
        "Machines with univrs.role = \"validator\" may vote. The runtime chooses 5 of them (fewer where there are fewer, always an odd number) over clouds, then regions, then zones; the others follow and step in when a voter is lost. More voters do not survive more clouds: they make every write wait for more machines.";
    EvenVoters "even-voters" Warning "An even number of machines would vote"
        "An even number of voters survives no more failures than the odd number below it, and splits into halves that both cannot decide. The runtime therefore leaves one of them out. Add or remove one machine.";
    UnequalVoters "unequal-voters" Fact "Machines that may vote are not alike"
        "The machine types of the role that votes have different numbers of processors. Every write waits for a majority of the voters, so that the slower ones set the pace whenever they are needed for it, and the larger ones are paid for without use.";
    // Objectives.
    RoundTrip "round-trip" Warning "Round trips take longer than stated"
        "objectives.cross_cloud_rtt says how far apart regions of different clouds may be. Round trips come from published measurements, or else from the distance: 5.5 ms plus 0.0158 ms for each kilometre of the great circle, within 33 % for nine in ten pairs. Light in fibre alone needs 0.01 ms for each kilometre, so no network changes the answer much. Choose regions that are nearer, or relax the objective.";
    RoundTripMargin "round-trip-margin" Fact "Round trips hold only within the error of the estimate"
        "The objective holds with the estimated round trips, and would not at the upper end of what the estimate may be wrong by. Measure before relying on it.";
    RoundTripUnknown "round-trip-unknown" Fact "A round trip is not known"
        "There is no measurement between the two regions, and the place of one of them is not known, so that not even an estimate can be made.";
    RtoAvailability "rto-availability" Warning "One failure uses up the year's availability"
        "The availability objective allows a certain time of outage in a year: 99.99 % are 52.6 minutes of 365.25 days. A single failure that takes as long as its recovery time allows uses more than that. Shorten the recovery time, or state the availability that follows from it.";
    RtoUnreachable "rto-unreachable" Warning "Nothing here recovers in that time"
        "The recovery time is shorter than what is set up can do, or nothing is set up that would recover: the only region or cloud is lost, a database has no copy where the others are, or no machine is left elsewhere.";
    DnsCutover "dns-cutover" Warning "Names move too slowly"
        "After a loss, requests go elsewhere once the health checks have noticed it (interval times failures in a row, plus one timeout) and the answers that people still hold have expired (the TTL). That takes longer than the recovery time, or health checks do not steer the names at all. Shorten `ttl` or `interval`, and write traffic.health_adjusted = true.";
    NamesMove "names-move" Fact "How fast names move after a loss"
        "The time until requests go elsewhere after a loss: the health checks' interval times the failures in a row, plus one timeout, plus the TTL of the answers. Resolvers that keep answers for longer than they are told to are not in it.";
    RpoUnreachable "rpo-unreachable" Warning "More may be lost than stated"
        "The objective says how much of the latest writes may be lost. What is set up loses more after some failure: a restore from a daily backup loses a day; logs for point-in-time recovery are kept every 5 minutes; copies in other regions that nobody waits for lag behind by seconds to minutes; data without a copy is gone.";
    SyncReplication "sync-replication" Warning "Every write waits for another region"
        "With synchronous replication a write is acknowledged once another region has it. That adds at least one round trip to the nearest other copy to each commit. Use asynchronous replication, or copies in zones of one region.";
    Headroom "headroom" Warning "The loss of a cloud needs headroom in the others"
        "When a cloud is lost, its share of the requests goes to the others. With weights of 40, 30 and 30 the loss of the first raises each of the others from 30 to 50 percent, 1.67 times as much. The machines must be able to carry that at once; machines added by autoscaling come minutes later, when everybody else asks for some too.";
    NoZones "no-zones" Warning "A second zone is asked for where there is none"
        "high_availability keeps a second copy in another zone, and the region has only one. The copy will be in the same zone and fall with it.";
    // Prices.
    CostEstimate "cost-estimate" Fact "What it costs"
        "The sum of the known parts for a month of 730 hours at list prices, with the date of the oldest price. Where prices or amounts are not known, the sum says so: it is a lower bound.";
    OverBudget "over-budget" Warning "It costs more than the budget"
        "The known parts alone cost more in a month than budget.monthly. `univrs topology cost` lists them, `univrs topology optimize` says what would be cheaper.";
    BudgetAlert "budget-alert" Fact "A share of the budget is reached"
        "budget.alert_at names shares of the budget at which somebody wants to be told; the known parts reach this one.";
    OtherCurrency "other-currency" Warning "The currency is not the one of the prices"
        "Prices are in US dollars. An amount in another currency would need a rate of some day, and none is assumed. State the amount in USD.";
    Unpriced "unpriced" Warning "A price is not known"
        "The price book has no price for a part in that region. It is left out of the sum, which then says that it is not whole; it is never counted as free. The message says where the price is known, if anywhere.";
    UndeclaredUsage "undeclared-usage" Fact "An amount is not stated"
        "The price is known and the amount is not: data through a gateway, objects kept, logs taken in. The part is left out of the sum, which then says that it is not whole. State `stored` or `ingest`, or [traffic] egress.";
    MissingEgress "missing-egress" Warning "Traffic that leaves is left out"
        "Providers charge for what leaves a region, and it is often the largest part of the bill. The file does not say how much that is, so it is in no sum. State traffic.egress in GB a month, also when it is 0.";
    OldPrice "old-price" Warning "Prices are older than allowed"
        "Some prices are older than --max-price-age allows. They may have changed since. data/SOURCES.md says where each price was read.";
    FreeTierUnknown "free-tier-unknown" Warning "The provider has no such free tier"
        "account.free_tier names something that the provider does not offer. Prices are those of an account without a free tier.";
    FreeTierCredit "free-tier-credit" Warning "The free tier is credit, not free use"
        "Accounts of this kind get an amount of money once and no free use. The prices shown are before that credit, and due when it is used up.";
    FreeTierEnded "free-tier-ended" Warning "A free tier no longer exists"
        "What was free under this name is not any more, since the date in the message. The part is priced.";
    FreeTierExceeded "free-tier-exceeded" Warning "More than the free tier has"
        "The free allowance covers a part; the rest is priced. The message says how much of what, and the date of the allowance.";
    FreeTierFits "free-tier-fits" Fact "It fits into the free tier"
        "The free allowance covers all of it, as of the date in the message.";
    ReservedIdle "reserved-idle" Warning "Promised hours are not used"
        "A reserved machine is paid for all hours of its term, also those it does not run.";
    UnusedPrice "unused-price" Warning "A kept price is for nothing here"
        "[[account.price]] names a machine type that no role of this topology has in that cloud.";
    // Emission.
    NotEmitted "not-emitted" Warning "A part of the plan is in no emitted file"
        "The plan has something that the provider's OpenTofu resources cannot make true, or that is left to people. The message says what, and the hint what can be done. The emitted README.md lists the same.";
    CannotEmit "cannot-emit" Error "The plan cannot be emitted"
        "Something in the plan is not decided, such as a machine type, or has no counterpart at its provider. No file is written.";
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the code of a finding")]
pub struct NotACode(String);

impl FromStr for Code {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| NotACode(text.chars().take(80).collect()))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn codes_are_kebab_case_and_unique() {
        let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(all.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
            assert!(code.explanation().ends_with(['.', '`']), "{code}");
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }
}
