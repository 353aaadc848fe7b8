//! What to say to a query: a function of its bytes and the service table.
//!
//! `<workload>.<organisation>.internal` means the same to everyone. `<workload>.internal` is meant in the organisation
//! of the instance that asks; someone else on the machine asks for the default organisation.
//! `<service>.<group>.<organisation>.internal` is the workload `<group>-<service>`: what belongs together searches there
//! first, and finds its own under short names.
//!
//! Any bytes are a valid input. Answers and refusals live one second, so nobody holds on to an old table.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use univrs_ports::network::ServiceTable;

/// How long an answer may be kept, in seconds.
pub(crate) const TTL: u32 = 1;
/// The zone that is answered here.
const ZONE: &str = "internal";
/// The organisation of who is no instance.
const DEFAULT_ORG: &str = "default";
/// The smallest message: a header.
const HEADER: usize = 12;
/// The largest datagram sent: fits every link without fragments.
const DATAGRAM: u16 = 1232;

/// How the answer travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Datagram,
    Stream,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The machine itself.
    Machine,
    /// Whoever has this address.
    At(IpAddr),
}

/// What to do with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send this.
    Reply(Vec<u8>),
    /// Ask the host's resolvers.
    Forward,
    /// Say nothing: it is no query at all.
    Ignore,
}

/// Judges a query; `turn` rotates the addresses, so that successive clients begin at different ones.
pub(crate) fn judge(
    bytes: &[u8],
    asker: Asker,
    table: &ServiceTable,
    turn: usize,
    carrier: Carrier,
) -> Verdict {
    // An answer to an answer could go round for ever.
    let is_answer = |bytes: &[u8]| bytes.get(2).is_none_or(|flags| flags & 0x80 != 0);
    if bytes.len() < HEADER || is_answer(bytes) {
        return Verdict::Ignore;
    }
    let Ok(query) = Message::from_vec(bytes) else {
        return Verdict::Reply(bare_refusal(bytes, ResponseCode::FormErr));
    };
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&query.metadata);
    reply.metadata.recursion_available = true;
    reply.queries.clone_from(&query.queries);
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM);
        edns.set_dnssec_ok(false);
        reply.set_edns(edns);
        if asked.version() > 0 {
            return refusal(reply, bytes, ResponseCode::BADVERS);
        }
    }
    if query.metadata.op_code != OpCode::Query || query.metadata.message_type != MessageType::Query {
        return refusal(reply, bytes, ResponseCode::NotImp);
    }
    let [question] = query.queries.as_slice() else {
        return refusal(reply, bytes, ResponseCode::FormErr);
    };
    let Some(below) = below_zone(question.name()) else { return Verdict::Forward };
    if !matches!(question.query_class(), DNSClass::IN | DNSClass::ANY) {
        return refusal(reply, bytes, ResponseCode::Refused);
    }
    let Ok(found) = look_up(&below, asker, table) else {
        return refusal(reply, bytes, ResponseCode::ServFail);
    };
    reply.metadata.authoritative = true;
    fill(&mut reply, question, found, turn);
    let room = match carrier {
        Carrier::Datagram => query.max_payload().min(DATAGRAM),
        Carrier::Stream => u16::MAX,
    };
    Verdict::Reply(fitted(reply, bytes, usize::from(room)))
}

/// A refusal to a query whose header may be all that can be trusted.
pub(crate) fn bare_refusal(query: &[u8], code: ResponseCode) -> Vec<u8> {
    let id = query.get(..2).and_then(|id| id.try_into().ok()).map_or(0, u16::from_be_bytes);
    let op_code = OpCode::from_u8(query.get(2).map_or(0, |flags| (flags >> 3) & 0x0f));
    let mut reply = Message::error_msg(id, op_code, code);
    reply.metadata.recursion_available = true;
    reply.metadata.recursion_desired = query.get(2).is_some_and(|flags| flags & 1 != 0);
    reply.to_vec().unwrap_or_default()
}

fn refusal(mut reply: Message, query: &[u8], code: ResponseCode) -> Verdict {
    reply.metadata.response_code = code;
    Verdict::Reply(reply.to_vec().unwrap_or_else(|_| bare_refusal(query, ResponseCode::ServFail)))
}

/// The labels before `internal`, in lower case; `None` for a name of another zone.
fn below_zone(name: &Name) -> Option<Vec<String>> {
    let lower = |label: &[u8]| String::from_utf8_lossy(label).to_ascii_lowercase();
    let mut labels: Vec<String> = name.iter().map(lower).collect();
    (labels.pop()? == ZONE).then_some(labels)
}

/// It cannot be said which organisation is meant. Asking again helps: who asks becomes known.
struct Unclear;

/// The addresses behind a name; `None` when there is no such name.
fn look_up<'a>(
    below: &[String],
    asker: Asker,
    table: &'a ServiceTable,
) -> Result<Option<&'a [Ipv4Addr]>, Unclear> {
    let of = |org: &str, workload: &String| table.names.get(org)?.get(workload).map(Vec::as_slice);
    match below {
        [] => Ok(Some(&[])),
        [workload] => {
            let home = match asker {
                Asker::Machine => Some(DEFAULT_ORG),
                Asker::At(IpAddr::V4(address)) => table.homes.get(&address).map(String::as_str),
                Asker::At(IpAddr::V6(_)) => None,
            };
            match home {
                Some(home) => Ok(of(home, workload)),
                // An instance that has just begun is not in the table yet; it must not reach another organisation.
                None if table
                    .names
                    .iter()
                    .any(|(org, names)| org != DEFAULT_ORG && names.contains_key(workload)) =>
                {
                    Err(Unclear)
                }
                None => Ok(of(DEFAULT_ORG, workload)),
            }
        }
        [workload, org] => Ok(of(org, workload)),
        // Compose files name services with `_`, which names of workloads do not have.
        [service, group, org] => Ok(of(org, &format!("{group}-{}", service.replace('_', "-")))),
        _ => Ok(None),
    }
}

fn fill(reply: &mut Message, question: &Query, addresses: Option<&[Ipv4Addr]>, turn: usize) {
    let wanted = matches!(question.query_type(), RecordType::A | RecordType::ANY);
    match addresses {
        Some(addresses) if wanted && !addresses.is_empty() => {
            let start = turn % addresses.len();
            for address in addresses[start..].iter().chain(&addresses[..start]) {
                reply.add_answer(Record::from_rdata(question.name().clone(), TTL, RData::A(A(*address))));
            }
            return;
        }
        Some(_) => {}
        None => reply.metadata.response_code = ResponseCode::NXDomain,
    }
    // Without a zone record nobody knows how long to believe a refusal.
    if let Some(record) = zone_record() {
        reply.add_authority(record);
    }
}

fn zone_record() -> Option<Record> {
    let name = |text: &str| Name::from_ascii(text).ok();
    let seconds = i32::try_from(TTL).ok()?;
    let zone =
        SOA::new(name("ns.internal.")?, name("hostmaster.internal.")?, 1, seconds, seconds, seconds, TTL);
    Some(Record::from_rdata(name("internal.")?, TTL, RData::SOA(zone)))
}

/// The message in at most `room` bytes: as many answers as fit, marked as cut if some do not.
fn fitted(mut reply: Message, query: &[u8], room: usize) -> Vec<u8> {
    loop {
        let Ok(bytes) = reply.to_vec() else { return bare_refusal(query, ResponseCode::ServFail) };
        let count = reply.answers.len();
        if bytes.len() <= room || count == 0 {
            return bytes;
        }
        reply.metadata.truncation = true;
        // All answers are equally long, so the whole divided by their number is a little more than one takes.
        reply.answers.truncate((room * count / bytes.len()).min(count - 1));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
    use hickory_proto::rr::{Name, RData, RecordType};
    use proptest::prelude::*;
    use univrs_ports::network::ServiceTable;

    use super::{Asker, Carrier, TTL, Verdict};

    /// As the machine itself asks.
    fn judge(bytes: &[u8], table: &ServiceTable, turn: usize, carrier: Carrier) -> Verdict {
        super::judge(bytes, Asker::Machine, table, turn, carrier)
    }

    fn table(count: u8) -> ServiceTable {
        let addresses = (1..=count).map(|last| Ipv4Addr::new(100, 64, 0, last)).collect();
        let own = [("web".to_owned(), addresses), ("idle".to_owned(), vec![])].into_iter().collect();
        let names = [("default".to_owned(), own)].into_iter().collect();
        ServiceTable { names, ..ServiceTable::default() }
    }

    fn query(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn ask(message: &Message, table: &ServiceTable, turn: usize, carrier: Carrier) -> Message {
        match judge(&message.to_vec().unwrap(), table, turn, carrier) {
            Verdict::Reply(bytes) => {
                let reply = Message::from_vec(&bytes).unwrap();
                assert_eq!(reply.metadata.id, message.metadata.id);
                reply
            }
            other => panic!("{other:?}"),
        }
    }

    fn addresses(reply: &Message) -> Vec<u8> {
        let last = |data: &RData| match data {
            RData::A(address) => address.0.octets()[3],
            other => panic!("{other:?}"),
        };
        assert!(reply.answers.iter().all(|record| record.ttl == TTL));
        reply.answers.iter().map(|record| last(&record.data)).collect()
    }

    #[test]
    fn names_of_workloads_are_answered_in_turn() {
        let (table, query) = (table(3), query("WEB.Internal.", RecordType::A));
        let mut seen = Vec::new();
        for turn in 0..4 {
            let reply = ask(&query, &table, turn, Carrier::Datagram);
            assert!(reply.metadata.authoritative);
            assert_eq!(reply.queries, query.queries);
            seen.push(addresses(&reply));
        }
        assert_eq!(seen, [vec![1, 2, 3], vec![2, 3, 1], vec![3, 1, 2], vec![1, 2, 3]]);
    }

    #[test]
    fn what_is_not_there_is_said_so_with_a_short_life() {
        let code = |name: &str, kind| {
            let reply = ask(&query(name, kind), &table(2), 0, Carrier::Datagram);
            assert!(reply.answers.is_empty());
            assert_eq!(reply.authorities.len(), 1);
            assert!(reply.authorities[0].ttl <= 2);
            reply.metadata.response_code
        };
        assert_eq!(code("web.internal.", RecordType::AAAA), ResponseCode::NoError);
        assert_eq!(code("idle.internal.", RecordType::A), ResponseCode::NoError);
        assert_eq!(code("internal.", RecordType::A), ResponseCode::NoError);
        assert_eq!(code("other.internal.", RecordType::A), ResponseCode::NXDomain);
        assert_eq!(code("other.internal.", RecordType::AAAA), ResponseCode::NXDomain);
        assert_eq!(code("a.web.internal.", RecordType::A), ResponseCode::NXDomain);
    }

    #[test]
    fn short_names_are_meant_in_the_organisation_of_who_asks() {
        let at = |last| Ipv4Addr::new(100, 64, 0, last);
        let names = |list: &[(&str, u8)]| {
            list.iter().map(|(name, last)| ((*name).to_owned(), vec![at(*last)])).collect()
        };
        let table = ServiceTable {
            names: [
                ("default".to_owned(), names(&[("web", 1), ("db", 2)])),
                ("acme".to_owned(), names(&[("web", 3), ("api", 4), ("shop-my-db", 5)])),
            ]
            .into(),
            homes: [(at(2), "default".to_owned()), (at(4), "acme".to_owned())].into(),
            routes: vec![],
            ..ServiceTable::default()
        };
        let ask = |asker, name: &str| {
            let bytes = query(name, RecordType::A).to_vec().unwrap();
            let Verdict::Reply(reply) = super::judge(&bytes, asker, &table, 0, Carrier::Datagram) else {
                panic!("{name}");
            };
            let reply = Message::from_vec(&reply).unwrap();
            (reply.metadata.response_code, addresses(&reply))
        };
        let (of_default, of_acme) = (Asker::At(at(2).into()), Asker::At(at(4).into()));
        let (unknown, found) = (Asker::At(at(9).into()), |last| (ResponseCode::NoError, vec![last]));
        let none = (ResponseCode::NXDomain, vec![]);
        for asker in [of_default, of_acme, unknown, Asker::Machine] {
            assert_eq!(ask(asker, "web.default.internal."), found(1));
            assert_eq!(ask(asker, "web.ACME.internal."), found(3));
            assert_eq!(ask(asker, "db.acme.internal."), none);
            assert_eq!(ask(asker, "web.other.internal."), none);
        }
        for asker in [of_default, Asker::Machine] {
            assert_eq!(ask(asker, "web.internal."), found(1));
            assert_eq!(ask(asker, "db.internal."), found(2));
            assert_eq!(ask(asker, "api.internal."), none);
        }
        assert_eq!(ask(of_acme, "web.internal."), found(3));
        // What belongs together, by short names.
        assert_eq!(ask(of_acme, "my_db.shop.acme.internal."), found(5));
        assert_eq!(ask(of_acme, "web.shop.acme.internal."), none);
        assert_eq!(ask(of_acme, "a.b.shop.acme.internal."), none);
        assert_eq!(ask(of_acme, "api.internal."), found(4));
        assert_eq!(ask(of_acme, "db.internal."), none);
        // Someone unknown gets an answer where it can only be the default organisation's.
        assert_eq!(ask(unknown, "db.internal."), found(2));
        assert_eq!(ask(unknown, "web.internal."), (ResponseCode::ServFail, vec![]));
        assert_eq!(ask(unknown, "api.internal."), (ResponseCode::ServFail, vec![]));
    }

    #[test]
    fn other_names_are_forwarded() {
        for name in ["example.com.", "internal.example.com.", "web.", "."] {
            let bytes = query(name, RecordType::A).to_vec().unwrap();
            assert_eq!(judge(&bytes, &table(1), 0, Carrier::Datagram), Verdict::Forward, "{name}");
        }
    }

    #[test]
    fn long_answers_are_cut_for_datagrams_only() {
        let mut query = query("web.internal.", RecordType::A);
        let table = table(200);
        let plain = ask(&query, &table, 0, Carrier::Datagram);
        assert!(plain.metadata.truncation && plain.to_vec().unwrap().len() <= 512);
        assert!(plain.answers.len() >= 20, "{}", plain.answers.len());
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        query.set_edns(edns);
        let wide = ask(&query, &table, 0, Carrier::Datagram);
        assert!(wide.metadata.truncation && wide.answers.len() > 50 && wide.edns.is_some());
        assert!(wide.to_vec().unwrap().len() <= 1232);
        let stream = ask(&query, &table, 0, Carrier::Stream);
        assert!(!stream.metadata.truncation);
        assert_eq!(stream.answers.len(), 200);
    }

    #[test]
    fn odd_queries_get_their_refusal() {
        let table = table(1);
        let mut update = query("web.internal.", RecordType::A);
        update.metadata.op_code = OpCode::Notify;
        assert_eq!(ask(&update, &table, 0, Carrier::Datagram).metadata.response_code, ResponseCode::NotImp);
        let mut none = query("web.internal.", RecordType::A);
        none.queries.clear();
        assert_eq!(ask(&none, &table, 0, Carrier::Datagram).metadata.response_code, ResponseCode::FormErr);
        let mut future = query("web.internal.", RecordType::A);
        let mut edns = Edns::new();
        edns.set_version(1);
        future.set_edns(edns);
        let code = ask(&future, &table, 0, Carrier::Datagram).metadata.response_code;
        assert_eq!(u16::from(code), u16::from(ResponseCode::BADVERS));
        let mut reply = query("web.internal.", RecordType::A).to_vec().unwrap();
        reply[2] |= 0x80;
        assert_eq!(judge(&reply, &table, 0, Carrier::Datagram), Verdict::Ignore);
        let mut broken = query("web.internal.", RecordType::A).to_vec().unwrap();
        broken.truncate(20);
        let Verdict::Reply(bytes) = judge(&broken, &table, 0, Carrier::Datagram) else { panic!() };
        assert_eq!(Message::from_vec(&bytes).unwrap().metadata.response_code, ResponseCode::FormErr);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), turn in any::<usize>()) {
            judge(&bytes, &table(3), turn, Carrier::Datagram);
        }

        #[test]
        fn damaged_queries_are_survived(
            cut in 0_usize..60,
            hits in proptest::collection::vec((0_usize..60, any::<u8>()), 0..6),
        ) {
            let mut message = query("web.internal.", RecordType::A);
            message.set_edns(Edns::new());
            let mut bytes = message.to_vec().unwrap();
            for (place, value) in hits {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = value;
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let length = bytes.len();
            match judge(&bytes, &table(3), 1, Carrier::Datagram) {
                Verdict::Reply(reply) => prop_assert!(reply.len() >= 12 && reply[..2] == bytes[..2]),
                Verdict::Forward => prop_assert!(length >= 12),
                Verdict::Ignore => {}
            }
        }
    }
}
