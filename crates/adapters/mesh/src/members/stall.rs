//! Whose fault a silence is. A process that was stopped, or got no processor time, has heard nobody for that long, and
//! that says nothing of the others: it hears them out before it suspects anyone.

use std::time::Duration;

use tokio::time::Instant;

/// A look that comes later than this after it was due came late because this process stood still.
const LATE: Duration = Duration::from_millis(500);
/// Time for the others to be heard again: connections may have to be made anew, and two heartbeats must arrive.
const GRACE: Duration = Duration::from_secs(5);

/// Notices that this process stood still, from when it looks.
#[derive(Debug)]
pub(super) struct Stall {
    /// Time between two looks.
    every: Duration,
    /// No silence is excused for longer, however often this process stands still.
    longest: Duration,
    looked: Option<Instant>,
    excuse: Option<Excuse>,
}

/// Silences that began after `from` are this process's own, until `until`.
#[derive(Clone, Copy, Debug)]
struct Excuse {
    from: Instant,
    until: Instant,
}

impl Stall {
    pub(super) const fn new(every: Duration, longest: Duration) -> Self {
        Self { every, longest, looked: None, excuse: None }
    }

    /// This process looks at the others now.
    pub(super) fn look(&mut self, now: Instant) {
        let before = self.looked.replace(now).unwrap_or(now);
        let late = now.duration_since(before) > self.every + LATE;
        // What was left of the time when this process stood still again is not over.
        let listened = if late { before } else { now };
        self.excuse = self.excuse.filter(|excuse| listened < excuse.until);
        if late {
            let from = self.excuse.map_or(before, |excuse| excuse.from);
            self.excuse = Some(Excuse { from, until: now + GRACE });
        }
    }

    /// This process does not look again before somebody is heard, and so cannot be late.
    pub(super) const fn rest(&mut self) {
        self.looked = None;
    }

    /// Whether a silence since `since` may be no more than this process not having listened.
    pub(super) fn excuses(&self, since: Instant, now: Instant) -> bool {
        self.excuse.is_some_and(|excuse| since > excuse.from && now < excuse.until)
            && now.duration_since(since) < self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    /// Looks at these times, in milliseconds, and tells whether a silence since `since` is excused at the last.
    fn excused(looks: &[u64], since: u64) -> bool {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut stall = Stall::new(EVERY, LONGEST);
        looks.iter().for_each(|look| stall.look(at(*look)));
        stall.excuses(at(since), at(*looks.last().unwrap()))
    }

    #[test]
    fn a_look_after_a_rest_is_not_late() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stall = Stall::new(EVERY, LONGEST);
        stall.look(at(0));
        stall.rest();
        stall.look(at(60));
        assert!(!stall.excuses(at(60), at(60)));
    }

    #[test]
    fn only_silences_that_a_stall_explains_are_excused() {
        for (looks, since, wanted, why) in [
            (&[0, 100, 200][..], 200, false, "nothing happened"),
            (&[0, 600], 600, false, "a little late"),
            (&[0, 3000], 3000, true, "first noticed after a stall"),
            (&[0, 100, 3100], 100, false, "noticed before the stall"),
            (&[0, 3000, 7900], 3000, true, "the others still have time"),
            (&[0, 3000, 3100, 8000], 3000, true, "a second stall is an excuse of its own"),
            (&[0, 3000, 3600, 4200, 4800, 5400, 6000, 6600, 7200, 7800, 8100], 3000, false, "time is over"),
            (&[0, 3000, 7000, 11_000, 12_900], 3000, true, "stalled again and again"),
            (&[0, 3000, 7000, 11_000, 13_000], 3000, false, "but not for ever"),
        ] {
            assert_eq!(excused(looks, since), wanted, "{why}");
        }
    }
}
