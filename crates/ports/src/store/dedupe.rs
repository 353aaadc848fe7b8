//! Which requests were answered already, and how (STORE-5).
//!
//! Bounded and deterministic: a client's last outcomes are kept, the oldest sequence going first; clients
//! are forgotten when there are too many or when very many commands passed since their last one. Both
//! are counted in commands, never in time.

use imbl::OrdMap;

use super::command::Response;
use super::digest::Fnv;
use super::machine::Record;
use super::txn::{RequestId, TxnOutcome};

/// Outcomes kept per client. A client may have this many requests open at once.
const OUTCOMES_PER_CLIENT: usize = 256;
/// Clients kept.
const CLIENTS: usize = 4096;
/// A client is forgotten after this many commands without one of its own.
const IDLE_COMMANDS: u64 = 10_000_000;

/// What is known about a request.
pub(super) enum Seen {
    Never,
    Answered(Response),
    Forgotten,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Client {
    last_position: u64,
    forgotten: u64,
    outcomes: OrdMap<u64, Response>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Dedupe {
    clients: OrdMap<u128, Client>,
    /// The clients by the position of their last request; positions are unique.
    by_position: OrdMap<u64, u128>,
}

impl Dedupe {
    pub(super) fn look_up(&self, request: RequestId) -> Seen {
        let Some(client) = self.clients.get(&request.client) else { return Seen::Never };
        match client.outcomes.get(&request.sequence) {
            Some(response) => Seen::Answered(response.clone()),
            None if request.sequence < client.forgotten => Seen::Forgotten,
            None => Seen::Never,
        }
    }

    pub(super) fn remember(&mut self, request: RequestId, position: u64, response: Response) {
        let client = self.clients.entry(request.client).or_default();
        self.by_position.remove(&client.last_position);
        self.by_position.insert(position, request.client);
        client.last_position = position;
        client.outcomes.insert(request.sequence, response);
        if client.outcomes.len() > OUTCOMES_PER_CLIENT
            && let Some((oldest, _)) = client.outcomes.get_min().cloned()
        {
            client.outcomes.remove(&oldest);
            client.forgotten = client.forgotten.max(oldest + 1);
        }
        while let Some((last_position, client)) = self.by_position.get_min().copied() {
            if self.clients.len() <= CLIENTS && last_position + IDLE_COMMANDS >= position {
                break;
            }
            self.by_position.remove(&last_position);
            self.clients.remove(&client);
        }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.clients.iter().map(|(&client, state)| Record::Client {
            client,
            last_position: state.last_position,
            forgotten: state.forgotten,
            outcomes: state.outcomes.iter().map(|(&sequence, outcome)| (sequence, outcome.clone())).collect(),
        })
    }

    pub(super) fn restore(
        &mut self,
        client: u128,
        last_position: u64,
        forgotten: u64,
        outcomes: Vec<(u64, Response)>,
    ) {
        self.by_position.insert(last_position, client);
        let outcomes = outcomes.into_iter().collect();
        self.clients.insert(client, Client { last_position, forgotten, outcomes });
    }

    pub(super) fn digest(&self, hash: &mut Fnv) {
        for (client, state) in &self.clients {
            hash.bytes(&client.to_le_bytes());
            hash.number(state.last_position);
            hash.number(state.forgotten);
            for (sequence, outcome) in &state.outcomes {
                hash.number(*sequence);
                hash.number(match outcome {
                    Response::Txn(TxnOutcome::Committed { revision }) => revision.0,
                    _ => u64::MAX,
                });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::store::{LeaseId, Revision};

    fn outcome(revision: u64) -> Response {
        Response::Txn(TxnOutcome::Committed { revision: Revision(revision) })
    }

    #[test]
    fn keeps_the_last_outcomes_of_a_client_and_never_runs_an_older_one_again() {
        let mut dedupe = Dedupe::default();
        for sequence in 0..300 {
            dedupe.remember(RequestId { client: 7, sequence }, sequence + 1, outcome(sequence));
        }
        assert!(matches!(dedupe.look_up(RequestId { client: 7, sequence: 10 }), Seen::Forgotten));
        assert!(
            matches!(dedupe.look_up(RequestId { client: 7, sequence: 299 }), Seen::Answered(r) if r == outcome(299))
        );
        assert!(matches!(dedupe.look_up(RequestId { client: 7, sequence: 300 }), Seen::Never));
    }

    #[test]
    fn forgets_the_client_that_was_idle_longest() {
        let mut dedupe = Dedupe::default();
        for client in 0..=CLIENTS as u128 {
            dedupe.remember(RequestId { client, sequence: 1 }, client as u64 + 1, outcome(1));
        }
        assert_eq!(dedupe.clients.len(), CLIENTS);
        assert!(matches!(dedupe.look_up(RequestId { client: 0, sequence: 1 }), Seen::Never));
        let late = IDLE_COMMANDS + CLIENTS as u64 + 2;
        dedupe.remember(RequestId { client: 1, sequence: 2 }, late, Response::LeaseNotFound(LeaseId(1)));
        assert_eq!(dedupe.clients.len(), 1);
        assert_eq!(dedupe.by_position.len(), 1);
    }
}
