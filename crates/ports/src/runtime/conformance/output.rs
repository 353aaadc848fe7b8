//! What containers write.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::super::{ContainerId, LogQuery, LogStream, Runtime};
use super::{Behaviour, GENEROUS, PATIENCE, Subject, close, ended, started};

async fn read(
    runtime: &dyn Runtime,
    id: &ContainerId,
    query: LogQuery,
) -> Vec<(Timestamp, LogStream, String)> {
    let lines = runtime.logs(id, query).await.expect("logs");
    lines.map(|line| line.expect("a line")).map(|line| (line.at, line.stream, line.text)).collect().await
}

fn texts(lines: &[(Timestamp, LogStream, String)]) -> Vec<&str> {
    lines.iter().map(|(_, _, text)| text.as_str()).collect()
}

fn says(lines: &[&str]) -> Behaviour {
    Behaviour::Says(lines.iter().map(|line| (false, (*line).to_owned())).collect())
}

/// Lines come back in order, with their stream and time.
pub(super) async fn logs_are_kept_in_order(subject: &dyn Subject) {
    let behaviour = Behaviour::Says(vec![
        (false, "one".to_owned()),
        (true, "two".to_owned()),
        (false, String::new()),
        (false, "  four, with spaces  ".to_owned()),
    ]);
    let (id, state) = started(subject, &behaviour).await;
    let runtime = subject.runtime();
    let exit = ended(&*runtime, &id).await;
    let lines = read(&*runtime, &id, LogQuery::default()).await;
    // The two outputs are separate pipes: what comes on both while nobody reads has no order between them.
    let of =
        |wanted| lines.iter().filter(move |(_, stream, _)| *stream == wanted).cloned().collect::<Vec<_>>();
    assert_eq!(texts(&of(LogStream::Stdout)), ["one", "", "  four, with spaces  "]);
    assert_eq!(texts(&of(LogStream::Stderr)), ["two"]);
    assert!(lines.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    // A line has the time at which it was read, and on a busy machine that is late.
    let leeway = jiff::SignedDuration::from_secs(60);
    assert!(lines.iter().all(|(at, _, _)| *at + leeway >= state.started_at && *at <= exit.at + leeway));
    close(&*runtime, &id.instance).await;
}

/// Only the last lines, or only those since a moment, can be asked for.
pub(super) async fn logs_can_be_cut(subject: &dyn Subject) {
    let (id, _) = started(subject, &says(&["a", "b", "c", "d", "e"])).await;
    let runtime = subject.runtime();
    ended(&*runtime, &id).await;
    let tail = |tail| LogQuery { tail: Some(tail), ..LogQuery::default() };
    let all = read(&*runtime, &id, LogQuery::default()).await;
    assert_eq!(texts(&read(&*runtime, &id, tail(2)).await), ["d", "e"]);
    assert_eq!(texts(&read(&*runtime, &id, tail(0)).await), Vec::<&str>::new());
    assert_eq!(read(&*runtime, &id, tail(100)).await, all);
    let since = LogQuery { since: Some(all[3].0), ..LogQuery::default() };
    // Lines that were read together have one time.
    let later: Vec<_> = all.iter().filter(|(at, _, _)| *at >= all[3].0).cloned().collect();
    assert_eq!(read(&*runtime, &id, since).await, later);
    let both = LogQuery { tail: Some(1), ..since };
    assert_eq!(texts(&read(&*runtime, &id, both).await), ["e"]);
    close(&*runtime, &id.instance).await;
}

/// A follower sees each line once, from the beginning or from the last lines on, until the sandbox is closed.
pub(super) async fn logs_can_be_followed(subject: &dyn Subject) {
    let (id, _) = started(subject, &Behaviour::Ticks).await;
    let runtime = subject.runtime();
    let follow = |tail| LogQuery { tail, follow: true, ..LogQuery::default() };
    let mut all = runtime.logs(&id, follow(None)).await.expect("logs");
    for number in 0..10 {
        let line = tokio::time::timeout(PATIENCE, all.next()).await.expect("a line in time");
        assert_eq!(line.expect("more").expect("a line").text, format!("tick {number}"));
    }
    let mut last = runtime.logs(&id, follow(Some(1))).await.expect("logs");
    let first = tokio::time::timeout(PATIENCE, last.next()).await.expect("a line in time");
    let number = |text: &str| text.strip_prefix("tick ").and_then(|number| number.parse::<u32>().ok());
    let first = number(&first.expect("more").expect("a line").text).expect("a tick");
    assert!(first >= 9, "{first}");
    let second = tokio::time::timeout(PATIENCE, last.next()).await.expect("a line in time");
    assert_eq!(number(&second.expect("more").expect("a line").text), Some(first + 1));
    runtime.stop(&id, GENEROUS).await.expect("it stops");
    let closing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        close(&*runtime, &id.instance).await;
    };
    // The sandbox has to be closed for the stream to end; that the container ended is not enough.
    let rest = async { all.map(|line| line.expect("a line").text).collect::<Vec<_>>().await };
    let (rest, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(rest, closing) })
        .await
        .expect("the stream ends when the sandbox is closed");
    let expected: Vec<String> = (10..).take(rest.len()).map(|number| format!("tick {number}")).collect();
    assert_eq!(rest, expected);
}

/// The lines of earlier attempts stay.
pub(super) async fn logs_span_attempts(subject: &dyn Subject) {
    let (id, _) = started(subject, &says(&["first"])).await;
    let runtime = subject.runtime();
    ended(&*runtime, &id).await;
    runtime.start(&subject.spec(id.clone(), 1, &says(&["second"]))).await.expect("it starts");
    ended(&*runtime, &id).await;
    let runtime = subject.restart().await;
    assert_eq!(texts(&read(&*runtime, &id, LogQuery::default()).await), ["first", "second"]);
    close(&*runtime, &id.instance).await;
}
