//! Carries operations out as a real driver would, on a world that fails and crashes as told, and checks on the way
//! what must always hold.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use univrs_model::Timestamp;
use univrs_model::ids::OperationId;
use univrs_model::name::Name;
use univrs_model::operation::{Operation, OperationStatus, Step, StepStatus};
use univrs_saga::{Next, SagaEvent, apply, finish, next, progress, resume};

/// What happens the next time that the world is touched. When none are left, all goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes well.
    Well,
    /// It fails, and trying again may help.
    Temporary,
    /// It fails for good.
    ForGood,
    /// The driver dies before it happens.
    CrashBefore,
    /// It happens, and the driver dies before it is told.
    CrashAfter,
    /// Someone asks to stop, then it goes well.
    Cancel,
}

/// One thing that the driver did with the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Do(usize),
    Undo(usize),
}

pub(crate) struct World {
    pub(crate) operation: Operation,
    pub(crate) now: Timestamp,
    pub(crate) fates: VecDeque<Fate>,
    /// Whether a driver that takes over says so.
    pub(crate) resumes: bool,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) effects: BTreeSet<usize>,
    begun: BTreeSet<usize>,
}

pub(crate) fn operation(steps: usize) -> Operation {
    let step = |index: usize| Step {
        name: format!("step-{index}"),
        stage: "working".to_owned(),
        progress: u8::try_from(index * 100 / steps).unwrap(),
        status: StepStatus::Waiting,
        attempts: 0,
        error: None,
    };
    Operation {
        id: OperationId::from_bits(1),
        org: Name::default_org(),
        kind: "resource_create".to_owned(),
        subject: "web".to_owned(),
        status: OperationStatus::Running,
        parameters: Default::default(),
        steps: (0..steps).map(step).collect(),
        cancel_requested: false,
        error: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

impl World {
    pub(crate) fn new(operation: Operation, fates: impl IntoIterator<Item = Fate>) -> Self {
        Self {
            now: operation.updated_at,
            operation,
            fates: fates.into_iter().collect(),
            resumes: true,
            deeds: Vec::new(),
            effects: BTreeSet::new(),
            begun: BTreeSet::new(),
        }
    }

    /// Carries the operation out until it ends, however often the driver dies.
    pub(crate) fn run(&mut self) -> OperationStatus {
        for _ in 0..10_000 {
            assert!(progress(&self.operation) <= 100);
            match next(&self.operation, self.now) {
                Next::Do { step } => self.act(step),
                Next::Verify { step } => {
                    let there = self.effects.contains(&step);
                    let missing = SagaEvent::Failed { step, error: "not there".to_owned(), temporary: true };
                    self.tell(if there { SagaEvent::Done { step } } else { missing });
                }
                Next::Undo { step } => self.act_back(step),
                Next::Finish(status) => {
                    self.operation = finish(self.operation.clone(), self.now);
                    assert_eq!(self.operation.status, status);
                }
                Next::Wait { until } => {
                    assert!(until > self.now, "a wait that is over");
                    self.now = until;
                }
                Next::Nothing => return self.operation.status,
            }
        }
        panic!("the operation does not end: {:#?}", self.operation);
    }

    fn act(&mut self, step: usize) {
        // SAG-1: what came before is done, and its effect is there.
        for before in 0..step {
            assert_eq!(self.operation.steps[before].status, StepStatus::Done);
            assert!(self.effects.contains(&before));
        }
        self.tell(SagaEvent::Began { step });
        self.begun.insert(step);
        let fate = self.fate();
        if fate != Fate::CrashBefore {
            self.deeds.push(Deed::Do(step));
        }
        match fate {
            Fate::Well | Fate::Cancel => {
                self.effects.insert(step);
            }
            Fate::Temporary => {
                self.tell(SagaEvent::Failed { step, error: "busy".to_owned(), temporary: true })
            }
            Fate::ForGood => {
                // A failure may leave half of the effect behind.
                self.effects.insert(step);
                self.tell(SagaEvent::Failed { step, error: "refused".to_owned(), temporary: false });
            }
            Fate::CrashBefore => self.take_over(),
            Fate::CrashAfter => {
                self.effects.insert(step);
                self.take_over();
            }
        }
    }

    fn act_back(&mut self, step: usize) {
        // SAG-2: only what was begun is undone, and nothing after it is left.
        assert!(self.begun.contains(&step), "step {step} was never begun");
        assert!(self.effects.iter().all(|effect| *effect <= step), "{:?} left", self.effects);
        self.tell(SagaEvent::Began { step });
        let fate = self.fate();
        if fate != Fate::CrashBefore {
            self.deeds.push(Deed::Undo(step));
        }
        match fate {
            Fate::Well | Fate::Cancel => {
                self.effects.remove(&step);
                self.tell(SagaEvent::Undone { step });
            }
            Fate::Temporary | Fate::ForGood => {
                self.tell(SagaEvent::UndoFailed { step, error: "stuck".to_owned() });
            }
            Fate::CrashBefore => self.take_over(),
            Fate::CrashAfter => {
                self.effects.remove(&step);
                self.take_over();
            }
        }
    }

    fn fate(&mut self) -> Fate {
        let fate = self.fates.pop_front().unwrap_or(Fate::Well);
        if fate == Fate::Cancel {
            self.tell(SagaEvent::CancelRequested);
        }
        fate
    }

    fn take_over(&mut self) {
        self.now = self.now.checked_add(Duration::from_secs(3)).unwrap();
        if self.resumes {
            self.operation = resume(self.operation.clone(), self.now);
        }
    }

    fn tell(&mut self, event: SagaEvent) {
        let once = apply(self.operation.clone(), event.clone(), self.now);
        // SAG-4: told twice, it changes nothing more, but that each failed undo is a try of its own.
        if !matches!(event, SagaEvent::UndoFailed { .. }) {
            assert_eq!(apply(once.clone(), event, self.now), once);
        }
        self.operation = once;
    }
}
